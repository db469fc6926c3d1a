package server

import "testing"

func TestQoS(t *testing.T) {
	tell(t, []step{
		{as: "demo", do: "POST /qos/policies", body: `{"policy": {}}`, status: 403},
		{do: "POST /qos/policies", body: `{"policies": [{"policy": {}}]}`, status: 400, want: []string{"Unable to find 'policy' in request body"}},
		{do: "POST /qos/policies", body: `{"policy": {"name": "gold"}}`, status: 201, want: []string{`"rules": []`, `"shared": false`}, keep: "gold"},
		{as: "demo", do: "GET /qos/policies/$gold", status: 404, want: []string{"QosPolicyNotFound"}},
		{do: "POST /qos/policies/$gold/bandwidth_limit_rules", body: `{"bandwidth_limit_rule": {"max_kbps": -1}}`, status: 400},
		{do: "POST /qos/policies/$gold/bandwidth_limit_rules", body: `{"bandwidth_limit_rule": {"max_kbps": 1000}}`, status: 201,
			want: []string{`"direction": "egress"`, `"max_burst_kbps": 0`}, not: []string{"policy_id", "type"}, keep: "limit"},
		{do: "POST /qos/policies/$gold/bandwidth_limit_rules", body: `{"bandwidth_limit_rule": {"max_kbps": 5}}`, status: 409, want: []string{"QoSRulesConflict", "$limit"}},
		{do: "POST /qos/policies/$gold/bandwidth_limit_rules", body: `{"bandwidth_limit_rule": {"max_kbps": 5, "direction": "ingress"}}`, status: 201},
		{do: "POST /qos/policies/$gold/minimum_bandwidth_rules", body: `{"minimum_bandwidth_rule": {"min_kbps": 2000}}`, status: 409, want: []string{"QoSRuleParameterConflict"}},
		{do: "POST /qos/policies/$gold/dscp_marking_rules", body: `{"dscp_marking_rule": {"dscp_mark": 9}}`, status: 400},
		{do: "POST /qos/policies/$gold/dscp_marking_rules", body: `{"dscp_marking_rule": {"dscp_mark": 46}}`, status: 201, keep: "mark"},
		{do: "GET /qos/policies/$gold", status: 200, want: []string{`"type": "dscp_marking"`, `"qos_policy_id": "$gold"`, `"revision_number": 4`}},
		{do: "GET /qos/policies/$gold/bandwidth_limit_rules/$mark", status: 404, want: []string{"QosRuleNotFound"}},
		{do: "POST /qos/policies", body: `{"policy": {"name": "silver"}}`, status: 201, keep: "silver"},
		{do: "GET /qos/policies/$silver/bandwidth_limit_rules/$limit", status: 404},
		{do: "DELETE /qos/policies/$silver/bandwidth_limit_rules/$limit", status: 404},
		{do: "PUT /qos/alias-bandwidth-limit-rules/$limit", body: `{"alias_bandwidth_limit_rule": {"max_kbps": 900}}`, status: 200, want: []string{`"max_kbps": 900`}},
		{do: "GET /qos/policies/$gold/bandwidth_limit_rules?max_kbps=900&fields=id", status: 200, want: []string{`[{"id": "$limit"}]`}},
		{do: "GET /qos/rule-types", status: 200, want: []string{"bandwidth_limit", "packet_rate_limit", "dscp_marking", "minimum_bandwidth", "minimum_packet_rate"}},
		{as: "demo", do: "GET /qos/rule-types?all_rules=true", status: 200, want: []string{"minimum_packet_rate"}},

		{as: "demo", do: "POST /networks", body: `{"network": {"qos_policy_id": "$gold"}}`, status: 404, want: []string{"QosPolicyNotFound"}},
		{do: "POST /rbac-policies", body: `{"rbac_policy": {"object_type": "qos_policy", "object_id": "$gold", "action": "access_as_shared", "target_tenant": "$demo"}}`, status: 201, keep: "share"},
		{as: "demo", do: "GET /qos/policies/$gold", status: 200, want: []string{`"type": "bandwidth_limit"`}},
		{as: "demo", do: "GET /qos/policies/$gold/bandwidth_limit_rules", status: 200, want: []string{`"bandwidth_limit_rules": []`}},
		{as: "demo", do: "POST /networks", body: `{"network": {"qos_policy_id": "$gold"}}`, status: 201, want: []string{`"qos_policy_id": "$gold"`}, keep: "net"},
		{do: "DELETE /rbac-policies/$share", status: 409, want: []string{"RbacPolicyInUse", "$demo"}},
		{do: "DELETE /qos/policies/$gold", status: 409, want: []string{"QosPolicyInUse", "$net"}},
		{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net"}}`, status: 201, want: []string{`"qos_network_policy_id": "$gold"`, `"qos_policy_id": null`}, keep: "port"},
		{as: "demo", do: "PUT /ports/$port", body: `{"port": {"qos_policy_id": "$gold"}}`, status: 200, want: []string{`"qos_policy_id": "$gold"`}},
		{do: "PUT /ports/$port", body: `{"port": {"binding:host_id": "h1"}}`, status: 200, want: []string{`"binding:vif_type": "ovs"`}},
		{as: "demo", do: "PUT /ports/$port", body: `{"port": {"qos_policy_id": null}}`, status: 200},
		{as: "demo", do: "PUT /networks/$net", body: `{"network": {"qos_policy_id": null}}`, status: 200, want: []string{`"qos_policy_id": null`}},
		{as: "demo", do: "PUT /networks/$net", body: `{"network": {"qos_policy_id": "$gold"}}`, status: 200},
		{do: "PUT /networks/$net", body: `{"network": {"qos_policy_id": "$silver"}}`, status: 200},
		{do: "POST /qos/policies/$silver/dscp_marking_rules", body: `{"dscp_marking_rule": {"dscp_mark": 0}}`, status: 201},
		{as: "demo", do: "PUT /networks/$net", body: `{"network": {"qos_policy_id": null}}`, status: 403, want: []string{"PolicyRemoveAuthorizationError"}},
		{do: "PUT /networks/$net", body: `{"network": {"qos_policy_id": null}}`, status: 200},
		{do: "DELETE /rbac-policies/$share", status: 204},
		{do: "DELETE /qos/policies/$gold", status: 204},
		{do: "PUT /qos/policies/$silver", body: `{"policy": {"is_default": true}}`, status: 200},
		{do: "POST /qos/policies", body: `{"policy": {"is_default": true}}`, status: 409, want: []string{"QoSPolicyDefaultAlreadyExists"}},
		{do: "POST /networks", body: `{"network": {}}`, status: 201, want: []string{`"qos_policy_id": "$silver"`}},
		{do: "POST /networks", body: `{"network": {"qos_policy_id": null}}`, status: 201, want: []string{`"qos_policy_id": "$silver"`}},
	})
}

// TestGatewayQoSRule: a policy for a gateway is the administrators' to give and to take away; where there is none, null is nobody's.
func TestGatewayQoSRule(t *testing.T) {
	const update = "PUT /routers/$router/update_external_gateways"
	tell(t, onGround(
		step{as: "demo", do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": {"network_id": "$ext", "qos_policy_id": null}}}`, status: 200},
		step{as: "demo", do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": {"network_id": "$ext", "qos_policy_id": "$ext"}}}`, status: 403, want: []string{"update_router:external_gateway_info:qos_policy_id"}},
		step{as: "demo", do: update, body: gateways(`{"network_id": "$ext", "qos_policy_id": null}`), status: 200},

		step{do: "POST /qos/policies", body: `{"policy": {"shared": true}}`, status: 201, keep: "limit"},
		step{do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": {"network_id": "$ext", "qos_policy_id": "$limit"}}}`, status: 200},
		step{as: "demo", do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": {"network_id": "$ext", "qos_policy_id": null}}}`, status: 403,
			want: []string{"PolicyNotAuthorized", "update_router:external_gateway_info:qos_policy_id"}},
		step{as: "demo", do: update, body: gateways(`{"network_id": "$ext", "qos_policy_id": null}`), status: 403, want: []string{"update_external_gateways:external_gateways:qos_policy_id"}},
		step{as: "demo", do: "PUT /routers/$router", body: `{"router": {"name": "r", "external_gateway_info": {"network_id": "$ext"}}}`, status: 200, want: []string{`"qos_policy_id": "$limit"`}},
		step{do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": {"network_id": "$ext", "qos_policy_id": null}}}`, status: 200, want: []string{`"qos_policy_id": null`}},
		step{do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": {"network_id": "$ext", "qos_policy_id": "$limit"}}}`, status: 200},
		step{do: update, body: gateways(`{"network_id": "$ext", "qos_policy_id": null}`), status: 200, want: []string{`"qos_policy_id": null`}},
	))
}

// TestQoSRuleAccess: who may see and change rules, below their policy and by their aliases.
func TestQoSRuleAccess(t *testing.T) {
	const missing = "/qos/policies/11111111-1111-1111-1111-111111111111/bandwidth_limit_rules"
	tell(t, []step{
		{as: "manager", do: "POST /qos/policies", body: `{"policy": {"name": "own"}}`, status: 201, want: []string{`"project_id": "$demo"`}, keep: "own"},
		{do: "POST /qos/policies", body: `{"policy": {"name": "foreign"}}`, status: 201, keep: "foreign"},
		{do: "POST " + missing, body: `{"bandwidth_limit_rule": {"max_kbps": 1}}`, status: 404, want: []string{"QosPolicyNotFound"}},
		{as: "manager", do: "POST " + missing, body: `{"bandwidth_limit_rule": {"max_kbps": 1}}`, status: 404},
		{as: "demo", do: "POST " + missing, body: `{"bandwidth_limit_rule": {"max_kbps": 1}}`, status: 403, want: []string{"rule:create_policy_bandwidth_limit_rule is disallowed by policy"}},
		{as: "demo", do: "POST /qos/policies/$foreign/bandwidth_limit_rules", body: `{"bandwidth_limit_rule": {"max_kbps": 1}}`, status: 403},
		{as: "manager", do: "POST /qos/policies/$foreign/bandwidth_limit_rules", body: `{"bandwidth_limit_rule": {"max_kbps": 1}}`, status: 404},
		{as: "manager", do: "POST /qos/policies/$own/bandwidth_limit_rules", body: `{"bandwidth_limit_rule": {"max_kbps": 1}}`, status: 201, keep: "rule"},
		{do: "POST /qos/policies/$foreign/bandwidth_limit_rules", body: `{"bandwidth_limit_rule": {"max_kbps": 1}}`, status: 201, keep: "hidden"},
		{as: "demo", do: "GET /qos/policies/$own/bandwidth_limit_rules/$rule", status: 200},
		{as: "demo", do: "PUT /qos/policies/$own/bandwidth_limit_rules/$rule", body: `{"bandwidth_limit_rule": {"max_kbps": 2}}`, status: 403},
		{as: "demo", do: "PUT /qos/policies/$foreign/bandwidth_limit_rules/$hidden", body: `{"bandwidth_limit_rule": {"max_kbps": 2}}`, status: 404},
		{as: "manager", do: "PUT /qos/policies/$own/bandwidth_limit_rules/$hidden", body: `{"bandwidth_limit_rule": {"max_kbps": 2}}`, status: 404, want: []string{"QoS rule $hidden for policy $own could not be found."}},
		{as: "demo", do: "GET /qos/alias-bandwidth-limit-rules/$rule", status: 200, want: []string{`"alias_bandwidth_limit_rule"`}, not: []string{"project_id", "tenant_id"}},
		{as: "demo", do: "GET /qos/alias-bandwidth-limit-rules/$hidden", status: 404, want: []string{"QosRuleNotFound"}},
		{as: "demo", do: "PUT /qos/alias-bandwidth-limit-rules/$rule", body: `{"alias_bandwidth_limit_rule": {"max_kbps": 3}}`, status: 403},
		{as: "manager", do: "PUT /qos/alias-bandwidth-limit-rules/$rule", body: `{"alias_bandwidth_limit_rule": {"max_kbps": 3}}`, status: 200, want: []string{`"max_kbps": 3`}},
		{do: "GET /qos/alias-dscp-marking-rules/$rule", status: 404},
		{do: "GET /qos/alias-bandwidth-limit-rules", status: 405},
		{as: "demo", do: "DELETE /qos/alias-bandwidth-limit-rules/$rule", status: 403},
		{as: "manager", do: "DELETE /qos/alias-bandwidth-limit-rules/$rule", status: 204},
		{as: "manager", do: "GET /qos/policies/$own", status: 200, want: []string{`"rules": []`, `"revision_number": 4`}},

		{do: "GET /qos/rule-types?all_rules=true", status: 200, want: []string{`{"type": "bandwidth_limit"}`}, not: []string{"drivers"}},
		{do: "GET /qos/rule-types?all_rules=perhaps", status: 400},
		{do: "GET /qos/rule-types/bandwidth_limit", status: 200, want: []string{`"type": "bandwidth_limit"`, `{"name":"openvswitch","supported_parameters":[`,
			`{"parameter_name":"direction","parameter_type":"choices","parameter_values":["egress","ingress"]}`}},
		{do: "GET /qos/rule-types/colour", status: 404},
		{as: "demo", do: "GET /qos/rule-types/bandwidth_limit", status: 403, want: []string{"NotAuthorized"}},
	})
}

// TestResourceRequest: what the promises of a port's policy ask of a host.
func TestResourceRequest(t *testing.T) {
	tell(t, []step{
		{do: "POST /networks", body: `{"network": {"provider:network_type": "flat", "provider:physical_network": "phys-net1"}}`, status: 201, keep: "flat"},
		{do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "tunnel"},
		{do: "POST /qos/policies", body: `{"policy": {}}`, status: 201, keep: "policy"},
		{do: "POST /ports", body: `{"port": {"network_id": "$flat", "qos_policy_id": "$policy"}}`, status: 201, want: []string{`"resource_request": null`}, keep: "port"},
		{do: "POST /qos/policies/$policy/bandwidth_limit_rules", body: `{"bandwidth_limit_rule": {"max_kbps": 9000}}`, status: 201},
		{do: "GET /ports/$port", status: 200, want: []string{`"resource_request": null`}},
		{do: "POST /qos/policies/$policy/minimum_bandwidth_rules", body: `{"minimum_bandwidth_rule": {"min_kbps": 1000}}`, status: 201},
		{do: "POST /qos/policies/$policy/minimum_bandwidth_rules", body: `{"minimum_bandwidth_rule": {"min_kbps": 2000, "direction": "ingress"}}`, status: 201},
		{do: "GET /ports/$port", status: 200, want: []string{
			`"required":["CUSTOM_PHYSNET_PHYS_NET1","CUSTOM_VNIC_TYPE_NORMAL"]`,
			`"resources":{"NET_BW_EGR_KILOBIT_PER_SEC":1000,"NET_BW_IGR_KILOBIT_PER_SEC":2000}`, `"same_subtree":["`}},
		{do: "POST /qos/policies/$policy/minimum_packet_rate_rules", body: `{"minimum_packet_rate_rule": {"min_kpps": 7, "direction": "any"}}`, status: 201},
		{do: "GET /ports/$port", status: 200, want: []string{`"required":["CUSTOM_VNIC_TYPE_NORMAL"],"resources":{"NET_PACKET_RATE_KILOPACKET_PER_SEC":7}`}},
		{do: "PUT /networks/$tunnel", body: `{"network": {"qos_policy_id": "$policy"}}`, status: 200},
		{do: "POST /ports", body: `{"port": {"network_id": "$tunnel"}}`, status: 201, want: []string{`CUSTOM_NETWORK_TUNNEL_PROVIDER`, `"qos_network_policy_id": "$policy"`}, keep: "inheriting"},
		{do: "POST /ports", body: `{"port": {"network_id": "$tunnel", "device_owner": "network:dhcp"}}`, status: 201, want: []string{`"resource_request": null`}},
		{do: "POST /qos/policies", body: `{"policy": {}}`, status: 201, keep: "nothing"},
		{do: "PUT /ports/$inheriting", body: `{"port": {"qos_policy_id": "$nothing"}}`, status: 200, want: []string{`"resource_request": null`}},
	})
}

// TestQoSOutside: policies of floating IPs and gateways.
func TestQoSOutside(t *testing.T) {
	tell(t, []step{
		{do: "POST /networks", body: `{"network": {"router:external": true, "provider:network_type": "flat", "provider:physical_network": "physnet1"}}`, status: 201, keep: "ext"},
		{do: "POST /subnets", body: `{"subnet": {"network_id": "$ext", "ip_version": 4, "cidr": "203.0.113.0/24", "enable_dhcp": false}}`, status: 201},
		{do: "POST /qos/policies", body: `{"policy": {"shared": true}}`, status: 201, keep: "all"},
		{do: "POST /qos/policies", body: `{"policy": {}}`, status: 201, keep: "hidden"},
		{as: "demo", do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$ext", "qos_policy_id": "$hidden"}}`, status: 404, want: []string{"QosPolicyNotFound"}},
		{as: "demo", do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$ext", "qos_policy_id": "$all"}}`, status: 201, want: []string{`"qos_policy_id": "$all"`}, keep: "fip"},
		{as: "demo", do: "PUT /floatingips/$fip", body: `{"floatingip": {"qos_policy_id": "$hidden"}}`, status: 404},
		{do: "DELETE /qos/policies/$all", status: 409, want: []string{"QosPolicyInUse", "$fip"}},
		{do: "PUT /networks/$ext", body: `{"network": {"qos_policy_id": "$hidden"}}`, status: 200},
		{as: "demo", do: "GET /floatingips/$fip", status: 200, want: []string{`"qos_network_policy_id": "$hidden"`}},
		{as: "demo", do: "PUT /floatingips/$fip", body: `{"floatingip": {"qos_policy_id": null}}`, status: 200, want: []string{`"qos_policy_id": null`}},
		{do: "PUT /floatingips/$fip", body: `{"floatingip": {"qos_policy_id": "$hidden"}}`, status: 200},
		{as: "demo", do: "PUT /floatingips/$fip", body: `{"floatingip": {"qos_policy_id": null}}`, status: 403, want: []string{"PolicyRemoveAuthorizationError"}},
		{as: "demo", do: "PUT /floatingips/$fip", body: `{"floatingip": {"qos_policy_id": "$all"}}`, status: 403, want: []string{"PolicyRemoveAuthorizationError"}},
		{as: "demo", do: "PUT /floatingips/$fip", body: `{"floatingip": {"description": "d"}}`, status: 200, want: []string{`"qos_policy_id": "$hidden"`}},
		{do: "PUT /floatingips/$fip", body: `{"floatingip": {"qos_policy_id": null}}`, status: 200},

		{as: "demo", do: "POST /routers", body: `{"router": {"external_gateway_info": {"network_id": "$ext", "qos_policy_id": "$all"}}}`, status: 403, want: []string{"external_gateway_info:qos_policy_id"}},
		{do: "POST /routers", body: `{"router": {"external_gateway_info": {"network_id": "$ext", "qos_policy_id": "$fip"}}}`, status: 404, want: []string{"QosPolicyNotFound"}},
		{do: "POST /routers", body: `{"router": {"external_gateway_info": {"network_id": "$ext", "qos_policy_id": "$all"}}}`, status: 201, want: []string{`"qos_policy_id": "$all"`}, keep: "router"},
		{do: "DELETE /qos/policies/$all", status: 409, want: []string{"QosPolicyInUse", "$router"}},
		{do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": {"network_id": "$ext"}}}`, status: 200, want: []string{`"qos_policy_id": "$all"`}},
		{do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": {"network_id": "$ext", "qos_policy_id": null}}}`, status: 200, want: []string{`"qos_policy_id": null`}},
		{do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": {"network_id": "$ext", "qos_policy_id": "$all"}}}`, status: 200},
		{do: "PUT /routers/$router", body: `{"router": {"external_gateway_info": null}}`, status: 200},
		{do: "DELETE /qos/policies/$all", status: 204},
	})
}
