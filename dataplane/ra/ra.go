// Package ra advertises a router to the IPv6 hosts of a link: router advertisements of RFC 4861 with
// prefixes, MTU and DNS servers (RFC 8106), sent now and then and when asked.
package ra

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"neutrino/address"
)

// Advertisement is what a router tells.
type Advertisement struct {
	HopLimit uint8         // for packets that hosts send; 0: unspecified
	Managed  bool          // addresses are to be had by DHCPv6
	Other    bool          // other settings are to be had by DHCPv6
	Lifetime time.Duration // as a default router, whole seconds up to 65535; 0: not one
	MAC      address.MAC   // of the router; zero: not told
	MTU      int           // bytes; 0: not told
	Prefixes []Prefix
	DNS      []netip.Addr  // IPv6 only
	DNSLife  time.Duration // whole seconds
}

// Prefix is a subnet of the link.
type Prefix struct {
	Prefix     netip.Prefix
	OnLink     bool
	Autonomous bool // hosts may make addresses in it
	Valid      time.Duration
	Preferred  time.Duration
}

// The ICMPv6 types and the options (RFC 4861, 8106).
const (
	typeSolicitation  = 133
	typeAdvertisement = 134

	optionSource = 1
	optionPrefix = 3
	optionMTU    = 5
	optionRDNSS  = 25
)

// Bytes encodes the ICMPv6 message, with a zero checksum for the kernel to fill in.
func (a *Advertisement) Bytes() []byte {
	b := []byte{typeAdvertisement, 0, 0, 0, a.HopLimit, 0}
	if a.Managed {
		b[5] |= 0x80
	}
	if a.Other {
		b[5] |= 0x40
	}
	b = binary.BigEndian.AppendUint16(b, uint16(min(seconds(a.Lifetime), 65535)))
	b = append(b, make([]byte, 8)...) // reachable time and retransmit timer: unspecified
	if !a.MAC.IsZero() {
		b = append(append(b, optionSource, 1), a.MAC[:]...)
	}
	if a.MTU > 0 {
		b = append(b, optionMTU, 1, 0, 0)
		b = binary.BigEndian.AppendUint32(b, uint32(a.MTU))
	}
	for _, p := range a.Prefixes {
		var flags byte
		if p.OnLink {
			flags |= 0x80
		}
		if p.Autonomous {
			flags |= 0x40
		}
		b = append(b, optionPrefix, 4, byte(p.Prefix.Bits()), flags)
		b = binary.BigEndian.AppendUint32(b, seconds(p.Valid))
		b = binary.BigEndian.AppendUint32(b, seconds(p.Preferred))
		b = append(b, 0, 0, 0, 0)
		addr := p.Prefix.Masked().Addr().As16()
		b = append(b, addr[:]...)
	}
	// An option's length is one byte, in units of 8 bytes.
	const most = (255 - 1) / 2
	if dns := a.DNS[:min(len(a.DNS), most)]; len(dns) > 0 {
		b = append(b, optionRDNSS, byte(1+2*len(dns)), 0, 0)
		b = binary.BigEndian.AppendUint32(b, seconds(a.DNSLife))
		for _, d := range dns {
			addr := d.As16()
			b = append(b, addr[:]...)
		}
	}
	return b
}

// Parse decodes an ICMPv6 router advertisement. Options that it does not know are passed over, as
// RFC 4861 asks.
func Parse(b []byte) (*Advertisement, error) {
	if len(b) < 16 || b[0] != typeAdvertisement || b[1] != 0 {
		return nil, errors.New("not a router advertisement")
	}
	a := &Advertisement{
		HopLimit: b[4], Managed: b[5]&0x80 != 0, Other: b[5]&0x40 != 0,
		Lifetime: time.Duration(binary.BigEndian.Uint16(b[6:])) * time.Second,
	}
	err := options(b[16:], func(kind byte, o []byte) error {
		switch {
		case kind == optionSource && len(o) == 8:
			a.MAC = address.MAC(o[2:8])
		case kind == optionMTU && len(o) == 8:
			a.MTU = int(binary.BigEndian.Uint32(o[4:]))
		case kind == optionPrefix && len(o) == 32:
			p := netip.PrefixFrom(netip.AddrFrom16([16]byte(o[16:32])), int(o[2]))
			if !p.IsValid() {
				return fmt.Errorf("a prefix of length %d", o[2])
			}
			a.Prefixes = append(a.Prefixes, Prefix{
				Prefix: p, OnLink: o[3]&0x80 != 0, Autonomous: o[3]&0x40 != 0,
				Valid:     time.Duration(binary.BigEndian.Uint32(o[4:])) * time.Second,
				Preferred: time.Duration(binary.BigEndian.Uint32(o[8:])) * time.Second,
			})
		case kind == optionRDNSS && len(o) >= 24 && len(o)%16 == 8:
			a.DNSLife = time.Duration(binary.BigEndian.Uint32(o[4:])) * time.Second
			for rest := o[8:]; len(rest) > 0; rest = rest[16:] {
				a.DNS = append(a.DNS, netip.AddrFrom16([16]byte(rest[:16])))
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("router advertisement: %w", err)
	}
	return a, nil
}

// parseSolicitation says whether b is a valid router solicitation (RFC 4861, 6.1.1) apart from what
// stands in the IP header.
func parseSolicitation(b []byte, from netip.Addr) error {
	if len(b) < 8 || b[0] != typeSolicitation || b[1] != 0 {
		return errors.New("not a router solicitation")
	}
	return options(b[8:], func(kind byte, _ []byte) error {
		if kind == optionSource && from.IsUnspecified() {
			return errors.New("a link-layer address without an address")
		}
		return nil
	})
}

// options walks the options of a message.
func options(b []byte, each func(kind byte, option []byte) error) error {
	for len(b) > 0 {
		if len(b) < 8 || b[1] == 0 || len(b) < int(b[1])*8 {
			return errors.New("an option is cut short")
		}
		n := int(b[1]) * 8
		if err := each(b[0], b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func seconds(d time.Duration) uint32 {
	return uint32(min(max(d/time.Second, 0), 0xffffffff))
}
