package northbound_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"neutrino/address"
	"neutrino/dataplane/ovndb"
	"neutrino/dataplane/ovndb/ovntest"
	"neutrino/driver/ovn"
	"neutrino/northbound"
)

// world is facts with a journal, as the services have them.
type world struct {
	mu      sync.Mutex
	facts   map[ovn.Kind]map[string]any
	entries []northbound.Entry
	news    chan struct{}
}

func newWorld() *world {
	return &world{facts: map[ovn.Kind]map[string]any{}, news: make(chan struct{})}
}

func (w *world) note(kind ovn.Kind, id string) {
	w.entries = append(w.entries, northbound.Entry{Revision: int64(len(w.entries) + 1), Kind: string(kind), ID: id})
	close(w.news)
	w.news = make(chan struct{})
}

func (w *world) put(kind ovn.Kind, id string, fact any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.facts[kind] == nil {
		w.facts[kind] = map[string]any{}
	}
	w.facts[kind][id] = fact
	w.note(kind, id)
}

func (w *world) delete(kind ovn.Kind, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.facts[kind], id)
	w.note(kind, id)
}

func (w *world) Head(context.Context) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(len(w.entries)), nil
}

func (w *world) Oldest(context.Context) (int64, error) { return 1, nil }

func (w *world) Read(_ context.Context, after int64, limit int) ([]northbound.Entry, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.entries[min(after, int64(len(w.entries))):]
	return slices.Clone(list[:min(len(list), limit)]), nil
}

func (w *world) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.news
}

func (w *world) All(context.Context) (*northbound.Facts, int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := &northbound.Facts{}
	for _, list := range w.facts {
		for _, fact := range list {
			add(f, fact)
		}
	}
	return f, int64(len(w.entries)), nil
}

func (w *world) Some(_ context.Context, ids map[ovn.Kind][]string) (*northbound.Facts, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := &northbound.Facts{}
	for kind, list := range ids {
		for _, id := range list {
			if fact := w.facts[kind][id]; fact != nil {
				add(f, fact)
			}
		}
	}
	return f, nil
}

func add(f *northbound.Facts, fact any) {
	switch x := fact.(type) {
	case *ovn.Network:
		f.Networks = append(f.Networks, x)
	case *ovn.Port:
		f.Ports = append(f.Ports, x)
	case *ovn.Group:
		f.Groups = append(f.Groups, x)
	case *ovn.AddressGroup:
		f.AddressGroups = append(f.AddressGroups, x)
	case *ovn.Router:
		f.Routers = append(f.Routers, x)
	case *ovn.FloatingIP:
		f.FloatingIPs = append(f.FloatingIPs, x)
	case *ovn.Policy:
		f.Policies = append(f.Policies, x)
	}
}

var chassis = []*ovn.Chassis{
	{Name: "c1", Hostname: "h1", Gateway: true, BridgeMappings: map[string]string{"physnet1": "br-ex"}},
	{Name: "c2", Hostname: "h2", Gateway: true, BridgeMappings: map[string]string{"physnet1": "br-ex"}},
	{Name: "c3", Hostname: "h3", BridgeMappings: map[string]string{"physnet1": "br-ex"}},
}

func id(kind, n int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", kind, n) }

func mac(n int) address.MAC { return address.MAC{0xfa, 0x16, 0x3e, 0, byte(n >> 8), byte(n)} }

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }

// Ids of the cloud.
var (
	inner, outer     = id(1, 1), id(1, 2)
	subnet4, subnet6 = id(2, 1), id(2, 2)
	outside          = id(2, 3)
	web, db          = id(3, 1), id(3, 2)
	trusted          = id(4, 1)
	router           = id(5, 1)
	vm1, vm2, vip    = id(6, 1), id(6, 2), id(6, 3)
	metadata         = id(6, 4)
	rif, rif6, gw    = id(6, 5), id(6, 6), id(6, 7)
	vf               = id(6, 8)
	fip, pfip        = id(7, 1), id(7, 2)
	slow             = id(8, 1)
)

// cloud is a network with everything on it behind a router to a VLAN.
func cloud() *world {
	w := newWorld()
	w.put(ovn.KindNetwork, inner, &ovn.Network{
		ID: inner, Name: "inner", Revision: 3, AdminStateUp: true, MTU: 1442, DNSDomain: "example.org", Segments: []ovn.Segment{{ID: id(9, 1), Type: "geneve"}},
		Subnets: []ovn.Subnet{
			{ID: subnet4, CIDR: prefix("10.0.0.0/24"), Gateway: addr("10.0.0.1"), EnableDHCP: true, DNS: []netip.Addr{addr("192.0.2.53"), addr("192.0.2.54")},
				Routes: []ovn.Route{{Destination: prefix("198.51.100.0/24"), NextHop: addr("10.0.0.9")}}},
			{ID: subnet6, CIDR: prefix("2001:db8::/64"), Gateway: addr("2001:db8::1"), EnableDHCP: true, RAMode: "dhcpv6-stateful", AddressMode: "dhcpv6-stateful",
				DNS: []netip.Addr{addr("2001:db8:ff::53")}},
		},
	})
	w.put(ovn.KindNetwork, outer, &ovn.Network{
		ID: outer, Name: "outer", AdminStateUp: true, MTU: 1400, External: true, Segments: []ovn.Segment{{ID: id(9, 2), Type: "vlan", Physical: "physnet1", VLAN: 101}},
		Subnets: []ovn.Subnet{{ID: outside, CIDR: prefix("203.0.113.0/24"), Gateway: addr("203.0.113.1")}},
	})
	w.put(ovn.KindAddressGroup, trusted, &ovn.AddressGroup{ID: trusted, Addresses: []netip.Prefix{prefix("192.0.2.0/24"), prefix("2001:db8:9::/48")}})
	w.put(ovn.KindGroup, web, &ovn.Group{ID: web, Stateful: true, Rules: []ovn.Rule{
		{ID: id(10, 1), Protocol: -1, PortMin: -1, PortMax: -1},
		{ID: id(10, 2), IPv6: true, Protocol: -1, PortMin: -1, PortMax: -1},
		{ID: id(10, 3), Ingress: true, Protocol: 6, PortMin: 80, PortMax: 443, RemotePrefix: prefix("192.0.2.7/24")},
		{ID: id(10, 4), Ingress: true, Protocol: 1, PortMin: 8, PortMax: 0},
		{ID: id(10, 5), Ingress: true, IPv6: true, Protocol: 58, PortMin: -1, PortMax: -1, RemoteAddresses: trusted},
	}})
	w.put(ovn.KindGroup, db, &ovn.Group{ID: db, Rules: []ovn.Rule{
		{ID: id(10, 6), Ingress: true, Protocol: 6, PortMin: 5432, PortMax: 5432, RemoteGroup: web},
		{ID: id(10, 7), Protocol: 47, PortMin: -1, PortMax: -1},
	}})
	w.put(ovn.KindPolicy, slow, &ovn.Policy{ID: slow, Rules: []ovn.QoSRule{
		{Type: "bandwidth_limit", Direction: "egress", Amount: 2000, Burst: 1600}, {Type: "bandwidth_limit", Direction: "ingress", Amount: 3000}, {Type: "dscp_marking", Amount: 26},
	}})
	w.put(ovn.KindPort, vm1, &ovn.Port{
		ID: vm1, Name: "vm1", NetworkID: inner, Revision: 7, AdminStateUp: true, MAC: mac(1), DeviceID: id(11, 1), DeviceOwner: "compute:nova", PortSecurity: true,
		FixedIPs: []ovn.FixedIP{{SubnetID: subnet4, IP: addr("10.0.0.11")}, {SubnetID: subnet6, IP: addr("2001:db8::11")}}, Groups: []string{web},
		Pairs:    []ovn.AddressPair{{MAC: mac(1), IP: prefix("10.0.0.100/32")}, {MAC: mac(99), IP: prefix("10.9.0.0/16")}},
		Hostname: "vm1", VNICType: "normal", Host: "h1", Bound: true, QoSPolicyID: slow,
	})
	w.put(ovn.KindPort, vm2, &ovn.Port{
		ID: vm2, Name: "vm2", NetworkID: inner, AdminStateUp: true, MAC: mac(2), DeviceID: id(11, 2), DeviceOwner: "compute:nova", PortSecurity: true,
		FixedIPs: []ovn.FixedIP{{SubnetID: subnet4, IP: addr("10.0.0.12")}}, Groups: []string{db, web}, Hostname: "vm2", VNICType: "normal", Host: "h2", Bound: true, MigratingTo: "h3",
		DHCP: []ovn.DHCPOption{{Name: "mtu", Value: "1300", IPVersion: 4}, {Name: "bootfile-name", Value: `a"}; drop; {"`, IPVersion: 4}, {Name: "no-such", Value: "1", IPVersion: 4}},
	})
	w.put(ovn.KindPort, vip, &ovn.Port{ID: vip, NetworkID: inner, AdminStateUp: true, MAC: mac(3), PortSecurity: true, FixedIPs: []ovn.FixedIP{{SubnetID: subnet4, IP: addr("10.0.0.100")}}, VNICType: "normal"})
	w.put(ovn.KindPort, metadata, &ovn.Port{ID: metadata, NetworkID: inner, AdminStateUp: true, MAC: mac(4), DeviceOwner: "network:distributed", DeviceID: "ovnmeta-" + inner,
		FixedIPs: []ovn.FixedIP{{SubnetID: subnet4, IP: addr("10.0.0.2")}}, VNICType: "normal"})
	w.put(ovn.KindPort, vf, &ovn.Port{ID: vf, NetworkID: outer, AdminStateUp: true, MAC: mac(8), DeviceID: id(11, 3), DeviceOwner: "compute:nova", PortSecurity: true,
		FixedIPs: []ovn.FixedIP{{SubnetID: outside, IP: addr("203.0.113.9")}}, Groups: []string{web}, VNICType: "direct", External: true, Host: "h1", Bound: true})
	w.put(ovn.KindRouter, router, &ovn.Router{ID: router, Name: "edge", AdminStateUp: true, EnableSNAT: true, Routes: []ovn.Route{{Destination: prefix("172.16.0.0/12"), NextHop: addr("10.0.0.12")}}})
	interfaces := func(id string, n int, owner, network, subnet, ip string) {
		w.put(ovn.KindPort, id, &ovn.Port{ID: id, NetworkID: network, AdminStateUp: true, MAC: mac(n), DeviceOwner: owner, DeviceID: router,
			FixedIPs: []ovn.FixedIP{{SubnetID: subnet, IP: addr(ip)}}, VNICType: "normal"})
	}
	interfaces(rif, 5, "network:router_interface", inner, subnet4, "10.0.0.1")
	interfaces(rif6, 6, "network:router_interface", inner, subnet6, "2001:db8::1")
	interfaces(gw, 7, "network:router_gateway", outer, outside, "203.0.113.5")
	w.put(ovn.KindFloatingIP, fip, &ovn.FloatingIP{ID: fip, NetworkID: outer, RouterID: router, IP: addr("203.0.113.20"), FixedIP: addr("10.0.0.11"), PortID: vm1, MAC: mac(20), QoSPolicyID: slow})
	w.put(ovn.KindFloatingIP, pfip, &ovn.FloatingIP{ID: pfip, NetworkID: outer, RouterID: router, IP: addr("203.0.113.21"), MAC: mac(21), Forwardings: []ovn.Forwarding{
		{Protocol: "tcp", ExternalFirst: 8080, ExternalLast: 8082, InternalIP: addr("10.0.0.11"), InternalFirst: 80, InternalLast: 82},
		{Protocol: "udp", ExternalFirst: 53, ExternalLast: 53, InternalIP: addr("10.0.0.12"), InternalFirst: 5353, InternalLast: 5353},
	}})
	return w
}

// start runs a writer on a central.
func start(t testing.TB, w *world, c *ovntest.Central) *northbound.Writer {
	t.Helper()
	o := options(w, c)
	o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	writer := northbound.New(o)
	writer.SetHosts(chassis)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = writer.Run(ctx) })
	t.Cleanup(func() { cancel(); group.Wait() })
	return writer
}

func options(w *world, c *ovntest.Central) northbound.Options {
	return northbound.Options{
		Database: ovndb.Options{Endpoints: []string{c.North()}}, Driver: ovn.DefaultOptions(), Journal: w, Source: w, Log: slog.New(slog.DiscardHandler),
	}
}

// check lists what differs.
func check(t testing.TB, w *world, c *ovntest.Central) []northbound.Difference {
	t.Helper()
	list, err := northbound.Check(context.Background(), options(w, c), chassis, northbound.CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// settle waits until nothing differs.
func settle(t testing.TB, w *world, c *ovntest.Central) {
	t.Helper()
	var list []northbound.Difference
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if list = check(t, w, c); len(list) == 0 {
			return
		}
	}
	t.Fatalf("%d rows still differ: %+v", len(list), list[:min(len(list), 20)])
}
