package ipam

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"neutrino/address"
)

func TestDefaultPools(t *testing.T) {
	for _, c := range []struct{ prefix, gateway, want string }{
		{"10.0.0.0/24", "10.0.0.1", "10.0.0.2-10.0.0.254"},
		{"10.0.0.0/24", "10.0.0.254", "10.0.0.1-10.0.0.253"},
		{"10.0.0.0/24", "10.0.0.9", "10.0.0.1-10.0.0.8 10.0.0.10-10.0.0.254"},
		{"10.0.0.0/24", "192.0.2.1", "10.0.0.1-10.0.0.254"},
		{"10.0.0.0/31", "", "10.0.0.0-10.0.0.1"},
		{"10.0.0.0/32", "", "10.0.0.0-10.0.0.0"},
		{"fd00::/64", "fd00::", "fd00::1-fd00::ffff:ffff:ffff:ffff"},
	} {
		var gateway netip.Addr
		if c.gateway != "" {
			gateway = netip.MustParseAddr(c.gateway)
		}
		got := ""
		for i, p := range DefaultPools(netip.MustParsePrefix(c.prefix), gateway) {
			if i > 0 {
				got += " "
			}
			got += p.String()
		}
		if got != c.want {
			t.Errorf("%s, gateway %s: %s, want %s", c.prefix, c.gateway, got, c.want)
		}
	}
}

// TestNothingIsLost allocates and frees at random, the way the service does, until the pools are
// full: no address is given twice and none is lost.
func TestNothingIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(26, 30).Draw(t, "bits")
		prefix := netip.PrefixFrom(netip.MustParseAddr("10.0.0.0"), bits)
		gateway := Hosts(prefix).First
		for range rapid.IntRange(0, 5).Draw(t, "gateway") {
			if next := gateway.Next(); Hosts(prefix).Contains(next) {
				gateway = next
			}
		}
		pools := DefaultPools(prefix, gateway)
		size := uint64(0)
		for _, p := range pools {
			size += p.Size()
		}
		taken := map[netip.Addr]bool{}
		var last netip.Addr
		next := func() (netip.Addr, bool) {
			for _, ip := range Candidates(pools, last, 16) {
				if !taken[ip] {
					return ip, true
				}
			}
			return FirstFree(pools, taken)
		}
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			if len(taken) > 0 && rapid.Bool().Draw(t, "free") {
				for ip := range taken {
					delete(taken, ip)
					break
				}
				continue
			}
			ip, ok := next()
			if !ok {
				if uint64(len(taken)) != size {
					t.Fatalf("nothing is free with %d of %d taken", len(taken), size)
				}
				continue
			}
			if taken[ip] || ip == gateway || !prefix.Contains(ip) {
				t.Fatalf("%s was given", ip)
			}
			taken[ip], last = true, ip
		}
		for {
			ip, ok := next()
			if !ok {
				break
			}
			taken[ip], last = true, ip
		}
		if uint64(len(taken)) != size {
			t.Fatalf("%d of %d addresses could be given", len(taken), size)
		}
	})
}

func TestOverlap(t *testing.T) {
	r := func(a, b string) address.Range {
		return address.Range{First: netip.MustParseAddr(a), Last: netip.MustParseAddr(b)}
	}
	if _, _, found := Overlap([]address.Range{r("10.0.0.1", "10.0.0.5"), r("10.0.0.6", "10.0.0.9")}); found {
		t.Error("neighbours overlap")
	}
	if _, _, found := Overlap([]address.Range{r("10.0.0.6", "10.0.0.9"), r("10.0.0.1", "10.0.0.6")}); !found {
		t.Error("a shared address was not found")
	}
}
