package l3

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"neutrino/agent/plug"
	"neutrino/dataplane/link"
	"neutrino/desired"
)

// exit is a gateway of the router: a way out, and in.
//
// With several, each has a mark and a table of routes. A flow that came in or left by one keeps to it: its answers go
// out there whatever the default routes say, for the world behind another gateway would not take them from that address.
// So do the connections of an instance that has a floating IP there. All else goes by the main table, whose default
// routes are the first gateway's, or all gateways' that share.
type exit struct {
	portID     string
	device     string
	addresses  []netip.Prefix
	hops       []netip.Addr
	outer      netip.Addr                // the router's own IPv4 address there; zero: none
	snat       bool                      // who has no floating IP there is seen as outer
	floating   map[netip.Addr]netip.Addr // floating → fixed, of those on it
	forwarding []netip.Addr              // floating ones on it of which single ports lead inside
	sources    map[netip.Addr]netip.Addr // fixed → floating: as which connections leave by it
	mark       uint32                    // of packets that must leave by it, and the number of its table
	qos        *desired.QoS              // of what has the router's own IPv4 addresses there; nil: none
}

// exitsOf makes the exits of a router's gateways, the first one first.
func exitsOf(gateways []desired.Gateway) []*exit {
	var exits []*exit
	for _, g := range gateways {
		e := &exit{
			portID: g.PortID, device: plug.Device{Prefix: "qg-", PortID: g.PortID}.Name(), addresses: g.Addresses, hops: g.NextHops, qos: g.QoS,
			floating: map[netip.Addr]netip.Addr{},
		}
		for _, a := range g.Addresses {
			if a.Addr().Is4() && !e.outer.IsValid() {
				e.outer, e.snat = a.Addr(), g.EnableSNAT
			}
		}
		exits = append(exits, e)
	}
	number(exits)
	return exits
}

// firstMark is the least mark: below are the tables' numbers that have a meaning of their own.
const firstMark = 1 << 24

// number gives the exits marks that stay the same while others come and go, for tracked flows have them too: made of
// the ports' ids. Two that would be the same are told apart by the order of the ids.
func number(exits []*exit) {
	byID := slices.SortedFunc(slices.Values(exits), func(a, b *exit) int { return strings.Compare(a.portID, b.portID) })
	taken := map[uint32]bool{}
	for _, e := range byID {
		n, err := strconv.ParseUint(e.portID[:min(6, len(e.portID))], 16, 24)
		if err != nil {
			n = 0 // no port's id: it is refused when it is plugged
		}
		for e.mark = firstMark + uint32(n); taken[e.mark]; e.mark++ {
		}
		taken[e.mark] = true
	}
}

// exitOf finds the exit that a floating IP is on; nil: it is not there.
func (p *plan) exitOf(f desired.FloatingIP) *exit {
	for _, e := range p.exits {
		if f.Gateway == "" || e.portID == f.Gateway {
			return e
		}
	}
	return nil
}

// outer is the router's own IPv4 address outside; zero: none.
func (p *plan) outer() netip.Addr {
	for _, e := range p.exits {
		if e.outer.IsValid() {
			return e.outer
		}
	}
	return netip.Addr{}
}

// translates says whether who has no floating IP is seen outside as the router.
func (p *plan) translates() bool {
	return slices.ContainsFunc(p.exits, func(e *exit) bool { return e.snat })
}

// leavesAs says whether a flow of an internal address may be seen outside as another.
func (p *plan) leavesAs(fixed, seen netip.Addr, mapped bool) bool {
	return slices.ContainsFunc(p.exits, func(e *exit) bool {
		return e.sources[fixed] == seen || e.outer == seen && (e.snat || mapped)
	})
}

// defaultRoutes are an exit's own routes to everywhere, of one family.
func (e *exit) defaultRoutes(four bool) (routes []link.Route) {
	all := netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	if four {
		all = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	for _, hop := range e.hops {
		if !hop.IsValid() || hop.Is4() != four {
			continue
		}
		near := hop.IsLinkLocalUnicast() || slices.ContainsFunc(e.addresses, func(a netip.Prefix) bool { return a.Contains(hop) })
		routes = append(routes, link.Route{Destination: all, NextHop: hop, Device: e.device, OnLink: !near})
	}
	return routes
}

// table is what routes the exit's own packets: its networks, and its default routes.
func (e *exit) table() (routes []link.Route) {
	for _, a := range e.addresses {
		routes = append(routes, link.Route{Destination: a.Masked(), Device: e.device})
	}
	routes = append(append(routes, e.defaultRoutes(true)...), e.defaultRoutes(false)...)
	for i := range routes {
		routes[i].Table = int(e.mark)
	}
	return routes
}

// routeOut plans the routes to everywhere, but for families that an extra route leads elsewhere. Without sharing the
// first gateway that has a next hop is the way.
func (p *plan) routeOut(share bool, elsewhere map[bool]bool) {
	for _, four := range []bool{true, false} {
		for _, e := range p.exits {
			routes := e.defaultRoutes(four)
			if elsewhere[four] || len(routes) == 0 {
				continue
			}
			p.routes = append(p.routes, routes...)
			p.shared = p.shared || share && len(p.exits) > 1
			if !share {
				break
			}
		}
	}
	if len(p.exits) < 2 {
		return
	}
	for _, e := range p.exits {
		p.routes = append(p.routes, e.table()...)
		p.policy = append(p.policy, link.Rule{Mark: e.mark, Table: int(e.mark)})
	}
}

// renderMarks writes what keeps flows to their exits. It comes after addresses are translated and before routes are
// looked up.
func (p *plan) renderMarks(w *writer, insideDevices string) {
	var v4, v6 []netip.Prefix
	for _, n := range p.inside {
		if n.Addr().Is4() {
			v4 = append(v4, n)
		} else {
			v6 = append(v6, n)
		}
	}
	w.set("behind4", "ipv4_addr", v4)
	w.set("behind6", "ipv6_addr", v6)
	var words []string
	for _, fixed := range sortedAddrs(p.sources) {
		for _, e := range p.exits {
			if e.sources[fixed] == p.sources[fixed] {
				words = append(words, fmt.Sprintf("%s : %#x", fixed, e.mark))
				break
			}
		}
	}
	fmt.Fprintf(w, "\tmap exits {\n\t\ttype ipv4_addr : mark\n")
	if len(words) > 0 {
		fmt.Fprintf(w, "\t\telements = { %s }\n", strings.Join(words, ", "))
	}
	w.WriteString("\t}\n")
	w.chain("leaving", "filter hook prerouting priority dstnat + 10; policy accept", func(add func(string, ...any)) {
		if insideDevices == "" {
			return
		}
		add("iifname != %s accept", insideDevices)
		add("ip daddr @behind4 accept")
		add("ip6 daddr @behind6 accept")
		add("ct mark 0 meta mark set ip saddr map @exits")
		add("ct mark != 0 meta mark set ct mark")
	})
	w.chain("answering", "route hook output priority mangle; policy accept", func(add func(string, ...any)) {
		add("ip daddr @behind4 accept")
		add("ip6 daddr @behind6 accept")
		add("ct mark != 0 meta mark set ct mark")
	})
}

// renderComing writes the rules by which flows get the mark of the exit that they use.
func (p *plan) renderComing(add func(string, ...any), ways ...string) {
	if len(p.exits) < 2 {
		return
	}
	for _, e := range p.exits {
		for _, way := range ways {
			add("%s %s ct mark 0 ct mark set %#x", way, quoted(e.device), e.mark)
		}
	}
}
