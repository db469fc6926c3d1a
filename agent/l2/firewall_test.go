package l2

import (
	"testing"

	"neutrino/agent/firewall/firewalltest"
	"neutrino/desired"
)

// openFlow is br-int as the suite of firewall drivers sees it.
type openFlow struct{ *bench }

func (o openFlow) Apply(items ...desired.Item) { o.apply(items...) }
func (o openFlow) Remove(keys ...desired.Key)  { o.remove(keys...) }
func (o openFlow) Reaches(what, from string, frame []byte, want ...string) {
	o.t.Helper()
	o.reaches(what, from, frame, want...)
}

func (o openFlow) Plug(ports ...string) {
	for _, id := range ports {
		o.plug(id)
	}
	o.settled()
}

func TestFirewall(t *testing.T) {
	firewalltest.Run(t, func(t *testing.T) firewalltest.Host {
		b := newBench(t)
		b.external()
		return openFlow{b}
	})
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
