package firewalltest

import (
	"fmt"
	"net/netip"
	"strconv"

	"neutrino/address"
	"neutrino/desired"
)

// HostName is the host that ports of Port are bound to.
const HostName = "host-a"

// Network is a network in VXLAN tunnels.
func Network(id string, vni int) *desired.Network {
	return &desired.Network{ID: id, Type: "vxlan", SegmentationID: vni, AdminStateUp: true, MTU: 1450}
}

// MAC is the address of port number n.
func MAC(n int) address.MAC { return address.MAC{0xfa, 0x16, 0x3e, 0, byte(n >> 8), byte(n)} }

// IP4 is 10.0.0.n.
func IP4(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) }

// IP6 is fd00::n.
func IP6(n int) netip.Addr {
	return netip.MustParseAddr("fd00::" + strconv.FormatInt(int64(n), 16))
}

// Port is port number n of a network: MAC(n), IP4(n), IP6(n).
func Port(id, network string, n int, groups ...string) *desired.Port {
	return &desired.Port{
		ID: id, NetworkID: network, Host: HostName, MAC: MAC(n), AdminStateUp: true, VNICType: "normal", PortSecurity: true,
		FixedIPs: []desired.FixedIP{{IP: IP4(n)}, {IP: IP6(n)}}, SecurityGroups: groups, Revision: 1,
	}
}

// Group is a stateful group with all going out, and these further rules.
func Group(id string, rules ...desired.Rule) *desired.SecurityGroup {
	g := &desired.SecurityGroup{ID: id, Stateful: true, Rules: []desired.Rule{Egress(false), Egress(true)}}
	g.Rules = append(g.Rules, rules...)
	for i := range g.Rules {
		g.Rules[i].ID = fmt.Sprintf("%s-%d", id, i)
	}
	return g
}

// Egress lets all of an IP version out.
func Egress(v6 bool) desired.Rule {
	return desired.Rule{IPv6: v6, Protocol: -1, PortMin: -1, PortMax: -1}
}

// TCPIn lets TCP in.
func TCPIn(first, last int) desired.Rule {
	return desired.Rule{Ingress: true, Protocol: 6, PortMin: first, PortMax: last}
}

// AnyFrom lets all of IPv4 in from a group's members.
func AnyFrom(group string) desired.Rule {
	return desired.Rule{Ingress: true, Protocol: -1, PortMin: -1, PortMax: -1, RemoteGroup: group}
}

// Member is a port's membership in a group.
func Member(group string, p *desired.Port) *desired.Member {
	m := &desired.Member{GroupID: group, PortID: p.ID}
	for _, f := range p.FixedIPs {
		m.Addresses = append(m.Addresses, netip.PrefixFrom(f.IP, f.IP.BitLen()))
	}
	return m
}
