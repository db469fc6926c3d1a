// Package address holds what the standard library's netip lacks for a cloud network: Ethernet
// addresses, ranges, and the arithmetic of prefixes. It is pure and knows nothing else of the project.
package address

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
)

// MAC is an Ethernet address. The zero value means "none". It is comparable and usable as a map key.
type MAC [6]byte

// ParseMAC reads the forms clients send: aa:bb:cc:dd:ee:ff, aa-bb-…, aabb.ccdd.eeff and aabbccddeeff,
// in any case. Colon and dash groups may lack the leading zero.
func ParseMAC(text string) (MAC, error) {
	var m MAC
	bad := fmt.Errorf("%q is not a MAC address", text)
	var digits string
	switch {
	case strings.ContainsAny(text, ":-"):
		sep := ":"
		if strings.Contains(text, "-") {
			sep = "-"
		}
		groups := strings.Split(text, sep)
		if len(groups) != 6 {
			return m, bad
		}
		for _, g := range groups {
			switch len(g) {
			case 1:
				digits += "0" + g
			case 2:
				digits += g
			default:
				return m, bad
			}
		}
	case strings.Contains(text, "."):
		groups := strings.Split(text, ".")
		if len(groups) != 3 || len(groups[0]) != 4 || len(groups[1]) != 4 || len(groups[2]) != 4 {
			return m, bad
		}
		digits = strings.Join(groups, "")
	default:
		digits = text
	}
	if len(digits) != 12 {
		return m, bad
	}
	if _, err := hex.Decode(m[:], []byte(digits)); err != nil {
		return MAC{}, bad
	}
	return m, nil
}

// MustParseMAC is ParseMAC for constants and tests; it panics on bad text.
func MustParseMAC(text string) MAC {
	m, err := ParseMAC(text)
	if err != nil {
		panic(err)
	}
	return m
}

// String gives the canonical form aa:bb:cc:dd:ee:ff; the zero MAC gives "".
func (m MAC) String() string {
	if m.IsZero() {
		return ""
	}
	var b [17]byte
	const hexdigits = "0123456789abcdef"
	for i, x := range m {
		if i > 0 {
			b[i*3-1] = ':'
		}
		b[i*3], b[i*3+1] = hexdigits[x>>4], hexdigits[x&15]
	}
	return string(b[:])
}

// IsZero says whether m is the zero value, "none".
func (m MAC) IsZero() bool { return m == MAC{} }

// IsMulticast says whether the group bit is set; broadcast is multicast too.
func (m MAC) IsMulticast() bool { return m[0]&1 == 1 }

// MarshalText gives the canonical form.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads any form that ParseMAC does; empty text is the zero MAC.
func (m *MAC) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*m = MAC{}
		return nil
	}
	parsed, err := ParseMAC(string(text))
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}

// EUI64 is the address that SLAAC gives to m in a /64 prefix: the modified EUI-64 form, with the
// universal/local bit flipped (RFC 4291, appendix A).
func (m MAC) EUI64(prefix netip.Prefix) netip.Addr {
	a := prefix.Masked().Addr().As16()
	a[8], a[9], a[10], a[11] = m[0]^2, m[1], m[2], 0xff
	a[12], a[13], a[14], a[15] = 0xfe, m[3], m[4], m[5]
	return netip.AddrFrom16(a)
}

// LinkLocal is the fe80::/64 address of m by EUI-64.
func (m MAC) LinkLocal() netip.Addr {
	return m.EUI64(netip.MustParsePrefix("fe80::/64"))
}
