package ovn

import (
	"net/netip"
	"slices"
	"strings"
)

// priorityGateway is that of the policies by which answers leave by the gateway that their address belongs to.
const priorityGateway = "100"

// nextHop is the gateway of the first of a port's subnets of a family that has one; its zero value: there is none.
func (m *Model) nextHop(p *Port, ipv6 bool) (hop netip.Addr, subnet string) {
	for _, f := range p.FixedIPs {
		for _, s := range m.networks[p.NetworkID].Subnets {
			if s.ID == f.SubnetID && s.Gateway.IsValid() && s.CIDR.Addr().Is6() == ipv6 {
				return s.Gateway, s.ID
			}
		}
	}
	return netip.Addr{}, ""
}

// defaultRoutes lead to the next hops of the first gateway that has one, in each family, or, when they are shared, of
// all gateways. A default route that the user has made stands in their place. With BFD each is there while its next hop
// answers.
func (m *Model) defaultRoutes(o *output, lr *Row, r *Router, gateways []*Port) {
	for _, ipv6 := range []bool{false, true} {
		everything := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if ipv6 {
			everything = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		if slices.ContainsFunc(r.Routes, func(x Route) bool { return x.Destination == everything }) {
			continue
		}
		for _, p := range gateways {
			hop, subnet := m.nextHop(p, ipv6)
			if !hop.IsValid() {
				continue
			}
			port := routerPort(p.ID) // a next hop may be link-local, of several gateways the same one, or on none of their subnets
			ids := pairs("neutron:is_ext_gw", "true", "neutron:subnet_id", subnet, "neutron:is_static_route", "true")
			route := m.route(o, lr, everything, hop, port, ids)
			if r.BFD {
				route.Refs["bfd"] = m.watch(o, lr, routerPort(p.ID), hop)
			}
			if !r.ECMP {
				break
			}
		}
	}
}

// watch has the host that a gateway is on speak BFD with a next hop. How often is left to OVN, and to the operator.
func (m *Model) watch(o *output, lr *Row, port string, hop netip.Addr) Key {
	b := o.row(tableBFD, bfdName(port, hop.String()))
	b.One["logical_port"], b.One["dst_ip"] = port, hop.String()
	b.Many["external_ids"] = pairs("neutron:router_name", lr.Key.Name)
	return b.Key
}

// sendBy has what comes from an address and would leave by another gateway leave by this one. A policy decides after the
// route is found: what goes to networks inside, or to the gateway's own network, is left alone; a route by source would
// go before all of them.
func (m *Model) sendBy(o *output, router Key, name string, from netip.Addr, gateway *Port, gateways []*Port, ids map[string]string) {
	hop, _ := m.nextHop(gateway, from.Is6())
	if len(gateways) < 2 || !hop.IsValid() {
		return
	}
	var others []string
	for _, p := range gateways {
		if p != gateway {
			others = append(others, `"`+routerPort(p.ID)+`"`)
		}
	}
	slices.Sort(others)
	r := o.row(tableRoutePolicy, name)
	r.One["priority"], r.One["action"] = priorityGateway, "reroute"
	r.One["match"] = family(from.Is6()) + ".src == " + from.String() + " && outport == {" + strings.Join(others, ", ") + "}"
	r.Many["nexthops"], r.Many["external_ids"] = set(hop.String()), ids
	o.in(router, "policies", r.Key)
}

// ownAddresses has what a gateway itself answers leave by it.
func (m *Model) ownAddresses(o *output, lr *Row, gateway *Port, gateways []*Port) {
	for _, f := range gateway.FixedIPs {
		ids := pairs("neutron:router_name", lr.Key.Name, "neutron:gateway_ip", f.IP.String())
		m.sendBy(o, lr.Key, gatewayPolicy(lr.Key.Name, f.IP.String()), f.IP, gateway, gateways, ids)
	}
}
