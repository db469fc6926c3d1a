package l2

import (
	"context"

	"neutrino/dataplane/ovsdb"
	"neutrino/desired"
)

// facts are what the switch says of itself.
type facts struct {
	ports map[string]ovsdb.Port // port id → interface on br-int with that iface-id
	patch map[string]uint32     // name of a patch or tunnel port of br-int or br-tun → OpenFlow port
	phys  map[string]uint32     // bridge → OpenFlow port of its patch to br-int
}

// replugged lists the ports whose interface differs between f and o.
func (f facts) replugged(o facts) []string {
	var ids []string
	for id, a := range f.ports {
		if b, there := o.ports[id]; !there || a.Name != b.Name || a.OFPort != b.OFPort || a.Error != b.Error {
			ids = append(ids, id)
		}
	}
	for id := range o.ports {
		if _, there := f.ports[id]; !there {
			ids = append(ids, id)
		}
	}
	return ids
}

// numbers are the OpenFlow ports of the interfaces.
func (f facts) numbers() map[uint32]bool {
	out := make(map[uint32]bool, len(f.ports))
	for _, p := range f.ports {
		out[uint32(p.OFPort)] = true
	}
	return out
}

// look reads the facts, and adopts local VLANs that ports already have. Networks that the host has no more, while an
// instance is still plugged, keep none: there are 4,094.
func (m *Manager) look(ctx context.Context, state *desired.State) (facts, error) {
	f := facts{ports: map[string]ovsdb.Port{}, patch: map[string]uint32{}, phys: map[string]uint32{}}
	ports, err := m.switchd.Ports(ctx, brInt)
	if err != nil {
		return f, err
	}
	for _, p := range ports {
		if id := p.ExternalIDs["iface-id"]; id != "" {
			if have, twice := f.ports[id]; !twice || have.OFPort == 0 {
				f.ports[id] = p
			}
		}
		if p.Type == "patch" {
			f.patch[p.Name] = uint32(p.OFPort)
		}
		if network := p.OtherConfig[networkKey]; network != "" && p.Tag > 0 {
			m.adopt(state, network, uint16(p.Tag))
		}
		m.adoptCarried(state, p.OtherConfig[carriedKey])
	}
	for name := range m.bridges {
		if name == brInt {
			continue
		}
		ports, err := m.switchd.Ports(ctx, name)
		if err != nil {
			return f, err
		}
		for _, p := range ports {
			switch {
			case name == brTun:
				f.patch[p.Name] = uint32(p.OFPort)
			case p.Name == peerName("phy-", name):
				f.phys[name] = uint32(p.OFPort)
			}
		}
	}
	return f, nil
}
