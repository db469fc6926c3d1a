package address

import (
	"math"
	"net/netip"
	"testing"
)

func TestMAC(t *testing.T) {
	for _, text := range []string{"fa:16:3e:00:00:01", "FA-16-3E-00-00-01", "fa16.3e00.0001", "fa163e000001", "fa:16:3e:0:0:1"} {
		m, err := ParseMAC(text)
		if err != nil || m.String() != "fa:16:3e:00:00:01" {
			t.Errorf("%s: %s %v", text, m, err)
		}
	}
	for _, text := range []string{"", "fa:16:3e:00:00", "fa:16:3e:00:00:01:02", "fa:16:3e:00:00:zz", "fa163e00000", "fa16.3e00", "fa:16:3e:000:0:01"} {
		if m, err := ParseMAC(text); err == nil {
			t.Errorf("%q is %s", text, m)
		}
	}
	if ip := MustParseMAC("fa:16:3e:00:00:01").EUI64(netip.MustParsePrefix("2001:db8::/64")); ip.String() != "2001:db8::f816:3eff:fe00:1" {
		t.Errorf("EUI-64: %s", ip)
	}
}

func TestPrefixes(t *testing.T) {
	for prefix, want := range map[string]string{"10.0.0.0/24": "10.0.0.255", "10.0.0.5/32": "10.0.0.5", "fd00::/64": "fd00::ffff:ffff:ffff:ffff", "0.0.0.0/0": "255.255.255.255"} {
		if got := Last(netip.MustParsePrefix(prefix)).String(); got != want {
			t.Errorf("last of %s: %s, want %s", prefix, got, want)
		}
	}
	if n, ok := Distance(netip.MustParseAddr("fd00::"), netip.MustParseAddr("fd01::")); ok || n != math.MaxUint64 {
		t.Errorf("a distance beyond 64 bits: %d %t", n, ok)
	}
	if _, ok := Add(netip.MustParseAddr("255.255.255.250"), 6); ok {
		t.Error("a sum beyond IPv4")
	}
}

// FuzzArithmetic holds Add and Distance to each other, over all addresses.
func FuzzArithmetic(f *testing.F) {
	f.Add([]byte{10, 0, 0, 1}, uint64(255))
	f.Add([]byte{255, 255, 255, 255}, uint64(1))
	f.Add(make([]byte, 16), uint64(math.MaxUint64))
	f.Fuzz(func(t *testing.T, b []byte, n uint64) {
		from, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		to, ok := Add(from, n)
		if !ok {
			return
		}
		if d, ok := Distance(from, to); !ok || d != n {
			t.Errorf("%s + %d = %s, but the distance is %d", from, n, to, d)
		}
	})
}
