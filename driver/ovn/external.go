package ovn

import (
	"slices"
	"strings"
)

// External ports are on none of OVN's switches, but on the physical network: a host that reaches it answers for them, with
// DHCP, for the router's addresses, and with metadata. Which one a group of hosts says, of three kinds, as with the original:
//
//   - where the network is behind a router with a gateway, the network's group has the gateway's hosts in their order: the
//     host that answers as the router must be the one where the gateway is, or nothing goes beyond it;
//   - else, where hosts are marked for such ports (enable-chassis-as-extport-host), each port has a group of these, without
//     the host that it is on itself: what a NIC sends does not come back into it;
//   - else the network's group has the hosts that are marked as gateways.

// answered makes a port an external one.
func (m *Model) answered(o *output, lsp *Row, n *Network, p *Port) {
	lsp.One["type"] = "external"
	if !isPhysical(n) {
		o.note("OVN has ports of vnic_type " + p.VNICType + " on flat and VLAN networks only")
		return
	}
	switch list, shared := m.answering(n, p); {
	case len(list) == 0:
		o.note("no host of OVN's can answer for port " + p.ID)
	case shared:
		lsp.Refs["ha_chassis_group"] = Key{tableChassisGroup, ChassisGroup(n.ID)}
	default:
		lsp.Refs["ha_chassis_group"] = standing(o, externalGroup(p.ID), list, answeringIDs(n, ""), nil)
	}
}

// networkGroup is the group that a network's external ports share.
func (m *Model) networkGroup(o *output, n *Network) {
	if len(m.externalPorts[n.ID]) == 0 || !isPhysical(n) {
		return
	}
	if list, shared := m.answering(n, nil); shared && len(list) > 0 {
		router := ""
		if r, _ := m.wayOut(n); r != nil {
			router = r.ID
		}
		standing(o, ChassisGroup(n.ID), list, answeringIDs(n, router), nil)
	}
}

// answering are the hosts that answer for an external port of a network, the best first; shared says that they are the
// same for all, p being nil then.
func (m *Model) answering(n *Network, p *Port) (list []ChassisPriority, shared bool) {
	if r, gateway := m.wayOut(n); r != nil {
		return m.gatewayHosts(r, m.networks[gateway.NetworkID]), true
	}
	marked := func(c *Chassis) bool { return c.External }
	if !slices.ContainsFunc(m.ranked(n.ID, n, n.ZoneHints, marked), marked) {
		return priorities(m.ranked(n.ID, n, n.ZoneHints, func(c *Chassis) bool { return c.Gateway })), true
	}
	if p == nil {
		return nil, false
	}
	own := func(c *Chassis) bool { return c.Hostname == p.Host }
	return priorities(slices.DeleteFunc(m.ranked(p.ID, n, n.ZoneHints, marked), own)), false
}

// wayOut is the router by which a network's ports get out, with its first gateway; nil when there is none. Of several the
// one that has the address of a subnet's gateway, and then the first by its id.
func (m *Model) wayOut(n *Network) (*Router, *Port) {
	var found *Router
	var way *Port
	best := false
	for _, id := range sorted(m.routersOn[n.ID]) {
		r := m.routers[id]
		ports, gateways := m.portsOfRouter(id)
		if r == nil || len(gateways) == 0 {
			continue
		}
		at := slices.IndexFunc(ports, func(p *Port) bool { return p.NetworkID == n.ID && p.DeviceOwner != ownerGateway })
		if at < 0 {
			continue
		}
		main := slices.ContainsFunc(ports, func(p *Port) bool { return p.NetworkID == n.ID && p.DeviceOwner != ownerGateway && isGatewayOf(p, n) })
		if found == nil || main && !best {
			found, way, best = r, gateways[0], main
		}
	}
	return found, way
}

// isGatewayOf says whether a port has the address of the gateway of a subnet.
func isGatewayOf(p *Port, n *Network) bool {
	return slices.ContainsFunc(p.FixedIPs, func(f FixedIP) bool {
		return slices.ContainsFunc(n.Subnets, func(s Subnet) bool { return s.ID == f.SubnetID && s.Gateway == f.IP })
	})
}

// answeringIDs are the original's marks of a group.
func answeringIDs(n *Network, router string) map[string]string {
	return pairs("neutron:availability_zone_hints", strings.Join(n.ZoneHints, ","), "neutron:network_id", n.ID, "neutron:router_id", router)
}

// isPhysical says whether a network is on a physical one.
func isPhysical(n *Network) bool {
	return slices.ContainsFunc(n.Segments, func(g Segment) bool { return g.Physical != "" })
}
