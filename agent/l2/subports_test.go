package l2

import (
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"testing"

	"neutrino/desired"
)

// trunk has a parent port p on a network of its own, subports s1 and s2 on one further network, f without port security on a
// flat one; x and o are ordinary ports beside them.
func trunk(t *testing.T) *bench {
	b := newBench(t)
	b.external()
	b.manager.vlans = map[string]uint16{"gone": 1, "left": 2, "away": 3} // a new agent has these to give
	carried := func(p *desired.Port, vlan uint16) *desired.Port {
		p.SubPort = &desired.SubPort{Parent: "p", VLAN: vlan}
		return p
	}
	free := carried(port("f", "flat", 4), 300)
	free.PortSecurity = false
	b.apply(
		vxlan("own", 1), vxlan("red", 2), &desired.Network{ID: "flat", Type: "flat", Physical: "physnet1", AdminStateUp: true},
		group("g", tcpIn(1, 65535)), group("u", desired.Rule{ID: "udp", Ingress: true, Protocol: 17, PortMin: -1, PortMax: -1}),
		port("p", "own", 1, "g"), carried(port("s1", "red", 2, "u"), 100), carried(port("s2", "red", 3, "g"), 200), free,
		port("x", "red", 5, "u"), port("o", "own", 6, "g"))
	for _, id := range []string{"p", "x", "o"} {
		b.plug(id)
	}
	b.settled()
	return b
}

// tags are the VLANs of what an interface got, sorted; "none" for what has no tag.
func tags(frames [][]byte) []string {
	out := []string{}
	for _, f := range frames {
		if f[12] == 0x81 && f[13] == 0 {
			out = append(out, hex.EncodeToString(f[14:16]))
		} else {
			out = append(out, "none")
		}
	}
	slices.Sort(out)
	return out
}

func TestSubPorts(t *testing.T) {
	b := trunk(t)
	const vlan100, vlan200, vlan300, none = "0064", "00c8", "012c", "none"
	asks := func(n int) []byte { return arp(1, macOf(n), macOf(n), ip4(n), broadcast, ip4(99)) }
	for what, c := range map[string]struct {
		from  string
		frame []byte
		want  map[string][]string
	}{
		"a broadcast of a subport":               {"p", tagged(100, asks(2)), map[string][]string{"x": {none}, "p": {vlan200}}},
		"a broadcast of an ordinary port":        {"x", asks(5), map[string][]string{"p": {vlan100, vlan200}}},
		"a broadcast of the parent":              {"p", asks(1), map[string][]string{"o": {none}}},
		"a broadcast on the parent's network":    {"o", asks(6), map[string][]string{"p": {none}}},
		"to a subport":                           {"x", udp(macOf(5), macOf(2), ip4(5), ip4(2), 7, 7), map[string][]string{"p": {vlan100}}},
		"to one that lets nothing in":            {"x", udp(macOf(5), macOf(3), ip4(5), ip4(3), 7, 7), nil},
		"of a subport to an ordinary port":       {"p", tagged(100, udp(macOf(2), macOf(5), ip4(2), ip4(5), 7, 7)), map[string][]string{"x": {none}}},
		"between subports of a trunk":            {"p", tagged(200, udp(macOf(3), macOf(2), ip4(3), ip4(2), 7, 7)), map[string][]string{"p": {vlan100}}},
		"another's address":                      {"p", tagged(100, udp(macOf(3), macOf(5), ip4(3), ip4(5), 7, 7)), nil},
		"a tag that no subport has":              {"p", tagged(400, asks(2)), nil},
		"a tag from a port that is no parent":    {"x", tagged(100, asks(5)), nil},
		"without port security, to the cable":    {"p", tagged(300, asks(4)), map[string][]string{"eth2": {none}}},
		"from the cable":                         {"eth2", asks(9), map[string][]string{"p": {vlan300}}},
		"a second tag, which a cable would read": {"p", tagged(300, tagged(5, asks(4))), nil},
	} {
		got := b.exchange(c.from, c.frame, slices.Collect(maps.Keys(c.want))...)
		for name, frames := range got {
			if !slices.Equal(tags(frames), c.want[name]) {
				t.Errorf("%s: %s got %v, want %v", what, name, tags(frames), c.want[name])
			}
		}
		for name := range c.want {
			if got[name] == nil {
				t.Errorf("%s: %s got nothing", what, name)
			}
		}
	}

	b.remove(desired.Key{Kind: desired.KindPort, ID: "s2"})
	if got := b.exchange("x", asks(5), "p"); !slices.Equal(tags(got["p"]), []string{vlan100}) {
		t.Errorf("after a subport has gone the parent gets %v", tags(got["p"]))
	}
	b.vsctl("del-port", "br-int", "p")
	b.until("the parent's interface to be gone", func() bool { _, there := b.manager.facts.ports["p"]; b.apply(); return !there })
	r := b.apply(b.state.Ports["s1"])["s1"]
	if r.Up || !strings.Contains(r.Reason, "parent port p") {
		t.Errorf("without its parent's interface a subport is reported %+v", r)
	}
	b.plug("p")
	b.settled()
	if got := b.exchange("x", asks(5), "p"); !slices.Equal(tags(got["p"]), []string{vlan100}) {
		t.Errorf("plugged again, the parent gets %v", tags(got["p"]))
	}
}

// The local VLANs of networks that only subports are on outlive the agent: connections are known by them.
func TestSubPortsAfterRestart(t *testing.T) {
	b := trunk(t)
	b.remove(desired.Key{Kind: desired.KindPort, ID: "x"})
	b.apply()
	before := b.flows(brInt)
	b.manager.Close()
	b.manager = b.newManager()
	b.applyChange(fullChange)
	b.settled()
	if after := b.flows(brInt); after != before {
		t.Errorf("the flows were\n%s\nand are\n%s", before, after)
	}
}

// What the host can't do it says.
func TestSubPortRefused(t *testing.T) {
	b := trunk(t)
	limited := *b.state.Ports["s1"]
	limited.QoS = &desired.QoS{Egress: desired.Limits{Kbps: 1000}}
	if r := b.apply(&limited)["s1"]; r.Up || !strings.Contains(r.Reason, "limits no rates") {
		t.Errorf("a subport with a limited rate is reported %+v", r)
	}
}
