package l2

import (
	"slices"
	"testing"

	"neutrino/dataplane/openflow"
	"neutrino/desired"
)

// TestQoSFlows: which policy holds for a port, and the flows that come of it.
func TestQoSFlows(t *testing.T) {
	mark := 0
	all := &desired.QoS{Egress: desired.Limits{Kbps: 8, Kpps: 1}, Ingress: desired.Limits{Kbps: 9, Kpps: 2}, DSCP: &mark}
	one := &desired.QoS{Ingress: desired.Limits{Kpps: 5_000_000}}
	for _, c := range []struct {
		what         string
		network, own *desired.QoS
		owner        string
		meters       []uint32
		marked       bool
	}{
		{what: "none"},
		{what: "the network's", network: all, meters: []uint32{400, 401, 402, 403}, marked: true},
		{what: "its own", network: all, own: one, meters: []uint32{403}},
		{what: "its own without rules", network: all, own: &desired.QoS{}},
		{what: "a port of the network service", network: all, owner: "network:dhcp"},
		{what: "its own, of the network service", own: one, owner: "network:dhcp", meters: []uint32{403}},
	} {
		n, p := vxlan("net", 100), port("a", "net", 1)
		n.QoS, p.QoS, p.DeviceOwner = c.network, c.own, c.owner
		plan := newPlanned([]desired.Item{p, n})
		plan.apply([]desired.Item{n, p}, nil)
		var meters []uint32
		marked := false
		for _, f := range plan.want[brInt]["port/a"] {
			if err := f.Check(); err != nil {
				t.Errorf("%s: %s: %v", c.what, f, err)
			}
			for id := uint32(400); id < 404; id++ {
				if slices.ContainsFunc(f.Actions, func(a openflow.Action) bool { return a.String() == openflow.Meter(id).String() }) {
					meters = append(meters, id)
				}
			}
			marked = marked || f.Table == tableMark
		}
		slices.Sort(meters)
		if !slices.Equal(meters, c.meters) || marked != c.marked {
			t.Errorf("%s: meters %v, marked %v", c.what, meters, marked)
		}
	}
}

// TestMetersOfHighPorts: meters' ids have 16 bits, OpenFlow ports of a switch that has run for long are numbers up to 32,767.
func TestMetersOfHighPorts(t *testing.T) {
	m, whose := newMeters(), map[uint32]uint32{}
	for _, ofport := range []uint32{16384, 1, 20000, 3616, 3617, 16383, 32767} {
		id := m.first(ofport)
		if id == 0 || id+metersPerPort > 1<<16 || id%metersPerPort != 0 || whose[id] != 0 || m.first(ofport) != id {
			t.Errorf("port %d has meters from %d, as port %d", ofport, id, whose[id])
		}
		whose[id] = ofport
	}
	if id := newMeters().first(20000); m.byPort[20000] == 0 || id != metersPerPort*m.byPort[20000] {
		t.Errorf("a new agent gives port 20000 meters from %d", id)
	}
	m.keep(map[uint32]bool{3616: true})
	if len(m.byPort) != 1 || len(m.taken) != 1 || m.first(3616) == m.first(20000) {
		t.Errorf("one port is left, and %v have meters", m.byPort)
	}
	for ofport := range uint32(metered + 9) {
		m.first(ofport + 1)
	}
	if len(m.taken) != metered-1 || m.first(3*metered) != 0 {
		t.Errorf("%d ports have meters", len(m.taken))
	}
}
