package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"neutrino/engine"
	"neutrino/policy"
	"neutrino/service/agent"
	"neutrino/store/storetest"
)

// open gives all services on a fresh database.
func open(t testing.TB) *Services {
	t.Helper()
	return openWith(t, func(*ServiceOptions) {})
}

// openWith is open with other options.
func openWith(t testing.TB, change func(o *ServiceOptions)) *Services {
	t.Helper()
	options := DefaultServices()
	change(&options)
	rules, err := policy.Neutron()
	if err != nil {
		t.Fatal(err)
	}
	enforcer, err := policy.New(rules)
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenServices(context.Background(), Database{Source: storetest.Empty(t), AutoUpgrade: true}, enforcer, options, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Engine.DB.Close() })
	return s
}

var (
	admin = &policy.Credentials{UserID: "u0", ProjectID: "11111111111111111111111111111111", Roles: []string{"admin", "manager", "member", "reader"}}
	demo  = &policy.Credentials{UserID: "u1", ProjectID: "22222222222222222222222222222222", Roles: []string{"member", "reader"}}
)

// create posts body and gives the made object.
func create(t testing.TB, col engine.Collection, as *policy.Credentials, body string) map[string]any {
	t.Helper()
	b, err := col.Create(context.Background(), as, parse(t, body))
	if err != nil {
		t.Fatalf("create %s: %v", body, err)
	}
	return inner(t, b)
}

func parse(t testing.TB, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func inner(t testing.TB, b []byte) map[string]any {
	t.Helper()
	var m map[string]map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	for _, v := range m {
		return v
	}
	return nil
}

// hosts reports agents of all roles from hosts.
func hosts(t testing.TB, s *Services, names ...string) {
	t.Helper()
	for _, name := range names {
		err := s.Agents.Heartbeat(context.Background(), s.Engine, name, []agent.State{
			{Type: agent.OpenVSwitch, Started: time.Now(), Configurations: map[string]any{"tunnel_types": []any{"vxlan"}, "bridge_mappings": map[string]any{"physnet1": "br-ex"}}},
			{Type: agent.DHCP, Started: time.Now()}, {Type: agent.L3, Started: time.Now()},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestRingOfResources(t *testing.T) {
	s := open(t)
	hosts(t, s, "h1", "h2")
	n := create(t, s.Network.Networks, demo, `{"network": {"name": "n1"}}`)
	if n["mtu"].(float64) != 1450 || n["provider:network_type"] != nil {
		t.Fatalf("network as a member sees it: %v", n)
	}
	sub := create(t, s.Network.Subnets, demo, `{"subnet": {"network_id": "`+n["id"].(string)+`", "ip_version": 4, "cidr": "10.0.0.5/24"}}`)
	if sub["cidr"] != "10.0.0.0/24" || sub["gateway_ip"] != "10.0.0.1" {
		t.Fatalf("subnet: %v", sub)
	}
	p := create(t, s.Network.Ports, demo, `{"port": {"network_id": "`+n["id"].(string)+`", "name": "p1"}}`)
	if len(p["fixed_ips"].([]any)) != 1 || len(p["security_groups"].([]any)) != 1 {
		t.Fatalf("port: %v", p)
	}
	ext := create(t, s.Network.Networks, admin, `{"network": {"name": "ext", "router:external": true, "provider:network_type": "flat", "provider:physical_network": "physnet1"}}`)
	create(t, s.Network.Subnets, admin, `{"subnet": {"network_id": "`+ext["id"].(string)+`", "ip_version": 4, "cidr": "203.0.113.0/24", "enable_dhcp": false}}`)
	r := create(t, s.Router.Routers, demo, `{"router": {"name": "r1", "external_gateway_info": {"network_id": "`+ext["id"].(string)+`"}}}`)
	if r["external_gateway_info"].(map[string]any)["enable_snat"] != true {
		t.Fatalf("router: %v", r)
	}
	_, b, err := s.Router.Routers.Act(context.Background(), demo, r["id"].(string), "add_router_interface", parse(t, `{"subnet_id": "`+sub["id"].(string)+`"}`), engine.Input{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", b)
	f := create(t, s.Router.FloatingIPs, demo, `{"floatingip": {"floating_network_id": "`+ext["id"].(string)+`", "port_id": "`+p["id"].(string)+`"}}`)
	if f["router_id"] != r["id"] || f["fixed_ip_address"] == nil {
		t.Fatalf("floating IP: %v", f)
	}
	var out strings.Builder
	if err := s.Network.Ports.List(context.Background(), admin, engine.Query{}, &out); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	if err := s.Network.Ports.Delete(context.Background(), demo, p["id"].(string), ""); err != nil {
		t.Fatal(err)
	}
	b, err = s.Router.FloatingIPs.Show(context.Background(), demo, f["id"].(string), engine.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if f := inner(t, b); f["port_id"] != nil || f["router_id"] != nil {
		t.Fatalf("after its port has gone: %v", f)
	}
}

func parseQuery(text string) (url.Values, error) { return url.ParseQuery(text) }
