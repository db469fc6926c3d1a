package l3

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"neutrino/agent/plug"
	"neutrino/dataplane/nft"
	"neutrino/desired"
)

// table holds all rules of a router's namespace.
var table = nft.Table{Family: "inet", Name: "neutrino"}

// rulesOf renders the table's body. Into it go only device names, addresses and numbers: no text that
// a user chose.
//
// From outside a packet comes in to an instance if it belongs to a flow that is known, or is for a
// floating IP. Without SNAT the internal addresses are routed outside too, and so they are for IPv6,
// which is never translated: there the security groups of the instances decide.
func rulesOf(r *desired.Router, p *plan) string {
	w := &writer{}
	internal4, internal6, inside := internalOf(r)
	var gateways []string
	snat := false // also where no gateway has an IPv4 address to be seen as: nothing passes then
	for _, g := range r.Gateways() {
		gateways = append(gateways, quoted(plug.Device{Prefix: "qg-", PortID: g.PortID}.Name()))
		snat = snat || g.EnableSNAT
	}
	outside := anyOf(gateways)

	w.set("internal4", "ipv4_addr", internal4)
	w.set("internal6", "ipv6_addr", internal6)
	if p.answers {
		var proxied []netip.Prefix
		for _, a := range p.proxied {
			proxied = append(proxied, netip.PrefixFrom(a, a.BitLen()))
		}
		w.set("proxied", "ipv6_addr", proxied)
	}
	w.mapping("floating", p.floating)
	w.mapping("fixed", p.sources)
	forwarding := p.renderForwards(w)
	if len(p.exits) > 1 {
		for i, e := range p.exits {
			w.mapping(fixedOn(i), e.sources)
		}
		p.renderMarks(w, anyOf(inside))
	}

	w.chain("forward", "filter hook forward priority filter; policy drop", func(add func(string, ...any)) {
		if !r.AdminStateUp {
			return
		}
		add("ip daddr %s drop", metadata4)
		add("ip6 daddr %s drop", metadata6)
		add("ct state invalid drop")
		p.renderComing(add, "iifname", "oifname")
		add("tcp flags syn tcp option maxseg size set rt mtu")
		add("ct state established,related accept")
		if len(inside) > 0 {
			add("iifname { %s } accept", strings.Join(inside, ", "))
		}
		if outside == "" {
			return
		}
		add("iifname %s ip saddr @internal4 drop", outside)
		add("iifname %s ip6 saddr @internal6 drop", outside)
		if len(inside) == 0 {
			return
		}
		add("iifname %s oifname { %s } ct status dnat accept", outside, strings.Join(inside, ", "))
		if snat {
			add("iifname %s meta nfproto ipv4 drop", outside)
		}
		if p.answers {
			add("iifname %s ip6 daddr != @proxied drop", outside)
		}
		add("iifname %s oifname { %s } accept", outside, strings.Join(inside, ", "))
	})
	p.renderLimits(w)
	w.chain("input", "filter hook input priority filter; policy accept", func(add func(string, ...any)) {
		if outside == "" {
			return
		}
		p.renderComing(add, "iifname")
		add("iifname %s ip daddr %s drop", outside, metadata4)
		add("iifname %s ip6 daddr %s drop", outside, metadata6)
		if snat {
			add("iifname %s ct state new ip daddr @internal4 drop", outside)
		}
	})
	w.chain("prerouting", "nat hook prerouting priority dstnat; policy accept", func(add func(string, ...any)) {
		if len(p.floating) > 0 {
			add("dnat ip to ip daddr map @floating")
		}
		for _, rule := range forwarding {
			add("%s", rule)
		}
	})
	w.chain("postrouting", "nat hook postrouting priority srcnat; policy accept", func(add func(string, ...any)) {
		if outside == "" {
			return
		}
		if len(p.floating) > 0 || len(forwarding) > 0 {
			for i, e := range p.exits {
				if len(p.exits) == 1 {
					add("oifname %s snat ip to ip saddr map @fixed", quoted(e.device))
				} else if len(e.sources) > 0 {
					add("oifname %s snat ip to ip saddr map @%s", quoted(e.device), fixedOn(i))
				}
			}
			// A flow from inside to a floating IP turns round here: its answers must pass here too.
			add("oifname != %s ct status dnat ip saddr @internal4 snat ip to ip saddr map @fixed", outside)
			if p.outer().IsValid() {
				add("oifname != %s ct status dnat ip saddr @internal4 snat ip to %s", outside, p.outer())
			}
		}
		for _, e := range p.exits {
			if e.snat {
				add("oifname %s ip daddr != @internal4 snat ip to %s fully-random", quoted(e.device), e.outer)
			}
		}
	})
	return w.String()
}

// internalOf gives the subnets behind a router, and the names of the devices that lead to them.
func internalOf(r *desired.Router) (v4, v6 []netip.Prefix, inside []string) {
	for _, i := range r.Interfaces {
		inside = append(inside, quoted(plug.Device{Prefix: "qr-", PortID: i.PortID}.Name()))
		for _, a := range i.Addresses {
			if a.Addr().Is4() {
				v4 = append(v4, a.Masked())
			} else {
				v6 = append(v6, a.Masked())
			}
		}
	}
	slices.Sort(inside)
	return v4, v6, inside
}

// inverted maps fixed addresses on floating ones. Of several floating IPs of one address, the first
// by id is the one that its own connections have.
func inverted(floating map[netip.Addr]netip.Addr, order []desired.FloatingIP) map[netip.Addr]netip.Addr {
	out := map[netip.Addr]netip.Addr{}
	for _, f := range order {
		fixed, works := floating[f.Floating]
		if works && fixed == f.Fixed && !out[fixed].IsValid() {
			out[fixed] = f.Floating
		}
	}
	return out
}

// writer collects the text of a table.
type writer struct{ strings.Builder }

func (w *writer) set(name, kind string, members []netip.Prefix) {
	fmt.Fprintf(w, "\tset %s {\n\t\ttype %s\n\t\tflags interval\n\t\tauto-merge\n", name, kind)
	if len(members) > 0 {
		members = slices.Clone(members)
		slices.SortFunc(members, func(a, b netip.Prefix) int {
			if c := a.Addr().Compare(b.Addr()); c != 0 {
				return c
			}
			return a.Bits() - b.Bits()
		})
		words := make([]string, 0, len(members))
		for _, m := range slices.Compact(members) {
			words = append(words, m.String())
		}
		fmt.Fprintf(w, "\t\telements = { %s }\n", strings.Join(words, ", "))
	}
	w.WriteString("\t}\n")
}

func (w *writer) mapping(name string, pairs map[netip.Addr]netip.Addr) {
	fmt.Fprintf(w, "\tmap %s {\n\t\ttype ipv4_addr : ipv4_addr\n", name)
	if len(pairs) > 0 {
		words := make([]string, 0, len(pairs))
		for _, a := range sortedAddrs(pairs) {
			words = append(words, a.String()+" : "+pairs[a].String())
		}
		fmt.Fprintf(w, "\t\telements = { %s }\n", strings.Join(words, ", "))
	}
	w.WriteString("\t}\n")
}

func (w *writer) chain(name, hook string, rules func(add func(string, ...any))) {
	fmt.Fprintf(w, "\tchain %s {\n\t\ttype %s;\n", name, hook)
	rules(func(format string, args ...any) { fmt.Fprintf(w, "\t\t"+format+"\n", args...) })
	w.WriteString("\t}\n")
}

// fixedOn names the map by which fixed addresses leave by a gateway as floating ones.
func fixedOn(gateway int) string { return fmt.Sprintf("fixed_%d", gateway) }

// anyOf is what matches one of some devices; "" of none.
func anyOf(devices []string) string {
	if len(devices) < 2 {
		return strings.Join(devices, "")
	}
	return "{ " + strings.Join(devices, ", ") + " }"
}

func quoted(device string) string { return `"` + device + `"` }
