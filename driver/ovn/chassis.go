package ovn

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// MostGateways is how many hosts stand by for a gateway; all of them watch one another by BFD.
const MostGateways = 5

// hosted gives a gateway the hosts that it may be on, the first by priority. Further gateways of a router (at: which it
// is) begin with the next in the row, so that one host's death is not that of all.
func (m *Model) hosted(o *output, lrp *Row, r *Router, n *Network, gateway *Port, at int) {
	list, name := m.gatewayHosts(r, n), ChassisGroup(r.ID)
	if at > 0 {
		name += "-" + gateway.ID
	}
	if len(list) == 0 {
		o.note("no host can take the gateway of router " + r.ID)
		return
	}
	turned := make([]ChassisPriority, len(list))
	for i, p := range list {
		turned[i] = ChassisPriority{list[(i+at)%len(list)].Chassis, p.Priority}
	}
	lrp.Refs["ha_chassis_group"] = standing(o, name, turned, pairs("neutron:router_id", r.ID), pairs("neutron:router_id", r.ID))
}

// standing is a group of hosts, with marks for the group and for each member.
func standing(o *output, name string, list []ChassisPriority, ids, each map[string]string) Key {
	g := o.row(tableChassisGroup, name)
	g.One["name"] = g.Key.Name
	g.Many["external_ids"] = ids
	for _, p := range list {
		h := o.row(tableChassis, g.Key.Name+"/"+p.Chassis)
		h.One["chassis_name"], h.One["priority"] = p.Chassis, number(p.Priority)
		h.Many["external_ids"] = each
		o.in(g.Key, "ha_chassis", h.Key)
	}
	return g.Key
}

// gatewayHosts are the hosts for a gateway with their priorities, the best first: those that an administrator has named, or
// else those that are gateways (if there are any such, else all), in the router's zones; of these the ones that reach the
// external network.
func (m *Model) gatewayHosts(r *Router, n *Network) []ChassisPriority {
	if len(r.Chassis) > 0 {
		return slices.DeleteFunc(slices.Clone(r.Chassis), func(p ChassisPriority) bool {
			c := m.chassis[p.Chassis]
			return c == nil || !reaches(c, n)
		})
	}
	return priorities(m.ranked(r.ID, n, r.ZoneHints, func(c *Chassis) bool { return c.Gateway }))
}

// priorities gives hosts priorities, the first the highest.
func priorities(list []*Chassis) []ChassisPriority {
	out := make([]ChassisPriority, len(list))
	for i, c := range list {
		out[i] = ChassisPriority{c.Name, len(list) - i}
	}
	return out
}

// ranked are the hosts that stand by for a thing, the best first: those that are marked (if there are any such, else all)
// and reach a network, in one of the zones (none: anywhere). They are chosen by a hash of thing and host (rendezvous
// hashing): evenly, the same whenever they are computed, and a host's coming or going moves only what it has or would have.
func (m *Model) ranked(thing string, n *Network, zones []string, marked func(*Chassis) bool) []*Chassis {
	var list []*Chassis
	any := false
	for _, c := range m.chassis {
		if !reaches(c, n) {
			continue
		}
		if len(zones) > 0 && !slices.ContainsFunc(zones, func(z string) bool { return slices.Contains(c.Zones, z) }) {
			continue
		}
		list, any = append(list, c), any || marked(c)
	}
	if any {
		list = slices.DeleteFunc(list, func(c *Chassis) bool { return !marked(c) })
	}
	slices.SortFunc(list, func(a, b *Chassis) int {
		return cmp.Or(cmp.Compare(weight(thing, b.Name), weight(thing, a.Name)), cmp.Compare(a.Name, b.Name))
	})
	return list[:min(len(list), MostGateways)]
}

func reaches(c *Chassis, n *Network) bool {
	for _, g := range n.Segments {
		if g.Physical == "" || c.BridgeMappings[g.Physical] != "" {
			return true
		}
	}
	return len(n.Segments) == 0
}

func weight(thing, chassis string) uint64 {
	h := sha256.Sum256([]byte(thing + "/" + chassis))
	return binary.BigEndian.Uint64(h[:8])
}
