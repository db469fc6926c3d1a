package reach

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"neutrino/address"
)

func mac(n byte) address.MAC { return address.MAC{0xfa, 0x16, 0x3e, 0, 0, n} }

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

// small is two networks that a router joins: a and b on one, c on the other.
func small() *Cloud {
	one, two := &Subnet{Name: "one", CIDR: netip.MustParsePrefix("10.0.1.0/24")}, &Subnet{Name: "two", CIDR: netip.MustParsePrefix("10.0.2.0/24")}
	out := &Rule{Name: "out", Protocol: Any, Min: Any, Max: Any}
	return &Cloud{
		Networks: map[string]*Network{"n1": {Subnets: []*Subnet{one}}, "n2": {Subnets: []*Subnet{two}}},
		Routers: map[string]*Router{"r": {Interfaces: []*Interface{
			{Name: "i1", Network: "n1", Subnet: one, MAC: mac(101), IP: addr("10.0.1.1")},
			{Name: "i2", Network: "n2", Subnet: two, MAC: mac(102), IP: addr("10.0.2.1")},
		}}},
		Ports: map[string]*Port{
			"a": {Name: "a", Network: "n1", MAC: mac(1), IPs: []netip.Addr{addr("10.0.1.11")}, Groups: []string{"clients"}},
			"b": {Name: "b", Network: "n1", MAC: mac(2), IPs: []netip.Addr{addr("10.0.1.12")}, Groups: []string{"web"}},
			"c": {Name: "c", Network: "n2", MAC: mac(3), IPs: []netip.Addr{addr("10.0.2.13")}, Extra: []netip.Addr{addr("10.0.2.99")}, Groups: []string{"bare"}},
		},
		Groups: map[string]*Group{
			"clients": {Rules: []*Rule{out}},
			"web":     {Rules: []*Rule{out, {Name: "http", Ingress: true, Protocol: TCP, Min: 80, Max: 90, Group: "clients"}}},
			"bare":    {Stateless: true, Rules: []*Rule{{Name: "all", Ingress: true, Protocol: Any, Min: Any, Max: Any, AddressGroup: "ag"}}},
		},
		AddressGroups: map[string][]netip.Prefix{"ag": {netip.MustParsePrefix("10.0.1.8/29")}},
	}
}

func TestJudge(t *testing.T) {
	toB := Packet{From: "a", SrcMAC: mac(1), DstMAC: mac(2), Src: addr("10.0.1.11"), Dst: addr("10.0.1.12"), Protocol: TCP, DstPort: 80}
	toC := Packet{From: "a", SrcMAC: mac(1), DstMAC: mac(101), Src: addr("10.0.1.11"), Dst: addr("10.0.2.13"), Protocol: UDP, DstPort: 5}
	with := func(p Packet, change func(*Packet)) Packet { change(&p); return p }
	for name, q := range map[string]struct {
		change         func(*Cloud)
		packet         Packet
		to, answeredTo string
	}{
		"a rule lets in":         {nil, toB, "b", "a"},
		"another port":           {nil, with(toB, func(p *Packet) { p.DstPort = 91 }), "", ""},
		"another protocol":       {nil, with(toB, func(p *Packet) { p.Protocol = UDP }), "", ""},
		"a forged address":       {nil, with(toB, func(p *Packet) { p.Src = addr("10.0.1.13") }), "", ""},
		"a forged MAC":           {nil, with(toB, func(p *Packet) { p.SrcMAC = mac(9) }), "", ""},
		"no member":              {func(c *Cloud) { c.Ports["a"].Groups = []string{"web"} }, toB, "", ""},
		"no way out":             {func(c *Cloud) { c.Groups["clients"].Rules = nil }, toB, "", ""},
		"a member's pair":        {func(c *Cloud) { c.Ports["a"].Pairs = []Pair{{mac(1), netip.MustParsePrefix("10.0.1.64/30")}} }, with(toB, func(p *Packet) { p.Src = addr("10.0.1.66") }), "b", "a"},
		"a pair of another MAC":  {func(c *Cloud) { c.Ports["a"].Pairs = []Pair{{mac(7), netip.MustParsePrefix("10.0.1.64/30")}} }, with(toB, func(p *Packet) { p.Src = addr("10.0.1.66") }), "", ""},
		"no port security":       {func(c *Cloud) { *c.Ports["b"] = Port{Name: "b", Network: "n1", MAC: mac(2), Insecure: true} }, with(toB, func(p *Packet) { p.DstPort = 91 }), "b", "a"},
		"down":                   {func(c *Cloud) { c.Ports["b"].Down = true }, toB, "", ""},
		"a network that is down": {func(c *Cloud) { c.Networks["n1"].Down = true }, toB, "", ""},
		// c is stateless and has no rule for what it sends.
		"through the router":        {nil, toC, "c", ""},
		"an answer by a rule":       {func(c *Cloud) { c.Groups["bare"].Rules = append(c.Groups["bare"].Rules, c.Groups["web"].Rules[0]) }, toC, "c", "a"},
		"not in the address group":  {func(c *Cloud) { c.AddressGroups["ag"] = nil }, toC, "", ""},
		"a router that is down":     {func(c *Cloud) { c.Routers["r"].Down = true }, toC, "", ""},
		"a router without a way":    {func(c *Cloud) { c.Routers["r"].Interfaces = c.Routers["r"].Interfaces[:1] }, toC, "", ""},
		"an address that none has":  {nil, with(toC, func(p *Packet) { p.Dst = addr("10.0.2.98") }), "", ""},
		"an address not allowed":    {nil, with(toC, func(p *Packet) { p.Dst = addr("10.0.2.99") }), "", ""},
		"an address that is let be": {func(c *Cloud) { c.Ports["c"].Pairs = []Pair{{mac(3), netip.MustParsePrefix("10.0.2.99/32")}} }, with(toC, func(p *Packet) { p.Dst = addr("10.0.2.99") }), "c", ""},
	} {
		c := small()
		if q.change != nil {
			q.change(c)
		}
		if v := c.Judge(q.packet); v.To != q.to {
			t.Errorf("%s: it arrives at %q: %s", name, v.To, v.Why)
		}
		if v := c.Answer(q.packet); v.To != q.answeredTo {
			t.Errorf("%s: the answer arrives at %q: %s", name, v.To, v.Why)
		}
	}
}

// shore is small's router on two external networks, of which the first has IPv6 too; a has a floating IP on the second.
func shore() *Cloud {
	c := small()
	c.Ports["e"] = &Port{Name: "e", Network: "east", MAC: mac(201), IPs: []netip.Addr{addr("192.0.2.1"), addr("2001:db8::1")}, Extra: far, Insecure: true, Uplink: true}
	c.Ports["w"] = &Port{Name: "w", Network: "west", MAC: mac(202), IPs: []netip.Addr{addr("203.0.113.1")}, Extra: far, Insecure: true, Uplink: true}
	c.Networks["east"] = &Network{External: true, Subnets: []*Subnet{{CIDR: netip.MustParsePrefix("192.0.2.0/24")}, {CIDR: netip.MustParsePrefix("2001:db8::/64")}}}
	c.Networks["west"] = &Network{External: true, Subnets: []*Subnet{{CIDR: netip.MustParsePrefix("203.0.113.0/24")}}}
	c.Routers["r"].Gateways = []*Gateway{
		{Name: "ge", Network: "east", IPs: []netip.Addr{addr("192.0.2.9"), addr("2001:db8::9")}}, {Name: "gw", Network: "west", IPs: []netip.Addr{addr("203.0.113.9")}},
	}
	c.FloatingIPs = map[string]*FloatingIP{"f": {Router: "r", Network: "west", IP: addr("203.0.113.20"), Port: "a", Fixed: addr("10.0.1.11")}}
	c.Groups["web"].Rules = append(c.Groups["web"].Rules, &Rule{Name: "far", Ingress: true, Protocol: ICMP, Min: Any, Max: Any})
	c.Ports["a"].Groups = []string{"web"}
	return c
}

func TestGateways(t *testing.T) {
	out := Packet{From: "b", SrcMAC: mac(2), DstMAC: mac(101), Src: addr("10.0.1.12"), Dst: far[0], Protocol: ICMP, DstPort: 8}
	floating := Packet{From: "a", SrcMAC: mac(1), DstMAC: mac(101), Src: addr("10.0.1.11"), Dst: far[0], Protocol: ICMP, DstPort: 8}
	in := Packet{From: "w", SrcMAC: mac(202), Via: "gw", Src: far[0], Dst: addr("203.0.113.20"), Protocol: ICMP, DstPort: 8}
	with := func(p Packet, change func(*Packet)) Packet { change(&p); return p }
	for name, q := range map[string]struct {
		change func(*Cloud)
		packet Packet
		want   string // ends and addresses there
		open   bool
	}{
		"by the first":             {nil, out, "e as 192.0.2.9 to 198.51.100.7", false},
		"by another that is first": {func(c *Cloud) { slices.Reverse(c.Routers["r"].Gateways) }, out, "w as 203.0.113.9 to 198.51.100.7", false},
		"by any":                   {func(c *Cloud) { c.Routers["r"].ECMP = true }, out, "e as 192.0.2.9 to 198.51.100.7, w as 203.0.113.9 to 198.51.100.7", false},
		"to a neighbour":           {nil, with(out, func(p *Packet) { p.Dst = addr("203.0.113.1") }), "w as 203.0.113.9 to 203.0.113.1", false},
		"with its own address":     {func(c *Cloud) { c.Routers["r"].Bare = true }, out, "e as 10.0.1.12 to 198.51.100.7", false},
		"with a floating IP":       {nil, floating, "w as 203.0.113.20 to 198.51.100.7", false},
		"... though they share":    {func(c *Cloud) { c.Routers["r"].ECMP = true }, floating, "w as 203.0.113.20 to 198.51.100.7", false},
		"... though near":          {nil, with(floating, func(p *Packet) { p.Dst = addr("192.0.2.1") }), "w as 203.0.113.20 to 192.0.2.1", false},
		"no gateway":               {func(c *Cloud) { c.Routers["r"].Gateways = nil; c.FloatingIPs = nil }, out, "", false},
		"a router that is down":    {func(c *Cloud) { c.Routers["r"].Down = true }, in, "", false},
		"in":                       {nil, in, "a as 198.51.100.7 to 10.0.1.11", false},
		"no rule":                  {nil, with(in, func(p *Packet) { p.Protocol = UDP }), "", false},
		"in to nothing":            {nil, with(in, func(p *Packet) { p.Dst = addr("203.0.113.21") }), "", true},
		"in by the wrong one":      {nil, with(in, func(p *Packet) { p.From, p.Via = "e", "ge" }), "", false},
		"in to a fixed address":    {nil, with(in, func(p *Packet) { p.Dst = addr("10.0.1.12") }), "b as 198.51.100.7 to 10.0.1.12", true},
		"... by the first":         {nil, with(in, func(p *Packet) { p.From, p.Via, p.Dst = "e", "ge", addr("10.0.1.12") }), "b as 198.51.100.7 to 10.0.1.12", false},
	} {
		c := shore()
		if q.change != nil {
			q.change(c)
		}
		var ends []string
		for _, v := range c.Judge(q.packet).Any() {
			if v.To != "" {
				ends = append(ends, fmt.Sprintf("%s as %v to %v", v.To, v.Src, v.Dst))
			}
		}
		if got := strings.Join(ends, ", "); got != q.want {
			t.Errorf("%s: %q", name, got)
		}
		if open := c.Open(q.packet); open != q.open {
			t.Errorf("%s: which way the answer goes is open: %v", name, open)
		}
		if v := c.Answer(q.packet); q.want != "" && (v.To != q.packet.From || v.Src != q.packet.Dst || v.Dst != q.packet.Src) {
			t.Errorf("%s: the answer arrives at %q as %v to %v: %s", name, v.To, v.Src, v.Dst, v.Why)
		}
	}
}

// Equal seeds give equal histories, and half of the packets arrive.
func TestGenerator(t *testing.T) {
	one, two := NewGenerator(5, 3), NewGenerator(5, 3)
	same := func(a, b []Action) {
		t.Helper()
		for i := range a {
			if len(a) != len(b) || a[i].String() != b[i].String() {
				t.Fatalf("%v and %v", a, b)
			}
		}
	}
	same(one.Begin(10), two.Begin(10))
	arrived, all := 0, 0
	in, out, chosen, bare := 0, map[string]int{}, 0, 0
	for range 100 {
		same(one.Step(), two.Step())
		for _, p := range one.Packets(60) {
			all++
			v := one.Cloud.Judge(p)
			if from := one.Cloud.Ports[p.From]; len(from.IPs) == 0 && !from.Insecure {
				bare++
			}
			if v.To != "" {
				arrived++
				if p.Via != "" {
					in++
				}
				if len(v.Else) > 0 {
					chosen++
				} else if one.Cloud.Ports[v.To].Uplink {
					out[v.To]++
				}
			}
			if n := Number(p.Frame(all, false)); n != all {
				t.Fatalf("%+v has number %d", p, n)
			}
		}
		two.Packets(60)
	}
	if all < 5000 || arrived < all/4 || arrived > all*3/4 {
		t.Errorf("%d of %d packets arrive", arrived, all)
	}
	if bare < all/100 {
		t.Errorf("%d packets come from ports that have no address", bare)
	}
	if in < all/100 || chosen < all/100 || len(out) != 3 {
		t.Errorf("%d packets come in by gateways, %d leave by one of several, others by %v", in, chosen, out)
	}
}
