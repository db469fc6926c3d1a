// Package firewall turns security groups and port security into flows of br-int. It is pure.
//
// A packet from a port with port security enters at TableSpoof with its port's number in reg5 and its
// network in reg6; what may pass goes on to TableForward. A packet towards such a port enters at
// TableIngress with that port's number in reg7, and goes on to TableOut. A port's number is its OpenFlow port;
// subports of trunks have numbers that are no OpenFlow ports.
//
// Stateful: every packet in a connection's original direction must meet a rule, replies and related
// packets pass because the connection is known. So a connection whose rule is gone is cut: its next
// forward packet meets no rule, and marks the connection, and replies in a marked connection do not
// pass. A rule that comes back takes the mark away.
package firewall

import (
	"fmt"
	"net/netip"

	"neutrino/address"
	"neutrino/dataplane/openflow"
	"neutrino/desired"
)

// The tables of br-int that the firewall uses, and those that it goes on to.
const (
	TableSpoof       = 60 // who a packet claims to be
	TableTrackOut    = 65 // the connection tracker, for packets from ports
	TableEgress      = 70 // rules for packets from ports
	TableCommitOut   = 73 // new connections are noted
	TableForward     = 80 // where to (the l2 room's)
	TableIngress     = 90 // the connection tracker, for packets to ports
	TableIngressRule = 91 // rules for packets to ports
	TableCommitIn    = 92 // new connections are noted
	TableOut         = 95 // out to the port
)

// The registers.
const (
	RegIn      = 5 // number of the port that the packet came from; 0: from no port of the host
	RegNetwork = 6 // local VLAN of its network; also the connection tracker's zone
	RegOut     = 7 // number of the port that it goes to
)

// Priorities in the rule tables.
const (
	prioInvalid     = 110
	prioCut         = 105
	prioKnown       = 100
	prioRule        = 70
	prioConjunction = 60
	prioRefused     = 40
)

// The connection marks: whether the last forward packet met a rule.
const (
	markAllowed = 0
	markCut     = 1
)

// Base are the flows that all ports share.
func Base() []openflow.Flow {
	zone := openflow.Reg(RegNetwork)
	tracked := uint32(openflow.CTTracked)
	mark := func(n uint32) openflow.Action {
		return openflow.CT(openflow.CTOptions{Commit: true, Reg: zone, Table: 255, Mark: &n})
	}
	var flows []openflow.Flow
	for _, side := range []struct {
		rules, commit uint8
		accept        openflow.Actions
	}{
		{TableEgress, TableCommitOut, openflow.Actions{openflow.Resubmit(TableForward)}},
		{TableIngressRule, TableCommitIn, openflow.Actions{openflow.Resubmit(TableOut)}},
	} {
		flows = append(flows,
			openflow.Flow{Table: side.rules, Priority: prioInvalid, Match: openflow.Match{openflow.CTState(tracked|openflow.CTInvalid, 0)}},
			openflow.Flow{Table: side.rules, Priority: prioCut, Match: openflow.Match{openflow.CTState(tracked|openflow.CTReply, 0), openflow.Marked(markCut)}},
			openflow.Flow{Table: side.rules, Priority: prioCut, Match: openflow.Match{openflow.CTState(tracked|openflow.CTRelated, 0), openflow.Marked(markCut)}},
			openflow.Flow{Table: side.rules, Priority: prioKnown, Match: openflow.Match{openflow.CTState(tracked|openflow.CTEstablished|openflow.CTReply, openflow.CTInvalid)}, Actions: side.accept},
			openflow.Flow{Table: side.rules, Priority: prioKnown, Match: openflow.Match{openflow.CTState(tracked|openflow.CTRelated, openflow.CTInvalid|openflow.CTNew)}, Actions: side.accept},
		)
		for _, t := range []uint16{openflow.TypeIPv4, openflow.TypeIPv6} {
			flows = append(flows, openflow.Flow{
				Table: side.commit, Priority: 10,
				Match:   openflow.Match{openflow.EthType(t), openflow.CTState(tracked|openflow.CTNew, 0)},
				Actions: append(openflow.Actions{openflow.CT(openflow.CTOptions{Commit: true, Reg: zone, Table: 255})}, side.accept...),
			}, openflow.Flow{
				Table: side.commit, Priority: 20,
				Match:   openflow.Match{openflow.EthType(t), openflow.CTState(tracked|openflow.CTEstablished, 0), openflow.Marked(markCut)},
				Actions: append(openflow.Actions{mark(markAllowed)}, side.accept...),
			}, openflow.Flow{
				Table: side.rules, Priority: prioRefused,
				Match:   openflow.Match{openflow.EthType(t), openflow.CTState(tracked|openflow.CTEstablished, openflow.CTReply|openflow.CTInvalid)},
				Actions: openflow.Actions{mark(markCut)},
			})
		}
		flows = append(flows, openflow.Flow{Table: side.commit, Priority: 0, Actions: side.accept})
	}
	return append(flows, openflow.Flow{Table: TableOut, Actions: openflow.Actions{openflow.OutputReg(RegOut)}})
}

// Numbers gives the number of a remote group's conjunction.
type Numbers interface {
	Conjunction(group string, ingress, ipv6 bool) uint32
}

// Port makes the flows of a port with port security. groups are its security groups that are
// known; a group that is not lets nothing pass. reasons says what could not be turned into flows.
func Port(p *desired.Port, number uint32, groups []*desired.SecurityGroup, n Numbers) (flows []openflow.Flow, reasons []string) {
	stateful := true
	for _, g := range groups {
		stateful = stateful && g.Stateful
	}
	flows = spoof(p, number)
	flows = append(flows, track(number, stateful)...)
	flows = append(flows, needed(number)...)
	rules, reasons := rules(number, groups, n)
	return append(flows, rules...), reasons
}

// Identity is a source that a port may use.
type Identity struct {
	MAC    address.MAC
	Prefix netip.Prefix
}

// Identities are a port's fixed addresses, the link-local addresses of all its MACs, and the allowed pairs; each once.
func Identities(p *desired.Port) []Identity {
	seen := map[Identity]bool{}
	var ids []Identity
	add := func(id Identity) {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	linkLocal := func(m address.MAC) { add(Identity{m, netip.PrefixFrom(m.LinkLocal(), 128)}) }
	for _, f := range p.FixedIPs {
		add(Identity{p.MAC, netip.PrefixFrom(f.IP, f.IP.BitLen())})
	}
	linkLocal(p.MAC)
	for _, pair := range p.AddressPairs {
		add(Identity{pair.MAC, pair.IP})
		linkLocal(pair.MAC)
	}
	return ids
}

// MACs are the source addresses that a port may use, its own first.
func MACs(p *desired.Port) []address.MAC {
	macs := []address.MAC{p.MAC}
	for _, pair := range p.AddressPairs {
		known := false
		for _, m := range macs {
			known = known || m == pair.MAC
		}
		if !known {
			macs = append(macs, pair.MAC)
		}
	}
	return macs
}

var (
	noIPv4 = netip.MustParsePrefix("0.0.0.0/32")
	noIPv6 = netip.MustParsePrefix("::/128")
)

// spoof lets a port's packets pass only under its own addresses, and lets it do what an instance
// must do before it has one. All else from the port meets no flow, and is dropped.
func spoof(p *desired.Port, number uint32) []openflow.Flow {
	var flows []openflow.Flow
	in := openflow.InReg(RegIn, number)
	pass := openflow.Actions{openflow.Resubmit(TableForward)}
	check := openflow.Actions{openflow.Resubmit(TableTrackOut)}
	add := func(priority uint16, actions openflow.Actions, terms ...openflow.Term) {
		flows = append(flows, openflow.Flow{Table: TableSpoof, Priority: priority, Match: append(openflow.Match{in}, terms...), Actions: actions})
	}
	transport := func(t uint16, from, to uint16) []openflow.Term {
		return []openflow.Term{openflow.EthType(t), openflow.Proto(openflow.ProtoUDP),
			openflow.Transport(openflow.ProtoUDP, openflow.SourcePort, from, 0xffff), openflow.Transport(openflow.ProtoUDP, openflow.DestinationPort, to, 0xffff)}
	}
	icmp6 := func(kind uint8) []openflow.Term {
		return []openflow.Term{openflow.EthType(openflow.TypeIPv6), openflow.Proto(openflow.ProtoICMPv6), openflow.ICMPType(true, kind)}
	}
	// No DHCP server, no router.
	add(96, nil, transport(openflow.TypeIPv4, 67, 68)...)
	add(96, nil, transport(openflow.TypeIPv6, 547, 546)...)
	add(96, nil, icmp6(134)...)
	add(96, nil, icmp6(137)...)

	for _, m := range MACs(p) {
		src := openflow.Src(m)
		add(95, pass, append(transport(openflow.TypeIPv4, 68, 67), src, openflow.From(noIPv4))...)
		add(95, pass, openflow.EthType(openflow.TypeARP), src, openflow.ARPSenderMAC(m), openflow.ARPSender(noIPv4))
		// Duplicate address detection and multicast listening, before there is an address.
		for _, kind := range []uint8{133, 135, 131, 132, 143} {
			terms := append(icmp6(kind), src, openflow.From(noIPv6))
			if kind == 135 {
				terms = append(terms, openflow.NDSourceMAC(address.MAC{}))
			}
			add(95, pass, terms...)
		}
	}
	for _, id := range Identities(p) {
		src, from := openflow.Src(id.MAC), openflow.From(id.Prefix)
		if id.Prefix.Addr().Is4() {
			add(95, pass, append(transport(openflow.TypeIPv4, 68, 67), src, from)...)
			add(95, pass, openflow.EthType(openflow.TypeARP), src, openflow.ARPSenderMAC(id.MAC), openflow.ARPSender(id.Prefix))
			add(65, check, src, from)
			continue
		}
		add(95, pass, append(transport(openflow.TypeIPv6, 546, 547), src, from)...)
		for _, kind := range []uint8{133, 131, 132, 143} {
			add(95, pass, append(icmp6(kind), src, from)...)
		}
		for _, option := range []address.MAC{id.MAC, {}} { // the option is there, or is not
			add(95, pass, append(icmp6(135), src, from, openflow.NDSourceMAC(option))...)
			add(95, pass, append(icmp6(136), src, openflow.NDTarget(id.Prefix), openflow.NDTargetMAC(option))...)
		}
		add(94, nil, append(icmp6(135), src, from)...) // any other solicitation or advertisement is a lie
		add(65, check, src, from)
	}
	add(94, nil, icmp6(136)...)
	return flows
}

// track sends a port's IP packets, in both directions, through the connection tracker, or past it
// for stateless groups.
func track(number uint32, stateful bool) []openflow.Flow {
	var flows []openflow.Flow
	for _, t := range []uint16{openflow.TypeIPv4, openflow.TypeIPv6} {
		out := openflow.Actions{openflow.Resubmit(TableEgress)}
		// What the tracker said for the sender's port, when that is on this host, must not count here.
		in := openflow.Actions{openflow.CTClear(), openflow.Resubmit(TableIngressRule)}
		if stateful {
			zone := openflow.Reg(RegNetwork)
			out = openflow.Actions{openflow.CT(openflow.CTOptions{Reg: zone, Table: TableEgress})}
			in = openflow.Actions{openflow.CT(openflow.CTOptions{Reg: zone, Table: TableIngressRule})}
		}
		flows = append(flows,
			openflow.Flow{Table: TableTrackOut, Priority: 50, Match: openflow.Match{openflow.InReg(RegIn, number), openflow.EthType(t)}, Actions: out},
			openflow.Flow{Table: TableIngress, Priority: 50, Match: openflow.Match{openflow.InReg(RegOut, number), openflow.EthType(t)}, Actions: in})
	}
	return flows
}

// needed lets in what an instance can't live without, whatever its groups say.
func needed(number uint32) []openflow.Flow {
	out := openflow.InReg(RegOut, number)
	deliver := openflow.Actions{openflow.Resubmit(TableOut)}
	flows := []openflow.Flow{
		// A flooded packet is not for the one who sent it.
		{Table: TableIngress, Priority: 200, Match: openflow.Match{out, openflow.InReg(RegIn, number)}},
		{Table: TableIngress, Priority: 100, Match: openflow.Match{out, openflow.EthType(openflow.TypeARP)}, Actions: deliver},
	}
	for _, s := range []struct{ t, from, to uint16 }{{openflow.TypeIPv4, 67, 68}, {openflow.TypeIPv6, 547, 546}} {
		flows = append(flows, openflow.Flow{Table: TableIngress, Priority: 95, Match: openflow.Match{out, openflow.EthType(s.t), openflow.Proto(openflow.ProtoUDP),
			openflow.Transport(openflow.ProtoUDP, openflow.SourcePort, s.from, 0xffff), openflow.Transport(openflow.ProtoUDP, openflow.DestinationPort, s.to, 0xffff)}, Actions: deliver})
	}
	for _, kind := range []uint8{130, 134, 135, 136} {
		flows = append(flows, openflow.Flow{Table: TableIngress, Priority: 100, Match: openflow.Match{out, openflow.EthType(openflow.TypeIPv6),
			openflow.Proto(openflow.ProtoICMPv6), openflow.ICMPType(true, kind)}, Actions: deliver})
	}
	return flows
}

func reason(format string, args ...any) string { return fmt.Sprintf(format, args...) }
