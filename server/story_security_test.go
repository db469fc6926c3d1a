package server

import "testing"

func TestAddressGroups(t *testing.T) {
	tell(t, []step{
		{as: "demo", do: "POST /address-groups", body: `{"address_group": {"addresses": ["10.0.0.1"]}}`, status: 400, want: []string{"HTTPBadRequest"}},
		{as: "reader", do: "POST /address-groups", body: `{"address_group": {}}`, status: 403},
		{as: "demo", do: "POST /address-groups", body: `{"address_group": {"name": "ag", "addresses": ["10.0.0.0/24", "fd00::/64"]}}`, status: 201,
			want: []string{`"addresses": ["10.0.0.0/24", "fd00::/64"]`}, not: []string{"shared"}, keep: "ag"},
		{as: "demo", do: "PUT /address-groups/$ag", body: `{"address_group": {"addresses": []}}`, status: 400, want: []string{"Cannot update read-only attribute addresses"}},
		{as: "demo", do: "PUT /address-groups/$ag", body: `{"address_group": {"name": "b"}}`, status: 200, want: []string{`"name": "b"`, `"10.0.0.0/24"`}},
		{as: "demo", do: "PUT /address-groups/$ag/add_addresses", body: `{"addresses": ["10.0.0.0/24", "10.1.0.1"]}`, status: 400, want: []string{"AddressesAlreadyExist", "10.0.0.0/24"}},
		{as: "demo", do: "PUT /address-groups/$ag/add_addresses", body: `{"addresses": ["10.1.0.1"]}`, status: 200, want: []string{`"10.1.0.1/32"`}},
		{as: "demo", do: "PUT /address-groups/$ag/add_addresses", body: `{"addresses": []}`, status: 400},
		{as: "demo", do: "PUT /address-groups/$ag/remove_addresses", body: `{"addresses": ["10.1.0.2"]}`, status: 404, want: []string{"AddressesNotFound"}},
		{as: "demo", do: "PUT /address-groups/$ag/remove_addresses", body: `{"addresses": ["10.1.0.1/32"]}`, status: 200, not: []string{"10.1.0.1"}},
		{as: "other", do: "GET /address-groups/$ag", status: 404, want: []string{"AddressGroupNotFound"}},
		{as: "other", do: "PUT /address-groups/$ag/add_addresses", body: `{"addresses": ["10.9.0.1"]}`, status: 404},
		{as: "reader", do: "PUT /address-groups/$ag/add_addresses", body: `{"addresses": ["10.9.0.1"]}`, status: 403},
		{as: "demo", do: "POST /security-groups", body: `{"security_group": {"name": "sg"}}`, status: 201, keep: "sg"},
		{as: "other", do: "POST /security-groups", body: `{"security_group": {"name": "sg"}}`, status: 201, keep: "sg2"},
		{as: "other", do: "POST /security-group-rules", body: `{"security_group_rule": {"security_group_id": "$sg2", "direction": "ingress", "remote_address_group_id": "$ag"}}`, status: 404, want: []string{"AddressGroupNotFound"}},
		{as: "demo", do: "POST /security-group-rules", body: `{"security_group_rule": {"security_group_id": "$sg", "direction": "ingress", "remote_address_group_id": "$ag", "remote_ip_prefix": "10.0.0.0/8"}}`, status: 400, want: []string{"SecurityGroupMultipleRemoteEntites"}},
		{as: "demo", do: "POST /security-group-rules", body: `{"security_group_rule": {"security_group_id": "$sg", "direction": "ingress", "remote_address_group_id": "$ag"}}`, status: 201, want: []string{`"remote_address_group_id": "$ag"`}, keep: "rule"},
		{as: "demo", do: "POST /security-group-rules", body: `{"security_group_rule": {"security_group_id": "$sg", "direction": "ingress", "remote_address_group_id": "$ag"}}`, status: 409, want: []string{"SecurityGroupRuleExists", "$rule"}},
		{as: "demo", do: "GET /security-group-rules?remote_address_group_id=$ag&fields=id", status: 200, want: []string{`[{"id": "$rule"}]`}},
		{as: "demo", do: "DELETE /address-groups/$ag", status: 409, want: []string{"AddressGroupInUse"}},
		{as: "demo", do: "DELETE /security-group-rules/$rule", status: 204},
		{as: "demo", do: "DELETE /address-groups/$ag", status: 204},
	})
}

func TestTemplatesOfSecurityGroupRules(t *testing.T) {
	tell(t, []step{
		{as: "reader", do: "GET /default-security-group-rules?direction=ingress&ethertype=IPv6", status: 200, want: []string{`"remote_group_id": "PARENT"`, `"used_in_default_sg": true`, `"used_in_non_default_sg": false`}, not: []string{"egress", "tenant_id"}, keep: "in6=default_security_group_rules.0.id"},
		{as: "demo", do: "POST /default-security-group-rules", body: `{"default_security_group_rule": {"direction": "ingress"}}`, status: 400, want: []string{"used_in_default_sg"}},
		{as: "demo", do: "POST /default-security-group-rules", body: `{"default_security_group_rule": {"direction": "ingress", "used_in_default_sg": true, "used_in_non_default_sg": true}}`, status: 403},
		{do: "POST /default-security-group-rules", body: `{"default_security_group_rule": {"direction": "egress", "used_in_default_sg": true, "used_in_non_default_sg": true}}`, status: 409, want: []string{"DefaultSecurityGroupRuleExists"}},
		{do: "POST /default-security-group-rules", body: `{"default_security_group_rule": {"direction": "ingress", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22, "used_in_default_sg": false, "used_in_non_default_sg": true}}`, status: 201, keep: "ssh"},
		{do: "PUT /default-security-group-rules/$ssh", body: `{"default_security_group_rule": {}}`, status: 405},
		{as: "demo", do: "DELETE /default-security-group-rules/$ssh", status: 403},
		{as: "demo", do: "POST /security-groups", body: `{"security_group": {"name": "sg"}}`, status: 201, want: []string{`"port_range_min": 22`}, keep: "sg"},
		{as: "demo", do: "GET /security-group-rules?remote_group_id=$sg", status: 200, want: []string{`"security_group_rules": []`}},
		{as: "demo", do: "GET /security-groups?name=default", status: 200, not: []string{`"port_range_min": 22`}, keep: "default=security_groups.0.id"},
		{as: "demo", do: "GET /security-group-rules?remote_group_id=$default", status: 200, want: []string{`"ingress"`}},
		{do: "GET /security-group-rules?belongs_to_default_sg=true&project_id=$demo", status: 200, want: []string{"$default"}, not: []string{"$sg"}},
		{do: "DELETE /default-security-group-rules/$in6", status: 204},
		{as: "other", do: "GET /security-groups?name=default", status: 200, want: []string{"IPv4"}, keep: "default2=security_groups.0.id"},
		{as: "other", do: "GET /security-group-rules?remote_group_id=$default2&ethertype=IPv6", status: 200, want: []string{`"security_group_rules": []`}},
	})
}

func TestDefaultStatefulness(t *testing.T) {
	const collection = "/security-groups-default-statefulness"
	tell(t, []step{
		{as: "demo", do: "POST " + collection, body: `{"security_groups_default_statefulness": {"stateful": false}}`, status: 403},
		{as: "manager", do: "POST " + collection, body: `{"security_groups_default_statefulness": {"stateful": false}}`, status: 201, want: []string{`"project_id": "$demo"`}, keep: "it"},
		{as: "manager", do: "POST " + collection, body: `{"security_groups_default_statefulness": {}}`, status: 409, want: []string{"SecurityGroupDefaultStatefulnessAlreadyExists"}},
		{as: "demo", do: "POST /security-groups", body: `{"security_group": {"name": "a"}}`, status: 201, want: []string{`"stateful": false`}},
		{as: "demo", do: "POST /security-groups", body: `{"security_group": {"name": "b", "stateful": true}}`, status: 201, want: []string{`"stateful": true`}},
		{as: "other", do: "POST /security-groups", body: `{"security_group": {"name": "a"}}`, status: 201, want: []string{`"stateful": true`}},
		{as: "other", do: "GET " + collection + "/$it", status: 404},
		{as: "manager", do: "PUT " + collection + "/$it", body: `{"security_groups_default_statefulness": {"stateful": true}}`, status: 200, want: []string{`"stateful": true`}},
		{as: "manager", do: "DELETE " + collection + "/$it", status: 204},
	})
}
