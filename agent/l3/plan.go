package l3

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"neutrino/agent/plug"
	"neutrino/dataplane/link"
	"neutrino/dataplane/ra"
	"neutrino/desired"
)

// prefix marks our namespaces; the router's id follows.
const prefix = "qrouter-"

// How long hosts may use what is advertised of a prefix: radvd's values, which Neutron's routers have.
const (
	prefixValid     = 24 * time.Hour
	prefixPreferred = 4 * time.Hour
)

// The addresses at which metadata is served to a router's networks.
var (
	metadata4 = netip.MustParseAddr("169.254.169.254")
	metadata6 = netip.MustParseAddr("fe80::a9fe:a9fe")
)

// plan is what a router's namespace should be like; it follows from the router's item alone.
type plan struct {
	namespace string
	devices   []device
	exits     []*exit // by its gateways, the first one first
	routes    []link.Route
	policy    []link.Rule // which packets look at which table of routes
	shared    bool        // several gateways share the default routes
	rules     string
	floating  map[netip.Addr]netip.Addr // floating → fixed, of those that work
	sources   map[netip.Addr]netip.Addr // fixed → the floating one that its own connections have
	forwards  []forward                 // of single ports, those that work
	limits    []limit                   // of what has an address outside
	answers   bool                      // of internal IPv6 addresses only the proxied ones are reached from outside
	proxied   []netip.Addr              // those that are answered for there
	inside    []netip.Prefix            // what is reached by interfaces, also through extra routes
	forward   bool

	problems []string          // of the router, that don't keep the rest from working
	refused  map[string]string // floating IP id → why it can't work
}

// device is a port of the router.
type device struct {
	plug.Device
	addresses []netip.Prefix
	proxied   []netip.Addr      // that are answered for here though they are elsewhere
	advertise *ra.Advertisement // nil: nothing is advertised
}

// announced are the addresses that neighbours should hear of.
func (d device) announced() []netip.Addr {
	out := slices.Clone(d.proxied)
	for _, p := range d.addresses {
		if p.Addr() != metadata6 {
			out = append(out, p.Addr())
		}
	}
	return out
}

// planOf computes the plan of a router. It fails when a port of it can't be made at all.
func planOf(r *desired.Router) (*plan, error) {
	p := &plan{namespace: prefix + r.ID, forward: r.AdminStateUp, floating: map[netip.Addr]netip.Addr{}, refused: map[string]string{}}
	for _, i := range r.Interfaces {
		p.devices = append(p.devices, p.inner(r, i))
		for _, a := range i.Addresses {
			p.inside = append(p.inside, a.Masked())
		}
	}
	gateways := r.Gateways()
	p.exits = exitsOf(gateways)
	for _, g := range gateways {
		p.devices = append(p.devices, p.device("qg-", g.RouterPort))
	}
	for _, d := range p.devices {
		if err := d.Check(); err != nil {
			return nil, err
		}
	}
	p.route(r)
	p.mapFloating(r)
	p.proxy(r)
	p.limit(r)
	for i, e := range p.exits {
		d := &p.devices[len(r.Interfaces)+i]
		d.hold(append(sortedAddrs(e.floating), e.forwarding...))
		d.proxied = p.proxied
	}
	p.rules = rulesOf(r, p)
	return p, nil
}

// hold adds single addresses to those of a device.
func (d *device) hold(addrs []netip.Addr) {
	for _, a := range addrs {
		if !slices.ContainsFunc(d.addresses, func(have netip.Prefix) bool { return have.Addr() == a }) {
			d.addresses = append(d.addresses, netip.PrefixFrom(a, a.BitLen()))
		}
	}
}

// inner plans an interface to a network of the project's.
func (p *plan) inner(r *desired.Router, port desired.RouterPort) device {
	d := p.device("qr-", port)
	d.addresses = append(d.addresses, netip.PrefixFrom(metadata6, 64))
	if r.AdminStateUp {
		d.advertise = advertisement(port)
	}
	return d
}

func (p *plan) device(prefix string, port desired.RouterPort) device {
	return device{
		Device:    plug.Device{Prefix: prefix, PortID: port.PortID, Namespace: p.namespace, MAC: port.MAC, MTU: port.MTU},
		addresses: slices.Clone(port.Addresses),
	}
}

// mapFloating sorts floating IPs into those that can work and those that can't.
func (p *plan) mapFloating(r *desired.Router) {
	for _, f := range r.FloatingIPs {
		e := p.exitOf(f)
		switch {
		case len(p.exits) == 0:
			p.refused[f.ID] = "the router has no gateway"
		case e == nil:
			p.refused[f.ID] = fmt.Sprintf("the router has no gateway %s", f.Gateway)
		case !f.Fixed.IsValid() && len(f.Forwards) > 0:
			if why := p.forwardPorts(f, e); why != "" {
				p.refused[f.ID] = why
			}
		case !f.Floating.Is4() || !f.Fixed.Is4():
			p.refused[f.ID] = fmt.Sprintf("%s can't be mapped on %s: only IPv4 is translated", f.Floating, f.Fixed)
		case !p.leadsInside(f.Fixed):
			p.refused[f.ID] = fmt.Sprintf("no interface of the router leads to %s", f.Fixed)
		case p.floating[f.Floating].IsValid() || slices.Contains(e.forwarding, f.Floating):
			p.refused[f.ID] = fmt.Sprintf("%s leads elsewhere already", f.Floating)
		default:
			p.floating[f.Floating], e.floating[f.Floating] = f.Fixed, f.Fixed
		}
	}
	p.sources = map[netip.Addr]netip.Addr{}
	for _, e := range p.exits {
		e.sources = inverted(e.floating, r.FloatingIPs)
		for fixed, floating := range e.sources {
			if !p.sources[fixed].IsValid() {
				p.sources[fixed] = floating
			}
		}
	}
}

// proxy collects the addresses that are answered for outside: of those that an interface leads to.
func (p *plan) proxy(r *desired.Router) {
	p.answers = r.Proxied != nil
	if !p.answers || len(p.exits) == 0 {
		return
	}
	for _, a := range r.Proxied.Addresses {
		if !a.Is6() || a.Is4In6() || !p.leadsInside(a) {
			p.problems = append(p.problems, fmt.Sprintf("no interface leads to %s, for which it should answer outside", a))
			continue
		}
		p.proxied = append(p.proxied, a)
	}
}

// leadsInside says whether an address is reached by an interface.
func (p *plan) leadsInside(a netip.Addr) bool {
	return slices.ContainsFunc(p.inside, func(n netip.Prefix) bool { return n.Contains(a) })
}

// route plans the default routes and the extra ones. An extra route to everywhere goes before the
// gateway's.
func (p *plan) route(r *desired.Router) {
	everywhere := map[bool]bool{} // IPv4? → an extra route says so
	for _, e := range r.Routes {
		name, found := p.reach(e.NextHop)
		if !e.Destination.IsValid() || !found || e.Destination.Addr().Is4() != e.NextHop.Is4() {
			p.problems = append(p.problems, fmt.Sprintf("the route to %s has its next hop %s on no interface", e.Destination, e.NextHop))
			continue
		}
		if p.connected(e.Destination.Masked()) { // it would stand in the way of the device's own route
			p.problems = append(p.problems, fmt.Sprintf("the route to %s is to a network that the router is on", e.Destination))
			continue
		}
		if strings.HasPrefix(name, "qr-") {
			p.inside = append(p.inside, e.Destination.Masked())
		}
		everywhere[e.NextHop.Is4()] = everywhere[e.NextHop.Is4()] || e.Destination.Bits() == 0
		p.routes = append(p.routes, link.Route{Destination: e.Destination.Masked(), NextHop: e.NextHop, Device: name})
	}
	p.routeOut(r.ECMP, everywhere)
}

// connected says whether a device of the router is on a network.
func (p *plan) connected(network netip.Prefix) bool {
	return slices.ContainsFunc(p.devices, func(d device) bool {
		return slices.ContainsFunc(d.addresses, func(a netip.Prefix) bool { return a.Masked() == network })
	})
}

// reach finds the device by which a next hop is a neighbour: the one with the longest prefix.
func (p *plan) reach(hop netip.Addr) (name string, found bool) {
	best := -1
	for _, d := range p.devices {
		for _, a := range d.addresses {
			if a.Contains(hop) && a.Addr() != metadata6 && a.Bits() > best && a.Addr() != hop {
				name, best, found = d.Name(), a.Bits(), true
			}
		}
	}
	return name, found
}

// advertisement is what a router tells an IPv6 network, or nil when no subnet asks for it.
func advertisement(port desired.RouterPort) *ra.Advertisement {
	a := &ra.Advertisement{HopLimit: 64, Lifetime: ra.Lifetime, MAC: port.MAC, MTU: port.MTU, DNSLife: ra.Lifetime}
	for _, s := range port.Subnets {
		if !s.CIDR.IsValid() || !s.CIDR.Addr().Is6() || s.RAMode == "" {
			continue
		}
		switch s.RAMode {
		case "dhcpv6-stateful":
			a.Managed, a.Other = true, true
		case "dhcpv6-stateless":
			a.Other = true
		}
		a.Prefixes = append(a.Prefixes, ra.Prefix{
			Prefix: s.CIDR.Masked(), OnLink: true, Autonomous: s.RAMode != "dhcpv6-stateful",
			Valid: prefixValid, Preferred: prefixPreferred,
		})
		for _, d := range s.DNS {
			if d.Is6() && !slices.Contains(a.DNS, d) {
				a.DNS = append(a.DNS, d)
			}
		}
	}
	if a.Prefixes == nil {
		return nil
	}
	return a
}

// sysctls are the kernel's settings of a router's namespace.
func (p *plan) sysctls() map[string]string {
	on := "0"
	if p.forward {
		on = "1"
	}
	settings := map[string]string{
		"net/ipv4/ip_forward":                    on,
		"net/ipv6/conf/all/forwarding":           on,
		"net/ipv4/conf/all/arp_ignore":           "1", // an address is answered for only on its device
		"net/ipv4/conf/all/arp_announce":         "2",
		"net/ipv4/conf/all/rp_filter":            "0",
		"net/ipv4/conf/default/rp_filter":        "0",
		"net/ipv4/conf/all/send_redirects":       "0", // of a flow that turns round here the NAT must see all
		"net/ipv4/conf/default/send_redirects":   "0",
		"net/ipv4/conf/all/promote_secondaries":  "1", // an address may go without taking its subnet along
		"net/ipv6/conf/all/accept_ra":            "0",
		"net/ipv6/conf/default/accept_ra":        "0",
		"net/ipv6/conf/default/accept_dad":       "0", // the server hands out addresses once
		"net/ipv6/conf/default/dad_transmits":    "0",
		"net/ipv6/conf/default/accept_redirects": "0",
		"net/ipv6/conf/default/addr_gen_mode":    "0", // link-local addresses are made from MACs
	}
	if len(p.proxied) > 0 {
		settings["net/ipv6/conf/all/proxy_ndp"] = "1"
	}
	if p.shared {
		settings["net/ipv4/fib_multipath_hash_policy"] = "1" // flows are spread by their ports too
		settings["net/ipv6/fib_multipath_hash_policy"] = "1"
		settings["net/ipv4/fib_multipath_use_neigh"] = "1" // a next hop that does not answer gets no new flows
	}
	return settings
}

func sortedAddrs(m map[netip.Addr]netip.Addr) []netip.Addr {
	out := make([]netip.Addr, 0, len(m))
	for a := range m {
		out = append(out, a)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}
