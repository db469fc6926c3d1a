package link

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Protocol marks our routes in the kernel's tables (rtm_protocol); those of others are left alone.
const Protocol = 78

// Route is a way to a destination. Several with the same destination in a table share its traffic.
type Route struct {
	Destination netip.Prefix
	NextHop     netip.Addr // zero: the destination is reached directly
	Device      string
	OnLink      bool // the next hop is reached directly though no address of the device says so
	Table       int  // 0: the main table
}

// place is where a route stands.
type place struct {
	dst   netip.Prefix
	table int
}

func (p place) String() string {
	if p.table == unix.RT_TABLE_MAIN {
		return p.dst.String()
	}
	return fmt.Sprintf("%s in table %d", p.dst, p.table)
}

// hop is a next hop as it is compared.
type hop struct {
	via    netip.Addr
	index  int
	onLink bool
}

func (h hop) less(o hop) int {
	if c := h.via.Compare(o.via); c != 0 {
		return c
	}
	return h.index - o.index
}

// SetRoutes makes our routes exactly these. A route that the kernel refuses does
// not stop the others: all failures are joined.
func (s *Space) SetRoutes(want []Route) error {
	wanted, failed := s.group(want)
	have, err := s.routes()
	if err != nil {
		return errors.Join(failed, err)
	}
	for _, dst := range sortedKeys(wanted) {
		if slices.Equal(wanted[dst], have[dst]) {
			continue
		}
		// IPv6 may add to a route where it should replace it, so that the old one goes first.
		if dst.dst.Addr().Is6() && len(have[dst]) > 0 {
			if err := s.deleteRoute(dst, have[dst]); err != nil {
				failed = errors.Join(failed, err)
				continue
			}
		}
		r := routeOf(dst, wanted[dst])
		failed = errors.Join(failed, s.write(s.h.RouteReplace(r), "route to %s by %s", dst, text(wanted[dst])))
	}
	for _, dst := range sortedKeys(have) {
		if wanted[dst] == nil {
			failed = errors.Join(failed, s.deleteRoute(dst, have[dst]))
		}
	}
	return failed
}

// group puts routes with the same destination together.
func (s *Space) group(want []Route) (map[place][]hop, error) {
	index := map[string]int{}
	out := map[place][]hop{}
	var failed error
	for _, r := range want {
		if _, known := index[r.Device]; !known {
			d, found, err := s.Find(r.Device)
			if err != nil || !found {
				failed = errors.Join(failed, err, fmt.Errorf("route to %s: there is no device %s", r.Destination, r.Device))
				continue
			}
			index[r.Device] = d.Index
		}
		h := hop{via: r.NextHop, index: index[r.Device], onLink: r.OnLink}
		dst := place{r.Destination.Masked(), r.Table}
		if r.Table == 0 {
			dst.table = unix.RT_TABLE_MAIN
		}
		if !slices.Contains(out[dst], h) {
			out[dst] = append(out[dst], h)
		}
	}
	for _, hops := range out {
		slices.SortFunc(hops, hop.less)
	}
	return out, failed
}

// routes reads our routes.
func (s *Space) routes() (map[place][]hop, error) {
	out := map[place][]hop{}
	filter := &netlink.Route{Table: unix.RT_TABLE_UNSPEC, Protocol: Protocol} // of any table
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := listed(func() ([]netlink.Route, error) {
			return s.h.RouteListFiltered(family, filter, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL)
		})
		if err != nil {
			return nil, fmt.Errorf("list the routes of %q: %w", s.name, err)
		}
		for _, r := range list {
			dst := place{netip.PrefixFrom(netip.IPv4Unspecified(), 0), r.Table}
			if family == netlink.FAMILY_V6 {
				dst.dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
			}
			if r.Dst != nil {
				dst.dst = prefixOf(r.Dst)
			}
			if len(r.MultiPath) == 0 {
				out[dst] = append(out[dst], hopOf(r.Gw, r.LinkIndex, r.Flags))
			}
			for _, n := range r.MultiPath {
				out[dst] = append(out[dst], hopOf(n.Gw, n.LinkIndex, n.Flags))
			}
		}
	}
	for _, hops := range out {
		slices.SortFunc(hops, hop.less)
	}
	return out, nil
}

func hopOf(gw net.IP, index, flags int) hop {
	return hop{via: addrOf(gw), index: index, onLink: flags&unix.RTNH_F_ONLINK != 0}
}

func routeOf(dst place, hops []hop) *netlink.Route {
	r := &netlink.Route{Dst: netOf(dst.dst), Table: dst.table, Protocol: Protocol}
	if len(hops) == 1 {
		if !hops[0].via.IsValid() && dst.dst.Addr().Is4() {
			r.Scope = netlink.SCOPE_LINK
		}
		r.Gw, r.LinkIndex, r.Flags = hops[0].via.AsSlice(), hops[0].index, flags(hops[0])
		return r
	}
	for _, h := range hops {
		r.MultiPath = append(r.MultiPath, &netlink.NexthopInfo{Gw: h.via.AsSlice(), LinkIndex: h.index, Flags: flags(h)})
	}
	return r
}

func flags(h hop) int {
	if h.onLink {
		return unix.RTNH_F_ONLINK
	}
	return 0
}

func (s *Space) deleteRoute(dst place, hops []hop) error {
	for _, h := range hops {
		err := s.h.RouteDel(routeOf(dst, []hop{h}))
		if errors.Is(err, unix.ESRCH) && len(hops) > 1 {
			err = s.h.RouteDel(&netlink.Route{Dst: netOf(dst.dst), Table: dst.table, Protocol: Protocol})
			if errors.Is(err, unix.ESRCH) {
				err = nil
			}
		}
		if err := s.write(err, "remove the route to %s", dst); err != nil {
			return err
		}
	}
	return nil
}

func text(hops []hop) string {
	var b strings.Builder
	for i, h := range hops {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(h.via.String())
	}
	return b.String()
}

func sortedKeys(m map[place][]hop) []place {
	var keys []place
	for k := range m {
		keys = append(keys, k)
	}
	// Longer ones first: a next hop may be reached by another route.
	slices.SortFunc(keys, func(a, b place) int {
		if a.dst.Bits() != b.dst.Bits() {
			return b.dst.Bits() - a.dst.Bits()
		}
		return cmp.Or(a.dst.Addr().Compare(b.dst.Addr()), a.table-b.table)
	})
	return keys
}
