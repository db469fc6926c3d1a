package server

import (
	"context"
	"testing"
	"time"

	"neutrino/service/agent"
)

func TestMultiProviderNetworks(t *testing.T) {
	tell(t, []step{
		{as: "demo", do: "POST /networks", body: `{"network": {}}`, status: 201, not: []string{`"segments"`, "provider:"}, keep: "own"},
		{do: "GET /networks/$own", status: 200, want: []string{`"provider:network_type": "vxlan"`}, not: []string{`"segments"`}},
		{do: "GET /segments?network_id=$own", status: 200, want: []string{`"network_type": "vxlan"`, `"physical_network": null`}, keep: "first=segments.0.id"},
		{as: "demo", do: "GET /segments", status: 200, want: []string{`"segments": []`}},
		{as: "demo", do: "GET /segments/$first", status: 404},
		{as: "demo", do: "POST /networks", body: `{"network": {"segments": [{"provider:network_type": "vxlan"}]}}`, status: 403, want: []string{"create_network:segments"}},
		{do: "POST /networks", body: `{"network": {"provider:network_type": "vxlan", "segments": [{"provider:network_type": "vxlan"}]}}`, status: 400, want: []string{"SegmentsSetInConjunctionWithProviders"}},
		{do: "POST /networks", body: `{"network": {"segments": [{"provider:network_type": "flat", "provider:physical_network": "p"}, {"provider:network_type": "flat", "provider:physical_network": "p"}]}}`, status: 400, want: []string{"SegmentsContainDuplicateEntry"}},
		{do: "POST /networks", body: `{"network": {"segments": [{"provider:network_type": "zz"}]}}`, status: 400, want: []string{"network_type value 'zz' not supported"}},
		{do: "POST /networks", body: `{"network": {"segments": [{"physical": "p"}]}}`, status: 400},
		{do: "POST /networks", body: `{"network": {"segments": "none"}}`, status: 400},
		{do: "POST /networks", body: `{"network": {"segments": [{"provider:network_type": "vxlan"}, {"provider:network_type": "flat", "provider:physical_network": "physnet1"}]}}`, status: 201,
			want: []string{`"segments": [{"provider:network_type": "vxlan", "provider:physical_network": null, "provider:segmentation_id": `, `"provider:physical_network": "physnet1", "provider:segmentation_id": null}`},
			not:  []string{`"provider:network_type": "vxlan", "provider:physical_network": null, "provider:segmentation_id": null`}, keep: "two"},
		{do: "GET /networks/$two", status: 200, want: []string{`"segments"`}, not: []string{`"provider:network_type": null`}},
		{do: "GET /networks?provider:physical_network=physnet1", status: 200, want: []string{`"networks": []`}},
		{do: "PUT /networks/$two", body: `{"network": {"segments": []}}`, status: 400},
		{do: "POST /segments", body: `{"segment": {"network_id": "$own", "network_type": "flat", "physical_network": "physnet1"}}`, status: 409, want: []string{"FlatNetworkInUse"}},
		{do: "DELETE /networks/$two", status: 204},
		{do: "POST /segments", body: `{"segment": {"network_id": "$own", "network_type": "flat", "physical_network": "physnet1", "name": "wire", "description": "to the rack"}}`, status: 201, want: []string{`"segmentation_id": null`, `"revision_number": `}, keep: "wire"},
		{do: "GET /networks/$own", status: 200, want: []string{`"segments"`}},
		{do: "PUT /segments/$wire", body: `{"segment": {"name": "cable"}}`, status: 200, want: []string{`"name": "cable"`}},
		{do: "PUT /segments/$wire", body: `{"segment": {"physical_network": "physnet2"}}`, status: 400},
		{do: "DELETE /segments/$wire", status: 204},
		{do: "GET /segments/$wire", status: 404, want: []string{"SegmentNotFound"}},
		{do: "GET /networks/$own", status: 200, want: []string{`"provider:network_type": "vxlan"`}},
		{do: "POST /segments", body: `{"segments": []}`, status: 400},
	})
}

// TestRoutedNetwork: subnets on segments, each of which reaches some hosts.
func TestRoutedNetwork(t *testing.T) {
	s := open(t)
	for host, physical := range map[string]string{"r1": "rack1", "r2": "rack2"} {
		err := s.Agents.Heartbeat(context.Background(), s.Engine, host, []agent.State{
			{Type: agent.OpenVSwitch, Started: time.Now(), Configurations: map[string]any{"bridge_mappings": map[string]any{physical: "br-ex"}}},
			{Type: agent.DHCP, Started: time.Now()},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	tellOn(t, s, map[string]string{}, []step{
		{do: "POST /networks", body: `{"network": {"shared": true, "segments": [{"provider:network_type": "flat", "provider:physical_network": "rack1"}, {"provider:network_type": "flat", "provider:physical_network": "rack2"}]}}`, status: 201,
			want: []string{`"l2_adjacency": true`}, keep: "net"},
		{do: "GET /segments?network_id=$net&physical_network=rack1", status: 200, keep: "one=segments.0.id"},
		{do: "GET /segments?network_id=$net&physical_network=rack2", status: 200, keep: "two=segments.0.id"},
		{do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "10.1.0.0/24", "segment_id": "$one"}}`, status: 201, want: []string{`"segment_id": "$one"`, `"host_routes": []`}, keep: "sub1"},
		{do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "10.9.0.0/24"}}`, status: 400, want: []string{"SubnetsNotAllAssociatedWithSegments"}},
		{do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "10.2.0.0/24", "segment_id": "$two"}}`, status: 201,
			want: []string{`{"destination":"10.1.0.0/24","nexthop":"10.2.0.1"}`}, keep: "sub2"},
		{do: "GET /subnets/$sub1", status: 200, want: []string{`{"destination":"10.2.0.0/24","nexthop":"10.1.0.1"}`}},
		{do: "PUT /subnets/$sub1", body: `{"subnet": {"host_routes": [{"destination": "172.16.0.0/16", "nexthop": "10.1.0.9"}]}}`, status: 200, want: []string{"172.16.0.0/16", "10.2.0.0/24"}},
		{do: "PUT /subnets/$sub1", body: `{"subnet": {"segment_id": "$two"}}`, status: 400},
		{as: "demo", do: "GET /subnets/$sub1", status: 200, not: []string{"segment_id"}},
		{do: "GET /networks/$net", status: 200, want: []string{`"l2_adjacency": false`}},

		{do: "POST /ports", body: `{"port": {"network_id": "$net"}}`, status: 201, want: []string{`"fixed_ips": []`, `"ip_allocation": "deferred"`}, keep: "p"},
		{do: "PUT /ports/$p", body: `{"port": {"binding:host_id": "r2"}}`, status: 200, want: []string{`"ip_allocation": "immediate"`, `"subnet_id": "$sub2"`, `"binding:vif_type": "ovs"`}},
		{do: "PUT /ports/$p", body: `{"port": {"binding:host_id": "r1"}}`, status: 409, want: []string{"HostNotCompatibleWithFixedIps"}},
		{do: "POST /ports", body: `{"port": {"network_id": "$net", "binding:host_id": "r1"}}`, status: 201, want: []string{`"subnet_id": "$sub1"`}, keep: "q"},
		{do: "POST /ports", body: `{"port": {"network_id": "$net", "binding:host_id": "elsewhere"}}`, status: 409, want: []string{"HostNotConnectedToAnySegment"}},
		{do: "DELETE /segments/$two", status: 409, want: []string{"SegmentInUse", "$sub2"}},
		{do: "DELETE /ports/$p", status: 204},
		{do: "DELETE /subnets/$sub2", status: 204},
		{do: "GET /subnets/$sub1", status: 200, want: []string{"172.16.0.0/16"}, not: []string{"10.2.0.0/24"}},
		{do: "DELETE /segments/$two", status: 204},
	})
}

func TestSegmentRanges(t *testing.T) {
	tell(t, []step{
		{as: "demo", do: "GET /network-segment-ranges", status: 200, want: []string{`"network_segment_ranges": []`}},
		{do: "GET /network-segment-ranges?network_type=vxlan", status: 200, want: []string{`"default": true`, `"shared": true`}, keep: "default=network_segment_ranges.0.id"},
		{do: "PUT /network-segment-ranges/$default", body: `{"network_segment_range": {"maximum": 7}}`, status: 400, want: []string{"NetworkSegmentRangeDefaultReadOnly"}},
		{do: "DELETE /network-segment-ranges/$default", status: 400},
		{as: "demo", do: "POST /network-segment-ranges", body: `{"network_segment_range": {"network_type": "vlan", "physical_network": "p", "minimum": 1, "maximum": 2}}`, status: 403},
		{do: "POST /network-segment-ranges", body: `{"network_segment_range": {"network_type": "vlan", "minimum": 1, "maximum": 2}}`, status: 400},
		{do: "POST /network-segment-ranges", body: `{"network_segment_range": {"network_type": "vlan", "physical_network": "p", "minimum": 3, "maximum": 2}}`, status: 400, want: []string{"NetworkVlanRangeError"}},
		{do: "POST /network-segment-ranges", body: `{"network_segment_range": {"network_type": "vlan", "physical_network": "p", "minimum": 1, "maximum": 4095}}`, status: 400},
		{do: "POST /network-segment-ranges", body: `{"network_segment_range": {"network_type": "vlan", "physical_network": "p", "minimum": 10, "maximum": 12, "shared": false, "project_id": "$demo"}}`, status: 201,
			want: []string{`"used": {}`, `"available": [10, 11, 12]`, `"project_id": "$demo"`}, keep: "range"},
		{do: "POST /network-segment-ranges", body: `{"network_segment_range": {"network_type": "vlan", "physical_network": "p", "minimum": 12, "maximum": 14}}`, status: 409, want: []string{"NetworkSegmentRangeOverlaps", "$range"}},
		{do: "POST /networks", body: `{"network": {"project_id": "$demo", "provider:network_type": "vlan", "provider:physical_network": "p"}}`, status: 201, keep: "net"},
		{do: "GET /network-segment-ranges/$range", status: 200, want: []string{`"used": {"11": "$demo"}`}}, // the ends are taken last
		{do: "POST /networks", body: `{"network": {"project_id": "$other", "provider:network_type": "vlan", "provider:physical_network": "p"}}`, status: 503, want: []string{"NoNetworkAvailable"}},
		{do: "PUT /network-segment-ranges/$range", body: `{"network_segment_range": {"minimum": 13, "maximum": 14}}`, status: 409, want: []string{"NetworkSegmentRangeReferencedByProject"}},
		{do: "PUT /network-segment-ranges/$range", body: `{"network_segment_range": {"maximum": 20}}`, status: 200, want: []string{`"maximum": 20`}},
		{do: "PUT /network-segment-ranges/$range/tags", body: `{"tags": ["rack"]}`, status: 200},
		{do: "DELETE /network-segment-ranges/$range", status: 409},
		{do: "DELETE /networks/$net", status: 204},
		{do: "DELETE /network-segment-ranges/$range", status: 204},
	})
}
