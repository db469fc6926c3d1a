package hybrid

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"neutrino/agent"
	"neutrino/agent/firewall/firewalltest"
	"neutrino/agent/l2"
	"neutrino/dataplane/link"
	"neutrino/dataplane/nft"
	"neutrino/desired"
)

var update = flag.Bool("update", false, "write the golden files")

// talking is a bench with two ports of a group that lets its own members in.
func talking(t *testing.T) *bench {
	b := newBench(t)
	a, c := firewalltest.Port(firewalltest.A, "net", 1, "friends"), firewalltest.Port(firewalltest.B, "net", 2, "friends")
	b.Apply(firewalltest.Network("net", 100), a, c, firewalltest.Group("friends", firewalltest.AnyFrom("friends")),
		firewalltest.Member("friends", a), firewalltest.Member("friends", c))
	b.Plug(firewalltest.A, firewalltest.B)
	return b
}

func (b *bench) udp(what string, from, to int, port uint16, want ...string) {
	b.t.Helper()
	ports := []string{"", firewalltest.A, firewalltest.B, firewalltest.C}
	b.Reaches(what, ports[from], firewalltest.UDP(firewalltest.MAC(from), firewalltest.MAC(to), firewalltest.IP4(from), firewalltest.IP4(to), port, port), want...)
}

// listing is what is in our tables.
func (b *bench) listing() ruleset {
	b.t.Helper()
	r, err := b.filter.listing(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// scripts notes what the filter has nft do.
func (b *bench) scripts() *[]string {
	var all []string
	b.filter.load = func(ctx context.Context, script string) error {
		if script != "" {
			all = append(all, script)
		}
		return nft.Load(ctx, "", script)
	}
	return &all
}

// An agent that starts finds everything as it should be and writes nothing; what others did is mended in one go, what
// is ours and no more wanted is removed, and what is another's stays.
func TestAdoption(t *testing.T) {
	b := talking(t)
	b.udp("a new connection", 1, 2, 7, firewalltest.B)
	b.filter = New(quiet)
	wrote := b.scripts()
	b.apply(fullChange)
	if len(*wrote) != 0 {
		t.Errorf("on a host that is right was written:\n%s", strings.Join(*wrote, "\n"))
	}
	b.udp("the answer after the restart", 2, 1, 7, firewalltest.A)

	for _, change := range []string{
		"flush chain bridge neutrino spoof-" + firewalltest.A,
		"add rule inet neutrino in-friends goto agreed",
		"insert rule bridge neutrino forward accept",
		"delete element inet neutrino members4-friends { 10.0.0.1 }",
		"add element inet neutrino members4-friends { 10.9.0.0/16 }",
		`add element bridge neutrino origins { "tapfoe" : goto pass }`,
		"add chain inet neutrino left; add set inet neutrino left4 { type ipv4_addr; }; add rule inet neutrino left ip saddr @left4 goto allowed",
		"delete table inet neutrino",
		"delete table inet neutrino; add table inet neutrino; add chain inet neutrino forward { type filter hook forward priority 7; }",
		"delete table bridge neutrino; delete table inet neutrino",
	} {
		before := b.listing()
		b.run("nft", change)
		*wrote = nil
		b.apply(fullChange)
		if len(*wrote) != 1 {
			t.Errorf("%s: mended by %d transactions:\n%s", change, len(*wrote), strings.Join(*wrote, "\n"))
		}
		if after := b.listing(); difference(after, before) != "" || difference(before, after) != "" {
			t.Errorf("%s: not mended:\n%s", change, difference(after, before))
		}
		*wrote = nil
		b.apply(fullChange)
		if len(*wrote) != 0 {
			t.Errorf("%s: mended again:\n%s", change, strings.Join(*wrote, "\n"))
		}
	}
	b.udp("after it was mended", 1, 2, 8, firewalltest.B)

	b.run("nft", "add table inet other; add chain inet other forward")
	b.filter = New(quiet)
	b.apply(fullChange)
	if err := Retire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := b.run("nft", "list", "tables"); strings.TrimSpace(left) != "table inet other" {
		t.Errorf("tables left: %s", left)
	}
	b.run("nft", "delete table inet other")
}

// A member's coming is one element, a port's its own chains: nothing else is touched.
func TestSmallChanges(t *testing.T) {
	b := talking(t)
	wrote := b.scripts()
	c := firewalltest.Port(firewalltest.C, "net", 3, "friends")
	c.FixedIPs = c.FixedIPs[:1]
	head := "add table bridge neutrino\nadd table inet neutrino\n"
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() { b.Apply(firewalltest.Member("friends", c)) }, head + "add element inet neutrino members4-friends { 10.0.0.3 }\n"},
		{func() { b.Apply(c) }, ""}, // it is not plugged
		{func() { b.Remove(desired.MemberKey("friends", c.ID)) }, head + "delete element inet neutrino members4-friends { 10.0.0.3 }\n"},
		{func() { b.apply(agent.Change{}) }, ""},
	} {
		*wrote = nil
		step.do()
		if got := strings.Join(*wrote, ""); got != step.want {
			t.Errorf("was written:\n%s\nwant\n%s", got, step.want)
		}
	}
}

// What nft refuses costs only itself, is said, and is taken as soon as it can be.
func TestRefusedPiece(t *testing.T) {
	b := talking(t)
	wrong := "add rule inet neutrino received-" + firewalltest.B
	broken := true
	b.filter.load = func(ctx context.Context, script string) error {
		if broken && strings.Contains(script, wrong) {
			return errors.New("no")
		}
		return nft.Load(ctx, "", script)
	}
	stateless := firewalltest.Group("friends", firewalltest.AnyFrom("friends"))
	stateless.Stateful = false
	b.state.Put(stateless)
	change := agent.Change{Keys: map[desired.Key]struct{}{stateless.Key(): {}}}
	for range 2 {
		refused, err := b.filter.Apply(t.Context(), b.state, b.ports(), change)
		if err != nil || len(refused) != 1 || refused[firewalltest.B] == nil {
			t.Fatalf("refused %v, error %v", refused, err)
		}
		change.Keys = nil
	}
	now := b.listing()
	if received := now.sets[name{packets, receivedMap}].elements; received[quoted(device(bridgePrefix, firewalltest.A))] == "" || received[quoted(device(bridgePrefix, firewalltest.B))] != "" {
		t.Errorf("who receives: %v", received)
	}
	broken = false
	b.apply(fullChange)
	b.udp("to the port whose rules are taken", 1, 2, 9, firewalltest.B)
}

// Names are made of ids: an id that is none, or whose devices another port has, makes no rules.
func TestIDs(t *testing.T) {
	f := New(quiet)
	s := desired.NewState()
	ports := map[string]l2.Filtered{}
	for _, p := range []*desired.Port{
		firewalltest.Port("short", "net", 1), firewalltest.Port("aaaaaaaaaa;flush", "net", 2), firewalltest.Port(firewalltest.A, "net", 3),
		firewalltest.Port(firewalltest.A+"-other", "net", 4), firewalltest.Port(firewalltest.B, "net", 5, "a b"),
	} {
		s.Put(p)
		ports[p.ID] = l2.Filtered{Zone: zone}
	}
	s.Put(firewalltest.Group("a b"))
	list, refused := f.compute(s, ports, fullChange)
	if len(refused) != 4 || refused[firewalltest.A] != nil {
		t.Errorf("refused: %v", refused)
	}
	if script := difference(newRuleset(), f.together(list)); strings.Contains(script, ";flush") || strings.Contains(script, "a b") || strings.Contains(script, "other") {
		t.Error(script)
	}
}

// A packet whose bridge does not ask the tables of IP does not pass, and what has no rules does not either.
func TestFailsClosed(t *testing.T) {
	b := talking(t)
	b.run("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0", "net.bridge.bridge-nf-call-ip6tables=0")
	b.udp("as it should be", 1, 2, 7, firewalltest.B)
	bridge := device(bridgePrefix, firewalltest.B)
	b.ip("link", "set", bridge, "type", "bridge", "nf_call_iptables", "0")
	b.udp("past the tables of IP", 1, 2, 8)
	b.apply(fullChange)
	b.udp("after that was mended", 1, 2, 8, firewalltest.B)

	refused, err := b.filter.Apply(t.Context(), b.state, map[string]l2.Filtered{firewalltest.A: {Zone: zone, OFPort: 1}}, agent.Change{})
	if err != nil || len(refused) != 0 {
		t.Fatal(refused, err)
	}
	seen := b.run("nft", "list", "ruleset")
	if strings.Contains(seen, firewalltest.B) {
		t.Errorf("rules of a port that is none any more:\n%s", seen)
	}
	b.apply(agent.Change{})

	b.ip("link", "set", bridge, "down")
	b.ip("link", "set", bridge, "name", "elsewhere")
	refused, err = b.filter.Apply(t.Context(), b.state, b.ports(), fullChange)
	if err != nil || refused[firewalltest.B] == nil || refused[firewalltest.A] != nil {
		t.Errorf("without its bridge: refused %v, error %v", refused, err)
	}
	b.ip("link", "set", "elsewhere", "name", bridge)
}

// TestGolden shows all the rules of some ports.
func TestGolden(t *testing.T) {
	s := desired.NewState()
	ports := map[string]l2.Filtered{}
	put := func(items ...desired.Item) {
		for _, it := range items {
			s.Put(it)
			if p, ok := it.(*desired.Port); ok {
				ports[p.ID] = l2.Filtered{Zone: zone}
			}
		}
	}
	web, paired, open, free := firewalltest.Port(firewalltest.A, "net", 1, "web"), firewalltest.Port(firewalltest.B, "net", 2, "friends", "web"),
		firewalltest.Port(firewalltest.C, "net", 3), firewalltest.Port("ddddddddddd", "net", 4, "free")
	paired.AddressPairs = []desired.AddressPair{
		{MAC: paired.MAC, IP: prefix("10.0.0.0/24")}, {MAC: firewalltest.MAC(0x99), IP: prefix("fd00:5::/61")}, {MAC: paired.MAC, IP: prefix("::/0")},
	}
	open.PortSecurity = false
	member := firewalltest.Member("friends", paired)
	member.Addresses = append(member.Addresses, prefix("10.0.0.0/24"))
	stateless := firewalltest.Group("free")
	stateless.Stateful = false
	from := desired.Rule{Ingress: true, IPv6: true, Protocol: 58, PortMin: 128, PortMax: 0, RemotePrefix: prefix("fd00::1/64")}
	to := desired.Rule{Protocol: 17, PortMin: 53, PortMax: 53, RemoteGroup: "friends"}
	ports2 := desired.Rule{Ingress: true, Protocol: 33, PortMin: 1, PortMax: 9}
	senseless := desired.Rule{Ingress: true, Protocol: 47, PortMin: 1, PortMax: 9}
	put(web, paired, open, free, member, firewalltest.Member("friends", web), stateless,
		firewalltest.Group("friends", firewalltest.AnyFrom("friends")), firewalltest.Group("web", firewalltest.TCPIn(80, 443), from, to, ports2, senseless))
	f := New(quiet)
	list, refused := f.compute(s, ports, fullChange)
	if len(refused) > 0 {
		t.Fatal(refused)
	}
	got := difference(newRuleset(), f.together(list))
	if _, err := nft.Preview(t.Context(), []string{got}, tables...); err != nil {
		t.Error(err)
	}
	file := filepath.Join("testdata", "rules.nft")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the rules differ from %s (go test ./agent/hybrid -run Golden -update):\n%s", file, got)
	}
}

// On a host that can't show packets to the tables of IP no port is taken for filtered, with or without ports that is said,
// and it is over when the module is there.
func TestUnfit(t *testing.T) {
	b := talking(t)
	const settings = "/proc/sys/net/bridge"
	b.run("mount", "-t", "tmpfs", "none", settings)
	t.Cleanup(func() { exec.Command("umount", settings).Run() }) // the test does it, too
	idle := New(quiet)
	if _, err := idle.Apply(t.Context(), b.state, nil, fullChange); err != nil || idle.Unfit() == "" {
		t.Errorf("without ports: error %v, unfit: %q", err, idle.Unfit())
	}
	refused, err := b.filter.Apply(t.Context(), b.state, b.ports(), fullChange)
	if err != nil || len(refused) != 2 || !errors.Is(refused[firewalltest.A], link.ErrNoBridgeFilter) || b.filter.Unfit() != refused[firewalltest.A].Error() {
		t.Errorf("refused %v, error %v, unfit: %q", refused, err, b.filter.Unfit())
	}
	tried := b.filter.Unfit()
	refused, err = b.filter.Apply(t.Context(), b.state, b.ports(), agent.Change{})
	if err != nil || len(refused) != 2 || b.filter.Unfit() != tried || !strings.Contains(tried, "the agent has tried") {
		t.Errorf("after a small change: refused %v, error %v, unfit: %q", refused, err, b.filter.Unfit())
	}
	b.run("umount", settings)
	b.apply(agent.Change{})
	if b.filter.Unfit() != "" {
		t.Errorf("unfit with the module: %s", b.filter.Unfit())
	}
	b.udp("after the module was loaded", 1, 2, 7, firewalltest.B)
}
