package ovn

import "strings"

// networkRows are the rows of a network itself: its switch, where it meets physical networks, DHCP options, DNS.
func (m *Model) networkRows(n *Network) *output {
	o := &output{}
	name := switchName(n.ID)
	ls := o.row(tableSwitch, name)
	first := Segment{}
	if len(n.Segments) > 0 {
		first = n.Segments[0]
	}
	ls.One["name"] = name
	ls.Many["external_ids"] = pairs(
		"neutron:network_name", n.Name, "neutron:mtu", number(n.MTU), "neutron:revision_number", number(n.Revision),
		"neutron:availability_zone_hints", strings.Join(n.ZoneHints, ","),
		"neutron:provnet-network-type", first.Type, "neutron:provnet-physical-network", first.Physical)
	ls.Many["other_config"] = pairs("mcast_snoop", flag(m.options.IGMPSnooping), "mcast_flood_unregistered", flag(m.options.IGMPFloodUnregistered), "vlan-passthru", flag(n.Transparent || n.QinQ))
	if first.Physical != "" {
		ls.Many["other_config"]["fdb_age_threshold"] = number(m.options.FDBAge)
	}
	if n.External {
		ls.Many["other_config"]["broadcast-arps-to-all-routers"] = flag(m.options.BroadcastARPToRouters)
	}
	for _, g := range n.Segments {
		if g.Physical != "" {
			m.localnet(o, n, g)
		}
	}
	m.networkGroup(o, n)
	for _, s := range n.Subnets {
		if s.EnableDHCP {
			m.subnetOptions(o, n, s)
		}
	}
	dns := o.row(tableDNS, name)
	dns.Many["external_ids"] = pairs("ls_name", name)
	o.in(ls.Key, "dns_records", dns.Key)
	return o
}

// localnet is the port by which a switch reaches a physical network.
func (m *Model) localnet(o *output, n *Network, g Segment) {
	p := o.row(tableSwitchPort, localnetName(g.ID))
	p.One["name"], p.One["type"] = p.Key.Name, "localnet"
	p.One["enabled"], p.One["parent_name"], p.One["tag_request"] = "", "", "" // what others set in them goes
	p.Refs["dhcpv4_options"], p.Refs["dhcpv6_options"] = Key{}, Key{}
	p.Many["addresses"], p.Many["port_security"] = set("unknown"), set()
	if g.Type == "vlan" {
		p.One["tag_request"] = number(g.VLAN)
	}
	p.Many["options"] = pairs("network_name", g.Physical, "mcast_flood_reports", flag(m.options.IGMPFloodReports),
		"mcast_flood", flag(m.options.IGMPFlood), "localnet_learn_fdb", flag(m.options.LocalnetLearnFDB))
	if n.QinQ {
		p.Many["options"]["ethtype"] = "802.11ad" // so OVN writes 802.1ad
	}
	p.Many["external_ids"] = pairs("neutron:provnet-physical-network", g.Physical)
	o.in(Key{tableSwitch, switchName(n.ID)}, "ports", p.Key)
}
