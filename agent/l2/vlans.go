package l2

import (
	"context"

	"neutrino/dataplane/ovsdb"
	"neutrino/desired"
)

// vlan gives the network's local VLAN, choosing the lowest free one for a new network; 0 when all
// are in use.
func (m *Manager) vlan(network string) uint16 {
	if v := m.vlans[network]; v != 0 {
		return v
	}
	used := map[uint16]bool{}
	for _, v := range m.vlans {
		used[v] = true
	}
	for v := uint16(1); v < 4095; v++ {
		if !used[v] {
			m.vlans[network] = v
			return v
		}
	}
	return 0
}

// adopt gives a network the local VLAN that it had, as the switch's database has it, unless it has one or is not known here.
func (m *Manager) adopt(state *desired.State, network string, vlan uint16) {
	known := state.Networks[network] != nil || len(state.PortsOf[network]) > 0
	if known && m.vlans[network] == 0 && !m.taken(vlan) {
		m.vlans[network] = vlan
	}
}

func (m *Manager) taken(vlan uint16) bool {
	for _, v := range m.vlans {
		if v == vlan {
			return true
		}
	}
	return false
}

// tag writes the local VLANs to the ports, for people to see and for us to adopt after a restart.
func (m *Manager) tag(ctx context.Context, state *desired.State) error {
	var changes []ovsdb.Port
	carried := m.subPortsOf(state)
	for id, have := range m.facts.ports {
		p := m.local(state, id)
		if p == nil {
			continue
		}
		vlan, carries := m.vlans[p.NetworkID], m.carried(carried[id])
		if vlan != 0 && (have.Tag != int(vlan) || have.OtherConfig[networkKey] != p.NetworkID || have.OtherConfig[carriedKey] != carries) {
			config := map[string]string{networkKey: p.NetworkID}
			if carries != have.OtherConfig[carriedKey] {
				config[carriedKey] = carries
			}
			changes = append(changes, ovsdb.Port{Name: have.Name, Tag: int(vlan), OtherConfig: config})
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return m.switchd.SetPorts(ctx, brInt, changes)
}
