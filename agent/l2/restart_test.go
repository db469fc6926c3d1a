package l2

import (
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"neutrino/desired"
)

func TestRestarts(t *testing.T) {
	b := newBench(t)
	b.external()
	hello := arp(1, macA, macA, ip4(1), broadcast, ip4(2))
	b.apply(vxlan("other", 99), vxlan("net", 100), port("x", "other", 9, "g"), port("a", "net", 1, "g"), port("b", "net", 2, "g"), group("g"))
	for _, id := range []string{"x", "a", "b"} {
		b.plug(id)
	}
	b.settled()
	b.reaches("at first", "a", hello, "b")
	before := b.flows(brInt)
	vlan := b.manager.vlans["net"]

	// The agent: another one finds everything as it should be, although the ports come in another order.
	b.manager.Close()
	b.manager = b.newManager()
	delete(b.state.Ports, "x")
	delete(b.state.PortsOf, "other")
	b.applyChange(fullChange)
	b.apply(port("x", "other", 9, "g"))
	if b.manager.vlans["net"] != vlan {
		t.Errorf("local VLAN %d became %d with a new agent", vlan, b.manager.vlans["net"])
	}
	if after := b.flows(brInt); after != before {
		t.Errorf("a new agent changed flows:\n%s", difference(before, after))
	}
	b.reaches("after a restart of the agent", "a", hello, "b")

	// The agent again, with nothing changed: not one flow is written (their age goes on).
	age := b.run("ovs-ofctl", "-O", "OpenFlow14", "dump-flows", b.path("br-int.mgmt"), "table=0")
	b.manager.Close()
	b.manager = b.newManager()
	time.Sleep(1100 * time.Millisecond)
	b.applyChange(fullChange)
	for _, line := range strings.Split(b.run("ovs-ofctl", "-O", "OpenFlow14", "dump-flows", b.path("br-int.mgmt"), "table=0"), "\n") {
		if _, rest, ok := strings.Cut(line, "duration="); ok && strings.HasPrefix(rest, "0") {
			t.Errorf("written anew: %s\nbefore:\n%s", line, age)
		}
	}

	// Unplugged and unbound ports are closed and told.
	r := b.remove(desired.Key{Kind: desired.KindPort, ID: "b"})["b"]
	if !r.Gone {
		t.Errorf("a deleted port is reported %+v", r)
	}
	b.reaches("to a deleted port", "a", hello)
	b.reaches("from a deleted port", "b", arp(1, macB, macB, ip4(2), broadcast, ip4(1)))
	moved := port("a", "net", 1, "g")
	moved.Host = hostB
	if r := b.apply(moved)["a"]; !r.Gone {
		t.Errorf("a port that moved away is reported %+v", r)
	}
	b.reaches("from a port that moved away", "a", hello)
	if r, told := b.remove(desired.Key{Kind: desired.KindPort, ID: "a"})["a"]; told {
		t.Errorf("a port of another host is reported %+v", r)
	}
}

func TestSwitchRestart(t *testing.T) {
	b := newBench(t)
	b.external()
	hello := arp(1, macA, macA, ip4(1), broadcast, ip4(2))
	b.apply(vxlan("net", 100), port("a", "net", 1, "g"), port("b", "net", 2, "g"), group("g"))
	b.plug("a")
	b.plug("b")
	b.settled()
	for drained := false; !drained; {
		select {
		case <-b.manager.Wake():
		case <-time.After(300 * time.Millisecond):
			drained = true
		}
	}
	b.stopSwitch()
	b.startSwitch()
	select {
	case <-b.manager.Wake():
	case <-time.After(waiting):
		t.Fatal("nothing woke the manager when the switch came back")
	}
	b.settled()
	b.reaches("after a restart of the switch", "a", hello, "b")
}

// A switch that starts anew is told to wait until its flows are there; but not where nobody would restore them,
// and what somebody else has it wait for is theirs.
func TestSwitchWaitsForItsFlows(t *testing.T) {
	b := newBench(t)
	b.external()
	b.apply(vxlan("net", 100), port("a", "net", 1, "g"), port("b", "net", 2, "g"), group("g"))
	b.plug("a")
	b.plug("b")
	b.settled()
	waits := func() bool {
		return strings.Contains(b.vsctl("--no-wait", "get", "Open_vSwitch", ".", "other_config"), "flow-restore-wait")
	}
	if waits() {
		t.Fatal("a switch that runs is told to wait")
	}
	b.stopSwitch()
	b.until("the next switch to be told to wait", waits)
	b.startSwitch()
	b.settled()
	b.applyChange(fullChange)
	if waits() {
		t.Error("the switch still waits although its flows are there")
	}
	b.reaches("after a restart", "a", arp(1, macA, macA, ip4(1), broadcast, ip4(2)), "b")

	b.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:flow-restore-wait=true")
	b.applyChange(fullChange)
	if !waits() {
		t.Error("somebody else's wait was ended")
	}
	b.vsctl("--no-wait", "remove", "Open_vSwitch", ".", "other_config", "flow-restore-wait")

	b.manager.Close()
	b.stopSwitch()
	time.Sleep(300 * time.Millisecond)
	if waits() {
		t.Error("the switch waits for an agent that is not there")
	}
}

func TestDatabaseRestart(t *testing.T) {
	b := newBench(t)
	b.external()
	hello := arp(1, macA, macA, ip4(1), broadcast, ip4(2))
	b.apply(vxlan("net", 100), port("a", "net", 1, "g"), group("g"))
	b.plug("a")
	b.settled()
	b.stopDatabase()
	b.reaches("without the database nothing new is known, and nothing is lost", "a", hello)
	b.startDatabase()
	b.state.Put(port("b", "net", 2, "g"))
	b.plug("b")
	b.until("the manager to find the database again", func() bool {
		_, err := b.manager.Apply(t.Context(), b.state, fullChange)
		return err == nil && b.manager.why(b.state, b.state.Ports["b"]) == ""
	})
	b.applyChange(fullChange)
	b.reaches("to a port that came after it", "a", hello, "b")
}

func TestMissingBridge(t *testing.T) {
	b := newBench(t) // and no br-ex
	flat := &desired.Network{ID: "flat", Type: "flat", Physical: "physnet1", AdminStateUp: true}
	b.apply(vxlan("net", 100), flat, port("a", "net", 1, "g"), port("b", "net", 2, "g"), port("f", "flat", 3, "g"), group("g"))
	for _, id := range []string{"a", "b", "f"} {
		b.plug(id)
	}
	reports := b.applyChange(fullChange)
	b.until("the ports", func() bool { reports = b.applyChange(fullChange); return reports["a"].Up && reports["b"].Up })
	if want := `bridge br-ex of physical network "physnet1" is not there`; reports["f"].Up || reports["f"].Reason != want {
		t.Errorf("reported %+v, want reason %q", reports["f"], want)
	}
	b.reaches("other networks", "a", arp(1, macA, macA, ip4(1), broadcast, ip4(2)), "b")
	b.external()
	b.until("the port of the physical network", func() bool { return b.applyChange(fullChange)["f"].Up })
	b.reaches("the physical network", "f", arp(1, macC, macC, ip4(3), broadcast, ip4(9)), "eth2")
}

// A physical network's bridge that the switch can't make keeps nobody from other networks.
func TestBrokenBridge(t *testing.T) {
	b := newBench(t)
	b.vsctl("--no-wait", "add-br", "br-ex", "--", "set", "bridge", "br-ex", "datapath_type=nosuch")
	flat := &desired.Network{ID: "flat", Type: "flat", Physical: "physnet1", AdminStateUp: true}
	b.apply(vxlan("net", 100), flat, port("a", "net", 1, "g"), port("b", "net", 2, "g"), port("f", "flat", 3, "g"), group("g"))
	for _, id := range []string{"a", "b", "f"} {
		b.plug(id)
	}
	reports := map[string]desired.Report{}
	b.until("the ports", func() bool { maps.Copy(reports, b.apply()); return reports["a"].Up && reports["b"].Up })
	if r := reports["f"]; r.Up || !strings.HasPrefix(r.Reason, "bridge br-ex is not ready") {
		t.Errorf("reported %+v", r)
	}
	b.reaches("other networks", "a", arp(1, macA, macA, ip4(1), broadcast, ip4(2)), "b")
	b.vsctl("set", "bridge", "br-ex", "datapath_type=dummy", "--",
		"add-port", "br-ex", "eth2", "--", "set", "interface", "eth2", "type=dummy", "options:tx_pcap="+b.path("eth2.pcap"))
	b.until("the port of the physical network", func() bool { maps.Copy(reports, b.apply()); return reports["f"].Up })
	b.reaches("the physical network", "f", arp(1, macC, macC, ip4(3), broadcast, ip4(9)), "eth2")
}

func TestAdministrativelyDown(t *testing.T) {
	b := newBench(t)
	b.external()
	hello := arp(1, macA, macA, ip4(1), broadcast, ip4(2))
	b.apply(vxlan("net", 100), port("a", "net", 1, "g"), port("b", "net", 2, "g"), group("g"))
	b.plug("a")
	b.plug("b")
	b.settled()
	b.reaches("up", "a", hello, "b")
	down := port("b", "net", 2, "g")
	down.AdminStateUp = false
	if r := b.apply(down)["b"]; r.Up || r.Reason != "the port is administratively down" {
		t.Errorf("reported %+v", r)
	}
	b.reaches("to a port that is down", "a", hello)
	b.reaches("from a port that is down", "b", arp(1, macB, macB, ip4(2), broadcast, ip4(1)))
	b.apply(port("b", "net", 2, "g"))
	b.reaches("up again", "a", hello, "b")
	off := vxlan("net", 100)
	off.AdminStateUp = false
	b.apply(off)
	b.reaches("in a network that is down", "a", hello)
}

func TestTunnelPortComesWithItsNetwork(t *testing.T) {
	b := newBench(t)
	b.external()
	b.apply(vxlan("net", 100), port("a", "net", 1, "g"), group("g"))
	b.plug("a")
	b.plug("v")
	b.settled()
	n := vxlan("late", 7)
	n.Type = "geneve"
	r := b.apply(n, port("v", "late", 2, "g"))["v"]
	b.until("the port of the new network", func() bool {
		if again, told := b.apply()["v"]; told {
			r = again
		}
		return r.Up
	})
	if ports := b.vsctl("list-ports", brTun); !strings.Contains(ports, "geneve-sys") {
		t.Errorf("ports of %s: %s", brTun, ports)
	}
}

func TestTunnelBridge(t *testing.T) {
	b := newBench(t)
	b.external()
	far := port("far", "net", 2)
	far.Host = hostB
	b.apply(vxlan("net", 100), port("a", "net", 1, "g"), far, group("g"),
		&desired.Host{Name: hostB, TunnelIP: netip.MustParseAddr("172.29.0.2")})
	b.plug("a")
	b.settled()
	got := b.exchange("a", arp(1, macA, macA, ip4(1), broadcast, ip4(2)), "a")["a"]
	if len(got) != 1 || string(got[0][:12]) != string(macA[:])+string(macB[:]) || got[0][21] != 2 {
		t.Errorf("ARP for a port of another host is answered %x", got)
	}
	b.reaches("a gratuitous ARP for another's address is not answered", "a", arp(1, macA, macA, netip.MustParseAddr("0.0.0.0"), broadcast, ip4(2)))
	trace := func(packet string) string {
		return b.run("ovs-appctl", "-t", b.path("vs.ctl"), "ofproto/trace", brTun, packet)
	}
	from := "in_port=" + "2,tun_id=100,tun_dst=172.29.0.1,dl_src=fa:16:3e:00:00:02,dl_dst=fa:16:3e:00:00:01"
	for name, c := range map[string]struct {
		packet string
		passes bool
	}{
		"a known host and network": {from + ",tun_src=172.29.0.2", true},
		"an unknown host":          {from + ",tun_src=172.29.0.3", false},
		"an unknown network":       {strings.Replace(from, "tun_id=100", "tun_id=101", 1) + ",tun_src=172.29.0.2", false},
	} {
		if passes := strings.Contains(trace(c.packet), "push_vlan"); passes != c.passes {
			t.Errorf("%s: passes is %t\n%s", name, passes, trace(c.packet))
		}
	}
}

// A network that has left the host leaves no local VLAN behind, though an instance is still plugged: each host has 4,094.
func TestLocalVLANsAreGivenBack(t *testing.T) {
	b := newBench(t)
	b.external()
	b.apply(vxlan("net", 100), port("a", "net", 1, "g"), group("g"))
	b.plug("a")
	b.settled()
	b.until("the tag", func() bool { b.apply(); return b.manager.facts.ports["a"].OtherConfig[networkKey] == "net" })
	b.remove(desired.Key{Kind: desired.KindPort, ID: "a"}, desired.Key{Kind: desired.KindNetwork, ID: "net"})
	b.applyChange(fullChange)
	if len(b.manager.vlans) != 0 {
		t.Errorf("local VLANs are kept: %v", b.manager.vlans)
	}
}
