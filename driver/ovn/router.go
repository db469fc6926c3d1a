package ovn

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// routerRows are a router, its ports, what it translates and where it sends things.
func (m *Model) routerRows(r *Router) *output {
	o := &output{}
	lr := o.row(tableRouter, routerName(r.ID))
	lr.One["name"], lr.One["enabled"] = lr.Key.Name, flag(r.AdminStateUp)
	lr.Many["external_ids"] = pairs("neutron:router_name", r.Name, "neutron:revision_number", number(r.Revision),
		"neutron:availability_zone_hints", strings.Join(r.ZoneHints, ","))
	lr.Many["options"] = pairs("always_learn_from_arp_request", "false", "dynamic_neigh_routers", "true", "mac_binding_age_threshold", number(m.options.MACAge))
	ports, gateways := m.portsOfRouter(r.ID)
	for _, p := range ports {
		m.routerPort(o, lr, r, p, ports, gateways)
	}
	m.defaultRoutes(o, lr, r, gateways)
	for _, route := range r.Routes {
		m.route(o, lr, route.Destination, route.NextHop, "", pairs("neutron:is_static_route", "true"))
	}
	for i, p := range gateways {
		further := ""
		if i > 0 {
			further = p.ID
		}
		m.gatewayQoS(o, r, p, further)
		m.ownAddresses(o, lr, p, gateways)
		if r.EnableSNAT {
			m.sourceNAT(o, lr, p, ports, len(gateways) > 1)
		}
	}
	for id := range m.routerPorts[r.ID] {
		if p := m.ports[id]; p.DeviceOwner == ownerGateway && slices.ContainsFunc(gateways, func(g *Port) bool { return g.ID != id && g.NetworkID == p.NetworkID }) {
			o.note("OVN has one gateway of a router on a network")
		}
	}
	return o
}

// portsOfRouter are a router's ports that can be realised, and which of them are gateways, in the router's order. Of
// several gateways on one network the first is realised: two ports of a router with the same network would both be the
// way to it.
func (m *Model) portsOfRouter(router string) (ports, gateways []*Port) {
	for _, id := range sorted(m.routerPorts[router]) {
		p := m.ports[id]
		n := m.networks[p.NetworkID]
		if n == nil || !slices.ContainsFunc(p.FixedIPs, func(f FixedIP) bool {
			return slices.ContainsFunc(n.Subnets, func(s Subnet) bool { return s.ID == f.SubnetID })
		}) {
			continue // a router's port can't be without an address
		}
		if p.DeviceOwner == ownerGateway {
			gateways = append(gateways, p)
		} else {
			ports = append(ports, p)
		}
	}
	if r := m.routers[router]; r != nil {
		place := func(p *Port) int {
			if at := slices.Index(r.Gateways, p.ID); at >= 0 {
				return at
			}
			return len(r.Gateways)
		}
		slices.SortStableFunc(gateways, func(a, b *Port) int { return cmp.Compare(place(a), place(b)) })
	}
	networks := map[string]bool{}
	gateways = slices.DeleteFunc(gateways, func(p *Port) bool {
		taken := networks[p.NetworkID]
		networks[p.NetworkID] = true
		return taken
	})
	return append(ports, gateways...), gateways
}

// routerPort is a router's end of one of its ports.
func (m *Model) routerPort(o *output, lr *Row, r *Router, p *Port, all, gateways []*Port) {
	n := m.networks[p.NetworkID]
	isGateway := p.DeviceOwner == ownerGateway
	row := o.row(tableRouterPort, routerPort(p.ID))
	row.One["name"], row.One["mac"] = row.Key.Name, p.MAC.String()
	row.Many["networks"], row.Many["options"], row.Many["ipv6_ra_configs"] = set(), map[string]string{}, map[string]string{}
	row.Refs["ha_chassis_group"] = Key{}
	var subnets []string
	for _, f := range p.FixedIPs {
		for _, s := range n.Subnets {
			if s.ID != f.SubnetID {
				continue
			}
			row.Many["networks"][netip.PrefixFrom(f.IP, s.CIDR.Bits()).String()] = ""
			subnets = append(subnets, s.ID)
			guest := p.ProjectID != n.ProjectID && f.IP != s.Gateway // on another project's network, whose instances have a router
			if s.RAMode != "" && !isGateway && !guest && len(row.Many["ipv6_ra_configs"]) == 0 {
				row.Many["ipv6_ra_configs"] = advertisements(n, s)
			}
		}
	}
	row.Many["external_ids"] = pairs("neutron:revision_number", number(p.Revision), "neutron:subnet_ids", strings.Join(subnets, " "),
		"neutron:network_name", switchName(n.ID), "neutron:router_name", routerName(r.ID), "neutron:is_ext_gw", pythonFlag(isGateway))
	m.routerPortOptions(row, n, isGateway, all, len(gateways))
	if isGateway {
		m.hosted(o, row, r, n, p, slices.Index(gateways, p))
	}
	o.in(lr.Key, "ports", row.Key)
}

// pythonFlag is how the original writes this mark.
func pythonFlag(on bool) string {
	if on {
		return "True"
	}
	return "False"
}

// advertisements are what the router tells by RA on a subnet. On external networks it tells nothing: it is not their router.
func advertisements(n *Network, s Subnet) map[string]string {
	out := map[string]string{
		"address_mode": strings.ReplaceAll(s.RAMode, "-", "_"), "send_periodic": "true", "mtu": number(n.MTU),
	}
	for _, a := range s.DNS {
		if a.Is6() && !a.IsUnspecified() {
			out["rdnss"] = a.String() // OVN takes one
			break
		}
	}
	return out
}

func isProvider(n *Network) bool {
	return len(n.Segments) > 0 && (n.Segments[0].Type == "vlan" || n.Segments[0].Type == "flat")
}

// routerPortOptions decide where packets are routed: on VLAN and flat networks the router's address would be seen from
// every host, so that such ports live on the gateway's host; unless floating IPs are distributed and all networks are such,
// or there are several gateways' hosts, with which OVN can't have it.
func (m *Model) routerPortOptions(row *Row, n *Network, isGateway bool, all []*Port, gateways int) {
	provider, largest := true, 0
	for _, p := range all {
		other := m.networks[p.NetworkID]
		if p.DeviceOwner == ownerGateway {
			continue
		}
		provider = provider && isProvider(other)
		largest = max(largest, other.MTU)
	}
	if !isGateway && gateways > 0 && isProvider(n) {
		row.Many["options"]["reside-on-redirect-chassis"] = flag(gateways == 1 && (!m.options.DistributedFloating || !provider))
	}
	if isGateway && gateways == 1 && m.options.DistributedFloating && provider && len(all) > 1 && isProvider(n) {
		row.Many["options"]["redirect-type"] = "bridged"
	}
	if isGateway && m.options.FragmentationNeeded && largest > n.MTU {
		row.Many["options"]["gateway_mtu"] = number(n.MTU)
	}
}

// route sends a prefix to a next hop, by a port of the router or, with "", by the one that has the next hop's network. The
// original's default routes name no port: theirs get it.
func (m *Model) route(o *output, lr *Row, to netip.Prefix, by netip.Addr, port string, ids map[string]string) *Row {
	name := routeName(lr.Key.Name, to.String(), by.String(), ids["neutron:subnet_id"])
	if at := slices.IndexFunc(o.rows, func(r *Row) bool { return r.Key == Key{tableRoute, name} }); at >= 0 {
		return o.rows[at] // a gateway's and a user's route may be the same
	}
	r := o.row(tableRoute, name)
	r.One["ip_prefix"], r.One["nexthop"], r.One["output_port"] = to.String(), by.String(), port
	r.Many["external_ids"] = ids
	r.Refs["bfd"] = Key{}
	o.in(lr.Key, "static_routes", r.Key)
	return r
}

// firstIPv4 is a port's first IPv4 address.
func firstIPv4(p *Port) netip.Addr {
	for _, f := range p.FixedIPs {
		if f.IP.Is4() {
			return f.IP
		}
	}
	return netip.Addr{}
}

// sourceNAT has what comes from the router's IPv4 networks, and leaves by a gateway, leave with its address.
func (m *Model) sourceNAT(o *output, lr *Row, gateway *Port, all []*Port, several bool) {
	outside := firstIPv4(gateway)
	if !outside.IsValid() {
		return
	}
	for _, p := range all {
		if p.DeviceOwner == ownerGateway {
			continue
		}
		for _, f := range p.FixedIPs {
			for _, s := range m.networks[p.NetworkID].Subnets {
				if s.ID != f.SubnetID || !s.CIDR.Addr().Is4() {
					continue
				}
				key := Key{tableNAT, lr.Key.Name + "/snat/" + s.CIDR.String() + "/" + outside.String()}
				if slices.ContainsFunc(o.rows, func(r *Row) bool { return r.Key == key }) {
					continue
				}
				r := o.row(key.Table, key.Name)
				r.One["type"], r.One["logical_ip"], r.One["external_ip"] = "snat", s.CIDR.String(), outside.String()
				r.Many["external_ids"] = pairs("neutron:router_name", lr.Key.Name)
				r.Refs["gateway_port"] = Key{}
				if several {
					r.Refs["gateway_port"] = Key{tableRouterPort, routerPort(gateway.ID)}
				}
				o.in(lr.Key, "nat", r.Key)
			}
		}
	}
}
