package link

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"neutrino/address"
)

// SetNeighbours gives a device exactly these permanent neighbours: who has an address is known without asking. Neighbours
// that the kernel has learnt are left alone.
func (s *Space) SetNeighbours(device string, wanted map[netip.Addr]address.MAC) error {
	l, err := s.h.LinkByName(device)
	if err != nil {
		return fmt.Errorf("device %s: %w", device, err)
	}
	list, err := listed(func() ([]netlink.Neigh, error) { return s.h.NeighList(l.Attrs().Index, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list the neighbours on %s: %w", device, err)
	}
	right := map[netip.Addr]bool{}
	for _, n := range list {
		a, ok := netip.AddrFromSlice(n.IP)
		if n.State&netlink.NUD_PERMANENT == 0 || !ok {
			continue
		}
		a = a.Unmap()
		mac, is := wanted[a]
		if is && n.HardwareAddr.String() == mac.String() {
			right[a] = true
			continue
		}
		if is {
			continue // it is set below
		}
		if err := s.write(s.h.NeighDel(&n), "forget neighbour %s on %s", a, device); err != nil {
			return err
		}
	}
	for a, mac := range wanted {
		if right[a] {
			continue
		}
		n := &netlink.Neigh{LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT, IP: net.IP(a.AsSlice()), HardwareAddr: net.HardwareAddr(mac[:])}
		if err := s.write(s.h.NeighSet(n), "set neighbour %s on %s", a, device); err != nil {
			return err
		}
	}
	return nil
}
