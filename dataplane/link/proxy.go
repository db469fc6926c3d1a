package link

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// SetProxied has a device answer neighbour solicitations for exactly these IPv6 addresses though they are elsewhere (RFC
// 4861, 7.2.8; the namespace must forward IPv6 and have proxy_ndp set). All such entries of the device are taken for ours.
func (s *Space) SetProxied(device string, wanted []netip.Addr) error {
	l, err := s.h.LinkByName(device)
	if err != nil {
		return fmt.Errorf("device %s: %w", device, err)
	}
	list, err := listed(func() ([]netlink.Neigh, error) { return s.h.NeighProxyList(l.Attrs().Index, netlink.FAMILY_V6) })
	if err != nil {
		return fmt.Errorf("list what %s answers for: %w", device, err)
	}
	var have []netip.Addr
	for _, n := range list {
		a, ok := netip.AddrFromSlice(n.IP)
		if !ok || n.LinkIndex != l.Attrs().Index { // the kernel lists those of all devices
			continue
		}
		if slices.Contains(wanted, a) {
			have = append(have, a)
			continue
		}
		if err := s.write(s.h.NeighDel(proxyOf(l, a)), "answer for %s on %s no longer", a, device); err != nil {
			return err
		}
	}
	for _, a := range wanted {
		if slices.Contains(have, a) {
			continue
		}
		if err := s.write(s.h.NeighSet(proxyOf(l, a)), "answer for %s on %s", a, device); err != nil {
			return err
		}
	}
	return nil
}

func proxyOf(l netlink.Link, a netip.Addr) *netlink.Neigh {
	return &netlink.Neigh{LinkIndex: l.Attrs().Index, Family: unix.AF_INET6, Flags: netlink.NTF_PROXY, IP: net.IP(a.AsSlice())}
}
