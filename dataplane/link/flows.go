package link

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"

	"neutrino/dataplane/netns"
)

// Flow is a connection that the kernel tracks: the addresses as the one who began it uses them, and as
// the one who answers sees them. They differ where the flow is translated. Where a protocol has no ports, they are 0.
type Flow struct {
	Protocol           uint8 // IP protocol number
	Source, SeenSource netip.Addr
	Target, SeenTarget netip.AddrPort
}

// ForgetFlows removes the tracked connections that are stale: their next packets are judged anew.
func ForgetFlows(namespace string, stale func(Flow) bool) error {
	return netns.Do(namespace, func() error { // the library opens sockets of its own for conntrack
		for _, family := range []netlink.InetFamily{netlink.FAMILY_V4, netlink.FAMILY_V6} {
			if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, filter(stale)); err != nil {
				return fmt.Errorf("forget flows in %s: %w", namespace, err)
			}
		}
		return nil
	})
}

type filter func(Flow) bool

// MatchConntrackFlow implements the library's filter.
func (match filter) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	return match(Flow{
		Protocol: f.Forward.Protocol,
		Source:   addrOf(f.Forward.SrcIP), SeenSource: addrOf(f.Reverse.DstIP),
		Target: netip.AddrPortFrom(addrOf(f.Forward.DstIP), f.Forward.DstPort), SeenTarget: netip.AddrPortFrom(addrOf(f.Reverse.SrcIP), f.Reverse.SrcPort),
	})
}

func addrOf(ip []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}
