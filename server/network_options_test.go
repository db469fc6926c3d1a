package server

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"neutrino/engine"
	"neutrino/service/network"
)

// TestNetworkOptions holds networks against ml2_conf.ini's options.
func TestNetworkOptions(t *testing.T) {
	s := openWith(t, func(o *ServiceOptions) {
		n := &o.Network
		n.Types, n.ProjectTypes, n.ExternalType = []string{"vlan", "vxlan", "geneve"}, []string{"vxlan"}, "vlan"
		n.OverlayIPv6 = true
		n.PhysicalMTU, n.PathMTU, n.PhysicalMTUs, n.GeneveHeader = 9000, 1600, map[string]int{"physnet1": 1400}, 38
		if err := network.ParseVLANRanges([]string{"physnet1:100:101", "physnet2"}, n.VLANs); err != nil {
			t.Fatal(err)
		}
	})
	expect := func(body string, want map[string]any) {
		t.Helper()
		got := create(t, s.Network.Networks, admin, `{"network": {"name": "n"`+body+`}}`)
		for key, value := range want {
			if got[key] != value {
				t.Errorf("%s: %s is %v, want %v", body, key, got[key], value)
			}
		}
	}
	refused := func(body, want string) {
		t.Helper()
		_, err := s.Network.Networks.Create(context.Background(), admin, parse(t, `{"network": {"name": "n"`+body+`}}`))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
	}
	expect(``, map[string]any{"provider:network_type": "vxlan", "mtu": 1530.0})
	expect(`, "provider:network_type": "geneve"`, map[string]any{"mtu": 1522.0})
	expect(`, "router:external": true`, map[string]any{"provider:network_type": "vlan", "provider:physical_network": "physnet1", "mtu": 1400.0})
	expect(`, "router:external": true`, map[string]any{"provider:physical_network": "physnet1"})
	expect(`, "router:external": true`, map[string]any{"provider:physical_network": "physnet2", "mtu": 9000.0})
	expect(`, "provider:network_type": "vlan", "provider:physical_network": "physnet2"`, map[string]any{"mtu": 9000.0})
	refused(`, "provider:network_type": "flat", "provider:physical_network": "physnet1"`, "network_type value 'flat' not supported")
	refused(`, "provider:network_type": "gre"`, "network_type value 'gre' not supported")
	refused(`, "mtu": 1531`, "maximum is 1530")

	// A type that is no longer there has no ranges.
	var b bytes.Buffer
	if err := s.Network.Ranges.List(context.Background(), admin, engine.Query{}, &b); err != nil {
		t.Fatal(err)
	}
	var ranges struct {
		List []struct {
			Type string `json:"network_type"`
		} `json:"network_segment_ranges"`
	}
	if err := json.Unmarshal(b.Bytes(), &ranges); err != nil || len(ranges.List) != 4 {
		t.Errorf("%s %v", b.String(), err)
	}
	for _, r := range ranges.List {
		if r.Type == "gre" {
			t.Errorf("%s", b.String())
		}
	}
}
