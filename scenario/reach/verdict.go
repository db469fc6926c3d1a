package reach

import (
	"fmt"
	"net/netip"
	"slices"
)

// Verdict is what becomes of a packet.
type Verdict struct {
	To       string     // the port that it arrives at; "" if at none
	Src, Dst netip.Addr // as it has them there
	Why      string     // for people: what lets it pass or ends its way
	Else     []Verdict  // where it may arrive instead: routers choose among shared default routes as they like
}

func lost(format string, args ...any) Verdict { return Verdict{Why: fmt.Sprintf(format, args...)} }

// Any gives the ends of a packet's way of which one comes true.
func (v Verdict) Any() []Verdict { return append([]Verdict{v}, v.Else...) }

// end is a port that a packet comes to, and the packet as it is there.
type end struct {
	port   *Port
	packet Packet
	why    string // port is nil: why it comes to none
}

func nowhere(format string, args ...any) []end { return []end{{why: fmt.Sprintf(format, args...)}} }

// Judge says where a packet arrives.
func (c *Cloud) Judge(p Packet) Verdict {
	from := c.Ports[p.From]
	if why := c.down(from); why != "" {
		return lost("%s", why)
	}
	if !from.Insecure {
		if !from.owns(p) {
			return lost("%s may not send as %v %v: it is none of its addresses and no allowed address pair", p.From, p.SrcMAC, p.Src)
		}
		if c.permit(from, false, p) == nil {
			return lost("no egress rule of %s lets it out", p.From)
		}
	}
	var all []Verdict
	for _, e := range c.carry(from.Network, p) {
		all = append(all, c.arrive(e))
	}
	all[0].Else = all[1:]
	return all[0]
}

// arrive says whether a port that a packet comes to takes it.
func (c *Cloud) arrive(e end) Verdict {
	if e.port == nil {
		return lost("%s", e.why)
	}
	v := Verdict{To: e.port.Name, Src: e.packet.Src, Dst: e.packet.Dst}
	if why := c.down(e.port); why != "" {
		return lost("%s", why)
	}
	if e.port.Insecure {
		v.Why = e.why + ", which has no port security"
		return v
	}
	rule := c.permit(e.port, true, e.packet)
	if rule == nil {
		return lost("no ingress rule of %s lets it in", e.port.Name)
	}
	v.Why = e.why + " by rule " + rule.Name
	return v
}

// Answer says whether an answer to a packet arrives at the packet's sender: the packet turned round, sent by the
// port that the packet arrived at. A port whose groups are stateful takes what belongs to a connection that it
// has let pass; to one whose groups are stateless it is a packet like others.
func (c *Cloud) Answer(p Packet) Verdict {
	v := c.Judge(p)
	if v.To == "" {
		return lost("there is nothing to answer: %s", v.Why)
	}
	from, to, back := c.Ports[p.From], c.Ports[v.To], p.Reversed(v.To)
	there := back // as its sender sends it
	there.Src, there.Dst = v.Dst, v.Src
	switch {
	case to.Insecure:
	case !to.owns(Packet{SrcMAC: to.MAC, Src: v.Dst}):
		return lost("%s may not answer as %v", v.To, v.Dst)
	case c.stateless(to) && c.permit(to, false, there) == nil:
		return lost("%s is stateless, and no egress rule lets the answer out", v.To)
	}
	switch {
	case from.Insecure:
	case c.stateless(from) && c.permit(from, true, back) == nil:
		return lost("%s is stateless, and no ingress rule lets the answer in", p.From)
	}
	return Verdict{To: p.From, Src: p.Dst, Dst: p.Src, Why: "the answer to a packet that passed"}
}

// replies are the ICMP types that answer others, by protocol and type.
var replies = map[[2]int]int{{ICMP, 8}: 0, {ICMP, 13}: 14, {ICMPv6, 128}: 129}

// Reversed is the packet that answers p, without its MAC addresses.
func (p Packet) Reversed(from string) Packet {
	back := Packet{From: from, Src: p.Dst, Dst: p.Src, Protocol: p.Protocol, SrcPort: p.DstPort, DstPort: p.SrcPort}
	if reply, ok := replies[[2]int{p.Protocol, p.DstPort}]; ok {
		back.SrcPort, back.DstPort = p.SrcPort, reply
	}
	return back
}

// down says why a port passes nothing at all; "" when it does.
func (c *Cloud) down(p *Port) string {
	switch {
	case p.Down:
		return p.Name + " is administratively down"
	case c.Networks[p.Network].Down:
		return p.Network + " is administratively down"
	}
	return ""
}

// owns says whether a port may send from a packet's source: its own MAC with a fixed IP, or an allowed address pair.
func (p *Port) owns(k Packet) bool {
	if k.SrcMAC == p.MAC && slices.Contains(p.IPs, k.Src) {
		return true
	}
	return slices.ContainsFunc(p.Pairs, func(a Pair) bool { return a.MAC == k.SrcMAC && a.IP.Contains(k.Src) })
}

// stateless says whether a port's groups are; they all are the same.
func (c *Cloud) stateless(p *Port) bool {
	return len(p.Groups) > 0 && c.Groups[p.Groups[0]].Stateless
}

// carry takes a packet from a network to the port that its destination means: on the network by its MAC, or through a
// router's interface or gateway to another by its address.
func (c *Cloud) carry(network string, p Packet) []end {
	for _, port := range c.Ports {
		if p.Via == "" && port.Network == network && port.MAC == p.DstMAC {
			return []end{{port, p, "on " + network + " to " + port.Name}}
		}
	}
	for name, r := range c.Routers {
		for _, in := range r.Interfaces {
			if p.Via == "" && in.Network == network && in.MAC == p.DstMAC {
				return c.route(name, r, p)
			}
		}
		for _, g := range r.Gateways {
			if p.Via == g.Name && g.Network == network {
				return c.enter(name, r, g, p)
			}
		}
	}
	return nowhere("nobody on %s has %v%s", network, p.DstMAC, p.Via)
}

// route hands a packet on to the network that has its destination's subnet, where it goes to who has the address; or by
// a gateway.
func (c *Cloud) route(name string, r *Router, p Packet) []end {
	if r.Down {
		return nowhere("%s is administratively down", name)
	}
	for _, out := range r.Interfaces {
		if !out.Subnet.CIDR.Contains(p.Dst) {
			continue
		}
		if c.Networks[out.Network].Down {
			return nowhere("%s is administratively down", out.Network)
		}
		for _, port := range c.Ports {
			if port.Network == out.Network && port.answersTo(p.Dst) {
				return []end{{port, p, "through " + name + " to " + port.Name}}
			}
		}
		return nowhere("nobody on %s answers to %v", out.Network, p.Dst)
	}
	return c.leave(name, r, p)
}

// answersTo says whether those who ask on the network for an address find the port.
func (p *Port) answersTo(a netip.Addr) bool {
	if slices.Contains(p.IPs, a) {
		return true
	}
	return slices.Contains(p.Extra, a) && (p.Insecure || p.owns(Packet{SrcMAC: p.MAC, Src: a}))
}

// permit finds a rule of a port's groups that lets a packet in, or out; nil if there is none.
func (c *Cloud) permit(p *Port, ingress bool, k Packet) *Rule {
	for _, g := range p.Groups {
		for _, r := range c.Groups[g].Rules {
			if r.Ingress == ingress && c.matches(r, k) {
				return r
			}
		}
	}
	return nil
}

// matches says whether a rule is about a packet; the rule's remote is the packet's other end.
func (c *Cloud) matches(r *Rule, k Packet) bool {
	remote := k.Dst
	if r.Ingress {
		remote = k.Src
	}
	if r.IPv6 != remote.Is6() {
		return false
	}
	switch {
	case r.Prefix.IsValid() && !r.Prefix.Masked().Contains(remote):
		return false
	case r.Group != "" && !c.member(r.Group, remote):
		return false
	case r.AddressGroup != "" && !slices.ContainsFunc(c.AddressGroups[r.AddressGroup], func(p netip.Prefix) bool { return p.Contains(remote) }):
		return false
	}
	if r.Protocol == Any {
		return true
	}
	if r.Protocol != k.Protocol {
		return false
	}
	switch r.Protocol {
	case TCP, UDP, SCTP:
		return r.Min == Any || r.Min <= k.DstPort && k.DstPort <= r.Max
	case ICMP, ICMPv6:
		return (r.Min == Any || r.Min == k.DstPort) && (r.Max == Any || r.Max == 0)
	}
	return true
}

// member says whether an address belongs to a port of a group: it is fixed, or an allowed address pair.
func (c *Cloud) member(group string, a netip.Addr) bool {
	for _, p := range c.Ports {
		if slices.Contains(p.Groups, group) &&
			(slices.Contains(p.IPs, a) || slices.ContainsFunc(p.Pairs, func(pair Pair) bool { return pair.IP.Contains(a) })) {
			return true
		}
	}
	return false
}
