package server

import (
	"context"
	"strings"
	"testing"

	"neutrino/engine"
	"neutrino/service/facts"
	"neutrino/service/network"
)

// Ports on none of OVN's switches: another driver binds them, OVN has them as external, and who answers for them is known.
func TestExternalOVN(t *testing.T) {
	t.Parallel()
	s, central, _ := startMechanisms(t, []string{network.OVN, network.SRIOVNICSwitch, network.Baremetal}, "h1", "h2")
	ctx := context.Background()
	nics(t, s, "h1")
	kept := map[string]string{}
	tellOn(t, s, kept, []step{
		{do: "POST /networks", body: `{"network": {"provider:network_type": "flat", "provider:physical_network": "physnet1"}}`, status: 201, keep: "flat"},
		{do: "POST /subnets", body: `{"subnet": {"network_id": "$flat", "ip_version": 4, "cidr": "10.0.0.0/24"}}`, status: 201},
		{as: "demo", do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "tunnel"},
		{do: "POST /ports", body: `{"port": {"network_id": "$flat", "binding:vnic_type": "baremetal", "binding:host_id": "node"}}`, status: 201,
			want: []string{`"binding:vif_type": "other"`, `"status": "DOWN"`, "waiting for OVN to answer for the port"}, keep: "machine"},
		{do: "POST /ports", body: `{"port": {"network_id": "$flat", "binding:vnic_type": "direct", "binding:host_id": "h1"}}`, status: 201, want: []string{`"binding:vif_type": "hw_veb"`, `"status": "DOWN"`}, keep: "vf"},
		{do: "POST /ports", body: `{"port": {"network_id": "$flat", "binding:vnic_type": "direct-physical", "binding:host_id": "h2"}}`, status: 201, want: []string{`"binding:vif_type": "hostdev_physical"`}, keep: "pf"},
		{do: "POST /ports", body: `{"port": {"network_id": "$flat", "binding:vnic_type": "direct"}}`, status: 201, want: []string{`"binding:vif_type": "unbound"`}, keep: "unbound"},
		{do: "POST /ports", body: `{"port": {"network_id": "$tunnel", "binding:vnic_type": "direct", "binding:host_id": "h1"}}`, status: 201, want: []string{"binding_failed", "ovn: vnic_type", "sriovnicswitch: SR-IOV NICs are on flat"}},
		{as: "nova", do: "POST /ports", body: `{"port": {"network_id": "$flat", "binding:vnic_type": "direct", "binding:host_id": "h1", "binding:profile": {"capabilities": ["switchdev"]}}}`, status: 201,
			want: []string{`"binding:vif_type": "ovs"`, `"0":"ovn"`}, keep: "offload"},
	})
	external := []string{kept["machine"], kept["vf"], kept["pf"], kept["unbound"]}
	eventually(t, "the southbound database knows them as external", func() bool {
		out := central.SB(t, "--bare", "--columns=logical_port", "find", "Port_Binding", "type=external")
		for _, id := range external {
			if !strings.Contains(out, id) {
				return false
			}
		}
		return !strings.Contains(out, kept["offload"])
	})
	read := func(id string) (status, reason string) {
		err := s.Engine.View(ctx, nil, func(c *engine.Call) error {
			_, err := c.Tx.One([]any{&status, &reason}, "SELECT status, status_reason FROM ports WHERE id = ?", id)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return status, reason
	}
	answeredBy := func(id string) (host string) {
		reader := &facts.Reader{Engine: s.Engine, Agents: s.Agents, Network: s.Network, Security: s.Security, Router: s.Router}
		err := s.Engine.View(ctx, nil, func(c *engine.Call) error {
			ports, _, err := reader.Ports(c, []string{id})
			if err == nil {
				host = ports[0].AnsweredBy
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return host
	}
	for _, host := range []string{"h1", "h2"} { // and when the first has died, the next one
		for _, id := range external {
			if host == "h2" {
				central.SB(t, "lsp-unbind", id)
				eventually(t, "nobody answers", func() bool { return answeredBy(id) == "" })
			}
			central.SB(t, "lsp-bind", id, "chassis-"+host)
			eventually(t, host+" answers", func() bool { return answeredBy(id) == host })
		}
	}
	for _, id := range []string{kept["machine"], kept["pf"]} {
		eventually(t, "the port is ACTIVE", func() bool { status, _ := read(id); return status == "ACTIVE" })
	}
	for _, id := range []string{kept["vf"], kept["unbound"]} { // of these OVN can't know
		if status, reason := read(id); status != "DOWN" || reason == "" {
			t.Errorf("port %s is %s: %s", id, status, reason)
		}
	}
	central.SB(t, "lsp-unbind", kept["machine"])
	eventually(t, "the port is DOWN", func() bool {
		status, reason := read(kept["machine"])
		return status == "DOWN" && reason == "no host of OVN's answers for the port"
	})
	if log := central.NorthdLog(t); log != "" {
		t.Errorf("ovn-northd complains:\n%s", log)
	}
}
