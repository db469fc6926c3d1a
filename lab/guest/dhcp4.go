package guest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"
)

// Waiting between questions. Short at first, so that what is measured is the cloud and not the client.
const (
	firstWait = 50 * time.Millisecond
	lastWait  = time.Second
)

// follow4 gets an address, keeps it, and begins again when it is lost.
func (m *machine) follow4(ctx context.Context) {
	for ctx.Err() == nil {
		lease, err := m.acquire(ctx)
		if err != nil {
			m.log.Warn("no address", "err", err)
			pause(ctx, lastWait)
			continue
		}
		if err := m.apply(lease.ACK); err != nil {
			m.log.Error("address not set", "err", err)
			pause(ctx, lastWait)
			continue
		}
		m.keep(ctx, lease)
	}
}

// acquire asks until somebody leases an address.
func (m *machine) acquire(ctx context.Context) (*nclient4.Lease, error) {
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		if err := m.note(func(s *Status) { s.Questions++ }); err != nil {
			return nil, err
		}
		lease, err := m.ask(ctx, wait)
		if err == nil {
			return lease, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// ask asks once and waits so long for each of the two answers.
func (m *machine) ask(ctx context.Context, wait time.Duration) (*nclient4.Lease, error) {
	client, err := nclient4.New(m.device, nclient4.WithTimeout(wait), nclient4.WithRetry(1))
	if err != nil {
		pause(ctx, wait)
		return nil, err
	}
	defer client.Close()
	return client.Request(ctx, dhcpv4.WithRequestedOptions(
		dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionClasslessStaticRoute,
		dhcpv4.OptionDomainNameServer, dhcpv4.OptionInterfaceMTU, dhcpv4.OptionDNSDomainSearchList, dhcpv4.OptionDomainName))
}

// keep renews a lease at half of its time until it can't be renewed.
func (m *machine) keep(ctx context.Context, lease *nclient4.Lease) {
	for {
		total := lease.ACK.IPAddressLeaseTime(time.Hour)
		if !pause(ctx, lease.ACK.IPAddressRenewalTime(total/2)) {
			return
		}
		renewed, err := m.renew(ctx, lease)
		if err != nil {
			m.log.Warn("not renewed", "err", err)
			return
		}
		lease = renewed
		if err := m.apply(lease.ACK); err != nil {
			m.log.Error("address not set", "err", err)
			return
		}
		if err := m.note(func(s *Status) { s.Renewed++ }); err != nil {
			m.log.Error("renewal not noted", "err", err)
		}
	}
}

func (m *machine) renew(ctx context.Context, lease *nclient4.Lease) (*nclient4.Lease, error) {
	client, err := nclient4.New(m.device, nclient4.WithTimeout(time.Second), nclient4.WithRetry(5))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.Renew(ctx, lease)
}

// apply makes the machine what the acknowledgement says.
func (m *machine) apply(ack *dhcpv4.DHCPv4) error {
	arrived := time.Now()
	found, err := read(ack)
	if err != nil {
		return err
	}
	link, err := netlink.LinkByName(m.device)
	if err != nil {
		return err
	}
	if found.MTU >= 68 {
		if err := netlink.LinkSetMTU(link, found.MTU); err != nil {
			return fmt.Errorf("set the MTU to %d: %w", found.MTU, err)
		}
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: found.Address.Addr().AsSlice(), Mask: net.CIDRMask(found.Address.Bits(), 32)}}
	old, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	if err := netlink.AddrReplace(link, addr); err != nil {
		return fmt.Errorf("set address %v: %w", found.Address, err)
	}
	for _, o := range old {
		if !o.IPNet.IP.Equal(addr.IPNet.IP) {
			if err := netlink.AddrDel(link, &o); err != nil {
				return fmt.Errorf("remove the old address %v: %w", o.IPNet, err)
			}
		}
	}
	for _, r := range found.routes {
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: r.Dest}
		if r.Router.IsUnspecified() {
			route.Scope = netlink.SCOPE_LINK
		} else {
			route.Gw, route.Flags = r.Router, int(netlink.FLAG_ONLINK)
		}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("set route %v via %v: %w", r.Dest, r.Router, err)
		}
	}
	var resolv strings.Builder
	for _, n := range found.Names {
		fmt.Fprintf(&resolv, "nameserver %v\n", n)
	}
	if domain := ack.DomainName(); domain != "" && !strings.ContainsAny(domain, "\r\n") {
		fmt.Fprintf(&resolv, "search %s\n", domain)
	}
	if err := os.WriteFile(filepath.Join(m.dir, "resolv.conf"), []byte(resolv.String()), 0o644); err != nil {
		return err
	}
	return m.note(func(s *Status) {
		if s.Leased.IsZero() {
			s.Leased = arrived
		}
		s.Address, s.Gateway, s.Routes, s.Names, s.MTU = found.Address, found.Gateway, found.Routes, found.Names, found.MTU
		s.Server, s.LeaseTime = found.Server, found.LeaseTime
	})
}

// lease is an acknowledgement, read.
type lease struct {
	Status
	routes []*dhcpv4.Route
}

// read takes from an acknowledgement what a guest uses. Classless routes, when there are any, are all
// the routes there are (RFC 3442).
func read(ack *dhcpv4.DHCPv4) (lease, error) {
	var l lease
	ip, ok := netip.AddrFromSlice(ack.YourIPAddr.To4())
	if !ok || ip.IsUnspecified() {
		return l, fmt.Errorf("the acknowledgement has no address")
	}
	bits, size := ack.SubnetMask().Size()
	if size != 32 {
		return l, fmt.Errorf("the acknowledgement has no subnet mask")
	}
	l.Address = netip.PrefixFrom(ip, bits)
	l.routes = ack.ClasslessStaticRoute()
	if len(l.routes) == 0 && len(ack.Router()) > 0 {
		l.routes = []*dhcpv4.Route{{Dest: &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, Router: ack.Router()[0]}}
	}
	for _, r := range l.routes {
		l.Routes = append(l.Routes, fmt.Sprintf("%v via %v", r.Dest, r.Router))
		if ones, _ := r.Dest.Mask.Size(); ones == 0 {
			l.Gateway, _ = netip.AddrFromSlice(r.Router.To4())
		}
	}
	for _, n := range ack.DNS() {
		if a, ok := netip.AddrFromSlice(n.To4()); ok {
			l.Names = append(l.Names, a)
		}
	}
	if mtu, err := dhcpv4.GetUint16(dhcpv4.OptionInterfaceMTU, ack.Options); err == nil {
		l.MTU = int(mtu)
	}
	if s, ok := netip.AddrFromSlice(ack.ServerIdentifier().To4()); ok {
		l.Server = s
	}
	l.LeaseTime = int(ack.IPAddressLeaseTime(0).Seconds())
	return l, nil
}
