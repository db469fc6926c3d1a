package northbound_test

import (
	"strings"
	"testing"
	"time"

	"neutrino/dataplane/ovndb/ovntest"
	"neutrino/driver/ovn"
	"neutrino/northbound"
)

// leftBehind is a central with what another Neutron has left in its router besides, and a cloud written into it.
func leftBehind(t *testing.T) (*ovntest.Central, *world) {
	t.Helper()
	c := ovntest.Start(t, false)
	lr, marked := "neutron-"+router, `external_ids:"neutron:revision_number"=1`
	c.NB(t, "ls-add", "neutron-"+id(1, 50), "--", "lr-add", lr, "--", "lrp-add", lr, "lrp-"+id(6, 50), "fa:16:3e:00:00:50", "192.0.2.1/24",
		"--", "set", "Logical_Router_Port", "lrp-"+id(6, 50), marked)
	w := cloud()
	start(t, w, c)
	keeps(t, w, c, "neutron-"+id(1, 50), "lrp-"+id(6, 50))
	return c, w
}

// keeps waits until nothing differs but rows that are kept until the database is taken over.
func keeps(t *testing.T, w *world, c *ovntest.Central, names ...string) {
	t.Helper()
	var list []northbound.Difference
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		list = check(t, w, c)
		left := map[string]bool{}
		for _, name := range names {
			left[name] = true
		}
		for _, d := range list {
			if d.Action == "keep" {
				delete(left, d.Name)
			}
		}
		if len(list) == len(names) && len(left) == 0 {
			return
		}
	}
	t.Fatalf("not only %v differ: %+v", names, list)
}

// As long as a database is not taken over, what users change and delete goes from it all the same: no rule, no address
// and no port stays in force. Only what no fact has ever wanted stays.
func TestDeletionsBeforeTakeOver(t *testing.T) {
	t.Parallel()
	c, w := leftBehind(t)
	w.put(ovn.KindGroup, web, &ovn.Group{ID: web, Stateful: true})
	w.delete(ovn.KindFloatingIP, fip)
	w.delete(ovn.KindFloatingIP, pfip)
	w.delete(ovn.KindPort, vm2)
	w.put(ovn.KindRouter, router, &ovn.Router{ID: router, Name: "edge", AdminStateUp: true})
	keeps(t, w, c, "neutron-"+id(1, 50), "lrp-"+id(6, 50))
	for _, q := range []struct{ what, has string }{
		{"port", c.NB(t, "--bare", "--columns=name", "find", "Logical_Switch_Port", "name="+vm2)},
		{"rules", c.NB(t, "acl-list", "pg_"+strings.ReplaceAll(web, "-", "_"))},
		{"floating IPs and source NAT", c.NB(t, "--bare", "--columns=type", "list", "NAT")},
		{"port forwardings", c.NB(t, "--bare", "--columns=name", "list", "Load_Balancer")},
		{"take-over", c.NB(t, "--if-exists", "get", "NB_Global", ".", `external_ids:"neutrino:writes"`)},
	} {
		if strings.TrimSpace(q.has) != "" {
			t.Errorf("%s: %s", q.what, q.has)
		}
	}
	// What others make another row of one that facts want does not stay beside it.
	for _, cmd := range [][]string{
		{"set", "Logical_Switch", "neutron-" + inner, "name=renamed"},
		{"set", "Logical_Router_Static_Route", strings.Fields(c.NB(t, "--bare", "--columns=_uuid", "list", "Logical_Router_Static_Route"))[0], "nexthop=192.0.2.9"},
	} {
		c.NB(t, cmd...)
		keeps(t, w, c, "neutron-"+id(1, 50), "lrp-"+id(6, 50))
	}
	// The deleted router takes what it holds with it, also what names a group of chassis that goes as well.
	w.put(ovn.KindRouter, router, cloud().facts[ovn.KindRouter][router])
	keeps(t, w, c, "neutron-"+id(1, 50), "lrp-"+id(6, 50))
	group := strings.TrimSpace(c.NB(t, "--bare", "--columns=_uuid", "find", "HA_Chassis_Group", "name=neutron-"+router))
	c.NB(t, "set", "Logical_Router_Port", "lrp-"+id(6, 50), "ha_chassis_group="+group)
	for _, port := range []string{rif, rif6, gw, vf} {
		w.delete(ovn.KindPort, port)
	}
	w.delete(ovn.KindRouter, router)
	keeps(t, w, c, "neutron-"+id(1, 50))
	if rows := dump(t, c); strings.Contains(rows, "Logical_Router") || strings.Contains(rows, "HA_Chassis") {
		t.Errorf("the router stays:\n%s", rows)
	}
}

// A server whose own database was exchanged for an older or empty one has had nothing deleted: the rows stay.
func TestOtherDatabaseBeforeTakeOver(t *testing.T) {
	t.Parallel()
	c, w := leftBehind(t)
	before := len(strings.Split(dump(t, c), "\n"))
	w.mu.Lock()
	for kind := range w.facts {
		delete(w.facts, kind)
	}
	w.entries = nil
	w.mu.Unlock()
	w.put(ovn.KindNetwork, id(1, 60), &ovn.Network{ID: id(1, 60), AdminStateUp: true, MTU: 1400, Segments: []ovn.Segment{{ID: id(9, 60), Type: "geneve"}}})
	for deadline := time.Now().Add(time.Minute); !strings.Contains(c.NB(t, "ls-list"), "neutron-"+id(1, 60)); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the new network does not come")
		}
	}
	if after := len(strings.Split(dump(t, c), "\n")); after < before {
		t.Errorf("of %d lines of rows %d stay", before, after)
	}
}
