package server

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"neutrino/engine"
)

// Administrators say which chassis have a router's gateways, and with which priorities; OVN is told.
func TestChassisPriorities(t *testing.T) {
	t.Parallel()
	s, central, _ := startOVN(t, "h1", "h2", "h3")
	central.SB(t, "chassis-add", "chassis-h4", "geneve", "192.0.2.4", "--", "set", "chassis", "chassis-h4", "hostname=h4",
		"other_config:ovn-bridge-mappings=physnet1:br-ex") // not for gateways
	central.SB(t, "chassis-add", "chassis-h5", "geneve", "192.0.2.5", "--", "set", "chassis", "chassis-h5", "hostname=h5",
		"other_config:ovn-cms-options=enable-chassis-as-gw") // does not reach physnet1
	eventually(t, "all hosts are agents", func() bool {
		n := 0
		for _, h := range []string{"h1", "h2", "h3", "h4", "h5"} {
			if found, err := agentOn(t, s, h); err == nil && found {
				n++
			}
		}
		return n == 5
	})
	ids := map[string]string{}
	ids["ext"] = create(t, s.Network.Networks, admin, `{"network": {"router:external": true, "provider:network_type": "flat", "provider:physical_network": "physnet1"}}`)["id"].(string)
	create(t, s.Network.Subnets, admin, `{"subnet": {"network_id": "`+ids["ext"]+`", "ip_version": 4, "cidr": "203.0.113.0/24", "enable_dhcp": false}}`)
	ids["r"] = create(t, s.Router.Routers, demo, `{"router": {"external_gateway_info": {"network_id": "`+ids["ext"]+`"}}}`)["id"].(string)
	ids["bare"] = create(t, s.Router.Routers, demo, `{"router": {}}`)["id"].(string)
	// northbound is what OVN was told of the router's chassis, by priority.
	northbound := func() string {
		var list []string
		for line := range strings.Lines(central.NB(t, "--format=csv", "--no-headings", "--columns=priority,chassis_name", "list", "HA_Chassis")) {
			list = append(list, strings.TrimSpace(line))
		}
		slices.Sort(list)
		return strings.Join(list, " ")
	}
	eventually(t, "chassis are chosen", func() bool { return strings.Count(northbound(), "chassis-") == 3 })
	put := func(host string) string { return "PUT /agents/chassis-" + host + "/l3-routers/$r" }
	post := func(host string) string { return "POST /agents/chassis-" + host + "/l3-routers" }
	priority := func(n any) string { return fmt.Sprintf(`{"ha_chassis_priority": %v}`, n) }
	tellOn(t, s, ids, []step{
		{do: "GET /extensions/l3-agent-scheduler-ha-chassis-priority", status: 200},
		{do: "GET /agents/chassis-h1", status: 200, want: []string{`"ha_chassis_priority": null`}},
		{do: "GET /routers/$r/l3-agents", status: 200, want: []string{`"ha_chassis_priority": 1`, `"ha_chassis_priority": 2`, `"ha_chassis_priority": 3`}},
		{as: "demo", do: put("h1"), body: priority(40), status: 403},
		{do: put("h1"), body: priority(-1), status: 400, want: []string{"InvalidHAChassisPriority"}},
		{do: put("h1"), body: priority(32768), status: 400, want: []string{"InvalidHAChassisPriority"}},
		{do: put("h1"), body: priority(`"high"`), status: 400},
		{do: put("h1"), body: `{"priority": 3}`, status: 400},
		{do: put("h1"), body: priority(2), status: 409, want: []string{"HAChassisPriorityAlreadyAssigned", "HA Chassis priority 2 is already assigned"}},
		{do: put("h4"), body: priority(40), status: 409, want: []string{"RouterNotHostedByL3Agent"}},
		{do: put("h1"), body: priority("null"), status: 200},
		{do: put("h1"), body: priority(40), status: 200},
		{do: put("h2"), body: priority(30), status: 200},
		{do: put("h3"), body: priority(20), status: 200},
		{do: "GET /routers/$r/l3-agents", status: 200, want: []string{`"ha_chassis_priority": 40`, `"ha_chassis_priority": 30`, `"ha_chassis_priority": 20`}},
	})
	eventually(t, "the priorities are written", func() bool { return northbound() == "20,chassis-h3 30,chassis-h2 40,chassis-h1" })
	tellOn(t, s, ids, []step{
		{do: "DELETE /agents/chassis-h1/l3-routers/$r", status: 204},
		{do: "DELETE /agents/chassis-h1/l3-routers/$r", status: 409, want: []string{"RouterNotHostedByL3Agent"}},
		{do: "GET /agents/chassis-h1/l3-routers", status: 200, not: []string{"$r"}},
		{do: "GET /routers/$r/l3-agents", status: 200, not: []string{"chassis-h1"}},
	})
	eventually(t, "one is gone", func() bool { return northbound() == "20,chassis-h3 30,chassis-h2" })
	tellOn(t, s, ids, []step{
		{do: post("h2"), body: `{"router_id": "$r"}`, status: 409, want: []string{"RouterHostedByL3Agent"}},
		{do: post("h1"), body: `{"router_id": "$r", "ha_chassis_priority": 30}`, status: 409, want: []string{"HAChassisPriorityAlreadyAssigned"}},
		{do: post("h1"), body: `{"router_id": "$r", "ha_chassis_priority": 99999}`, status: 400, want: []string{"InvalidHAChassisPriority"}},
		{do: post("h4"), body: `{"router_id": "$r"}`, status: 404, want: []string{"InvalidL3Agent"}},
		{do: post("h5"), body: `{"router_id": "$r"}`, status: 404, want: []string{"InvalidL3Agent"}},
		{do: post("h1"), body: `{"router_id": "$bare"}`, status: 409, want: []string{"RouterDoesntSupportScheduling"}},
		{as: "demo", do: post("h1"), body: `{"router_id": "$r"}`, status: 403},
		{do: post("h1"), body: `{"router_id": "$r"}`, status: 201},
		{do: "GET /routers/$r/l3-agents", status: 200, want: []string{`"ha_chassis_priority": 19`}},
		{do: "GET /agents/chassis-h1/l3-routers", status: 200, want: []string{"$r"}},
	})
	eventually(t, "it is back, last", func() bool { return northbound() == "19,chassis-h1 20,chassis-h3 30,chassis-h2" })

	// With the last one gone they are chosen again, as they are of a router that loses its gateway.
	tellOn(t, s, ids, []step{
		{do: "DELETE /agents/chassis-h1/l3-routers/$r", status: 204},
		{do: "DELETE /agents/chassis-h2/l3-routers/$r", status: 204},
		{do: "DELETE /agents/chassis-h3/l3-routers/$r", status: 204},
	})
	chosen := func() bool {
		return strings.Count(northbound(), "chassis-") == 3 && strings.HasPrefix(northbound(), "1,")
	}
	eventually(t, "they are chosen again", chosen)
	tellOn(t, s, ids, []step{
		{do: put("h1"), body: priority(40), status: 200},
		{do: "PUT /routers/$r", body: `{"router": {"external_gateway_info": {}}}`, status: 200},
	})
	eventually(t, "nothing is on a chassis", func() bool { return northbound() == "" })
	tellOn(t, s, ids, []step{{do: "PUT /routers/$r", body: `{"router": {"external_gateway_info": {"network_id": "$ext"}}}`, status: 200}})
	eventually(t, "they are chosen for a new gateway", chosen)
}

func agentOn(t *testing.T, s *Services, host string) (found bool, err error) {
	t.Helper()
	var out strings.Builder
	err = s.Agents.Agents.List(t.Context(), admin, engine.Query{Values: url.Values{"host": {host}}}, &out)
	return strings.Contains(out.String(), "chassis-"+host), err
}
