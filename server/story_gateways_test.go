package server

import "testing"

// shores are two external networks, and one that overlaps the first, with a router that is on none yet.
var shores = []step{
	{do: "POST /networks", body: `{"network": {"router:external": true, "provider:network_type": "flat", "provider:physical_network": "physnet1"}}`, status: 201, keep: "east"},
	{do: "POST /subnets", body: `{"subnet": {"network_id": "$east", "ip_version": 4, "cidr": "203.0.113.0/24", "enable_dhcp": false}}`, status: 201, keep: "eastsub"},
	{do: "POST /networks", body: `{"network": {"router:external": true, "provider:network_type": "flat", "provider:physical_network": "physnet2"}}`, status: 201, keep: "west"},
	{do: "POST /subnets", body: `{"subnet": {"network_id": "$west", "ip_version": 4, "cidr": "198.51.100.0/24", "enable_dhcp": false}}`, status: 201, keep: "westsub"},
	{do: "POST /networks", body: `{"network": {"router:external": true, "provider:network_type": "flat", "provider:physical_network": "physnet3"}}`, status: 201, keep: "twin"},
	{do: "POST /subnets", body: `{"subnet": {"network_id": "$twin", "ip_version": 4, "cidr": "203.0.113.128/25", "enable_dhcp": false}}`, status: 201},
	{as: "demo", do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "net"},
	{as: "demo", do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "10.0.0.0/24"}}`, status: 201, keep: "sub"},
	{as: "demo", do: "POST /routers", body: `{"router": {}}`, status: 201, want: []string{`"external_gateways": []`, `"enable_snat": true`, `"enable_default_route_ecmp": false`}, keep: "router"},
	{as: "demo", do: "PUT /routers/$router/add_router_interface", body: `{"subnet_id": "$sub"}`, status: 200},
	{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net", "fixed_ips": [{"ip_address": "10.0.0.11"}]}}`, status: 201, keep: "one"},
}

func onShores(steps ...step) []step { return append(append([]step{}, shores...), steps...) }

// gateways is the body of an action on gateways.
func gateways(list string) string { return `{"router": {"external_gateways": [` + list + `]}}` }

const (
	onEast = `{"network_id": "$east"}`
	onWest = `{"network_id": "$west"}`
)

// at is a gateway with an address.
func at(network, ip string) string {
	return `{"network_id": "` + network + `", "external_fixed_ips": [{"ip_address": "` + ip + `"}]}`
}

func TestExternalGateways(t *testing.T) {
	add, update, remove := "PUT /routers/$router/add_external_gateways", "PUT /routers/$router/update_external_gateways", "PUT /routers/$router/remove_external_gateways"
	ports := "GET /ports?device_owner=network:router_gateway&fields=fixed_ips"
	tell(t, onShores(
		// What is not a request for gateways.
		step{as: "demo", do: add, body: `{}`, status: 400, want: []string{"HTTPBadRequest"}},
		step{as: "demo", do: add, body: `{"router": {"external_gateways": {}}}`, status: 400},
		step{as: "demo", do: add, body: gateways(`{}`), status: 400},
		step{as: "demo", do: add, body: gateways(`null`), status: 400},
		step{as: "demo", do: add, body: gateways(`{"network_id": "$east", "bfd": true}`), status: 400},
		step{as: "demo", do: add, body: gateways(`{"network_id": "$net"}`), status: 400, want: []string{"is not an external network"}},
		step{as: "demo", do: add, body: gateways(`{"network_id": "11111111-2222-4333-8444-555555555555"}`), status: 404, want: []string{"NetworkNotFound"}},
		step{as: "demo", do: "PUT /routers/$router", body: `{"router": {"external_gateways": []}}`, status: 400, want: []string{"Cannot update read-only attribute external_gateways"}},
		step{as: "demo", do: "POST /routers", body: `{"router": {"external_gateways": []}}`, status: 400, want: []string{"Attribute 'external_gateways' not allowed in POST"}},
		step{as: "demo", do: add, body: `{"router": {}}`, status: 200, want: []string{`"external_gateways": []`}},
		step{as: "demo", do: add, body: gateways(``), status: 200, want: []string{`"external_gateways": []`}},
		step{as: "demo", do: remove, body: gateways(onEast), status: 400, want: []string{"UnableToRemoveGateways"}},

		// Who may say what.
		step{as: "other", do: add, body: gateways(onEast), status: 404, want: []string{"RouterNotFound"}},
		step{as: "reader", do: add, body: gateways(onEast), status: 403},
		step{as: "demo", do: add, body: gateways(at("$east", "203.0.113.9")), status: 403, want: []string{"add_external_gateways:external_gateways:external_fixed_ips"}},
		step{as: "demo", do: update, body: gateways(`{"network_id": "$east", "enable_snat": false}`), status: 403, want: []string{"update_external_gateways:external_gateways:enable_snat"}},
		step{as: "demo", do: add, body: gateways(`{"network_id": "$east", "qos_policy_id": "$east"}`), status: 403, want: []string{"add_external_gateways:external_gateways:qos_policy_id"}},

		// All or nothing.
		step{do: add, body: gateways(onEast + `, {"network_id": "$twin"}`), status: 400, want: []string{"overlaps with"}},
		step{do: add, body: gateways(onEast + `, ` + at("$west", "198.51.100.1")), status: 400, want: []string{"is the same as the gateway IP"}},
		step{do: ports, status: 200, want: []string{`"ports": []`}},

		// The first is external_gateway_info; two may be on one network.
		step{as: "demo", do: add, body: gateways(onEast + `, ` + onWest), status: 200,
			want: []string{`"external_gateway_info": {"network_id": "$east"`, `"external_gateways": [{"network_id": "$east"`, `{"network_id": "$west"`}},
		step{do: add, body: gateways(at("$west", "198.51.100.77")), status: 200, want: []string{"198.51.100.77", `"external_gateway_info": {"network_id": "$east"`}},
		step{do: add, body: gateways(at("$west", "198.51.100.77")), status: 409, want: []string{"IpAddressAlreadyAllocated"}},
		step{do: add, body: gateways(`{"network_id": "$west", "enable_snat": false}`), status: 400, want: []string{"one setting for all"}},
		step{do: add, body: gateways(`{"network_id": "$twin"}`), status: 400, want: []string{"overlaps with"}},
		step{do: ports, status: 200, want: []string{"203.0.113.", "198.51.100.77"}},
		step{as: "demo", do: "GET /routers?fields=external_gateways", status: 200, want: []string{"198.51.100.77"}},
		step{do: "PUT /networks/$west", body: `{"network": {"router:external": false}}`, status: 409, want: []string{"ExternalNetworkInUse"}},
		step{do: "DELETE /networks/$west", status: 409, want: []string{"NetworkInUse"}},

		// Which one is meant.
		step{as: "demo", do: remove, body: gateways(onWest), status: 400, want: []string{"UnableToMatchGateways", "external_fixed_ips must say"}},
		step{as: "demo", do: remove, body: gateways(at("$west", "198.51.100.99")), status: 400, want: []string{"UnableToMatchGateways"}},
		step{as: "demo", do: remove, body: gateways(onEast + `, {"network_id": "$twin"}`), status: 400, want: []string{"UnableToMatchGateways"}},
		step{as: "demo", do: remove, body: gateways(at("$west", "198.51.100.77")), status: 200, not: []string{"198.51.100.77"}},

		// Floating IPs by any of the gateways; what they need stays.
		step{as: "demo", do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$west", "port_id": "$one"}}`, status: 201, want: []string{"$router"}, keep: "fip"},
		step{as: "demo", do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$twin", "port_id": "$one"}}`, status: 404, want: []string{"ExternalGatewayForFloatingIPNotFound"}},
		step{as: "demo", do: remove, body: gateways(onWest), status: 409, want: []string{"RouterExternalGatewayInUseByFloatingIp", "$west"}},
		step{as: "demo", do: update, body: gateways(``), status: 409, want: []string{"RouterExternalGatewayInUseByFloatingIp"}},
		step{as: "demo", do: "GET /routers/$router", status: 200, want: []string{`"external_gateways": [{"network_id": "$east"`, `{"network_id": "$west"`}},
		step{as: "demo", do: add, body: gateways(onWest), status: 200, keep: "second=router.external_gateways.2.external_fixed_ips.0.ip_address"},
		step{do: remove, body: gateways(at("$west", "$second")), status: 200, not: []string{"$second"}}, // another on that network is left
		step{as: "demo", do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": null}}`, status: 200,
			want: []string{`"external_gateway_info": {"network_id": "$west"`, `"external_gateways": [{"network_id": "$west"`}, not: []string{"$east"}},
		step{as: "demo", do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": null}}`, status: 409, want: []string{"RouterExternalGatewayInUseByFloatingIp"}},
		step{as: "demo", do: "DELETE /floatingips/$fip", status: 204},

		// An update names the first, gives others addresses and adds those that are not there.
		step{do: update, body: gateways(at("$east", "203.0.113.20") + `, ` + onWest), status: 200,
			want: []string{`"external_gateway_info": {"network_id": "$east", "external_fixed_ips": [{"subnet_id": "$eastsub", "ip_address": "203.0.113.20"}]`, `{"network_id": "$west"`}},
		step{do: update, body: gateways(onWest), status: 200, want: []string{`"external_gateway_info": {"network_id": "$west"`, `"203.0.113.20"`}},
		step{do: update, body: gateways(onWest + `, {"network_id": "$east", "external_fixed_ips": [{"ip_address": "203.0.113.20"}, {"ip_address": "203.0.113.21"}]}`), status: 200, want: []string{"203.0.113.21"}},
		step{do: update, body: gateways(onWest + `, ` + at("$east", "203.0.113.40")), status: 400, want: []string{"UnableToMatchGateways"}},
		step{do: update, body: gateways(onWest + `, ` + onWest), status: 400, want: []string{"UnableToMatchGateways"}},
		step{do: update, body: gateways(`{"network_id": "$west", "enable_snat": false}`), status: 200, want: []string{`"enable_snat": false`}, not: []string{`"enable_snat": true`}},

		// The router's own request changes the first only.
		step{do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": {"network_id": "$west"}}}`, status: 200,
			want: []string{`"external_gateways": [{"network_id": "$west"`, `"203.0.113.21"`, `"enable_snat": true`}},
		step{do: update, body: gateways(``), status: 200, want: []string{`"external_gateways": []`, `"external_gateway_info": null`}},
		step{do: ports, status: 200, want: []string{`"ports": []`}},

		// A router that goes takes all along.
		step{as: "demo", do: add, body: gateways(onEast + `, ` + onWest), status: 200},
		step{as: "demo", do: "PUT /routers/$router/remove_router_interface", body: `{"subnet_id": "$sub"}`, status: 200},
		step{as: "demo", do: "DELETE /routers/$router", status: 204},
		step{do: ports, status: 200, want: []string{`"ports": []`}},
		step{do: "DELETE /networks/$west", status: 204},
	))
}

// An internal subnet may overlap with none of the gateways' networks.
func TestInterfacesBesideGateways(t *testing.T) {
	tell(t, onShores(
		step{as: "demo", do: "PUT /routers/$router/add_external_gateways", body: gateways(onEast + `, ` + onWest), status: 200},
		step{as: "demo", do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "clash"},
		step{as: "demo", do: "POST /subnets", body: `{"subnet": {"network_id": "$clash", "ip_version": 4, "cidr": "198.51.100.0/26"}}`, status: 201, keep: "clashsub"},
		step{as: "demo", do: "PUT /routers/$router/add_router_interface", body: `{"subnet_id": "$clashsub"}`, status: 400, want: []string{"overlaps with"}},
	))
}

// What is shared as external with a project is a gateway for that project only.
func TestGatewaysOnSharedNetworks(t *testing.T) {
	tell(t, onShores(
		step{do: "POST /networks", body: `{"network": {"provider:network_type": "flat", "provider:physical_network": "physnet9"}}`, status: 201, keep: "own"},
		step{do: "POST /subnets", body: `{"subnet": {"network_id": "$own", "ip_version": 4, "cidr": "192.0.2.0/24", "enable_dhcp": false}}`, status: 201},
		step{as: "demo", do: "PUT /routers/$router/add_external_gateways", body: gateways(onEast + `, {"network_id": "$own"}`), status: 404},
		step{do: "POST /rbac-policies", body: `{"rbac_policy": {"object_type": "network", "object_id": "$own", "action": "access_as_external", "target_tenant": "$demo"}}`, status: 201, keep: "shared"},
		step{as: "demo", do: "PUT /routers/$router/add_external_gateways", body: gateways(onEast + `, {"network_id": "$own"}`), status: 200, want: []string{"192.0.2."}},
		step{do: "DELETE /rbac-policies/$shared", status: 409, want: []string{"RbacPolicyInUse"}},
	))
}

func TestDefaultRoutesOfRouters(t *testing.T) {
	tell(t, onShores(
		step{as: "demo", do: "PUT /routers/$router", body: `{"router": {"enable_default_route_ecmp": true}}`, status: 403, want: []string{"update_router:enable_default_route_ecmp"}},
		step{do: "PUT /routers/$router", body: `{"router": {"enable_default_route_ecmp": "some"}}`, status: 400},
		step{do: "PUT /routers/$router", body: `{"router": {"enable_default_route_ecmp": true}}`, status: 200, want: []string{`"enable_default_route_ecmp": true`}},
		step{do: "PUT /routers/$router", body: `{"router": {"enable_default_route_bfd": true}}`, status: 400, want: []string{`"type": "BadRequest"`, "BFD"}},
		step{do: "PUT /routers/$router", body: `{"router": {"enable_default_route_bfd": false}}`, status: 200, want: []string{`"enable_default_route_bfd": false`}},
		step{do: "POST /routers", body: `{"router": {"enable_default_route_bfd": true}}`, status: 400},
		step{do: "POST /routers", body: `{"router": {"enable_snat": false}}`, status: 400, want: []string{"Attribute 'enable_snat' not allowed in POST"}},
		step{do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": {"network_id": "$east", "enable_snat": false}}}`, status: 200, want: []string{`"enable_snat": false`}},
		step{do: "GET /routers?enable_snat=false&fields=id", status: 200, want: []string{"$router"}},
		step{do: "GET /routers?enable_snat=true&fields=id", status: 200, not: []string{"$router"}},
		step{do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": {}}}`, status: 200, want: []string{`"enable_snat": true`, `"external_gateway_info": null`}},
	))
}

// Extensions that only some drivers have are there with those drivers only.
func TestExtensionsOfDrivers(t *testing.T) {
	const transparent, stacked = `{"network": {"vlan_transparent": true}}`, `{"network": {"provider:network_type": "vlan", "provider:physical_network": "physnet1", "provider:segmentation_id": 7, "qinq": true}}`
	tell(t, []step{
		{do: "GET /extensions/vlan-transparent", status: 404},
		{do: "GET /extensions/qinq", status: 404},
		{do: "GET /extensions/local_ip", status: 200, not: []string{"driver"}},
		{do: "GET /extensions/external-gateway-multihoming", status: 200},
		{do: "POST /networks", body: transparent, status: 400, want: []string{`"type": "VlanTransparencyDriverError"`, "Backend does not support VLAN Transparency."}},
		{do: "POST /networks", body: `{"network": {"qinq": true}}`, status: 400, want: []string{"Backend does not support QinQ"}},
		{do: "POST /networks", body: `{"network": {"vlan_transparent": false, "qinq": false}}`, status: 201, not: []string{"vlan_transparent", "qinq"}, keep: "net"},
		{do: "PUT /networks/$net", body: `{"network": {"vlan_transparent": true}}`, status: 400, want: []string{"Cannot update read-only attribute vlan_transparent"}},
	})

	s := openWith(t, func(o *ServiceOptions) {
		o.Network.Extensions = []string{"vlan-transparent", "qinq", "enable-default-route-bfd"} // what a driver may bring
		o.Network.VLANs["physnet1"] = nil
	})
	tellOn(t, s, map[string]string{}, []step{
		{do: "GET /extensions/vlan-transparent", status: 200},
		{do: "GET /extensions/local_ip", status: 404},
		{do: "POST /networks", body: transparent, status: 201, want: []string{`"vlan_transparent": true`, `"qinq": false`}, keep: "clear"},
		{do: "POST /networks", body: stacked, status: 201, want: []string{`"qinq": true`}, keep: "stacked"},
		{do: "POST /networks", body: `{"network": {"qinq": true}}`, status: 400, want: []string{"qinq is for VLAN networks"}},
		{do: "POST /networks", body: `{"network": {"qinq": true, "vlan_transparent": true}}`, status: 400, want: []string{"can't both be true"}},
		{do: "GET /networks?vlan_transparent=true&fields=id", status: 200, want: []string{"$clear"}, not: []string{"$stacked"}},
		{do: "GET /networks?qinq=true&fields=id", status: 200, want: []string{"$stacked"}, not: []string{"$clear"}},
		{do: "POST /routers", body: `{"router": {"enable_default_route_ecmp": true}}`, status: 400, want: []string{"one default route only"}},
		{do: "POST /routers", body: `{"router": {"enable_default_route_bfd": true}}`, status: 201, want: []string{`"enable_default_route_bfd": true`}},
	})
}

// Networks carry their instances' tags where the operator wants it and all drivers can, which OVN does.
func TestTags(t *testing.T) {
	const stacked = `{"network": {"provider:network_type": "vlan", "provider:physical_network": "physnet1", "provider:segmentation_id": 7, "qinq": true}}`
	for _, drivers := range [][]string{{"ovn", "openvswitch"}, {"ovn"}} {
		alone := len(drivers) == 1
		s := openWith(t, func(o *ServiceOptions) {
			o.Network.Mechanisms, o.Network.VLANTransparent, o.Network.QinQ = drivers, true, true
			o.Network.VLANs["physnet1"] = nil
		})
		status, shown := 400, 404
		if alone {
			status, shown = 201, 200
		}
		tellOn(t, s, map[string]string{}, []step{
			{do: "GET /extensions/vlan-transparent", status: shown},
			{do: "GET /extensions/qinq", status: shown},
			{do: "POST /networks", body: `{"network": {"vlan_transparent": true}}`, status: status},
			{do: "POST /networks", body: stacked, status: status},
			{do: "POST /networks", body: `{"network": {"vlan_transparent": true, "provider:network_type": "flat", "provider:physical_network": "physnet1"}}`, status: 400, want: []string{"VlanTransparencyDriverError"}},
		})
	}
	s := openWith(t, func(o *ServiceOptions) { o.Network.Mechanisms = []string{"ovn"} })
	tellOn(t, s, map[string]string{}, []step{
		{do: "GET /extensions/vlan-transparent", status: 404},
		{do: "POST /networks", body: `{"network": {"vlan_transparent": true}}`, status: 400, want: []string{"VlanTransparencyDriverError"}},
	})
}

// With OVN a router has several gateways, and what OVN can't do with them is refused, whichever comes first.
func TestGatewaysByOVN(t *testing.T) {
	s := openWith(t, func(o *ServiceOptions) { o.Network.Mechanisms = []string{"ovn"} })
	add, remove := "PUT /routers/$router/add_external_gateways", "PUT /routers/$router/remove_external_gateways"
	forward := `{"port_forwarding": {"protocol": "tcp", "internal_port_id": "$one", "internal_ip_address": "10.0.0.11", "internal_port": 80, "external_port": 80}}`
	forwardRange := func(ports string) string {
		return `{"port_forwarding": {"protocol": "udp", "internal_port_id": "$one", "internal_ip_address": "10.0.0.11", "internal_port_range": "` + ports + `", "external_port_range": "` + ports + `"}}`
	}
	associate := func(network string) string {
		return `{"floatingip": {"floating_network_id": "` + network + `", "port_id": "$one"}}`
	}
	tellOn(t, s, map[string]string{}, onShores(
		step{as: "demo", do: add, body: gateways(onEast), status: 200},
		step{as: "demo", do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$east"}}`, status: 201, keep: "fip"},
		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: forward, status: 201, keep: "forward"},

		// A floating IP forwards so many ports, and no more.
		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: forwardRange("1000:1255"), status: 400, want: []string{"with OVN a floating IP forwards at most 256 ports", "would forward 257"}},
		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: forwardRange("1000:1254"), status: 201, keep: "range"},
		step{as: "demo", do: "PUT /floatingips/$fip/port_forwardings/$range", body: `{"port_forwarding": {"external_port_range": "1000:1255", "internal_port_range": "1000:1255"}}`, status: 400},
		step{as: "demo", do: "PUT /floatingips/$fip/port_forwardings/$range", body: `{"port_forwarding": {"external_port_range": "2000:2254"}}`, status: 200},
		step{as: "demo", do: "DELETE /floatingips/$fip/port_forwardings/$range", status: 204},

		// Port forwardings, then a gateway; a gateway, then port forwardings.
		step{as: "demo", do: add, body: gateways(onWest), status: 400, want: []string{"with OVN a router with port forwardings has one external gateway only"}},
		step{as: "demo", do: "DELETE /floatingips/$fip/port_forwardings/$forward", status: 204},
		step{as: "demo", do: add, body: gateways(onEast), status: 400, want: []string{"with OVN a router has one external gateway on a network"}},
		step{as: "demo", do: add, body: gateways(onWest), status: 200, want: []string{"$west"}},
		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: forward, status: 400, want: []string{"can't forward ports, for it has several external gateways"}},
		step{do: "PUT /routers/$router", body: `{"router": {"enable_default_route_ecmp": true}}`, status: 200},
		step{as: "demo", do: "PUT /routers/$router", body: `{"router": {"enable_default_route_bfd": true}}`, status: 403, want: []string{"update_router:enable_default_route_bfd"}},
		step{do: "PUT /routers/$router", body: `{"router": {"enable_default_route_bfd": true}}`, status: 200, want: []string{`"enable_default_route_bfd": true`}},
		step{do: "GET /extensions/enable-default-route-bfd", status: 200},

		// One floating IP of an address.
		step{as: "demo", do: "POST /floatingips", body: associate("$east"), status: 201, keep: "eastfip"},
		step{as: "demo", do: "POST /floatingips", body: associate("$west"), status: 400, want: []string{"can have one floating IP, and has it"}},
		step{as: "demo", do: "DELETE /floatingips/$eastfip", status: 204},
		step{as: "demo", do: "POST /floatingips", body: associate("$west"), status: 201},

		// With one gateway again ports can be forwarded.
		step{as: "demo", do: "DELETE /floatingips/$fip", status: 204},
		step{as: "demo", do: remove, body: gateways(onEast), status: 200},
		step{as: "demo", do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$west"}}`, status: 201, keep: "fip"},
		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: forward, status: 409, want: []string{"already has a binding floating IP"}},
	))
}
