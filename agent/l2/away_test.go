package l2

import (
	"net/netip"
	"testing"

	"neutrino/desired"
)

// What is for a port of another host leaves, and no port here gets a copy, whatever it opted out of.
func TestPortsOfOtherHostsAreNotFloodedFor(t *testing.T) {
	b := newBench(t)
	b.external()
	inside := vxlan("net", 100)
	provider := &desired.Network{ID: "vlan", Type: "vlan", Physical: "physnet1", SegmentationID: 300, AdminStateUp: true}
	far, beyond := port("far", "net", 20), port("beyond", "vlan", 21)
	far.Host, beyond.Host = hostB, hostB
	open, ear := port("open", "net", 10), port("ear", "vlan", 11)
	open.PortSecurity, ear.PortSecurity = false, false
	b.apply(inside, provider, group("g"), port("a", "net", 1, "g"), port("b", "vlan", 2, "g"), open, ear, far, beyond,
		&desired.Host{Name: hostB, TunnelIP: netip.MustParseAddr("172.29.0.2")})
	for _, id := range []string{"a", "b", "open", "ear"} {
		b.plug(id)
	}
	b.settled()
	unknown := macOf(0x99)
	b.reaches("an unknown address of a tunnelled network", "a", arp(2, macA, macA, ip4(1), unknown, ip4(99)), "open")
	b.reaches("a port of another host, by a tunnel", "a", arp(2, macA, macA, ip4(1), macOf(20), ip4(20)))
	b.reaches("an unknown address of a physical network", "b", arp(2, macB, macB, ip4(2), unknown, ip4(99)), "ear", "eth2")
	b.reaches("a port of another host, by a physical network", "b", arp(2, macB, macB, ip4(2), macOf(21), ip4(21)), "eth2")

	far.Host = "h-nowhere" // a host without tunnels: the port is where nobody here knows
	b.apply(far)
	b.reaches("a port nobody knows where", "a", arp(2, macA, macA, ip4(1), macOf(20), ip4(20)), "open")
}
