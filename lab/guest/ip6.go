package guest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/dhcpv6/nclient6"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"
)

// follow6 reads router advertisements. The kernel does what they say of routes and prefixes; when one
// says that addresses are managed, an address is asked for by DHCPv6.
func (m *machine) follow6(ctx context.Context) {
	conn, err := icmp.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		m.log.Info("no IPv6 here", "err", err)
		return
	}
	defer conn.Close()
	go func() {
		<-ctx.Done()
		conn.Close()
	}()
	var only ipv6.ICMPFilter
	only.SetAll(true)
	only.Accept(ipv6.ICMPTypeRouterAdvertisement)
	if err := conn.IPv6PacketConn().SetICMPFilter(&only); err != nil {
		m.log.Error("router advertisements not heard", "err", err)
		return
	}
	buf := make([]byte, 1500)
	for {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if !managed(buf[:n]) {
			continue
		}
		for ctx.Err() == nil {
			again, err := m.lease6(ctx)
			if err != nil {
				m.log.Warn("no IPv6 address", "err", err)
				again = lastWait
			}
			if !pause(ctx, again) {
				return
			}
		}
	}
}

// managed reads the M flag of a router advertisement.
func managed(message []byte) bool {
	return len(message) >= 16 && message[0] == 134 && message[5]&0x80 != 0
}

// lease6 gets an address and says when to ask again.
func (m *machine) lease6(ctx context.Context) (time.Duration, error) {
	client, err := nclient6.New(m.device, nclient6.WithTimeout(500*time.Millisecond), nclient6.WithRetry(5))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	advertise, err := client.Solicit(ctx)
	if err != nil {
		return 0, fmt.Errorf("solicit: %w", err)
	}
	reply, err := client.Request(ctx, advertise)
	if err != nil {
		return 0, fmt.Errorf("request: %w", err)
	}
	addresses, life := leased6(reply)
	if len(addresses) == 0 {
		return 0, fmt.Errorf("the reply has no address")
	}
	link, err := netlink.LinkByName(m.device)
	if err != nil {
		return 0, err
	}
	for _, a := range addresses {
		addr := &netlink.Addr{IPNet: &net.IPNet{IP: a.Addr().AsSlice(), Mask: net.CIDRMask(128, 128)}}
		if err := netlink.AddrReplace(link, addr); err != nil {
			return 0, fmt.Errorf("set address %v: %w", a, err)
		}
	}
	return life / 2, m.note(func(s *Status) { s.Address6 = addresses })
}

// leased6 takes the addresses and the shortest preferred lifetime out of a reply.
func leased6(reply *dhcpv6.Message) ([]netip.Prefix, time.Duration) {
	var list []netip.Prefix
	life := time.Hour
	ia := reply.Options.OneIANA()
	if ia == nil {
		return nil, 0
	}
	for _, a := range ia.Options.Addresses() {
		if addr, ok := netip.AddrFromSlice(a.IPv6Addr); ok {
			list = append(list, netip.PrefixFrom(addr, 128))
			life = min(life, max(a.PreferredLifetime, 2*time.Second))
		}
	}
	return list, life
}
