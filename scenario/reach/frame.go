package reach

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
)

// Mark begins what Frame writes into a payload, so that the frame is known again where it arrives.
const Mark = "reach!"

// Frame writes a packet of ICMP, TCP or UDP as an Ethernet frame with a number in its payload. answer says that it answers another: TCP
// has a flag for that.
func (p Packet) Frame(number int, answer bool) []byte {
	payload := fmt.Appendf(nil, "%s%08x", Mark, number)
	b := append(append([]byte{}, p.DstMAC[:]...), p.SrcMAC[:]...)
	body := p.transport(payload, answer)
	if p.Src.Is4() {
		b = binary.BigEndian.AppendUint16(b, 0x0800)
		ip := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, byte(p.Protocol), 0, 0}
		ip = append(append(ip, p.Src.AsSlice()...), p.Dst.AsSlice()...)
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(body)))
		binary.BigEndian.PutUint16(ip[10:], checksum(ip))
		return append(append(b, ip...), body...)
	}
	b = binary.BigEndian.AppendUint16(b, 0x86dd)
	b = append(b, 0x60, 0, 0, 0, 0, byte(len(body)), byte(p.Protocol), 64)
	b = append(append(b, p.Src.AsSlice()...), p.Dst.AsSlice()...)
	return append(b, body...)
}

// transport is what an IP packet carries.
func (p Packet) transport(payload []byte, answer bool) []byte {
	be := binary.BigEndian
	ports := be.AppendUint16(be.AppendUint16(nil, uint16(p.SrcPort)), uint16(p.DstPort))
	switch p.Protocol {
	case TCP:
		flags := byte(0x02) // SYN
		if answer {
			flags = 0x12 // and ACK
		}
		b := append(ports, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0)
		if answer {
			b[11] = byte(2 + len(payload)) // SYN and what came with it
		}
		b = append(b, payload...)
		be.PutUint16(b[16:], p.sum(b))
		return b
	case UDP:
		b := append(be.AppendUint16(ports, uint16(8+len(payload))), 0, 0)
		b = append(b, payload...)
		be.PutUint16(b[6:], p.sum(b))
		return b
	case ICMP, ICMPv6:
		b := []byte{byte(p.DstPort), 0, 0, 0, 0, 0, 0, 1}
		id := p.SrcPort
		be.PutUint16(b[4:], uint16(id))
		if p.Protocol == ICMP && (p.DstPort == 13 || p.DstPort == 14) {
			b = append(b, make([]byte, 12)...) // three times of day
		}
		b = append(b, payload...)
		if p.Protocol == ICMP {
			be.PutUint16(b[2:], checksum(b))
		} else {
			be.PutUint16(b[2:], p.sum(b))
		}
		return b
	}
	return payload
}

// sum is the checksum of a body with its pseudo-header.
func (p Packet) sum(body []byte) uint16 {
	pseudo := append(p.Src.AsSlice(), p.Dst.AsSlice()...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(body)))
	pseudo = append(pseudo, 0, 0, 0, byte(p.Protocol))
	return checksum(append(pseudo, body...))
}

// checksum is the Internet's: the complement of the sum of 16-bit words.
func checksum(b []byte) uint16 {
	var sum uint32
	for i, x := range b {
		sum += uint32(x) << (8 * (1 - i%2))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// Number is the number that Frame wrote into a frame; -1 if it wrote none, or the frame is an error that quotes another.
func Number(frame []byte) int {
	if isError(frame) {
		return -1
	}
	i := bytes.LastIndex(frame, []byte(Mark))
	if i < 0 || len(frame) < i+len(Mark)+8 {
		return -1
	}
	n, err := strconv.ParseUint(string(frame[i+len(Mark):i+len(Mark)+8]), 16, 31)
	if err != nil {
		return -1
	}
	return int(n)
}

// Arrived is p as a frame has it where it arrived: with the addresses, ports and identifier that routers gave it.
func (p Packet) Arrived(frame []byte) Packet {
	p.Via = ""
	p.DstMAC, p.SrcMAC = [6]byte(frame[:6]), [6]byte(frame[6:12])
	ip, size, head := frame[14:], 4, 20
	at := 12
	if p.Src.Is6() {
		size, head, at = 16, 40, 8
	}
	p.Src, _ = netip.AddrFromSlice(ip[at : at+size])
	p.Dst, _ = netip.AddrFromSlice(ip[at+size : at+2*size])
	body := ip[head:]
	switch p.Protocol {
	case TCP, UDP:
		p.SrcPort, p.DstPort = int(binary.BigEndian.Uint16(body)), int(binary.BigEndian.Uint16(body[2:]))
	case ICMP, ICMPv6:
		p.SrcPort = int(binary.BigEndian.Uint16(body[4:]))
	}
	return p
}

// isError says whether a frame is ICMP's complaint about a packet (RFC 1812, 4.3.1; RFC 4443, 2.1).
func isError(frame []byte) bool {
	if len(frame) < 14+40+1 {
		return false
	}
	ip := frame[14:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case 0x0800:
		return ip[9] == ICMP && (ip[20] == 3 || ip[20] == 11 || ip[20] == 12)
	case 0x86dd:
		return ip[6] == ICMPv6 && ip[40] < 128
	}
	return false
}
