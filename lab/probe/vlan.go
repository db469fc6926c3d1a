package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"slices"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"neutrino/address"
)

// VLANDevice is a device whose frames have a VLAN's tag on another device. It is for guests whose kernel has no module
// 8021q, which would do the same.
type VLANDevice struct {
	Parent  string
	ID      uint16 // 1 to 4094
	MAC     address.MAC
	Address netip.Prefix
}

// Name is the device's, as people call it: parent.ID.
func (d VLANDevice) Name() string { return fmt.Sprintf("%s.%d", d.Parent, d.ID) }

// Run keeps the device until ctx ends. It writes "ready" when the device is there.
func (d VLANDevice) Run(ctx context.Context, w io.Writer) error {
	name, inner := d.Name(), fmt.Sprintf("inner%d", d.ID)
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, HardwareAddr: d.MAC[:]}, PeerName: inner}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	defer func() { _ = netlink.LinkDel(pair) }()
	// Checksums that a device should complete would be read unfinished.
	if out, err := exec.CommandContext(ctx, "ethtool", "-K", name, "tx", "off").CombinedOutput(); err != nil {
		return fmt.Errorf("ethtool: %w: %s", err, out)
	}
	if err := netlink.AddrAdd(pair, &netlink.Addr{IPNet: &net.IPNet{IP: d.Address.Addr().AsSlice(), Mask: net.CIDRMask(d.Address.Bits(), d.Address.Addr().BitLen())}}); err != nil {
		return fmt.Errorf("give %s its address: %w", name, err)
	}
	outside, err := openIncoming(d.Parent, Tags{{VLAN: int(d.ID)}})
	if err != nil {
		return err
	}
	defer outside.Close()
	for _, up := range []string{name, inner} {
		link, err := netlink.LinkByName(up)
		if err == nil {
			err = netlink.LinkSetUp(link)
		}
		if err != nil {
			return fmt.Errorf("set %s up: %w", up, err)
		}
	}
	inside, err := openIncoming(inner, Tags{})
	if err != nil {
		return err
	}
	defer inside.Close()
	fmt.Fprintln(w, "ready")
	return pump(ctx, Tags{{VLAN: int(d.ID)}}, outside, inside)
}

// openIncoming gives what comes in on a device with the tags, without the outer one, which the kernel takes off.
func openIncoming(device string, tags Tags) (*packet.Conn, error) {
	conn, _, err := (&Frame{Device: device, Tags: tags}).open()
	if err != nil {
		return nil, err
	}
	if err := ignoreOutgoing(conn); err != nil {
		conn.Close()
		return nil, fmt.Errorf("watch only what comes in on %s: %w", device, err)
	}
	return conn, nil
}

// pump carries frames between what has the tags outside and what has none inside, until ctx ends or a device goes.
func pump(ctx context.Context, tags Tags, outside, inside *packet.Conn) error {
	ended := make(chan error, 2)
	carry := func(from, to *packet.Conn, put Tags) {
		buf := make([]byte, 65536)
		for {
			n, _, err := from.ReadFrom(buf)
			if err == nil && n >= 14 {
				frame := append(put.encode(slices.Clone(buf[:12])), buf[12:n]...)
				_, err = to.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]})
			}
			if err != nil && !errors.Is(err, unix.EMSGSIZE) && !errors.Is(err, unix.ENOBUFS) { // lost on the way, as on any wire
				ended <- err
				return
			}
		}
	}
	go carry(outside, inside, Tags{})
	go carry(inside, outside, tags)
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return err
	}
}
