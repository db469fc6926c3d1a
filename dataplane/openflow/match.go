package openflow

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"neutrino/address"
)

// Term is one condition of a match: a field, its value, and a mask of the same length (nil: all of it).
type Term struct {
	Field *Field
	Value []byte
	Mask  []byte
}

// Match is a set of conditions that must all hold. The order does not matter; what a term needs to
// make sense (an IPv4 address needs dl_type=0x0800) is added by itself.
type Match []Term

// Ethernet types and IP protocols that matches name.
const (
	TypeIPv4 = 0x0800
	TypeARP  = 0x0806
	TypeIPv6 = 0x86dd
	TypeVLAN = 0x8100
	TypeQinQ = 0x88a8

	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
	ProtoSCTP   = 132
)

var (
	isIPv4 = Term{Field: &Field{name: "dl_type", class: basic, id: 5, size: 2, kind: hexadecimal}, Value: []byte{0x08, 0x00}}
	isARP  = Term{Field: isIPv4.Field, Value: []byte{0x08, 0x06}}
	isIPv6 = Term{Field: isIPv4.Field, Value: []byte{0x86, 0xdd}}

	isICMP   = Term{Field: ipProto, Value: []byte{ProtoICMP}}
	isTCP    = Term{Field: ipProto, Value: []byte{ProtoTCP}}
	isUDP    = Term{Field: ipProto, Value: []byte{ProtoUDP}}
	isSCTP   = Term{Field: ipProto, Value: []byte{ProtoSCTP}}
	isICMPv6 = Term{Field: ipProto, Value: []byte{ProtoICMPv6}}

	// The type field is written out: a reference to ICMPv6Type would be a circle.
	icmpv6Kind      = &Field{name: "icmp_type", class: basic, id: 29, size: 1}
	isSolicitation  = Term{Field: icmpv6Kind, Value: []byte{135}}
	isAdvertisement = Term{Field: icmpv6Kind, Value: []byte{136}}
)

func exact(f *Field, n uint64) Term { return Term{Field: f, Value: f.bytes(n)} }

// InPort matches packets from a port.
func InPort(port uint32) Term { return exact(inPort, uint64(port)) }

// EthType matches the Ethernet type.
func EthType(t uint16) Term { return Term{Field: isIPv4.Field, Value: ethType.bytes(uint64(t))} }

// Src matches the Ethernet source.
func Src(m address.MAC) Term { return Term{Field: EthSrc, Value: macBytes(m)} }

// Dst matches the Ethernet destination.
func Dst(m address.MAC) Term { return Term{Field: EthDst, Value: macBytes(m)} }

// Multicast matches frames to a group, broadcast among them.
func Multicast() Term {
	return Term{Field: EthDst, Value: []byte{1, 0, 0, 0, 0, 0}, Mask: []byte{1, 0, 0, 0, 0, 0}}
}

// Unicast matches frames to one address.
func Unicast() Term {
	return Term{Field: EthDst, Value: make([]byte, 6), Mask: []byte{1, 0, 0, 0, 0, 0}}
}

// VLAN matches frames tagged with the VLAN id.
func VLAN(id uint16) Term {
	if id > 0xfff {
		return Term{Field: VLANID} // refused by Check
	}
	return Term{Field: VLANID, Value: VLANID.bytes(uint64(id) | 0x1000)}
}

// Untagged matches frames without a VLAN tag.
func Untagged() Term { return exact(VLANID, 0) }

// Tagged matches frames with any VLAN tag.
func Tagged() Term { return Term{Field: VLANID, Value: []byte{0x10, 0}, Mask: []byte{0x10, 0}} }

// Proto matches the IP protocol; the Ethernet type must be matched too.
func Proto(n uint8) Term { return exact(ipProto, uint64(n)) }

// From matches the source IP address, of either family.
func From(p netip.Prefix) Term { return prefix(p, IPv4Src, IPv6Src) }

// To matches the destination IP address.
func To(p netip.Prefix) Term { return prefix(p, IPv4Dst, IPv6Dst) }

func prefix(p netip.Prefix, four, six *Field) Term {
	f := six
	if p.Addr().Is4() {
		f = four
	}
	return Term{Field: f, Value: addrBytes(p.Masked().Addr()), Mask: maskBytes(p)}
}

// Port is one side of a transport protocol.
type Port int

// The sides.
const (
	SourcePort Port = iota
	DestinationPort
)

// Transport matches a port of TCP, UDP or SCTP with a mask (0xffff: exactly). The Ethernet type must be
// matched too.
func Transport(proto uint8, side Port, value, mask uint16) Term {
	var f *Field
	switch proto {
	case ProtoTCP:
		f = []*Field{tcpSrc, tcpDst}[side]
	case ProtoUDP:
		f = []*Field{udpSrc, udpDst}[side]
	case ProtoSCTP:
		f = []*Field{sctpSrc, sctpDst}[side]
	default:
		return Term{Field: ipProto} // it has no ports: refused by Check
	}
	t := exact(f, uint64(value&mask))
	if mask != 0xffff {
		t.Mask = f.bytes(uint64(mask))
	}
	return t
}

// ICMPType matches the ICMP type, of IPv4 or IPv6.
func ICMPType(ipv6 bool, n uint8) Term {
	if ipv6 {
		return exact(ICMPv6Type, uint64(n))
	}
	return exact(icmpType, uint64(n))
}

// ICMPCode matches the ICMP code, of IPv4 or IPv6.
func ICMPCode(ipv6 bool, n uint8) Term {
	if ipv6 {
		return exact(icmpv6Code, uint64(n))
	}
	return exact(icmpCode, uint64(n))
}

// ARPOperation matches ARP requests (1) or replies (2).
func ARPOperation(n uint16) Term { return exact(ARPOp, uint64(n)) }

// ARPSender matches the sender's protocol address in ARP.
func ARPSender(p netip.Prefix) Term {
	return Term{Field: ARPSPA, Value: addrBytes(p.Masked().Addr()), Mask: maskBytes(p)}
}

// ARPTarget matches the target's protocol address in ARP.
func ARPTarget(p netip.Prefix) Term {
	return Term{Field: ARPTPA, Value: addrBytes(p.Masked().Addr()), Mask: maskBytes(p)}
}

// ARPSenderMAC matches the sender's hardware address in ARP.
func ARPSenderMAC(m address.MAC) Term { return Term{Field: ARPSHA, Value: macBytes(m)} }

// NDTarget matches the target address of neighbour solicitations and advertisements. The ICMPv6 type
// must be matched too.
func NDTarget(p netip.Prefix) Term {
	return Term{Field: NDTargetAddress, Value: addrBytes(p.Masked().Addr()), Mask: maskBytes(p)}
}

// NDSourceMAC matches the source link-layer option of a neighbour solicitation.
func NDSourceMAC(m address.MAC) Term { return Term{Field: NDSLL, Value: macBytes(m)} }

// NDTargetMAC matches the target link-layer option of a neighbour advertisement.
func NDTargetMAC(m address.MAC) Term { return Term{Field: NDTLL, Value: macBytes(m)} }

// InReg matches a whole register.
func InReg(n int, value uint32) Term { return exact(Reg(n), uint64(value)) }

// InRegBits matches some bits of a register.
func InRegBits(n int, value, mask uint32) Term {
	return Term{Field: Reg(n), Value: Reg(n).bytes(uint64(value & mask)), Mask: Reg(n).bytes(uint64(mask))}
}

// InTunnel matches the tunnel's key.
func InTunnel(id uint64) Term { return exact(TunnelID, id) }

// FromTunnel matches the other end of the tunnel.
func FromTunnel(a netip.Addr) Term {
	if a.Is4() {
		return Term{Field: TunSrc, Value: addrBytes(a)}
	}
	return Term{Field: TunSrc6, Value: addrBytes(a)}
}

// InMetadata matches the metadata that travels with the packet between tables.
func InMetadata(n uint64) Term { return exact(metadata, n) }

// LaterFragment matches all fragments of an IP packet but the first: they have no ports. The Ethernet
// type must be matched too.
func LaterFragment() Term { return Term{Field: ipFrag, Value: []byte{2}, Mask: []byte{2}} }

// NotLaterFragment matches whole IP packets and first fragments.
func NotLaterFragment() Term { return Term{Field: ipFrag, Value: []byte{0}, Mask: []byte{2}} }

// Bits of ct_state.
const (
	CTNew         = 1 << 0
	CTEstablished = 1 << 1
	CTRelated     = 1 << 2
	CTReply       = 1 << 3
	CTInvalid     = 1 << 4
	CTTracked     = 1 << 5
)

// CTState matches the bits in set as set and those in clear as clear.
func CTState(set, clear uint32) Term {
	return Term{Field: ctState, Value: ctState.bytes(uint64(set)), Mask: ctState.bytes(uint64(set | clear))}
}

// InZone matches the connection tracker's zone that the packet went through.
func InZone(zone uint16) Term { return exact(CTZone, uint64(zone)) }

// Marked matches the connection's mark.
func Marked(n uint32) Term { return exact(CTMark, uint64(n)) }

// Conjunction matches packets for which all dimensions of a conjunction matched.
func Conjunction(id uint32) Term { return exact(conjID, uint64(id)) }

// complete adds the terms that others need, without duplicates, in a fixed order that puts
// prerequisites first: what OpenFlow demands.
func (m Match) complete() Match {
	out := append(make(Match, 0, len(m)+4), m...)
	for i := 0; i < len(out); i++ {
		for _, need := range out[i].Field.needs {
			if !slices.ContainsFunc(out, func(t Term) bool { return t.Field.header() == need.Field.header() }) {
				out = append(out, need)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Term) int {
		if d := int(a.Field.class&basic) - int(b.Field.class&basic); d != 0 {
			return -d // basic first
		}
		if d := int(a.Field.class) - int(b.Field.class); d != 0 {
			return d
		}
		return int(a.Field.id) - int(b.Field.id)
	})
	return slices.CompactFunc(out, func(a, b Term) bool {
		return a.Field.header() == b.Field.header() && bytes.Equal(a.Value, b.Value) && bytes.Equal(a.Mask, b.Mask)
	})
}

// append writes the match structure of OpenFlow: type, length, terms, padding to 8 bytes.
func (m Match) append(b []byte) []byte {
	start := len(b)
	b = append(b, 0, 1, 0, 0)
	for _, t := range m.complete() {
		b = t.append(b)
	}
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start))
	return pad(b, start)
}

// append writes the term as an OXM TLV.
func (t Term) append(b []byte) []byte {
	h := t.Field.header()
	if t.Mask != nil {
		h |= 1 << 8
		h += uint32(t.Field.size) // the length counts the mask too
	}
	b = binary.BigEndian.AppendUint32(b, h)
	b = append(b, t.Value...)
	return append(b, t.Mask...)
}

// pad fills up to a multiple of 8 bytes since start.
func pad(b []byte, start int) []byte {
	for (len(b)-start)%8 != 0 {
		b = append(b, 0)
	}
	return b
}

func (m Match) String() string {
	parts := make([]string, 0, len(m))
	for _, t := range m.complete() {
		if t.Field.kind == fragment {
			parts = append(parts, "ip_frag="+fragmentName(t.Value))
			continue
		}
		text := t.Field.name + "=" + t.Field.show(t.Value)
		if t.Mask != nil {
			text += "/" + t.Field.show(t.Mask)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ",")
}

func fragmentName(v []byte) string {
	if bytes.Equal(v, []byte{0}) {
		return "not_later"
	}
	return "later"
}

var _ fmt.Stringer = Match{}
