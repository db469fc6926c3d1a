package firewall

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"neutrino/address"
	"neutrino/dataplane/openflow"
	"neutrino/desired"
)

type fixed struct{}

func (fixed) Conjunction(group string, ingress, ipv6 bool) uint32 { return 77 }

func FuzzBlocks(f *testing.F) {
	for _, r := range [][2]uint16{{0, 65535}, {1, 65535}, {0, 65534}, {80, 80}, {80, 83}, {1000, 1999}, {65535, 65535}} {
		f.Add(r[0], r[1])
	}
	f.Fuzz(func(t *testing.T, first, last uint16) {
		if first > last {
			first, last = last, first
		}
		blocks := Blocks(first, last)
		if len(blocks) > 30 {
			t.Fatalf("%d blocks for %d to %d", len(blocks), first, last)
		}
		for port := range 1 << 16 {
			n := 0
			for _, b := range blocks {
				if uint16(port)&b.Mask == b.Value {
					n++
				}
			}
			want := 0
			if port >= int(first) && port <= int(last) {
				want = 1
			}
			if n != want {
				t.Fatalf("%d to %d: port %d is in %d blocks, want %d", first, last, port, n, want)
			}
		}
	})
}

func TestRuleMatches(t *testing.T) {
	rule := func(change func(*desired.Rule)) desired.Rule {
		r := desired.Rule{Ingress: true, Protocol: 6, PortMin: -1, PortMax: -1}
		change(&r)
		return r
	}
	for name, c := range map[string]struct {
		rule desired.Rule
		want []string // none: refused
	}{
		"a protocol":          {rule(func(r *desired.Rule) { r.Protocol = 112 }), []string{"dl_type=0x800,nw_proto=112,reg7=0x5"}},
		"everything":          {rule(func(r *desired.Rule) { r.Protocol = -1 }), []string{"dl_type=0x800,reg7=0x5"}},
		"egress":              {rule(func(r *desired.Rule) { r.Protocol, r.Ingress = -1, false }), []string{"dl_type=0x800,reg5=0x5"}},
		"a range":             {rule(func(r *desired.Rule) { r.PortMin, r.PortMax = 80, 82 }), []string{"dl_type=0x800,nw_proto=6,tp_dst=80/65534,reg7=0x5", "dl_type=0x800,nw_proto=6,tp_dst=82,reg7=0x5"}},
		"all ports":           {rule(func(r *desired.Rule) { r.PortMin, r.PortMax = 0, 65535 }), []string{"dl_type=0x800,nw_proto=6,reg7=0x5"}},
		"ICMP type":           {rule(func(r *desired.Rule) { r.Protocol, r.PortMin = 1, 8 }), []string{"dl_type=0x800,nw_proto=1,icmp_type=8,reg7=0x5"}},
		"ICMPv6 type, code":   {rule(func(r *desired.Rule) { r.Protocol, r.IPv6, r.PortMin, r.PortMax = 58, true, 1, 4 }), []string{"dl_type=0x86dd,nw_proto=58,icmp_type=1,icmp_code=4,reg7=0x5"}},
		"a prefix":            {rule(func(r *desired.Rule) { r.RemotePrefix = netip.MustParsePrefix("10.1.2.3/8") }), []string{"dl_type=0x800,nw_proto=6,nw_src=10.0.0.0/255.0.0.0,reg7=0x5"}},
		"any prefix":          {rule(func(r *desired.Rule) { r.RemotePrefix = netip.MustParsePrefix("0.0.0.0/0") }), []string{"dl_type=0x800,nw_proto=6,reg7=0x5"}},
		"no such protocol":    {rule(func(r *desired.Rule) { r.Protocol = 256 }), nil},
		"other IP version":    {rule(func(r *desired.Rule) { r.RemotePrefix = netip.MustParsePrefix("fd00::/8") }), nil},
		"ICMPv6 in IPv4":      {rule(func(r *desired.Rule) { r.Protocol, r.PortMin = 58, 1 }), nil},
		"no last port":        {rule(func(r *desired.Rule) { r.PortMin = 80 }), nil},
		"no first port":       {rule(func(r *desired.Rule) { r.PortMax = 80 }), nil},
		"ports back to front": {rule(func(r *desired.Rule) { r.PortMin, r.PortMax = 82, 80 }), nil},
		"port 65536":          {rule(func(r *desired.Rule) { r.PortMin, r.PortMax = 80, 65536 }), nil},
		"ICMP code only":      {rule(func(r *desired.Rule) { r.Protocol, r.PortMax = 1, 0 }), nil},
		"ports of anything":   {rule(func(r *desired.Rule) { r.Protocol, r.PortMin, r.PortMax = -1, 1, 2 }), nil},
		"ports of DCCP":       {rule(func(r *desired.Rule) { r.Protocol, r.PortMin, r.PortMax = 33, 1, 2 }), nil},
		"two remotes":         {rule(func(r *desired.Rule) { r.RemotePrefix, r.RemoteGroup = netip.MustParsePrefix("10.0.0.0/8"), "g" }), nil},
	} {
		matches, why := ruleMatches(5, c.rule)
		var got []string
		for _, m := range matches {
			got = append(got, m.String())
		}
		if !slices.Equal(got, c.want) || (why == "") != (c.want != nil) {
			t.Errorf("%s: %q, because %q; want %q", name, got, why, c.want)
		}
	}
}

func TestUnknownRulesLetNothingIn(t *testing.T) {
	p := &desired.Port{MAC: address.MustParseMAC("fa:16:3e:00:00:01")}
	bad := &desired.SecurityGroup{ID: "g", Stateful: true, Rules: []desired.Rule{{ID: "r", Ingress: true, Protocol: 6, PortMin: 80, PortMax: -1}}}
	flows, reasons := Port(p, 5, []*desired.SecurityGroup{bad}, fixed{})
	if len(reasons) != 1 || !strings.HasPrefix(reasons[0], "rule r: ") {
		t.Errorf("reasons %q", reasons)
	}
	if slices.ContainsFunc(flows, func(f openflow.Flow) bool { return f.Table == TableIngressRule }) {
		t.Error("a rule that makes no sense lets packets in")
	}
}

func TestRulesOfOneMatchShareItsFlow(t *testing.T) {
	g := &desired.SecurityGroup{ID: "g", Stateful: true}
	for _, id := range []string{"x", "x", "y"} {
		g.Rules = append(g.Rules, desired.Rule{ID: id, Ingress: true, Protocol: -1, PortMin: -1, PortMax: -1, RemoteGroup: id})
	}
	flows, _ := rules(5, []*desired.SecurityGroup{g}, numbered{"x": 1, "y": 2})
	if len(flows) != 1 || flows[0].Actions.String() != "conjunction(1,2/2),conjunction(2,2/2)" {
		t.Errorf("flows %v", flows)
	}
}

type numbered map[string]uint32

func (n numbered) Conjunction(group string, ingress, ipv6 bool) uint32 { return n[group] }
