package link

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"neutrino/address"
)

// SetAddresses makes the addresses of a device exactly these (with their subnets' lengths), except
// that the kernel's own ones stay: 127.0.0.1, ::1, and the link-local address made from the device's
// MAC. IPv6 addresses are usable at once, without duplicate address detection. It tells what was added.
func (s *Space) SetAddresses(device string, want []netip.Prefix) (added []netip.Prefix, err error) {
	l, err := s.h.LinkByName(device)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", device, err)
	}
	list, err := listed(func() ([]netlink.Addr, error) { return s.h.AddrList(l, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list the addresses of %s: %w", device, err)
	}
	have := map[netip.Prefix]bool{}
	for _, a := range list {
		have[prefixOf(a.IPNet)] = true
	}
	for _, p := range want {
		if have[p] || slices.Contains(added, p) {
			continue
		}
		a := &netlink.Addr{IPNet: netOf(p)}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := s.write(s.h.AddrAdd(l, a), "add %s to %s", p, device); err != nil {
			return added, err
		}
		added = append(added, p)
	}
	mac := deviceOf(l).MAC
	for i, a := range list {
		p := prefixOf(a.IPNet)
		if slices.Contains(want, p) || kernels(p.Addr(), mac) {
			continue
		}
		if err := s.write(s.h.AddrDel(l, &list[i]), "take %s from %s", p, device); err != nil {
			return added, err
		}
	}
	return added, nil
}

// Addresses lists the addresses of a device, with their lengths.
func (s *Space) Addresses(device string) ([]netip.Prefix, error) {
	l, err := s.h.LinkByName(device)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", device, err)
	}
	list, err := listed(func() ([]netlink.Addr, error) { return s.h.AddrList(l, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list the addresses of %s: %w", device, err)
	}
	var out []netip.Prefix
	for _, a := range list {
		out = append(out, prefixOf(a.IPNet))
	}
	return out, nil
}

func kernels(a netip.Addr, mac address.MAC) bool {
	return a.IsLoopback() || !mac.IsZero() && a == mac.LinkLocal()
}

func prefixOf(n *net.IPNet) netip.Prefix {
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addrOf(n.IP), bits)
}

func netOf(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
