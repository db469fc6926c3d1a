package l2

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"neutrino/agent"
	"neutrino/dataplane/openflow"
	"neutrino/dataplane/ovsdb"
	"neutrino/desired"
)

// planned is a manager whose switch is only facts: what it wants is recorded.
type planned struct {
	*Manager
	state *desired.State
	want  map[string]recorded
	tags  map[string]uint16 // local VLANs as written on the ports: adopted each time, as look does
}

// newPlanned has the ports of these items plugged, and their networks' local VLANs chosen, as after a
// restart: a new host chooses them in the order of arrival, which is the one thing that may differ.
func newPlanned(items []desired.Item) *planned {
	m := New(Options{Host: hostA, TunnelIP: netip.MustParseAddr("172.29.0.1"), Mappings: map[string]string{"physnet1": "br-ex"}}, quiet)
	p := &planned{Manager: m, state: desired.NewState(), want: map[string]recorded{brInt: {}, brTun: {}, "br-ex": {}}}
	for name, r := range p.want {
		m.plans[name] = r
	}
	m.facts = facts{
		ports: map[string]ovsdb.Port{},
		patch: map[string]uint32{patchTun: 1, patchInt: 1, "int-br-ex": 2, "vxlan-sys": 2, "geneve-sys": 3},
		phys:  map[string]uint32{"br-ex": 7},
	}
	for i, it := range items {
		switch it := it.(type) {
		case *desired.Port:
			m.facts.ports[it.ID] = ovsdb.Port{Name: it.ID, OFPort: 100 + i}
		case *desired.Network:
			m.vlans[it.ID] = uint16(1 + i)
		}
	}
	p.tags = maps.Clone(m.vlans)
	p.compute(p.state, agent.Change{Full: true}, nil, true)
	return p
}

func (p *planned) apply(put []desired.Item, remove []desired.Key) {
	keys := map[desired.Key]struct{}{}
	for _, it := range put {
		p.state.Put(it)
		keys[it.Key()] = struct{}{}
	}
	for _, k := range remove {
		p.state.Delete(k)
		keys[k] = struct{}{}
	}
	maps.Copy(p.vlans, p.tags)
	p.compute(p.state, agent.Change{Keys: keys}, nil, false)
}

// text is all that is wanted, sorted: the same flow wanted under two keys counts once.
func (p *planned) text() string {
	lines := map[string]bool{}
	for bridge, sets := range p.want {
		for _, flows := range sets {
			for _, f := range flows {
				lines[bridge+" "+f.String()] = true
			}
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(lines)), "\n")
}

// cloud has local and remote ports, three kinds of networks, pairs, and groups that name groups.
func cloud() []desired.Item {
	items := []desired.Item{
		&desired.Host{Name: hostA, TunnelIP: netip.MustParseAddr("172.29.0.1")},
		&desired.Host{Name: hostB, TunnelIP: netip.MustParseAddr("172.29.0.2")},
		vxlan("n1", 100), &desired.Network{ID: "n2", Type: "geneve", SegmentationID: 7, AdminStateUp: true},
		&desired.Network{ID: "n3", Type: "vlan", Physical: "physnet1", SegmentationID: 300, AdminStateUp: true},
		group("g1", tcpIn(80, 90), anyFrom("g2")), group("g2", anyFrom("g2"), anyFrom("g1")),
	}
	for i := range 9 {
		p := port(fmt.Sprintf("p%d", i), fmt.Sprintf("n%d", 1+i%3), 10+i, fmt.Sprintf("g%d", 1+i%2))
		if i > 5 {
			p.Host, p.PortSecurity, p.SecurityGroups = hostB, false, nil
		}
		if i == 0 || i == 3 {
			p.AddressPairs = []desired.AddressPair{{MAC: macOf(0x500), IP: netip.MustParsePrefix("10.0.9.0/24")}}
		}
		items = append(items, p, member(fmt.Sprintf("g%d", 1+i%2), p))
	}
	return items
}

func TestFlowsDoNotDependOnTheWay(t *testing.T) {
	items := cloud()
	atOnce := newPlanned(items)
	atOnce.apply(items, nil)
	want := atOnce.text()
	if strings.Count(want, "\n") < 300 {
		t.Fatalf("only this is wanted:\n%s", want)
	}
	check := func(name string, p *planned) {
		t.Helper()
		if got := p.text(); got != want {
			t.Errorf("%s: flows differ:\n%s", name, difference(want, got))
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		order := slices.Clone(items)
		name := "forward"
		switch {
		case round == 1:
			slices.Reverse(order)
			name = "reversed"
		case round > 1:
			random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
			name = fmt.Sprintf("shuffle %d", round)
		}
		p := newPlanned(items)
		for _, it := range order {
			p.apply([]desired.Item{it}, nil)
		}
		check(name, p)
		// Take some away and bring them back; then everything.
		some := order[:len(order)/2]
		var keys []desired.Key
		for _, it := range some {
			p.apply(nil, []desired.Key{it.Key()})
		}
		p.apply(some, nil)
		check(name+", half removed and back", p)
		for _, it := range order {
			keys = append(keys, it.Key())
		}
		p.apply(nil, keys)
		for bridge, sets := range p.want {
			for key := range sets {
				if key != "base" {
					t.Errorf("%s: %s still has flows of %s when all is gone", name, bridge, key)
				}
			}
		}
	}
}

func difference(want, got string) string {
	count := map[string]int{}
	for _, l := range strings.Split(want, "\n") {
		count[l]++
	}
	for _, l := range strings.Split(got, "\n") {
		count[l]--
	}
	var out []string
	for l, n := range count {
		switch {
		case n > 0:
			out = append(out, "lacks "+l)
		case n < 0:
			out = append(out, "has   "+l)
		}
	}
	slices.Sort(out)
	return strings.Join(out[:min(len(out), 20)], "\n")
}

// crowd is a host with n ports in one group whose 20 rules all name the group itself.
func crowd(n int) []desired.Item {
	var rules []desired.Rule
	for i := range 20 {
		r := tcpIn(1000+i, 1000+i)
		r.RemoteGroup = "crowd"
		rules = append(rules, r)
	}
	items := []desired.Item{vxlan("n", 5), group("crowd", rules...)}
	for i := range n {
		p := port(fmt.Sprintf("p%d", i), "n", 1+i, "crowd")
		p.FixedIPs = p.FixedIPs[:1]
		items = append(items, p, member("crowd", p))
	}
	return items
}

func TestMemberCostsOneFlow(t *testing.T) {
	for _, n := range []int{10, 1000} {
		items := crowd(n)
		p := newPlanned(items)
		p.apply(items, nil)
		before := p.text()
		total := strings.Count(before, "\n") + 1
		t.Logf("%d ports, 20 rules with a remote group: %d flows", n, total)
		if perPort := total / n; perPort > 100 {
			t.Errorf("%d ports: %d flows a port", n, perPort)
		}
		p.apply(nil, []desired.Key{desired.MemberKey("crowd", "p3")})
		changed := strings.Split(difference(before, p.text()), "\n")
		if len(changed) != 1 || !strings.Contains(changed[0], "nw_src=10.0.0.4") {
			t.Errorf("%d ports: a member's leave changed %d flows: %v", n, len(changed), changed)
		}
	}
}

func TestRecordedFlowsAreOnes(t *testing.T) {
	items := cloud()
	p := newPlanned(items)
	p.apply(items, nil)
	for bridge, sets := range p.want {
		by := map[string]openflow.Flow{} // table, priority and match
		owner := map[string]string{}
		for key, flows := range sets {
			for _, f := range flows {
				id, _, _ := strings.Cut(f.String(), " actions=")
				if have, twice := by[id]; twice && have.Actions.String() != f.Actions.String() {
					t.Errorf("%s: %s and %s disagree about %s", bridge, owner[id], key, id)
				}
				by[id], owner[id] = f, key
			}
		}
	}
}
