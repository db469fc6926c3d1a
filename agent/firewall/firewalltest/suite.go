// Package firewalltest is what every firewall driver must pass: frames that instances send, and whom they reach.
package firewalltest

import (
	"net/netip"
	"testing"

	"neutrino/address"
	"neutrino/desired"
)

// Host is a host whose ports a driver keeps to their rules. All its methods fail the test when they can't be done.
type Host interface {
	// Apply puts items, and brings the host there.
	Apply(items ...desired.Item)

	// Remove deletes items, and brings the host there.
	Remove(keys ...desired.Key)

	// Plug makes the instances of ports, and returns when they are wired.
	Plug(ports ...string)

	// Reaches lets an instance send a frame, and fails the test unless exactly these others get it.
	Reaches(what, from string, frame []byte, want ...string)
}

// The ports of the suite, numbers 1, 2 and 3, and their MACs.
const (
	A = "aaaaaaaaaaa"
	B = "bbbbbbbbbbb"
	C = "ccccccccccc"
)

var (
	macA, macB, macC = MAC(1), MAC(2), MAC(3)
	none             = netip.MustParseAddr("0.0.0.0")
	none6            = netip.MustParseAddr("::")
)

// Run tests a driver.
func Run(t *testing.T, newHost func(t *testing.T) Host) {
	for name, story := range map[string]func(t *testing.T, h Host){
		"Spoofing": spoofing, "Rules": rules, "Protocols": protocols, "Remotes": remotes, "Stateless": stateless, "SharedMAC": sharedMAC, "Open": open,
	} {
		t.Run(name, func(t *testing.T) { story(t, newHost(t)) })
	}
}

// three is a network with ports a, b and c; c is not in the group that b lets in.
func three(h Host) *desired.Port {
	a := Port(A, "net", 1, "friends")
	h.Apply(Network("net", 100), a, Port(B, "net", 2, "inside"), Port(C, "net", 3, "others"),
		Group("friends"), Group("others"), Group("inside", TCPIn(80, 83), AnyFrom("friends")), Member("friends", a))
	h.Plug(A, B, C)
	return a
}

func spoofing(_ *testing.T, h Host) {
	three(h)
	ff := address.MAC{0x33, 0x33, 0, 0, 0, 1}
	all := netip.MustParseAddr("ff02::1")
	bogus := MAC(0x99)
	for name, c := range map[string]struct {
		frame []byte
		want  []string
	}{
		"its own UDP":               {UDP(macA, macB, IP4(1), IP4(2), 1, 2), []string{B}},
		"another's MAC":             {UDP(macC, macB, IP4(1), IP4(2), 1, 2), nil},
		"another's IPv4":            {UDP(macA, macB, IP4(3), IP4(2), 1, 2), nil},
		"another's IPv6":            {UDP(macA, macB, IP6(3), IP6(2), 1, 2), nil},
		"its own ARP":               {ARP(1, macA, macA, IP4(1), Broadcast, IP4(2)), []string{B, C}},
		"an ARP probe":              {ARP(1, macA, macA, none, Broadcast, IP4(1)), []string{B, C}},
		"ARP with another's IP":     {ARP(2, macA, macA, IP4(3), macB, IP4(2)), nil},
		"ARP with another's MAC":    {ARP(2, macA, macC, IP4(1), macB, IP4(2)), nil},
		"its own NA":                {NDP(macA, macB, IP6(1), IP6(2), 136, IP6(1), macA), []string{B}},
		"NA for another":            {NDP(macA, macB, IP6(1), IP6(2), 136, IP6(3), macA), nil},
		"NA to another's MAC":       {NDP(macA, macB, IP6(1), IP6(2), 136, IP6(1), bogus), nil},
		"its own NS":                {NDP(macA, ff, IP6(1), all, 135, IP6(2), macA), []string{B, C}},
		"NS with another's MAC":     {NDP(macA, ff, IP6(1), all, 135, IP6(2), bogus), nil},
		"DAD":                       {NDP(macA, ff, none6, all, 135, IP6(1), address.MAC{}), []string{B, C}},
		"DAD with a nonce":          {ICMP6(macA, ff, none6, all, 135, append(append(make([]byte, 4), IP6(1).AsSlice()...), 14, 1, 1, 2, 3, 4, 5, 6)), []string{B, C}},
		"a router advertisement":    {ICMP6(macA, ff, macA.LinkLocal(), all, 134, make([]byte, 12)), nil},
		"a redirect":                {ICMP6(macA, ff, macA.LinkLocal(), all, 137, make([]byte, 36)), nil},
		"DHCP discovery":            {UDP(macA, Broadcast, none, netip.MustParseAddr("255.255.255.255"), 68, 67), nil},
		"a DHCP server's offer":     {UDP(macA, macB, IP4(1), IP4(2), 67, 68), nil},
		"a DHCPv6 server's answer":  {UDP(macA, macB, macA.LinkLocal(), macB.LinkLocal(), 547, 546), nil},
		"an unknown Ethernet type":  {Ether(macB, macA, 0x88b5, make([]byte, 46)), nil},
		"another's address, tagged": {Tagged(5, UDP(macA, macB, IP4(3), IP4(2), 1, 2)), nil},
		"its own address, tagged":   {Tagged(5, UDP(macA, macB, IP4(1), IP4(2), 1, 2)), nil},
		"its own ARP, tagged":       {Tagged(5, ARP(1, macA, macA, IP4(1), Broadcast, IP4(2))), nil},
	} {
		h.Reaches(name, A, c.frame, c.want...)
	}
}

func rules(_ *testing.T, h Host) {
	a := three(h)
	h.Reaches("a port that no rule names", C, TCP(macC, macB, IP4(3), IP4(2), 1000, 22, SYN, 1, 0))
	h.Reaches("the last port of the range", C, TCP(macC, macB, IP4(3), IP4(2), 1000, 83, SYN, 1, 0), B)
	h.Reaches("the answer", B, TCP(macB, macC, IP4(2), IP4(3), 83, 1000, SYNACK, 1, 2), C)
	h.Reaches("a new connection the other way", B, TCP(macB, macC, IP4(2), IP4(3), 83, 1001, SYN, 1, 0))
	h.Reaches("past the range", C, TCP(macC, macB, IP4(3), IP4(2), 1000, 84, SYN, 1, 0))
	h.Reaches("a member of the remote group", A, UDP(macA, macB, IP4(1), IP4(2), 7, 7), B)
	h.Reaches("one that is not", C, UDP(macC, macB, IP4(3), IP4(2), 7, 7))
	h.Reaches("the remote group has no IPv6 rule", A, UDP(macA, macB, IP6(1), IP6(2), 7, 7))

	h.Reaches("its answer", B, UDP(macB, macA, IP4(2), IP4(1), 7, 7), A)
	h.Remove(desired.MemberKey("friends", A))
	h.Reaches("a member that left, in a known connection", A, UDP(macA, macB, IP4(1), IP4(2), 7, 7))
	h.Reaches("a reply in a connection that was cut", B, UDP(macB, macA, IP4(2), IP4(1), 7, 7))
	h.Apply(Member("friends", a))
	h.Reaches("a member that came back", A, UDP(macA, macB, IP4(1), IP4(2), 7, 7), B)
	h.Reaches("a reply in a connection that is allowed again", B, UDP(macB, macA, IP4(2), IP4(1), 7, 7), A)

	// An instance that may send nothing.
	h.Apply(&desired.SecurityGroup{ID: "others", Stateful: true})
	h.Reaches("without a rule for going out", C, TCP(macC, macB, IP4(3), IP4(2), 1002, 80, SYN, 1, 0))
	h.Reaches("ARP needs none", C, ARP(1, macC, macC, IP4(3), Broadcast, IP4(2)), A, B)
}

// protocols looks at rules of protocols, ICMP types and codes, and prefixes of the far end.
func protocols(_ *testing.T, h Host) {
	in := func(v6 bool, protocol, from, to int) desired.Rule {
		return desired.Rule{Ingress: true, IPv6: v6, Protocol: protocol, PortMin: from, PortMax: to}
	}
	near := in(false, 17, 53, 53)
	near.RemotePrefix = netip.MustParsePrefix("10.0.0.1/32")
	near6 := in(true, 17, -1, -1)
	near6.RemotePrefix = netip.MustParsePrefix("fd00::/127")
	h.Apply(Network("net", 100), Port(A, "net", 1, "out"), Port(C, "net", 3, "out"), Group("out"),
		Port(B, "net", 2, "in"), Group("in", near, near6, in(true, 58, 128, 0), in(false, 47, -1, -1), in(false, 132, 9, 9)))
	h.Plug(A, B, C)
	h.Reaches("the prefix of the rule", A, UDP(macA, macB, IP4(1), IP4(2), 1, 53), B)
	h.Reaches("outside of the prefix", C, UDP(macC, macB, IP4(3), IP4(2), 1, 53))
	h.Reaches("the prefix of IPv6", A, UDP(macA, macB, IP6(1), IP6(2), 1, 99), B)
	h.Reaches("outside of the prefix of IPv6", C, UDP(macC, macB, IP6(3), IP6(2), 1, 99))
	h.Reaches("the ICMP type", C, ICMP6(macC, macB, IP6(3), IP6(2), 128, []byte{0, 1, 0, 1}), B)
	h.Reaches("another ICMP type", C, ICMP6(macC, macB, IP6(3), IP6(2), 139, []byte{0, 1, 0, 1}))
	h.Reaches("a protocol without ports", C, IP(macC, macB, IP4(3), IP4(2), 47, make([]byte, 8)), B)
	h.Reaches("a protocol that no rule names", C, IP(macC, macB, IP4(3), IP4(2), 48, make([]byte, 8)))
	h.Reaches("the same protocol in the other IP version", C, IP(macC, macB, IP6(3), IP6(2), 47, make([]byte, 8)))
}

// remotes looks at groups whose members have prefixes, the same ones too, and are told apart by their group.
func remotes(_ *testing.T, h Host) {
	a, c := Port(A, "net", 1, "out"), Port(C, "net", 3, "out")
	pair := netip.MustParsePrefix("10.0.0.0/24")
	a.AddressPairs = []desired.AddressPair{{MAC: macA, IP: pair}}
	wide := Member("friends", a)
	wide.Addresses = append(wide.Addresses, pair)
	egress := desired.Rule{Protocol: -1, PortMin: -1, PortMax: -1, RemoteGroup: "friends"}
	h.Apply(Network("net", 100), a, c, Group("out"), Port(B, "net", 2, "in"),
		&desired.SecurityGroup{ID: "in", Stateful: true, Rules: []desired.Rule{AnyFrom("friends"), egress}}, wide, Member("friends", c))
	h.Plug(A, B, C)
	h.Reaches("an address in a member's prefix", A, UDP(macA, macB, IP4(77), IP4(2), 1, 1), B)
	h.Reaches("a member's own address", C, UDP(macC, macB, IP4(3), IP4(2), 2, 2), B)
	h.Reaches("to a member", B, UDP(macB, macC, IP4(2), IP4(3), 2, 2), C) // an answer
	h.Remove(wide.Key())
	h.Reaches("a prefix that left", A, UDP(macA, macB, IP4(77), IP4(2), 1, 1))
	h.Reaches("an address that was in the prefix and stays by its own member", C, UDP(macC, macB, IP4(3), IP4(2), 2, 2), B)
}

func stateless(_ *testing.T, h Host) {
	group := Group("stateless")
	group.Stateful = false
	h.Apply(Network("net", 100), Port(A, "net", 1, "stateless"), Port(B, "net", 2, "inside"), group, Group("inside", TCPIn(80, 80)))
	h.Plug(A, B)
	h.Reaches("a request", A, TCP(macA, macB, IP4(1), IP4(2), 1000, 80, SYN, 1, 0), B)
	h.Reaches("an answer that no rule of the stateless port lets in", B, TCP(macB, macA, IP4(2), IP4(1), 80, 1000, SYNACK, 1, 2))
}

func sharedMAC(_ *testing.T, h Host) {
	vrrp := address.MustParseMAC("00:00:5e:00:01:01")
	pair := []desired.AddressPair{{MAC: vrrp, IP: netip.MustParsePrefix("10.0.0.50/32")}}
	a, b := Port(A, "net", 1, "open"), Port(B, "net", 2, "open")
	a.AddressPairs, b.AddressPairs = pair, pair
	h.Apply(Network("net", 100), a, b, Port(C, "net", 3, "open"), Group("open", desired.Rule{Ingress: true, Protocol: -1, PortMin: -1, PortMax: -1}))
	h.Plug(A, B, C)
	h.Reaches("to the shared MAC", C, UDP(macC, vrrp, IP4(3), IP4(50), 1, 2), A, B)
	h.Reaches("from the shared MAC", B, UDP(vrrp, macC, IP4(50), IP4(3), 1, 2), C)
	h.Reaches("the pair's address from the port's own MAC", B, UDP(macB, macC, IP4(50), IP4(3), 1, 2))
}

// open is a port without port security.
func open(_ *testing.T, h Host) {
	a := Port(A, "net", 1)
	a.PortSecurity = false
	h.Apply(Network("net", 100), a, Port(B, "net", 2, "out"), Group("out"))
	h.Plug(A, B)
	h.Reaches("what no rule allows", B, UDP(macB, macA, IP4(2), IP4(1), 1, 2), A)
	h.Reaches("under another's address", A, ARP(1, macC, macC, IP4(3), Broadcast, IP4(2)), B)
	h.Reaches("to a port with rules", A, UDP(macA, macB, IP4(1), IP4(2), 5, 6))
	a = Port(A, "net", 1, "out")
	h.Apply(a)
	h.Reaches("under another's address, with port security again", A, ARP(1, macC, macC, IP4(3), Broadcast, IP4(2)))
	h.Reaches("what no rule allows any more", B, UDP(macB, macA, IP4(2), IP4(1), 3, 4))
}
