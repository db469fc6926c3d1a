package hybrid

import (
	"fmt"
	"net/netip"

	"neutrino/agent/firewall"
	"neutrino/desired"
)

// groupRules are a group's two chains: its rules know nothing of ports, so that all ports share them. reasons says
// what could not be expressed; such a rule lets nothing pass.
func groupRules(g *desired.SecurityGroup) (r ruleset, reasons []string) {
	r = newRuleset()
	var in, out []string
	for _, rule := range g.Rules {
		text, why := ruleText(rule)
		switch {
		case why != "":
			reasons = append(reasons, fmt.Sprintf("rule %s: %s", rule.ID, why))
		case rule.Ingress:
			in = append(in, text)
		default:
			out = append(out, text)
		}
	}
	r.chain(packets, "in-"+g.ID, "", in...)
	r.chain(packets, "out-"+g.ID, "", out...)
	return r, reasons
}

// Protocols by their numbers.
const (
	protoICMP   = 1
	protoICMPv6 = 58
)

// ruleText is a security group's rule. why says that it can't be expressed: then it lets nothing pass.
func ruleText(r desired.Rule) (text, why string) {
	if why := firewall.Senseless(r); why != "" {
		return "", why
	}
	family, ip, far := "ipv4", "ip", "saddr"
	if r.IPv6 {
		family, ip = "ipv6", "ip6"
	}
	if !r.Ingress {
		far = "daddr"
	}
	text = "meta nfproto " + family
	switch {
	case r.RemoteGroup != "":
		if err := checkID("security group", r.RemoteGroup); err != nil {
			return "", err.Error()
		}
		text += fmt.Sprintf(" %s %s @%s", ip, far, membersSet(r.RemoteGroup, r.IPv6))
	case r.RemotePrefix.IsValid() && r.RemotePrefix.Bits() > 0:
		text += fmt.Sprintf(" %s %s %s", ip, far, r.RemotePrefix.Masked())
	}
	if r.Protocol >= 0 {
		text += fmt.Sprintf(" meta l4proto %d", r.Protocol)
	}
	switch {
	case r.PortMin < 0:
	case r.Protocol == protoICMP || r.Protocol == protoICMPv6:
		icmp := "icmp"
		if r.IPv6 {
			icmp = "icmpv6"
		}
		text += fmt.Sprintf(" %s type %d", icmp, r.PortMin)
		if r.PortMax >= 0 {
			text += fmt.Sprintf(" %s code %d", icmp, r.PortMax)
		}
	case !hasPorts[r.Protocol]:
		return "", fmt.Sprintf("protocol %d has no ports", r.Protocol)
	case r.PortMin == r.PortMax:
		text += fmt.Sprintf(" th dport %d", r.PortMin)
	default:
		text += fmt.Sprintf(" th dport %d-%d", r.PortMin, r.PortMax)
	}
	return text + " goto agreed", ""
}

// hasPorts are the protocols that begin with a source and a destination port: TCP, UDP, DCCP, SCTP, UDPlite.
var hasPorts = map[int]bool{6: true, 17: true, 33: true, 132: true, 136: true}

// membersSet is the name of a remote group's addresses of one IP version.
func membersSet(group string, ipv6 bool) string {
	if ipv6 {
		return "members6-" + group
	}
	return "members4-" + group
}

// memberRules are the addresses of a remote group's members, of one IP version.
func memberRules(group string, ipv6 bool, members map[string]*desired.Member) ruleset {
	r := newRuleset()
	id, kind := membersSet(group, ipv6), "type ipv4_addr; flags interval"
	if ipv6 {
		kind = "type ipv6_addr; flags interval"
	}
	r.set(packets, id, kind)
	var list []netip.Prefix
	for _, m := range members {
		for _, p := range m.Addresses {
			if p.Addr().Is6() == ipv6 {
				list = append(list, p)
			}
		}
	}
	for _, p := range cover(list) {
		r.sets[name{packets, id}].elements[prefixText(p)] = ""
	}
	return r
}
