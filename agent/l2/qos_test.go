package l2

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"neutrino/desired"
)

func (b *bench) meters() string {
	b.t.Helper()
	return b.run("ovs-ofctl", "-O", "OpenFlow14", "dump-meters", b.path("br-int.mgmt"))
}

// The rules of a policy on a real switch: meters come before the flows that need them, follow changes, are adopted
// by a new agent, come back with a new switch, and go with the policy.
func TestQoS(t *testing.T) {
	b := newBench(t)
	b.external()
	mark := 46
	six := anyFrom("g")
	six.IPv6 = true
	n := vxlan("net", 100)
	n.QoS = &desired.QoS{Egress: desired.Limits{Kbps: 1000}, DSCP: &mark}
	b.apply(n, port("a", "net", 1, "g"), port("c", "net", 3, "g"), group("g", anyFrom("g"), six))
	for _, p := range []*desired.Port{port("a", "net", 1, "g"), port("c", "net", 3, "g")} {
		b.apply(member("g", p))
	}
	b.plug("a")
	b.plug("c")
	b.settled()
	has := func(what string, wants ...string) {
		t.Helper()
		got := b.meters()
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no meter with %q:\n%s", what, want, got)
			}
		}
		if strings.Count(got, "rate=") != len(wants) {
			t.Errorf("%s: want %d meters:\n%s", what, len(wants), got)
		}
	}
	has("of the network", "kbps burst", "kbps burst")
	if !strings.Contains(b.meters(), "rate=1000 burst_size=800") {
		t.Errorf("a burst that nobody said is not four fifths:\n%s", b.meters())
	}
	dscp := func(what string, frame []byte, want byte) {
		t.Helper()
		got := b.exchange("a", frame, "c")["c"]
		if len(got) != 1 {
			t.Errorf("%s: c got %d frames", what, len(got))
			return
		}
		have := got[0][15] >> 2
		if got[0][12] == 0x86 {
			have = got[0][14]<<4>>2 | got[0][15]>>6
		}
		if have != want {
			t.Errorf("%s: arrives with DSCP %d, want %d", what, have, want)
		}
	}
	macC := macOf(3)
	dscp("IPv4", udp(macA, macC, ip4(1), ip4(3), 1000, 2000), 46)
	dscp("IPv6", udp(macA, macC, ip6(1), ip6(3), 1000, 2000), 46)
	b.reaches("what is no IP", "a", arp(1, macA, macA, ip4(1), broadcast, ip4(3)), "c")

	// A new agent finds all as it should be.
	flows, meters := b.flows(brInt), b.meters()
	b.manager.Close()
	b.manager = b.newManager()
	b.applyChange(fullChange)
	if after := b.flows(brInt); after != flows {
		t.Errorf("a new agent changed flows:\n%s", difference(flows, after))
	}
	if after := b.meters(); after != meters {
		t.Errorf("a new agent changed meters:\n%s", difference(meters, after))
	}

	// A port's own policy, all of it, both ways; and another rate with the same flows.
	own := port("a", "net", 1, "g")
	own.QoS = &desired.QoS{Egress: desired.Limits{Kbps: 2000, BurstKbps: 300, Kpps: 1}, Ingress: desired.Limits{Kbps: 3000, Kpps: 2, BurstKpps: 5}}
	if r := b.apply(own)["a"]; !r.Up && !strings.Contains(r.Reason, "OpenFlow port yet") {
		t.Errorf("reported %+v", r)
	}
	has("of the port", "rate=2000 burst_size=300", "rate=1000 burst_size=800", "rate=3000 burst_size=2400", "rate=2000 burst_size=5000", "kbps burst")
	dscp("without a mark", udp(macA, macC, ip4(1), ip4(3), 1000, 2000), 0)
	flows = b.flows(brInt)
	faster := *own
	faster.QoS = &desired.QoS{Egress: desired.Limits{Kbps: 2001, BurstKbps: 300, Kpps: 1}, Ingress: own.QoS.Ingress}
	b.apply(&faster)
	has("after a change", "rate=2001 burst_size=300", "rate=1000 burst_size=800", "rate=3000 burst_size=2400", "rate=2000 burst_size=5000", "kbps burst")
	if after := b.flows(brInt); after != flows {
		t.Errorf("another rate changed flows:\n%s", difference(flows, after))
	}

	// A limit bites, whatever the burst: of many packets that come at once only so many arrive.
	for _, towards := range []bool{false, true} {
		few := *own
		few.QoS = &desired.QoS{Egress: desired.Limits{Kbps: 1, BurstKbps: 8}}
		frame, from, to := udp(macA, macC, ip4(1), ip4(3), 1000, 2000), "a", "c"
		if towards {
			few.QoS = &desired.QoS{Ingress: desired.Limits{Kbps: 1, BurstKbps: 8}}
			frame, from, to = udp(macC, macA, ip4(3), ip4(1), 2000, 1000), "c", "a"
		}
		b.apply(&few)
		blast := []string{"-t", b.path("vs.ctl"), "netdev-dummy/receive", from}
		for range 200 {
			blast = append(blast, hex.EncodeToString(frame))
		}
		b.run("ovs-appctl", blast...)
		if got := len(b.exchange(from, frame, to)[to]); got == 0 || got > 100 {
			t.Errorf("towards the port %v: %d of 201 packets arrived", towards, got)
		}
	}

	// Meters that somebody took away, and strays, are put right; so is another switch.
	b.apply(own)
	b.run("ovs-ofctl", "-O", "OpenFlow14", "add-meter", b.path("br-int.mgmt"), "meter=60000,kbps,band=type=drop,rate=5")
	meters = b.meters()
	b.applyChange(fullChange)
	if after := b.meters(); strings.Contains(after, "60000") || !strings.Contains(meters, "60000") {
		t.Errorf("a stray meter stays:\n%s", after)
	}
	b.stopSwitch()
	b.startSwitch()
	b.until("the meters after a restart of the switch", func() bool {
		b.settled()
		return strings.Count(b.meters(), "rate=") == 5
	})
	has("after a restart of the switch", "rate=2000 burst_size=300", "rate=1000 burst_size=800", "rate=3000 burst_size=2400", "rate=2000 burst_size=5000", "kbps burst")

	// The policy goes, and its meters with it.
	bare := vxlan("net", 100)
	b.apply(bare, port("a", "net", 1, "g"))
	has("without a policy")
	b.reaches("without a policy", "a", udp(macA, macC, ip4(1), ip4(3), 1000, 2000), "c")

	// A switch that takes no meter leaves the port closed, and that is said.
	number := strings.TrimSpace(b.vsctl("get", "interface", "a", "ofport"))
	ofport, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	b.run("ovs-ofctl", "-O", "OpenFlow14", "add-meter", b.path("br-int.mgmt"), fmt.Sprintf("meter=%d,kbps,band=type=drop,rate=5", metersPerPort*ofport))
	if r := b.apply(own)["a"]; r.Up || !strings.Contains(r.Reason, "can't limit rates") {
		t.Errorf("without a meter: %+v", r)
	}
	b.reaches("from a port without its meter", "a", udp(macA, macC, ip4(1), ip4(3), 1000, 2000))
	if r := b.applyChange(fullChange)["a"]; strings.Contains(r.Reason, "can't limit rates") {
		t.Errorf("compared anew: %+v", r)
	}
}

// A switch that has seen many ports come and go gives high numbers: their ports are limited as others are.
func TestQoSOfHighPort(t *testing.T) {
	b := newBench(t)
	b.external()
	p := port("a", "net", 1)
	p.QoS = &desired.QoS{Egress: desired.Limits{Kbps: 2000, Kpps: 1}, Ingress: desired.Limits{Kbps: 3000, Kpps: 2}}
	b.apply(vxlan("net", 100), p)
	b.vsctl("--", "add-port", "br-int", "a", "--", "set", "interface", "a", "type=dummy", "ofport_request=20000", "external_ids:iface-id=a")
	r := desired.Report{}
	b.until("the port", func() bool {
		if again, told := b.apply()["a"]; told {
			r = again
		}
		return r.Up || strings.Contains(r.Reason, "meter")
	})
	if !r.Up || b.manager.facts.ports["a"].OFPort != 20000 || strings.Count(b.meters(), "rate=") != 4 {
		t.Errorf("reported %+v, with the meters\n%s", r, b.meters())
	}
}
