package l2

import (
	"fmt"
	"strings"
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

	got := b.exchange("a", arp(1, macA, macA, ip4(1), broadcast, ip4(9)), "eth2")
	if len(got["eth2"]) != 1 || string(got["eth2"][0][12:14]) != "\x08\x06" {
		t.Errorf("a broadcast of a flat network leaves as %x", got["eth2"])
	}
	got = b.exchange("b", arp(1, macB, macB, ip4(2), broadcast, ip4(9)), "eth2")
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

// What the operators' guide greps, in the form in which ovs-ofctl prints it when nothing is said.
func TestProviderFlowsAsDocumented(t *testing.T) {
	b := newBench(t)
	b.external()
	b.run("ovs-ofctl", "add-flow", b.path("br-ex.mgmt"), "priority=50,dl_type=0x88cc,actions=drop")
	b.vsctl("--", "add-port", "br-ex", "mirror", "--", "set", "interface", "mirror", "type=dummy")
	b.apply(
		&desired.Network{ID: "flat", Type: "flat", Physical: "physnet1", AdminStateUp: true},
		&desired.Network{ID: "vlan", Type: "vlan", Physical: "physnet1", SegmentationID: 300, AdminStateUp: true},
		port("a", "flat", 1, "g"), port("b", "vlan", 2, "g"), group("g"))
	b.plug("a")
	b.plug("b")
	b.settled()
	number := func(iface string) string { return strings.TrimSpace(b.vsctl("get", "interface", iface, "ofport")) }
	tag := func(port string) string { return strings.TrimSpace(b.vsctl("get", "port", port, "tag")) }
	in, out := number("int-br-ex"), number("phy-br-ex")
	for bridge, lines := range map[string][]string{
		"br-ex": {
			fmt.Sprintf("priority=4,in_port=%s,dl_vlan=%s actions=strip_vlan,NORMAL", out, tag("a")),
			fmt.Sprintf("priority=4,in_port=%s,dl_vlan=%s actions=mod_vlan_vid:300,NORMAL", out, tag("b")),
			fmt.Sprintf("priority=2,in_port=%s actions=drop", out),
			"priority=1 actions=NORMAL",
			"priority=50,dl_type=0x88cc actions=drop",
		},
		"br-int": {
			fmt.Sprintf("priority=3,in_port=%s,vlan_tci=0x0000/0x1fff actions=mod_vlan_vid:%s,resubmit(,58)", in, tag("a")),
			fmt.Sprintf("priority=3,in_port=%s,dl_vlan=300 actions=mod_vlan_vid:%s,resubmit(,58)", in, tag("b")),
			fmt.Sprintf("priority=2,in_port=%s actions=drop", in),
		},
	} {
		flows := b.run("ovs-ofctl", "--no-stats", "--no-names", "dump-flows", b.path(bridge+".mgmt"), "table=0")
		for _, line := range lines {
			if !strings.Contains(flows, line+"\n") {
				t.Errorf("%s has no flow %q:\n%s", bridge, line, flows)
			}
		}
	}
	if ports := b.vsctl("list-ports", "br-ex"); ports != "eth2\nmirror\nphy-br-ex\n" {
		t.Errorf("br-ex has the ports %q", ports)
	}
}

func TestLongBridgeNames(t *testing.T) {
	for bridge, want := range map[string]string{
		"br-ex": "int-br-ex", "br-external": "int-br-external", "br-provider1": "int-br-prcebb81", "br-provider2": "int-br-pr6e8b65",
	} {
		if got := peerName("int-", bridge); got != want {
			t.Errorf("the port to %s is called %s, want %s", bridge, got, want)
		}
	}
}
