package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"neutrino/dataplane/ovndb"
	"neutrino/dataplane/ovndb/ovntest"
	"neutrino/engine"
	"neutrino/northbound"
	"neutrino/service/network"
)

// startOVN runs services with OVN's databases that know hosts, each a chassis for gateways on physnet1.
func startOVN(t *testing.T, hosts ...string) (*Services, *ovntest.Central, OVN) {
	t.Helper()
	return startMechanisms(t, []string{network.OVN}, hosts...)
}

// startMechanisms is startOVN with other mechanism drivers beside it.
func startMechanisms(t *testing.T, mechanisms []string, hosts ...string) (*Services, *ovntest.Central, OVN) {
	t.Helper()
	central := ovntest.Start(t, true)
	s := openWith(t, func(o *ServiceOptions) {
		o.Network.Mechanisms, o.Network.MetadataPorts, o.Network.ProjectTypes = mechanisms, true, []string{"geneve"}
	})
	at := DefaultOVN()
	at.North, at.South = ovndb.Options{Endpoints: []string{central.North()}}, ovndb.Options{Endpoints: []string{central.South()}}
	x := newOVN(s, at, 75*time.Second, slog.New(slog.NewTextHandler(t.Output(), nil)))
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = x.run(ctx) })
	t.Cleanup(func() { cancel(); group.Wait() })
	eventually(t, "the database is taken over", func() bool {
		return strings.Contains(central.NB(t, "get", "NB_Global", ".", "external_ids"), "neutrino:writes")
	})
	for i, h := range hosts {
		central.SB(t, "chassis-add", "chassis-"+h, "geneve", fmt.Sprintf("192.0.2.%d", i+1), "--", "set", "chassis", "chassis-"+h, "hostname="+h,
			"other_config:ovn-bridge-mappings=physnet1:br-ex", "other_config:ovn-cms-options=enable-chassis-as-gw")
	}
	return s, central, at
}

// TestRoundOVN goes once round with OVN: what users ask for becomes rows, and what hosts make of them status. Hosts
// are played by ovn-sbctl.
func TestRoundOVN(t *testing.T) {
	t.Parallel()
	s, central, at := startOVN(t, "h1", "h2")
	ctx := t.Context()
	type object = map[string]any
	show := func(col engine.Collection, id string) object {
		t.Helper()
		b, err := col.Show(ctx, admin, id, engine.Query{})
		if err != nil {
			t.Fatal(err)
		}
		return inner(t, b)
	}
	agents := func() (list []string) {
		var out strings.Builder
		if err := s.Agents.Agents.List(ctx, admin, engine.Query{}, &out); err != nil {
			t.Fatal(err)
		}
		for _, a := range parse(t, out.String()).(object)["agents"].([]any) {
			a := a.(object)
			list = append(list, a["id"].(string)+" "+a["agent_type"].(string)+" "+a["host"].(string))
		}
		slices.Sort(list)
		return list
	}
	eventually(t, "both hosts are agents", func() bool {
		return slices.Equal(agents(), []string{"chassis-h1 OVN Controller Gateway agent h1", "chassis-h2 OVN Controller Gateway agent h2"})
	})

	n := create(t, s.Network.Networks, demo, `{"network": {"name": "inner"}}`)["id"].(string)
	sub := create(t, s.Network.Subnets, demo, `{"subnet": {"network_id": "`+n+`", "ip_version": 4, "cidr": "10.0.0.0/24"}}`)["id"].(string)
	ext := create(t, s.Network.Networks, admin, `{"network": {"router:external": true, "provider:network_type": "flat", "provider:physical_network": "physnet1"}}`)["id"].(string)
	create(t, s.Network.Subnets, admin, `{"subnet": {"network_id": "`+ext+`", "ip_version": 4, "cidr": "203.0.113.0/24", "enable_dhcp": false}}`)
	p := create(t, s.Network.Ports, admin, `{"port": {"network_id": "`+n+`", "binding:host_id": "h1", "device_owner": "compute:nova", "device_id": "vm1"}}`)
	id := p["id"].(string)
	details := p["binding:vif_details"].(object)
	if p["binding:vif_type"] != "ovs" || details["bridge_name"] != "br-int" || details["ovs_hybrid_plug"] != false || details["bound_drivers"].(object)["0"] != "ovn" {
		t.Errorf("binding: %v %v", p["binding:vif_type"], details)
	}
	status := func() string { return show(s.Network.Ports, id)["status"].(string) }
	eventually(t, "the southbound database knows the port", func() bool {
		return strings.Contains(central.SB(t, "--columns=logical_port", "list", "Port_Binding"), id)
	})
	central.SB(t, "lsp-bind", id, "chassis-h1")
	eventually(t, "the port is ACTIVE", func() bool { return status() == "ACTIVE" })
	if _, err := s.Network.Ports.Update(ctx, admin, id, parse(t, `{"port": {"binding:host_id": "h2"}}`), ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the port is DOWN on its new host", func() bool {
		return status() == "DOWN" && strings.Contains(show(s.Network.Ports, id)["status_reason"].(string), "h2")
	})
	central.SB(t, "lsp-unbind", id, "--", "lsp-bind", id, "chassis-h2")
	eventually(t, "the port is ACTIVE there", func() bool { return status() == "ACTIVE" })

	policy := create(t, s.QoS.Policies, admin, `{"policy": {"name": "slow"}}`)["id"].(string)
	if _, err := s.Network.Ports.Update(ctx, admin, id, parse(t, `{"port": {"qos_policy_id": "`+policy+`"}}`), ""); err != nil {
		t.Fatal(err)
	}
	api := door(t, s)
	for _, rule := range []struct {
		kind, body string
		status     int
	}{{"bandwidth_limit", `{"max_kbps": 3000}`, 201}, {"packet_rate_limit", `{"max_kpps": 3}`, 409}} { // OVN has no limit of packets
		req := httptest.NewRequest(http.MethodPost, "/v2.0/qos/policies/"+policy+"/"+rule.kind+"_rules", strings.NewReader(`{"`+rule.kind+`_rule": `+rule.body+`}`))
		req.Header.Set("X-Auth-Token", "admin")
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, req)
		if answer.Code != rule.status {
			t.Errorf("%s: %d %s", rule.kind, answer.Code, answer.Body)
		}
	}
	eventually(t, "the port is limited", func() bool { return strings.Contains(central.NB(t, "qos-list", "neutron-"+n), "rate=3000") })

	r := create(t, s.Router.Routers, demo, `{"router": {"external_gateway_info": {"network_id": "`+ext+`"}}}`)["id"].(string)
	if _, _, err := s.Router.Routers.Act(ctx, demo, r, "add_router_interface", parse(t, `{"subnet_id": "`+sub+`"}`), engine.Input{}); err != nil {
		t.Fatal(err)
	}
	f := create(t, s.Router.FloatingIPs, admin, `{"floatingip": {"floating_network_id": "`+ext+`", "port_id": "`+id+`"}}`)
	eventually(t, "the floating IP is ACTIVE", func() bool { return show(s.Router.FloatingIPs, f["id"].(string))["status"] == "ACTIVE" })
	if out := central.NB(t, "lr-nat-list", "neutron-"+r); !strings.Contains(out, f["floating_ip_address"].(string)) || !strings.Contains(out, "snat") {
		t.Errorf("translations: %s", out)
	}
	get := func(path string) string {
		req := httptest.NewRequest(http.MethodGet, path, nil)
		req.Header.Set("X-Auth-Token", "admin")
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, req)
		return answer.Body.String()
	}
	gateway := parse(t, get("/v2.0/ports?device_owner=network:router_gateway")).(object)["ports"].([]any)[0].(object)["id"].(string)
	for _, h := range []string{"h1", "h2"} { // a gateway goes where OVN has it
		if h == "h2" {
			central.SB(t, "lsp-unbind", "cr-lrp-"+gateway)
		}
		central.SB(t, "lsp-bind", "cr-lrp-"+gateway, "chassis-"+h)
		eventually(t, "the gateway is on "+h, func() bool {
			p := show(s.Network.Ports, gateway)
			return p["binding:host_id"] == h && p["status"] == "ACTIVE"
		})
		states := map[string]any{}
		for _, a := range parse(t, get("/v2.0/routers/"+r+"/l3-agents")).(object)["agents"].([]any) {
			states[a.(object)["host"].(string)] = a.(object)["ha_state"]
		}
		if other := map[string]string{"h1": "h2", "h2": "h1"}[h]; len(states) != 2 || states[h] != "active" || states[other] != "standby" {
			t.Errorf("with its gateway on %s the router's agents are %v", h, states)
		}
		if out := get("/v2.0/agents/chassis-" + h + "/l3-routers"); !strings.Contains(out, r) {
			t.Errorf("routers on %s: %s", h, out)
		}
	}
	further := create(t, s.Network.Networks, admin, `{"network": {"router:external": true}}`)["id"].(string)
	create(t, s.Network.Subnets, admin, `{"subnet": {"network_id": "`+further+`", "ip_version": 4, "cidr": "192.0.2.0/24", "enable_dhcp": false}}`)
	if _, _, err := s.Router.Routers.Act(ctx, admin, r, "add_external_gateways", parse(t, `{"router": {"external_gateways": [{"network_id": "`+further+`"}]}}`), engine.Input{}); err != nil {
		t.Fatal(err)
	}
	second := parse(t, get("/v2.0/ports?device_owner=network:router_gateway&network_id="+further)).(object)["ports"].([]any)[0].(object)["id"].(string)
	eventually(t, "the southbound database knows the second gateway", func() bool {
		return strings.Contains(central.SB(t, "--columns=logical_port", "list", "Port_Binding"), "cr-lrp-"+second)
	})
	central.SB(t, "lsp-bind", "cr-lrp-"+second, "chassis-h1")
	eventually(t, "both hosts are active, each with a gateway", func() bool {
		return strings.Count(get("/v2.0/routers/"+r+"/l3-agents"), `"ha_state": "active"`) == 2
	})
	var list strings.Builder
	if err := s.Network.Ports.List(ctx, admin, engine.Query{}, &list); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(list.String(), "ovnmeta-"+n) {
		t.Error("the network has no metadata port")
	}
	eventually(t, "nothing differs", func() bool {
		found, err := CheckOVN(ctx, s, at, northbound.CheckOptions{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return len(found) == 0
	})
	if err := s.Network.Ports.Delete(ctx, admin, id, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the port's row is gone", func() bool { return !strings.Contains(central.NB(t, "lsp-list", "neutron-"+n), id) })
	if log := central.NorthdLog(t); log != "" {
		t.Errorf("ovn-northd complains:\n%s", log)
	}
}
