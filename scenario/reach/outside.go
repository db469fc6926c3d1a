package reach

import "net/netip"

// leave takes a packet that is for nothing inside out by a gateway: what comes from an address that has a floating IP by
// that one's; what is for an external network that the router is on by the gateway there; all else by the first that has a
// next hop, or by any of those when default routes are shared. On the way it gets an address of that gateway.
func (c *Cloud) leave(name string, r *Router, p Packet) []end {
	f := c.floatingOf(name, p.Src)
	var ways []*Gateway
	switch on := r.towards(c, p.Dst); {
	case f != nil:
		ways = []*Gateway{r.gateway(f.Network)}
	case on != nil:
		ways = []*Gateway{on}
	default:
		ways = r.defaults(p.Dst.Is6())
	}
	if len(ways) == 0 {
		return nowhere("%s has no way to %v", name, p.Dst)
	}
	var ends []end
	for _, g := range ways {
		out := p
		switch {
		case f != nil:
			out.Src = f.IP
		case p.Src.Is4() && !r.Bare:
			out.Src = g.address(false)
		}
		up := c.uplink(g.Network)
		ends = append(ends, end{up, out, "through " + name + " by " + g.Name + " to " + up.Name})
	}
	return ends
}

// enter takes a packet that came to a router's gateway inside.
func (c *Cloud) enter(name string, r *Router, g *Gateway, p Packet) []end {
	for _, f := range c.FloatingIPs {
		if f.Router == name && f.Network == g.Network && f.IP == p.Dst {
			p.Dst = f.Fixed
			break
		}
	}
	for _, in := range r.Interfaces {
		if in.Subnet.CIDR.Contains(p.Dst) {
			return c.route(name, r, p)
		}
	}
	return nowhere("%v is nothing behind %s", p.Dst, g.Name)
}

// Open says that the API does not say by which gateway the answer to a packet leaves: it came from outside to an address
// that is no gateway's, by another gateway than its sort leaves by (docs/decisions/0017-several-gateways-ovn.md).
func (c *Cloud) Open(p Packet) bool {
	for name, r := range c.Routers {
		for _, g := range r.Gateways {
			if g.Name != p.Via {
				continue
			}
			if f := c.floatingAt(p.Dst); f != nil && f.Router == name {
				return false
			}
			if on := r.towards(c, p.Src); on != nil {
				return on != g
			}
			ways := r.defaults(p.Dst.Is6())
			return len(ways) != 1 || ways[0] != g
		}
	}
	return false
}

// floatingOf is the floating IP of an address behind a router.
func (c *Cloud) floatingOf(router string, a netip.Addr) *FloatingIP {
	for _, f := range c.FloatingIPs {
		if f.Router == router && f.Fixed == a {
			return f
		}
	}
	return nil
}

func (c *Cloud) floatingAt(a netip.Addr) *FloatingIP {
	for _, f := range c.FloatingIPs {
		if f.IP == a {
			return f
		}
	}
	return nil
}

// uplink is the port that an external network has.
func (c *Cloud) uplink(network string) *Port {
	for _, p := range c.Ports {
		if p.Uplink && p.Network == network {
			return p
		}
	}
	return nil
}

func (r *Router) gateway(network string) *Gateway {
	for _, g := range r.Gateways {
		if g.Network == network {
			return g
		}
	}
	return nil
}

// towards is the gateway on the network that has an address.
func (r *Router) towards(c *Cloud, a netip.Addr) *Gateway {
	for _, g := range r.Gateways {
		for _, s := range c.Networks[g.Network].Subnets {
			if s.CIDR.Contains(a) {
				return g
			}
		}
	}
	return nil
}

// defaults are the gateways by one of which the default route of a family leads. When they do not share it, that is the
// first; or, when the first has none of the family, one of the others: their order is not the API's.
func (r *Router) defaults(ipv6 bool) []*Gateway {
	var list []*Gateway
	for i, g := range r.Gateways {
		if !g.address(ipv6).IsValid() {
			continue
		}
		if list = append(list, g); i == 0 && !r.ECMP {
			break
		}
	}
	return list
}

// address is a gateway's address of a family; its zero value: it has none.
func (g *Gateway) address(ipv6 bool) netip.Addr {
	for _, a := range g.IPs {
		if a.Is6() == ipv6 {
			return a
		}
	}
	return netip.Addr{}
}
