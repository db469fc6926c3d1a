package inspect

import (
	"encoding/json"
	"strings"
	"testing"

	"neutrino/agent"
	"neutrino/agent/hybrid"
	"neutrino/dataplane/link"
	"neutrino/dataplane/ovsdb"
	"neutrino/desired"
)

// wholeHybrid is the host on which all is well, with the hybrid firewall before a port of the flat network.
func wholeHybrid() (Layout, *desired.State, *Facts) {
	l, s, f := whole()
	l.Firewall = hybridFirewall
	s.Put(&desired.SecurityGroup{ID: "web"})
	s.Put(&desired.Port{ID: "aaaaaaaaaaa-1", NetworkID: "flat", Host: "h1", AdminStateUp: true, PortSecurity: true, SecurityGroups: []string{"web"}})
	edit(f, "br-int", func(b *Bridge) {
		b.Ports = append(b.Ports, ovsdb.Port{Name: "qvoaaaaaaaaaaa", Tag: 5, OtherConfig: map[string]string{"net_uuid": "flat"}, ExternalIDs: map[string]string{"iface-id": "aaaaaaaaaaa-1"}, OFPort: 9})
	})
	f.Devices["qbraaaaaaaaaaa"] = Device{Device: link.Device{Name: "qbraaaaaaaaaaa", Index: 20, Up: true}}
	f.Devices["qvbaaaaaaaaaaa"] = Device{Device: link.Device{Name: "qvbaaaaaaaaaaa", Index: 21, Master: 20, Up: true}}
	f.Devices["tapaaaaaaaaaaa"] = Device{Device: link.Device{Name: "tapaaaaaaaaaaa", Index: 22, Master: 20, Up: true}}
	f.Firewall = &hybrid.Found{
		Settings: map[string]string{"bridge-nf-call-iptables": "0", "bridge-nf-call-ip6tables": "0"}, Tables: map[string]hybrid.Size{"inet neutrino": {Chains: 7, Sets: 5}},
		Filtered: map[string]bool{"qbraaaaaaaaaaa": true}, WrongOf: map[string][]string{},
	}
	return l, s, f
}

// Each broken part of the hybrid firewall is named once: by check, with a mend, and by show-host.
func TestHybridNamesWhatIsBroken(t *testing.T) {
	for _, c := range []struct {
		name    string
		spoil   func(s *desired.State, f *Facts)
		want    string // in the one finding; "" when all is well
		mend    string
		differs string // kind and id of the object that differs
	}{
		{"nothing", func(*desired.State, *Facts) {}, "", "", ""},
		{"the module", func(_ *desired.State, f *Facts) { f.Firewall.Settings = nil }, "br_netfilter is not loaded", "modprobe br_netfilter && echo br_netfilter > /etc/modules-load.d/", "firewall iptables_hybrid"},
		{"what ports share", func(_ *desired.State, f *Facts) {
			f.Firewall.Wrong = []string{"there is no table inet neutrino", "2", "3", "4", "5", "6", "7"}
		}, "not as they should be: there is no table inet neutrino; 2; 3; 4; 5; and 2 more", "restart neutrino-agent", "firewall iptables_hybrid"},
		{"a port's rules", func(_ *desired.State, f *Facts) {
			f.Firewall.WrongOf["aaaaaaaaaaa-1"] = []string{"there is no chain x"}
		}, "port aaaaaaaaaaa-1: its rules are not as they should be: there is no chain x", "restart neutrino-agent", "port aaaaaaaaaaa-1"},
		{"the bridge", func(_ *desired.State, f *Facts) { delete(f.Devices, "qbraaaaaaaaaaa") }, "there is no bridge qbraaaaaaaaaaa", "openstack server reboot --hard", "port aaaaaaaaaaa-1"},
		{"the bridge is down", func(_ *desired.State, f *Facts) { device(f, "qbraaaaaaaaaaa", func(d *Device) { d.Up = false }) }, "bridge qbraaaaaaaaaaa is down", "ip link set qbraaaaaaaaaaa up", "port aaaaaaaaaaa-1"},
		{"the instance's device", func(_ *desired.State, f *Facts) { delete(f.Devices, "tapaaaaaaaaaaa") }, "there is no device tapaaaaaaaaaaa", "openstack server reboot --hard", "port aaaaaaaaaaa-1"},
		{"it is in another bridge", func(_ *desired.State, f *Facts) { device(f, "tapaaaaaaaaaaa", func(d *Device) { d.Master = 3 }) }, "tapaaaaaaaaaaa is not in bridge qbraaaaaaaaaaa", "ip link set tapaaaaaaaaaaa master qbraaaaaaaaaaa", "port aaaaaaaaaaa-1"},
		{"the way to br-int is down", func(_ *desired.State, f *Facts) { device(f, "qvbaaaaaaaaaaa", func(d *Device) { d.Up = false }) }, "qvbaaaaaaaaaaa is down", "ip link set qvbaaaaaaaaaaa up", "port aaaaaaaaaaa-1"},
		{"the tables of IP are not asked", func(_ *desired.State, f *Facts) { f.Firewall.Filtered["qbraaaaaaaaaaa"] = false }, "bridge qbraaaaaaaaaaa does not show its packets to the tables", "nf_call_iptables 1 nf_call_ip6tables 1", "port aaaaaaaaaaa-1"},
		{"a port that is down needs nothing", func(s *desired.State, f *Facts) {
			down := *s.Ports["aaaaaaaaaaa-1"]
			down.AdminStateUp = false
			s.Put(&down)
			f.Firewall.Filtered["qbraaaaaaaaaaa"] = false
		}, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, s, f := wholeHybrid()
			c.spoil(s, f)
			bad := failed(Check(l, s, f, ""))
			switch {
			case c.want == "" && len(bad) == 0:
			case c.want != "" && len(bad) == 1 && strings.Contains(bad[0].What, c.want) && c.mend != "" && strings.Contains(bad[0].Mend, c.mend):
			default:
				t.Errorf("found broken: %+v; want one with %q, mended by %q", bad, c.want, c.mend)
			}
			var differ []Object
			for _, o := range Objects(l, s, f, nil) {
				if len(o.Differs) > 0 {
					differ = append(differ, o)
				}
			}
			switch {
			case c.want == "" && len(differ) == 0:
			case len(differ) == 1 && differ[0].Kind+" "+differ[0].ID == c.differs && len(differ[0].Differs) == 1 && strings.HasSuffix(bad[0].What, differ[0].Differs[0].What):
			default:
				t.Errorf("different are %+v, want %q", differ, c.differs)
			}
		})
	}
}

// What is right is shown, too; and what the agent says of a port is said once.
func TestHybridIsShown(t *testing.T) {
	l, s, f := wholeHybrid()
	var said []string
	for _, finding := range Check(l, s, f, "") {
		said = append(said, finding.What)
	}
	for _, want := range []string{"the kernel module br_netfilter is loaded", "the rules that ports share are in nftables", "the ports that are plugged by a bridge have it, and their rules (1)"} {
		if !strings.Contains(strings.Join(said, "\n"), want) {
			t.Errorf("there is no %q in %q", want, said)
		}
	}
	told := []agent.Told{{Report: desired.Report{Kind: desired.KindPort, ID: "aaaaaaaaaaa-1", Layer: "l2", Reason: "no module"}}}
	f.Firewall.Filtered["qbraaaaaaaaaaa"] = false
	objects := Objects(l, s, f, told)
	text, err := json.Marshal(objects)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"kind":"firewall","id":"iptables_hybrid","desired":["br_netfilter loaded","rules of 1 ports"]`, `"net.bridge.bridge-nf-call-iptables=0"`, `"table inet neutrino: 7 chains, 5 sets"`,
		`"bridge qbraaaaaaaaaaa with tapaaaaaaaaaaa and qvbaaaaaaaaaaa"`, `"bridge qbraaaaaaaaaaa","tapaaaaaaaaaaa in it","qvbaaaaaaaaaaa in it"]`, `"difference":[{"what":"l2: no module"}]`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("there is no %s in\n%s", want, text)
		}
	}
}
