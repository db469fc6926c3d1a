// Package openflow speaks OpenFlow 1.4 with Nicira's extensions to an Open vSwitch bridge: flows as
// values, one atomic bundle per change, and reconciliation by cookies.
package openflow

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"

	"neutrino/address"
)

// Field names a header field, register or piece of metadata that flows match and set.
type Field struct {
	name  string // as ovs-ofctl spells it
	class uint16 // OXM class
	id    uint8  // field number in the class
	size  int    // bytes
	kind  kind
	needs []Term // what a match must say for the field to exist; added where nothing is said
}

// kind is how a field's value is written for people.
type kind int

const (
	decimal kind = iota
	hexadecimal
	ethernet
	address4
	address6
	fragment
)

const (
	basic  = 0x8000 // OFPXMC_OPENFLOW_BASIC
	nicira = 0x0001 // NXM_1
)

// The fields, with their numbers from the OpenFlow 1.4 specification (7.2.3.7) and Open vSwitch's
// meta-flow.h.
var (
	inPort   = &Field{name: "in_port", class: basic, id: 0, size: 4}
	metadata = &Field{name: "metadata", class: basic, id: 2, size: 8, kind: hexadecimal}
	EthDst   = &Field{name: "dl_dst", class: basic, id: 3, size: 6, kind: ethernet}
	EthSrc   = &Field{name: "dl_src", class: basic, id: 4, size: 6, kind: ethernet}
	ethType  = &Field{name: "dl_type", class: basic, id: 5, size: 2, kind: hexadecimal}
	VLANID   = &Field{name: "vlan_vid", class: basic, id: 6, size: 2, kind: hexadecimal}

	IPDSCP  = &Field{name: "ip_dscp", class: basic, id: 8, size: 1}
	ipProto = &Field{name: "nw_proto", class: basic, id: 10, size: 1}
	IPv4Src = &Field{name: "nw_src", class: basic, id: 11, size: 4, kind: address4, needs: []Term{isIPv4}}
	IPv4Dst = &Field{name: "nw_dst", class: basic, id: 12, size: 4, kind: address4, needs: []Term{isIPv4}}
	IPv6Src = &Field{name: "ipv6_src", class: basic, id: 26, size: 16, kind: address6, needs: []Term{isIPv6}}
	IPv6Dst = &Field{name: "ipv6_dst", class: basic, id: 27, size: 16, kind: address6, needs: []Term{isIPv6}}

	IPTTL = &Field{name: "nw_ttl", class: nicira, id: 29, size: 1}

	tcpSrc   = &Field{name: "tp_src", class: basic, id: 13, size: 2, needs: []Term{isTCP}}
	tcpDst   = &Field{name: "tp_dst", class: basic, id: 14, size: 2, needs: []Term{isTCP}}
	udpSrc   = &Field{name: "tp_src", class: basic, id: 15, size: 2, needs: []Term{isUDP}}
	udpDst   = &Field{name: "tp_dst", class: basic, id: 16, size: 2, needs: []Term{isUDP}}
	sctpSrc  = &Field{name: "tp_src", class: basic, id: 17, size: 2, needs: []Term{isSCTP}}
	sctpDst  = &Field{name: "tp_dst", class: basic, id: 18, size: 2, needs: []Term{isSCTP}}
	icmpType = &Field{name: "icmp_type", class: basic, id: 19, size: 1, needs: []Term{isIPv4, isICMP}}
	icmpCode = &Field{name: "icmp_code", class: basic, id: 20, size: 1, needs: []Term{isIPv4, isICMP}}

	ARPOp  = &Field{name: "arp_op", class: basic, id: 21, size: 2, needs: []Term{isARP}}
	ARPSPA = &Field{name: "arp_spa", class: basic, id: 22, size: 4, kind: address4, needs: []Term{isARP}}
	ARPTPA = &Field{name: "arp_tpa", class: basic, id: 23, size: 4, kind: address4, needs: []Term{isARP}}
	ARPSHA = &Field{name: "arp_sha", class: basic, id: 24, size: 6, kind: ethernet, needs: []Term{isARP}}
	ARPTHA = &Field{name: "arp_tha", class: basic, id: 25, size: 6, kind: ethernet, needs: []Term{isARP}}

	ICMPv6Type      = &Field{name: "icmp_type", class: basic, id: 29, size: 1, needs: []Term{isIPv6, isICMPv6}}
	icmpv6Code      = &Field{name: "icmp_code", class: basic, id: 30, size: 1, needs: []Term{isIPv6, isICMPv6}}
	NDTargetAddress = &Field{name: "nd_target", class: basic, id: 31, size: 16, kind: address6, needs: []Term{isIPv6, isICMPv6}}
	NDSLL           = &Field{name: "nd_sll", class: basic, id: 32, size: 6, kind: ethernet, needs: []Term{isIPv6, isICMPv6, isSolicitation}}
	NDTLL           = &Field{name: "nd_tll", class: basic, id: 33, size: 6, kind: ethernet, needs: []Term{isIPv6, isICMPv6, isAdvertisement}}

	TunnelID = &Field{name: "tun_id", class: basic, id: 38, size: 8, kind: hexadecimal}
	TunSrc   = &Field{name: "tun_src", class: nicira, id: 31, size: 4, kind: address4}
	TunDst   = &Field{name: "tun_dst", class: nicira, id: 32, size: 4, kind: address4}
	TunSrc6  = &Field{name: "tun_ipv6_src", class: nicira, id: 109, size: 16, kind: address6}
	TunDst6  = &Field{name: "tun_ipv6_dst", class: nicira, id: 110, size: 16, kind: address6}
	ipFrag   = &Field{name: "ip_frag", class: nicira, id: 26, size: 1, kind: fragment}
	conjID   = &Field{name: "conj_id", class: nicira, id: 37, size: 4}
	ctState  = &Field{name: "ct_state", class: nicira, id: 105, size: 4, kind: hexadecimal}
	CTZone   = &Field{name: "ct_zone", class: nicira, id: 106, size: 2, kind: hexadecimal}
	CTMark   = &Field{name: "ct_mark", class: nicira, id: 107, size: 4, kind: hexadecimal}
)

// registers are reg0 to reg15.
var registers = func() (r [16]*Field) {
	for i := range r {
		r[i] = &Field{name: "reg" + strconv.Itoa(i), class: nicira, id: uint8(i), size: 4, kind: hexadecimal}
	}
	return r
}()

// Reg is register n, 0 to 15.
func Reg(n int) *Field { return registers[n] }

func (f *Field) String() string { return f.name }

// header is the field's OXM header without a mask.
func (f *Field) header() uint32 {
	return uint32(f.class)<<16 | uint32(f.id)<<9 | uint32(f.size)
}

// bytes makes a field's value of a number; nil when the field is too small for it.
func (f *Field) bytes(n uint64) []byte {
	if f.size > 8 || f.size < 8 && n>>(8*f.size) != 0 {
		return nil
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return b[8-f.size:]
}

// show writes a value for people.
func (f *Field) show(v []byte) string {
	if len(v) != f.size {
		return "invalid"
	}
	switch f.kind {
	case ethernet:
		return mac(v)
	case address4, address6:
		a, _ := netip.AddrFromSlice(v)
		return a.String()
	}
	var n uint64
	for _, b := range v {
		n = n<<8 | uint64(b)
	}
	if f.kind == hexadecimal {
		if n == 0 {
			return "0"
		}
		return "0x" + strconv.FormatUint(n, 16)
	}
	return strconv.FormatUint(n, 10)
}

func mac(v []byte) string {
	h := hex.EncodeToString(v)
	return fmt.Sprintf("%s:%s:%s:%s:%s:%s", h[0:2], h[2:4], h[4:6], h[6:8], h[8:10], h[10:12])
}

func macBytes(m address.MAC) []byte { return append([]byte(nil), m[:]...) }

func addrBytes(a netip.Addr) []byte { return a.AsSlice() }

// maskBytes is a prefix's mask; nil for a whole address.
func maskBytes(p netip.Prefix) []byte {
	n := p.Addr().BitLen()
	if p.Bits() == n {
		return nil
	}
	m := make([]byte, n/8)
	for i := range p.Bits() {
		m[i/8] |= 1 << (7 - i%8)
	}
	return m
}
