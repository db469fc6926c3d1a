package l2

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"

	"neutrino/address"
	"neutrino/agent/firewall"
	"neutrino/dataplane/openflow"
	"neutrino/desired"
)

// The tables of br-int that are not the firewall's.
const (
	tableClassify = 0  // where a packet comes from: its port and network
	tableRate     = 55 // a port's second limit of what it sends
	tableMark     = 56 // a port's DSCP mark
	tableInner    = 57 // whether a subport's packets have a second tag
	tableLocal    = 58 // the local VLAN of what came from another bridge becomes its network
	tableForward  = firewall.TableForward
	tableFlood    = 82 // the further pieces of long lists of ports
	tableRateIn   = 85 // a port's second limit of what it gets
	tableDeliver  = firewall.TableIngress
)

// The tables of br-tun.
const (
	tunClassify = 0
	tunFromHost = 4  // which host sent it
	tunFromNet  = 5  // which network it is of
	tunTo       = 20 // to which host
	tunFlood    = 22 // to all hosts that have the network
	tunMore     = 23 // the further pieces of long lists of hosts
)

var unspecified = netip.MustParsePrefix("0.0.0.0/32")

// Priorities of what crosses to and from physical networks, as operators know them from the original's
// documents: what is a network's, above what is refused, above the rest of the bridge's traffic.
const (
	prioOut      = 4 // a physical bridge: a network's local VLAN becomes the provider's
	prioIn       = 3 // br-int: the provider's VLAN becomes the network's local VLAN
	prioRefused  = 2 // both: all else between the bridges
	prioOrdinary = 1 // a physical bridge: traffic that is none of ours
)

// base sets the flows that don't depend on ports or networks.
func (m *Manager) base() {
	inside := append(firewall.Base(), openflow.Flow{Table: tableClassify}, openflow.Flow{
		Table: tableLocal, Match: openflow.Match{openflow.Tagged()},
		Actions: openflow.Actions{openflow.MoveBits(openflow.VLANID, openflow.Reg(firewall.RegNetwork), 12), openflow.PopVLAN(),
			openflow.Resubmit(tableForward)},
	})
	for _, bridge := range m.options.Mappings {
		if port := m.facts.patch[peerName("int-", bridge)]; port != 0 {
			inside = append(inside, openflow.Flow{Table: tableClassify, Priority: prioRefused, Match: openflow.Match{openflow.InPort(port)}})
		}
		if port := m.facts.phys[bridge]; port != 0 {
			m.set(bridge, "base", []openflow.Flow{
				{Priority: prioOrdinary, Actions: openflow.Actions{openflow.Normal()}},
				{Priority: prioRefused, Match: openflow.Match{openflow.InPort(port)}},
			})
		}
	}
	m.set(brInt, "base", inside)
	in, out := m.facts.patch[patchInt], uint32(0)
	flows := []openflow.Flow{
		{Table: tunClassify},
		{Table: tunClassify, Priority: 10, Match: openflow.Match{openflow.InPort(in)}, Actions: openflow.Actions{openflow.Resubmit(tunTo)}},
		{Table: tunTo, Priority: 0, Actions: openflow.Actions{openflow.Resubmit(tunFlood)}},
		// Whether an address is in use, its holder must say.
		{Table: tunTo, Priority: 22, Match: openflow.Match{openflow.Multicast(), openflow.EthType(openflow.TypeARP), openflow.ARPSender(unspecified)},
			Actions: openflow.Actions{openflow.Resubmit(tunFlood)}},
	}
	for _, name := range tunnelTypes {
		if out = m.facts.patch[name]; out != 0 {
			flows = append(flows, openflow.Flow{Table: tunClassify, Priority: 10, Match: openflow.Match{openflow.InPort(out)}, Actions: openflow.Actions{openflow.Resubmit(tunFromHost)}})
		}
	}
	if in != 0 {
		m.set(brTun, "base", flows)
	}
}

// hostFlows lets tunnel packets in from another host.
func (m *Manager) hostFlows(h *desired.Host) []openflow.Flow {
	if !m.meets(h) || h.Name == m.options.Host {
		return nil
	}
	return []openflow.Flow{{
		Table: tunFromHost, Priority: 1,
		Match:   openflow.Match{openflow.FromTunnel(h.TunnelIP)},
		Actions: openflow.Actions{openflow.Resubmit(tunFromNet)},
	}}
}

// way is how a network leaves br-int.
type way struct {
	vlan uint16
	out  uint32 // OpenFlow port of the patch to br-tun or a physical bridge; 0: nowhere
}

// localPort is a wired port of this host.
type localPort struct {
	port *desired.Port
	place
	guarded bool
}

// inNetwork matches packets of a network on br-int.
func inNetwork(vlan uint16) openflow.Term {
	return openflow.InReg(firewall.RegNetwork, uint32(vlan))
}

// deliver hands a packet to a port: through the firewall, or straight.
func deliver(p localPort) openflow.Actions {
	switch {
	case p.guarded:
		return openflow.Actions{openflow.SetReg(firewall.RegOut, p.number()), openflow.Resubmit(tableDeliver)}
	case p.tag != 0:
		return openflow.Actions{openflow.SetReg(firewall.RegOut, p.number()), openflow.Resubmit(firewall.TableOut)}
	}
	return openflow.Actions{openflow.Output(p.ofport)}
}

// networkFlows are a network's flows on br-int: in from its way out, flooding, and unknown
// destinations. An address that no port here has leaves by the way out; what comes from there to an
// unknown address goes only to ports that opted out of port security, for the others would drop it.
func networkFlows(n *desired.Network, w way, locals []localPort) []openflow.Flow {
	var flood, open []openflow.Actions
	var tagged openflow.Actions
	for _, p := range locals {
		flood = append(flood, deliver(p))
		if !p.guarded {
			open = append(open, deliver(p))
		}
	}
	var flows []openflow.Flow
	if w.out != 0 {
		tagged = append(openflow.PushVLAN(w.vlan), openflow.Output(w.out))
		flood, open = append(flood, tagged), append(open, tagged)
		enter := openflow.Flow{Table: tableClassify, Priority: prioIn, Match: openflow.Match{openflow.InPort(w.out), openflow.VLAN(w.vlan)}}
		switch n.Type {
		case "flat":
			enter.Match[1] = openflow.Untagged()
			enter.Actions = openflow.PushVLAN(w.vlan)
		case "vlan":
			enter.Match[1] = openflow.VLAN(uint16(n.SegmentationID))
			enter.Actions = openflow.Actions{openflow.SetVLAN(w.vlan)}
		}
		enter.Actions = append(enter.Actions, openflow.Resubmit(tableLocal))
		flows = append(flows, enter)
	}
	flows = append(flows, sharedFlows(w.vlan, locals, tagged)...)
	flows = append(flows, pieces(openflow.Flow{Table: tableForward, Priority: 20, Match: openflow.Match{inNetwork(w.vlan), openflow.Multicast()}},
		tableFlood, w.vlan, 0, flood)...)
	return append(flows, pieces(openflow.Flow{Table: tableForward, Priority: 1, Match: openflow.Match{inNetwork(w.vlan)}},
		tableFlood, w.vlan, 1, open)...)
}

// guards says whether br-int keeps a port to its addresses and security groups.
func (m *Manager) guards(p *desired.Port) bool {
	return p.PortSecurity && !m.options.NoFilter && !m.filteredBefore(p.ID)
}

// localFlows wire a port of this host on br-int.
func (m *Manager) localFlows(state *desired.State, p *desired.Port, n *desired.Network) []openflow.Flow {
	at, vlan := m.placeOf(p), m.vlan(n.ID)
	next, guarded := uint8(tableForward), m.guards(p)
	var flows []openflow.Flow
	if guarded {
		next = firewall.TableSpoof
		groups, _ := groupsOf(state, p)
		var reasons []string
		if flows, reasons = firewall.Port(p, at.number(), groups, m.numbers); len(reasons) > 0 {
			m.log.Warn("rules that can't be applied let nothing pass", "port", p.ID, "reasons", reasons)
		}
	}
	qos := desired.QoSOf(p, n)
	if qos == nil {
		qos = &desired.QoS{}
	}
	further, next := sending(qos, at.number(), next)
	limit, second := m.limits(qos.Egress, at.ofport, false)
	if second != nil {
		further = append(further, openflow.Flow{Table: tableRate, Priority: 1, Match: openflow.Match{openflow.InReg(firewall.RegIn, at.number())},
			Actions: append(second, openflow.Resubmit(next))})
		next = tableRate
	}
	flows = append(flows, further...)
	enter := append(limit, openflow.SetReg(firewall.RegIn, at.number()), openflow.SetReg(firewall.RegNetwork, uint32(vlan)))
	if at.tag != 0 {
		flows = append(flows, subPortFlows(at, next)...)
		enter, next = append(enter, openflow.PopVLAN()), tableInner
	}
	flows = append(flows, openflow.Flow{Table: tableClassify, Priority: 100, Match: at.enter(), Actions: append(enter, openflow.Resubmit(next))})
	way := deliver(localPort{p, at, guarded})
	limit, second = m.limits(qos.Ingress, at.ofport, true)
	if second != nil {
		flows = append(flows, openflow.Flow{Table: tableRateIn, Priority: 1, Match: openflow.Match{openflow.InReg(firewall.RegOut, at.number())},
			Actions: append(second, way...)})
		way = openflow.Actions{openflow.SetReg(firewall.RegOut, at.number()), openflow.Resubmit(tableRateIn)}
	}
	return append(flows, openflow.Flow{
		Table: tableForward, Priority: 10,
		Match:   openflow.Match{inNetwork(vlan), openflow.Dst(p.MAC)},
		Actions: append(limit, way...),
	})
}

// sharedFlows deliver packets to addresses that ports may use besides their own: such an address
// (of VRRP, say) wanders between ports, so all of them get its packets, and other hosts too. An
// address that is some port's own is that port's, by priority.
func sharedFlows(vlan uint16, locals []localPort, out openflow.Actions) []openflow.Flow {
	var flows []openflow.Flow
	holders := map[address.MAC][]openflow.Actions{}
	for _, p := range locals {
		for _, mac := range firewall.MACs(p.port)[1:] {
			holders[mac] = append(holders[mac], deliver(p))
		}
	}
	list := uint8(1)
	for _, mac := range slices.SortedFunc(maps.Keys(holders), func(a, b address.MAC) int { return bytes.Compare(a[:], b[:]) }) {
		if len(holders[mac]) >= perFlow {
			list++
		}
		first := openflow.Flow{Table: tableForward, Priority: 9, Match: openflow.Match{inNetwork(vlan), openflow.Dst(mac)}}
		flows = append(flows, pieces(first, tableFlood, vlan, list, append(holders[mac], out))...)
	}
	return flows
}

// awayFlows send what is for a port of another host out of br-int, and to nobody here: no port here is to read it, and
// copies for those that opted out of port security (routers and DHCP among them) cost a tunnel a quarter more.
func awayFlows(p *desired.Port, w way) []openflow.Flow {
	if w.out == 0 || w.vlan == 0 {
		return nil
	}
	return []openflow.Flow{{
		Table: tableForward, Priority: 8,
		Match:   openflow.Match{inNetwork(w.vlan), openflow.Dst(p.MAC)},
		Actions: append(openflow.PushVLAN(w.vlan), openflow.Output(w.out)),
	}}
}

// tunnelFlows are a network's flows on br-tun: in by its number, and flooding to the hosts that have it.
func tunnelFlows(n *desired.Network, vlan uint16, hosts []netip.Addr, tunnel, patch uint32) []openflow.Flow {
	number := uint64(n.SegmentationID)
	if tunnel == 0 || patch == 0 {
		return nil
	}
	flows := []openflow.Flow{{
		Table: tunFromNet, Priority: 1,
		Match:   openflow.Match{openflow.InTunnel(number), openflow.InPort(tunnel)},
		Actions: append(openflow.PushVLAN(vlan), openflow.Output(patch)),
	}}
	if len(hosts) == 0 {
		return flows
	}
	each := []openflow.Actions{{openflow.PopVLAN(), openflow.SetTunnel(number)}}
	for _, ip := range hosts {
		each = append(each, openflow.Actions{toHost(ip), openflow.Output(tunnel)})
	}
	return append(flows, pieces(openflow.Flow{Table: tunFlood, Priority: 1, Match: openflow.Match{openflow.VLAN(vlan)}}, tunMore, vlan, 0, each)...)
}

// toHost names the host that a tunnel packet goes to.
func toHost(ip netip.Addr) openflow.Action {
	if ip.Is4() {
		return openflow.SetIP(openflow.TunDst, ip)
	}
	return openflow.SetIP(openflow.TunDst6, ip)
}

// remoteFlows are the flows on br-tun for a port of another host: packets to it go to its host only,
// ARP for its addresses is answered here, and neighbour solicitations go to its host only.
func remoteFlows(p *desired.Port, vlan uint16, number uint64, host netip.Addr, tunnel uint32) []openflow.Flow {
	if tunnel == 0 || vlan == 0 {
		return nil
	}
	in := openflow.VLAN(vlan)
	there := openflow.Actions{openflow.PopVLAN(), openflow.SetTunnel(number), toHost(host), openflow.Output(tunnel)}
	var flows []openflow.Flow
	flows = append(flows, openflow.Flow{Table: tunTo, Priority: 10, Match: openflow.Match{in, openflow.Dst(p.MAC)}, Actions: there})
	for _, f := range p.FixedIPs {
		whole := netip.PrefixFrom(f.IP, f.IP.BitLen())
		if f.IP.Is4() {
			flows = append(flows, openflow.Flow{
				Table: tunTo, Priority: 20,
				Match: openflow.Match{in, openflow.Multicast(), openflow.EthType(openflow.TypeARP), openflow.ARPOperation(1), openflow.ARPTarget(whole)},
				Actions: openflow.Actions{
					openflow.Move(openflow.EthSrc, openflow.EthDst), openflow.SetMAC(openflow.EthSrc, p.MAC), openflow.SetNumber(openflow.ARPOp, 2),
					openflow.Move(openflow.ARPSHA, openflow.ARPTHA), openflow.Move(openflow.ARPSPA, openflow.ARPTPA),
					openflow.SetMAC(openflow.ARPSHA, p.MAC), openflow.SetIP(openflow.ARPSPA, f.IP), openflow.OutputInPort(),
				},
			}, openflow.Flow{ // the address is announced, not asked for: everybody must hear that
				Table: tunTo, Priority: 21,
				Match:   openflow.Match{in, openflow.Multicast(), openflow.EthType(openflow.TypeARP), openflow.ARPSender(whole), openflow.ARPTarget(whole)},
				Actions: openflow.Actions{openflow.Resubmit(tunFlood)},
			})
			continue
		}
		flows = append(flows, openflow.Flow{
			Table: tunTo, Priority: 20,
			Match: openflow.Match{in, openflow.Multicast(), openflow.EthType(openflow.TypeIPv6), openflow.Proto(openflow.ProtoICMPv6),
				openflow.ICMPType(true, 135), openflow.NDTarget(whole)},
			Actions: there,
		})
	}
	return flows
}

// physicalFlows let a network out onto its physical network: the local VLAN becomes the provider's,
// or none.
func physicalFlows(n *desired.Network, vlan uint16, patch uint32) []openflow.Flow {
	if patch == 0 {
		return nil
	}
	change := openflow.PopVLAN()
	if n.Type == "vlan" {
		change = openflow.SetVLAN(uint16(n.SegmentationID))
	}
	return []openflow.Flow{{
		Priority: prioOut,
		Match:    openflow.Match{openflow.InPort(patch), openflow.VLAN(vlan)},
		Actions:  openflow.Actions{change, openflow.Normal()},
	}}
}
