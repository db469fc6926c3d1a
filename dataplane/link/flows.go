package link

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"neutrino/dataplane/netns"
)

// ForgetFlows removes the connections that the kernel tracks to any of these addresses, before or
// after translation: their next packets are judged anew.
func ForgetFlows(namespace string, addrs []netip.Addr) error {
	return netns.Do(namespace, func() error { // the library opens sockets of its own for conntrack
		for _, family := range []netlink.InetFamily{netlink.FAMILY_V4, netlink.FAMILY_V6} {
			if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, to(addrs)); err != nil {
				return fmt.Errorf("forget flows in %s: %w", namespace, err)
			}
		}
		return nil
	})
}

// to matches flows to addresses: of the one who began or, translated, of the answers.
type to []netip.Addr

// MatchConntrackFlow implements the library's filter.
func (t to) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	for _, ip := range [][]byte{f.Forward.DstIP, f.Reverse.DstIP} {
		if a, ok := netip.AddrFromSlice(ip); ok && slices.Contains(t, a.Unmap()) {
			return true
		}
	}
	return false
}
