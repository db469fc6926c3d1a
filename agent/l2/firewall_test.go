package l2

import (
	"net/netip"
	"testing"

	"neutrino/address"
	"neutrino/desired"
)

var (
	macA, macB, macC = macOf(1), macOf(2), macOf(3)
	none             = netip.MustParseAddr("0.0.0.0")
	none6            = netip.MustParseAddr("::")
)

// three is a network with ports a, b and c on this host; c is not in the group that b lets in.
func three(t *testing.T) *bench {
	b := newBench(t)
	b.external()
	a, bb, c := port("a", "net", 1, "friends"), port("b", "net", 2, "inside"), port("c", "net", 3, "others")
	b.apply(vxlan("net", 100), a, bb, c, group("friends"), group("others"), group("inside", tcpIn(80, 83), anyFrom("friends")), member("friends", a))
	for _, id := range []string{"a", "b", "c"} {
		b.plug(id)
	}
	b.settled()
	return b
}

func TestSpoofing(t *testing.T) {
	b := three(t)
	ff := address.MAC{0x33, 0x33, 0, 0, 0, 1}
	all := netip.MustParseAddr("ff02::1")
	bogus := macOf(0x99)
	for name, c := range map[string]struct {
		frame []byte
		want  []string
	}{
		"its own UDP":               {udp(macA, macB, ip4(1), ip4(2), 1, 2), []string{"b"}},
		"another's MAC":             {udp(macC, macB, ip4(1), ip4(2), 1, 2), nil},
		"another's IPv4":            {udp(macA, macB, ip4(3), ip4(2), 1, 2), nil},
		"another's IPv6":            {udp(macA, macB, ip6(3), ip6(2), 1, 2), nil},
		"its own ARP":               {arp(1, macA, macA, ip4(1), broadcast, ip4(2)), []string{"b", "c"}},
		"an ARP probe":              {arp(1, macA, macA, none, broadcast, ip4(1)), []string{"b", "c"}},
		"ARP with another's IP":     {arp(2, macA, macA, ip4(3), macB, ip4(2)), nil},
		"ARP with another's MAC":    {arp(2, macA, macC, ip4(1), macB, ip4(2)), nil},
		"its own NA":                {ndp(macA, macB, ip6(1), ip6(2), 136, ip6(1), macA), []string{"b"}},
		"NA for another":            {ndp(macA, macB, ip6(1), ip6(2), 136, ip6(3), macA), nil},
		"NA to another's MAC":       {ndp(macA, macB, ip6(1), ip6(2), 136, ip6(1), bogus), nil},
		"its own NS":                {ndp(macA, ff, ip6(1), all, 135, ip6(2), macA), []string{"b", "c"}},
		"NS with another's MAC":     {ndp(macA, ff, ip6(1), all, 135, ip6(2), bogus), nil},
		"DAD":                       {ndp(macA, ff, none6, all, 135, ip6(1), address.MAC{}), []string{"b", "c"}},
		"a router advertisement":    {icmp6(macA, ff, macA.LinkLocal(), all, 134, make([]byte, 12)), nil},
		"a redirect":                {icmp6(macA, ff, macA.LinkLocal(), all, 137, make([]byte, 36)), nil},
		"DHCP discovery":            {udp(macA, broadcast, none, netip.MustParseAddr("255.255.255.255"), 68, 67), nil},
		"a DHCP server's offer":     {udp(macA, macB, ip4(1), ip4(2), 67, 68), nil},
		"a DHCPv6 server's answer":  {udp(macA, macB, macA.LinkLocal(), macB.LinkLocal(), 547, 546), nil},
		"an unknown Ethernet type":  {ether(macB, macA, 0x88b5, make([]byte, 46)), nil},
		"another's address, tagged": {tagged(5, udp(macA, macB, ip4(3), ip4(2), 1, 2)), nil},
		"its own address, tagged":   {tagged(5, udp(macA, macB, ip4(1), ip4(2), 1, 2)), nil},
		"its own ARP, tagged":       {tagged(5, arp(1, macA, macA, ip4(1), broadcast, ip4(2))), nil},
	} {
		b.reaches(name, "a", c.frame, c.want...)
	}
}

func TestRules(t *testing.T) {
	b := three(t)
	b.reaches("a port that no rule names", "c", tcp(macC, macB, ip4(3), ip4(2), 1000, 22, syn, 1, 0))
	b.reaches("the last port of the range", "c", tcp(macC, macB, ip4(3), ip4(2), 1000, 83, syn, 1, 0), "b")
	b.reaches("the answer", "b", tcp(macB, macC, ip4(2), ip4(3), 83, 1000, synAck, 1, 2), "c")
	b.reaches("a new connection the other way", "b", tcp(macB, macC, ip4(2), ip4(3), 83, 1001, syn, 1, 0))
	b.reaches("past the range", "c", tcp(macC, macB, ip4(3), ip4(2), 1000, 84, syn, 1, 0))
	b.reaches("a member of the remote group", "a", udp(macA, macB, ip4(1), ip4(2), 7, 7), "b")
	b.reaches("one that is not", "c", udp(macC, macB, ip4(3), ip4(2), 7, 7))
	b.reaches("the remote group has no IPv6 rule", "a", udp(macA, macB, ip6(1), ip6(2), 7, 7))

	b.reaches("its answer", "b", udp(macB, macA, ip4(2), ip4(1), 7, 7), "a")
	b.remove(desired.MemberKey("friends", "a"))
	b.reaches("a member that left, in a known connection", "a", udp(macA, macB, ip4(1), ip4(2), 7, 7))
	b.reaches("a reply in a connection that was cut", "b", udp(macB, macA, ip4(2), ip4(1), 7, 7))
	b.apply(member("friends", b.state.Ports["a"]))
	b.reaches("a member that came back", "a", udp(macA, macB, ip4(1), ip4(2), 7, 7), "b")
	b.reaches("a reply in a connection that is allowed again", "b", udp(macB, macA, ip4(2), ip4(1), 7, 7), "a")
}

func TestStatelessPortsAskTheirOwnRules(t *testing.T) {
	b := newBench(t)
	b.external()
	stateless := group("stateless")
	stateless.Stateful = false
	b.apply(vxlan("net", 100), port("a", "net", 1, "stateless"), port("b", "net", 2, "inside"), stateless, group("inside", tcpIn(80, 80)))
	b.plug("a")
	b.plug("b")
	b.settled()
	b.reaches("a request", "a", tcp(macA, macB, ip4(1), ip4(2), 1000, 80, syn, 1, 0), "b")
	b.reaches("an answer that no rule of the stateless port lets in", "b", tcp(macB, macA, ip4(2), ip4(1), 80, 1000, synAck, 1, 2))
}

func TestGroupThatComesAfterItsPort(t *testing.T) {
	b := newBench(t)
	b.external()
	b.apply(vxlan("net", 100), port("a", "net", 1, "friends"), group("friends"), port("b", "net", 2, "late"))
	b.plug("a")
	b.plug("b")
	b.until("the interface", func() bool { b.apply(); return b.manager.facts.ports["b"].OFPort != 0 })
	why := b.applyChange(fullChange)["b"]
	if why.Up || why.Reason == "" {
		t.Errorf("a port without its group is reported %+v", why)
	}
	b.reaches("before the group", "a", arp(1, macA, macA, ip4(1), broadcast, ip4(2)))
	if r := b.apply(group("late"))["b"]; !r.Up {
		t.Errorf("with the group, the port is reported %+v", r)
	}
	b.reaches("after the group", "a", arp(1, macA, macA, ip4(1), broadcast, ip4(2)), "b")
}

func TestSharedMAC(t *testing.T) {
	b := newBench(t)
	b.external()
	vrrp := address.MustParseMAC("00:00:5e:00:01:01")
	pair := []desired.AddressPair{{MAC: vrrp, IP: netip.MustParsePrefix("10.0.0.50/32")}}
	p, q, c := port("p", "net", 1, "open"), port("q", "net", 2, "open"), port("c", "net", 3, "open")
	p.AddressPairs, q.AddressPairs = pair, pair
	b.apply(vxlan("net", 100), p, q, c, group("open", desired.Rule{Ingress: true, Protocol: -1, PortMin: -1, PortMax: -1}))
	for _, id := range []string{"p", "q", "c"} {
		b.plug(id)
	}
	b.settled()
	b.reaches("to the shared MAC", "c", udp(macC, vrrp, ip4(3), ip4(50), 1, 2), "p", "q")
	b.reaches("from the shared MAC", "q", udp(vrrp, macC, ip4(50), ip4(3), 1, 2), "c")
}
