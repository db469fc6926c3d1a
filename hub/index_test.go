package hub

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"neutrino/address"
	"neutrino/desired"
)

// follower is a host that does what it is told.
type follower map[desired.Key]desired.Item

func (f follower) tell(x *index, host string, keys map[desired.Key]bool) {
	for key := range keys {
		if item := x.view(host, key); item != nil {
			f[key] = item
		} else {
			delete(f, key)
		}
	}
}

// fresh is what a host gets from nothing.
func fresh(x *index, host string) follower {
	f := follower{}
	for _, key := range x.keys(host) {
		if item := x.view(host, key); item != nil {
			f[key] = item
		}
	}
	return f
}

var hostNames = []string{"h1", "h2", "h3"}

// change draws one change of the cloud and makes it.
func change(t *rapid.T, x *index, touch touched) {
	id := func(prefix string, n int) string {
		return fmt.Sprintf("%s%d", prefix, rapid.IntRange(1, n).Draw(t, prefix))
	}
	gone := rapid.IntRange(0, 3).Draw(t, "gone") == 0
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		name := rapid.SampledFrom(hostNames).Draw(t, "host")
		if gone {
			x.setHost(name, nil, touch)
			return
		}
		x.setHost(name, &desired.Host{Name: name, TunnelIP: netip.AddrFrom4([4]byte{172, 29, 0, byte(rapid.IntRange(1, 3).Draw(t, "ip"))})}, touch)
	case 1:
		n := id("n", 3)
		if gone {
			x.setNetwork(n, nil, touch)
			return
		}
		x.setNetwork(n, &desired.Network{ID: n, MTU: rapid.IntRange(1, 3).Draw(t, "mtu")}, touch)
	case 2:
		g := id("g", 3)
		if gone {
			x.setGroup(g, nil, touch)
			return
		}
		group := &desired.SecurityGroup{ID: g}
		for i := range rapid.IntRange(0, 2).Draw(t, "rules") {
			group.Rules = append(group.Rules, desired.Rule{ID: fmt.Sprint(i), RemoteGroup: rapid.SampledFrom([]string{"", "g1", "g2", "g3"}).Draw(t, "remote")})
		}
		x.setGroup(g, group, touch)
	case 3:
		p := id("p", 6)
		if gone {
			x.setPort(p, nil, touch)
			return
		}
		port := &desired.Port{
			ID: p, NetworkID: id("n", 3), Host: rapid.SampledFrom([]string{"", "h1", "h2", "h3"}).Draw(t, "bound"),
			AnsweredBy: rapid.SampledFrom([]string{"", "", "h1", "h2", "h3"}).Draw(t, "answered"),
			MAC:        address.MAC{2, 0, 0, 0, 0, byte(rapid.IntRange(1, 3).Draw(t, "mac"))}, PortSecurity: true,
			FixedIPs: []desired.FixedIP{{IP: netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(1, 5).Draw(t, "fixed"))})}},
		}
		if rapid.Bool().Draw(t, "paired") {
			port.AddressPairs = []desired.AddressPair{{IP: netip.MustParsePrefix("10.1.0.0/16")}}
		}
		for _, g := range []string{"g1", "g2", "g3"} {
			if rapid.Bool().Draw(t, g) {
				port.SecurityGroups = append(port.SecurityGroups, g)
			}
		}
		x.setPort(p, port, touch)
	case 4:
		r := id("r", 2)
		if gone {
			x.setRouter(r, nil, touch)
			return
		}
		x.setRouter(r, &desired.Router{ID: r, Host: rapid.SampledFrom(hostNames).Draw(t, "host"), Next: rapid.SampledFrom(hostNames).Draw(t, "next"),
			Interfaces: []desired.RouterPort{{NetworkID: id("n", 3)}}}, touch)
	}
}

func difference(want, have follower) string {
	return cmp.Diff(want, have, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty())
}

// TestToldIsTrue holds, over random histories, what hosts have after having been told of each change
// against what they would get from nothing: the end does not depend on the way.
func TestToldIsTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newIndex()
		told := map[string]follower{}
		for _, h := range hostNames {
			told[h] = follower{}
		}
		for range rapid.IntRange(1, 40).Draw(t, "changes") {
			touch := touched{}
			change(t, x, touch)
			for h := range touch {
				if h != "" && told[h] == nil {
					t.Fatalf("%q is told, but is no host", h)
				}
			}
			for _, h := range hostNames {
				told[h].tell(x, h, touch[h])
				want := truth(x, h)
				if diff := difference(want, told[h]); diff != "" {
					t.Fatalf("%s: what it was told differs from the truth:\n%s", h, diff)
				}
				if diff := difference(want, fresh(x, h)); diff != "" {
					t.Fatalf("%s: what it gets from nothing differs from the truth:\n%s", h, diff)
				}
			}
		}
	})
}

// TestCostOfAMember holds a port's coming and going to a cost that does not grow with the cloud.
func TestCostOfAMember(t *testing.T) {
	cost := func(ports int) int {
		x := newIndex()
		x.setGroup("g", &desired.SecurityGroup{ID: "g", Rules: []desired.Rule{{RemoteGroup: "g"}, {RemoteGroup: "g", IPv6: true}}}, touched{})
		for i := range ports {
			x.setPort(fmt.Sprint("p", i), &desired.Port{ID: fmt.Sprint("p", i), NetworkID: fmt.Sprint("n", i%10), Host: fmt.Sprint("h", i%5), SecurityGroups: []string{"g"}}, touched{})
		}
		touch := touched{}
		x.setPort("new", &desired.Port{ID: "new", NetworkID: "n1", Host: "h1", SecurityGroups: []string{"g"}}, touch)
		n := 0
		for _, keys := range touch {
			n += len(keys)
		}
		return n
	}
	if few, many := cost(100), cost(3000); few != many {
		t.Errorf("a new port costs %d items among 100 ports, %d among 3000", few, many)
	}
}

// TestCostOfSmallChanges counts the items that hosts are told of one change in a big network.
func TestCostOfSmallChanges(t *testing.T) {
	const hosts, perHost = 20, 50
	build := func() *index {
		x := newIndex()
		x.setNetwork("n", &desired.Network{ID: "n"}, touched{})
		x.setGroup("g", &desired.SecurityGroup{ID: "g", Rules: []desired.Rule{{RemoteGroup: "g"}}}, touched{})
		for h := range hosts {
			for i := range perHost {
				id := fmt.Sprintf("p%d-%d", h, i)
				x.setPort(id, &desired.Port{ID: id, NetworkID: "n", Host: fmt.Sprint("h", h), SecurityGroups: []string{"g"}}, touched{})
			}
		}
		x.setPort("sole", &desired.Port{ID: "sole", NetworkID: "n", Host: "far"}, touched{})
		return x
	}
	for _, c := range []struct {
		name string
		do   func(*index, touched)
		want int
	}{
		{"nothing changes", func(x *index, t touched) { p := *x.ports["p1-1"]; x.setPort(p.ID, &p, t) }, 0},
		{"a port gets a revision", func(x *index, t touched) { p := *x.ports["p1-1"]; p.Revision = 9; x.setPort(p.ID, &p, t) }, hosts + 1},
		{"the only port of a host gets a revision", func(x *index, t touched) { p := *x.ports["sole"]; p.Revision = 9; x.setPort(p.ID, &p, t) }, hosts + 1},
		{"a port gets an address", func(x *index, t touched) {
			p := *x.ports["p1-1"]
			p.AddressPairs = []desired.AddressPair{{IP: netip.MustParsePrefix("10.1.0.0/16")}}
			x.setPort(p.ID, &p, t)
		}, hosts + 1 + hosts}, // the port to all, the member to those with the group
		{"a port goes", func(x *index, t touched) { x.setPort("p1-1", nil, t) }, hosts + 1 + hosts},
		{"an unbound port comes", func(x *index, t touched) { x.setPort("new", &desired.Port{ID: "new", NetworkID: "n"}, t) }, hosts + 1},
		{"a port of a network that no host has comes", func(x *index, t touched) { x.setPort("new", &desired.Port{ID: "new", NetworkID: "other"}, t) }, 0},
		{"a rule without a remote group comes", func(x *index, t touched) {
			x.setGroup("g", &desired.SecurityGroup{ID: "g", Rules: []desired.Rule{{RemoteGroup: "g"}, {ID: "2"}}}, t)
		}, hosts},
		{"a group that no host has comes", func(x *index, t touched) {
			x.setGroup("h", &desired.SecurityGroup{ID: "h", Rules: []desired.Rule{{RemoteGroup: "g"}}}, t)
		}, 0},
		{"a router moves", func(x *index, t touched) {
			x.setRouter("r", &desired.Router{ID: "r", Host: "h1"}, touched{})
			x.setRouter("r", &desired.Router{ID: "r", Host: "h2"}, t)
		}, 2},
		{"a network gets an MTU", func(x *index, t touched) { x.setNetwork("n", &desired.Network{ID: "n", MTU: 1400}, t) }, hosts + 1},
		{"the last port of a host goes", func(x *index, t touched) { x.setPort("sole", nil, t) },
			hosts + (1 + hosts*perHost + 1) + (hosts + hosts + 1)}, // the port to all; network and ports off the host; the hosts part
	} {
		t.Run(c.name, func(t *testing.T) {
			x, touch := build(), touched{}
			c.do(x, touch)
			n := 0
			for _, keys := range touch {
				n += len(keys)
			}
			if n != c.want {
				t.Errorf("%d items, want %d", n, c.want)
			}
		})
	}
}

func BenchmarkNewPort(b *testing.B) {
	x := newIndex()
	for i := range 10000 {
		x.setPort(fmt.Sprint("p", i), &desired.Port{ID: fmt.Sprint("p", i), NetworkID: fmt.Sprint("n", i%500), Host: fmt.Sprint("h", i%200), SecurityGroups: []string{fmt.Sprint("g", i%100)}}, touched{})
	}
	p := &desired.Port{ID: "new", NetworkID: "n1", Host: "h1", SecurityGroups: []string{"g1"}}
	for b.Loop() {
		x.setPort("new", p, touched{})
		x.setPort("new", nil, touched{})
	}
}
