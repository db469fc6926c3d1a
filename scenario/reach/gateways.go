package reach

import (
	"fmt"
	"net/netip"
	"slices"
)

// far are addresses that every uplink leads to.
var far = []netip.Addr{netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("fd00:ffff::7")}

// external makes an external network with subnets of the families named, and its uplink.
func (g *Generator) external(i int, families []int) {
	name := fmt.Sprintf("e%d", i)
	g.do("POST", "networks", name, Object{"name": name, "router:external": true,
		"provider:network_type": "vlan", "provider:physical_network": "physnet1", "provider:segmentation_id": 160 + i})
	n := &Network{External: true}
	g.Cloud.Networks[name] = n
	up := &Port{Name: "up" + name, Network: name, Host: fmt.Sprintf("h%d", 1+g.r.IntN(g.hosts)), MAC: g.mac(), Insecure: true, Uplink: true, Extra: far}
	var fixed []any
	for j, family := range families {
		cidr := netip.MustParsePrefix(fmt.Sprintf("10.%d.%d.0/24", 60+i, j))
		if family == 6 {
			cidr = netip.MustParsePrefix(fmt.Sprintf("fd00:%d:%d::/64", 60+i, j))
		}
		s := &Subnet{Name: fmt.Sprintf("%s-s%d", name, j), CIDR: cidr}
		n.Subnets = append(n.Subnets, s)
		up.IPs = append(up.IPs, at(s, 1))
		g.do("POST", "subnets", s.Name, Object{"name": s.Name, "network_id": "$" + name, "ip_version": family, "cidr": cidr.String(),
			"gateway_ip": at(s, 1).String(), "enable_dhcp": false})
		fixed = append(fixed, Object{"subnet_id": "$" + s.Name, "ip_address": at(s, 1).String()})
	}
	g.Cloud.Ports[up.Name] = up
	g.do("POST", "ports", up.Name, Object{"name": up.Name, "network_id": "$" + name, "mac_address": up.MAC.String(), "fixed_ips": fixed,
		"security_groups": []any{}, "port_security_enabled": false})
	g.do("PLUG", "", up.Name, nil)
}

// instances are the ports that are not uplinks.
func (g *Generator) instances() []string {
	return slices.DeleteFunc(names(g.Cloud.Ports), func(name string) bool { return g.Cloud.Ports[name].Uplink })
}

// networks are those that are external, or those that are not.
func (g *Generator) networks(external bool) []string {
	return slices.DeleteFunc(names(g.Cloud.Networks), func(name string) bool { return g.Cloud.Networks[name].External != external })
}

// outside draws a change of gateways and floating IPs.
func (g *Generator) outside() {
	name := pick(g.r, names(g.Cloud.Routers))
	r := g.Cloud.Routers[name]
	switch n := g.r.IntN(100); {
	case n < 25:
		g.addGateway(name, pick(g.r, g.networks(true)))
	case n < 40:
		if len(r.Gateways) > 0 {
			g.removeGateway(name, g.r.IntN(len(r.Gateways)))
		}
	case n < 50:
		if len(r.Gateways) > 1 {
			g.prefer(name, 1+g.r.IntN(len(r.Gateways)-1))
		}
	case n < 60:
		r.ECMP = !r.ECMP
		g.do("PUT", "routers/$"+name, "", Object{"enable_default_route_ecmp": r.ECMP})
	case n < 67:
		if len(r.Gateways) > 0 {
			r.Bare = !r.Bare
			first := g.gatewayBody(r.Gateways[0])
			first["enable_snat"] = !r.Bare
			g.do("PUT", "routers/$"+name, "", Object{"external_gateway_info": first})
		}
	case n < 85:
		g.addFloatingIP(name)
	default:
		if list := names(g.Cloud.FloatingIPs); len(list) > 2 {
			g.removeFloatingIP(pick(g.r, list))
		}
	}
}

func (g *Generator) gatewayBody(x *Gateway) Object {
	var ips []any
	for i, s := range g.Cloud.Networks[x.Network].Subnets {
		ips = append(ips, Object{"subnet_id": "$" + s.Name, "ip_address": x.IPs[i].String()})
	}
	return Object{"network_id": "$" + x.Network, "external_fixed_ips": ips}
}

func (g *Generator) gatewayAction(router, action string, x *Gateway) {
	body := g.gatewayBody(x)
	if action == "update_external_gateways" {
		body["enable_snat"] = !g.Cloud.Routers[router].Bare // if not said, it is true again
	}
	g.do("PUT", "routers/$"+router+"/"+action, "", Object{"router": Object{"external_gateways": []any{body}}})
}

// addGateway gives a router a gateway on a network on which it has none.
func (g *Generator) addGateway(router, network string) {
	r := g.Cloud.Routers[router]
	if r.gateway(network) != nil {
		return
	}
	g.made++
	x := &Gateway{Name: fmt.Sprintf("gw%d", g.made), Network: network}
	for _, s := range g.Cloud.Networks[network].Subnets {
		x.IPs = append(x.IPs, g.free(s))
	}
	r.Gateways = append(r.Gateways, x)
	if len(r.Gateways) == 1 {
		r.Bare = false // comes back with a first gateway
	}
	g.gatewayAction(router, "add_external_gateways", x)
}

// free is an address of an external network's subnet that nobody has.
func (g *Generator) free(s *Subnet) netip.Addr {
	taken := map[netip.Addr]bool{}
	for _, r := range g.Cloud.Routers {
		for _, x := range r.Gateways {
			for _, a := range x.IPs {
				taken[a] = true
			}
		}
	}
	for _, f := range g.Cloud.FloatingIPs {
		taken[f.IP] = true
	}
	for {
		if a := at(s, 20+g.r.IntN(200)); !taken[a] {
			return a
		}
	}
}

func (g *Generator) removeGateway(router string, i int) {
	r := g.Cloud.Routers[router]
	x := r.Gateways[i]
	for _, f := range g.Cloud.FloatingIPs {
		if f.Router == router && f.Network == x.Network {
			return // which the API refuses
		}
	}
	r.Gateways = slices.Delete(r.Gateways, i, i+1)
	g.gatewayAction(router, "remove_external_gateways", x)
	if i == 0 && len(r.Gateways) > 1 { // which of them is the first now the API does not say
		g.gatewayAction(router, "update_external_gateways", r.Gateways[0])
	}
}

// prefer makes another gateway the first.
func (g *Generator) prefer(router string, i int) {
	r := g.Cloud.Routers[router]
	x := r.Gateways[i]
	r.Gateways = append([]*Gateway{x}, slices.Delete(slices.Clone(r.Gateways), i, i+1)...)
	g.gatewayAction(router, "update_external_gateways", x)
}

// addFloatingIP gives one that leads through a router to an address that has none, and to which no other router leads
// from that network: the API would choose among them.
func (g *Generator) addFloatingIP(router string) {
	c := g.Cloud
	var list []*FloatingIP
	for _, out := range c.Routers[router].Gateways {
		for _, in := range c.Routers[router].Interfaces {
			if in.IP.Is6() || c.twice(router, out.Network, in.Subnet) {
				continue
			}
			for _, name := range g.instances() {
				for _, a := range c.Ports[name].IPs {
					if in.Subnet.CIDR.Contains(a) && !slices.ContainsFunc(names(c.FloatingIPs), func(f string) bool { return c.FloatingIPs[f].Fixed == a }) {
						list = append(list, &FloatingIP{Router: router, Network: out.Network, Port: name, Fixed: a})
					}
				}
			}
		}
	}
	if len(list) == 0 {
		return
	}
	f := pick(g.r, list)
	for _, s := range c.Networks[f.Network].Subnets {
		if s.CIDR.Addr().Is4() {
			f.IP = g.free(s)
		}
	}
	g.made++
	id := fmt.Sprintf("fip%d", g.made)
	c.FloatingIPs[id] = f
	g.do("POST", "floatingips", id, Object{"floating_network_id": "$" + f.Network, "floating_ip_address": f.IP.String(),
		"port_id": "$" + f.Port, "fixed_ip_address": f.Fixed.String()})
}

// twice says whether a router besides the one named joins an external network and a subnet.
func (c *Cloud) twice(router, external string, s *Subnet) bool {
	for name, other := range c.Routers {
		if name != router && other.gateway(external) != nil && slices.ContainsFunc(other.Interfaces, func(x *Interface) bool { return x.Subnet == s }) {
			return true
		}
	}
	return false
}

func (g *Generator) removeFloatingIP(name string) {
	g.do("DELETE", "floatingips/$"+name, "", nil)
	delete(g.Cloud.FloatingIPs, name)
}

// dropFloatingIPs takes a port's away.
func (g *Generator) dropFloatingIPs(port string) {
	for _, name := range names(g.Cloud.FloatingIPs) {
		if g.Cloud.FloatingIPs[name].Port == port {
			g.removeFloatingIP(name)
		}
	}
}

// needed says whether a floating IP leads through a router's interface.
func (g *Generator) needed(router string, in *Interface) bool {
	for _, f := range g.Cloud.FloatingIPs {
		if f.Router == router && in.Subnet.CIDR.Contains(f.Fixed) {
			return true
		}
	}
	return false
}

// crossing draws a packet that leaves by a gateway, or comes by one; false when nothing sensible came of it.
func (g *Generator) crossing() (Packet, bool) {
	c := g.Cloud
	router := pick(g.r, names(c.Routers))
	r := c.Routers[router]
	if len(r.Gateways) == 0 || len(r.Interfaces) == 0 {
		return Packet{}, false
	}
	in, out, inside := pick(g.r, r.Interfaces), pick(g.r, r.Gateways), c.Ports[pick(g.r, g.instances())]
	fixed := pick(g.r, append(slices.Clone(inside.IPs), inside.Extra...))
	var floating *FloatingIP
	if list := names(c.FloatingIPs); len(list) > 0 && g.chance(60) {
		floating = c.FloatingIPs[pick(g.r, list)]
		if floating.Router != router {
			return Packet{}, false
		}
		inside, fixed, out = c.Ports[floating.Port], floating.Fixed, r.gateway(floating.Network)
	}
	if inside.Network != in.Network || !in.Subnet.CIDR.Contains(fixed) {
		return Packet{}, false
	}
	up, leaves := c.uplink(out.Network), g.chance(40)
	if leaves && g.chance(30) { // to a neighbour, perhaps of another gateway
		up = c.uplink(pick(g.r, r.Gateways).Network)
	}
	outside := pick(g.r, append(slices.Clone(far), up.IPs...))
	if outside.Is4() != fixed.Is4() {
		return Packet{}, false
	}
	if leaves {
		p := Packet{From: inside.Name, SrcMAC: inside.MAC, DstMAC: in.MAC, Src: fixed, Dst: outside}
		g.load(&p, up)
		return p, true
	}
	p := Packet{From: up.Name, SrcMAC: up.MAC, Via: out.Name, Src: outside, Dst: fixed}
	switch {
	case floating != nil:
		p.Dst = floating.IP
	case !inside.answersTo(fixed) || fixed.Is4() && (!r.Bare || c.floatingOf(router, fixed) != nil):
		return Packet{}, false // what becomes of it the API does not say
	}
	g.load(&p, inside)
	return p, true
}
