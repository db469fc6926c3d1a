package server

import (
	"slices"
	"testing"

	"neutrino/engine"
)

// ground is what stories about routers stand on: an external network with a router behind it, to which a
// project's subnet is attached, and two ports on that.
var ground = []step{
	{do: "POST /networks", body: `{"network": {"router:external": true, "provider:network_type": "flat", "provider:physical_network": "physnet1"}}`, status: 201, keep: "ext"},
	{do: "POST /subnets", body: `{"subnet": {"network_id": "$ext", "name": "pool", "ip_version": 4, "cidr": "203.0.113.0/24", "enable_dhcp": false}}`, status: 201, keep: "pool"},
	{as: "demo", do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "net"},
	{as: "demo", do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "10.0.0.0/24"}}`, status: 201, keep: "sub"},
	{as: "demo", do: "POST /routers", body: `{"router": {"external_gateway_info": {"network_id": "$ext"}}}`, status: 201, keep: "router"},
	{as: "demo", do: "PUT /routers/$router/add_router_interface", body: `{"subnet_id": "$sub"}`, status: 200, keep: "leg=port_id"},
	{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net", "fixed_ips": [{"ip_address": "10.0.0.11"}]}}`, status: 201, keep: "one"},
	{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net", "fixed_ips": [{"ip_address": "10.0.0.12"}]}}`, status: 201, keep: "two"},
}

func onGround(steps ...step) []step { return append(append([]step{}, ground...), steps...) }

func TestKindsOfRouters(t *testing.T) {
	tell(t, onGround(
		step{as: "demo", do: "GET /routers/$router", status: 200, not: []string{"distributed", `"ha"`}},
		step{do: "GET /routers/$router", status: 200, want: []string{`"distributed": false`, `"ha": false`}},
		step{as: "demo", do: "POST /routers", body: `{"router": {"distributed": true}}`, status: 403, want: []string{"create_router:distributed"}},
		step{as: "demo", do: "POST /routers", body: `{"router": {"ha": true}}`, status: 403, want: []string{"create_router:ha"}},
		step{as: "demo", do: "PUT /routers/$router", body: `{"router": {"ha": true}}`, status: 403},
		step{do: "POST /routers", body: `{"router": {"distributed": "perhaps"}}`, status: 400},
		step{do: "POST /routers", body: `{"router": {"distributed": null, "ha": null}}`, status: 201, want: []string{`"distributed": false`}},
		step{do: "PUT /routers/$router", body: `{"router": {"distributed": true}}`, status: 400, want: []string{`"type": "BadRequest"`, "Please set router admin_state_up to False"}},
		step{do: "PUT /routers/$router", body: `{"router": {"ha": true}}`, status: 400, want: []string{"Cannot change HA attribute of active routers"}},
		step{as: "demo", do: "PUT /routers/$router", body: `{"router": {"admin_state_up": false}}`, status: 200},
		step{do: "PUT /routers/$router", body: `{"router": {"distributed": true}}`, status: 200, want: []string{`"distributed": true`}},
		step{do: "GET /ports/$leg", status: 200, want: []string{"network:router_interface_distributed"}},
		step{as: "demo", do: "DELETE /ports/$leg", status: 409, want: []string{"ServicePortInUse", "has device owner network:router_interface_distributed"}},
		step{do: "PUT /routers/$router", body: `{"router": {"distributed": false, "ha": true}}`, status: 200, want: []string{`"ha": true`}},
		step{do: "GET /ports/$leg", status: 200, want: []string{"network:ha_router_replicated_interface"}},
		step{do: "GET /routers/$router/l3-agents", status: 200, want: []string{`"ha_state": "active"`}},
		step{do: "GET /networks?name=HA%20network%20tenant%20$demo", status: 200, want: []string{`"provider:segmentation_id"`, `"project_id": ""`}, keep: "ha=networks.0.id"},
		step{as: "demo", do: "GET /networks/$ha", status: 404},
		step{do: "PUT /routers/$router", body: `{"router": {"ha": false}}`, status: 200},
		step{do: "GET /ports/$leg", status: 200, want: []string{`"device_owner": "network:router_interface"`}},
		step{do: "GET /networks/$ha", status: 404},
		step{do: "POST /routers", body: `{"router": {"ha": true, "project_id": "$demo"}}`, status: 201, keep: "h1"},
		step{do: "POST /routers", body: `{"router": {"ha": true, "project_id": "$demo"}}`, status: 201, keep: "h2"},
		step{do: "GET /networks?name=HA%20network%20tenant%20$demo", status: 200, keep: "ha=networks.0.id"},
		step{as: "demo", do: "DELETE /routers/$h1", status: 204},
		step{do: "GET /networks/$ha", status: 200},
		step{as: "demo", do: "DELETE /routers/$h2", status: 204},
		step{do: "GET /networks/$ha", status: 404},
		step{as: "demo", do: "PUT /routers/$router/remove_router_interface", body: `{"subnet_id": "$sub"}`, status: 200},
	))
}

func TestConntrackHelpers(t *testing.T) {
	tell(t, onGround(
		step{as: "other", do: "GET /routers/$router/conntrack_helpers", status: 404, want: []string{"RouterNotFound"}},
		step{as: "other", do: "POST /routers/$router/conntrack_helpers", body: `{"conntrack_helper": {"protocol": "udp", "port": 69, "helper": "tftp"}}`, status: 404},
		step{as: "reader", do: "POST /routers/$router/conntrack_helpers", body: `{"conntrack_helper": {"protocol": "udp", "port": 69, "helper": "tftp"}}`, status: 403},
		step{as: "demo", do: "POST /routers/$router/conntrack_helpers", body: `{"conntrack_helper": {"protocol": "udp", "port": 69}}`, status: 400},
		step{as: "demo", do: "POST /routers/$router/conntrack_helpers", body: `{"conntrack_helper": {"protocol": "udp", "port": 0, "helper": "tftp"}}`, status: 400},
		step{as: "demo", do: "POST /routers/$router/conntrack_helpers", body: `{"conntrack_helper": {"protocol": "udp", "port": 69, "helper": "quake"}}`, status: 400, want: []string{"ConntrackHelperNotAllowed"}},
		step{as: "demo", do: "POST /routers/$router/conntrack_helpers", body: `{"conntrack_helper": {"protocol": "tcp", "port": 69, "helper": "tftp"}}`, status: 400, want: []string{"InvalidProtocolForHelper"}},
		step{as: "demo", do: "POST /routers/$router/conntrack_helpers", body: `{"conntrack_helper": {"protocol": "UDP", "port": "69", "helper": "tftp"}}`, status: 201,
			want: []string{`"protocol": "udp"`, `"port": 69`}, not: []string{"project_id", "router_id"}, keep: "helper"},
		step{as: "demo", do: "POST /routers/$router/conntrack_helpers", body: `{"conntrack_helper": {"protocol": "udp", "port": 69, "helper": "tftp"}}`, status: 400, want: []string{`"type": "BadRequest"`, "duplicate"}},
		step{as: "reader", do: "GET /routers/$router/conntrack_helpers?helper=tftp", status: 200, want: []string{"$helper"}},
		step{as: "demo", do: "PUT /routers/$router/conntrack_helpers/$helper", body: `{"conntrack_helper": {"port": 6969}}`, status: 200, want: []string{`"port": 6969`}},
		step{as: "demo", do: "PUT /routers/$router/conntrack_helpers/$helper", body: `{"conntrack_helper": {"protocol": "tcp"}}`, status: 400},
		step{as: "demo", do: "GET /routers/$router", status: 200, want: []string{`"conntrack_helpers": [{"protocol": "udp", "port": 6969, "helper": "tftp"}]`}},
		step{as: "demo", do: "DELETE /routers/$router/conntrack_helpers/$helper", status: 204},
		step{as: "demo", do: "GET /routers/$router/conntrack_helpers/$helper", status: 404, want: []string{"ConntrackHelperNotFound"}},
	))
}

func TestPortForwardings(t *testing.T) {
	make := func(rest string) string {
		return `{"port_forwarding": {"internal_port_id": "$one", "internal_ip_address": "10.0.0.11", "protocol": "tcp", ` + rest + `}}`
	}
	tell(t, onGround(
		step{as: "demo", do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$ext"}}`, status: 201, want: []string{`"port_forwardings": []`}, keep: "fip"},
		step{as: "other", do: "GET /floatingips/$fip/port_forwardings", status: 404, want: []string{"FloatingIPNotFound"}},
		step{as: "reader", do: "POST /floatingips/$fip/port_forwardings", body: make(`"internal_port": 80, "external_port": 8080`), status: 403},
		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: make(`"internal_port": 80`), status: 400},
		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: make(`"internal_port": 80, "external_port": 333333`), status: 400},
		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: make(`"internal_port_range": "90:80", "external_port_range": "90:80"`), status: 400},
		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: make(`"internal_port": 80, "external_port": 80, "external_port_range": "81:81"`), status: 400},
		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: make(`"internal_port_range": "80:82", "external_port_range": "80:83"`), status: 400, want: []string{"must be N-N or 1-N"}},
		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: `{"port_forwarding": {"internal_port_id": "$one", "internal_ip_address": "10.0.0.12", "protocol": "tcp", "internal_port": 80, "external_port": 80}}`,
			status: 400, want: []string{`"type": "BadRequest"`, "not suitable"}},
		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: `{"port_forwarding": {"internal_port_id": "$net", "internal_ip_address": "10.0.0.12", "protocol": "tcp", "internal_port": 80, "external_port": 80}}`,
			status: 404, want: []string{"PortNotFound"}},
		step{as: "demo", do: "GET /floatingips/$fip", status: 200, want: []string{`"router_id": null`}},
		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: make(`"internal_port": 80, "external_port": 8080, "description": "web"`), status: 201,
			want: []string{`"external_port": 8080, "external_port_range": "8080:8080"`, `"internal_port_range": "80:80"`, `"description": "web"`}, not: []string{"project_id", "floatingip_id", "last"}, keep: "web"},
		step{as: "demo", do: "GET /floatingips/$fip", status: 200, want: []string{`"router_id": "$router"`, `"port_id": null`,
			`"port_forwardings": [{"id": "$web", "protocol": "tcp", "internal_port_id": "$one", "internal_ip_address": "10.0.0.11", "internal_port": 80, "external_port": 8080}]`}},
		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: make(`"internal_port": 81, "external_port_range": "8080:8090"`), status: 400,
			want: []string{"There is a port collision with the external_port_range"}},
		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: make(`"internal_port": 80, "external_port": 9090`), status: 400,
			want: []string{"There is a port collision with the internal_port_range"}},
		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: make(`"internal_port_range": "90:92", "external_port_range": "9090:9092"`), status: 201,
			want: []string{`"external_port": null`, `"internal_port": null`, `"internal_port_range": "90:92"`}, keep: "range"},
		step{as: "demo", do: "GET /floatingips/$fip/port_forwardings?external_port=8080&sort_key=external_port&sort_dir=asc", status: 200, want: []string{"$web"}, not: []string{"$range"}},
		step{as: "demo", do: "GET /floatingips/$fip/port_forwardings?external_port_range=9090:9092", status: 200, want: []string{"$range"}, not: []string{"$web"}},
		step{as: "demo", do: "PUT /floatingips/$fip/port_forwardings/$web", body: `{"port_forwarding": {"external_port": 9091}}`, status: 400},
		step{as: "demo", do: "PUT /floatingips/$fip/port_forwardings/$web", body: `{"port_forwarding": {"internal_port": 8000}}`, status: 200, want: []string{`"internal_port_range": "8000:8000"`, `"external_port": 8080`}},
		step{as: "demo", do: "PUT /floatingips/$fip/port_forwardings/$web", body: `{"port_forwarding": {"protocol": "carrier-pigeon"}}`, status: 400},

		step{as: "demo", do: "PUT /floatingips/$fip", body: `{"floatingip": {"port_id": "$two"}}`, status: 409, want: []string{"FipInUseByPortForwarding"}},
		step{as: "demo", do: "PUT /floatingips/$fip", body: `{"floatingip": {}}`, status: 200, want: []string{`"router_id": "$router"`}},
		step{as: "demo", do: "DELETE /floatingips/$fip", status: 409, want: []string{"FipInUseByPortForwarding"}},
		step{as: "demo", do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": {}}}`, status: 409, want: []string{"RouterExternalGatewayInUseByFloatingIp"}},
		step{as: "demo", do: "PUT /routers/$router/remove_router_interface", body: `{"subnet_id": "$sub"}`, status: 409, want: []string{"RouterInterfaceInUseByFloatingIP"}},

		step{as: "demo", do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$ext", "port_id": "$two"}}`, status: 201, keep: "whole"},
		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: `{"port_forwarding": {"internal_port_id": "$two", "internal_ip_address": "10.0.0.12", "protocol": "udp", "internal_port": 53, "external_port": 53}}`,
			status: 409, want: []string{"PortHasBindingFloatingIP"}},
		step{as: "demo", do: "POST /floatingips/$whole/port_forwardings", body: make(`"internal_port": 7, "external_port": 7`), status: 409, want: []string{"FloatingIPPortAlreadyAssociated"}},

		step{as: "demo", do: "PUT /ports/$one", body: `{"port": {"fixed_ips": [{"ip_address": "10.0.0.11"}, {"ip_address": "10.0.0.21"}]}}`, status: 200},
		step{as: "demo", do: "GET /floatingips/$fip/port_forwardings/$web", status: 200},
		step{as: "demo", do: "DELETE /floatingips/$fip/port_forwardings/$range", status: 204},
		step{as: "demo", do: "PUT /ports/$one", body: `{"port": {"fixed_ips": [{"ip_address": "10.0.0.21"}]}}`, status: 200},
		step{as: "demo", do: "GET /floatingips/$fip/port_forwardings/$web", status: 404, want: []string{"PortForwardingNotFound"}},
		step{as: "demo", do: "GET /floatingips/$fip", status: 200, want: []string{`"router_id": null`, `"port_forwardings": []`}},

		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: `{"port_forwarding": {"internal_port_id": "$one", "internal_ip_address": "10.0.0.21", "protocol": "udp", "internal_port": 53, "external_port": 53}}`, status: 201},
		step{as: "demo", do: "DELETE /ports/$one", status: 204},
		step{as: "demo", do: "GET /floatingips/$fip/port_forwardings", status: 200, want: []string{`"port_forwardings": []`}},
		step{as: "demo", do: "DELETE /floatingips/$fip", status: 204},
	))
}

func TestFloatingIPs(t *testing.T) {
	tell(t, onGround(
		step{as: "demo", do: "GET /floatingip-pools", status: 200,
			want: []string{`{"floatingip_pools": [{"subnet_id": "$pool", "subnet_name": "pool", "network_id": "$ext", "cidr": "203.0.113.0/24", "tenant_id": "$demo", "project_id": "$demo"}]}`}},
		step{as: "demo", do: "GET /floatingip-pools?cidr=10.0.0.0/8", status: 400},
		step{as: "demo", do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$ext", "subnet_id": "$sub"}}`, status: 400, want: []string{`"type": "BadRequest"`}},
		step{as: "demo", do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$ext", "fixed_ip_address": "10.0.0.11"}}`, status: 400, want: []string{"without a port_id"}},
		step{as: "demo", do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$ext", "dns_domain": "example.org."}}`, status: 400, want: []string{"without a dns_name"}},
		step{as: "demo", do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$ext", "dns_name": "-"}}`, status: 400},
		step{as: "demo", do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$ext", "dns_name": "WWW", "dns_domain": "example.org."}}`, status: 201,
			want: []string{`"dns_name": "www"`, `"dns_domain": "example.org."`, `"status": "DOWN"`, `"router_id": null`, `"port_details": null`, `"revision_number": 1`}, keep: "fip"},
		step{as: "demo", do: "PUT /floatingips/$fip", body: `{"floatingip": {"dns_name": "x"}}`, status: 400, want: []string{"Cannot update read-only attribute dns_name"}},
		step{as: "demo", do: "GET /ports?device_owner=network:floatingip", status: 200, want: []string{`"ports": []`}},
		step{do: "GET /ports?device_owner=network:floatingip", status: 200, want: []string{`"project_id": ""`, `"status": "N/A"`, `"device_id": "$fip"`}},
		step{as: "demo", do: "PUT /floatingips/$fip", body: `{"floatingip": {"port_id": "$one", "fixed_ip_address": "10.0.0.12"}}`, status: 400, want: []string{"does not have fixed ip"}},
		step{as: "demo", do: "PUT /floatingips/$fip", body: `{"floatingip": {"port_id": "$one"}}`, status: 200, want: []string{`"fixed_ip_address": "10.0.0.11"`, `"device_owner":""`, `"router_id": "$router"`}},
		step{as: "demo", do: "PUT /floatingips/$fip", body: `{"floatingip": {"description": "kept"}}`, status: 200, want: []string{`"port_id": "$one"`}},
		step{as: "demo", do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$ext", "port_id": "$one"}}`, status: 409, want: []string{"FloatingIPPortAlreadyAssociated"}},
		step{as: "demo", do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": null}}`, status: 409, want: []string{"RouterExternalGatewayInUseByFloatingIp"}},
		step{as: "demo", do: "PUT /floatingips/$fip", body: `{"floatingip": {}}`, status: 200, want: []string{`"port_id": null`, `"router_id": null`, `"fixed_ip_address": null`}},
		step{as: "other", do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "foreign"},
		step{as: "other", do: "POST /subnets", body: `{"subnet": {"network_id": "$foreign", "ip_version": 4, "cidr": "10.9.0.0/24"}}`, status: 201},
		step{as: "other", do: "POST /ports", body: `{"port": {"network_id": "$foreign"}}`, status: 201, keep: "theirs"},
		step{as: "demo", do: "PUT /floatingips/$fip", body: `{"floatingip": {"port_id": "$theirs"}}`, status: 404, want: []string{"PortNotFound"}},
		step{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net", "fixed_ips": [{"ip_address": "10.0.0.31"}, {"ip_address": "10.0.0.32"}]}}`, status: 201, keep: "both"},
		step{as: "demo", do: "PUT /floatingips/$fip", body: `{"floatingip": {"port_id": "$both"}}`, status: 400, want: []string{"multiple fixed IPv4 addresses"}},
		step{as: "demo", do: "PUT /floatingips/$fip", body: `{"floatingip": {"port_id": "$both", "fixed_ip_address": "10.0.0.32"}}`, status: 200},
		step{as: "demo", do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$ext", "port_id": "$both", "fixed_ip_address": "10.0.0.31"}}`, status: 201},
		step{as: "demo", do: "DELETE /floatingips/$fip", status: 204},
	))
}

func TestNDPProxies(t *testing.T) {
	tell(t, onGround(
		step{as: "demo", do: "GET /routers/$router", status: 200, want: []string{`"enable_ndp_proxy": false`}},
		step{as: "demo", do: "PUT /routers/$router", body: `{"router": {"enable_ndp_proxy": true}}`, status: 409, want: []string{"RouterGatewayNotValid"}},
		step{as: "demo", do: "POST /routers", body: `{"router": {"enable_ndp_proxy": true}}`, status: 409, want: []string{"RouterGatewayNotValid"}},
		step{do: "POST /address-scopes", body: `{"address_scope": {"name": "six", "ip_version": 6, "shared": true}}`, status: 201, keep: "scope"},
		step{do: "POST /subnetpools", body: `{"subnetpool": {"name": "six", "shared": true, "address_scope_id": "$scope", "default_prefixlen": 112, "prefixes": ["2001:db8::/96"]}}`, status: 201, keep: "pool6"},
		step{do: "POST /subnets", body: `{"subnet": {"network_id": "$ext", "ip_version": 6, "subnetpool_id": "$pool6", "cidr": "2001:db8::1:0/112", "enable_dhcp": false}}`, status: 201, keep: "ext6"},
		step{as: "demo", do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 6, "subnetpool_id": "$pool6", "cidr": "2001:db8::2:0/112"}}`, status: 201, keep: "sub6"},
		step{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net", "fixed_ips": [{"ip_address": "2001:db8::2:9"}]}}`, status: 201, keep: "six"},
		step{as: "demo", do: "PUT /routers/$router", body: `{"router": {"enable_ndp_proxy": true}}`, status: 409, want: []string{"RouterGatewayNotValid"}},
		step{do: "PUT /routers/$router", body: `{"router": {"enable_ndp_proxy": true, "external_gateway_info": {"network_id": "$ext", "external_fixed_ips": [{"subnet_id": "$ext6"}, {"subnet_id": "$pool"}]}}}`, status: 200, want: []string{`"enable_ndp_proxy": true`}},
		step{do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": {"network_id": "$ext", "external_fixed_ips": [{"subnet_id": "$pool"}]}}}`, status: 409, want: []string{"RouterIPv6GatewayInUse"}},
		step{as: "demo", do: "POST /ndp-proxies", body: `{"ndp_proxy": {"router_id": "$router", "port_id": "$six"}}`, status: 409, want: []string{"PortUnreachableRouter"}},
		step{as: "demo", do: "PUT /routers/$router/add_router_interface", body: `{"subnet_id": "$sub6"}`, status: 200},
		step{as: "reader", do: "POST /ndp-proxies", body: `{"ndp_proxy": {"router_id": "$router", "port_id": "$six"}}`, status: 403},
		step{as: "other", do: "POST /ndp-proxies", body: `{"ndp_proxy": {"router_id": "$router", "port_id": "$six"}}`, status: 404},
		step{as: "demo", do: "POST /ndp-proxies", body: `{"ndp_proxy": {"router_id": "$router", "port_id": "$one"}}`, status: 400, want: []string{`"type": "BadRequest"`}},
		step{as: "demo", do: "POST /ndp-proxies", body: `{"ndp_proxy": {"router_id": "$router", "port_id": "$six", "ip_address": "2001:db8::2:8"}}`, status: 400, want: []string{"InvalidAddress"}},
		step{as: "demo", do: "POST /ndp-proxies", body: `{"ndp_proxy": {"router_id": "$router", "port_id": "$six"}}`, status: 201, want: []string{`"ip_address": "2001:db8::2:9"`, `"project_id": "$demo"`}, keep: "proxy"},
		step{as: "demo", do: "POST /ndp-proxies", body: `{"ndp_proxy": {"router_id": "$router", "port_id": "$six"}}`, status: 400, want: []string{"duplicate"}},
		step{as: "demo", do: "PUT /ndp-proxies/$proxy", body: `{"ndp_proxy": {"name": "new"}}`, status: 200, want: []string{`"name": "new"`}},
		step{as: "demo", do: "PUT /ndp-proxies/$proxy", body: `{"ndp_proxy": {"port_id": "$one"}}`, status: 400},
		step{as: "other", do: "GET /ndp-proxies/$proxy", status: 404, want: []string{"NDPProxyNotFound"}},
		step{as: "demo", do: "PUT /routers/$router/remove_router_interface", body: `{"subnet_id": "$sub6"}`, status: 409, want: []string{"RouterInterfaceInUseByNDPProxy"}},
		step{as: "demo", do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": {}}}`, status: 409, want: []string{"RouterGatewayInUseByNDPProxy"}},
		step{as: "demo", do: "DELETE /ports/$six", status: 204},
		step{as: "demo", do: "GET /ndp-proxies/$proxy", status: 404},
		step{as: "demo", do: "PUT /routers/$router", body: `{"router": {"enable_ndp_proxy": true, "external_gateway_info": {}}}`, status: 409, want: []string{"RouterGatewayNotValid"}},
		step{as: "demo", do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": {}}}`, status: 200, want: []string{`"enable_ndp_proxy": false`, `"external_gateway_info": null`}},
	))
}

// TestForeignRouter: nobody's port becomes that of another project's router, though its owner may say what it likes of it.
func TestForeignRouter(t *testing.T) {
	var steps []step
	foreign := []string{"DeviceIDNotOwnedByTenant"}
	for _, owner := range []string{"network:router_gateway", "network:router_interface", "network:router_interface_distributed", "network:ha_router_replicated_interface"} {
		steps = append(steps,
			step{as: "other", do: "POST /ports", body: `{"port": {"network_id": "$theirs", "device_id": "$router", "device_owner": "` + owner + `"}}`, status: 409, want: foreign},
			step{as: "other", do: "PUT /ports/$port", body: `{"port": {"device_id": "$router", "device_owner": "` + owner + `"}}`, status: 409, want: foreign},
			step{as: "other", do: "PUT /ports/$port", body: `{"port": {"device_id": "", "device_owner": "` + owner + `"}}`, status: 200},
			step{as: "other", do: "PUT /ports/$port", body: `{"port": {"device_id": "$router"}}`, status: 409, want: foreign},
			step{as: "other", do: "PUT /ports/$port", body: `{"port": {"device_owner": ""}}`, status: 200},
			step{as: "other", do: "PUT /ports/$port", body: `{"port": {"device_id": "$router"}}`, status: 200}, // says nothing of what it is
			step{as: "other", do: "PUT /ports/$port", body: `{"port": {"device_owner": "` + owner + `"}}`, status: 409, want: foreign},
		)
	}
	tell(t, slices.Concat([]step{
		{as: "demo", do: "POST /routers", body: `{"router": {"name": "r"}}`, status: 201, keep: "router"},
		{as: "other", do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "theirs"},
		{as: "other", do: "POST /subnets", body: `{"subnet": {"network_id": "$theirs", "ip_version": 4, "cidr": "10.0.0.0/24"}}`, status: 201},
		{as: "other", do: "POST /ports", body: `{"port": {"network_id": "$theirs"}}`, status: 201, keep: "port"},
	}, steps, []step{
		{as: "demo", do: "GET /routers/$router", status: 200, want: []string{`"external_gateway_info": null`}},
		{as: "other", do: "POST /ports", body: `{"port": {"network_id": "$theirs", "device_id": "` + noRouter + `", "device_owner": "network:router_interface"}}`, status: 201},
	}))
}

// noRouter is the id of nothing.
const noRouter = "00000000-0000-4000-8000-00000000000f"

// TestTrustOfRouterPorts: a port that was a router's on another project's network is no more trusted there than before.
func TestTrustOfRouterPorts(t *testing.T) {
	tell(t, []step{
		{do: "POST /networks", body: `{"network": {"shared": true}}`, status: 201, keep: "net"},
		{do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "10.0.0.0/24"}}`, status: 201},
		{as: "demo", do: "POST /routers", body: `{"router": {}}`, status: 201, keep: "router"},
		{as: "demo", do: "POST /routers", body: `{"router": {}}`, status: 201, keep: "second"},
		{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net"}}`, status: 201, want: []string{`"port_security_enabled": true`}, keep: "one"},
		{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net"}}`, status: 201, keep: "two"},
		{as: "demo", do: "PUT /routers/$router/add_router_interface", body: `{"port_id": "$one"}`, status: 200},
		{as: "demo", do: "PUT /routers/$second/add_router_interface", body: `{"port_id": "$two"}`, status: 200},
		{as: "demo", do: "GET /ports/$one", status: 200, want: []string{`"port_security_enabled": false`}},
		{as: "demo", do: "PUT /ports/$one", body: `{"port": {"port_security_enabled": false, "device_owner": ""}}`, status: 403, want: []string{"update_port:port_security_enabled"}},
		{as: "demo", do: "PUT /ports/$one", body: `{"port": {"device_owner": "", "device_id": ""}}`, status: 200, want: []string{`"port_security_enabled": true`, `"security_groups": []`}},

		// As Nova does with a port that nobody has.
		{as: "demo", do: "PUT /ports/$two", body: `{"port": {"device_id": ""}}`, status: 200},
		{as: "nova", do: "PUT /ports/$two", body: `{"port": {"device_owner": "compute:nova", "device_id": "vm", "binding:host_id": "h1"}}`, status: 200, want: []string{`"port_security_enabled": true`}},

		// Whose network it is may have it otherwise.
		{as: "demo", do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "own"},
		{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$own", "device_owner": "network:x"}}`, status: 201, want: []string{`"port_security_enabled": false`}, keep: "three"},
		{as: "demo", do: "PUT /ports/$three", body: `{"port": {"device_owner": "", "port_security_enabled": false}}`, status: 200, want: []string{`"port_security_enabled": false`}},
	})
}

// TestGuestsDoNotAdvertise: a router on another project's network is the router of its instances only when the network's
// owner has named it: no hosts hear of it by router advertisements otherwise.
func TestGuestsDoNotAdvertise(t *testing.T) {
	s := open(t)
	hosts(t, s, "h1", "h2")
	kept := map[string]string{}
	tellOn(t, s, kept, []step{
		{do: "POST /networks", body: `{"network": {"shared": true}}`, status: 201, keep: "net"},
		{do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 6, "cidr": "2001:db8::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}}`, status: 201, keep: "sub"},
		{do: "POST /routers", body: `{"router": {"name": "owner"}}`, status: 201, keep: "owner"},
		{do: "PUT /routers/$owner/add_router_interface", body: `{"subnet_id": "$sub"}`, status: 200},
		{do: "POST /ports", body: `{"port": {"network_id": "$net"}}`, status: 201, keep: "further"},
		{do: "POST /routers", body: `{"router": {"name": "beside"}}`, status: 201, keep: "beside"},
		{do: "PUT /routers/$beside/add_router_interface", body: `{"port_id": "$further"}`, status: 200},
		{as: "demo", do: "POST /routers", body: `{"router": {"name": "guest"}}`, status: 201, keep: "guest"},
		{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net"}}`, status: 201, keep: "port"},
		{as: "demo", do: "PUT /routers/$guest/add_router_interface", body: `{"port_id": "$port"}`, status: 200},
		{as: "demo", do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "own"},
		{as: "demo", do: "POST /subnets", body: `{"subnet": {"network_id": "$own", "ip_version": 6, "cidr": "2001:db8:1::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}}`, status: 201, keep: "within"},
		{do: "POST /routers", body: `{"router": {"name": "named"}}`, status: 201, keep: "named"},
		{do: "PUT /routers/$named/add_router_interface", body: `{"subnet_id": "$within"}`, status: 200},
	})
	told := map[string]string{}
	if err := s.Engine.View(t.Context(), nil, func(c *engine.Call) error {
		routers, _, _, _, err := newSource(s).reader.Routers(c, nil)
		for _, r := range routers {
			for _, i := range r.Interfaces {
				told[r.ID] += i.Subnets[0].RAMode
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"owner": "slaac", "beside": "slaac", "guest": "", "named": "slaac"} {
		if got := told[kept[name]]; got != want {
			t.Errorf("%s advertises %q, want %q", name, got, want)
		}
	}
}

// TestForwardingToOthers: who names another project's port in a forwarding learns nothing of what leads there.
func TestForwardingToOthers(t *testing.T) {
	to := func(port, ip string) string {
		return `{"port_forwarding": {"internal_port_id": "` + port + `", "internal_ip_address": "` + ip + `", "protocol": "tcp", "internal_port": 80, "external_port": 80}}`
	}
	tell(t, onGround(
		step{as: "demo", do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$ext"}}`, status: 201, keep: "fip"},
		step{as: "demo", do: "POST /floatingips/$fip/port_forwardings", body: to("$one", "10.0.0.11"), status: 201},
		step{as: "demo", do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$ext", "port_id": "$two"}}`, status: 201},
		step{as: "other", do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$ext"}}`, status: 201, keep: "theirs"},
		step{as: "other", do: "POST /floatingips/$theirs/port_forwardings", body: to("$one", "10.0.0.11"), status: 404, want: []string{"PortNotFound"}},
		step{as: "other", do: "POST /floatingips/$theirs/port_forwardings", body: to("$two", "10.0.0.12"), status: 404, want: []string{"PortNotFound"}},
	))
}
