package northbound_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"neutrino/dataplane/ovndb/ovntest"
	"neutrino/driver/ovn"
	"neutrino/northbound"
)

// lines is a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (x *lines) Write(b []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(b)
}

func (x *lines) count(text string) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return strings.Count(x.b.String(), text)
}

// What OVN can't do of a port is logged once, though the port changes; of other things that it can't do as well.
func TestNotes(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, false)
	w := cloud()
	log, x := &lines{}, &told{of: map[ovn.Thing]northbound.Realised{}}
	o := options(w, c)
	o.Realised, o.Log = x.take, slog.New(slog.NewTextHandler(log, nil))
	writer := northbound.New(o)
	writer.SetHosts(chassis)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = writer.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	eventually(t, "the unknown option is logged", func() bool { return log.count("no-such") == 1 })
	p := *(w.facts[ovn.KindPort][vm2].(*ovn.Port))
	p.Revision++
	w.put(ovn.KindPort, vm2, &p)
	p2 := another(77, "")
	p2.DHCP = []ovn.DHCPOption{{Name: "mtu", Value: "large", IPVersion: 4}}
	w.put(ovn.KindPort, p2.ID, p2)
	eventually(t, "the value that is none is logged", func() bool { return log.count("can't have the value") == 1 })
	if n := log.count("no-such"); n != 1 {
		t.Errorf("the unknown option is logged %d times", n)
	}
}

// Of a floating IP's ports as many are forwarded as OVN can have.
func TestMostForwarded(t *testing.T) {
	t.Parallel()
	w := cloud()
	w.put(ovn.KindFloatingIP, pfip, &ovn.FloatingIP{ID: pfip, NetworkID: outer, RouterID: router, IP: addr("203.0.113.21"), MAC: mac(21), Forwardings: []ovn.Forwarding{
		{Protocol: "tcp", ExternalFirst: 1, ExternalLast: 200, InternalIP: addr("10.0.0.11"), InternalFirst: 1, InternalLast: 200},
		{Protocol: "udp", ExternalFirst: 1, ExternalLast: 57, InternalIP: addr("10.0.0.11"), InternalFirst: 1, InternalLast: 57},
	}})
	m := modelOf(w)
	if vips := modelRow(t, m, "Load_Balancer", "pf-floatingip-"+pfip+"-tcp").Many["vips"]; len(vips) != 200 {
		t.Errorf("%d TCP ports", len(vips))
	}
	if m.Row(ovn.Key{Table: "Load_Balancer", Name: "pf-floatingip-" + pfip + "-udp"}) != nil {
		t.Error("there are more ports than OVN can have")
	}
	if notes := m.Notes()["floatingip "+pfip]; len(notes) != 1 || !strings.Contains(notes[0], "256 ports") {
		t.Errorf("notes: %q", notes)
	}
}
