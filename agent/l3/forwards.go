package l3

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"neutrino/desired"
)

// ported are the protocols whose ports are translated, and their numbers.
var ported = map[string]uint8{"tcp": 6, "udp": 17, "dccp": 33, "sctp": 132}

// forward leads ports of an external address inside.
type forward struct {
	floating netip.Addr
	desired.Forward
}

// forwardPorts plans a floating IP whose ports lead to several addresses. It gives the reasons why some of them can't;
// the others work all the same.
func (p *plan) forwardPorts(f desired.FloatingIP, e *exit) string {
	var reasons []string
	for _, w := range f.Forwards {
		if err := p.checkForward(f.Floating, w); err != nil {
			reasons = append(reasons, err.Error())
			continue
		}
		p.forwards = append(p.forwards, forward{f.Floating, w})
		if !slices.Contains(e.forwarding, f.Floating) {
			e.forwarding = append(e.forwarding, f.Floating)
		}
	}
	return strings.Join(reasons, "; ")
}

// checkForward says why a forward can't work: whatever the server says, the rules must load.
func (p *plan) checkForward(floating netip.Addr, w desired.Forward) error {
	what := fmt.Sprintf("%s ports %d to %d", w.Protocol, w.First, w.Last)
	switch {
	case ported[w.Protocol] == 0:
		return fmt.Errorf("protocol %q has no ports that can be forwarded", w.Protocol)
	case !floating.Is4() || !w.To.Is4():
		return fmt.Errorf("%s of %s can't lead to %s: only IPv4 is translated", what, floating, w.To)
	case w.First == 0 || w.Last < w.First || w.ToFirst == 0 || w.ToLast != w.ToFirst && w.ToLast-w.ToFirst != w.Last-w.First:
		return fmt.Errorf("%s can't lead to ports %d to %d", what, w.ToFirst, w.ToLast)
	case !p.leadsInside(w.To):
		return fmt.Errorf("no interface of the router leads to %s", w.To)
	case p.floating[floating].IsValid():
		return fmt.Errorf("%s is mapped on %s already", floating, p.floating[floating])
	}
	for _, have := range p.forwards {
		if have.floating == floating && have.Protocol == w.Protocol && w.First <= have.Last && have.First <= w.Last {
			return fmt.Errorf("%s of %s lead to %s already", what, floating, have.To)
		}
	}
	return nil
}

// leadsTo is where a new flow to an external address and port goes instead; without a port, to address alone.
func (p *plan) leadsTo(target netip.AddrPort, protocol uint8) (netip.AddrPort, bool) {
	if fixed := p.floating[target.Addr()]; fixed.IsValid() {
		return netip.AddrPortFrom(fixed, target.Port()), true
	}
	for _, w := range p.forwards {
		if w.floating == target.Addr() && ported[w.Protocol] == protocol && w.First <= target.Port() && target.Port() <= w.Last {
			return netip.AddrPortFrom(w.To, w.at(target.Port())), true
		}
	}
	return netip.AddrPort{}, false
}

// at is the internal port of an external one.
func (w forward) at(port uint16) uint16 {
	if w.ToFirst == w.ToLast {
		return w.ToFirst
	}
	return w.ToFirst + (port - w.First)
}

// renderForwards writes the maps of forwarded ports. Nftables can't add to a port: a range that is moved is written port
// by port, one that keeps its ports or leads to a single one is one element.
func (p *plan) renderForwards(w *writer) (rules []string) {
	var kept, funnelled, moved []string
	for _, f := range slices.SortedFunc(slices.Values(p.forwards), byPorts) {
		from := fmt.Sprintf("%s . %s", f.floating, f.Protocol)
		switch {
		case f.ToFirst == f.First && f.ToLast == f.Last:
			kept = append(kept, fmt.Sprintf("%s . %s : %s", from, ports(f.First, f.Last), f.To))
		case f.ToFirst == f.ToLast && f.First != f.Last:
			funnelled = append(funnelled, fmt.Sprintf("%s . %s : %s . %d", from, ports(f.First, f.Last), f.To, f.ToFirst))
		default:
			for n := range int(f.Last-f.First) + 1 {
				moved = append(moved, fmt.Sprintf("%s . %d : %s . %d", from, int(f.First)+n, f.To, int(f.ToFirst)+n))
			}
		}
	}
	const from, to = "ipv4_addr . inet_proto . inet_service : ", "ipv4_addr . inet_service"
	for _, m := range []struct {
		name, kind string
		elements   []string
	}{{"kept", from + "ipv4_addr\n\t\tflags interval", kept}, {"funnelled", from + to + "\n\t\tflags interval", funnelled}, {"moved", from + to, moved}} {
		if len(m.elements) == 0 {
			continue
		}
		fmt.Fprintf(w, "\tmap %s {\n\t\ttype %s\n\t\telements = { %s }\n\t}\n", m.name, m.kind, strings.Join(m.elements, ", "))
		rules = append(rules, "meta l4proto { tcp, udp, dccp, sctp } dnat ip to ip daddr . meta l4proto . th dport map @"+m.name)
	}
	return rules
}

// byPorts orders forwards by what they match.
func byPorts(a, b forward) int {
	return cmp.Or(a.floating.Compare(b.floating), strings.Compare(a.Protocol, b.Protocol), cmp.Compare(a.First, b.First))
}

// ports writes a range of ports as nftables does.
func ports(first, last uint16) string {
	if first == last {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d-%d", first, last)
}
