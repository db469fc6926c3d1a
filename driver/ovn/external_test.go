package ovn

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"neutrino/address"
)

// field is a VLAN with an external port, and hosts that could answer for it.
type field struct {
	*Model
	network *Network
	port    *Port
}

func newField(t *testing.T, o Options) field {
	t.Helper()
	f := field{NewModel(o), &Network{
		ID: "n1", AdminStateUp: true, MTU: 1500, Segments: []Segment{{ID: "s1", Type: "vlan", Physical: "physnet1", VLAN: 101}},
		Subnets: []Subnet{{ID: "sub1", CIDR: netip.MustParsePrefix("10.0.0.0/24"), Gateway: netip.MustParseAddr("10.0.0.1"), EnableDHCP: true}},
	}, externalPort("p1", "direct", "h9")}
	f.Put(f.network)
	f.Put(f.port)
	for i := range 7 {
		f.Put(&Chassis{Name: fmt.Sprint("c", i), Hostname: fmt.Sprint("h", i), Gateway: i < 6, BridgeMappings: map[string]string{"physnet1": "br-ex", "physnet2": "br-ex2"}})
	}
	f.Put(&Chassis{Name: "far", Hostname: "far", Gateway: true, External: true, BridgeMappings: map[string]string{"physnet3": "br-ex"}})
	f.Settle()
	return f
}

func externalPort(id, vnic, host string) *Port {
	return &Port{
		ID: id, NetworkID: "n1", AdminStateUp: true, MAC: address.MustParseMAC("fa:16:3e:00:00:01"), DeviceOwner: "compute:nova", PortSecurity: true,
		FixedIPs: []FixedIP{{SubnetID: "sub1", IP: netip.MustParseAddr("10.0.0.5")}}, VNICType: vnic, External: External(vnic, false), Host: host, Bound: true,
	}
}

// behind puts the network behind a router with a gateway on another VLAN.
func (f field) behind(router string, ip string) {
	f.Put(&Network{ID: "out", External: true, AdminStateUp: true, MTU: 1500, Segments: []Segment{{ID: "s2", Type: "flat", Physical: "physnet2"}},
		Subnets: []Subnet{{ID: "sub2", CIDR: netip.MustParsePrefix("203.0.113.0/24"), Gateway: netip.MustParseAddr("203.0.113.1")}}})
	f.Put(&Router{ID: router, AdminStateUp: true, Gateways: []string{router + "gw"}})
	f.Put(&Port{ID: router + "in", NetworkID: "n1", DeviceOwner: "network:router_interface", DeviceID: router, FixedIPs: []FixedIP{{"sub1", netip.MustParseAddr(ip)}}})
	f.Put(&Port{ID: router + "gw", NetworkID: "out", DeviceOwner: ownerGateway, DeviceID: router, FixedIPs: []FixedIP{{"sub2", netip.MustParseAddr("203.0.113.7")}}})
}

// group gives the group of a row, and its hosts by priority.
func (f field) group(t *testing.T, row Key) (name string, hosts []string) {
	t.Helper()
	f.Settle()
	r := f.Row(row)
	if r == nil {
		t.Fatalf("there is no %s", row)
	}
	key := r.Refs["ha_chassis_group"]
	if key == (Key{}) {
		return "", nil
	}
	byPriority := map[string]string{}
	for _, e := range f.Entries(key, "ha_chassis") {
		member := f.Row(e.Ref)
		byPriority[member.One["priority"]] = member.One["chassis_name"]
	}
	for i := len(byPriority); i > 0; i-- {
		hosts = append(hosts, byPriority[fmt.Sprint(i)])
	}
	return key.Name, hosts
}

// Which types of ports are external, and how they look.
func TestExternalPorts(t *testing.T) {
	for vnic, external := range map[string]bool{"normal": false, "direct": true, "direct-physical": true, "macvtap": true, "baremetal": true, "smart-nic": false, "vdpa": false} {
		if External(vnic, false) != external || External(vnic, true) {
			t.Errorf("%s: external %v, with switchdev %v", vnic, External(vnic, false), External(vnic, true))
		}
		for _, switchdev := range []bool{false, true} {
			_, err := Bind(vnic, switchdev, Segment{Type: "local"}, &Host{Alive: true})
			if bound := vnic == "normal" || external && switchdev; bound != (err == nil) {
				t.Errorf("%s, switchdev %v: %v", vnic, switchdev, err)
			}
		}
	}
	f := newField(t, DefaultOptions())
	p := *f.port
	p.PortSecurity, p.QoSPolicyID = false, "q1"
	f.Put(&Policy{ID: "q1", Rules: []QoSRule{{Type: "bandwidth_limit", Direction: "egress", Amount: 5}}})
	f.Put(&p)
	f.Settle()
	lsp := f.Row(Key{tableSwitchPort, "p1"})
	if _, unknown := lsp.Many["addresses"]["unknown"]; lsp.One["type"] != "external" || unknown || len(lsp.Many["options"]) > 0 || lsp.Refs["dhcpv4_options"] != (Key{tableDHCP, "sub1"}) {
		t.Errorf("%+v", lsp)
	}
	for _, key := range f.Keys() {
		if key.Table == tableQoS {
			t.Errorf("%s: OVN does not carry what the port sends", key)
		}
	}
}

// Who answers: gateways that reach the network; hosts that are marked for it, but the port's own; and always those of the
// router's gateway, if there is one.
func TestWhoAnswers(t *testing.T) {
	f := newField(t, DefaultOptions())
	lsp := Key{tableSwitchPort, "p1"}
	name, hosts := f.group(t, lsp)
	if name != "neutron-n1" || len(hosts) != MostGateways || slices.Contains(hosts, "far") || slices.Contains(hosts, "c6") {
		t.Errorf("gateways: %s %v", name, hosts)
	}
	if ids := f.Row(Key{tableChassisGroup, name}).Many["external_ids"]; ids["neutron:network_id"] != "n1" || ids["neutron:router_id"] != "" {
		t.Errorf("marks %v", ids)
	}

	for i, host := range []string{"h2", "h9", "h6"} {
		f.Put(&Chassis{Name: fmt.Sprint("e", i), Hostname: host, External: true, BridgeMappings: map[string]string{"physnet1": "br-ex"}})
	}
	name, hosts = f.group(t, lsp)
	slices.Sort(hosts)
	if name != "neutron-extport-p1" || !slices.Equal(hosts, []string{"e0", "e2"}) { // e1 is on the port's own host
		t.Errorf("marked hosts: %s %v", name, hosts)
	}
	if f.Row(Key{tableChassisGroup, "neutron-n1"}) != nil {
		t.Error("a group that nothing uses")
	}

	f.behind("r1", "10.0.0.9")
	name, hosts = f.group(t, lsp)
	gateway, gateways := f.group(t, Key{tableRouterPort, "lrp-r1gw"})
	if name != "neutron-n1" || gateway != "neutron-r1" || !slices.Equal(hosts, gateways) || len(hosts) == 0 {
		t.Errorf("behind a router: %s %v, its gateway %s %v", name, hosts, gateway, gateways)
	}
	if ids := f.Row(Key{tableChassisGroup, name}).Many["external_ids"]; ids["neutron:router_id"] != "r1" || ids["neutron:network_id"] != "n1" {
		t.Errorf("marks %v", ids)
	}
	f.behind("r2", "10.0.0.1") // the subnet's gateway
	_, hosts = f.group(t, lsp)
	if _, gateways = f.group(t, Key{tableRouterPort, "lrp-r2gw"}); !slices.Equal(hosts, gateways) {
		t.Errorf("behind two: %v, the gateway of the subnet's %v", hosts, gateways)
	}
	f.Delete(KindPort, "r2gw")
	f.Delete(KindPort, "r1gw")
	if name, _ = f.group(t, lsp); name != "neutron-extport-p1" {
		t.Errorf("without gateways: %s", name)
	}

	n := *f.network
	n.ZoneHints = []string{"nowhere"}
	f.Put(&n)
	if name, hosts = f.group(t, lsp); name != "" {
		t.Errorf("in a zone without hosts: %s %v", name, hosts)
	}
	tunnel := n
	tunnel.Segments = []Segment{{ID: "s1", Type: "geneve"}}
	f.Put(&tunnel)
	f.Settle()
	if notes := strings.Join(f.Notes()["port p1"], " "); !strings.Contains(notes, "flat and VLAN") || f.Row(lsp).One["type"] != "external" {
		t.Errorf("in a tunnel: %s %+v", notes, f.Row(lsp))
	}
	f.Delete(KindPort, "p1")
	f.Settle()
	for _, key := range f.Keys() {
		if key.Table == tableChassisGroup && key.Name != "neutron-r1" && key.Name != "neutron-r2" {
			t.Errorf("left: %s", key)
		}
	}
}

// Floating IPs of external ports are translated where the gateway is: their own host is none of OVN's.
func TestExternalFloatingIP(t *testing.T) {
	o := DefaultOptions()
	o.DistributedFloating = true
	f := newField(t, o)
	f.behind("r1", "10.0.0.1")
	f.Put(&FloatingIP{ID: "f1", NetworkID: "out", RouterID: "r1", IP: netip.MustParseAddr("203.0.113.20"), FixedIP: netip.MustParseAddr("10.0.0.5"), PortID: "p1", MAC: address.MustParseMAC("fa:16:3e:00:00:02")})
	f.Settle()
	if nat := f.Row(Key{tableNAT, "fip/f1"}); nat == nil || nat.One["external_mac"] != "" {
		t.Errorf("external: %+v", nat)
	}
	p := *f.port
	p.External, p.VNICType = false, "normal"
	f.Put(&p)
	f.Settle()
	if nat := f.Row(Key{tableNAT, "fip/f1"}); nat == nil || nat.One["external_mac"] == "" {
		t.Errorf("on a switch: %+v", nat)
	}
}

// What machines are told for booting from the network.
func TestNetboot(t *testing.T) {
	f := newField(t, DefaultOptions())
	p := externalPort("p1", "baremetal", "node")
	p.DHCP = []DHCPOption{{"tag:!ipxe,67", "undionly.kpxe", 4}, {"tag:ipxe,67", "http://192.0.2.9/boot.ipxe", 4}, {"server-ip-address", "192.0.2.9", 4}}
	f.Put(p)
	f.Settle()
	options := f.Row(Key{tableDHCP, "sub1/p1"}).Many["options"]
	if options["bootfile_name_alt"] != `"undionly.kpxe"` || options["bootfile_name"] != `"http://192.0.2.9/boot.ipxe"` || options["next_server"] != "192.0.2.9" || len(f.Notes()) > 0 {
		t.Errorf("%v, notes %v", options, f.Notes())
	}
	q := *p
	q.VNICType = "direct"
	f.Put(&q)
	f.Settle()
	if notes := f.Notes()["port p1"]; len(notes) != 2 {
		t.Errorf("an instance's: %v", notes)
	}
	o := DefaultOptions()
	o.NoBaremetalDHCP = true
	f = newField(t, o)
	if f.Row(Key{tableSwitchPort, "p1"}).Refs["dhcpv4_options"] == (Key{}) {
		t.Error("another type has no DHCP")
	}
	f.Put(p)
	f.Settle()
	if ref := f.Row(Key{tableSwitchPort, "p1"}).Refs["dhcpv4_options"]; ref != (Key{}) {
		t.Errorf("DHCP by others: %v", ref)
	}
}
