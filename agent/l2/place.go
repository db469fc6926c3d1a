package l2

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"neutrino/agent/firewall"
	"neutrino/dataplane/openflow"
	"neutrino/dataplane/ovsdb"
	"neutrino/desired"
)

// place is where a port is on br-int: at an OpenFlow port, and if it is a trunk's subport behind a VLAN of it.
type place struct {
	ofport uint32
	tag    uint16 // 0: what has no tag
}

// number names the port in registers. OpenFlow's numbers of ports have 16 bits; a subport's has its tag above them.
func (p place) number() uint32 { return uint32(p.tag)<<16 | p.ofport }

// interfaceOf is the interface that a port is on: its own, or that of the trunk's parent port.
func (m *Manager) interfaceOf(p *desired.Port) (iface ovsdb.Port, tag uint16, plugged bool) {
	id := p.ID
	if p.SubPort != nil {
		id, tag = p.SubPort.Parent, p.SubPort.VLAN
	}
	iface, plugged = m.facts.ports[id]
	return iface, tag, plugged
}

// placeOf is where a port is that is plugged.
func (m *Manager) placeOf(p *desired.Port) place {
	iface, tag, _ := m.interfaceOf(p)
	return place{uint32(iface.OFPort), tag}
}

// enter matches what a port sends.
func (p place) enter() openflow.Match {
	if p.tag != 0 {
		return openflow.Match{openflow.InPort(p.ofport), openflow.VLAN(p.tag)}
	}
	return openflow.Match{openflow.InPort(p.ofport), openflow.Untagged()} // a tag would reach the physical network
}

// subPortFlows take a subport's tag away and put it on. next is where its packets go on: those without a second tag,
// which would reach the physical network.
func subPortFlows(p place, next uint8) []openflow.Flow {
	from, to := openflow.InReg(firewall.RegIn, p.number()), openflow.InReg(firewall.RegOut, p.number())
	flows := []openflow.Flow{{Table: tableInner, Priority: 1, Match: openflow.Match{from, openflow.Untagged()}, Actions: openflow.Actions{openflow.Resubmit(next)}}}
	for _, tagged := range []uint16{openflow.TypeVLAN, openflow.TypeQinQ} { // a switch that looks at one tag only sees a second one so
		flows = append(flows, openflow.Flow{Table: tableInner, Priority: 2, Match: openflow.Match{from, openflow.EthType(tagged)}})
	}
	out := func(way openflow.Action) openflow.Actions { // what comes after it in a list of ports must find the packet as it was
		return append(openflow.PushVLAN(p.tag), way, openflow.PopVLAN())
	}
	return append(flows,
		openflow.Flow{Table: firewall.TableOut, Priority: 3, Match: openflow.Match{to, from}}, // a flooded packet is not for the one who sent it
		openflow.Flow{Table: firewall.TableOut, Priority: 2, Match: openflow.Match{to, openflow.InPort(p.ofport)}, Actions: out(openflow.OutputInPort())},
		openflow.Flow{Table: firewall.TableOut, Priority: 1, Match: openflow.Match{to}, Actions: out(openflow.Output(p.ofport))})
}

// subPortsOf are the ports of this host that trunks carry, by their parent port.
func (m *Manager) subPortsOf(state *desired.State) map[string][]*desired.Port {
	out := map[string][]*desired.Port{}
	for _, p := range state.Ports {
		if p.SubPort != nil && p.Host == m.options.Host {
			out[p.SubPort.Parent] = append(out[p.SubPort.Parent], p)
		}
	}
	return out
}

// carriedKey of a parent port's other_config has the networks of its subports with their local VLANs: "NETWORK=5 …".
const carriedKey = "neutrino_carried"

// carried writes what a parent port carries; "" for nothing.
func (m *Manager) carried(subports []*desired.Port) string {
	vlans := map[string]uint16{}
	for _, p := range subports {
		if vlan := m.vlans[p.NetworkID]; vlan != 0 {
			vlans[p.NetworkID] = vlan
		}
	}
	words := make([]string, 0, len(vlans))
	for _, network := range slices.Sorted(maps.Keys(vlans)) {
		words = append(words, fmt.Sprintf("%s=%d", network, vlans[network]))
	}
	return strings.Join(words, " ")
}

// adoptCarried takes over the local VLANs that a parent port's subports had.
func (m *Manager) adoptCarried(state *desired.State, text string) {
	for _, word := range strings.Fields(text) {
		network, number, _ := strings.Cut(word, "=")
		vlan, err := strconv.ParseUint(number, 10, 16)
		if err == nil && vlan > 0 && vlan < 4095 {
			m.adopt(state, network, uint16(vlan))
		}
	}
}
