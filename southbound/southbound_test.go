package southbound_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"neutrino/dataplane/ovndb"
	"neutrino/dataplane/ovndb/ovntest"
	"neutrino/driver/ovn"
	"neutrino/southbound"
)

// heard is what a reader has told.
type heard struct {
	mu    sync.Mutex
	hosts int            // how many there are; -1: not told yet
	alive map[string]int // by chassis: how often
	ports map[string]southbound.Port
	told  map[string]int // by port: how often
}

// listen runs a reader until the test ends.
func listen(t *testing.T, c *ovntest.Central) *heard {
	t.Helper()
	h := &heard{hosts: -1, alive: map[string]int{}, ports: map[string]southbound.Port{}, told: map[string]int{}}
	r := southbound.New(southbound.Options{
		Database: ovndb.Options{Endpoints: []string{c.South()}}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Hosts: func(list []*ovn.Chassis) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.hosts = len(list)
		},
		Alive: func(_ context.Context, list []southbound.Host) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			for _, host := range list {
				h.alive[host.Name]++
			}
			return nil
		},
		Ports: func(_ context.Context, list []southbound.Port) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			for _, p := range list {
				h.ports[p.ID], h.told[p.ID] = p, h.told[p.ID]+1
			}
			return nil
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return h
}

// await waits until what was heard is right.
func (h *heard) await(t *testing.T, what string, right func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		h.mu.Lock()
		ok, all := right(), fmt.Sprintf("%d hosts, alive %v, ports %v", h.hosts, h.alive, h.ports)
		h.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so: %s", what, all)
		}
	}
}

// A host lives when it comes and when its controller answers, also when that was while the database was away; the database's
// own coming back is no sign of anybody's life.
func TestAlive(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, false)
	for i, name := range []string{"dead", "answers", "awaked"} {
		c.SB(t, "chassis-add", name, "geneve", fmt.Sprintf("192.0.2.%d", i+1), "--", "set", "Chassis", name, "hostname="+name, "--", "create", "Chassis_Private", "name="+name, "nb_cfg=5")
	}
	h := listen(t, c)
	h.await(t, "the hosts are known", func() bool { return h.hosts == 3 })
	c.SB(t, "set", "Chassis_Private", "answers", "nb_cfg=6")
	h.await(t, "one has answered", func() bool { return h.alive["answers"] == 1 })
	for round := 1; round <= 2; round++ {
		c.StopSouth()
		c.EditSouth(t, fmt.Sprintf(`{"op": "update", "table": "Chassis_Private", "where": [["name", "==", "awaked"]], "row": {"nb_cfg": %d}}`, 10*round))
		c.StartSouth(t)
		h.await(t, "one has answered while the database was away", func() bool { return h.alive["awaked"] == round })
		c.SB(t, "chassis-add", fmt.Sprint("new", round), "geneve", fmt.Sprintf("192.0.2.%d", 10+round))
		h.await(t, "one has come", func() bool { return h.alive[fmt.Sprint("new", round)] == 1 })
	}
	// The northbound database was made anew: numbers begin again, and are answers all the same. A host that went comes again.
	c.SB(t, "set", "Chassis_Private", "answers", "nb_cfg=1", "--", "chassis-del", "new1")
	h.await(t, "one has answered with a smaller number", func() bool { return h.alive["answers"] == 2 && h.hosts == 4 })
	c.SB(t, "chassis-add", "new1", "geneve", "192.0.2.11")
	h.await(t, "one has come back", func() bool { return h.alive["new1"] == 2 })
	h.mu.Lock()
	defer h.mu.Unlock()
	if want := map[string]int{"answers": 2, "awaked": 2, "new1": 2, "new2": 1}; !maps.Equal(h.alive, want) {
		t.Errorf("alive are %v, and should be %v", h.alive, want)
	}
}

// Ports are told when they change, and only those; a gateway's is where it is active.
func TestPorts(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, true)
	for i, name := range []string{"c1", "c2"} {
		c.SB(t, "chassis-add", name, "geneve", fmt.Sprintf("192.0.2.%d", i+1), "--", "set", "Chassis", name, "hostname=of-"+name)
	}
	c.NB(t, "ls-add", "net", "--", "lsp-add", "net", "vm", "--", "lsp-add", "net", "other", "--", "lsp-add", "net", "gw", "--",
		"lsp-set-type", "gw", "router", "--", "lsp-set-addresses", "gw", "router", "--", "lsp-set-options", "gw", "router-port=lrp-gw", "--",
		"lr-add", "edge", "--", "lrp-add", "edge", "lrp-gw", "fa:16:3e:00:00:01", "192.0.2.254/24", "--", "lrp-set-gateway-chassis", "lrp-gw", "c1")
	c.NB(t, "--wait=sb", "sync")
	h := listen(t, c)
	is := func(id string, up bool, host string) func() bool {
		return func() bool { return h.told[id] > 0 && h.ports[id] == (southbound.Port{ID: id, Up: up, Host: host}) }
	}
	h.await(t, "all ports are told", func() bool { return is("vm", false, "")() && is("other", false, "")() && is("gw", true, "")() })
	c.SB(t, "lsp-bind", "vm", "c1", "--", "set", "Port_Binding", "vm", "up=true")
	h.await(t, "the port is up", is("vm", true, "of-c1"))
	c.SB(t, "lsp-bind", "cr-lrp-gw", "c2")
	h.await(t, "the gateway has a host", is("gw", true, "of-c2"))
	h.mu.Lock()
	if h.told["other"] != 1 {
		t.Errorf("a port with no news was told %d times", h.told["other"])
	}
	h.mu.Unlock()
	c.StopSouth()
	c.StartSouth(t)
	h.await(t, "all ports are told again", func() bool { return h.told["other"] == 2 && h.told["gw"] >= 2 })
	c.SB(t, "lsp-unbind", "cr-lrp-gw", "--", "lsp-bind", "other", "c2", "--", "set", "Port_Binding", "other", "up=true")
	h.await(t, "after a restart", func() bool { return is("gw", true, "")() && is("other", true, "of-c2")() })
	c.NB(t, "lsp-del", "vm")
	h.await(t, "the port is gone", is("vm", false, ""))
	h.mu.Lock()
	defer h.mu.Unlock()
	if got := slices.Sorted(maps.Keys(h.ports)); !slices.Equal(got, []string{"gw", "other", "vm"}) {
		t.Errorf("told are %v", got)
	}
}
