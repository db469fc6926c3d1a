package server

import "testing"

func TestAutoAllocatedTopology(t *testing.T) {
	tell(t, []step{
		{as: "demo", do: "GET /auto-allocated-topology/null", status: 409, want: []string{"AutoAllocationFailure", "No default router:external network"}},
		{do: "POST /networks", body: `{"network": {"router:external": true, "is_default": true, "provider:network_type": "flat", "provider:physical_network": "physnet1"}}`, status: 201, keep: "ext"},
		{do: "POST /subnets", body: `{"subnet": {"network_id": "$ext", "ip_version": 4, "cidr": "203.0.113.0/24", "enable_dhcp": false}}`, status: 201},
		{as: "demo", do: "GET /auto-allocated-topology/null?fields=dry-run", status: 409, want: []string{"No default subnetpools defined"}},
		{do: "POST /subnetpools", body: `{"subnetpool": {"name": "four", "prefixes": ["10.0.0.0/8"], "default_prefixlen": 26, "shared": true, "is_default": true}}`, status: 201},
		{do: "POST /subnetpools", body: `{"subnetpool": {"name": "six", "prefixes": ["fd00::/48"], "default_prefixlen": 64, "shared": true, "is_default": true}}`, status: 201},
		{as: "demo", do: "GET /auto-allocated-topology/null?fields=dry-run", status: 200, want: []string{`"id": "dry-run=pass"`}},
		{as: "demo", do: "GET /networks?name=auto_allocated_network", status: 200, want: []string{`"networks": []`}},
		{as: "demo", do: "GET /auto-allocated-topology/$other", status: 403, want: []string{"NotAuthorized"}},
		{as: "demo", do: "DELETE /auto-allocated-topology/null", status: 204},

		{as: "demo", do: "GET /auto-allocated-topology/null", status: 200, want: []string{`"project_id": "$demo"`}, keep: "net=auto_allocated_topology.id"},
		{as: "demo", do: "GET /auto-allocated-topology/$demo", status: 200, want: []string{`"id": "$net"`}},
		{do: "GET /auto-allocated-topology/$demo", status: 200, want: []string{`"id": "$net"`}},
		{as: "demo", do: "GET /networks/$net", status: 200, want: []string{`"name": "auto_allocated_network"`, `"admin_state_up": true`}},
		{as: "demo", do: "GET /subnets?network_id=$net&ip_version=4", status: 200, want: []string{`"auto_allocated_subnet_v4"`, `/26"`}, keep: "sub=subnets.0.id"},
		{as: "demo", do: "GET /subnets?network_id=$net&ip_version=6", status: 200, want: []string{`"auto_allocated_subnet_v6"`, `/64"`}},
		{as: "demo", do: "GET /routers?name=auto_allocated_router", status: 200, want: []string{`"network_id": "$ext"`}},
		{as: "demo", do: "GET /ports?network_id=$net&device_owner=network:router_interface", status: 200, want: []string{`"subnet_id": "$sub"`}},
		{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net"}}`, status: 201, keep: "port"},
		{as: "demo", do: "DELETE /auto-allocated-topology/null", status: 409, want: []string{"NetworkInUse"}},
		{as: "demo", do: "GET /routers?name=auto_allocated_router", status: 200, want: []string{`"network_id": "$ext"`}},
		{as: "demo", do: "DELETE /ports/$port", status: 204},
		{as: "reader", do: "DELETE /auto-allocated-topology/null", status: 403},
		{as: "demo", do: "DELETE /auto-allocated-topology/null", status: 204},
		{as: "demo", do: "GET /networks/$net", status: 404},
		{as: "demo", do: "GET /routers?name=auto_allocated_router", status: 200, want: []string{`"routers": []`}},
	})
}

// TestTopologyIsWhole: what can't be made whole is not made at all.
func TestTopologyIsWhole(t *testing.T) {
	tell(t, []step{
		{do: "POST /networks", body: `{"network": {"router:external": true, "is_default": true}}`, status: 201},
		{do: "POST /subnetpools", body: `{"subnetpool": {"name": "p", "prefixes": ["10.0.0.0/8"], "default_prefixlen": 26, "shared": true, "is_default": true}}`, status: 201},
		{do: "PUT /quotas/$demo", body: `{"quota": {"subnet": 0}}`, status: 200},
		{as: "demo", do: "GET /auto-allocated-topology/null", status: 409, want: []string{"OverQuota"}},
		{as: "demo", do: "GET /networks?name=auto_allocated_network", status: 200, want: []string{`"networks": []`}},
		{as: "demo", do: "GET /routers", status: 200, want: []string{`"routers": []`}},
	})
}

func TestNetworkIPAvailability(t *testing.T) {
	tell(t, []step{
		{as: "demo", do: "POST /networks", body: `{"network": {"name": "n"}}`, status: 201, keep: "net"},
		{as: "demo", do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "10.0.0.0/24", "enable_dhcp": false, "allocation_pools": [{"start": "10.0.0.10", "end": "10.0.0.19"}]}}`, status: 201},
		{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net"}}`, status: 201},
		{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net", "fixed_ips": [{"ip_address": "10.0.0.200"}]}}`, status: 201},
		{do: "GET /network-ip-availabilities/$net", status: 200, want: []string{`"total_ips": 10`, `"used_ips": 2`,
			`"ip_availability_details": {"total_ips_in_subnet":254,"total_ips_in_allocation_pool":10,"used_ips_in_subnet":2,"used_ips_in_allocation_pool":1}`}},
		{as: "demo", do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 6, "cidr": "fd00::/64", "enable_dhcp": false}}`, status: 201},
		{do: "GET /network-ip-availabilities/$net", status: 200, want: []string{`"total_ips_in_subnet":18446744073709551870`}},
		{do: "GET /network-ip-availabilities?ip_version=6", status: 200, want: []string{`"total_ips_in_subnet":18446744073709551616`}, not: []string{"10.0.0.0/24"}},
		{as: "demo", do: "GET /network-ip-availabilities", status: 200, want: []string{`"network_ip_availabilities": []`}},
	})
}

func TestNetworkForHARouters(t *testing.T) {
	tell(t, []step{
		{do: "POST /networks", body: `{"network": {"name": "wire", "ha": true, "project_id": "$demo"}}`, status: 201, not: []string{`"ha"`}, keep: "wire"},
		{do: "POST /networks", body: `{"network": {"ha": true, "project_id": "$demo"}}`, status: 409, want: []string{"DuplicatedHANetwork"}},
		{do: "POST /routers", body: `{"router": {"ha": true, "project_id": "$demo"}}`, status: 201},
		{do: "GET /networks?name=HA%20network%20tenant%20$demo", status: 200, want: []string{`"networks": []`}},
	})
}

// TestServiceTypes: subnets for ports of some owners only; DHCP serves them all.
func TestServiceTypes(t *testing.T) {
	tell(t, []step{
		{as: "demo", do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "net"},
		{as: "demo", do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "10.1.0.0/24", "service_types": ["test:one"]}}`, status: 201, keep: "one"},
		{as: "demo", do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "10.2.0.0/24", "service_types": ["test:two"]}}`, status: 201, keep: "two"},
		{do: "GET /ports?network_id=$net&device_owner=network:dhcp", status: 200, want: []string{`"subnet_id": "$one"`, `"subnet_id": "$two"`}},
		{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net", "device_owner": "test:two"}}`, status: 201, want: []string{`"subnet_id": "$two"`}},
		{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net", "device_owner": "test:three"}}`, status: 409, want: []string{"IpAddressGenerationFailureNoMatchingSubnet"}},
	})
}
