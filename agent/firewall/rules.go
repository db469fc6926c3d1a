package firewall

import (
	"net/netip"
	"slices"
	"strings"

	"neutrino/dataplane/openflow"
	"neutrino/desired"
)

// rules makes the flows of a port's security group rules. A rule with a remote group becomes the
// second dimension of that group's conjunction; all rules and ports share the first, the group's
// addresses (see Address), so that a member's coming or going costs a flow an address and direction.
func rules(number uint32, groups []*desired.SecurityGroup, n Numbers) (flows []openflow.Flow, reasons []string) {
	conjoined := map[string]*openflow.Flow{} // the same match may serve several conjunctions
	for _, g := range groups {
		for _, r := range g.Rules {
			matches, why := ruleMatches(number, r)
			if why != "" {
				reasons = append(reasons, reason("rule %s: %s", r.ID, why))
				continue
			}
			table, accept := uint8(TableEgress), openflow.Actions{openflow.Resubmit(TableCommitOut)}
			if r.Ingress {
				table, accept = TableIngressRule, openflow.Actions{openflow.Resubmit(TableCommitIn)}
			}
			for _, m := range matches {
				if r.RemoteGroup == "" {
					flows = append(flows, openflow.Flow{Table: table, Priority: prioRule, Match: m, Actions: accept})
					continue
				}
				f := openflow.Flow{Table: table, Priority: prioConjunction, Match: m}
				have := conjoined[f.String()]
				if have == nil {
					conjoined[f.String()] = &f
					have = &f
				}
				part := openflow.Conjoin(n.Conjunction(r.RemoteGroup, r.Ingress, r.IPv6), 2, 2)
				if !slices.ContainsFunc(have.Actions, func(a openflow.Action) bool { return a.String() == part.String() }) {
					have.Actions = append(have.Actions, part)
				}
			}
		}
	}
	for _, f := range conjoined {
		slices.SortFunc(f.Actions, func(a, b openflow.Action) int { return strings.Compare(a.String(), b.String()) })
		flows = append(flows, *f)
	}
	return flows, reasons
}

// ruleMatches are the matches of a rule for a port, without its remote group. why says that flows
// can't express the rule: then it lets nothing pass.
func ruleMatches(number uint32, r desired.Rule) (matches []openflow.Match, why string) {
	if why := Senseless(r); why != "" {
		return nil, why
	}
	base := openflow.Match{openflow.InReg(RegIn, number)}
	if r.Ingress {
		base = openflow.Match{openflow.InReg(RegOut, number)}
	}
	kind := uint16(openflow.TypeIPv4)
	if r.IPv6 {
		kind = openflow.TypeIPv6
	}
	base = append(base, openflow.EthType(kind))
	if r.RemotePrefix.IsValid() && r.RemotePrefix.Bits() > 0 {
		base = append(base, remote(r.Ingress, r.RemotePrefix))
	}
	if r.Protocol < 0 {
		return []openflow.Match{base}, ""
	}
	base = append(base, openflow.Proto(uint8(r.Protocol)))
	if r.PortMin < 0 {
		return []openflow.Match{base}, ""
	}
	switch r.Protocol {
	case openflow.ProtoICMP, openflow.ProtoICMPv6:
		base = append(base, openflow.ICMPType(r.IPv6, uint8(r.PortMin)))
		if r.PortMax >= 0 {
			base = append(base, openflow.ICMPCode(r.IPv6, uint8(r.PortMax)))
		}
		return []openflow.Match{base}, ""
	case openflow.ProtoTCP, openflow.ProtoUDP, openflow.ProtoSCTP:
		for _, b := range Blocks(uint16(r.PortMin), uint16(r.PortMax)) {
			m := slices.Clone(base)
			if b.Mask != 0 {
				m = append(m, openflow.Transport(uint8(r.Protocol), openflow.DestinationPort, b.Value, b.Mask))
			}
			matches = append(matches, m)
		}
		return matches, ""
	}
	return nil, reason("ports of protocol %d can't be matched by Open vSwitch", r.Protocol)
}

// Senseless says what makes a rule impossible to express, whatever enforces it; "" when nothing does. The server
// lets no such rule in, but a rule that is read wrongly would let in more than it says.
func Senseless(r desired.Rule) string {
	icmp := r.Protocol == openflow.ProtoICMP || r.Protocol == openflow.ProtoICMPv6
	switch {
	case r.Protocol > 255:
		return reason("there is no IP protocol %d", r.Protocol)
	case r.RemotePrefix.IsValid() && r.RemotePrefix.Addr().Is4() == r.IPv6:
		return reason("remote prefix %s is of the other IP version", r.RemotePrefix)
	case r.RemotePrefix.IsValid() && r.RemoteGroup != "":
		return "both a remote prefix and a remote group"
	case r.PortMin < 0 && r.PortMax < 0:
		return ""
	case r.Protocol < 0:
		return "ports without a protocol"
	case icmp && (r.Protocol == openflow.ProtoICMPv6) != r.IPv6:
		return "ICMP types of the other IP version"
	case icmp && (r.PortMin < 0 || r.PortMin > 255 || r.PortMax > 255):
		return reason("ICMP type %d, code %d does not exist", r.PortMin, r.PortMax)
	case !icmp && (r.PortMin < 0 || r.PortMax < r.PortMin || r.PortMax > 65535):
		return reason("ports %d to %d are no range", r.PortMin, r.PortMax)
	}
	return ""
}

// remote matches the far end of a rule.
func remote(ingress bool, p netip.Prefix) openflow.Term {
	if ingress {
		return openflow.From(p)
	}
	return openflow.To(p)
}

// Block is a run of ports that a mask can match.
type Block struct{ Value, Mask uint16 }

// Blocks covers the ports first to last with as few masks as there can be.
func Blocks(first, last uint16) []Block {
	var blocks []Block
	for at, end := uint32(first), uint32(last); at <= end; {
		size := uint32(1)
		for at%(size*2) == 0 && at+size*2-1 <= end {
			size *= 2
		}
		blocks = append(blocks, Block{uint16(at), uint16(0xffff &^ (size - 1))})
		at += size
	}
	return blocks
}

// Use is a way in which rules on this host use a remote group.
type Use struct {
	Group         string
	Ingress, IPv6 bool
}

// Uses lists the remote groups that the groups' rules name.
func Uses(groups map[string]*desired.SecurityGroup) map[Use]bool {
	uses := map[Use]bool{}
	for _, g := range groups {
		for _, r := range g.Rules {
			if r.RemoteGroup != "" {
				uses[Use{r.RemoteGroup, r.Ingress, r.IPv6}] = true
			}
		}
	}
	return uses
}

// Accept are the flows that let a packet pass for which both dimensions of a remote group's
// conjunction hold.
func Accept(u Use, n Numbers) []openflow.Flow {
	table, next, kind := uint8(TableEgress), uint8(TableCommitOut), uint16(openflow.TypeIPv4)
	if u.Ingress {
		table, next = TableIngressRule, TableCommitIn
	}
	if u.IPv6 {
		kind = openflow.TypeIPv6
	}
	return []openflow.Flow{{
		Table: table, Priority: prioConjunction,
		Match:   openflow.Match{openflow.EthType(kind), openflow.Conjunction(n.Conjunction(u.Group, u.Ingress, u.IPv6))},
		Actions: openflow.Actions{openflow.Resubmit(next)},
	}}
}

// Address is the first dimension: the flows of one address that is in all the groups of uses, for
// all their conjunctions at once.
func Address(p netip.Prefix, uses []Use, n Numbers) []openflow.Flow {
	var flows []openflow.Flow
	for _, ingress := range []bool{true, false} {
		var parts openflow.Actions
		for _, u := range uses {
			if u.Ingress == ingress && u.IPv6 == p.Addr().Is6() {
				parts = append(parts, openflow.Conjoin(n.Conjunction(u.Group, u.Ingress, u.IPv6), 1, 2))
			}
		}
		if len(parts) == 0 {
			continue
		}
		slices.SortFunc(parts, func(a, b openflow.Action) int { return strings.Compare(a.String(), b.String()) })
		table := uint8(TableEgress)
		if ingress {
			table = TableIngressRule
		}
		flows = append(flows, openflow.Flow{Table: table, Priority: prioConjunction, Match: openflow.Match{remote(ingress, p)}, Actions: parts})
	}
	return flows
}
