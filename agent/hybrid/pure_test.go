package hybrid

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"neutrino/agent"
	"neutrino/agent/firewall/firewalltest"
	"neutrino/agent/l2"
	"neutrino/desired"
)

var prefix = netip.MustParsePrefix

func TestCover(t *testing.T) {
	got := cover([]netip.Prefix{prefix("10.0.0.5/32"), prefix("10.0.0.0/24"), prefix("10.0.1.7/32"), prefix("10.0.1.7/32"), prefix("10.0.0.9/25")})
	if want := []netip.Prefix{prefix("10.0.0.0/24"), prefix("10.0.1.7/32")}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestRuleText(t *testing.T) {
	all := desired.Rule{Protocol: -1, PortMin: -1, PortMax: -1}
	with := func(change func(*desired.Rule)) desired.Rule { r := all; change(&r); return r }
	for _, c := range []struct {
		rule      desired.Rule
		text, why string
	}{
		{all, "meta nfproto ipv4 goto agreed", ""},
		{with(func(r *desired.Rule) { r.IPv6, r.RemotePrefix = true, prefix("::/0") }), "meta nfproto ipv6 goto agreed", ""},
		{with(func(r *desired.Rule) { r.Protocol = 1 }), "meta nfproto ipv4 meta l4proto 1 goto agreed", ""},
		{with(func(r *desired.Rule) { r.RemotePrefix = prefix("10.0.0.9/8") }), "meta nfproto ipv4 ip daddr 10.0.0.0/8 goto agreed", ""},
		{with(func(r *desired.Rule) { r.Protocol, r.PortMin, r.PortMax = 132, 5, 5 }), "meta nfproto ipv4 meta l4proto 132 th dport 5 goto agreed", ""},
		{with(func(r *desired.Rule) { r.Protocol, r.PortMin, r.PortMax = 1, 3, -1 }), "meta nfproto ipv4 meta l4proto 1 icmp type 3 goto agreed", ""},
		{with(func(r *desired.Rule) { r.RemoteGroup = "}; flush ruleset" }), "", "id"},
		{with(func(r *desired.Rule) { r.Protocol, r.PortMin, r.PortMax = 47, 1, 2 }), "", "no ports"},
		{with(func(r *desired.Rule) { r.Protocol, r.PortMin, r.PortMax = 6, 9, 2 }), "", "no range"},
		{with(func(r *desired.Rule) { r.RemotePrefix = prefix("fd00::/8") }), "", "other IP version"},
	} {
		text, why := ruleText(c.rule)
		if text != c.text || (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
			t.Errorf("%+v: %q, %q", c.rule, text, why)
		}
	}
}

// The rules do not depend on the way to a state.
func TestRulesDoNotDependOnTheWay(t *testing.T) {
	items := crowd(12, 3, 4)
	whole := New(quiet)
	want := step(whole, stateOf(items), fullChange)
	random := rand.New(rand.NewPCG(3, 4))
	for range 10 {
		random.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		f, s := New(quiet), desired.NewState()
		for _, it := range items {
			s.Put(it)
			step(f, s, agent.Change{Keys: map[desired.Key]struct{}{it.Key(): {}}})
		}
		for _, it := range items[:len(items)/2] {
			s.Delete(it.Key())
			step(f, s, agent.Change{Keys: map[desired.Key]struct{}{it.Key(): {}}})
		}
		for _, it := range items[:len(items)/2] {
			s.Put(it)
			step(f, s, agent.Change{Keys: map[desired.Key]struct{}{it.Key(): {}}})
		}
		got := step(f, s, agent.Change{})
		if d := difference(got, want) + difference(want, got); d != "" {
			t.Fatalf("differs:\n%s", d)
		}
	}
}

func step(f *Filter, s *desired.State, change agent.Change) ruleset {
	list, _ := f.compute(s, allPorts(s), change)
	return f.together(list)
}

func allPorts(s *desired.State) map[string]l2.Filtered {
	ports := map[string]l2.Filtered{}
	for id := range s.Ports {
		ports[id] = l2.Filtered{Zone: zone}
	}
	return ports
}

func stateOf(items []desired.Item) *desired.State {
	s := desired.NewState()
	for _, it := range items {
		s.Put(it)
	}
	return s
}

// crowd are ports in groups of rules that each name a group.
func crowd(ports, groups, rules int) (items []desired.Item) {
	for g := range groups {
		var list []desired.Rule
		for r := range rules {
			rule := firewalltest.TCPIn(1000+100*r, 1000+100*r)
			rule.RemoteGroup = fmt.Sprintf("g%d", (g+r)%groups)
			list = append(list, rule)
		}
		items = append(items, firewalltest.Group(fmt.Sprintf("g%d", g), list...))
	}
	for i := range ports {
		g := fmt.Sprintf("g%d", i%groups)
		p := firewalltest.Port(fmt.Sprintf("%08x-0000-4000-8000-000000000000", i<<8), "net", 10+i, g)
		p.FixedIPs = p.FixedIPs[:1]
		items = append(items, p, firewalltest.Member(g, p))
	}
	return items
}

// What nft lists of a script is what the script said.
func FuzzParse(f *testing.F) {
	f.Add("table inet neutrino {\n\tmap zones {\n\t\ttypeof iifname : ct zone\n\t\telements = { \"qbra\" : 7,\n\t\t\t     \"qbrb\" : 8 }\n\t}\n\n\tset m {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t}\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n\t\tdrop\n\t}\n}\n")
	f.Add("chain {\nset x {\nelements = {\n}")
	f.Fuzz(func(t *testing.T, listing string) {
		r := parse(packets, listing)
		size := 0
		for _, c := range r.chains {
			for _, rule := range c.rules {
				size += len(rule)
			}
		}
		for _, s := range r.sets {
			for key, value := range s.elements {
				size += len(key) + len(value)
			}
		}
		if size > len(listing) {
			t.Error("more came out than went in")
		}
		if d := difference(r, r); d != "" {
			t.Errorf("differs from itself: %s", d)
		}
	})
}

func TestParse(t *testing.T) {
	r := parse(packets, "table inet neutrino {\n\tmap zones {\n\t\ttypeof iifname : ct zone\n\t\telements = { \"qbra\" : 7,\n\t\t\t     \"qbrb\" : 8 }\n\t}\n\n\tset m {\n\t\ttype ipv6_addr\n\t\tflags interval\n\t\telements = { fd00::1, fd00:1::/64 }\n\t}\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n\t\tdrop\n\t}\n}\n")
	zones, m, c := r.sets[name{packets, "zones"}], r.sets[name{packets, "m"}], r.chains[name{packets, "forward"}]
	if !zones.isMap || zones.elements[`"qbrb"`] != "8" || zones.kind != "typeof iifname : ct zone" {
		t.Errorf("%+v", zones)
	}
	if keys := slices.Sorted(maps.Keys(m.elements)); m.isMap || m.kind != "type ipv6_addr; flags interval" || !slices.Equal(keys, []string{"fd00:1::/64", "fd00::1"}) {
		t.Errorf("%+v", m)
	}
	if !strings.HasPrefix(c.hook, "type filter hook forward") || !slices.Equal(c.rules, []string{"drop"}) {
		t.Errorf("%+v", c)
	}
}

// full is a host with 1,000 ports in 20 groups of 20 rules, each with a remote group.
func full() *desired.State { return stateOf(crowd(1000, 20, 20)) }

// BenchmarkCompute: all rules of a host, and the script that writes them.
func BenchmarkCompute(b *testing.B) {
	s := full()
	size := 0
	for b.Loop() {
		size = len(difference(newRuleset(), step(New(quiet), s, fullChange)))
	}
	b.ReportMetric(float64(size)/1000, "kB-script")
}

// BenchmarkMember: one member's coming on that host.
func BenchmarkMember(b *testing.B) {
	s, f := full(), New(quiet)
	before := step(f, s, fullChange)
	m := &desired.Member{GroupID: "g1", PortID: "far"}
	m.Addresses = []netip.Prefix{prefix("10.99.0.1/32")}
	for b.Loop() {
		s.Put(m)
		change := agent.Change{Keys: map[desired.Key]struct{}{m.Key(): {}}}
		after := step(f, s, change)
		if strings.Count(difference(before, after), "\n") != 3 {
			b.Fatal(difference(before, after))
		}
		s.Delete(m.Key())
		step(f, s, change)
	}
}

// BenchmarkBlankHost: all rules of that host, from the items to the kernel, where there are none.
func BenchmarkBlankHost(b *testing.B) {
	s := full()
	for b.Loop() {
		writeAll(b, New(quiet), s)
		b.StopTimer()
		if err := Retire(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkRestart: another agent finds all of them as they should be.
func BenchmarkRestart(b *testing.B) {
	s := full()
	writeAll(b, New(quiet), s)
	for b.Loop() {
		f := New(quiet)
		f.load = func(_ context.Context, script string) error {
			if script != "" {
				b.Fatalf("something is written: %.200s", script)
			}
			return nil
		}
		writeAll(b, f, s)
	}
	if err := Retire(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkMemberComes: one more of a remote group of 2,000, from the item to the kernel.
func BenchmarkMemberComes(b *testing.B) {
	s, f := full(), New(quiet)
	for i := range 2000 {
		p := firewalltest.Port("far", "net", 5000+i)
		s.Put(&desired.Member{GroupID: "g1", PortID: fmt.Sprintf("far%d", i), Addresses: []netip.Prefix{netip.PrefixFrom(p.FixedIPs[0].IP, 32)}})
	}
	writeAll(b, f, s)
	m := &desired.Member{GroupID: "g1", PortID: "more", Addresses: []netip.Prefix{prefix("10.99.0.1/32")}}
	list := func() {
		all, _ := f.compute(s, allPorts(s), agent.Change{Keys: map[desired.Key]struct{}{m.Key(): {}}})
		if err := f.write(b.Context(), all); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		s.Put(m)
		list()
		b.StopTimer()
		s.Delete(m.Key())
		list()
		b.StartTimer()
	}
	if err := Retire(context.Background()); err != nil {
		b.Fatal(err)
	}
}

func writeAll(b *testing.B, f *Filter, s *desired.State) {
	b.Helper()
	list, refused := f.compute(s, allPorts(s), fullChange)
	if len(refused) > 0 {
		b.Fatal(refused)
	}
	if err := f.adopt(b.Context(), list); err != nil {
		b.Fatal(err)
	}
	if err := f.write(b.Context(), list); err != nil || len(f.bad) > 0 {
		b.Fatal(err, f.bad)
	}
}
