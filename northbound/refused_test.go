package northbound_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"neutrino/dataplane/ovndb/ovntest"
	"neutrino/driver/ovn"
	"neutrino/northbound"
)

// told is what a writer has told of routers and floating IPs.
type told struct {
	mu sync.Mutex
	of map[ovn.Thing]northbound.Realised
}

func (x *told) take(_ context.Context, list []northbound.Realised) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range list {
		x.of[r.Thing] = r
	}
	return nil
}

func (x *told) get(kind ovn.Kind, id string) northbound.Realised {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.of[ovn.Thing{Kind: kind, ID: id}]
}

// startTelling runs a writer that compares everything all the time.
func startTelling(t *testing.T, w *world, c *ovntest.Central) (*northbound.Writer, *told) {
	t.Helper()
	x := &told{of: map[ovn.Thing]northbound.Realised{}}
	o := options(w, c)
	o.Check, o.Realised, o.Log = 50*time.Millisecond, x.take, slog.New(slog.NewTextHandler(t.Output(), nil))
	writer := northbound.New(o)
	writer.SetHosts(chassis)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = writer.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return writer, x
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not so: " + what)
		}
	}
}

// another is a further port on the inner network.
func another(n int, policy string) *ovn.Port {
	p := *(cloud().facts[ovn.KindPort][vm2].(*ovn.Port))
	p.ID, p.Name, p.MAC, p.QoSPolicyID, p.FixedIPs = id(6, n), fmt.Sprint("vm", n), mac(n), policy, []ovn.FixedIP{{SubnetID: subnet4, IP: addr(fmt.Sprint("10.0.0.", n))}}
	return &p
}

// Rows that the database refuses stop no others; they are told of, counted, and come when their facts are better.
func TestRefusedRows(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, false)
	w := cloud()
	writer, x := startTelling(t, w, c)
	settle(t, w, c)
	good := cloud().facts[ovn.KindPolicy][slow]
	limits := func() []string { return strings.Fields(c.NB(t, "--bare", "--columns=bandwidth", "list", "QoS")) }
	before := limits()
	w.put(ovn.KindPolicy, slow, &ovn.Policy{ID: slow, Rules: []ovn.QoSRule{ // beyond what the schema has
		{Type: "bandwidth_limit", Direction: "egress", Amount: 1 << 40}, {Type: "bandwidth_limit", Direction: "ingress", Amount: 1 << 40},
	}})
	for _, n := range []int{77, 78} {
		p := another(n, []string{"", slow}[n-77])
		w.put(ovn.KindPort, p.ID, p)
		eventually(t, "the port is written", func() bool {
			return strings.Contains(c.NB(t, "--bare", "--columns=name", "find", "Logical_Switch_Port", "name="+p.ID), p.ID)
		})
	}
	// Of vm1, the floating IP and the new port two each.
	eventually(t, "six rows are refused", func() bool { return writer.Stats().Refused == 6 })
	eventually(t, "the floating IP's reason", func() bool {
		r := x.get(ovn.KindFloatingIP, fip)
		return r.Rows && strings.Contains(r.Reason, "refuses QoS fip_id/"+fip)
	})
	if after := limits(); strings.Join(after, " ") != strings.Join(before, " ") {
		t.Errorf("limits were %q and are %q", before, after)
	}
	for _, d := range check(t, w, c) {
		if d.Table != "QoS" && !strings.HasPrefix(d.Columns["qos_rules"], "+port_id/"+id(6, 78)) {
			t.Errorf("%+v differs, too", d)
		}
	}
	if _, err := northbound.Check(t.Context(), options(w, c), chassis, northbound.CheckOptions{Repair: true}); err == nil || !strings.Contains(err.Error(), "QoS port_id/"+vm1) {
		t.Errorf("a repair that leaves rows out ends with %v", err)
	}
	w.put(ovn.KindPolicy, slow, good)
	settle(t, w, c)
	eventually(t, "no row is refused", func() bool { return writer.Stats().Refused == 0 && x.get(ovn.KindFloatingIP, fip).Reason == "" })
}

// A whole transaction that the database refuses, without a word for what, is tried in parts, until it is known which
// row it does not let go: a group that somebody else's router uses, too. When it may go, it goes.
func TestRefusedTransaction(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, false)
	w := cloud()
	writer, _ := startTelling(t, w, c)
	settle(t, w, c)
	group := strings.TrimSpace(c.NB(t, "--bare", "--columns=_uuid", "find", "HA_Chassis_Group", "name=neutron-"+router))
	c.NB(t, "lr-add", "mine", "--", "lrp-add", "mine", "mine-port", "02:00:00:00:00:01", "192.0.2.1/24", "--", "set", "Logical_Router_Port", "mine-port", "ha_chassis_group="+group)
	for _, thing := range []string{gw, rif} {
		w.delete(ovn.KindPort, thing)
	}
	for n := 70; n < 80; n++ {
		p := another(n, slow)
		w.put(ovn.KindPort, p.ID, p)
	}
	eventually(t, "the last port is written", func() bool {
		return strings.Contains(c.NB(t, "--bare", "--columns=name", "find", "Logical_Switch_Port", "name="+id(6, 79)), id(6, 79))
	})
	eventually(t, "one row stays", func() bool { list := check(t, w, c); return len(list) == 1 && list[0].Table == "HA_Chassis_Group" })
	eventually(t, "it is counted", func() bool { return writer.Stats().Refused > 0 })
	c.NB(t, "lr-del", "mine")
	settle(t, w, c)
	eventually(t, "no row is refused", func() bool { return writer.Stats().Refused == 0 })
}
