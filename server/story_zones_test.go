package server

import (
	"context"
	"testing"
	"time"

	"neutrino/engine"
	"neutrino/service/agent"
)

// inZones reports DHCP and L3 agents from hosts in zones.
func inZones(t testing.TB, s *Services, zones map[string]string) {
	t.Helper()
	for host, zone := range zones {
		err := s.Agents.Heartbeat(context.Background(), s.Engine, host, []agent.State{
			{Type: agent.OpenVSwitch, Started: time.Now(), Configurations: map[string]any{"tunnel_types": []any{"vxlan"}}},
			{Type: agent.DHCP, Started: time.Now(), Zone: zone}, {Type: agent.L3, Started: time.Now(), Zone: zone},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestZones places networks and routers in the zones that they ask for.
func TestZones(t *testing.T) {
	s := open(t)
	inZones(t, s, map[string]string{"a1": "east", "b1": "west", "c1": ""})
	tellOn(t, s, map[string]string{}, []step{
		{do: "GET /availability_zones?name=east", as: "demo", status: 200, want: []string{
			`{"availability_zones": [{"name": "east", "resource": "network", "state": "available"}, {"name": "east", "resource": "router", "state": "available"}]}`}},
		{do: "GET /availability_zones?resource=router", as: "demo", status: 200, want: []string{`"nova"`, `"west"`}, not: []string{`"network"`}},
		{do: "GET /agents?availability_zone=west&agent_type=DHCP%20agent", status: 200, want: []string{`"b1"`}, not: []string{`"a1"`, `"c1"`}},

		{do: "POST /networks", as: "demo", body: `{"network": {"availability_zone_hints": ["nowhere"]}}`, status: 404, want: []string{`"AvailabilityZoneNotFound"`, "AvailabilityZone nowhere could not be found."}},
		{do: "POST /networks", as: "demo", body: `{"network": {"availability_zone_hints": ["west", "west"]}}`, status: 400, want: []string{`"HTTPBadRequest"`}},
		{do: "POST /networks", as: "demo", body: `{"network": {"availability_zone_hints": [5]}}`, status: 400, want: []string{`"HTTPBadRequest"`}},
		{do: "POST /networks", as: "demo", body: `{"network": {"availability_zone_hints": "west"}}`, status: 400, want: []string{`"HTTPBadRequest"`}},
		{do: "POST /routers", as: "demo", body: `{"router": {"availability_zone_hints": ["nowhere"]}}`, status: 404, want: []string{`"AvailabilityZoneNotFound"`}},

		{do: "POST /networks", as: "demo", body: `{"network": {"availability_zone_hints": ["west"]}}`, status: 201, keep: "net",
			want: []string{`"availability_zone_hints": ["west"]`, `"availability_zones": []`}},
		{do: "PUT /networks/$net", as: "demo", body: `{"network": {"availability_zone_hints": ["east"]}}`, status: 400, want: []string{"Cannot update read-only attribute availability_zone_hints"}},
		{do: "POST /subnets", as: "demo", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "10.0.0.0/24"}}`, status: 201},
		{do: "GET /networks/$net", as: "demo", status: 200, want: []string{`"availability_zones": ["west"]`}},
		{do: "GET /networks/$net/dhcp-agents", status: 200, want: []string{`"host": "b1"`}, not: []string{`"a1"`, `"c1"`}},

		{do: "POST /routers", as: "demo", body: `{"router": {"availability_zone_hints": ["east"]}}`, status: 201, keep: "router",
			want: []string{`"availability_zone_hints": ["east"]`, `"availability_zones": ["east"]`}},
		{do: "GET /routers/$router/l3-agents", status: 200, want: []string{`"host": "a1"`}},

		// An agent that is switched off gets no new work, and its zone is unavailable.
		{do: "GET /agents?host=a1&agent_type=L3%20agent", status: 200, keep: "agent=agents.0.id"},
		{do: "PUT /agents/$agent", body: `{"agent": {"admin_state_up": false, "description": "being mended"}}`, status: 200, want: []string{`"admin_state_up": false`, `"being mended"`}},
		{do: "GET /availability_zones?resource=router&state=unavailable", as: "demo", status: 200, want: []string{`"east"`}, not: []string{`"west"`}},
		{do: "POST /routers", as: "demo", body: `{"router": {"availability_zone_hints": ["east"]}}`, status: 201, keep: "waiting", want: []string{`"availability_zones": []`}},
		{do: "POST /routers", as: "demo", body: `{"router": {"availability_zone_hints": ["west"]}}`, status: 201, want: []string{`"availability_zones": ["west"]`}},
		{do: "POST /agents/$agent/l3-routers", body: `{"router_id": "$waiting"}`, status: 404, want: []string{`"InvalidL3Agent"`}},
		{do: "PUT /agents/$agent", body: `{"agent": {"admin_state_up": true}}`, status: 200},
		{do: "GET /routers/$waiting", as: "demo", status: 200, want: []string{`"availability_zones": ["east"]`}},
	})
}

// TestZonesSpread serves a network from as many zones as it can.
func TestZonesSpread(t *testing.T) {
	s := open(t)
	inZones(t, s, map[string]string{"a1": "east", "a2": "east", "a3": "east", "b1": "west"})
	c := map[string]string{}
	tellOn(t, s, c, []step{
		{do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "net"},
		{do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "10.0.0.0/24"}}`, status: 201},
		{do: "GET /networks/$net/dhcp-agents", status: 200, keep: "first=agents.0.host"},
	})
	if c["first"] != "a1" {
		t.Fatalf("the first server is on %s", c["first"])
	}
	err := s.Engine.View(context.Background(), nil, func(call *engine.Call) error {
		hosts, err := s.Agents.DHCPHosts(call, nil, []string{"a1"})
		if len(hosts) != 3 || hosts[0] != "b1" {
			t.Errorf("beside a1: %v", hosts)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDefaultZones: what names no zones is served in those of default_availability_zones, and says nothing of them.
func TestDefaultZones(t *testing.T) {
	s := openWith(t, func(o *ServiceOptions) { o.Network.DefaultZones = []string{"west", "south"} })
	inZones(t, s, map[string]string{"a1": "east", "b1": "west", "c1": ""})
	tellOn(t, s, map[string]string{}, []step{
		{do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "net", want: []string{`"availability_zone_hints": []`}},
		{do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "10.0.0.0/24"}}`, status: 201},
		{do: "GET /networks/$net/dhcp-agents", status: 200, want: []string{`"b1"`}, not: []string{`"a1"`, `"c1"`}},
		{do: "POST /routers", body: `{"router": {}}`, status: 201, keep: "router", want: []string{`"availability_zone_hints": []`, `"availability_zones": ["west"]`}},
		{do: "GET /routers/$router/explain", status: 200, want: []string{"west or south is wanted"}},
		{do: "POST /networks", body: `{"network": {"availability_zone_hints": ["east"]}}`, status: 201, keep: "named"},
		{do: "POST /subnets", body: `{"subnet": {"network_id": "$named", "ip_version": 4, "cidr": "10.0.0.0/24"}}`, status: 201},
		{do: "GET /networks/$named/dhcp-agents", status: 200, want: []string{`"a1"`}, not: []string{`"b1"`, `"c1"`}},
		{do: "POST /routers", body: `{"router": {"availability_zone_hints": ["east"]}}`, status: 201, want: []string{`"availability_zones": ["east"]`}},
	})
}

// TestAssign: with network_auto_schedule and router_auto_schedule off, a host that comes gets nothing by itself; what is made
// while it is there, it does.
func TestAssign(t *testing.T) {
	for _, auto := range []bool{true, false} {
		s := openWith(t, func(o *ServiceOptions) { o.Assign = Assign{Networks: auto, Routers: auto} })
		kept := map[string]string{}
		tellOn(t, s, kept, []step{
			{do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "net"},
			{do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "10.0.0.0/24"}}`, status: 201},
			{do: "POST /routers", body: `{"router": {}}`, status: 201, keep: "router"},
		})
		inZones(t, s, map[string]string{"a1": "east"})
		var want, not []string
		if auto {
			want = []string{`"a1"`}
		} else {
			not = []string{`"a1"`}
		}
		tellOn(t, s, kept, []step{
			{do: "GET /networks/$net/dhcp-agents", status: 200, want: want, not: not},
			{do: "GET /routers/$router/l3-agents", status: 200, want: want, not: not},
			{do: "POST /routers", body: `{"router": {}}`, status: 201, keep: "other"},
			{do: "GET /routers/$other/l3-agents", status: 200, want: []string{`"a1"`}},
			{do: "GET /agents?host=a1&agent_type=L3%20agent", status: 200, keep: "l3=agents.0.id"},
			{do: "GET /agents?host=a1&agent_type=DHCP%20agent", status: 200, keep: "dhcp=agents.0.id"},
		})
		if auto {
			continue
		}
		tellOn(t, s, kept, []step{
			{do: "POST /agents/$l3/l3-routers", body: `{"router_id": "$router"}`, status: 201},
			{do: "GET /routers/$router/l3-agents", status: 200, want: []string{`"a1"`}},
			{do: "POST /agents/$dhcp/dhcp-networks", body: `{"network_id": "$net"}`, status: 201},
			{do: "GET /networks/$net/dhcp-agents", status: 200, want: []string{`"a1"`}},
		})
	}
}
