package l2

import (
	"net/netip"

	"neutrino/address"
	"neutrino/agent/firewall"
	"neutrino/dataplane/openflow"
	"neutrino/desired"
)

// The tables of br-int that are not the firewall's.
const (
	tableClassify = 0 // where a packet comes from: its port and network
	tableForward  = firewall.TableForward
	tableDeliver  = firewall.TableIngress
)

// The tables of br-tun.
const (
	tunClassify = 0
	tunFromHost = 4  // which host sent it
	tunFromNet  = 5  // which network it is of
	tunTo       = 20 // to which host
	tunFlood    = 22 // to all hosts that have the network
)

var unspecified = netip.MustParsePrefix("0.0.0.0/32")

// base sets the flows that don't depend on ports or networks.
func (m *Manager) base() {
	m.set(brInt, "base", append(firewall.Base(), openflow.Flow{Table: tableClassify}))
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
	for _, bridge := range m.options.Mappings {
		if port := m.facts.phys[bridge]; port != 0 {
			m.set(bridge, "base", []openflow.Flow{{Priority: 2, Match: openflow.Match{openflow.InPort(port)}}})
		}
	}
}

// hostFlows lets tunnel packets in from another host.
func hostFlows(h *desired.Host, self string) []openflow.Flow {
	if h == nil || h.Name == self || !h.TunnelIP.Is4() {
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
	port   *desired.Port
	ofport uint32
}

// inNetwork matches packets of a network on br-int.
func inNetwork(vlan uint16) openflow.Term {
	return openflow.InReg(firewall.RegNetwork, uint32(vlan))
}

// deliver hands a packet to a port: through the firewall, or straight.
func deliver(p localPort) openflow.Actions {
	if !p.port.PortSecurity {
		return openflow.Actions{openflow.Output(p.ofport)}
	}
	return openflow.Actions{openflow.SetReg(firewall.RegOut, p.ofport), openflow.Resubmit(tableDeliver)}
}

// networkFlows are a network's flows on br-int: in from its way out, flooding, and unknown
// destinations. An address that no port here has leaves by the way out; what comes from there to an
// unknown address goes only to ports that opted out of port security, for the others would drop it.
func networkFlows(n *desired.Network, w way, locals []localPort) []openflow.Flow {
	var flood, open, tagged openflow.Actions
	for _, p := range locals {
		flood = append(flood, deliver(p)...)
		if !p.port.PortSecurity {
			open = append(open, deliver(p)...)
		}
	}
	var flows []openflow.Flow
	if w.out != 0 {
		tagged = append(openflow.PushVLAN(w.vlan), openflow.Output(w.out))
		flood, open = append(flood, tagged...), append(open, tagged...)
		enter := openflow.Flow{Table: tableClassify, Priority: 100, Match: openflow.Match{openflow.InPort(w.out), openflow.VLAN(w.vlan)}}
		switch n.Type {
		case "flat":
			enter.Match[1] = openflow.Untagged()
		case "vlan":
			enter.Match[1] = openflow.VLAN(uint16(n.SegmentationID))
		}
		if n.Type != "flat" {
			enter.Actions = openflow.Actions{openflow.PopVLAN()}
		}
		enter.Actions = append(enter.Actions, openflow.SetReg(firewall.RegNetwork, uint32(w.vlan)), openflow.Resubmit(tableForward))
		flows = append(flows, enter)
	}
	flows = append(flows, sharedFlows(w.vlan, locals, tagged)...)
	return append(flows,
		openflow.Flow{Table: tableForward, Priority: 20, Match: openflow.Match{inNetwork(w.vlan), openflow.Multicast()}, Actions: flood},
		openflow.Flow{Table: tableForward, Priority: 1, Match: openflow.Match{inNetwork(w.vlan)}, Actions: open})
}

// localFlows wire a port of this host on br-int.
func (m *Manager) localFlows(state *desired.State, p *desired.Port, n *desired.Network) []openflow.Flow {
	ofport, vlan := uint32(m.facts.ports[p.ID].OFPort), m.vlan(n.ID)
	next := uint8(tableForward)
	var flows []openflow.Flow
	if p.PortSecurity {
		next = firewall.TableSpoof
		groups, _ := groupsOf(state, p)
		var reasons []string
		if flows, reasons = firewall.Port(p, ofport, groups, m.numbers); len(reasons) > 0 {
			m.log.Warn("rules that can't be applied let nothing pass", "port", p.ID, "reasons", reasons)
		}
	}
	flows = append(flows, openflow.Flow{
		Table: tableClassify, Priority: 100,
		Match: openflow.Match{openflow.InPort(ofport), openflow.Untagged()}, // a tag would reach the physical network
		Actions: openflow.Actions{openflow.SetReg(firewall.RegIn, ofport), openflow.SetReg(firewall.RegNetwork, uint32(vlan)),
			openflow.Resubmit(next)},
	})
	return append(flows, openflow.Flow{
		Table: tableForward, Priority: 10,
		Match:   openflow.Match{inNetwork(vlan), openflow.Dst(p.MAC)},
		Actions: deliver(localPort{p, ofport}),
	})
}

// sharedFlows deliver packets to addresses that ports may use besides their own: such an address
// (of VRRP, say) wanders between ports, so all of them get its packets, and other hosts too. An
// address that is some port's own is that port's, by priority.
func sharedFlows(vlan uint16, locals []localPort, out openflow.Actions) []openflow.Flow {
	var flows []openflow.Flow
	holders := map[address.MAC]openflow.Actions{}
	for _, p := range locals {
		for _, mac := range firewall.MACs(p.port)[1:] {
			holders[mac] = append(holders[mac], deliver(p)...)
		}
	}
	for mac, actions := range holders {
		flows = append(flows, openflow.Flow{
			Table: tableForward, Priority: 9,
			Match:   openflow.Match{inNetwork(vlan), openflow.Dst(mac)},
			Actions: append(actions, out...),
		})
	}
	return flows
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
	actions := openflow.Actions{openflow.PopVLAN(), openflow.SetTunnel(number)}
	for _, ip := range hosts {
		actions = append(actions, openflow.SetIP(openflow.TunDst, ip), openflow.Output(tunnel))
	}
	return append(flows, openflow.Flow{Table: tunFlood, Priority: 1, Match: openflow.Match{openflow.VLAN(vlan)}, Actions: actions})
}

// remoteFlows are the flows on br-tun for a port of another host: packets to it go to its host only,
// ARP for its addresses is answered here, and neighbour solicitations go to its host only.
func remoteFlows(p *desired.Port, vlan uint16, number uint64, host netip.Addr, tunnel uint32) []openflow.Flow {
	if tunnel == 0 || vlan == 0 {
		return nil
	}
	in := openflow.VLAN(vlan)
	there := openflow.Actions{openflow.PopVLAN(), openflow.SetTunnel(number), openflow.SetIP(openflow.TunDst, host), openflow.Output(tunnel)}
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
		Priority: 4,
		Match:    openflow.Match{openflow.InPort(patch), openflow.VLAN(vlan)},
		Actions:  openflow.Actions{change, openflow.Normal()},
	}}
}
