package ra

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"neutrino/address"
)

var full = Advertisement{
	HopLimit: 64, Managed: true, Other: true, Lifetime: 300 * time.Second, MAC: address.MustParseMAC("fa:16:3e:00:00:01"), MTU: 1450,
	Prefixes: []Prefix{
		{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), OnLink: true, Autonomous: true, Valid: 24 * time.Hour, Preferred: 4 * time.Hour},
		{Prefix: netip.MustParsePrefix("2001:db8:2::/64"), OnLink: true, Valid: 24 * time.Hour, Preferred: 4 * time.Hour},
	},
	DNS: []netip.Addr{netip.MustParseAddr("2001:db8::53"), netip.MustParseAddr("2001:db8::54")}, DNSLife: 300 * time.Second,
}

var compare = cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()}

func TestRoundTrip(t *testing.T) {
	for name, want := range map[string]Advertisement{"full": full, "empty": {}, "stateless": {Other: true, MTU: 1280}} {
		got, err := Parse(want.Bytes())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(&want, got, compare); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}

// The bytes by hand, after RFC 4861, 4.2 and 4.6.2.
func TestBytes(t *testing.T) {
	a := Advertisement{HopLimit: 64, Managed: true, Lifetime: 300 * time.Second, Prefixes: full.Prefixes[:1]}
	want := []byte{
		134, 0, 0, 0, 64, 0x80, 0x01, 0x2c, 0, 0, 0, 0, 0, 0, 0, 0,
		3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0, 0, 0x38, 0x40, 0, 0, 0, 0,
		0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	}
	if got := a.Bytes(); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestSolicitations(t *testing.T) {
	host, none := netip.MustParseAddr("fe80::1"), netip.IPv6Unspecified()
	source := []byte{1, 1, 2, 0, 0, 0, 0, 1}
	for name, c := range map[string]struct {
		message []byte
		from    netip.Addr
		good    bool
	}{
		"plain":                    {[]byte{133, 0, 0, 0, 0, 0, 0, 0}, none, true},
		"with source":              {append([]byte{133, 0, 0, 0, 0, 0, 0, 0}, source...), host, true},
		"source without address":   {append([]byte{133, 0, 0, 0, 0, 0, 0, 0}, source...), none, false},
		"short":                    {[]byte{133, 0, 0, 0}, host, false},
		"another type":             {[]byte{134, 0, 0, 0, 0, 0, 0, 0}, host, false},
		"option of no length":      {[]byte{133, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, host, false},
		"option longer than there": {[]byte{133, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0}, host, false},
	} {
		if err := parseSolicitation(c.message, c.from); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What can be read can be written and read again, to the same end.
func FuzzParse(f *testing.F) {
	f.Add(full.Bytes())
	f.Add((&Advertisement{}).Bytes())
	f.Add([]byte{134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 4, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Parse(b)
		if err != nil {
			return
		}
		if len(a.DNS) > 127 {
			return // more than one option: joined when read
		}
		for i := range a.Prefixes {
			a.Prefixes[i].Prefix = a.Prefixes[i].Prefix.Masked()
		}
		if len(a.DNS) == 0 {
			a.DNSLife = 0
		}
		again, err := Parse(a.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(a, again, compare); d != "" {
			t.Error(d)
		}
	})
}

func FuzzSolicitation(f *testing.F) {
	f.Add([]byte{133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 1})
	f.Fuzz(func(_ *testing.T, b []byte) { _ = parseSolicitation(b, netip.IPv6Unspecified()) })
}
