// Package probe sends and watches for single frames and small messages, from inside of an instance:
// honest ones and forged ones.
package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/packet"

	"neutrino/address"
)

// Frame is a frame to send, or what to watch for.
type Frame struct {
	Device         string
	ARP            bool // an announcement that SrcIP is at SrcMAC; otherwise an echo request
	SrcMAC, DstMAC address.MAC
	SrcIP, DstIP   netip.Addr
	Tags           Tags
}

const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd
	every    = 0x0003 // ETH_P_ALL
)

// Parse takes the addresses as text; empty ones are left out.
func (f *Frame) Parse(srcMAC, dstMAC, srcIP, dstIP string) error {
	for _, m := range []struct {
		text string
		to   *address.MAC
	}{{srcMAC, &f.SrcMAC}, {dstMAC, &f.DstMAC}} {
		if m.text == "" {
			continue
		}
		mac, err := address.ParseMAC(m.text)
		if err != nil {
			return err
		}
		*m.to = mac
	}
	for _, a := range []struct {
		text string
		to   *netip.Addr
	}{{srcIP, &f.SrcIP}, {dstIP, &f.DstIP}} {
		if a.text == "" {
			continue
		}
		addr, err := netip.ParseAddr(a.text)
		if err != nil {
			return err
		}
		*a.to = addr
	}
	return nil
}

// Send sends the frame so many times, 50 ms apart.
func (f *Frame) Send(times int) error {
	data, err := f.encode()
	if err != nil {
		return err
	}
	conn, device, err := f.open()
	if err != nil {
		return err
	}
	defer conn.Close()
	if f.SrcMAC.IsZero() {
		copy(data[6:12], device.HardwareAddr)
	}
	for range times {
		if _, err := conn.WriteTo(data, &packet.Addr{HardwareAddr: data[0:6]}); err != nil {
			return fmt.Errorf("send on %s: %w", f.Device, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// Watch waits for a frame that has all that is given of f, writes it, and fails if none came.
// It writes "watching" first, when frames are no longer missed.
func (f *Frame) Watch(w io.Writer, patience time.Duration) error {
	conn, device, err := f.open()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	fmt.Fprintln(w, "watching")
	buf := make([]byte, 9216)
	for {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return fmt.Errorf("no such frame on %s within %v: %w", f.Device, patience, err)
		}
		seen, ok := decode(buf[:n])
		if f.Tags[0].VLAN != 0 { // the kernel has taken it off, and the filter has looked at it
			seen.Tags = Tags{f.Tags[0], seen.Tags[0]}
		}
		if ok && seen.SrcMAC != address.MAC(device.HardwareAddr) && f.matches(seen) {
			fmt.Fprintf(w, "seen %v %v > %v %v arp=%v\n", seen.SrcMAC, seen.SrcIP, seen.DstMAC, seen.DstIP, seen.ARP)
			return nil
		}
	}
}

func (f *Frame) open() (*packet.Conn, *net.Interface, error) {
	device, err := net.InterfaceByName(f.Device)
	if err != nil {
		return nil, nil, err
	}
	filter, err := f.Tags.filter()
	if err != nil {
		return nil, nil, err
	}
	conn, err := packet.Listen(device, packet.Raw, every, &packet.Config{Filter: filter})
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %w", f.Device, err)
	}
	return conn, device, nil
}

func (f *Frame) matches(seen Frame) bool {
	return f.ARP == seen.ARP && f.Tags == seen.Tags &&
		(f.SrcMAC.IsZero() || f.SrcMAC == seen.SrcMAC) && (f.DstMAC.IsZero() || f.DstMAC == seen.DstMAC) &&
		(!f.SrcIP.IsValid() || f.SrcIP == seen.SrcIP) && (!f.DstIP.IsValid() || f.DstIP == seen.DstIP)
}

// decode reads the addresses of an Ethernet frame that is ARP, IPv4 or IPv6.
func decode(b []byte) (Frame, bool) {
	if len(b) < 14 {
		return Frame{}, false
	}
	f := Frame{DstMAC: address.MAC(b[0:6]), SrcMAC: address.MAC(b[6:12])}
	kind, b := f.Tags.decode(b[12:])
	switch {
	case kind == typeARP && len(b) >= 28:
		f.ARP = true
		f.SrcIP, f.DstIP = netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
	case kind == typeIPv4 && len(b) >= 20:
		f.SrcIP, f.DstIP = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	case kind == typeIPv6 && len(b) >= 40:
		f.SrcIP, f.DstIP = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	default:
		return Frame{}, false
	}
	return f, true
}

func (f *Frame) encode() ([]byte, error) {
	if !f.SrcIP.IsValid() || !f.DstIP.IsValid() || f.SrcIP.Is4() != f.DstIP.Is4() {
		return nil, errors.New("give a source and a destination address of one family")
	}
	if f.ARP {
		if !f.SrcIP.Is4() {
			return nil, errors.New("ARP is of IPv4")
		}
		return f.encodeARP(), nil
	}
	if f.DstMAC.IsZero() {
		return nil, errors.New("give a destination MAC")
	}
	if f.SrcIP.Is4() {
		return f.encode4(), nil
	}
	return f.encode6(), nil
}

func (f *Frame) ethernet(kind uint16) []byte {
	b := append(append([]byte{}, f.DstMAC[:]...), f.SrcMAC[:]...)
	return binary.BigEndian.AppendUint16(f.Tags.encode(b), kind)
}

func (f *Frame) encodeARP() []byte {
	to := f.DstMAC
	if to.IsZero() {
		f.DstMAC = address.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	b := f.ethernet(typeARP)
	f.DstMAC = to
	b = append(b, 0, 1, 8, 0, 6, 4, 0, 2) // Ethernet, IPv4, reply
	b = append(append(b, f.SrcMAC[:]...), f.SrcIP.AsSlice()...)
	return append(append(b, to[:]...), f.DstIP.AsSlice()...)
}

// payload of an echo request: long enough to be told from others.
var payload = []byte("neutrino probe ........")

func (f *Frame) encode4() []byte {
	icmp := append([]byte{8, 0, 0, 0, 0x4e, 0x75, 0, 1}, payload...)
	binary.BigEndian.PutUint16(icmp[2:], checksum(icmp))
	ip := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0}
	ip = append(append(ip, f.SrcIP.AsSlice()...), f.DstIP.AsSlice()...)
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(icmp)))
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	return append(append(f.ethernet(typeIPv4), ip...), icmp...)
}

func (f *Frame) encode6() []byte {
	icmp := append([]byte{128, 0, 0, 0, 0x4e, 0x75, 0, 1}, payload...)
	pseudo := append(f.SrcIP.AsSlice(), f.DstIP.AsSlice()...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(icmp)))
	pseudo = append(pseudo, 0, 0, 0, 58)
	binary.BigEndian.PutUint16(icmp[2:], checksum(append(pseudo, icmp...)))
	ip := []byte{0x60, 0, 0, 0, 0, byte(len(icmp)), 58, 64}
	ip = append(append(ip, f.SrcIP.AsSlice()...), f.DstIP.AsSlice()...)
	return append(append(f.ethernet(typeIPv6), ip...), icmp...)
}

// checksum is the Internet's: the complement of the sum of 16-bit words.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
