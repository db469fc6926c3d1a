package server

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"neutrino/desired"
	"neutrino/hub"
)

// TestLimitsOfRouters: a host hears what limits hold for what has an address outside, and when a policy changes that is
// theirs by themselves or by their external network.
func TestLimitsOfRouters(t *testing.T) {
	s, kept := open(t), map[string]string{}
	hosts(t, s, "h1", "h2")
	rule := func(policy, kbps string) step {
		return step{do: "POST /qos/policies/$" + policy + "/bandwidth_limit_rules", body: `{"bandwidth_limit_rule": {"max_kbps": ` + kbps + `}}`, status: 201, keep: policy + "rule"}
	}
	tellOn(t, s, kept, onShores(
		step{do: "POST /qos/policies", body: `{"policy": {"name": "own"}}`, status: 201, keep: "own"}, rule("own", "1"),
		step{do: "POST /qos/policies", body: `{"policy": {"name": "way"}}`, status: 201, keep: "way"}, rule("way", "2"),
		step{do: "POST /qos/policies", body: `{"policy": {"name": "world"}}`, status: 201, keep: "world"}, rule("world", "3"),
		step{do: "PUT /routers/$router/add_external_gateways", body: gateways(onEast + `, ` + onWest), status: 200},
		step{do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$east", "port_id": "$one"}}`, status: 201, keep: "fip"},
	))
	heard := func(after string, policies []string, want string) {
		t.Helper()
		facts, err := newSource(s).Some(t.Context(), hub.Wanted{Policies: policies})
		if err != nil {
			t.Fatal(err)
		}
		got := "nothing"
		if len(facts.Routers) == 1 {
			kbps := func(q *desired.QoS) string {
				if q == nil {
					return "-"
				}
				return fmt.Sprint(q.Egress.Kbps)
			}
			r := facts.Routers[0]
			got = fmt.Sprintf("east %s, west %s, floating %s", kbps(r.Gateway.QoS), kbps(r.Further[0].QoS), kbps(r.FloatingIPs[0].QoS))
		}
		if got != want {
			t.Errorf("%s: %s, want %s", after, got, want)
		}
	}
	own, way, world := []string{kept["own"]}, []string{kept["way"]}, []string{kept["world"]}
	heard("nobody has a policy", slices.Concat(own, way, world), "nothing")
	tellOn(t, s, kept, []step{{do: "PUT /networks/$west", body: `{"network": {"qos_policy_id": "$world"}}`, status: 200}})
	heard("one network has one", world, "east -, west 3, floating -")
	tellOn(t, s, kept, []step{{do: "PUT /networks/$east", body: `{"network": {"qos_policy_id": "$world"}}`, status: 200}})
	heard("both networks have", world, "east 3, west 3, floating 3")
	heard("others are not asked for", slices.Concat(own, way), "nothing")
	tellOn(t, s, kept, []step{{do: "PUT /floatingips/$fip", body: `{"floatingip": {"qos_policy_id": "$own"}}`, status: 200}})
	heard("the floating IP has one", own, "east 3, west 3, floating 1")
	tellOn(t, s, kept, []step{{do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": {"network_id": "$east", "qos_policy_id": "$way"}}}`, status: 200}})
	heard("the router has one", way, "east 2, west 2, floating 1")
	tellOn(t, s, kept, []step{{do: "PUT /qos/policies/$own/bandwidth_limit_rules/$ownrule", body: `{"bandwidth_limit_rule": {"max_kbps": 9}}`, status: 200}})
	heard("a rule changed", own, "east 2, west 2, floating 9")
	tellOn(t, s, kept, []step{{do: "DELETE /qos/policies/$own/bandwidth_limit_rules/$ownrule", status: 204}})
	heard("a policy without rules is one all the same", own, "east 2, west 2, floating 0")

	tellOn(t, s, kept, []step{{do: "POST /routers", body: `{"router": {"name": "without anything"}}`, status: 201, keep: "bare"}})
	all, _, err := newSource(s).All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{kept["router"], kept["bare"]} {
		one, err := newSource(s).Some(t.Context(), hub.Wanted{Routers: []string{id}})
		if err != nil || len(one.Routers) != 1 {
			t.Fatal(one, err)
		}
		if !slices.ContainsFunc(all.Routers, func(r *desired.Router) bool { return reflect.DeepEqual(r, one.Routers[0]) }) {
			t.Errorf("read with all others router %s is another than %+v", id, one.Routers[0])
		}
	}
}

// TestProxiedOfRouters: a host hears for which addresses a router answers outside, and whether it does.
func TestProxiedOfRouters(t *testing.T) {
	s, kept := open(t), map[string]string{}
	hosts(t, s, "h1", "h2")
	proxied := func() *desired.Proxied {
		t.Helper()
		facts, err := newSource(s).Some(t.Context(), hub.Wanted{Routers: []string{kept["router"]}})
		if err != nil || len(facts.Routers) != 1 {
			t.Fatal(facts, err)
		}
		return facts.Routers[0].Proxied
	}
	tellOn(t, s, kept, []step{
		{do: "POST /address-scopes", body: `{"address_scope": {"name": "s", "ip_version": 6, "shared": true}}`, status: 201, keep: "scope"},
		{do: "POST /subnetpools", body: `{"subnetpool": {"name": "p", "prefixes": ["2001:db8::/32"], "default_prefixlen": 64, "address_scope_id": "$scope", "shared": true}}`, status: 201, keep: "pool"},
		{do: "POST /networks", body: `{"network": {"router:external": true}}`, status: 201, keep: "ext"},
		{do: "POST /subnets", body: `{"subnet": {"network_id": "$ext", "ip_version": 6, "subnetpool_id": "$pool", "enable_dhcp": false}}`, status: 201},
		{as: "demo", do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "net"},
		{as: "demo", do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 6, "subnetpool_id": "$pool"}}`, status: 201, keep: "sub"},
		{as: "demo", do: "POST /routers", body: `{"router": {"external_gateway_info": {"network_id": "$ext"}}}`, status: 201, keep: "router"},
		{as: "demo", do: "PUT /routers/$router/add_router_interface", body: `{"subnet_id": "$sub"}`, status: 200},
		{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net"}}`, status: 201, keep: "one"},
	})
	if p := proxied(); p != nil {
		t.Errorf("it answers for %+v though it was not asked to", p)
	}
	tellOn(t, s, kept, []step{{as: "demo", do: "PUT /routers/$router", body: `{"router": {"enable_ndp_proxy": true}}`, status: 200}})
	if p := proxied(); p == nil || p.Addresses != nil {
		t.Errorf("it may answer, and for nobody yet: %+v", p)
	}
	tellOn(t, s, kept, []step{{as: "demo", do: "POST /ndp_proxies", body: `{"ndp_proxy": {"router_id": "$router", "port_id": "$one"}}`, status: 201, keep: "proxy"}})
	p := proxied()
	if p == nil || len(p.Addresses) != 1 || !netip.MustParsePrefix("2001:db8::/32").Contains(p.Addresses[0]) {
		t.Errorf("it answers for %+v", p)
	}
	tellOn(t, s, kept, []step{{as: "demo", do: "DELETE /ndp_proxies/$proxy", status: 204}})
	if p := proxied(); p == nil || p.Addresses != nil {
		t.Errorf("it still answers for %+v", p)
	}
}
