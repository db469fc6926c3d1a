package hybrid

import (
	"os"
	"slices"
	"strings"
	"testing"

	"neutrino/agent/firewall/firewalltest"
)

// look finds what is on the bench.
func (b *bench) look() *Found {
	b.t.Helper()
	found, err := Look(b.t.Context(), b.state, b.ports())
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

// What others did to the rules is found, and whose they were; looking changes nothing.
func TestLook(t *testing.T) {
	path := os.Getenv("PATH")
	b := talking(t)
	found := b.look()
	if len(found.Wrong) > 0 || len(found.WrongOf) > 0 || found.Settings["bridge-nf-call-iptables"] == "" || len(found.Tables) != 2 || found.Tables[packets.String()].Chains == 0 {
		t.Fatalf("on a host that is right: %+v", found)
	}
	a, bridge := firewalltest.A, device(bridgePrefix, firewalltest.A)
	if len(found.Filtered) != 2 || !found.Filtered[bridge] {
		t.Errorf("bridges: %v", found.Filtered)
	}
	for _, c := range []struct {
		change string
		shared []string
		own    []string // of port A
	}{
		{"flush chain bridge neutrino spoof-" + a, nil, []string{"chain bridge neutrino spoof-" + a + " is not as it should be"}},
		{"flush chain inet neutrino received-" + a, nil, []string{"chain inet neutrino received-" + a + " is not as it should be"}},
		{`delete element inet neutrino received { "` + bridge + `" }; delete chain inet neutrino received-` + a, nil,
			[]string{"there is no chain inet neutrino received-" + a, `map inet neutrino received lacks "` + bridge + `" goto received-` + a}},
		{`delete element bridge neutrino ours { "` + device(tapPrefix, a) + `" }`, nil, []string{`set bridge neutrino ours lacks "` + device(tapPrefix, a) + `"`}},
		{`delete element inet neutrino zones { "` + bridge + `" }; add element inet neutrino zones { "` + bridge + `" : 99 }`, nil, []string{`map inet neutrino zones lacks "` + bridge + `" 7`}},
		{"insert rule bridge neutrino forward accept", []string{"chain bridge neutrino forward is not as it should be"}, nil},
		{"add rule inet neutrino in-friends goto agreed", []string{"chain inet neutrino in-friends is not as it should be"}, nil},
		{"delete element inet neutrino members4-friends { 10.0.0.1 }", []string{"set inet neutrino members4-friends is not as it should be"}, nil},
		{`add element bridge neutrino origins { "tapfoe" : goto pass }`, []string{`nothing wants "tapfoe" in map bridge neutrino origins`}, nil},
		{"add chain inet neutrino left; add set inet neutrino left4 { type ipv4_addr; }", []string{"nothing wants chain inet neutrino left", "nothing wants set inet neutrino left4"}, nil},
		{"delete table inet neutrino", []string{"there is no table inet neutrino"}, nil},
		{"delete chain inet neutrino prerouting; add chain inet neutrino prerouting { type filter hook prerouting priority 7; }", []string{"chain inet neutrino prerouting is not as it should be"}, nil},
		{"delete table bridge neutrino; delete table inet neutrino", []string{"there is no table bridge neutrino", "there is no table inet neutrino"}, nil},
	} {
		b.run("nft", c.change)
		found := b.look()
		if !slices.Equal(found.Wrong, c.shared) || !slices.Equal(found.WrongOf[a], c.own) || len(found.WrongOf[firewalltest.B]) > 0 {
			t.Errorf("%s: found %q and %q", c.change, found.Wrong, found.WrongOf)
		}
		b.apply(fullChange)
		if found := b.look(); len(found.Wrong) > 0 || len(found.WrongOf) > 0 {
			t.Errorf("%s: after it was mended: %+v", c.change, found)
		}
	}

	b.ip("link", "set", bridge, "type", "bridge", "nf_call_ip6tables", "0")
	if found := b.look(); found.Filtered[bridge] {
		t.Error("a bridge that does not show IPv6 was not found")
	}
	b.apply(fullChange)

	t.Setenv("PATH", t.TempDir())
	if found := b.look(); len(found.Wrong) != 1 || !strings.Contains(found.Wrong[0], `"nft": executable file not found`) {
		t.Errorf("without nft: %q", found.Wrong)
	}
	t.Setenv("PATH", path)
}
