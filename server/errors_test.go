package server

import (
	"context"
	"strings"
	"testing"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/policy"
)

// TestBadInput holds the answers to bad requests against the original's status and error type, and
// that nothing of them stays.
func TestBadInput(t *testing.T) {
	s := open(t)
	hosts(t, s, "h1")
	id := func(m map[string]any) string { return m["id"].(string) }
	n := id(create(t, s.Network.Networks, demo, `{"network": {"name": "n"}}`))
	sub := id(create(t, s.Network.Subnets, demo, `{"subnet": {"network_id": "`+n+`", "ip_version": 4, "cidr": "10.0.0.0/24"}}`))
	v6 := id(create(t, s.Network.Subnets, demo, `{"subnet": {"network_id": "`+n+`", "ip_version": 6, "cidr": "fd00::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}}`))
	foreign := id(create(t, s.Network.Networks, admin, `{"network": {"name": "foreign"}}`))
	p := create(t, s.Network.Ports, demo, `{"port": {"network_id": "`+n+`", "fixed_ips": [{"ip_address": "10.0.0.77"}]}}`)
	ext := id(create(t, s.Network.Networks, admin, `{"network": {"router:external": true, "provider:network_type": "flat", "provider:physical_network": "physnet1"}}`))
	extsub := id(create(t, s.Network.Subnets, admin, `{"subnet": {"network_id": "`+ext+`", "ip_version": 4, "cidr": "203.0.113.0/24", "enable_dhcp": false}}`))
	r := id(create(t, s.Router.Routers, demo, `{"router": {}}`))
	act(t, s.Router.Routers, demo, r, "add_router_interface", `{"subnet_id": "`+sub+`"}`)
	g := id(create(t, s.Security.Groups, demo, `{"security_group": {"name": "g"}}`))
	create(t, s.Security.Rules, demo, `{"security_group_rule": {"security_group_id": "`+g+`", "direction": "ingress", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22}}`)
	nets, subs, ports, rules, routers, fips := engine.Collection(s.Network.Networks), engine.Collection(s.Network.Subnets), engine.Collection(s.Network.Ports), engine.Collection(s.Security.Rules), engine.Collection(s.Router.Routers), engine.Collection(s.Router.FloatingIPs)

	before := head(t, s)
	for _, c := range []struct {
		name, body string
		col        engine.Collection
		as         *policy.Credentials
		update     string // id; "" creates
		action     string
		status     int
		kind, text string
	}{
		{name: "not an object", col: nets, body: `[]`, status: 400, kind: "HTTPBadRequest", text: "Body contains invalid data"},
		{name: "no envelope", col: nets, body: `{"x": {}}`, status: 400, kind: "HTTPBadRequest", text: "Unable to find 'network' in request body"},
		{name: "unknown attributes", col: nets, body: `{"network": {"zz": 1, "aa": 2}}`, status: 400, kind: "HTTPBadRequest", text: "Unrecognized attribute(s) 'aa, zz'"},
		{name: "read-only on create", col: nets, body: `{"network": {"status": "DOWN"}}`, status: 400, kind: "HTTPBadRequest", text: "Attribute 'status' not allowed in POST"},
		{name: "read-only on update", col: nets, update: n, body: `{"network": {"id": "x"}}`, status: 400, kind: "HTTPBadRequest", text: "Cannot update read-only attribute id"},
		{name: "missing", col: ports, body: `{"port": {}}`, status: 400, kind: "HTTPBadRequest", text: "Failed to parse request. Required attribute 'network_id' not specified"},
		{name: "wrong boolean", col: nets, body: `{"network": {"admin_state_up": "perhaps"}}`, status: 400, kind: "InvalidInput"},
		{name: "control character in a name", col: nets, body: `{"network": {"name": "a\nb"}}`, status: 400, kind: "HTTPBadRequest"},
		{name: "name too long", col: nets, body: `{"network": {"name": "` + strings.Repeat("x", 256) + `"}}`, status: 400, kind: "HTTPBadRequest"},
		{name: "other project", col: nets, body: `{"network": {"project_id": "x"}}`, status: 400, kind: "HTTPBadRequest"},
		{name: "projects differ", col: nets, body: `{"network": {"project_id": "x", "tenant_id": "y"}}`, status: 400, kind: "HTTPBadRequest", text: "'project_id' and 'tenant_id' do not match"},
		{name: "empty bulk", col: nets, body: `{"networks": []}`, status: 400, kind: "HTTPBadRequest", text: "Resources required"},
		{name: "no bulk", col: routers, body: `{"routers": [{}]}`, status: 400, kind: "HTTPBadRequest", text: "Bulk operation not supported"},
		{name: "one bad of a bulk", col: nets, body: `{"networks": [{"name": "good"}, {"name": 5}]}`, status: 400, kind: "HTTPBadRequest"},
		{name: "shared by a member", col: nets, body: `{"network": {"shared": true}}`, status: 403, kind: "PolicyNotAuthorized", text: "(rule:create_network and rule:create_network:shared) is disallowed by policy"},
		{name: "provider by a member", col: nets, body: `{"network": {"provider:network_type": "vlan"}}`, status: 403, kind: "PolicyNotAuthorized"},
		{name: "type unknown", col: nets, as: admin, body: `{"network": {"provider:network_type": "zz"}}`, status: 400, kind: "InvalidInput"},
		{name: "id without type", col: nets, as: admin, body: `{"network": {"provider:segmentation_id": 5}}`, status: 400, kind: "InvalidInput", text: "network_type required"},
		{name: "flat taken", col: nets, as: admin, body: `{"network": {"provider:network_type": "flat", "provider:physical_network": "physnet1"}}`, status: 409, kind: "FlatNetworkInUse"},
		{name: "flat with an id", col: nets, as: admin, body: `{"network": {"provider:network_type": "flat", "provider:physical_network": "p", "provider:segmentation_id": 5}}`, status: 400, kind: "InvalidInput"},
		{name: "mtu too big", col: nets, body: `{"network": {"mtu": 9000}}`, status: 400, kind: "InvalidInput", text: "Requested MTU is too big, maximum is 1450"},
		{name: "mtu below a subnet's", col: nets, update: n, body: `{"network": {"mtu": 1000}}`, status: 409, kind: "NetworkMTUSubnetConflict"},

		{name: "overlap", col: subs, body: `{"subnet": {"network_id": "` + n + `", "ip_version": 4, "cidr": "10.0.0.128/25"}}`, status: 400, kind: "InvalidInput", text: "overlaps with another subnet"},
		{name: "no cidr", col: subs, body: `{"subnet": {"network_id": "` + n + `", "ip_version": 4}}`, status: 400, kind: "BadRequest", text: "a subnetpool must be specified in the absence of a cidr"},
		{name: "version and cidr", col: subs, body: `{"subnet": {"network_id": "` + n + `", "ip_version": 6, "cidr": "10.1.0.0/24"}}`, status: 400, kind: "InvalidInput"},
		{name: "not a cidr", col: subs, body: `{"subnet": {"network_id": "` + n + `", "ip_version": 4, "cidr": "10.1.0.0/33"}}`, status: 400, kind: "HTTPBadRequest"},
		{name: "gateway in the pool", col: subs, body: `{"subnet": {"network_id": "` + n + `", "ip_version": 4, "cidr": "10.1.0.0/24", "gateway_ip": "10.1.0.5", "allocation_pools": [{"start": "10.1.0.2", "end": "10.1.0.9"}]}}`, status: 409, kind: "GatewayConflictWithAllocationPools"},
		{name: "broadcast as gateway", col: subs, body: `{"subnet": {"network_id": "` + n + `", "ip_version": 4, "cidr": "10.1.0.0/24", "gateway_ip": "10.1.0.255"}}`, status: 400, kind: "InvalidInput", text: "Gateway is not valid on subnet"},
		{name: "pools overlap", col: subs, body: `{"subnet": {"network_id": "` + n + `", "ip_version": 4, "cidr": "10.1.0.0/24", "allocation_pools": [{"start": "10.1.0.2", "end": "10.1.0.9"}, {"start": "10.1.0.9", "end": "10.1.0.12"}]}}`, status: 409, kind: "OverlappingAllocationPools"},
		{name: "pool outside", col: subs, body: `{"subnet": {"network_id": "` + n + `", "ip_version": 4, "cidr": "10.1.0.0/24", "allocation_pools": [{"start": "10.1.0.2", "end": "10.1.1.9"}]}}`, status: 400, kind: "OutOfBoundsAllocationPool"},
		{name: "pool upside down", col: subs, body: `{"subnet": {"network_id": "` + n + `", "ip_version": 4, "cidr": "10.1.0.0/24", "allocation_pools": [{"start": "10.1.0.9", "end": "10.1.0.2"}]}}`, status: 400, kind: "InvalidAllocationPool"},
		{name: "slaac needs /64", col: subs, body: `{"subnet": {"network_id": "` + n + `", "ip_version": 6, "cidr": "fd01::/80", "ipv6_address_mode": "slaac"}}`, status: 400, kind: "InvalidInput"},
		{name: "modes differ", col: subs, body: `{"subnet": {"network_id": "` + n + `", "ip_version": 6, "cidr": "fd01::/64", "ipv6_address_mode": "slaac", "ipv6_ra_mode": "dhcpv6-stateful"}}`, status: 400, kind: "InvalidInput"},
		{name: "subnet on a foreign network", col: subs, body: `{"subnet": {"network_id": "` + foreign + `", "ip_version": 4, "cidr": "10.1.0.0/24"}}`, status: 403, kind: "PolicyNotAuthorized"},
		{name: "cidr is immutable", col: subs, update: sub, body: `{"subnet": {"cidr": "10.9.0.0/24"}}`, status: 400, kind: "HTTPBadRequest"},
		{name: "gateway in use", col: subs, update: sub, body: `{"subnet": {"gateway_ip": "10.0.0.254", "allocation_pools": []}}`, status: 409, kind: "GatewayIpInUse"},
		{name: "six name servers", col: subs, update: sub, body: `{"subnet": {"dns_nameservers": ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4", "1.1.1.5", "1.1.1.6"]}}`, status: 400, kind: "DNSNameServersExhausted"},
		{name: "route with host bits", col: subs, update: sub, body: `{"subnet": {"host_routes": [{"destination": "10.2.0.1/24", "nexthop": "10.0.0.9"}]}}`, status: 400, kind: "HTTPBadRequest"},

		{name: "foreign network", col: ports, body: `{"port": {"network_id": "` + foreign + `"}}`, status: 404, kind: "NetworkNotFound"},
		{name: "address in use", col: ports, body: `{"port": {"network_id": "` + n + `", "fixed_ips": [{"ip_address": "10.0.0.77"}]}}`, status: 409, kind: "IpAddressAlreadyAllocated"},
		{name: "address nowhere", col: ports, body: `{"port": {"network_id": "` + n + `", "fixed_ips": [{"ip_address": "10.7.0.77"}]}}`, status: 400, kind: "InvalidIpForNetwork"},
		{name: "broadcast", col: ports, body: `{"port": {"network_id": "` + n + `", "fixed_ips": [{"subnet_id": "` + sub + `", "ip_address": "10.0.0.255"}]}}`, status: 400, kind: "InvalidIpForSubnet"},
		{name: "neither", col: ports, body: `{"port": {"network_id": "` + n + `", "fixed_ips": [{}]}}`, status: 400, kind: "InvalidInput", text: "IP allocation requires subnet_id or ip_address"},
		{name: "exact on slaac", col: ports, body: `{"port": {"network_id": "` + n + `", "fixed_ips": [{"subnet_id": "` + v6 + `", "ip_address": "fd00::5"}]}}`, status: 400, kind: "AllocationOnAutoAddressSubnet"},
		{name: "unknown group", col: ports, body: `{"port": {"network_id": "` + n + `", "security_groups": ["` + n + `"]}}`, status: 404, kind: "SecurityGroupNotFound"},
		{name: "MAC in use", col: ports, body: `{"port": {"network_id": "` + n + `", "mac_address": "` + p["mac_address"].(string) + `"}}`, status: 409, kind: "MacAddressInUse"},
		{name: "pair without address", col: ports, body: `{"port": {"network_id": "` + n + `", "allowed_address_pairs": [{"mac_address": "fa:16:3e:00:00:01"}]}}`, status: 400, kind: "AllowedAddressPairsMissingIP"},
		{name: "pairs without port security", col: ports, body: `{"port": {"network_id": "` + n + `", "port_security_enabled": false, "allowed_address_pairs": [{"ip_address": "10.0.0.9"}]}}`, status: 409, kind: "AddressPairAndPortSecurityRequired"},
		{name: "newline for a host", col: ports, body: `{"port": {"network_id": "` + n + `", "extra_dhcp_opts": [{"opt_name": "bootfile-name", "opt_value": "a\nb"}]}}`, status: 400, kind: "HTTPBadRequest"},
		{name: "profile by an owner", col: ports, body: `{"port": {"network_id": "` + n + `", "binding:profile": {"a": 1}}}`, status: 403, kind: "PolicyNotAuthorized"},

		{name: "rule twice", col: rules, body: `{"security_group_rule": {"security_group_id": "` + g + `", "direction": "ingress", "protocol": "6", "port_range_min": 22, "port_range_max": 22, "remote_ip_prefix": "0.0.0.0/0"}}`, status: 409, kind: "SecurityGroupRuleExists"},
		{name: "ports without protocol", col: rules, body: `{"security_group_rule": {"security_group_id": "` + g + `", "direction": "ingress", "port_range_min": 22, "port_range_max": 22}}`, status: 400, kind: "SecurityGroupProtocolRequiredWithPorts"},
		{name: "range upside down", col: rules, body: `{"security_group_rule": {"security_group_id": "` + g + `", "direction": "ingress", "protocol": "tcp", "port_range_min": 23, "port_range_max": 22}}`, status: 400, kind: "SecurityGroupInvalidPortRange"},
		{name: "unknown protocol", col: rules, body: `{"security_group_rule": {"security_group_id": "` + g + `", "direction": "ingress", "protocol": "carrier-pigeon"}}`, status: 400, kind: "SecurityGroupRuleInvalidProtocol"},
		{name: "code without type", col: rules, body: `{"security_group_rule": {"security_group_id": "` + g + `", "direction": "ingress", "protocol": "icmp", "port_range_max": 0}}`, status: 400, kind: "SecurityGroupMissingIcmpType"},
		{name: "two remotes", col: rules, body: `{"security_group_rule": {"security_group_id": "` + g + `", "direction": "ingress", "remote_ip_prefix": "10.0.0.0/8", "remote_group_id": "` + g + `"}}`, status: 400, kind: "SecurityGroupMultipleRemoteEntites"},

		{name: "not external", col: routers, body: `{"router": {"external_gateway_info": {"network_id": "` + n + `"}}}`, status: 400, kind: "BadRequest", text: "is not an external network"},
		{name: "snat by a member", col: routers, body: `{"router": {"external_gateway_info": {"network_id": "` + ext + `", "enable_snat": false}}}`, status: 403, kind: "PolicyNotAuthorized"},
		{name: "same subnet again", col: routers, update: r, action: "add_router_interface", body: `{"subnet_id": "` + sub + `"}`, status: 400, kind: "BadRequest", text: "Router already has a port on subnet"},
		{name: "attached port", col: routers, update: r, action: "remove_router_interface", body: `{"port_id": "` + p["id"].(string) + `"}`, status: 404, kind: "RouterInterfaceNotFound"},
		{name: "nothing to attach", col: routers, update: r, action: "add_router_interface", body: `{}`, status: 400, kind: "BadRequest"},
		{name: "foreign subnet", col: routers, update: r, action: "add_router_interface", body: `{"subnet_id": "` + extsub + `"}`, status: 400, kind: "BadRequest", text: "is not owned by project making the request"},
		{name: "route to nowhere", col: routers, update: r, body: `{"router": {"routes": [{"destination": "10.8.0.0/24", "nexthop": "192.0.2.1"}]}}`, status: 400, kind: "InvalidRoutes"},

		{name: "floating on internal", col: fips, body: `{"floatingip": {"floating_network_id": "` + n + `"}}`, status: 400, kind: "BadRequest"},
		{name: "address by a member", col: fips, body: `{"floatingip": {"floating_network_id": "` + ext + `", "floating_ip_address": "203.0.113.9"}}`, status: 403, kind: "PolicyNotAuthorized"},
		{name: "no router between", col: fips, body: `{"floatingip": {"floating_network_id": "` + ext + `", "port_id": "` + p["id"].(string) + `"}}`, status: 404, kind: "ExternalGatewayForFloatingIPNotFound"},
	} {
		t.Run(c.name, func(t *testing.T) {
			as := c.as
			if as == nil {
				as = demo
			}
			var err error
			switch {
			case c.action != "":
				_, _, err = c.col.Act(context.Background(), as, c.update, c.action, parse(t, c.body), engine.Input{})
			case c.update != "":
				_, err = c.col.Update(context.Background(), as, c.update, parse(t, c.body), "")
			default:
				_, err = c.col.Create(context.Background(), as, parse(t, c.body))
			}
			e, ok := fault.As(err)
			if !ok {
				t.Fatalf("got %v, want a fault", err)
			}
			if e.Status != c.status || e.Type != c.kind || !strings.Contains(e.Message, c.text) {
				t.Errorf("got %d %s %q, want %d %s %q", e.Status, e.Type, e.Message, c.status, c.kind, c.text)
			}
		})
	}
	if after := head(t, s); after != before {
		t.Errorf("refused requests left %d journal entries", after-before)
	}
	for name, refusal := range map[string]error{
		"409 SubnetInUse":                    s.Network.Subnets.Delete(context.Background(), demo, sub, ""),
		"409 NetworkInUse":                   s.Network.Networks.Delete(context.Background(), demo, n, ""),
		"409 RouterInUse":                    s.Router.Routers.Delete(context.Background(), demo, r, ""),
		"404 NetworkNotFound":                s.Network.Networks.Delete(context.Background(), demo, foreign, ""),
		"403 PolicyNotAuthorized":            s.Network.Networks.Delete(context.Background(), demo, ext, ""),
		"412 RevisionNumberConstraintFailed": s.Network.Networks.Delete(context.Background(), demo, n, "revision_number=99"),
	} {
		e, ok := fault.As(refusal)
		if !ok || !strings.HasPrefix(name, itoa(e.Status)+" "+e.Type) {
			t.Errorf("delete: got %v, want %s", refusal, name)
		}
	}
}

func itoa(n int) string {
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
}

func head(t *testing.T, s *Services) int64 {
	t.Helper()
	h, err := s.Engine.DB.Head(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func act(t testing.TB, col engine.Collection, as *policy.Credentials, id, action, body string) []byte {
	t.Helper()
	_, b, err := col.Act(context.Background(), as, id, action, parse(t, body), engine.Input{})
	if err != nil {
		t.Fatalf("%s %s: %v", action, body, err)
	}
	return b
}
