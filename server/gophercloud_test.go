package server

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/agents"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/attributestags"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/external"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/addressscopes"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/extraroutes"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/portforwarding"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/routers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/networkipavailabilities"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/portsbinding"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/provider"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/qos/policies"
	qosrules "github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/qos/rules"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/quotas"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/rbacpolicies"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/addressgroups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/rules"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/segments"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/subnetpools"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/trunk_details"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/trunks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
	"github.com/gophercloud/gophercloud/v2/pagination"
	"gopkg.in/yaml.v3"

	"neutrino/store/storetest"
)

// stranger is a client written by others, logged in as an administrator by the catalog of the built-in identity
// service. What it can't read of an answer, or a status that it does not await, ends the test.
type stranger struct {
	*testing.T
	ctx    context.Context
	client *gophercloud.ServiceClient
}

func newStranger(t *testing.T) stranger {
	t.Helper()
	dir := t.TempDir()
	r := runOn(t, dir, storetest.Empty(t))
	data, err := os.ReadFile(filepath.Join(dir, "clouds.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Clouds map[string]struct{ Auth map[string]string }
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	auth := file.Clouds["neutrino-admin"].Auth
	ctx := context.Background()
	p, err := openstack.AuthenticatedClient(ctx, gophercloud.AuthOptions{
		IdentityEndpoint: r.url + "/identity/v3", Username: auth["username"], Password: auth["password"],
		TenantName: auth["project_name"], DomainName: "Default",
	})
	if err != nil {
		t.Fatal(err)
	}
	client, err := openstack.NewNetworkV2(p, gophercloud.EndpointOpts{})
	if err != nil {
		t.Fatal(err)
	}
	return stranger{t, ctx, client}
}

// must gives what the client made of an answer.
func must[V any](t testing.TB) func(v V, err error) V {
	return func(v V, err error) V {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// ok is for answers of which only the error counts.
func (s stranger) ok(what string, err error) {
	s.Helper()
	if err != nil {
		s.Fatalf("%s: %v", what, err)
	}
}

// expect holds what the client reads.
func expect[V comparable](t testing.TB, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// refused is an answer that the client takes for the right error.
func (s stranger) refused(what string, err error, status int) {
	s.Helper()
	if !gophercloud.ResponseCodeIs(err, status) {
		s.Errorf("%s: %v, want %d", what, err, status)
	}
}

// count reads all pages of a list.
func (s stranger) count(pager pagination.Pager, each func(page pagination.Page) (int, error)) (n int) {
	s.Helper()
	err := pager.EachPage(s.ctx, func(_ context.Context, page pagination.Page) (bool, error) {
		here, err := each(page)
		n += here
		return true, err
	})
	s.ok("list", err)
	return n
}

func to[V any](v V) *V { return &v }

func TestGophercloud(t *testing.T) {
	s := newStranger(t)
	net := s.networks()
	sub := s.subnets(net)
	group := s.security()
	s.ports(net, sub, group)
	s.pools()
	outside := s.routers(net, sub)
	s.trunks(net)
	s.qos(net)
	s.others(net, outside)
}

func (s stranger) networks() string {
	n := must[*networks.Network](s)(networks.Create(s.ctx, s.client, networks.CreateOpts{Name: "n", Description: "d", AdminStateUp: to(true)}).Extract())
	expect(s, "status", n.Status, "ACTIVE")
	if n.CreatedAt.IsZero() || n.RevisionNumber == 0 {
		s.Errorf("times and revision: %+v", n)
	}
	for range 4 {
		must[*networks.Network](s)(networks.Create(s.ctx, s.client, networks.CreateOpts{Name: "more"}).Extract())
	}
	pages := 0
	many := s.count(networks.List(s.client, networks.ListOpts{Limit: 2, SortKey: "name", SortDir: "asc"}), func(page pagination.Page) (int, error) {
		pages++
		list, err := networks.ExtractNetworks(page)
		return len(list), err
	})
	expect(s, "networks by pages of two", many, 5)
	if pages < 3 {
		s.Errorf("%d pages", pages)
	}
	n = must[*networks.Network](s)(networks.Update(s.ctx, s.client, n.ID, networks.UpdateOpts{Name: to("m"), RevisionNumber: &n.RevisionNumber}).Extract())
	expect(s, "name", n.Name, "m")
	_, err := networks.Update(s.ctx, s.client, n.ID, networks.UpdateOpts{Name: to("x"), RevisionNumber: to(99)}).Extract()
	s.refused("a lost race", err, http.StatusPreconditionFailed)
	_, err = networks.Get(s.ctx, s.client, "00000000-0000-0000-0000-000000000000").Extract()
	s.refused("no such network", err, http.StatusNotFound)
	must[[]string](s)(attributestags.ReplaceAll(s.ctx, s.client, "networks", n.ID, attributestags.ReplaceAllOpts{Tags: []string{"a", "b"}}).Extract())
	s.ok("tag", attributestags.Add(s.ctx, s.client, "networks", n.ID, "c").ExtractErr())
	s.ok("untag", attributestags.Delete(s.ctx, s.client, "networks", n.ID, "a").ExtractErr())
	expect(s, "tagged", must[bool](s)(attributestags.Confirm(s.ctx, s.client, "networks", n.ID, "b").Extract()), true)
	expect(s, "tags", slices.Equal(must[[]string](s)(attributestags.List(s.ctx, s.client, "networks", n.ID).Extract()), []string{"b", "c"}), true)
	return n.ID
}

func (s stranger) subnets(net string) string {
	sub := must[*subnets.Subnet](s)(subnets.Create(s.ctx, s.client, subnets.CreateOpts{NetworkID: net, IPVersion: 4, CIDR: "10.0.0.0/24", DNSNameservers: []string{"192.0.2.53"}}).Extract())
	expect(s, "gateway", sub.GatewayIP, "10.0.0.1")
	expect(s, "pool", sub.AllocationPools[0], subnets.AllocationPool{Start: "10.0.0.2", End: "10.0.0.254"})
	sub = must[*subnets.Subnet](s)(subnets.Update(s.ctx, s.client, sub.ID, subnets.UpdateOpts{
		HostRoutes: &[]subnets.HostRoute{{DestinationCIDR: "10.9.0.0/16", NextHop: "10.0.0.9"}}, DNSNameservers: &[]string{},
	}).Extract())
	expect(s, "routes", len(sub.HostRoutes), 1)
	_, err := subnets.Create(s.ctx, s.client, subnets.CreateOpts{NetworkID: net, IPVersion: 4, CIDR: "10.0.0.0/25"}).Extract()
	s.refused("overlap", err, http.StatusBadRequest)
	return sub.ID
}

func (s stranger) security() string {
	g := must[*groups.SecGroup](s)(groups.Create(s.ctx, s.client, groups.CreateOpts{Name: "g"}).Extract())
	expect(s, "rules of a new group", len(g.Rules), 2)
	r := must[*rules.SecGroupRule](s)(rules.Create(s.ctx, s.client, rules.CreateOpts{SecGroupID: g.ID, Direction: rules.DirIngress, EtherType: rules.EtherType4, Protocol: rules.ProtocolTCP, PortRangeMin: 80, PortRangeMax: 90}).Extract())
	expect(s, "port", r.PortRangeMax, 90)
	bulk := must[[]rules.SecGroupRule](s)(rules.CreateBulk(s.ctx, s.client, []rules.CreateOpts{
		{SecGroupID: g.ID, Direction: rules.DirIngress, EtherType: rules.EtherType6, RemoteGroupID: g.ID},
		{SecGroupID: g.ID, Direction: rules.DirIngress, EtherType: rules.EtherType4, RemoteIPPrefix: "192.0.2.0/24"},
	}).Extract())
	expect(s, "rules at once", len(bulk), 2)
	_, err := rules.Create(s.ctx, s.client, rules.CreateOpts{SecGroupID: g.ID, Direction: rules.DirIngress, EtherType: rules.EtherType4, Protocol: rules.ProtocolTCP, PortRangeMin: 80, PortRangeMax: 90}).Extract()
	s.refused("the same rule", err, http.StatusConflict)
	s.ok("delete a rule", rules.Delete(s.ctx, s.client, r.ID).ExtractErr())
	a := must[*addressgroups.AddressGroup](s)(addressgroups.Create(s.ctx, s.client, addressgroups.CreateOpts{Name: "a", Addresses: []string{"10.0.0.0/8"}}).Extract())
	a = must[*addressgroups.AddressGroup](s)(addressgroups.AddAddresses(s.ctx, s.client, a.ID, addressgroups.UpdateAddressesOpts{Addresses: []string{"192.0.2.1/32"}}).Extract())
	expect(s, "addresses", len(a.Addresses), 2)
	a = must[*addressgroups.AddressGroup](s)(addressgroups.RemoveAddresses(s.ctx, s.client, a.ID, addressgroups.UpdateAddressesOpts{Addresses: []string{"192.0.2.1/32"}}).Extract())
	expect(s, "addresses", len(a.Addresses), 1)
	s.ok("delete an address group", addressgroups.Delete(s.ctx, s.client, a.ID).ExtractErr())
	return g.ID
}

func (s stranger) ports(net, sub, group string) {
	p := must[*ports.Port](s)(ports.Create(s.ctx, s.client, ports.CreateOpts{
		NetworkID: net, FixedIPs: []ports.IP{{SubnetID: sub, IPAddress: "10.0.0.50"}}, SecurityGroups: &[]string{group},
		AllowedAddressPairs: []ports.AddressPair{{IPAddress: "10.0.0.0/24"}},
	}).Extract())
	expect(s, "address", p.FixedIPs[0].IPAddress, "10.0.0.50")
	p = must[*ports.Port](s)(ports.Update(s.ctx, s.client, p.ID, ports.UpdateOpts{FixedIPs: []ports.IP{{SubnetID: sub}}, SecurityGroups: &[]string{}, AllowedAddressPairs: &[]ports.AddressPair{}}).Extract())
	expect(s, "groups and pairs", len(p.SecurityGroups)+len(p.AllowedAddressPairs), 0)
	var bound struct {
		ports.Port
		portsbinding.PortsBindingExt
	}
	s.ok("bind", ports.Create(s.ctx, s.client, portsbinding.CreateOptsExt{CreateOptsBuilder: ports.CreateOpts{NetworkID: net}, HostID: "nowhere"}).ExtractInto(&bound))
	expect(s, "binding", bound.VIFType+" "+bound.HostID+" "+bound.VNICType, "binding_failed nowhere normal")
	here := s.count(ports.List(s.client, ports.ListOpts{NetworkID: net, FixedIPs: []ports.FixedIPOpts{{SubnetID: sub}}}), func(page pagination.Page) (int, error) {
		list, err := ports.ExtractPorts(page)
		return len(list), err
	})
	expect(s, "ports by subnet", here, 2)
	s.ok("delete a port", ports.Delete(s.ctx, s.client, bound.ID).ExtractErr())
	ip := must[*networkipavailabilities.NetworkIPAvailability](s)(networkipavailabilities.Get(s.ctx, s.client, net).Extract())
	expect(s, "used addresses", ip.UsedIPs, "1")
}

func (s stranger) pools() {
	scope := must[*addressscopes.AddressScope](s)(addressscopes.Create(s.ctx, s.client, addressscopes.CreateOpts{Name: "s", IPVersion: 4}).Extract())
	pool := must[*subnetpools.SubnetPool](s)(subnetpools.Create(s.ctx, s.client, subnetpools.CreateOpts{Name: "p", Prefixes: []string{"10.128.0.0/16"}, MinPrefixLen: 20, DefaultPrefixLen: 24, AddressScopeID: scope.ID}).Extract())
	expect(s, "prefix length", pool.DefaultPrefixLen, 24)
	expect(s, "prefixes", len(must[[]string](s)(subnetpools.AddPrefixes(s.ctx, s.client, pool.ID, subnetpools.PrefixesOpsOpts{Prefixes: []string{"10.130.0.0/16"}}).Extract())), 2)
	pool = must[*subnetpools.SubnetPool](s)(subnetpools.Update(s.ctx, s.client, pool.ID, subnetpools.UpdateOpts{Name: "q", MaxPrefixLen: 28}).Extract())
	expect(s, "prefix length", pool.MaxPrefixLen, 28)
	n := must[*networks.Network](s)(networks.Create(s.ctx, s.client, networks.CreateOpts{Name: "pooled"}).Extract())
	sub := must[*subnets.Subnet](s)(subnets.Create(s.ctx, s.client, subnets.CreateOpts{NetworkID: n.ID, IPVersion: 4, SubnetPoolID: pool.ID}).Extract())
	expect(s, "the pool's first", sub.CIDR, "10.128.0.0/24")
	s.refused("a pool in use", subnetpools.Delete(s.ctx, s.client, pool.ID).ExtractErr(), http.StatusBadRequest)
}

func (s stranger) routers(net, sub string) string {
	var ext struct {
		networks.Network
		external.NetworkExternalExt
		provider.NetworkProviderExt
	}
	s.ok("an external network", networks.Create(s.ctx, s.client, external.CreateOptsExt{CreateOptsBuilder: networks.CreateOpts{Name: "ext"}, External: to(true)}).ExtractInto(&ext))
	expect(s, "external", ext.External, true)
	must[*subnets.Subnet](s)(subnets.Create(s.ctx, s.client, subnets.CreateOpts{NetworkID: ext.ID, IPVersion: 4, CIDR: "203.0.113.0/24", EnableDHCP: to(false)}).Extract())
	r := must[*routers.Router](s)(routers.Create(s.ctx, s.client, routers.CreateOpts{Name: "r", GatewayInfo: &routers.GatewayInfo{NetworkID: ext.ID}}).Extract())
	expect(s, "gateway", len(r.GatewayInfo.ExternalFixedIPs), 1)
	leg := must[*routers.InterfaceInfo](s)(routers.AddInterface(s.ctx, s.client, r.ID, routers.AddInterfaceOpts{SubnetID: sub}).Extract())
	expect(s, "interface", leg.SubnetID, sub)
	r = must[*routers.Router](s)(extraroutes.Add(s.ctx, s.client, r.ID, extraroutes.Opts{Routes: &[]routers.Route{{DestinationCIDR: "172.16.0.0/16", NextHop: "10.0.0.9"}}}).Extract())
	expect(s, "routes", len(r.Routes), 1)
	_, err := routers.RemoveInterface(s.ctx, s.client, r.ID, routers.RemoveInterfaceOpts{SubnetID: sub}).Extract()
	s.refused("the next hop's interface", err, http.StatusConflict)
	r = must[*routers.Router](s)(routers.Update(s.ctx, s.client, r.ID, routers.UpdateOpts{Routes: &[]routers.Route{}}).Extract())
	expect(s, "routes", len(r.Routes), 0)

	p := must[*ports.Port](s)(ports.Create(s.ctx, s.client, ports.CreateOpts{NetworkID: net}).Extract())
	f := must[*floatingips.FloatingIP](s)(floatingips.Create(s.ctx, s.client, floatingips.CreateOpts{FloatingNetworkID: ext.ID, PortID: p.ID}).Extract())
	expect(s, "router", f.RouterID, r.ID)
	f = must[*floatingips.FloatingIP](s)(floatingips.Update(s.ctx, s.client, f.ID, floatingips.UpdateOpts{PortID: new(string)}).Extract())
	expect(s, "port after disassociation", f.PortID, "")
	pf := must[*portforwarding.PortForwarding](s)(portforwarding.Create(s.ctx, s.client, f.ID, portforwarding.CreateOpts{InternalPortID: p.ID, InternalIPAddress: p.FixedIPs[0].IPAddress, InternalPort: 80, ExternalPort: 8080, Protocol: "tcp"}).Extract())
	pf = must[*portforwarding.PortForwarding](s)(portforwarding.Update(s.ctx, s.client, f.ID, pf.ID, portforwarding.UpdateOpts{ExternalPort: 8081}).Extract())
	expect(s, "external port", pf.ExternalPort, 8081)
	s.ok("delete a port forwarding", portforwarding.Delete(s.ctx, s.client, f.ID, pf.ID).ExtractErr())
	s.ok("delete a floating IP", floatingips.Delete(s.ctx, s.client, f.ID).ExtractErr())
	must[*routers.InterfaceInfo](s)(routers.RemoveInterface(s.ctx, s.client, r.ID, routers.RemoveInterfaceOpts{PortID: leg.PortID}).Extract())
	s.ok("delete a router", routers.Delete(s.ctx, s.client, r.ID).ExtractErr())
	return ext.ID
}

func (s stranger) trunks(net string) {
	port := func() string {
		return must[*ports.Port](s)(ports.Create(s.ctx, s.client, ports.CreateOpts{NetworkID: net}).Extract()).ID
	}
	parent, one, two := port(), port(), port()
	t := must[*trunks.Trunk](s)(trunks.Create(s.ctx, s.client, trunks.CreateOpts{PortID: parent, Subports: []trunks.Subport{{PortID: one, SegmentationType: "vlan", SegmentationID: 1}}}).Extract())
	t = must[*trunks.Trunk](s)(trunks.AddSubports(s.ctx, s.client, t.ID, trunks.AddSubportsOpts{Subports: []trunks.Subport{{PortID: two, SegmentationType: "vlan", SegmentationID: 2}}}).Extract())
	expect(s, "subports", len(t.Subports), 2)
	var p struct {
		ports.Port
		trunk_details.TrunkDetailsExt
	}
	s.ok("the parent", ports.Get(s.ctx, s.client, parent).ExtractInto(&p))
	expect(s, "trunk of the parent", p.TrunkDetails.TrunkID, t.ID)
	t = must[*trunks.Trunk](s)(trunks.RemoveSubports(s.ctx, s.client, t.ID, trunks.RemoveSubportsOpts{Subports: []trunks.RemoveSubport{{PortID: two}}}).Extract())
	expect(s, "subports", len(t.Subports), 1)
	expect(s, "subports", len(must[[]trunks.Subport](s)(trunks.GetSubports(s.ctx, s.client, t.ID).Extract())), 1)
	s.ok("delete a trunk", trunks.Delete(s.ctx, s.client, t.ID).ExtractErr())
}

func (s stranger) qos(net string) {
	p := must[*policies.Policy](s)(policies.Create(s.ctx, s.client, policies.CreateOpts{Name: "q"}).Extract())
	r := must[*qosrules.BandwidthLimitRule](s)(qosrules.CreateBandwidthLimitRule(s.ctx, s.client, p.ID, qosrules.CreateBandwidthLimitRuleOpts{MaxKBps: 100}).ExtractBandwidthLimitRule())
	r = must[*qosrules.BandwidthLimitRule](s)(qosrules.UpdateBandwidthLimitRule(s.ctx, s.client, p.ID, r.ID, qosrules.UpdateBandwidthLimitRuleOpts{MaxBurstKBps: to(50)}).ExtractBandwidthLimitRule())
	expect(s, "burst", r.MaxBurstKBps, 50)
	must[*qosrules.DSCPMarkingRule](s)(qosrules.CreateDSCPMarkingRule(s.ctx, s.client, p.ID, qosrules.CreateDSCPMarkingRuleOpts{DSCPMark: 10}).ExtractDSCPMarkingRule())
	must[*qosrules.MinimumBandwidthRule](s)(qosrules.CreateMinimumBandwidthRule(s.ctx, s.client, p.ID, qosrules.CreateMinimumBandwidthRuleOpts{MinKBps: 10}).ExtractMinimumBandwidthRule())
	p = must[*policies.Policy](s)(policies.Get(s.ctx, s.client, p.ID).Extract())
	expect(s, "rules", len(p.Rules), 3)
	must[*networks.Network](s)(networks.Update(s.ctx, s.client, net, policies.NetworkUpdateOptsExt{UpdateOptsBuilder: networks.UpdateOpts{}, QoSPolicyID: &p.ID}).Extract())
	s.refused("a policy in use", policies.Delete(s.ctx, s.client, p.ID).ExtractErr(), http.StatusConflict)
}

// others are sharing, quotas, agents and segments.
func (s stranger) others(net, outside string) {
	share := must[*rbacpolicies.RBACPolicy](s)(rbacpolicies.Create(s.ctx, s.client, rbacpolicies.CreateOpts{Action: rbacpolicies.ActionAccessShared, ObjectType: "network", TargetTenant: demo.ProjectID, ObjectID: net}).Extract())
	share = must[*rbacpolicies.RBACPolicy](s)(rbacpolicies.Update(s.ctx, s.client, share.ID, rbacpolicies.UpdateOpts{TargetTenant: admin.ProjectID}).Extract())
	expect(s, "target", share.TargetTenant, admin.ProjectID)
	s.ok("delete a share", rbacpolicies.Delete(s.ctx, s.client, share.ID).ExtractErr())
	q := must[*quotas.Quota](s)(quotas.Update(s.ctx, s.client, demo.ProjectID, quotas.UpdateOpts{Network: to(7)}).Extract())
	expect(s, "limits", [2]int{q.Network, q.Port}, [2]int{7, 500})
	d := must[*quotas.QuotaDetailSet](s)(quotas.GetDetail(s.ctx, s.client, demo.ProjectID).Extract())
	expect(s, "limit", d.Network.Limit, 7)
	s.ok("the quota's default", quotas.Delete(s.ctx, s.client, demo.ProjectID).ExtractErr())
	s.count(agents.List(s.client, agents.ListOpts{}), func(page pagination.Page) (int, error) {
		list, err := agents.ExtractAgents(page)
		return len(list), err
	})
	seg := must[*segments.Segment](s)(segments.Create(s.ctx, s.client, segments.CreateOpts{NetworkID: outside, NetworkType: "vxlan", SegmentationID: 4711}).Extract())
	seg = must[*segments.Segment](s)(segments.Update(s.ctx, s.client, seg.ID, segments.UpdateOpts{Name: to("rack")}).Extract())
	expect(s, "segment", seg.Name, "rack")
	s.ok("delete a segment", segments.Delete(s.ctx, s.client, seg.ID).ExtractErr())
}
