package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"neutrino/address"
	"neutrino/dataplane/netns"
)

var broadcast = address.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Announce tells the neighbours on a device that addresses are at a MAC: gratuitous ARP, as request
// and as reply, or an unsolicited neighbour advertisement of a router. It does so a number of times,
// with a gap between, and returns early when the context ends.
func Announce(ctx context.Context, namespace, device string, mac address.MAC, addrs []netip.Addr, times int, gap time.Duration) error {
	var frames [][]byte
	for _, a := range addrs {
		frames = append(frames, announcements(mac, a)...)
	}
	return send(ctx, namespace, device, frames, times, gap)
}

// AnnounceTo tells single neighbours, and the switches on the way to them, that IPv4 addresses are at a MAC; else as Announce.
func AnnounceTo(ctx context.Context, namespace, device string, mac address.MAC, addrs []netip.Addr, neighbours []address.MAC, times int, gap time.Duration) error {
	var frames [][]byte
	for _, to := range neighbours {
		for _, a := range addrs {
			if a.Is4() {
				frames = append(frames, gratuitousARP(to, mac, a, 2))
			}
		}
	}
	return send(ctx, namespace, device, frames, times, gap)
}

// send sends frames from a device a number of times.
func send(ctx context.Context, namespace, device string, frames [][]byte, times int, gap time.Duration) error {
	c, err := netns.ListenFrames(namespace, device, unix.ETH_P_ARP, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	for i := range times {
		if i > 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(gap):
			}
		}
		for _, frame := range frames {
			_, err := c.WriteTo(frame, &packet.Addr{HardwareAddr: net.HardwareAddr(frame[:6])})
			if errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
				return nil // the device went away: nobody is there to be told
			}
			if err != nil && !errors.Is(err, unix.ENOBUFS) {
				return fmt.Errorf("announce addresses on %s: %w", device, err)
			}
		}
	}
	return nil
}

func announcements(mac address.MAC, a netip.Addr) [][]byte {
	if a.Is4() {
		return [][]byte{gratuitousARP(broadcast, mac, a, 1), gratuitousARP(broadcast, mac, a, 2)}
	}
	return [][]byte{neighbourAdvertisement(mac, a)}
}

// gratuitousARP makes a frame (RFC 826, 5227); operation 1 is a request, 2 a reply.
func gratuitousARP(to, mac address.MAC, a netip.Addr, operation uint16) []byte {
	f := ethernet(to, mac, unix.ETH_P_ARP)
	f = append(f, 0, 1, 8, 0, 6, 4)
	f = binary.BigEndian.AppendUint16(f, operation)
	f = append(append(f, mac[:]...), a.AsSlice()...)
	target := address.MAC{}
	if operation == 2 {
		target = to
	}
	f = append(append(f, target[:]...), a.AsSlice()...)
	return f
}

// neighbourAdvertisement makes a frame to all nodes (RFC 4861, 4.4), with the router and override bits.
func neighbourAdvertisement(mac address.MAC, a netip.Addr) []byte {
	to := netip.MustParseAddr("ff02::1").As16()
	from := a.As16()
	body := append([]byte{136, 0, 0, 0, 0x80 | 0x20, 0, 0, 0}, from[:]...)
	body = append(append(body, 2, 1), mac[:]...)
	binary.BigEndian.PutUint16(body[2:], checksum6(from, to, body))

	f := ethernet(address.MAC{0x33, 0x33, 0, 0, 0, 1}, mac, unix.ETH_P_IPV6)
	f = append(f, 0x60, 0, 0, 0)
	f = binary.BigEndian.AppendUint16(f, uint16(len(body)))
	f = append(f, unix.IPPROTO_ICMPV6, 255)
	f = append(append(f, from[:]...), to[:]...)
	return append(f, body...)
}

func ethernet(to, from address.MAC, kind uint16) []byte {
	return binary.BigEndian.AppendUint16(append(append(make([]byte, 0, 96), to[:]...), from[:]...), kind)
}

// checksum6 is the checksum of an ICMPv6 message (RFC 4443, 2.3).
func checksum6(from, to [16]byte, body []byte) uint16 {
	var sum uint32
	add := func(b []byte) {
		for i := 0; i+1 < len(b); i += 2 {
			sum += uint32(b[i])<<8 | uint32(b[i+1])
		}
		if len(b)%2 == 1 {
			sum += uint32(b[len(b)-1]) << 8
		}
	}
	add(from[:])
	add(to[:])
	add(body)
	sum += uint32(len(body)) + unix.IPPROTO_ICMPV6
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
