package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/policy"
)

// service is Nova: a caller with the role service.
var service = &policy.Credentials{UserID: "u2", ProjectID: "33333333333333333333333333333333", Roles: []string{"admin", "manager", "member", "reader", "service"}}

// refused holds an error against a status and type.
func refused(t *testing.T, what string, err error, status int, kind string) {
	t.Helper()
	e, ok := fault.As(err)
	if !ok || e.Status != status || e.Type != kind {
		t.Errorf("%s: got %v, want %d %s", what, err, status, kind)
	}
}

// change puts body and gives the changed object.
func change(t testing.TB, col engine.Collection, as *policy.Credentials, id, body string) map[string]any {
	t.Helper()
	b, err := col.Update(context.Background(), as, id, parse(t, body), "")
	if err != nil {
		t.Fatalf("update %s: %v", body, err)
	}
	return inner(t, b)
}

func text(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPortExtras holds the attributes of further extensions against what the original shows of them.
func TestPortExtras(t *testing.T) {
	s := open(t)
	hosts(t, s, "h1")
	n := create(t, s.Network.Networks, demo, `{"network": {}}`)["id"].(string)
	ports := s.Network.Ports
	fresh := create(t, ports, admin, `{"port": {"network_id": "`+n+`"}}`)
	for name, want := range map[string]string{
		"data_plane_status": "null", "device_profile": "null", "hardware_offload_type": "null", "hints": "null",
		"numa_affinity_policy": "null", "propagate_uplink_status": "true", "trusted": "null", "dns_domain": `""`, "binding:profile": "{}",
	} {
		if got, there := fresh[name]; !there || text(t, got) != want {
			t.Errorf("fresh port: %s is %s, want %s", name, text(t, got), want)
		}
	}
	for _, c := range []struct {
		name, body, attribute, want string
		status                      int
		kind                        string
		as                          *policy.Credentials
	}{
		{name: "profile of a device", body: `"device_profile": "gpu"`, attribute: "device_profile", want: `"gpu"`},
		{name: "numa", body: `"numa_affinity_policy": "socket"`, attribute: "numa_affinity_policy", want: `"socket"`},
		{name: "numa unknown", body: `"numa_affinity_policy": "zz"`, status: 400, kind: "HTTPBadRequest"},
		{name: "offload", body: `"hardware_offload_type": "switchdev"`, attribute: "binding:profile", want: `{"capabilities":["switchdev"]}`, as: admin},
		{name: "offload unknown", body: `"hardware_offload_type": "zz"`, status: 400, kind: "HTTPBadRequest"},
		{name: "no offload is not said by null", body: `"hardware_offload_type": null`, status: 400, kind: "HTTPBadRequest"},
		{name: "trusted", body: `"trusted": true`, attribute: "binding:profile", want: `{"trusted":true}`, as: admin},
		{name: "trusted shown", body: `"trusted": false`, attribute: "trusted", want: "false", as: admin},
		{name: "trusted by a member", body: `"trusted": true`, status: 403, kind: "PolicyNotAuthorized"},
		{name: "trusted is no word", body: `"trusted": "zz"`, status: 400, kind: "HTTPBadRequest", as: admin},
		{name: "hints", body: `"hints": {"openvswitch": {"other_config": {"tx-steering": "hash"}}}`, attribute: "hints", want: `{"openvswitch":{"other_config":{"tx-steering":"hash"}}}`, as: admin},
		{name: "hints by a member", body: `"hints": {}`, status: 403, kind: "PolicyNotAuthorized"},
		{name: "hints unknown", body: `"hints": {"zz": {}}`, status: 400, kind: "HTTPBadRequest", as: admin},
		{name: "hints of a wrong shape", body: `"hints": {"openvswitch": 5}`, status: 400, kind: "HTTPBadRequest", as: admin},
		{name: "hints value", body: `"hints": {"openvswitch": {"other_config": {"tx-steering": "zz"}}}`, status: 400, kind: "HTTPBadRequest", as: admin},
		{name: "no propagation", body: `"propagate_uplink_status": false`, attribute: "propagate_uplink_status", want: "false"},
		{name: "data plane on create", body: `"data_plane_status": "DOWN"`, status: 400, kind: "HTTPBadRequest", as: admin},
		{name: "domain", body: `"dns_domain": "Example.org."`, attribute: "dns_domain", want: `"example.org."`},
		{name: "domain with a keyword", body: `"dns_domain": "<project_id>.example.org."`, attribute: "dns_domain", want: `"\u003cproject_id\u003e.example.org."`},
		{name: "domain with an unknown keyword", body: `"dns_domain": "<zz>.example.org."`, status: 400, kind: "HTTPBadRequest"},
		{name: "domain without its dot", body: `"dns_domain": "example.org"`, status: 400, kind: "HTTPBadRequest"},
		{name: "tags", body: `"tags": ["a"]`, attribute: "tags", want: `["a"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			as := c.as
			if as == nil {
				as = demo
			}
			body := `{"port": {"network_id": "` + n + `", ` + c.body + `}}`
			if c.status != 0 {
				_, err := ports.Create(context.Background(), as, parse(t, body))
				refused(t, body, err, c.status, c.kind)
				return
			}
			if got := text(t, create(t, ports, as, body)[c.attribute]); got != c.want {
				t.Errorf("%s: %s is %s, want %s", body, c.attribute, got, c.want)
			}
		})
	}
}

func TestPortExtrasUpdate(t *testing.T) {
	s := open(t)
	hosts(t, s, "h1")
	n := create(t, s.Network.Networks, demo, `{"network": {}}`)["id"].(string)
	ports := s.Network.Ports
	p := create(t, ports, demo, `{"port": {"network_id": "`+n+`", "device_profile": "gpu"}}`)["id"].(string)
	put := func(as *policy.Credentials, body string) error {
		_, err := ports.Update(context.Background(), as, p, parse(t, body), "")
		return err
	}
	refused(t, "data plane status by the owner", put(demo, `{"port": {"data_plane_status": "DOWN"}}`), 403, "PolicyNotAuthorized")
	if got := change(t, ports, admin, p, `{"port": {"data_plane_status": "DOWN"}}`)["data_plane_status"]; got != "DOWN" {
		t.Errorf("data plane status %v", got)
	}
	if got := change(t, ports, admin, p, `{"port": {"data_plane_status": null}}`)["data_plane_status"]; got != nil {
		t.Errorf("data plane status %v", got)
	}
	refused(t, "data plane status", put(admin, `{"port": {"data_plane_status": "zz"}}`), 400, "HTTPBadRequest")
	refused(t, "device profile", put(admin, `{"port": {"device_profile": "x"}}`), 400, "HTTPBadRequest")
	if got := change(t, ports, demo, p, `{"port": {"propagate_uplink_status": false}}`)["propagate_uplink_status"]; got != false {
		t.Errorf("propagate_uplink_status %v", got)
	}
	if got := change(t, ports, demo, p, `{"port": {"numa_affinity_policy": "legacy"}}`)["numa_affinity_policy"]; got != "legacy" {
		t.Errorf("numa_affinity_policy %v", got)
	}
	change(t, ports, admin, p, `{"port": {"binding:host_id": "h1"}}`)
	refused(t, "numa of a bound port", put(demo, `{"port": {"numa_affinity_policy": "required"}}`), 409, "PortBoundNUMAAffinityPolicy")
	mac := change(t, ports, admin, create(t, ports, demo, `{"port": {"network_id": "`+n+`", "mac_address": "fa:16:3e:00:00:01"}}`)["id"].(string), `{"port": {"mac_address": null}}`)["mac_address"]
	if mac == "fa:16:3e:00:00:01" || len(fmt.Sprint(mac)) != 17 {
		t.Errorf("the regenerated MAC is %v", mac)
	}
}

// TestBindings moves an instance's port from host to host as Nova does.
func TestBindings(t *testing.T) {
	s := open(t)
	hosts(t, s, "h1", "h2", "h3")
	ctx := context.Background()
	n := create(t, s.Network.Networks, demo, `{"network": {}}`)["id"].(string)
	id := create(t, s.Network.Ports, service, `{"port": {"network_id": "`+n+`", "device_owner": "compute:nova", "binding:host_id": "h1", "binding:profile": {"a": 1}, "trusted": true}}`)["id"].(string)
	at := engine.WithParent(ctx, id)
	b := s.Network.Bindings
	list := func() string {
		t.Helper()
		var out strings.Builder
		if err := b.List(at, service, engine.Query{Values: url.Values{"fields": {"host", "status", "vif_type"}, "sort_key": {"host"}, "sort_dir": {"asc"}}}, &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	post := func(ctx context.Context, as *policy.Credentials, body string) (map[string]any, error) {
		made, err := b.Create(ctx, as, parse(t, body))
		if err != nil {
			return nil, err
		}
		return inner(t, made), nil
	}
	if got, want := list(), `{"bindings": [{"host": "h1", "vif_type": "ovs", "status": "ACTIVE"}]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}

	_, err := post(at, admin, `{"binding": {"host": "h2"}}`)
	refused(t, "by an administrator without the role service", err, 403, "PolicyNotAuthorized")
	_, err = post(at, service, `{"binding": {}}`)
	refused(t, "no host", err, 400, "HTTPBadRequest")
	_, err = post(at, service, `{"binding": {"host": "h1"}}`)
	refused(t, "a host again", err, 409, "PortBindingAlreadyExists")
	_, err = post(at, service, `{"binding": {"host": "nowhere"}}`)
	refused(t, "a host without an agent", err, 500, "PortBindingError")
	_, err = post(at, service, `{"binding": {"host": "h2", "vnic_type": "direct"}}`)
	refused(t, "a way to plug that the driver can't", err, 500, "PortBindingError")
	plain := create(t, s.Network.Ports, demo, `{"port": {"network_id": "`+n+`"}}`)["id"].(string)
	_, err = post(engine.WithParent(ctx, plain), service, `{"binding": {"host": "h2"}}`)
	refused(t, "a port that is no instance's", err, 400, "BadRequest")
	_, err = post(engine.WithParent(ctx, n), service, `{"binding": {"host": "h2"}}`)
	refused(t, "no such port", err, 404, "PortNotFound")

	made, err := post(at, service, `{"binding": {"host": "h2", "profile": {"b": 2}}}`)
	if err != nil || made["status"] != "INACTIVE" || made["vif_type"] != "ovs" || text(t, made["profile"]) != `{"b":2,"trusted":true}` {
		t.Fatalf("%v %v", made, err)
	}
	if p := show(t, s.Network.Ports, service, id); p["binding:host_id"] != "h1" {
		t.Errorf("the port moved at once: %v", p["binding:host_id"])
	}
	_, _, err = b.Act(at, service, "h1", "activate", nil, engine.Input{})
	refused(t, "active already", err, 409, "PortBindingAlreadyActive")
	_, _, err = b.Act(at, service, "h3", "activate", nil, engine.Input{})
	refused(t, "no such binding", err, 404, "PortBindingNotFound")
	_, _, err = b.Act(at, admin, "h2", "activate", nil, engine.Input{})
	refused(t, "activated by an administrator", err, 403, "PolicyNotAuthorized")
	if _, err := b.Update(at, service, "h2", parse(t, `{"binding": {"profile": {"c": 3}}}`), ""); err != nil {
		t.Error(err)
	}
	status, answer, err := b.Act(at, service, "h2", "activate", nil, engine.Input{})
	if err != nil || status != 200 || !strings.Contains(string(answer), `"status": "ACTIVE"`) {
		t.Fatalf("%d %s %v", status, answer, err)
	}
	p := show(t, s.Network.Ports, service, id)
	if p["binding:host_id"] != "h2" || p["binding:vif_type"] != "ovs" || p["status"] != "DOWN" || text(t, p["binding:profile"]) != `{"c":3,"trusted":true}` {
		t.Errorf("the port after the move: %v", p)
	}
	if got, want := list(), `{"bindings": [{"host": "h1", "vif_type": "unbound", "status": "INACTIVE"}, {"host": "h2", "vif_type": "ovs", "status": "ACTIVE"}]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := b.Delete(at, service, "h1", ""); err != nil {
		t.Error(err)
	}
	refused(t, "gone", b.Delete(at, service, "h1", ""), 404, "PortBindingNotFound")
	if err := b.Delete(at, service, "h2", ""); err != nil {
		t.Error(err)
	}
	if got, want := list(), `{"bindings": []}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if p := show(t, s.Network.Ports, service, id); p["binding:host_id"] != "" || p["binding:vif_type"] != "unbound" {
		t.Errorf("a port without bindings: %v", p)
	}
	if made, err = post(at, service, `{"binding": {"host": "h3"}}`); err != nil || made["status"] != "ACTIVE" {
		t.Errorf("the first binding: %v %v", made, err)
	}
	if _, err = post(at, service, `{"binding": {"host": "h1"}}`); err != nil {
		t.Error(err)
	}
	change(t, s.Network.Ports, service, id, `{"port": {"binding:host_id": "h1"}}`)
	if got, want := list(), `{"bindings": [{"host": "h1", "vif_type": "ovs", "status": "ACTIVE"}]}`; got != want {
		t.Errorf("moved by the port's own host: got %s, want %s", got, want)
	}
	if err := s.Network.Ports.Delete(ctx, service, id, ""); err != nil {
		t.Error(err)
	}
}

// show gets an object.
func show(t testing.TB, col engine.Collection, as *policy.Credentials, id string) map[string]any {
	t.Helper()
	b, err := col.Show(context.Background(), as, id, engine.Query{})
	if err != nil {
		t.Fatalf("show %s: %v", id, err)
	}
	return inner(t, b)
}
