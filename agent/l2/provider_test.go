package l2

import (
	"testing"

	"neutrino/agent"
	"neutrino/desired"
)

var fullChange = agent.Change{Full: true}

func TestProviderNetworks(t *testing.T) {
	b := newBench(t)
	b.external()
	flat := &desired.Network{ID: "flat", Type: "flat", Physical: "physnet1", AdminStateUp: true}
	vlan := &desired.Network{ID: "vlan", Type: "vlan", Physical: "physnet1", SegmentationID: 300, AdminStateUp: true}
	lost := &desired.Network{ID: "lost", Type: "vlan", Physical: "physnet2", SegmentationID: 5, AdminStateUp: true}
	free := port("free", "flat", 4)
	free.PortSecurity = false
	b.apply(flat, vlan, port("a", "flat", 1, "g"), port("b", "vlan", 2, "g"), free, group("g"))
	for _, id := range []string{"a", "b", "free", "l"} {
		b.plug(id)
	}
	b.settled()

	got := b.exchange("a", arp(1, macA, macA, ip4(1), broadcast, ip4(9)))
	if len(got["eth2"]) != 1 || string(got["eth2"][0][12:14]) != "\x08\x06" {
		t.Errorf("a broadcast of a flat network leaves as %x", got["eth2"])
	}
	got = b.exchange("b", arp(1, macB, macB, ip4(2), broadcast, ip4(9)))
	if len(got["eth2"]) != 1 || string(got["eth2"][0][12:16]) != "\x81\x00\x01\x2c" || len(got) != 1 {
		t.Errorf("a broadcast of VLAN 300 leaves as %x", got)
	}
	outside := macOf(0x77)
	b.reaches("untagged from outside", "eth2", arp(1, outside, outside, ip4(9), broadcast, ip4(1)), "a", "free")
	b.reaches("VLAN 300 from outside", "eth2", tagged(300, arp(1, outside, outside, ip4(9), broadcast, ip4(2))), "b")
	b.reaches("an unknown VLAN", "eth2", tagged(301, arp(1, outside, outside, ip4(9), broadcast, ip4(2))))
	b.reaches("a tag chosen by an instance", "a", tagged(300, arp(1, macA, macA, ip4(1), broadcast, ip4(2))))
	b.reaches("a tag chosen by an instance without port security", "free", tagged(300, arp(1, macOf(4), macOf(4), ip4(4), broadcast, ip4(2))))

	r := b.apply(lost, port("l", "lost", 5, "g"))["l"]
	if want := `physical network "physnet2" is not in this host's bridge mappings`; r.Up || r.Reason != want {
		t.Errorf("reported %+v, want reason %q", r, want)
	}
}
