package dhcp

import (
	"encoding/binary"
	"net/netip"

	"neutrino/address"
)

// datagram is a UDP datagram in an Ethernet frame.
type datagram struct {
	SrcMAC, DstMAC address.MAC
	Src, Dst       netip.AddrPort
	Payload        []byte
}

const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
	protoUDP  = 17
)

var broadcastMAC = address.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// parseFrame takes an Ethernet frame apart. It reports false for all but whole UDP datagrams. UDP
// checksums are not looked at: a neighbour on the same machine may leave them to hardware.
func parseFrame(frame []byte) (datagram, bool) {
	var d datagram
	if len(frame) < 14 {
		return d, false
	}
	copy(d.DstMAC[:], frame[0:6])
	copy(d.SrcMAC[:], frame[6:12])
	body := frame[14:]
	var src, dst netip.Addr
	switch binary.BigEndian.Uint16(frame[12:14]) {
	case etherIPv4:
		if len(body) < 20 || body[0]>>4 != 4 || body[9] != protoUDP {
			return d, false
		}
		header, total := int(body[0]&15)*4, int(binary.BigEndian.Uint16(body[2:4]))
		fragment := binary.BigEndian.Uint16(body[6:8]) & 0x3fff
		if header < 20 || total < header || total > len(body) || fragment != 0 {
			return d, false
		}
		src, dst = netip.AddrFrom4([4]byte(body[12:16])), netip.AddrFrom4([4]byte(body[16:20]))
		body = body[header:total]
	case etherIPv6:
		if len(body) < 40 || body[0]>>4 != 6 || body[6] != protoUDP {
			return d, false
		}
		length := int(binary.BigEndian.Uint16(body[4:6]))
		if length > len(body)-40 {
			return d, false
		}
		src, dst = netip.AddrFrom16([16]byte(body[8:24])), netip.AddrFrom16([16]byte(body[24:40]))
		body = body[40 : 40+length]
	default:
		return d, false
	}
	if len(body) < 8 {
		return d, false
	}
	length := int(binary.BigEndian.Uint16(body[4:6]))
	if length < 8 || length > len(body) {
		return d, false
	}
	d.Src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(body[0:2]))
	d.Dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(body[2:4]))
	d.Payload = body[8:length]
	return d, true
}

// frame puts a datagram together, with checksums.
func (d datagram) frame() []byte {
	src, dst := d.Src.Addr().AsSlice(), d.Dst.Addr().AsSlice()
	udp := make([]byte, 8, 8+len(d.Payload))
	binary.BigEndian.PutUint16(udp[0:], d.Src.Port())
	binary.BigEndian.PutUint16(udp[2:], d.Dst.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(8+len(d.Payload)))
	udp = append(udp, d.Payload...)

	sum := sumOf(src, 0)
	sum = sumOf(dst, sum)
	sum += protoUDP + uint32(len(udp))
	check := ^fold(sumOf(udp, sum))
	if check == 0 {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(udp[6:], check)

	out := make([]byte, 0, 54+len(udp))
	out = append(out, d.DstMAC[:]...)
	out = append(out, d.SrcMAC[:]...)
	if d.Src.Addr().Is4() {
		out = binary.BigEndian.AppendUint16(out, etherIPv4)
		ip := make([]byte, 20)
		ip[0], ip[1], ip[8], ip[9] = 0x45, 0xc0, 64, protoUDP
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(udp)))
		copy(ip[12:], src)
		copy(ip[16:], dst)
		binary.BigEndian.PutUint16(ip[10:], ^fold(sumOf(ip, 0)))
		out = append(out, ip...)
	} else {
		out = binary.BigEndian.AppendUint16(out, etherIPv6)
		ip := make([]byte, 40)
		ip[0], ip[6], ip[7] = 0x60, protoUDP, 64
		binary.BigEndian.PutUint16(ip[4:], uint16(len(udp)))
		copy(ip[8:], src)
		copy(ip[24:], dst)
		out = append(out, ip...)
	}
	return append(out, udp...)
}

func sumOf(b []byte, sum uint32) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}
