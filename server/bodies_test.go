package server

import (
	"fmt"
	"strings"
	"testing"
)

// many is a JSON list or object of n items, which format makes of their numbers.
func many(n int, format string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(items, ", ")
}

// TestLongLists: what is done for each item of a body does not grow with the items before it, for it is done while nobody
// else writes. Bodies are nearly as large as they may be: comparing each item with each other takes hours.
func TestLongLists(t *testing.T) {
	if testing.Short() {
		t.Skip("megabytes of JSON, one request after the other")
	}
	tell(t, []step{
		{as: "demo", do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "net"},
		{as: "demo", do: "PUT /networks/$net/tags", body: `{"tags": [` + many(800_000, `"%d"`) + `]}`, status: 400, want: []string{"exceed the per-resource limit of 50"}},
		{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net", "fixed_ips": [{` + many(700_000, `"%d": 1`) + `}]}}`, status: 400},
		{as: "demo", do: "POST /address-groups", body: `{"address_group": {"addresses": [` + many(400_000, `"fd00::%x/128"`) + `]}}`, status: 400, want: []string{"400000 items are more than the 5000"}},
		{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net", "security_groups": [` + many(200_000, `"00000000-0000-4000-8000-%012d"`) + `]}}`, status: 400, want: []string{"5000"}},
	})
}

// TestListsOfOneRequest: lists as long as they may be are taken, on every database.
func TestListsOfOneRequest(t *testing.T) {
	if testing.Short() {
		t.Skip("megabytes of JSON, one request after the other")
	}
	tell(t, []step{
		{as: "demo", do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "net"},
		{as: "demo", do: "POST /address-groups", body: `{"address_group": {"addresses": [` + many(5000, `"fd00::%x/128"`) + `]}}`, status: 201, keep: "group"},
		{as: "demo", do: "PUT /address-groups/$group/add_addresses", body: `{"addresses": ["fd00::1/128", "fd01::/16", "fd00::2"]}`, status: 400, want: []string{"AddressesAlreadyExist", "[fd00::1/128 fd00::2/128]"}},
		{as: "demo", do: "PUT /address-groups/$group/add_addresses", body: `{"addresses": ["fd01::/16"]}`, status: 400, want: []string{"5001 addresses are more than the 5000"}},
		{as: "demo", do: "PUT /address-groups/$group/remove_addresses", body: `{"addresses": [` + many(5000, `"fd00::%x/128"`) + `]}`, status: 200, want: []string{`"addresses": []`}},
		{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net"}}`, status: 201, keep: "port"},
		{as: "demo", do: "PUT /ports/$port", body: `{"port": {"extra_dhcp_opts": [` + many(5000, `{"opt_name": "%d", "opt_value": "10.0.0.1"}`) + `]}}`, status: 200, want: []string{`"4999"`}},
		{as: "demo", do: "PUT /ports/$port", body: `{"port": {"extra_dhcp_opts": [` + many(100, `{"opt_name": "%d", "opt_value": "10.0.0.1"}`) + `]}}`, status: 200},
		{as: "demo", do: "PUT /ports/$port", body: `{"port": {"extra_dhcp_opts": [{"opt_name": "7", "opt_value": null}, {"opt_name": "8", "opt_value": "10.0.0.2"}]}}`, status: 200, want: []string{`"opt_name":"8","opt_value":"10.0.0.2"`}, not: []string{`"opt_name":"7",`}},
		{as: "demo", do: "POST /subnetpools", body: `{"subnetpool": {"name": "p", "prefixes": ["fd00::/16"]}}`, status: 201, keep: "pool"},
		{as: "demo", do: "PUT /subnetpools/$pool/remove_prefixes", body: `{"prefixes": [` + many(5000, `"fd00:0:0:%x::/128"`) + `]}`, status: 400, want: []string{"prefixes would be left"}},
		{as: "demo", do: "PUT /subnetpools/$pool/remove_prefixes", body: `{"prefixes": ["fd00:8000::/17"]}`, status: 200, want: []string{`{"prefixes": ["fd00::/17"]}`}},
	})
}

// TestManyAddresses: a port with many addresses keeps those that it has, and no choice takes one that is asked for.
func TestManyAddresses(t *testing.T) {
	tell(t, []step{
		{as: "demo", do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "net"},
		{as: "demo", do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "10.0.0.0/16", "enable_dhcp": false}}`, status: 201, keep: "sub"},
		{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net", "fixed_ips": [{"subnet_id": "$sub"}, {"ip_address": "10.0.0.2"}, {"subnet_id": "$sub"}, {"ip_address": "10.0.0.4"}]}}`, status: 201,
			want: []string{`[{"subnet_id": "$sub", "ip_address": "10.0.0.3"}, {"subnet_id": "$sub", "ip_address": "10.0.0.2"}, {"subnet_id": "$sub", "ip_address": "10.0.0.5"}, {"subnet_id": "$sub", "ip_address": "10.0.0.4"}]`}, keep: "port"},
		{as: "demo", do: "PUT /ports/$port", body: `{"port": {"fixed_ips": [{"subnet_id": "$sub"}, {"subnet_id": "$sub"}, {"ip_address": "10.0.0.3"}]}}`, status: 200,
			want: []string{`[{"subnet_id": "$sub", "ip_address": "10.0.0.2"}, {"subnet_id": "$sub", "ip_address": "10.0.0.5"}, {"subnet_id": "$sub", "ip_address": "10.0.0.3"}]`}},
		{as: "demo", do: "PUT /ports/$port", body: `{"port": {"fixed_ips": [` + strings.TrimSuffix(strings.Repeat(`{"subnet_id": "$sub"}, `, 1000), ", ") + `]}}`, status: 200, want: []string{"10.0.0.2", "10.0.3."}},
		{as: "demo", do: "PUT /ports/$port", body: `{"port": {"fixed_ips": [` + strings.TrimSuffix(strings.Repeat(`{"subnet_id": "$sub"}, `, 1000), ", ") + `]}}`, status: 200},
	})
}
