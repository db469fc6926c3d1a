package inspect

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"neutrino/agent"
	"neutrino/agent/l2"
	"neutrino/dataplane/link"
	"neutrino/dataplane/ovsdb"
	"neutrino/desired"
)

// outside is a gateway's port.
func outside(id, ip string) desired.RouterPort {
	return desired.RouterPort{PortID: id, NetworkID: "ext-" + id, Addresses: []netip.Prefix{netip.MustParsePrefix(ip)}}
}

// whole is a host on which all is well: a flat network with one port, a network in tunnels, a router.
func whole() (Layout, *desired.State, *Facts) {
	l := Layout{
		Host: "h1", TunnelIP: netip.MustParseAddr("172.29.0.1"), Mappings: map[string]string{"physnet1": "br-ex"}, Datapath: "netdev",
		Roles: []string{"l2", "l3", "dhcp"},
	}
	flat := &desired.Network{ID: "flat", Type: "flat", Physical: "physnet1", AdminStateUp: true, MTU: 1500}
	s := desired.NewState()
	for _, item := range []desired.Item{
		flat, &desired.Network{ID: "blue", Type: "vxlan", SegmentationID: 7, AdminStateUp: true, MTU: 1450},
		&desired.Port{ID: "p1", NetworkID: "flat", Host: "h1", AdminStateUp: true, DeviceOwner: "compute:nova"},
		&desired.Port{ID: "p2", NetworkID: "flat", Host: "h2", AdminStateUp: true},
		&desired.Port{ID: "p3", NetworkID: "blue", Host: "h1", AdminStateUp: true},
		&desired.Router{ID: "r1", AdminStateUp: true, Interfaces: []desired.RouterPort{{PortID: "p3-of-router", NetworkID: "blue", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}}},
			Gateway: &desired.Gateway{RouterPort: outside("g1-of-router", "203.0.113.2/24")}, Further: []desired.Gateway{{RouterPort: outside("g2-of-router", "198.51.100.2/24")}}},
	} {
		s.Put(item)
	}
	in, out := l2.Crossing(flat, 5, 15, 2)
	f := &Facts{
		Bridges: map[string]Bridge{
			"br-int": {
				Bridge: ovsdb.Bridge{Name: "br-int", DatapathType: "netdev", FailMode: "secure"}, cookies: map[uint64]bool{in.Cookie(): true},
				Ports: []ovsdb.Port{
					{Name: "int-br-ex", Type: "patch", Options: map[string]string{"peer": "phy-br-ex"}, OFPort: 15},
					{Name: "patch-tun", Type: "patch", Options: map[string]string{"peer": "patch-int"}, OFPort: 1},
					{Name: "tapp1", Tag: 5, OtherConfig: map[string]string{"net_uuid": "flat"}, ExternalIDs: map[string]string{"iface-id": "p1"}, OFPort: 3},
					{Name: "tapp3", Tag: 6, OtherConfig: map[string]string{"net_uuid": "blue"}, ExternalIDs: map[string]string{"iface-id": "p3"}, OFPort: 4},
				},
			},
			"br-tun": {Bridge: ovsdb.Bridge{Name: "br-tun"}, Ports: []ovsdb.Port{
				{Name: "patch-int", Type: "patch", Options: map[string]string{"peer": "patch-tun"}, OFPort: 1}, {Name: "vxlan-sys", Type: "vxlan", OFPort: 2},
			}},
			"br-ex": {Bridge: ovsdb.Bridge{Name: "br-ex"}, cookies: map[uint64]bool{out.Cookie(): true}, Ports: []ovsdb.Port{
				{Name: "phy-br-ex", Type: "patch", Options: map[string]string{"peer": "int-br-ex"}, OFPort: 2},
				{Name: "eth2", OFPort: 1}, {Name: "br-ex", Type: "internal", OFPort: 65534},
			}},
		},
		Devices: map[string]Device{
			"eth2":   {Device: link.Device{Name: "eth2", Up: true, MTU: 1500}},
			"br-phy": {Device: link.Device{Name: "br-phy", Up: true, MTU: 1500}, Addresses: []netip.Prefix{netip.MustParsePrefix("172.29.0.1/24")}},
		},
		Spaces: map[string]Space{"qrouter-r1": {Ours: true, Devices: map[string]Device{
			"qr-p3-of-route": {Device: link.Device{Name: "qr-p3-of-route", Up: true}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}},
			"qg-g1-of-route": {Device: link.Device{Name: "qg-g1-of-route", Up: true}, Addresses: []netip.Prefix{netip.MustParsePrefix("203.0.113.2/24")}},
			"qg-g2-of-route": {Device: link.Device{Name: "qg-g2-of-route", Up: true}, Addresses: []netip.Prefix{netip.MustParsePrefix("198.51.100.2/24")}},
		}}},
	}
	return l, s, f
}

func edit(f *Facts, bridge string, change func(*Bridge)) {
	b := f.Bridges[bridge]
	change(&b)
	f.Bridges[bridge] = b
}

// drop takes a port off a bridge.
func drop(f *Facts, bridge, name string) {
	edit(f, bridge, func(b *Bridge) {
		var left []ovsdb.Port
		for _, p := range b.Ports {
			if p.Name != name {
				left = append(left, p)
			}
		}
		b.Ports = left
	})
}

func device(f *Facts, name string, change func(*Device)) {
	d := f.Devices[name]
	change(&d)
	f.Devices[name] = d
}

// Each broken part is named, once, with a mend; nothing that only follows from it is.
func TestCheckNamesWhatIsBroken(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(l *Layout, s *desired.State, f *Facts)
		want  string // in the one finding; "" when all is well
		mend  string
	}{
		{"nothing", func(*Layout, *desired.State, *Facts) {}, "", ""},
		{"the database", func(_ *Layout, _ *desired.State, f *Facts) { f.database, f.Bridges = errors.New("refused"), nil }, "database does not answer: refused", "systemctl restart openvswitch"},
		{"the switch", func(_ *Layout, _ *desired.State, f *Facts) {
			edit(f, "br-int", func(b *Bridge) { b.failed = errors.New("refused") })
		}, "ovs-vswitchd does not answer", "openvswitch"},
		{"the fail mode", func(_ *Layout, _ *desired.State, f *Facts) { edit(f, "br-int", func(b *Bridge) { b.FailMode = "" }) }, "not in fail_mode secure", "set-fail-mode br-int secure"},
		{"the datapath", func(l *Layout, _ *desired.State, _ *Facts) { l.Datapath = "system" }, "br-int has the datapath netdev", "datapath_type=system"},
		{"the mapping", func(l *Layout, s *desired.State, _ *Facts) {
			s.Put(&desired.Network{ID: "flat", Type: "flat", Physical: "physnet9", AdminStateUp: true, MTU: 1500})
		}, `"physnet9", which is not in this host's bridge_mappings (physnet1:br-ex)`, "add physnet9:BRIDGE"},
		{"the network is down", func(_ *Layout, s *desired.State, _ *Facts) {
			s.Put(&desired.Network{ID: "flat", Type: "flat", Physical: "physnet1", MTU: 1500})
		}, "administratively down", "openstack network set --enable flat"},
		{"the bridge", func(_ *Layout, _ *desired.State, f *Facts) { delete(f.Bridges, "br-ex") }, "there is no bridge br-ex", "ovs-vsctl add-br br-ex"},
		{"one end of the patch", func(_ *Layout, _ *desired.State, f *Facts) { drop(f, "br-int", "int-br-ex") }, "no patch ports join br-int and br-ex", "restart neutrino-agent"},
		{"the other end", func(_ *Layout, _ *desired.State, f *Facts) { drop(f, "br-ex", "phy-br-ex") }, "no patch ports join br-int and br-ex", "restart neutrino-agent"},
		{"the flow out", func(_ *Layout, _ *desired.State, f *Facts) {
			edit(f, "br-ex", func(b *Bridge) { b.cookies = nil })
		}, "br-ex has no flow that changes local VLAN 5", "dump-flows br-ex"},
		{"the flow in", func(_ *Layout, _ *desired.State, f *Facts) {
			edit(f, "br-int", func(b *Bridge) { b.cookies = nil })
		}, "br-int has no flow that gives what comes by int-br-ex the local VLAN 5", "dump-flows br-int"},
		{"the local VLAN", func(_ *Layout, _ *desired.State, f *Facts) { drop(f, "br-int", "tapp1") }, "the network has no local VLAN", "ovs-vsctl show"},
		{"no NIC", func(_ *Layout, _ *desired.State, f *Facts) { drop(f, "br-ex", "eth2") }, "no physical interface is in br-ex", "ovs-vsctl add-port br-ex NIC"},
		{"the NIC is gone", func(_ *Layout, _ *desired.State, f *Facts) { delete(f.Devices, "eth2") }, "interface eth2 in br-ex is not there", "ip link show"},
		{"the NIC is down", func(_ *Layout, _ *desired.State, f *Facts) { device(f, "eth2", func(d *Device) { d.Up = false }) }, "interface eth2 in br-ex is down", "ip link set eth2 up"},
		{"the cable", func(_ *Layout, _ *desired.State, f *Facts) {
			device(f, "eth2", func(d *Device) { d.Device.Down = true })
		}, "eth2 in br-ex has no carrier", "cable"},
		{"the NIC's MTU", func(_ *Layout, _ *desired.State, f *Facts) { device(f, "eth2", func(d *Device) { d.MTU = 1400 }) }, "eth2 has the MTU 1400, the network 1500", "mtu 1500"},
		{"no tunnel address", func(l *Layout, _ *desired.State, _ *Facts) { l.TunnelIP = netip.Addr{} }, "the host has no tunnel address", "local_ip"},
		{"the tunnel address", func(_ *Layout, _ *desired.State, f *Facts) {
			device(f, "br-phy", func(d *Device) { d.Addresses = nil })
		}, "no interface has the tunnel address 172.29.0.1", "ip addr add 172.29.0.1/"},
		{"the tunnels' MTU", func(_ *Layout, _ *desired.State, f *Facts) { device(f, "br-phy", func(d *Device) { d.MTU = 1499 }) }, "tunnel packets of 1500 bytes don't pass", "ip link set br-phy mtu 1500"},
		{"the tunnel port", func(_ *Layout, _ *desired.State, f *Facts) { drop(f, "br-tun", "vxlan-sys") }, "br-tun has no vxlan port", "restart"},
		{"br-tun's patch", func(_ *Layout, _ *desired.State, f *Facts) { drop(f, "br-tun", "patch-int") }, "no patch ports join br-int and br-tun", "restart"},
		{"a router", func(_ *Layout, _ *desired.State, f *Facts) { f.Spaces = nil }, "router r1 has no namespace qrouter-r1", "journalctl"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, s, f := whole()
			c.spoil(&l, s, f)
			found := Check(l, s, f, "")
			bad := failed(found)
			switch {
			case c.want == "" && len(bad) == 0 && len(found) > 10:
			case c.want != "" && len(bad) == 1 && strings.Contains(bad[0].What, c.want) && strings.Contains(bad[0].Mend, c.mend) && bad[0].Mend != "":
			default:
				t.Errorf("found broken: %+v; want one with %q, mended by %q", bad, c.want, c.mend)
			}
		})
	}
}

func TestCheckOfOneNetwork(t *testing.T) {
	l, s, f := whole()
	drop(f, "br-ex", "eth2")
	delete(f.Spaces, "qrouter-r1")
	if bad := failed(Check(l, s, f, "flat")); len(bad) != 1 || bad[0].Subject != "network flat" {
		t.Errorf("of the flat network: %+v", bad)
	}
	if bad := failed(Check(l, s, f, "no-such")); len(bad) != 1 || !strings.Contains(bad[0].What, "does not have this network") {
		t.Errorf("of a network that is not here: %+v", bad)
	}
}

func TestObjects(t *testing.T) {
	began := time.Now().Add(-time.Minute)
	for _, c := range []struct {
		name  string
		spoil func(f *Facts)
		told  []agent.Told
		want  map[string]string // kind and id → its one difference
	}{
		{"nothing differs", func(*Facts) {}, nil, nil},
		{"an interface is missing", func(f *Facts) { drop(f, "br-int", "tapp3") }, nil, map[string]string{"port p3": "no interface with external_ids:iface-id=p3"}},
		{"what the agent says counts, and is said once", func(f *Facts) { drop(f, "br-int", "tapp3") },
			[]agent.Told{{Report: desired.Report{Kind: desired.KindPort, ID: "p3", Layer: "l2", Reason: "no interface yet"}, Since: began}},
			map[string]string{"port p3": "l2: no interface yet"}},
		{"a tag is missing", func(f *Facts) {
			edit(f, "br-int", func(b *Bridge) { b.Ports[3].Tag, b.Ports[3].OtherConfig = 0, nil })
		}, nil, map[string]string{"port p3": "interface tapp3 is not on the network's local VLAN"}},
		{"a router's address is missing", func(f *Facts) {
			d := f.Spaces["qrouter-r1"].Devices["qr-p3-of-route"]
			d.Addresses = nil
			f.Spaces["qrouter-r1"].Devices["qr-p3-of-route"] = d
		}, nil, map[string]string{"router r1": "has no address 10.0.0.1/24"}},
		{"one of a router's gateways is missing", func(f *Facts) { delete(f.Spaces["qrouter-r1"].Devices, "qg-g2-of-route") }, nil, map[string]string{"router r1": "there is no device qg-g2-of-route"}},
		{"a router is missing", func(f *Facts) { delete(f.Spaces, "qrouter-r1") }, nil, map[string]string{"router r1": "namespace qrouter-r1 is not there"}},
		{"the cable is missing", func(f *Facts) { drop(f, "br-ex", "eth2") }, nil, map[string]string{"network flat": "no physical interface is in br-ex"}},
		{"a floating IP does not work", func(*Facts) {},
			[]agent.Told{{Report: desired.Report{Kind: desired.KindRouter, ID: "r1", Layer: "l3", Reason: "no way"}, Since: began}}, map[string]string{"router r1": "l3: no way"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, s, f := whole()
			c.spoil(f)
			got := map[string]string{}
			objects := Objects(l, s, f, c.told)
			for _, o := range objects {
				for _, d := range o.Differs {
					got[o.Kind+" "+o.ID] += d.What
					if len(c.told) > 0 && !d.Since.Equal(began) {
						t.Errorf("%s differs since %v", o.ID, d.Since)
					}
				}
			}
			if len(objects) != 5 {
				t.Errorf("%d objects: %+v", len(objects), objects)
			}
			if len(got) != len(c.want) {
				t.Errorf("different are %q, want %q", got, c.want)
			}
			for key, want := range c.want {
				if !strings.Contains(got[key], want) || strings.Count(got[key], want) != 1 {
					t.Errorf("%s differs by %q, want %q", key, got[key], want)
				}
			}
		})
	}
}
