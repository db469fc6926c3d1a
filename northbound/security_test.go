package northbound_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"neutrino/dataplane/ovndb/ovntest"
	"neutrino/driver/ovn"
)

// A port with port security and without an address sends nothing but what asks for one, and what needs none, whatever its groups let out.
func TestNoAddress(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, true)
	for i, h := range chassis {
		c.SB(t, "chassis-add", h.Name, "geneve", fmt.Sprintf("192.0.2.%d", i+1), "--", "set", "chassis", h.Name, "hostname="+h.Hostname)
	}
	w := cloud()
	bare, open := another(66, ""), another(67, "")
	bare.FixedIPs = nil
	open.PortSecurity, open.Groups = false, nil
	for _, p := range []*ovn.Port{bare, open} {
		p.Groups, p.MigratingTo, p.DHCP = []string{web}[:min(1, len(p.Groups))], "", nil
		w.put(ovn.KindPort, p.ID, p)
	}
	start(t, w, c)
	settle(t, w, c)
	c.NB(t, "--wait=sb", "sync")
	frame := `inport == "` + bare.ID + `" && eth.src == ` + bare.MAC.String() + ` && eth.dst == ` + open.MAC.String() + ` && ip.ttl == 64 && `
	arp := ` && arp.op == 2 && arp.sha == ` + bare.MAC.String() + ` && arp.tpa == 10.0.0.67 && arp.tha == ` + open.MAC.String()
	for name, q := range map[string]struct {
		packet string
		passes bool
	}{
		"a ping from another's address":            {`ip4.src == 10.0.0.12 && ip4.dst == 10.0.0.67 && icmp4.type == 8`, false},
		"a ping from an address of its own":        {`ip4.src == 10.0.0.66 && ip4.dst == 10.0.0.67 && icmp4.type == 8`, false},
		"ARP for the gateway":                      {`arp.spa == 10.0.0.1` + arp, false},
		"a request by DHCP":                        {`ip4.src == 0.0.0.0 && ip4.dst == 255.255.255.255 && udp.src == 68 && udp.dst == 67`, true},
		"a ping from another's IPv6 address":       {`ip6.src == 2001:db8::11 && ip6.dst == 2001:db8::67 && icmp6.type == 128`, false},
		"a ping from the MAC's link-local address": {`ip6.src == ` + bare.MAC.LinkLocal().String() + ` && ip6.dst == fe80::1 && icmp6.type == 128`, true}, // which OVN takes for the port's
		"a ping from another's link-local address": {`ip6.src == ` + open.MAC.LinkLocal().String() + ` && ip6.dst == fe80::1 && icmp6.type == 128`, false},
		"a neighbour advertisement": {`ip6.src == 2001:db8::1 && ip6.dst == ff02::1 && icmp6.type == 136 && icmp6.code == 0 && ip.ttl == 255 && nd.target == 2001:db8::1 && nd.tll == ` +
			bare.MAC.String(), false},
	} {
		packet := frame + q.packet
		if strings.Contains(q.packet, "arp") {
			packet = strings.Replace(packet, "ip.ttl == 64 && ", "", 1)
		}
		if strings.Contains(q.packet, "ip.ttl") {
			packet = strings.Replace(packet, "ip.ttl == 64 && ", "", 1)
		}
		out, err := exec.CommandContext(t.Context(), "ovn-trace", "--db="+c.South(), "--minimal", "neutron-"+inner, packet).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		if passes := strings.Contains(string(out), `output("`+open.Name+`")`); passes != q.passes {
			t.Errorf("%s passes: %v\n%s", name, passes, out)
		}
	}
}

// OVN knows no ports of DCCP and UDP-Lite: a rule that names some lets nothing pass, and says so; one of the whole protocol
// lets that pass.
func TestUnknownPorts(t *testing.T) {
	t.Parallel()
	w := cloud()
	w.put(ovn.KindGroup, web, &ovn.Group{ID: web, Stateful: true, Rules: []ovn.Rule{
		{ID: id(10, 1), Ingress: true, Protocol: 33, PortMin: 80, PortMax: 80},
		{ID: id(10, 2), Ingress: true, Protocol: 136, PortMin: 1, PortMax: 65535},
		{ID: id(10, 3), Ingress: true, Protocol: 33, PortMin: -1, PortMax: -1},
		{ID: id(10, 4), Ingress: true, Protocol: 132, PortMin: 80, PortMax: 80},
		{ID: id(10, 5), Ingress: true, Protocol: 1, PortMin: 8, PortMax: -1},
	}})
	m := modelOf(w)
	for n, written := range map[int]bool{1: false, 2: false, 3: true, 4: true, 5: true} {
		if is := m.Row(ovn.Key{Table: "ACL", Name: id(10, n)}) != nil; is != written {
			t.Errorf("rule %d has an ACL: %v", n, is)
		}
	}
	if notes := m.Notes()["security_group "+web]; len(notes) != 2 || !strings.Contains(notes[0], "protocol 33: rule "+id(10, 1)) {
		t.Errorf("notes: %q", notes)
	}
}
