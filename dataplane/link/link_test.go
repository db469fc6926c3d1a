package link

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"neutrino/address"
	"neutrino/dataplane/netns"
	"neutrino/dataplane/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

var mac = address.MustParseMAC("fa:16:3e:00:00:01")

// pair makes a veth pair: "outer" in this namespace, "inner" in one named after the test.
func pair(t *testing.T) (host, inside *Space) {
	t.Helper()
	name := strings.ToLower(t.Name())
	if err := netns.Create(name, "test"); err != nil {
		t.Fatal(err)
	}
	host, err := In("")
	if err != nil {
		t.Fatal(err)
	}
	inside, err = In(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := host.CreateVeth("outer", inside, "inner", mac, 1400); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Delete("outer"); err != nil {
			t.Error(err)
		}
		host.Close()
		inside.Close()
		if err := netns.Delete(name); err != nil {
			t.Error(err)
		}
	})
	for _, err := range []error{host.Set("outer", address.MAC{}, 1400), inside.Set("inner", mac, 1400)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return host, inside
}

// quiet runs f and expects it to write nothing.
func quiet(t *testing.T, s *Space, f func() error) {
	t.Helper()
	before := s.Writes
	if err := f(); err != nil {
		t.Fatal(err)
	}
	if n := s.Writes - before; n != 0 {
		t.Errorf("%d writes where all was right", n)
	}
}

func TestVeth(t *testing.T) {
	host, inside := pair(t)
	outer, found, err := host.Find("outer")
	if err != nil || !found {
		t.Fatal(found, err)
	}
	inner, found, err := inside.Find("inner")
	if err != nil || !found {
		t.Fatal(found, err)
	}
	if outer.Peer != inner.Index || inner.Peer != outer.Index || inner.MAC != mac || inner.MTU != 1400 || !inner.Up || !outer.Up {
		t.Errorf("outer %+v, inner %+v", outer, inner)
	}
	quiet(t, inside, func() error { return inside.Set("inner", mac, 1400) })
	other := address.MustParseMAC("fa:16:3e:00:00:02")
	if err := inside.Set("inner", other, 1300); err != nil {
		t.Fatal(err)
	}
	if inner, _, err = inside.Find("inner"); err != nil || inner.MAC != other || inner.MTU != 1300 || !inner.Up {
		t.Errorf("after a change: %+v %v", inner, err)
	}
	if _, found, err := inside.Find("nothing"); found || err != nil {
		t.Errorf("nothing was found: %v %v", found, err)
	}
	quiet(t, inside, func() error { return inside.Delete("nothing") })
}

func TestAddresses(t *testing.T) {
	_, s := pair(t)
	set := func(texts ...string) []netip.Prefix {
		t.Helper()
		var want []netip.Prefix
		for _, text := range texts {
			want = append(want, netip.MustParsePrefix(text))
		}
		added, err := s.SetAddresses("inner", want)
		if err != nil {
			t.Fatal(err)
		}
		have, err := s.Addresses("inner")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range want {
			if !slices.Contains(have, p) {
				t.Errorf("%s is missing", p)
			}
		}
		for _, p := range have {
			if !slices.Contains(want, p) && p.Addr() != mac.LinkLocal() {
				t.Errorf("%s is too much", p)
			}
		}
		if !slices.Contains(have, netip.PrefixFrom(mac.LinkLocal(), 64)) {
			t.Error("the kernel's link-local address is gone")
		}
		return added
	}
	if err := s.SetSysctls(map[string]string{"net/ipv4/conf/all/promote_secondaries": "1"}); err != nil {
		t.Fatal(err)
	}
	if added := set("10.0.0.1/24", "10.0.0.2/24", "192.0.2.7/32", "2001:db8::1/64", "fe80::a9fe:a9fe/64"); len(added) != 5 {
		t.Errorf("added %v", added)
	}
	quiet(t, s, func() error {
		set("10.0.0.1/24", "10.0.0.2/24", "192.0.2.7/32", "2001:db8::1/64", "fe80::a9fe:a9fe/64")
		return nil
	})
	if added := set("10.0.0.2/24", "2001:db8::1/64", "2001:db8::2/64"); len(added) != 1 {
		t.Errorf("added %v", added)
	}
	if added := set("10.0.0.2/25"); len(added) != 1 {
		t.Errorf("another length is another address: added %v", added)
	}
	set()
}

func TestRoutes(t *testing.T) {
	_, s := pair(t)
	if _, err := s.SetAddresses("inner", []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("2001:db8::1/64")}); err != nil {
		t.Fatal(err)
	}
	route := func(dst, via string) Route {
		return Route{Destination: netip.MustParsePrefix(dst), NextHop: netip.MustParseAddr(via), Device: "inner"}
	}
	in := func(table int, r Route) Route {
		r.Table = table
		return r
	}
	direct := func(dst string) Route {
		return in(1<<24, Route{Destination: netip.MustParsePrefix(dst), Device: "inner"})
	}
	far := route("0.0.0.0/0", "192.0.2.1")
	far.OnLink = true
	far6 := route("::/0", "2001:db8:f::1")
	far6.OnLink = true
	sets := [][]Route{
		{far, far6, route("198.51.100.0/24", "10.0.0.9"), route("2001:db8:9::/64", "2001:db8::9")},
		{route("198.51.100.0/24", "10.0.0.9"), route("198.51.100.0/24", "10.0.0.8"), route("2001:db8:9::/64", "2001:db8::9"), route("2001:db8:9::/64", "2001:db8::8")},
		{route("198.51.100.0/24", "10.0.0.7"), route("2001:db8:9::/64", "2001:db8::7"), route("0.0.0.0/0", "10.0.0.7"), route("::/0", "fe80::1")},
		{route("2001:db8:9::/64", "2001:db8::6"), route("2001:db8:9::/64", "2001:db8::5")},
		{in(77, route("0.0.0.0/0", "10.0.0.7")), in(1<<24, route("0.0.0.0/0", "10.0.0.8")), in(1<<24, route("::/0", "2001:db8::8")), direct("10.0.0.0/24"), direct("2001:db8::/64"), route("0.0.0.0/0", "10.0.0.9")},
		{in(77, route("0.0.0.0/0", "10.0.0.6")), in(1<<24, route("0.0.0.0/0", "10.0.0.8")), in(1<<24, route("0.0.0.0/0", "10.0.0.6")), direct("10.0.0.0/24")},
		{},
	}
	// Every way from one set to another ends at the same.
	for i, from := range sets {
		for j, end := range sets {
			for _, set := range [][]Route{from, end} {
				if err := s.SetRoutes(set); err != nil {
					t.Fatalf("%d → %d: %v", i, j, err)
				}
			}
			wanted, err := s.group(end)
			if err != nil {
				t.Fatal(err)
			}
			have, err := s.routes()
			if err != nil {
				t.Fatal(err)
			}
			if len(have) != len(wanted) {
				t.Errorf("%d → %d: have %v, want %v", i, j, have, wanted)
			}
			for dst, hops := range wanted {
				if !slices.Equal(have[dst], hops) {
					t.Errorf("%d → %d: %s: have %v, want %v", i, j, dst, have[dst], hops)
				}
			}
			quiet(t, s, func() error { return s.SetRoutes(end) })
		}
	}

	// What is not ours stays, and one bad route does not keep a good one away.
	if out, err := exec.Command("ip", "-n", s.Name(), "route", "add", "203.0.113.0/24", "via", "10.0.0.9").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if err := s.SetRoutes([]Route{route("198.51.100.0/24", "172.16.0.1"), route("192.0.2.0/24", "10.0.0.9")}); err == nil {
		t.Error("a route by an unreachable next hop was taken")
	}
	out, err := exec.Command("ip", "-n", s.Name(), "route").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "203.0.113.0/24") || !strings.Contains(string(out), "192.0.2.0/24") {
		t.Errorf("%v %s", err, out)
	}
}

func TestRules(t *testing.T) {
	_, s := pair(t)
	ip := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("ip", append([]string{"-n", s.Name()}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
		return string(out)
	}
	ip("rule", "add", "fwmark", "0x7", "lookup", "7") // not ours
	for _, want := range [][]Rule{{{0x1000001, 1<<24 + 1}, {0x1000002, 1<<24 + 2}}, {{0x1000002, 1<<24 + 2}}, {{0x1000002, 9}, {0x1000003, 9}}, nil} {
		if err := s.SetRules(want); err != nil {
			t.Fatal(err)
		}
		quiet(t, s, func() error { return s.SetRules(want) })
		for _, family := range []string{"-4", "-6"} {
			have := ip(family, "rule")
			if strings.Count(have, "fwmark 0x100000") != len(want) {
				t.Errorf("%s: %v:\n%s", family, want, have)
			}
			for _, r := range want {
				if !strings.Contains(have, fmt.Sprintf("fwmark %#x lookup %d", r.Mark, r.Table)) {
					t.Errorf("%s: no %v in\n%s", family, r, have)
				}
			}
		}
	}
	if !strings.Contains(ip("rule"), "fwmark 0x7 lookup 7") {
		t.Error("a rule of another is gone")
	}
}

func TestSettings(t *testing.T) {
	_, s := pair(t)
	for _, key := range []string{"kernel/hostname", "net/../kernel/hostname", "/net/ipv4/ip_forward"} {
		if s.SetSysctls(map[string]string{key: "1"}) == nil {
			t.Errorf("%s was written", key)
		}
	}
	want := map[string]string{"net/ipv4/ip_forward": "1"}
	if err := s.SetSysctls(want); err != nil {
		t.Fatal(err)
	}
	quiet(t, s, func() error { return s.SetSysctls(want) })

	if err := s.ChecksumInSoftware("inner"); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ip", "netns", "exec", s.Name(), "ethtool", "-k", "inner").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "tx-checksumming: off") {
		t.Errorf("%v %s", err, out)
	}
	quiet(t, s, func() error { return s.ChecksumInSoftware("inner") })
	if s.ChecksumInSoftware("nothing") == nil {
		t.Error("a device that is not there was changed")
	}
}

// What is announced is learnt by a kernel that had it otherwise.
func TestAnnounce(t *testing.T) {
	host, inside := pair(t)
	if _, err := host.SetAddresses("outer", []netip.Prefix{netip.MustParsePrefix("10.0.0.9/24"), netip.MustParsePrefix("2001:db8::9/64")}); err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"10.0.0.1", "2001:db8::1"} {
		if out, err := exec.Command("ip", "neigh", "replace", a, "lladdr", "02:00:00:00:00:99", "dev", "outer", "nud", "stale").CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	}
	addrs := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")}
	// The kernel takes no new address within a second of the last (locktime), hence the repetition.
	if err := Announce(t.Context(), inside.Name(), "inner", mac, addrs, 3, 600*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	var out []byte
	var err error
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) { // the kernel takes frames in its own time
		out, err = exec.Command("ip", "neigh", "show", "dev", "outer").CombinedOutput()
		if strings.Count(string(out), mac.String()) == 2 && strings.Contains(string(out), "router") {
			break
		}
	}
	if err != nil || strings.Count(string(out), mac.String()) != 2 || !strings.Contains(string(out), "router") {
		t.Errorf("%v\n%s", err, out)
	}
	if err := host.FlushNeighbours("outer"); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ip", "neigh", "show", "dev", "outer").CombinedOutput(); err != nil || strings.Contains(string(out), mac.String()) {
		t.Errorf("%v\n%s", err, out)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Announce(ended, inside.Name(), "inner", mac, addrs, 2, time.Hour); err != nil {
		t.Error(err)
	}
}

// One neighbour is told; permanent ones are those that are wanted, and what the kernel has learnt stays.
func TestNeighbours(t *testing.T) {
	host, inside := pair(t)
	if _, err := host.SetAddresses("outer", []netip.Prefix{netip.MustParsePrefix("10.0.0.9/24")}); err != nil {
		t.Fatal(err)
	}
	outer, found, err := host.Find("outer")
	if err != nil || !found {
		t.Fatal(found, err)
	}
	shown := func() string {
		out, err := exec.Command("ip", "neigh", "show", "dev", "outer").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	if out, err := exec.Command("ip", "neigh", "replace", "10.0.0.1", "lladdr", "02:00:00:00:00:99", "dev", "outer", "nud", "stale").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if err := AnnounceTo(t.Context(), inside.Name(), "inner", mac, []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")}, []address.MAC{outer.MAC}, 3, 600*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	told := func() bool { return strings.Contains(shown(), "10.0.0.1 lladdr "+mac.String()) }
	for deadline := time.Now().Add(10 * time.Second); !told() && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		continue // the kernel takes frames in its own time
	}
	if !told() {
		t.Errorf("not told: %s", shown())
	}
	a, b, six := netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("10.0.0.6"), netip.MustParseAddr("fe80::5")
	other := address.MAC{2, 0, 0, 0, 0, 7}
	for _, want := range []map[netip.Addr]address.MAC{{a: mac, b: mac, six: mac}, {a: other, six: mac}, nil} {
		if err := host.SetNeighbours("outer", want); err != nil {
			t.Fatal(err)
		}
		quiet(t, host, func() error { return host.SetNeighbours("outer", want) })
		out := shown()
		if strings.Count(out, "PERMANENT") != len(want) || !strings.Contains(out, "10.0.0.1 lladdr") {
			t.Errorf("wanted %v: %s", want, out)
		}
		for ip, at := range want {
			if !strings.Contains(out, ip.String()+" lladdr "+at.String()) {
				t.Errorf("%s is not at %s: %s", ip, at, out)
			}
		}
	}
}

func TestFrames(t *testing.T) {
	for _, a := range []string{"10.0.0.1", "2001:db8::1"} {
		for _, frame := range announcements(mac, netip.MustParseAddr(a)) {
			if !slices.Equal(frame[6:12], mac[:]) || len(frame) > 96 {
				t.Errorf("%s: % x", a, frame)
			}
		}
	}
}
