package server

import (
	"testing"

	"neutrino/desired"
	"neutrino/hub"
)

// TestTrunkStatus: what a trunk shows, and is found by, is what its ports are.
func TestTrunkStatus(t *testing.T) {
	s := open(t)
	hosts(t, s, "h1")
	kept := map[string]string{}
	is := func(port, status string) {
		t.Helper()
		change := hub.StatusChange{Thing: hub.Thing{Kind: desired.KindPort, ID: kept[port]}, Status: hub.Status{Status: status}}
		if err := newSource(s).SetStatus(t.Context(), []hub.StatusChange{change}, nil); err != nil {
			t.Fatal(err)
		}
	}
	shows := func(status string) {
		t.Helper()
		steps := []step{{do: "GET /trunks/$trunk", status: 200, want: []string{`"status": "` + status + `"`}}}
		for _, other := range []string{"DOWN", "BUILD", "DEGRADED", "ACTIVE"} {
			found := step{do: "GET /trunks?status=" + other, status: 200, want: []string{`"trunks": []`}}
			if other == status {
				found.want = []string{`"$trunk"`}
			}
			steps = append(steps, found)
		}
		tellOn(t, s, kept, steps)
	}
	tellOn(t, s, kept, []step{
		{do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "net"},
		{do: "POST /networks", body: `{"network": {"provider:network_type": "geneve"}}`, status: 201, keep: "far"},
		{do: "POST /ports", body: `{"port": {"network_id": "$net"}}`, status: 201, keep: "parent"},
		{do: "POST /ports", body: `{"port": {"network_id": "$net"}}`, status: 201, keep: "one"},
		{do: "POST /ports", body: `{"port": {"network_id": "$net", "admin_state_up": false}}`, status: 201, keep: "two"},
		{do: "POST /ports", body: `{"port": {"network_id": "$far"}}`, status: 201, keep: "lost"},
		{do: "POST /trunks", body: `{"trunk": {"port_id": "$parent", "sub_ports": [{"port_id": "$one", "segmentation_type": "vlan", "segmentation_id": 1}, {"port_id": "$two", "segmentation_type": "vlan", "segmentation_id": 2}]}}`, status: 201, keep: "trunk"},
	})
	shows("DOWN")
	tellOn(t, s, kept, []step{{do: "PUT /ports/$parent", body: `{"port": {"binding:host_id": "h1", "device_owner": "compute:nova"}}`, status: 200}})
	shows("DOWN")
	is("parent", "ACTIVE")
	shows("BUILD")
	is("one", "ACTIVE")
	shows("ACTIVE") // the other is down because somebody wants it so
	tellOn(t, s, kept, []step{
		{do: "PUT /trunks/$trunk/add_subports", body: `{"sub_ports": [{"port_id": "$lost", "segmentation_type": "vlan", "segmentation_id": 3}]}`, status: 200, want: []string{`"status": "DEGRADED"`}},
		{do: "GET /ports/$lost", status: 200, want: []string{`"binding:vif_type": "binding_failed"`, `geneve`}},
	})
	shows("DEGRADED")
	tellOn(t, s, kept, []step{
		{do: "PUT /trunks/$trunk/remove_subports", body: `{"sub_ports": [{"port_id": "$lost"}]}`, status: 200, want: []string{`"status": "ACTIVE"`}},
		{do: "POST /ports", body: `{"port": {"network_id": "$net"}}`, status: 201, keep: "other"},
		{do: "POST /trunks", body: `{"trunk": {"port_id": "$other"}}`, status: 201, keep: "idle"},
		{do: "GET /trunks?sort_key=status&sort_dir=asc&limit=1", status: 200, want: []string{`"$trunk"`}, not: []string{`"$idle"`}},
		{do: "GET /trunks?sort_key=status&sort_dir=asc&limit=1&marker=$trunk", status: 200, want: []string{`"$idle"`}, not: []string{`"id": "$trunk"`}},
		{do: "GET /trunks?sort_key=status&sort_dir=desc&limit=1", status: 200, want: []string{`"$idle"`}},
		{do: "DELETE /trunks/$idle", status: 204},
		{do: "PUT /ports/$parent", body: `{"port": {"binding:host_id": ""}}`, status: 200},
	})
	shows("DOWN")
}
