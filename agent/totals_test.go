package agent

import (
	"reflect"
	"testing"

	"neutrino/desired"
)

// TestTotals counts what the original's agents count in their configurations.
func TestTotals(t *testing.T) {
	states := []desired.AgentState{{Type: "Open vSwitch agent"}, {Type: "L3 agent"}, {Type: "DHCP agent"}, {Type: "Metadata agent"}}
	a := New(Options{Host: "h1", Describe: func() []desired.AgentState { return states }}, quiet(), nil)
	a.follower = newFollower(a)
	items := wholeHost()
	for _, item := range []desired.Item{
		&desired.Network{ID: "n", Subnets: []desired.Subnet{{ID: "s1"}, {ID: "s2"}}},
		&desired.Network{ID: "m", Subnets: []desired.Subnet{{ID: "s3"}}},
		&desired.Port{ID: "vm2", NetworkID: "n", Host: "h2", DeviceOwner: "compute:nova"},
		&desired.Router{ID: "r", Host: "h1", Gateway: &desired.Gateway{}, Interfaces: make([]desired.RouterPort, 2), FloatingIPs: make([]desired.FloatingIP, 3)},
	} {
		items[item.Key()] = item
	}
	if err := a.follower.synced(batch{epoch: "e", revision: 1, snapshot: true, items: items}); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{
		{"devices": 3}, {"routers": 1, "ex_gw_ports": 1, "interfaces": 2, "floating_ips": 3}, {"networks": 1, "subnets": 2, "ports": 2}, {},
	}
	for i, state := range a.describe() {
		if !reflect.DeepEqual(state.Configurations, want[i]) {
			t.Errorf("%s: %v", state.Type, state.Configurations)
		}
	}
}
