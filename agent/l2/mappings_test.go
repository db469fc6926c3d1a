package l2

import (
	"strings"
	"testing"

	"neutrino/desired"
)

func TestOtherMappings(t *testing.T) {
	b := newBench(t)
	b.external()
	b.run("ovs-ofctl", "add-flow", b.path("br-ex.mgmt"), "priority=50,dl_type=0x88cc,actions=drop")
	flat := &desired.Network{ID: "flat", Type: "flat", Physical: "physnet1", AdminStateUp: true}
	b.apply(vxlan("net", 100), flat, port("a", "net", 1, "g"), port("b", "net", 2, "g"), port("f", "flat", 3, "g"), group("g"))
	for _, id := range []string{"a", "b", "f"} {
		b.plug(id)
	}
	b.settled()
	ask := arp(1, macC, macC, ip4(3), broadcast, ip4(9))
	b.reaches("the physical network", "f", ask, "eth2")

	b.manager.SetMappings(nil)
	select {
	case <-b.manager.Wake():
	default:
		t.Error("nobody is woken")
	}
	r := b.apply()
	if want := `physical network "physnet1" is not in this host's bridge mappings`; r["f"].Up || r["f"].Reason != want {
		t.Errorf("reported %+v", r["f"])
	}
	if ports := b.vsctl("list-ports", "br-ex") + b.vsctl("list-ports", "br-int"); strings.Contains(ports, "phy-br-ex") || strings.Contains(ports, "int-br-ex") {
		t.Errorf("ports left: %s", ports)
	}
	if flows := b.flows("br-ex"); !strings.Contains(flows, "0x88cc") || strings.Contains(flows, "cookie=0x4e") {
		t.Errorf("flows: %s", flows)
	}
	b.reaches("the physical network without a mapping", "f", ask)
	b.reaches("another network", "a", arp(1, macA, macA, ip4(1), broadcast, ip4(2)), "b")

	b.manager.SetMappings(map[string]string{"physnet1": "br-ex"})
	b.settled()
	b.until("the patch ports", func() bool { return b.applyChange(fullChange)["f"].Up })
	b.reaches("the physical network again", "f", ask, "eth2")
}
