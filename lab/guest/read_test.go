package guest

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"
)

func acknowledgement(t *testing.T, modifiers ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	t.Helper()
	ack, err := dhcpv4.New(append([]dhcpv4.Modifier{
		dhcpv4.WithMessageType(dhcpv4.MessageTypeAck), dhcpv4.WithYourIP(net.IPv4(10, 0, 0, 5)),
		dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithLeaseTime(600)}, modifiers...)...)
	if err != nil {
		t.Fatal(err)
	}
	return ack
}

func TestRead(t *testing.T) {
	metadata := &dhcpv4.Route{Dest: &net.IPNet{IP: net.IPv4(169, 254, 169, 254).To4(), Mask: net.CIDRMask(32, 32)}, Router: net.IPv4(10, 0, 0, 2).To4()}
	way := &dhcpv4.Route{Dest: &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, Router: net.IPv4(10, 0, 0, 9).To4()}
	router := dhcpv4.WithRouter(net.IPv4(10, 0, 0, 1))
	for _, c := range []struct {
		name    string
		ack     *dhcpv4.DHCPv4
		gateway string
		routes  []string
	}{
		{"a router", acknowledgement(t, router), "10.0.0.1", []string{"0.0.0.0/0 via 10.0.0.1"}},
		{"classless routes are all the routes there are", acknowledgement(t, router, dhcpv4.WithOption(dhcpv4.OptClasslessStaticRoute(metadata))), "invalid IP",
			[]string{"169.254.169.254/32 via 10.0.0.2"}},
		{"a default among classless routes", acknowledgement(t, dhcpv4.WithOption(dhcpv4.OptClasslessStaticRoute(metadata, way))), "10.0.0.9",
			[]string{"169.254.169.254/32 via 10.0.0.2", "0.0.0.0/0 via 10.0.0.9"}},
		{"no way out", acknowledgement(t), "invalid IP", nil},
	} {
		l, err := read(c.ack)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if l.Address != netip.MustParsePrefix("10.0.0.5/24") || l.Gateway.String() != c.gateway || !slices.Equal(l.Routes, c.routes) || l.LeaseTime != 600 {
			t.Errorf("%s: %+v", c.name, l.Status)
		}
	}
}

func TestUnreadable(t *testing.T) {
	for name, ack := range map[string]*dhcpv4.DHCPv4{
		"no address": acknowledgement(t, dhcpv4.WithYourIP(net.IPv4zero)),
		"no mask":    acknowledgement(t, func(d *dhcpv4.DHCPv4) { d.Options.Del(dhcpv4.OptionSubnetMask) }),
	} {
		if l, err := read(ack); err == nil {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

func FuzzRead(f *testing.F) {
	ack, err := dhcpv4.New(dhcpv4.WithYourIP(net.IPv4(10, 0, 0, 5)), dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithRouter(net.IPv4(10, 0, 0, 1)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ack.ToBytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		ack, err := dhcpv4.FromBytes(data)
		if err != nil {
			return
		}
		if l, err := read(ack); err == nil && !l.Address.IsValid() {
			t.Errorf("%x: no address", data)
		}
	})
}

func FuzzManaged(f *testing.F) {
	f.Add([]byte{134, 0, 0, 0, 64, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{134})
	f.Fuzz(func(t *testing.T, data []byte) {
		if managed(data) && data[0] != 134 {
			t.Errorf("%x is no router advertisement", data)
		}
	})
}

func TestLeased6(t *testing.T) {
	reply, err := dhcpv6.NewMessage(dhcpv6.WithIANA(dhcpv6.OptIAAddress{IPv6Addr: net.ParseIP("fd00::5"), PreferredLifetime: 10 * time.Minute, ValidLifetime: time.Hour}))
	if err != nil {
		t.Fatal(err)
	}
	list, life := leased6(reply)
	if !slices.Equal(list, []netip.Prefix{netip.MustParsePrefix("fd00::5/128")}) || life != 10*time.Minute {
		t.Errorf("%v for %v", list, life)
	}
	empty, err := dhcpv6.NewMessage()
	if err != nil {
		t.Fatal(err)
	}
	if list, _ := leased6(empty); len(list) != 0 {
		t.Errorf("%v out of nothing", list)
	}
}
