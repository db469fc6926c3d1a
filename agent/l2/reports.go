package l2

import (
	"fmt"
	"strings"

	"neutrino/desired"
)

// reports says of each touched port of this host whether it is wired, and if not, why.
func (m *Manager) reports(state *desired.State, touched map[string]bool, refused map[string]error) []desired.Report {
	var out []desired.Report
	for id := range touched {
		p := m.local(state, id)
		if p == nil {
			out = append(out, desired.Report{Kind: desired.KindPort, ID: id, Layer: desired.LayerL2, Gone: true})
			delete(m.told, id)
			continue
		}
		m.told[id] = true
		why := m.why(state, p)
		if why == "" {
			why = m.noWay(state.Networks[p.NetworkID])
		}
		if err := refused["port/"+id]; err != nil && why == "" {
			why = err.Error()
		}
		out = append(out, desired.Report{Kind: desired.KindPort, ID: id, Layer: desired.LayerL2, Revision: p.Revision, Up: why == "", Reason: why})
	}
	return out
}

// why says what keeps a local port from being wired; "" when nothing does.
func (m *Manager) why(state *desired.State, p *desired.Port) string {
	n := state.Networks[p.NetworkID]
	iface, tag, plugged := m.interfaceOf(p)
	switch {
	case n == nil:
		return "network " + p.NetworkID + " is not known to the host yet"
	case !n.AdminStateUp:
		return "the network is administratively down"
	case !p.AdminStateUp:
		return "the port is administratively down"
	case !plugged && tag != 0:
		return "no interface of the trunk's parent port " + p.SubPort.Parent + " is on br-int yet"
	case tag != 0 && m.filteredBefore(p.SubPort.Parent):
		return "a trunk's parent port that is plugged by way of a bridge (iptables_hybrid) carries no subports"
	case tag != 0 && limited(desired.QoSOf(p, n)):
		return "the host limits no rates of a trunk's subport: limit those of its parent port"
	case !plugged:
		return "no interface with external_ids:iface-id=" + p.ID + " is on br-int yet"
	case iface.Error != "":
		return "interface " + iface.Name + " does not work: " + iface.Error
	case iface.OFPort == 0:
		return "interface " + iface.Name + " has no OpenFlow port yet"
	case m.vlans[p.NetworkID] == 0:
		return "all local VLANs of the host are in use"
	}
	if n.Type == "flat" || n.Type == "vlan" {
		bridge, mapped := m.options.Mappings[n.Physical]
		if !mapped {
			return fmt.Sprintf("physical network %q is not in this host's bridge mappings", n.Physical)
		}
		if m.missing[bridge] {
			return fmt.Sprintf("bridge %s of physical network %q is not there", bridge, n.Physical)
		}
		if err := m.broken[bridge]; err != nil {
			return err.Error()
		}
	}
	if tunnelTypes[n.Type] != "" && m.tunnelPort(n.Type) == "" {
		return "the host has no tunnels of type " + n.Type
	}
	if p.PortSecurity {
		_, missing := groupsOf(state, p)
		if len(missing) > 0 {
			return "security group " + strings.Join(missing, ", ") + " is not known to the host yet"
		}
	}
	if err := m.unfiltered[p.ID]; err != nil {
		return err.Error()
	}
	return ""
}

// noWay says what keeps a network from leaving the host; "" when nothing does. Its ports are wired all
// the same, and reach each other.
func (m *Manager) noWay(n *desired.Network) string {
	bridge := m.options.Mappings[n.Physical]
	switch {
	case tunnelTypes[n.Type] != "":
		for _, port := range []string{patchTun, patchInt, tunnelTypes[n.Type]} {
			if m.facts.patch[port] == 0 {
				return "port " + port + " to the tunnels has no OpenFlow port yet"
			}
		}
	case n.Type == "flat" || n.Type == "vlan":
		if m.facts.patch[peerName("int-", bridge)] == 0 || m.facts.phys[bridge] == 0 {
			return "the ports between br-int and " + bridge + " have no OpenFlow port yet"
		}
	}
	return ""
}

func groupsOf(state *desired.State, p *desired.Port) (groups []*desired.SecurityGroup, missing []string) {
	for _, id := range p.SecurityGroups {
		if g := state.SecurityGroups[id]; g != nil {
			groups = append(groups, g)
		} else {
			missing = append(missing, id)
		}
	}
	return groups, missing
}
