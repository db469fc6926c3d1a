package ovsdb

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"neutrino/dataplane/ovsdb/ovstest"
)

func connect(t *testing.T, s *ovstest.Switch) (context.Context, *Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	c := New(s.Endpoint())
	t.Cleanup(func() { c.Close(); cancel() })
	return ctx, c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// transactions is how many changes the database has been asked to do.
func transactions(t *testing.T, s *ovstest.Switch) string {
	return strings.TrimSpace(s.Vsctl(t, "get", "Open_vSwitch", ".", "next_cfg"))
}

func get(t *testing.T, s *ovstest.Switch, table, row, column string) string {
	return strings.TrimSpace(s.Vsctl(t, "--if-exists", "get", table, row, column))
}

func dummy(name string) Bridge {
	return Bridge{Name: name, DatapathType: "dummy", FailMode: "secure",
		OtherConfig: map[string]string{"disable-in-band": "true"}, ExternalIDs: map[string]string{"neutrino": "1"}}
}

func TestBridgesAndPorts(t *testing.T) {
	s := ovstest.Start(t)
	ctx, c := connect(t, s)

	must(t, c.EnsureBridge(ctx, dummy("br-int")))
	port := Port{Name: "p1", Type: "dummy", Tag: 5, Options: map[string]string{}, OtherConfig: map[string]string{"a": "b"},
		ExternalIDs: map[string]string{"iface-id": `"; drop`}}
	must(t, c.EnsurePort(ctx, "br-int", port))
	got, err := c.WaitPort(ctx, "br-int", "p1")
	must(t, err)
	if got.Tag != 5 || got.OtherConfig["a"] != "b" || got.ExternalIDs["iface-id"] != `"; drop` || got.OFPort < 1 {
		t.Errorf("port is %+v", got)
	}
	bridges, err := c.Bridges(ctx)
	must(t, err)
	if b := bridges["br-int"]; b.DatapathType != "dummy" || b.FailMode != "secure" || b.ExternalIDs["neutrino"] != "1" {
		t.Errorf("bridge is %+v", b)
	}

	// What is as it should be costs nothing, and what others have written stays.
	s.Vsctl(t, "set", "bridge", "br-int", "external_ids:theirs=x", "--", "set", "interface", "p1", "external_ids:theirs=x")
	until(t, "the change of others was not seen", func() bool {
		b, err := c.Bridges(ctx)
		return err == nil && b["br-int"].ExternalIDs["theirs"] == "x"
	})
	before := transactions(t, s)
	must(t, c.EnsureBridge(ctx, dummy("br-int")))
	must(t, c.EnsurePort(ctx, "br-int", port))
	must(t, c.SetPorts(ctx, "br-int", []Port{port, {Name: "absent", Tag: 7}}))
	if after := transactions(t, s); after != before {
		t.Errorf("nothing differed, but transactions went from %s to %s", before, after)
	}

	port.Tag = 6
	must(t, c.SetPorts(ctx, "br-int", []Port{port}))
	if tag := get(t, s, "port", "p1", "tag"); tag != "6" {
		t.Errorf("tag is %s", tag)
	}
	changed := dummy("br-int")
	changed.OtherConfig = map[string]string{"mac-table-size": "9"}
	must(t, c.EnsureBridge(ctx, changed))
	if o, e := get(t, s, "bridge", "br-int", "other_config"), get(t, s, "bridge", "br-int", "external_ids"); !strings.Contains(o, "mac-table-size") ||
		!strings.Contains(o, "disable-in-band") || !strings.Contains(e, "theirs") {
		t.Errorf("bridge has %s %s", o, e)
	}

	must(t, c.DeletePort(ctx, "br-int", "p1"))
	must(t, c.DeletePort(ctx, "br-int", "p1"))
	must(t, c.DeletePort(ctx, "absent", "p1"))
	if id := get(t, s, "interface", "p1", "name"); id != "" {
		t.Errorf("interface %s is still there", id)
	}
	if err := c.EnsurePort(ctx, "absent", port); err == nil {
		t.Error("a port was made on a bridge that is not there")
	}
}

func TestPatch(t *testing.T) {
	s := ovstest.Start(t)
	ctx, c := connect(t, s)
	for _, b := range []string{"a", "b"} {
		must(t, c.EnsureBridge(ctx, dummy(b)))
	}
	must(t, c.EnsurePort(ctx, "a", Port{Name: "a-b", Type: "patch", Options: map[string]string{"peer": "b-a"}}))
	must(t, c.EnsurePort(ctx, "b", Port{Name: "b-a", Type: "patch", Options: map[string]string{"peer": "a-b"}}))
	for _, end := range [][2]string{{"a", "a-b"}, {"b", "b-a"}} {
		// The end that was made first says that it has no peer, until the switch has looked again.
		_, err := c.WaitPort(ctx, end[0], end[1])
		for try := 0; err != nil && try < 200; try++ {
			time.Sleep(10 * time.Millisecond)
			_, err = c.WaitPort(ctx, end[0], end[1])
		}
		must(t, err)
	}
	must(t, c.EnsurePort(ctx, "a", Port{Name: "broken", Type: "no such type"}))
	if p, err := c.WaitPort(ctx, "a", "broken"); err == nil {
		t.Errorf("a port of an unknown type works: %+v", p)
	}
}

// A change is seen by the next one, whoever made it.
func TestChangesSeeEachOther(t *testing.T) {
	s := ovstest.Start(t)
	ctx, c := connect(t, s)
	for i := range 30 {
		bridge := fmt.Sprint("br", i%3)
		must(t, c.EnsureBridge(ctx, dummy(bridge)))
		must(t, c.EnsurePort(ctx, bridge, Port{Name: "p", Type: "dummy", Tag: i + 1}))
		must(t, c.SetPorts(ctx, bridge, []Port{{Name: "p", Tag: i + 2}}))
		ports, err := c.Ports(ctx, bridge)
		must(t, err)
		if len(ports) != 2 || ports[1].Tag != i+2 {
			t.Fatalf("round %d: ports are %+v", i, ports)
		}
		must(t, c.DeletePort(ctx, bridge, "p"))
	}
	must(t, c.EnsureBridge(ctx, dummy("br")))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := c.EnsurePort(ctx, "br", Port{Name: "shared", Type: "dummy"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestWakeAndReconnect(t *testing.T) {
	s := ovstest.Start(t)
	ctx, c := connect(t, s)
	must(t, c.EnsureBridge(ctx, dummy("br-int")))
	_, err := c.WaitPort(ctx, "br-int", "br-int")
	must(t, err)
	quiet(c)
	s.Vsctl(t, "set", "bridge", "br-int", "external_ids:x=y")
	woken(t, c, "a change")

	quiet(c)
	s.StopDatabase()
	woken(t, c, "the lost connection")
	if _, err := c.Ports(ctx, "br-int"); err == nil {
		t.Error("a database that is not there was read")
	}
	s.StartDatabase(t)
	s.Vsctl(t, "add-br", "later", "--", "set", "bridge", "later", "datapath_type=dummy", "--", "del-br", "br-int")
	bridges, err := c.Bridges(ctx)
	must(t, err)
	if _, gone := bridges["br-int"]; gone || len(bridges) != 1 {
		t.Errorf("after the restart the bridges are %v", bridges)
	}
	quiet(c)
	s.Vsctl(t, "set", "bridge", "later", "external_ids:x=y")
	woken(t, c, "a change after the restart")
}

// quiet waits until nothing has changed for a while.
func quiet(c *Client) {
	for {
		select {
		case <-c.Wake():
		case <-time.After(300 * time.Millisecond):
			return
		}
	}
}

func woken(t *testing.T, c *Client, by string) {
	t.Helper()
	select {
	case <-c.Wake():
	case <-time.After(10 * time.Second):
		t.Fatalf("%s was not told", by)
	}
}

func until(t *testing.T, or string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(or)
		}
	}
}
