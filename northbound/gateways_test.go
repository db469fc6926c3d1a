package northbound_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutrino/dataplane/ovndb/ovntest"
	"neutrino/driver/ovn"
)

// Ids of what shores adds to the cloud.
var (
	west, westSubnet4, westSubnet6 = id(1, 5), id(2, 5), id(2, 6)
	gw2, fip2                      = id(6, 8), id(7, 3)
)

// shores is the cloud with its router on a second external network, with a floating IP there.
func shores() *world {
	w := cloud()
	w.delete(ovn.KindFloatingIP, pfip)
	w.put(ovn.KindNetwork, west, &ovn.Network{
		ID: west, Name: "west", AdminStateUp: true, MTU: 1500, External: true, Segments: []ovn.Segment{{ID: id(9, 5), Type: "flat", Physical: "physnet1"}},
		Subnets: []ovn.Subnet{
			{ID: westSubnet4, CIDR: prefix("192.0.2.0/24"), Gateway: addr("192.0.2.1")},
			{ID: westSubnet6, CIDR: prefix("2001:db8:ffff::/64"), Gateway: addr("2001:db8:ffff::1")},
		},
	})
	w.put(ovn.KindPort, gw2, &ovn.Port{
		ID: gw2, NetworkID: west, AdminStateUp: true, MAC: mac(8), DeviceOwner: "network:router_gateway", DeviceID: router, VNICType: "normal",
		FixedIPs: []ovn.FixedIP{{SubnetID: westSubnet4, IP: addr("192.0.2.5")}, {SubnetID: westSubnet6, IP: addr("2001:db8:ffff::5")}},
	})
	w.put(ovn.KindFloatingIP, fip2, &ovn.FloatingIP{ID: fip2, NetworkID: west, RouterID: router, IP: addr("192.0.2.20"), FixedIP: addr("10.0.0.12"), PortID: vm2, MAC: mac(22)})
	w.put(ovn.KindRouter, router, withGateways(false, gw, gw2))
	return w
}

func withGateways(ecmp bool, ports ...string) *ovn.Router {
	return &ovn.Router{ID: router, Name: "edge", AdminStateUp: true, EnableSNAT: true, QoSPolicyID: slow, Gateways: ports, ECMP: ecmp}
}

// The rows of a router with two gateways, of one that shares its default routes, and of one that has lost its first.
// ovn-northd takes them without a complaint.
func TestGateways(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, true)
	for i, h := range chassis {
		c.SB(t, "chassis-add", h.Name, "geneve", fmt.Sprintf("192.0.2.%d", i+1), "--", "set", "chassis", h.Name, "hostname="+h.Hostname)
	}
	w := shores()
	writer := start(t, w, c)
	settle(t, w, c)
	two := dump(t, c)
	hosts := writer.GatewayHosts(router)
	golden(t, "gateways.txt", two)

	w.put(ovn.KindRouter, router, withGateways(true, gw, gw2))
	settle(t, w, c)
	shared := dump(t, c)
	if n := strings.Count(shared, "ip_prefix: 0.0.0.0/0"); n != 2 {
		t.Errorf("%d default routes are shared:\n%s", n, cmp.Diff(two, shared))
	}
	if n := strings.Count(shared, "ip_prefix: ::/0"); n != 1 {
		t.Errorf("%d IPv6 default routes:\n%s", n, shared)
	}

	watched := withGateways(true, gw, gw2)
	watched.BFD = true
	w.put(ovn.KindRouter, router, watched)
	settle(t, w, c)
	bfd := dump(t, c)
	for _, session := range [][2]string{{"lrp-" + gw, "203.0.113.1"}, {"lrp-" + gw2, "192.0.2.1"}, {"lrp-" + gw2, "2001:db8:ffff::1"}} {
		port, hop := session[0], session[1]
		if !strings.Contains(bfd, "    dst_ip: "+hop+"\n") || !strings.Contains(bfd, "    logical_port: "+port+"\n") || strings.Count(bfd, "    bfd: "+hop) != 1 {
			t.Errorf("no session of %s with %s:\n%s", port, hop, cmp.Diff(shared, bfd))
		}
	}
	w.put(ovn.KindRouter, router, withGateways(true, gw, gw2))
	settle(t, w, c)
	if diff := cmp.Diff(shared, dump(t, c)); diff != "" {
		t.Errorf("without BFD (-) and when it is over (+) differ:\n%s", diff)
	}

	own := withGateways(true, gw, gw2)
	own.Routes = []ovn.Route{{Destination: prefix("0.0.0.0/0"), NextHop: addr("10.0.0.12")}}
	w.put(ovn.KindRouter, router, own)
	settle(t, w, c)
	if given := dump(t, c); strings.Count(given, "ip_prefix: 0.0.0.0/0") != 1 || !strings.Contains(given, "nexthop: 10.0.0.12") || !strings.Contains(given, "ip_prefix: ::/0") {
		t.Errorf("the user's default route does not stand in the gateways' place:\n%s", cmp.Diff(shared, given))
	}

	w.put(ovn.KindRouter, router, withGateways(false, gw2, gw))
	settle(t, w, c)
	if turned := dump(t, c); strings.Contains(turned, "nexthop: 203.0.113.1") || !strings.Contains(turned, "nexthop: 192.0.2.1") {
		t.Errorf("the second became the first, and the default routes stayed:\n%s", cmp.Diff(two, turned))
	}
	c.NB(t, "--wait=sb", "sync")
	if log := c.NorthdLog(t); log != "" {
		t.Errorf("ovn-northd complains:\n%s", log)
	}

	w.delete(ovn.KindFloatingIP, fip)
	w.delete(ovn.KindPort, gw)
	w.put(ovn.KindRouter, router, withGateways(false, gw2))
	settle(t, w, c)
	one := dump(t, c)
	if alone := writer.GatewayHosts(router); len(alone) != 2 || !slices.Equal(alone, hosts) {
		t.Errorf("of two gateways the first's hosts come first: %v, and with one %v", hosts, alone)
	}
	for _, word := range []string{"Logical_Router_Policy", "gateway_port", "203.0.113.5"} {
		if strings.Contains(one, word) {
			t.Errorf("with one gateway there is %s:\n%s", word, one)
		}
	}
}

// Default routes lead to next hops that are on none of the gateway's subnets, or link-local.
func TestOffLink(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, true)
	for i, h := range chassis {
		c.SB(t, "chassis-add", h.Name, "geneve", fmt.Sprintf("192.0.2.%d", i+1), "--", "set", "chassis", h.Name, "hostname="+h.Hostname)
	}
	w := cloud()
	n := *(w.facts[ovn.KindNetwork][outer].(*ovn.Network))
	n.Subnets = []ovn.Subnet{n.Subnets[0], {ID: westSubnet6, CIDR: prefix("2001:db8:ffff::/64"), Gateway: addr("fe80::1")}}
	n.Subnets[0].Gateway = addr("198.51.100.1")
	w.put(ovn.KindNetwork, outer, &n)
	p := *(w.facts[ovn.KindPort][gw].(*ovn.Port))
	p.FixedIPs = append(slices.Clone(p.FixedIPs), ovn.FixedIP{SubnetID: westSubnet6, IP: addr("2001:db8:ffff::5")})
	w.put(ovn.KindPort, gw, &p)
	start(t, w, c)
	settle(t, w, c)
	c.NB(t, "--wait=sb", "sync")
	flows := c.SB(t, "lflow-list", "neutron-"+router)
	for _, hop := range []string{`reg0 = 198.51.100.1; reg1 = 203.0.113.5;`, `xxreg0 = fe80::1;`} {
		if !strings.Contains(flows, hop) {
			t.Errorf("no route with %s:\n%s", hop, flows)
		}
	}
	if log := c.NorthdLog(t); log != "" {
		t.Errorf("ovn-northd complains:\n%s", log)
	}
}

// A router advertises itself inside, and never on an external network.
func TestGatewayAdvertisesNothing(t *testing.T) {
	t.Parallel()
	w := cloud()
	n := *(w.facts[ovn.KindNetwork][outer].(*ovn.Network))
	n.Subnets = append(slices.Clone(n.Subnets), ovn.Subnet{ID: westSubnet6, CIDR: prefix("2001:db8:ffff::/64"), EnableDHCP: true, RAMode: "slaac", AddressMode: "slaac"})
	w.put(ovn.KindNetwork, outer, &n)
	p := *(w.facts[ovn.KindPort][gw].(*ovn.Port))
	p.FixedIPs = append(slices.Clone(p.FixedIPs), ovn.FixedIP{SubnetID: westSubnet6, IP: addr("2001:db8:ffff::5")})
	w.put(ovn.KindPort, gw, &p)
	m := modelOf(w)
	for port, advertises := range map[string]bool{gw: false, rif6: true} {
		if told := modelRow(t, m, "Logical_Router_Port", "lrp-"+port).Many["ipv6_ra_configs"]; len(told) > 0 != advertises {
			t.Errorf("%s tells %v", port, told)
		}
	}
}

// On another project's network a router advertises itself only when the subnet names it as its gateway.
func TestGuestAdvertisesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		project, ip string
		advertises  bool
	}{{"owner", "2001:db8::1", true}, {"owner", "2001:db8::9", true}, {"other", "2001:db8::1", true}, {"other", "2001:db8::9", false}} {
		w := cloud()
		n := *(w.facts[ovn.KindNetwork][inner].(*ovn.Network))
		n.ProjectID = "owner"
		w.put(ovn.KindNetwork, inner, &n)
		p := *(w.facts[ovn.KindPort][rif6].(*ovn.Port))
		p.ProjectID, p.FixedIPs = c.project, []ovn.FixedIP{{SubnetID: subnet6, IP: addr(c.ip)}}
		w.put(ovn.KindPort, rif6, &p)
		if told := modelRow(t, modelOf(w), "Logical_Router_Port", "lrp-"+rif6).Many["ipv6_ra_configs"]; len(told) > 0 != c.advertises {
			t.Errorf("%s at %s tells %v", c.project, c.ip, told)
		}
	}
}

// Chassis that an administrator has named have the gateways, the next one the second gateway; what is no chassis is passed over.
func TestNamedChassis(t *testing.T) {
	t.Parallel()
	w := shores()
	named := withGateways(false, gw, gw2)
	named.Chassis = []ovn.ChassisPriority{{Chassis: "c3", Priority: 50}, {Chassis: "gone", Priority: 20}, {Chassis: "c1", Priority: 7}}
	w.put(ovn.KindRouter, router, named)
	m := modelOf(w)
	var got []string
	for _, key := range m.Keys() {
		if key.Table == "HA_Chassis" {
			got = append(got, key.Name+" "+m.Row(key).One["priority"])
		}
	}
	slices.Sort(got)
	first, second := "neutron-"+router, "neutron-"+router+"-"+gw2
	if want := []string{second + "/c1 50", second + "/c3 7", first + "/c1 7", first + "/c3 50"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// What OVN can't do on a router with several gateways has no rows, and says so.
func TestGatewaysLimits(t *testing.T) {
	t.Parallel()
	m := ovn.NewModel(ovn.DefaultOptions())
	w := shores()
	w.put(ovn.KindFloatingIP, pfip, &ovn.FloatingIP{ID: pfip, NetworkID: outer, RouterID: router, IP: addr("203.0.113.21"), Forwardings: []ovn.Forwarding{
		{Protocol: "tcp", ExternalFirst: 80, ExternalLast: 80, InternalIP: addr("10.0.0.11"), InternalFirst: 80, InternalLast: 80},
	}})
	w.put(ovn.KindFloatingIP, id(7, 9), &ovn.FloatingIP{ID: id(7, 9), NetworkID: outer, RouterID: router, IP: addr("203.0.113.22"), FixedIP: addr("10.0.0.12"), PortID: vm2, MAC: mac(23)})
	w.put(ovn.KindPort, id(6, 9), &ovn.Port{ID: id(6, 9), NetworkID: west, DeviceOwner: "network:router_gateway", DeviceID: router, FixedIPs: []ovn.FixedIP{{SubnetID: westSubnet4, IP: addr("192.0.2.6")}}})
	for _, facts := range w.facts {
		for _, fact := range facts {
			m.Put(fact)
		}
	}
	for _, h := range chassis {
		m.Put(h)
	}
	m.Settle()
	for thing, want := range map[ovn.Thing]string{
		{Kind: ovn.KindFloatingIP, ID: pfip}:     "OVN can't forward ports on a router with several gateways",
		{Kind: ovn.KindFloatingIP, ID: id(7, 9)}: "with several gateways OVN has one floating IP of an address: 10.0.0.12 has 192.0.2.20",
		{Kind: ovn.KindRouter, ID: router}:       "OVN has one gateway of a router on a network",
	} {
		rows, notes := m.State(thing)
		if strings.Join(notes, "; ") != want {
			t.Errorf("%v: %q", thing, notes)
		}
		if rows != (thing.Kind == ovn.KindRouter) {
			t.Errorf("%v has rows: %v", thing, rows)
		}
	}
	// The first floating IP goes, and the other has its place.
	m.Delete(ovn.KindFloatingIP, fip2)
	m.Settle()
	if rows, notes := m.State(ovn.Thing{Kind: ovn.KindFloatingIP, ID: id(7, 9)}); !rows || notes != nil {
		t.Errorf("the floating IP that was second: %v, %q", rows, notes)
	}
}
