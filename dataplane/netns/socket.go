package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// Socket says what a socket should be like besides its address.
type Socket struct {
	Device   string // only what passes this device; "": any
	Reuse    bool   // others may have the same address (SO_REUSEADDR)
	Freebind bool   // the address need not be there yet
}

// Listen opens a stream listener inside a namespace, for use from anywhere.
func Listen(ctx context.Context, namespace, network, at string, s Socket) (l net.Listener, err error) {
	err = Do(namespace, func() error {
		lc := net.ListenConfig{Control: s.control}
		l, err = lc.Listen(ctx, network, at)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen on %s in %s: %w", at, namespace, err)
	}
	return l, nil
}

// ListenPacket opens a datagram or raw IP socket inside a namespace, for use from anywhere.
func ListenPacket(ctx context.Context, namespace, network, at string, s Socket) (c net.PacketConn, err error) {
	err = Do(namespace, func() error {
		lc := net.ListenConfig{Control: s.control}
		c, err = lc.ListenPacket(ctx, network, at)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen on %s %s in %s: %w", network, at, namespace, err)
	}
	return c, nil
}

// ListenFrames opens a packet socket on a device inside a namespace, for whole Ethernet frames of a
// type (in host order, such as unix.ETH_P_ALL).
func ListenFrames(namespace, device string, etherType int, config *packet.Config) (c *packet.Conn, err error) {
	err = Do(namespace, func() error {
		ifi, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		c, err = packet.Listen(ifi, packet.Raw, etherType, config)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open a packet socket on %s in %s: %w", device, namespace, err)
	}
	return c, nil
}

func (s Socket) control(network, _ string, raw syscall.RawConn) error {
	var result error
	err := raw.Control(func(fd uintptr) {
		if s.Reuse {
			result = errors.Join(result, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
		}
		if s.Device != "" {
			result = errors.Join(result, unix.BindToDevice(int(fd), s.Device))
		}
		if s.Freebind {
			if n := len(network); n > 0 && network[n-1] == '6' {
				result = errors.Join(result, unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_FREEBIND, 1))
			} else {
				result = errors.Join(result, unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1))
			}
		}
	})
	return errors.Join(err, result)
}
