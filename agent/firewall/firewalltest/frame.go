package firewalltest

import (
	"encoding/binary"
	"net/netip"

	"neutrino/address"
)

// Frames as instances send them. Checksums are right where the switch looks at them.

// Broadcast is the address of all.
var Broadcast = address.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Ether is a frame, filled up to the least length.
func Ether(dst, src address.MAC, kind uint16, payload []byte) []byte {
	b := append(append([]byte{}, dst[:]...), src[:]...)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = append(b, payload...)
	for len(b) < 60 {
		b = append(b, 0)
	}
	return b
}

// Tagged puts an 802.1Q tag into a frame.
func Tagged(vlan uint16, frame []byte) []byte {
	b := append([]byte{}, frame[:12]...)
	b = append(b, 0x81, 0x00)
	b = binary.BigEndian.AppendUint16(b, vlan)
	return append(b, frame[12:]...)
}

func sum(parts ...[]byte) uint16 {
	var n uint32
	for _, p := range parts {
		for i := 0; i+1 < len(p); i += 2 {
			n += uint32(binary.BigEndian.Uint16(p[i:]))
		}
		if len(p)%2 == 1 {
			n += uint32(p[len(p)-1]) << 8
		}
	}
	for n > 0xffff {
		n = n>>16 + n&0xffff
	}
	return ^uint16(n)
}

func ipPacket(src, dst netip.Addr, proto uint8, payload []byte) (kind uint16, packet []byte) {
	if src.Is4() {
		b := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, proto, 0, 0}
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
		b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
		binary.BigEndian.PutUint16(b[10:], sum(b))
		return 0x0800, append(b, payload...)
	}
	b := []byte{0x60, 0, 0, 0, 0, 0, proto, 255}
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	return 0x86dd, append(b, payload...)
}

// pseudo is what transport checksums cover besides the payload.
func pseudo(src, dst netip.Addr, proto uint8, length int) []byte {
	b := append(src.AsSlice(), dst.AsSlice()...)
	return binary.BigEndian.AppendUint16(append(b, 0, proto), uint16(length))
}

// IP is a packet of any protocol.
func IP(smac, dmac address.MAC, src, dst netip.Addr, proto uint8, payload []byte) []byte {
	kind, p := ipPacket(src, dst, proto, payload)
	return Ether(dmac, smac, kind, p)
}

// Flags of TCP.
const (
	SYN    = 0x02
	SYNACK = 0x12
	ACK    = 0x10
)

// TCP is a segment without data.
func TCP(smac, dmac address.MAC, src, dst netip.Addr, sport, dport uint16, flags byte, seq, acked uint32) []byte {
	b := binary.BigEndian.AppendUint16(nil, sport)
	b = binary.BigEndian.AppendUint16(b, dport)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, acked)
	b = append(b, 0x50, flags, 0x20, 0, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(b[16:], sum(pseudo(src, dst, 6, len(b)), b))
	return IP(smac, dmac, src, dst, 6, b)
}

// UDP is a datagram with a word in it.
func UDP(smac, dmac address.MAC, src, dst netip.Addr, sport, dport uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, sport)
	b = binary.BigEndian.AppendUint16(b, dport)
	b = append(b, 0, 12, 0, 0, 'p', 'i', 'n', 'g')
	binary.BigEndian.PutUint16(b[6:], sum(pseudo(src, dst, 17, len(b)), b))
	return IP(smac, dmac, src, dst, 17, b)
}

// ICMP6 is a message of ICMPv6.
func ICMP6(smac, dmac address.MAC, src, dst netip.Addr, kind byte, body []byte) []byte {
	b := append([]byte{kind, 0, 0, 0}, body...)
	binary.BigEndian.PutUint16(b[2:], sum(pseudo(src, dst, 58, len(b)), b))
	return IP(smac, dmac, src, dst, 58, b)
}

// NDP is a neighbour solicitation (135, option 1) or advertisement (136, option 2) for a target.
func NDP(smac, dmac address.MAC, src, dst netip.Addr, kind byte, target netip.Addr, option address.MAC) []byte {
	b := append([]byte{0, 0, 0, 0}, target.AsSlice()...)
	if !option.IsZero() {
		b = append(append(b, kind-134, 1), option[:]...)
	}
	return ICMP6(smac, dmac, src, dst, kind, b)
}

// ARP is a request (1) to all or a reply (2) to dmac.
func ARP(op uint16, smac, sha address.MAC, spa netip.Addr, dmac address.MAC, tpa netip.Addr) []byte {
	b := []byte{0, 1, 8, 0, 6, 4}
	b = binary.BigEndian.AppendUint16(b, op)
	b = append(append(b, sha[:]...), spa.AsSlice()...)
	tha := dmac
	if op == 1 {
		tha = address.MAC{}
	}
	b = append(append(b, tha[:]...), tpa.AsSlice()...)
	return Ether(dmac, smac, 0x0806, b)
}
