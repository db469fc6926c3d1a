package ovn

import "strings"

// Priorities of ACLs, the original's.
const (
	priorityAllow = "1002"
	priorityDrop  = "1001"
)

// groupRows are a security group's port group and an ACL for each of its rules. Its ports come with the ports.
func (m *Model) groupRows(g *Group) *output {
	o := &output{}
	pg := o.row(tableGroup, groupName(g.ID))
	pg.One["name"] = pg.Key.Name
	pg.Many["external_ids"] = pairs("neutron:security_group_id", g.ID, "neutron:revision_number", number(g.Revision))
	for _, r := range g.Rules {
		if unknownPorts(r) {
			o.note("OVN knows no ports of protocol " + number(r.Protocol) + ": rule " + r.ID + " lets nothing pass")
			continue
		}
		acl := o.row(tableACL, r.ID)
		acl.One["priority"], acl.One["action"] = priorityAllow, "allow-related"
		if !g.Stateful {
			acl.One["action"] = "allow-stateless"
		}
		acl.One["direction"], acl.One["match"] = directionOf(r.Ingress), m.match(pg.Key.Name, r)
		acl.Many["external_ids"] = pairs("neutron:security_group_rule_id", r.ID)
		o.in(pg.Key, "acls", acl.Key)
	}
	for _, ipv6 := range []bool{false, true} {
		if name := pairSet(g.ID, ipv6); len(m.pairsIn[name]) > 0 {
			s := o.row(tableAddressSet, name)
			s.One["name"] = name
			s.Many["external_ids"] = pairs("neutron:security_group_id", g.ID)
		}
	}
	return o
}

// directionOf is OVN's word, seen from the switch.
func directionOf(ingress bool) string {
	if ingress {
		return "to-lport"
	}
	return "from-lport"
}

// match writes a rule in OVN's language: "outport == @pg_… && ip4 && ip4.src == 10.0.0.0/8 && tcp && tcp.dst == 22".
func (m *Model) match(group string, r Rule) string {
	ip, port, remote := family(r.IPv6), "inport", ".dst == "
	if r.Ingress {
		port, remote = "outport", ".src == "
	}
	parts := []string{port + " == @" + group, ip}
	if r.RemotePrefix.IsValid() {
		parts = append(parts, ip+remote+r.RemotePrefix.Masked().String())
	}
	if r.RemoteGroup != "" {
		members := ip + remote + "$" + groupSet(r.RemoteGroup, r.IPv6)
		if pairs := pairSet(r.RemoteGroup, r.IPv6); len(m.pairsIn[pairs]) > 0 {
			members = "(" + members + " || " + ip + remote + "$" + pairs + ")"
		}
		parts = append(parts, members)
	}
	if r.RemoteAddresses != "" {
		parts = append(parts, ip+remote+"$"+addressSet(r.RemoteAddresses, r.IPv6))
	}
	return strings.Join(append(parts, protocol(r)...), " && ")
}

// portWords are OVN's words for the protocols of whose ports it knows.
var portWords = map[int]string{6: "tcp", 17: "udp", 132: "sctp"}

// unknownPorts says whether a rule names ports of another protocol: of DCCP, or of UDP-Lite.
func unknownPorts(r Rule) bool {
	return portWords[r.Protocol] == "" && r.Protocol != 1 && r.Protocol != 58 && (r.PortMin >= 0 || r.PortMax >= 0)
}

// protocol is the part of a match that names a protocol and its ports.
func protocol(r Rule) []string {
	switch name := portWords[r.Protocol]; {
	case r.Protocol < 0:
		return nil
	case name != "":
		parts := []string{name}
		switch {
		case r.PortMin >= 0 && r.PortMin == r.PortMax:
			parts = append(parts, name+".dst == "+number(r.PortMin))
		default:
			if r.PortMin >= 0 {
				parts = append(parts, name+".dst >= "+number(r.PortMin))
			}
			if r.PortMax >= 0 {
				parts = append(parts, name+".dst <= "+number(r.PortMax))
			}
		}
		return parts
	case r.Protocol == 1 || r.Protocol == 58:
		name := "icmp4"
		if r.IPv6 {
			name = "icmp6"
		}
		parts := []string{name}
		if r.PortMin >= 0 {
			parts = append(parts, name+".type == "+number(r.PortMin))
		}
		if r.PortMax >= 0 {
			parts = append(parts, name+".code == "+number(r.PortMax))
		}
		return parts
	}
	return []string{"ip.proto == " + number(r.Protocol)}
}

// dropRows are the group of all ports with port security. Its rules are the weakest: nothing passes, but a port may
// always ask for its address, as with the other mechanism driver.
func (m *Model) dropRows() *output {
	o := &output{}
	pg := o.row(tableGroup, dropGroup)
	pg.One["name"] = dropGroup
	for _, ingress := range []bool{false, true} {
		port := "inport"
		if ingress {
			port = "outport"
		}
		acl := o.row(tableACL, dropGroup+"/"+directionOf(ingress))
		acl.One["priority"], acl.One["action"], acl.One["direction"] = priorityDrop, "drop", directionOf(ingress)
		acl.One["match"] = port + " == @" + dropGroup + " && ip"
		o.in(pg.Key, "acls", acl.Key)
	}
	for _, c := range []struct{ name, match string }{
		{"dhcp4", "ip4 && udp && udp.src == 68 && udp.dst == 67"},
		{"dhcp6", "ip6 && udp && udp.src == 546 && udp.dst == 547"},
	} {
		acl := o.row(tableACL, dropGroup+"/"+c.name)
		acl.One["priority"], acl.One["action"], acl.One["direction"] = priorityAllow, "allow-related", directionOf(false)
		acl.One["match"] = "inport == @" + dropGroup + " && " + c.match
		o.in(pg.Key, "acls", acl.Key)
	}
	return o
}

// addressGroupRows are the two sets of an address group, one a family.
func (m *Model) addressGroupRows(g *AddressGroup) *output {
	o := &output{}
	for _, ipv6 := range []bool{false, true} {
		r := o.row(tableAddressSet, addressSet(g.ID, ipv6))
		r.One["name"] = r.Key.Name
		for _, p := range g.Addresses {
			if p.Addr().Is6() == ipv6 {
				o.elements = append(o.elements, Element{Row: r.Key, Column: "addresses", Text: p.String()})
			}
		}
		r.Many["external_ids"] = pairs("neutron:address_group_id", g.ID, "neutron:revision_number", number(g.Revision))
	}
	return o
}
