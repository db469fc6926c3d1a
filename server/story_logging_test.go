package server

import "testing"

func TestLogs(t *testing.T) {
	tell(t, []step{
		{do: "GET /log/loggable-resources", status: 200, want: []string{`{"loggable_resources": [{"type": "security_group"}]}`}},
		{as: "demo", do: "GET /log/loggable-resources", status: 200, want: []string{`"loggable_resources": []`}},
		{do: "POST /log/loggable-resources", body: `{"loggable_resource": {"type": "x"}}`, status: 405},
		{as: "demo", do: "POST /log/logs", body: `{"log": {"resource_type": "security_group"}}`, status: 403},
		{do: "POST /log/logs", body: `{"log": {}}`, status: 400, want: []string{"Required attribute 'resource_type' not specified"}},
		{do: "POST /log/logs", body: `{"log": {"resource_type": "port"}}`, status: 400, want: []string{"InvalidLogResourceType", "Invalid log resource_type: port."}},
		{do: "POST /log/logs", body: `{"log": {"resource_type": "security_group", "event": "LOST"}}`, status: 400},
		{do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "net"},
		{do: "POST /log/logs", body: `{"log": {"resource_type": "security_group", "resource_id": "$net"}}`, status: 404, want: []string{"ResourceNotFound"}},
		{do: "POST /log/logs", body: `{"log": {"resource_type": "security_group", "target_id": "$net"}}`, status: 404, want: []string{"TargetResourceNotFound"}},
		{do: "POST /security-groups", body: `{"security_group": {}}`, status: 201, keep: "group"},
		{do: "POST /security-groups", body: `{"security_group": {}}`, status: 201, keep: "strange"},
		{do: "POST /ports", body: `{"port": {"network_id": "$net", "security_groups": ["$group"]}}`, status: 201, keep: "port"},
		{do: "POST /log/logs", body: `{"log": {"resource_type": "security_group", "resource_id": "$strange", "target_id": "$port"}}`, status: 400, want: []string{"InvalidResourceConstraint"}},
		{do: "POST /log/logs", body: `{"log": {"resource_type": "security_group", "name": "all"}}`, status: 201,
			want: []string{`"event": "ALL"`, `"enabled": true`, `"resource_id": null`, `"target_id": null`, `"revision_number": 1`}, keep: "all"},
		{do: "POST /log/logs", body: `{"log": {"resource_type": "security_group", "resource_id": "$group", "target_id": "$port", "event": "DROP"}}`, status: 201, keep: "both"},
		{do: "POST /log/logs", body: `{"log": {"resource_type": "security_group", "resource_id": "$strange"}}`, status: 201, keep: "group_log"},
		{do: "PUT /log/logs/$all", body: `{"log": {"event": "DROP"}}`, status: 400, want: []string{"Cannot update read-only attribute event"}},
		{do: "PUT /log/logs/$all", body: `{"log": {"enabled": false, "description": "quiet"}}`, status: 200, want: []string{`"enabled": false`, `"quiet"`}},
		{do: "GET /log/logs?event=DROP&fields=id", status: 200, want: []string{`{"logs": [{"id": "$both"}]}`}},
		{as: "demo", do: "GET /log/logs", status: 200, want: []string{`"logs": []`}},
		{as: "demo", do: "GET /log/logs/$all", status: 404, want: []string{"LogResourceNotFound"}},
		{do: "DELETE /security-groups/$strange", status: 204},
		{do: "GET /log/logs/$group_log", status: 404},
		{do: "DELETE /security-groups/$group", status: 409},
		{do: "GET /log/logs/$both", status: 200},
		{do: "DELETE /ports/$port", status: 204},
		{do: "GET /log/logs/$both", status: 404},
		{do: "DELETE /log/logs/$all", status: 204},

		{as: "manager", do: "POST /log/logs", body: `{"log": {"resource_type": "security_group", "resource_id": "$group"}}`, status: 404, want: []string{"ResourceNotFound"}},
		{as: "manager", do: "POST /log/logs", body: `{"log": {"resource_type": "security_group"}}`, status: 201, want: []string{`"project_id": "$demo"`}},
	})
}

func TestLocalIPs(t *testing.T) {
	tell(t, []step{
		{as: "demo", do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "net"},
		{as: "demo", do: "POST /local-ips", body: `{"local_ip": {}}`, status: 400, want: []string{"LocalIPPortOrNetworkRequired"}},
		{as: "demo", do: "POST /local-ips", body: `{"local_ip": {"network_id": "$net", "ip_mode": "sideways"}}`, status: 400},
		{as: "demo", do: "POST /local-ips", body: `{"local_ip": {"network_id": "$net"}}`, status: 400, want: []string{"LocalIPNoIP"}},
		{as: "demo", do: "GET /ports?device_owner=network:local_ip", status: 200, want: []string{`"ports": []`}},
		{as: "demo", do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "10.0.0.0/24"}}`, status: 201},
		{as: "other", do: "POST /local-ips", body: `{"local_ip": {"network_id": "$net"}}`, status: 404, want: []string{"NetworkNotFound"}},
		{as: "reader", do: "POST /local-ips", body: `{"local_ip": {"network_id": "$net"}}`, status: 403},
		{as: "demo", do: "POST /local-ips", body: `{"local_ip": {"network_id": "$net", "local_ip_address": "10.0.0.99", "name": "l"}}`, status: 201,
			want: []string{`"local_ip_address": "10.0.0.99"`, `"ip_mode": "translate"`, `"network_id": "$net"`}, keep: "ip"},
		{as: "demo", do: "GET /ports?device_owner=network:local_ip", status: 200, want: []string{"10.0.0.99", `"device_id": "$ip"`}, keep: "held=ports.0.id"},
		{as: "demo", do: "POST /local-ips", body: `{"local_ip": {"network_id": "$net", "local_ip_address": "10.0.0.99"}}`, status: 409, want: []string{"IpAddressAlreadyAllocated"}},

		{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net", "fixed_ips": [{"ip_address": "10.0.0.5"}]}}`, status: 201, keep: "port"},
		{as: "demo", do: "POST /local-ips", body: `{"local_ip": {"local_port_id": "$port", "local_ip_address": "10.0.0.6"}}`, status: 400, want: []string{"LocalIPRequestedIPNotFound"}},
		{as: "demo", do: "POST /local-ips", body: `{"local_ip": {"local_port_id": "$port"}}`, status: 201, want: []string{`"local_ip_address": "10.0.0.5"`, `"network_id": "$net"`}, keep: "ported"},
		{as: "demo", do: "DELETE /local-ips/$ported", status: 204},
		{as: "demo", do: "GET /ports/$port", status: 200},
		{as: "demo", do: "PUT /ports/$port", body: `{"port": {"fixed_ips": [{"ip_address": "10.0.0.5"}, {"ip_address": "10.0.0.6"}]}}`, status: 200},
		{as: "demo", do: "POST /local-ips", body: `{"local_ip": {"local_port_id": "$port"}}`, status: 400, want: []string{"LocalIPNoRequestedIP"}},

		{as: "demo", do: "POST /local_ips/$ip/port_associations", body: `{"port_association": {}}`, status: 400},
		{as: "demo", do: "POST /local_ips/$net/port_associations", body: `{"port_association": {"fixed_port_id": "$port"}}`, status: 404, want: []string{"LocalIPNotFound"}},
		{as: "demo", do: "POST /local_ips/$ip/port_associations", body: `{"port_association": {"fixed_port_id": "$net"}}`, status: 404, want: []string{"PortNotFound"}},
		{as: "demo", do: "POST /local_ips/$ip/port_associations", body: `{"port_association": {"fixed_port_id": "$port"}}`, status: 400, want: []string{"LocalIPNoRequestedIP"}},
		{as: "demo", do: "POST /local_ips/$ip/port_associations", body: `{"port_association": {"fixed_port_id": "$port", "fixed_ip": "10.0.0.7"}}`, status: 400, want: []string{"LocalIPRequestedIPNotFound"}},
		{as: "demo", do: "POST /local_ips/$ip/port_associations", body: `{"port_association": {"fixed_port_id": "$port", "fixed_ip": "10.0.0.6"}}`, status: 201,
			want: []string{`"local_ip_id": "$ip"`, `"local_ip_address": "10.0.0.99"`, `"fixed_ip": "10.0.0.6"`, `"host": null`}, not: []string{`"id"`, "project_id"}},
		{as: "demo", do: "POST /local_ips/$ip/port_associations", body: `{"port_association": {"fixed_port_id": "$port", "fixed_ip": "10.0.0.6"}}`, status: 409},
		{as: "other", do: "POST /local_ips/$ip/port_associations", body: `{"port_association": {"fixed_port_id": "$port"}}`, status: 404, want: []string{"LocalIPNotFound"}},
		{as: "reader", do: "POST /local_ips/$ip/port_associations", body: `{"port_association": {"fixed_port_id": "$port"}}`, status: 403},
		{as: "other", do: "GET /local-ips/$ip/port_associations", status: 404},
		{do: "PUT /ports/$port", body: `{"port": {"binding:host_id": "h1"}}`, status: 200},
		{as: "demo", do: "GET /local-ips/$ip/port-associations/$port", status: 200, want: []string{`"host": "h1"`}},
		{as: "demo", do: "GET /local-ips/$ip/port_associations?host=h1&local_ip_address=10.0.0.99&fields=fixed_ip", status: 200, want: []string{`[{"fixed_ip": "10.0.0.6"}]`}},
		{as: "demo", do: "GET /local-ips/$ip/port_associations?host=h2", status: 200, want: []string{`"port_associations": []`}},
		{as: "demo", do: "PUT /local-ips/$ip/port_associations/$port", body: `{"port_association": {}}`, status: 405},
		{as: "demo", do: "DELETE /local-ips/$ip", status: 409, want: []string{"LocalIPInUse"}},
		{as: "demo", do: "DELETE /ports/$held", status: 409, want: []string{"LocalIPInUse"}},
		{as: "demo", do: "DELETE /local-ips/$ip/port_associations/$net", status: 404, want: []string{"LocalIPAssociationNotFound"}},
		{as: "demo", do: "DELETE /ports/$port", status: 204},
		{as: "demo", do: "GET /local-ips/$ip/port_associations", status: 200, want: []string{`"port_associations": []`}},
		{as: "demo", do: "PUT /local-ips/$ip", body: `{"local_ip": {"name": "renamed", "ip_mode": "passthrough"}}`, status: 400},
		{as: "demo", do: "PUT /local-ips/$ip", body: `{"local_ip": {"name": "renamed"}}`, status: 200, want: []string{`"name": "renamed"`}},
		{as: "other", do: "GET /local-ips", status: 200, want: []string{`"local_ips": []`}},
		{as: "demo", do: "DELETE /local-ips/$ip", status: 204},
		{as: "demo", do: "GET /ports/$held", status: 404},
		{as: "demo", do: "DELETE /networks/$net", status: 204},
	})
}

// TestLocalIPsOfOthersNetworks: a port that holds a local IP is on no network, and has no address of choice, where its project's ports could not.
func TestLocalIPsOfOthersNetworks(t *testing.T) {
	tell(t, []step{
		{do: "POST /networks", body: `{"network": {"router:external": true}}`, status: 201, keep: "ext"},
		{do: "POST /subnets", body: `{"subnet": {"network_id": "$ext", "ip_version": 4, "cidr": "203.0.113.0/24"}}`, status: 201},
		{do: "POST /networks", body: `{"network": {"shared": true}}`, status: 201, keep: "net"},
		{do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "10.0.0.0/24"}}`, status: 201},
		{as: "demo", do: "POST /local-ips", body: `{"local_ip": {"network_id": "$ext"}}`, status: 403, want: []string{"rule:create_port is disallowed by policy"}},
		{as: "demo", do: "POST /local-ips", body: `{"local_ip": {"network_id": "$net", "local_ip_address": "10.0.0.1"}}`, status: 403, want: []string{"create_port:fixed_ips:ip_address"}},
		{as: "demo", do: "POST /local-ips", body: `{"local_ip": {"network_id": "$net"}}`, status: 201},
		{as: "demo", do: "GET /ports?device_owner=network:local_ip", status: 200, keep: "held=ports.0.id"},
		{as: "demo", do: "PUT /ports/$held", body: `{"port": {"device_owner": "", "device_id": ""}}`, status: 200, want: []string{`"port_security_enabled": true`}},
		{do: "POST /local-ips", body: `{"local_ip": {"network_id": "$ext", "local_ip_address": "203.0.113.9"}}`, status: 201},
	})
}
