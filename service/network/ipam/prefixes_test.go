package ipam

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

func list(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

func TestMerge(t *testing.T) {
	for _, c := range []struct{ in, want []netip.Prefix }{
		{nil, nil},
		{list("10.10.0.0/16", "10.11.0.0/16"), list("10.10.0.0/15")},
		{list("10.11.0.0/16", "10.12.0.0/16"), list("10.11.0.0/16", "10.12.0.0/16")},
		{list("10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8"), list("10.0.0.0/8")},
		{list("10.0.0.0/10", "10.128.0.0/9", "10.64.0.0/10"), list("10.0.0.0/8")},
		{list("0.0.0.0/1", "128.0.0.0/1"), list("0.0.0.0/0")},
		{list("fd00::/65", "fd00:0:0:0:8000::/65"), list("fd00::/64")},
	} {
		if got := Merge(c.in); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.in, got, c.want)
		}
	}
}

func TestFreePrefix(t *testing.T) {
	for _, c := range []struct {
		pool, used []netip.Prefix
		bits       int
		want       string
	}{
		{list("10.0.0.0/8"), nil, 24, "10.0.0.0/24"},
		{list("10.0.0.0/8"), list("10.0.0.0/24"), 24, "10.0.1.0/24"},
		{list("10.0.0.0/8"), list("10.0.0.0/24"), 16, "10.1.0.0/16"},
		{list("10.0.0.0/8"), list("10.0.0.0/16", "10.2.0.0/16"), 24, "10.1.0.0/24"},
		{list("10.0.0.0/24", "192.168.0.0/16"), list("10.0.0.0/25"), 24, "192.168.0.0/24"},
		{list("10.0.0.0/24"), list("10.0.0.0/25", "10.0.0.128/25"), 26, ""},
		{list("10.0.0.0/24"), nil, 23, ""},
		{list("255.255.255.0/24"), list("255.255.255.0/24"), 24, ""},
		{list("fd00::/48"), list("fd00::/64"), 64, "fd00:0:0:1::/64"},
	} {
		got, found := FreePrefix(c.pool, c.used, c.bits)
		if found != (c.want != "") || found && got.String() != c.want {
			t.Errorf("/%d in %v without %v: %v %v, want %q", c.bits, c.pool, c.used, got, found, c.want)
		}
	}
}

// TestPrefixesUntilFull takes prefixes of chance lengths until nothing is left: none overlaps, none is lost.
func TestPrefixesUntilFull(t *testing.T) {
	pool := list("10.0.0.0/22", "10.0.8.0/23")
	r := rand.New(rand.NewPCG(1, 2))
	var used []netip.Prefix
	size := 0
	for {
		bits := 24 + r.IntN(5)
		p, found := FreePrefix(pool, used, bits)
		if !found {
			if p, found = FreePrefix(pool, used, 28); !found {
				break
			}
		}
		if !Within(p, pool) || slices.ContainsFunc(used, p.Overlaps) {
			t.Fatalf("%v after %v", p, used)
		}
		used = append(used, p)
		size += 1 << (32 - p.Bits())
	}
	if size != 1024+512 {
		t.Errorf("%d addresses were given out of 1536", size)
	}
}

// TestMeet: two lists meet when one of each overlap, however they lie.
func TestMeet(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	random := func() []netip.Prefix {
		var out []netip.Prefix
		for range r.IntN(6) {
			out = append(out, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(r.IntN(64)), byte(r.IntN(256)), 0}), 12+r.IntN(13)))
		}
		return Merge(out)
	}
	meetings := 0
	for range 5000 {
		a, b := random(), random()
		want := slices.ContainsFunc(a, func(p netip.Prefix) bool { return slices.ContainsFunc(b, p.Overlaps) })
		if got := Meet(a, b); got != want {
			t.Fatalf("%v and %v: %t", a, b, got)
		}
		if want {
			meetings++
		}
	}
	if meetings < 500 || meetings > 4500 {
		t.Errorf("%d of 5000 met", meetings)
	}
}
