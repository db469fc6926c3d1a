package l3

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"neutrino/dataplane/link"
	"neutrino/desired"
)

func mustPlan(t *testing.T, r *desired.Router) *plan {
	t.Helper()
	p, err := planOf(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRules(t *testing.T) {
	const dnat, masquerade, outsideDrop = "dnat ip to ip daddr map @floating", "fully-random", `iifname "qg-c0000000-00" meta nfproto ipv4 drop`
	for name, c := range map[string]struct {
		change func(*desired.Router)
		has    []string
		lacks  []string
	}{
		"all":            {func(*desired.Router) {}, []string{dnat, masquerade, outsideDrop, "203.0.113.50 : 10.0.1.11", "policy drop", "maxseg"}, nil},
		"no SNAT":        {func(r *desired.Router) { r.Gateway.EnableSNAT = false }, []string{dnat}, []string{masquerade, outsideDrop}},
		"no gateway":     {func(r *desired.Router) { r.Gateway = nil }, []string{`iifname { "qr-a0000000-00", "qr-b0000000-00" } accept`}, []string{dnat, masquerade, "qg-"}},
		"no interfaces":  {func(r *desired.Router) { r.Interfaces = nil }, []string{"policy drop"}, []string{"qr-"}},
		"down":           {func(r *desired.Router) { r.AdminStateUp = false }, []string{"policy drop"}, []string{"established,related accept"}},
		"no floating IP": {func(r *desired.Router) { r.FloatingIPs = nil }, []string{masquerade}, []string{dnat, "@fixed"}},
		"IPv6 gateway": {func(r *desired.Router) {
			r.Gateway.Addresses, r.FloatingIPs = prefixes("2001:db8:ff::10/64"), nil
		}, []string{outsideDrop}, []string{masquerade}},
	} {
		r := standard()
		c.change(r)
		rules := mustPlan(t, r).rules
		for _, want := range c.has {
			if !strings.Contains(rules, want) {
				t.Errorf("%s: there is no %q in\n%s", name, want, rules)
			}
		}
		for _, bad := range c.lacks {
			if strings.Contains(rules, bad) {
				t.Errorf("%s: there is %q in\n%s", name, bad, rules)
			}
		}
	}
}

func TestFloating(t *testing.T) {
	a := netip.MustParseAddr
	r := standard()
	r.FloatingIPs = []desired.FloatingIP{
		{ID: "1", Floating: a("203.0.113.50"), Fixed: a("10.0.1.11")},
		{ID: "2", Floating: a("203.0.113.50"), Fixed: a("10.0.1.12")},
		{ID: "3", Floating: a("203.0.113.51"), Fixed: a("10.0.1.11")},
		{ID: "4", Floating: a("2001:db8::5"), Fixed: a("10.0.1.11")},
		{ID: "5", Floating: a("203.0.113.52")},
		{ID: "6", Floating: a("203.0.113.53"), Fixed: a("10.7.0.1")},
		{ID: "7", Floating: a("203.0.113.54"), Fixed: a("10.8.0.1")},
	}
	r.Routes = []desired.Route{{Destination: netip.MustParsePrefix("10.8.0.0/16"), NextHop: a("10.0.2.9")}}
	p := mustPlan(t, r)
	for id, refused := range map[string]bool{"1": false, "2": true, "3": false, "4": true, "5": true, "6": true, "7": false} {
		if (p.refused[id] != "") != refused {
			t.Errorf("%s: %q", id, p.refused[id])
		}
	}
	if !strings.Contains(p.rules, "elements = { 10.0.1.11 : 203.0.113.50, 10.8.0.1 : 203.0.113.54 }") {
		t.Errorf("the first floating IP is not the one of own connections:\n%s", p.rules)
	}
	r.Gateway = nil
	if p := mustPlan(t, r); len(p.refused) != 7 || len(p.floating) != 0 {
		t.Errorf("without a gateway: %v", p.refused)
	}
}

func TestPlannedRoutes(t *testing.T) {
	r := standard()
	r.Routes = []desired.Route{{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHop: netip.MustParseAddr("10.0.2.9")}}
	p := mustPlan(t, r)
	if len(p.routes) != 2 || p.routes[0].Device != "qr-b0000000-00" || p.routes[1].NextHop.Is4() {
		t.Errorf("an extra route to everywhere goes before the gateway: %+v", p.routes)
	}
	for _, hop := range []string{"10.9.9.9", "10.0.2.1", "fe80::a9fe:1"} { // nowhere, the router itself, on every device
		r.Routes[0].NextHop = netip.MustParseAddr(hop)
		if p := mustPlan(t, r); len(p.problems) != 1 {
			t.Errorf("next hop %s: %v", hop, p.problems)
		}
	}
}

// An extra route does not take the place of a network's own.
func TestConnectedNetworks(t *testing.T) {
	for _, dst := range []string{"10.0.1.0/24", "10.0.2.0/24", "203.0.113.0/24", "2001:db8:1::/64"} {
		r := standard()
		hop := netip.MustParseAddr("10.0.2.9")
		d := netip.MustParsePrefix(dst)
		if d.Addr().Is6() {
			hop = netip.MustParseAddr("2001:db8:2::9")
		}
		r.Routes = []desired.Route{{Destination: d, NextHop: hop}}
		if p := mustPlan(t, r); len(p.problems) != 1 || len(p.routes) != 2 {
			t.Errorf("%s: %v %v", dst, p.problems, p.routes)
		}
	}
}

func TestStaleFlows(t *testing.T) {
	const out, a1, a2, b1, router = "203.0.113.1", "10.0.1.11", "10.0.1.12", "10.0.2.11", gatewayIP
	noSNAT := func(r *desired.Router) { r.Gateway.EnableSNAT = false }
	none := func(r *desired.Router) { r.FloatingIPs = nil }
	moved := func(r *desired.Router) { r.FloatingIPs[0].Fixed = netip.MustParseAddr(b1) }
	same := func(*desired.Router) {}
	// forwarded has ports of a floating IP lead inside; other and fewer are what becomes of it.
	const shared = "203.0.113.60"
	forwarded := func(r *desired.Router) { r.FloatingIPs = forwarding(shared) }
	other := func(r *desired.Router) {
		forwarded(r)
		r.FloatingIPs[0].Forwards[1].To = netip.MustParseAddr(b1)
	}
	fewer := func(r *desired.Router) {
		forwarded(r)
		r.FloatingIPs[0].Forwards = r.FloatingIPs[0].Forwards[:1]
	}
	answering := func(r *desired.Router) { r.Proxied = &desired.Proxied{Addresses: addrs("2001:db8:1::1")} }
	for _, c := range []struct {
		name                                   string
		source, target, seenSource, seenTarget string
		change                                 func(*desired.Router)
		stale                                  bool
	}{
		{"in by a floating IP", out, floatIP, out, a1, same, false},
		{"in by one that moved", out, floatIP, out, a1, moved, true},
		{"in by one that went", out, floatIP, out, a1, none, true},
		{"to one that came", a2, floatIP, router, floatIP, same, true},
		{"out by a floating IP", a1, out, floatIP, out, same, false},
		{"out by one that moved", a1, out, floatIP, out, moved, true},
		{"out by one that went", a1, out, floatIP, out, none, true},
		{"out as the router", a2, out, router, out, same, false},
		{"out as the router before the floating IP came", a1, out, router, out, same, false},
		{"out as the router that was", a2, out, "203.0.113.11", out, same, true},
		{"out as the router when SNAT went", a2, out, router, out, noSNAT, true},
		{"turned round", a2, floatIP, router, a1, same, false},
		{"turned round without SNAT", a2, floatIP, router, a1, noSNAT, false},
		{"turned round to one that moved", a2, floatIP, router, a1, moved, true},
		{"out as it is", a2, out, a2, out, noSNAT, false},
		{"out as it is when SNAT came", a2, out, a2, out, same, true},
		{"in as it is when SNAT came", out, a2, out, a2, same, true},
		{"between networks", a1, b1, a1, b1, same, false},
		{"to the router, from outside", out, router, out, router, same, false},
		{"in by a forwarded port", out, shared + ":2022", out, a1 + ":22", forwarded, false},
		{"in by one of a range", out, shared + ":8081", out, a2 + ":9081", forwarded, false},
		{"in by one that has another number now", out, shared + ":8081", out, a2 + ":9080", forwarded, true},
		{"in by one that leads elsewhere now", out, shared + ":8081", out, a2 + ":9081", other, true},
		{"in by one that went", out, shared + ":8081", out, a2 + ":9081", fewer, true},
		{"in by one while another went", out, shared + ":2022", out, a1 + ":22", fewer, false},
		{"to a port that came", out, shared + ":2022", out, shared + ":2022", forwarded, true},
		{"to a port that leads nowhere", out, shared + ":2023", out, shared + ":2023", forwarded, false},
		{"turned round by a forwarded port", a2, shared + ":2022", router, a1 + ":22", forwarded, false},
		{"metadata", a1, "169.254.169.254", a1, "169.254.169.254", same, false},
		{"IPv6", "2001:db8:1::1", "2001:db8:f::1", "2001:db8:1::1", "2001:db8:f::1", same, false},
		{"IPv6 in to what is answered for", "2001:db8:f::1", "2001:db8:1::1", "2001:db8:f::1", "2001:db8:1::1", answering, false},
		{"IPv6 in to what is not", "2001:db8:f::1", "2001:db8:1::2", "2001:db8:f::1", "2001:db8:1::2", answering, true},
		{"IPv6 out from what is not", "2001:db8:1::2", "2001:db8:f::1", "2001:db8:1::2", "2001:db8:f::1", answering, false},
		{"IPv6 in, to all", "2001:db8:f::1", "2001:db8:1::2", "2001:db8:f::1", "2001:db8:1::2", same, false},
	} {
		r := standard()
		c.change(r)
		f := link.Flow{Protocol: 6, Source: netip.MustParseAddr(c.source), Target: at(c.target), SeenSource: netip.MustParseAddr(c.seenSource), SeenTarget: at(c.seenTarget)}
		if got := mustPlan(t, r).stale(f); got != c.stale {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestAdvertisements(t *testing.T) {
	for mode, want := range map[string]struct{ there, managed, other, autonomous bool }{
		"":                 {},
		"slaac":            {true, false, false, true},
		"dhcpv6-stateless": {true, false, true, true},
		"dhcpv6-stateful":  {true, true, true, false},
	} {
		r := standard()
		r.Interfaces[0].Subnets[0].RAMode = mode
		a := mustPlan(t, r).devices[0].advertise
		if (a != nil) != want.there {
			t.Errorf("%q: %+v", mode, a)
		}
		if a == nil {
			continue
		}
		if a.Managed != want.managed || a.Other != want.other || a.Prefixes[0].Autonomous != want.autonomous || a.MTU != 1450 || len(a.DNS) != 1 || a.Lifetime < 300*time.Second {
			t.Errorf("%q: %+v", mode, a)
		}
	}
	r := standard()
	r.AdminStateUp = false
	if a := mustPlan(t, r).devices[0].advertise; a != nil {
		t.Errorf("a router that is down advertises %+v", a)
	}
}
