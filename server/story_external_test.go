package server

import (
	"context"
	"testing"
	"time"

	"neutrino/service/agent"
	"neutrino/service/network"
)

// nics has a host report SR-IOV NICs on physnet1.
func nics(t *testing.T, s *Services, host string) {
	t.Helper()
	if err := s.Agents.Heartbeat(context.Background(), s.Engine, host, []agent.State{{
		Type: agent.NICSwitch, Binary: "neutron-sriov-nic-agent", Started: time.Now(), Configurations: map[string]any{"device_mappings": map[string]any{"physnet1": []any{"ens1f0"}}},
	}}); err != nil {
		t.Fatal(err)
	}
}

// Several mechanism drivers are asked in their order, and each takes what is its own.
func TestSeveralMechanisms(t *testing.T) {
	s := openWith(t, func(o *ServiceOptions) {
		o.Network.Mechanisms = []string{network.Openvswitch, network.SRIOVNICSwitch, network.Baremetal}
		o.Network.VLANs = map[string][]network.IDRange{"physnet1": {{First: 100, Last: 199}}}
	})
	hosts(t, s, "h1", "h2")
	nics(t, s, "h1")
	bind := func(network, vnic, host, more string) string {
		return `{"port": {"network_id": "` + network + `", "binding:vnic_type": "` + vnic + `", "binding:host_id": "` + host + `"` + more + `}}`
	}
	tellOn(t, s, map[string]string{}, []step{
		{do: "POST /networks", body: `{"network": {"provider:network_type": "vlan", "provider:physical_network": "physnet1", "provider:segmentation_id": 101}}`, status: 201, keep: "vlan"},
		{do: "POST /networks", body: `{"network": {"provider:network_type": "flat", "provider:physical_network": "physnet1"}}`, status: 201, keep: "flat"},
		{do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "tunnel"},

		{do: "POST /ports", body: bind("$vlan", "direct", "h1", ""), status: 201, want: []string{`"binding:vif_type": "hw_veb"`, `"vlan":"101"`, `"port_filter":false`, `"connectivity":"l2"`,
			`"bound_drivers":{"0":"sriovnicswitch"}`, `"status": "DOWN"`}, keep: "vf"},
		{do: "POST /ports", body: bind("$flat", "macvtap", "h1", ""), status: 201, want: []string{`"binding:vif_type": "hw_veb"`, `"vlan":"0"`}},
		{do: "POST /ports", body: bind("$vlan", "normal", "h1", ""), status: 201, want: []string{`"binding:vif_type": "ovs"`, `"bound_drivers":{"0":"openvswitch"}`}},
		{as: "nova", do: "POST /ports", body: bind("$vlan", "direct", "h1", `, "binding:profile": {"capabilities": ["switchdev"]}`), status: 201, want: []string{`"binding:vif_type": "ovs"`, `"0":"openvswitch"`}, keep: "offload"},
		{as: "nova", do: "PUT /ports/$offload", body: `{"port": {"binding:profile": {}}}`, status: 200, want: []string{`"binding:vif_type": "hw_veb"`, `"0":"sriovnicswitch"`}},
		{as: "nova", do: "PUT /ports/$offload", body: `{"port": {"binding:profile": {"capabilities": ["switchdev"]}}}`, status: 200, want: []string{`"binding:vif_type": "ovs"`}},

		{do: "POST /ports", body: bind("$vlan", "direct", "h2", ""), status: 201, want: []string{`"binding:vif_type": "binding_failed"`, "openvswitch: vnic_type", "sriovnicswitch: no NIC Switch agent has reported", "baremetal: vnic_type"}, keep: "late"},
		{do: "POST /ports", body: bind("$tunnel", "direct", "h1", ""), status: 201, want: []string{`"binding:vif_type": "binding_failed"`, "sriovnicswitch: SR-IOV NICs are on flat and VLAN networks"}},
		{do: "POST /ports", body: bind("$vlan", "vdpa", "h1", ""), status: 201, want: []string{`"binding:vif_type": "binding_failed"`}},

		{do: "POST /ports", body: bind("$vlan", "direct-physical", "h2", ""), status: 201, want: []string{`"binding:vif_type": "hostdev_physical"`, `"status": "ACTIVE"`, `"status_reason": ""`}, keep: "pf"},
		{do: "PUT /ports/$pf", body: `{"port": {"mac_address": "fa:16:3e:00:00:77"}}`, status: 200, want: []string{"fa:16:3e:00:00:77"}},
		{do: "PUT /ports/$pf", body: `{"port": {"admin_state_up": false}}`, status: 200, want: []string{`"status": "DOWN"`, "administratively down"}},
		{do: "PUT /ports/$pf", body: `{"port": {"admin_state_up": true}}`, status: 200, want: []string{`"status": "ACTIVE"`, `"status_reason": ""`}},
		{do: "PUT /ports/$pf", body: `{"port": {"binding:host_id": ""}}`, status: 200, want: []string{`"binding:vif_type": "unbound"`, `"status": "DOWN"`}},

		{as: "nova", do: "POST /ports", body: bind("$flat", "baremetal", "node-1", `, "binding:profile": {"local_link_information": [{"switch_id": "00:11:22:33:44:55", "port_id": "Eth1/1"}]}`), status: 201,
			want: []string{`"binding:vif_type": "other"`, `"0":"baremetal"`, `"status": "ACTIVE"`}, keep: "machine"},
		{do: "POST /ports", body: bind("$tunnel", "baremetal", "node-1", ""), status: 201, want: []string{`"binding:vif_type": "binding_failed"`, "baremetal: machines are on flat and VLAN networks"}},

		// What drivers keep of QoS: nobody limits a machine's bandwidth.
		{do: "GET /qos/rule-types?all_supported=true", status: 200, want: []string{"bandwidth_limit", "minimum_bandwidth"}},
		{do: "POST /qos/policies", body: `{"policy": {}}`, status: 201, keep: "policy"},
		{do: "POST /qos/policies/$policy/bandwidth_limit_rules", body: `{"bandwidth_limit_rule": {"max_kbps": 1000}}`, status: 201},
		{do: "PUT /ports/$machine", body: `{"port": {"qos_policy_id": "$policy"}}`, status: 409, want: []string{"QosRuleNotSupported"}},
	})
	nics(t, s, "h2") // an agent that comes is asked again
	tellOn(t, s, map[string]string{}, []step{
		{do: "GET /ports?binding:host_id=h2", status: 200, want: []string{`"binding:vif_type": "hw_veb"`}, not: []string{"binding_failed"}},
	})
}

// What a driver may not bind, the next one gets.
func TestProhibitedTypes(t *testing.T) {
	s := openWith(t, func(o *ServiceOptions) {
		o.Network.Mechanisms = []string{network.Openvswitch, network.SRIOVNICSwitch}
		o.Network.Prohibited = map[string][]string{network.SRIOVNICSwitch: {"macvtap"}}
	})
	hosts(t, s, "h1")
	nics(t, s, "h1")
	tellOn(t, s, map[string]string{}, []step{
		{do: "POST /networks", body: `{"network": {"provider:network_type": "flat", "provider:physical_network": "physnet1"}}`, status: 201, keep: "flat"},
		{do: "POST /ports", body: `{"port": {"network_id": "$flat", "binding:vnic_type": "macvtap", "binding:host_id": "h1"}}`, status: 201, want: []string{"binding_failed", "prohibited by vnic_type_prohibit_list"}},
		{do: "POST /ports", body: `{"port": {"network_id": "$flat", "binding:vnic_type": "direct", "binding:host_id": "h1"}}`, status: 201, want: []string{"hw_veb"}},
	})
}
