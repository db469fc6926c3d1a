package server

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"neutrino/api"
	"neutrino/engine"
)

// samples are values that the original takes and refuses for an attribute, by its rule. What a rule of the original's
// code says later (that an object is not there, say) does not count.
func samples(f fact) (good, bad []any) {
	someID, otherID, long := uuid.NewString(), uuid.NewString(), strings.Repeat("x", 2000)
	object, list := map[string]any{}, []any{}
	for rule, argument := range f.Validate {
		var most int
		var bounds []*int
		var words []any
		_ = json.Unmarshal(argument, &most)
		_ = json.Unmarshal(argument, &bounds)
		_ = json.Unmarshal(argument, &words)
		switch strings.TrimPrefix(rule, "type:") {
		case "uuid":
			good, bad = []any{someID}, []any{nil, "", "x", 1, list, object}
		case "uuid_or_none":
			good, bad = []any{someID, nil}, []any{"x", 1, list, object}
		case "string":
			good, bad = []any{"x"}, []any{nil, 1, list, object, long[:most+1]}
			if most >= len(someID) { // often an id
				good = []any{someID}
			}
		case "string_or_none":
			good, bad = []any{"x", nil}, []any{1, list, object, long[:most+1]}
		case "name_string":
			good, bad = []any{"x", "", long[:most]}, []any{nil, 1, list, " x", "x ", "a\nb", long[:most+1]}
		case "name_string_or_none":
			good, bad = []any{"x", nil}, []any{1, list, " x", "a\nb", long[:most+1]}
		case "not_empty_name_string":
			good, bad = []any{"x"}, []any{nil, 1, list, "", " ", "a\nb"}
		case "name_not_default":
			good, bad = []any{"x", "defaults"}, []any{nil, 1, list, long[:most+1]}
		case "values":
			good = append(good, words...)
			bad = []any{"zz", "", -1, list, object}
		case "range", "range_or_none":
			good, bad = []any{*bounds[0], *bounds[1]}, []any{*bounds[0] - 1, *bounds[1] + 1, "x", list, object}
		case "non_negative":
			good, bad = []any{0, 64, "64"}, []any{-1, "x", list, object}
		case "port_range":
			good, bad = []any{"80", "80:90"}, []any{"x", "90:80", "80:", "1:2:3", "80:65536", list, object}
		case "uuid_list":
			good, bad = []any{list, []any{someID, otherID}}, []any{"x", 1, []any{"x"}, []any{1}, []any{someID, someID}, object}
		case "ip_address":
			good, bad = []any{"10.0.0.9", "fd00::1"}, []any{nil, 1, "", "x", "10.0.0", "10.0.0.01", "10.0.0.0/24", list, object}
		case "ip_address_or_none":
			good, bad = []any{"10.0.0.9", nil}, []any{1, "x", "10.0.0", "10.0.0.01", "10.0.0.0/24", list, object}
		case "subnet_or_none":
			good, bad = []any{"10.0.0.0/24", nil}, []any{1, "x", "10.0.0.0", "10.0.0.0/33", list, object}
		case "subnet_list":
			good, bad = []any{[]any{"10.0.0.0/24", "fd00::/64"}}, []any{"x", []any{"x"}, []any{1}, []any{"10.0.0.0"}, []any{"10.0.0.0/24", "10.0.0.0/24"}, object}
		case "subnetpool_id_or_none":
			good, bad = []any{someID, nil}, []any{"x", 1, list, object}
		case "nameservers":
			good, bad = []any{list, []any{"192.0.2.1", "fd00::1"}}, []any{"x", []any{"x"}, []any{1}, []any{"192.0.2.1", "192.0.2.1"}, object}
		case "hostroutes":
			good, bad = []any{list, []any{map[string]any{"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"}}},
				[]any{"x", []any{"x"}, []any{object}, []any{map[string]any{"destination": "10.9.0.1/16", "nexthop": "10.0.0.9"}}, []any{map[string]any{"destination": "10.9.0.0/16", "nexthop": "x"}}, object}
		case "ip_pools":
			good, bad = []any{list, []any{map[string]any{"start": "10.0.0.2", "end": "10.0.0.9"}}},
				[]any{"x", []any{"x"}, []any{object}, []any{map[string]any{"start": "10.0.0.2"}}, []any{map[string]any{"start": "x", "end": "10.0.0.9"}}, []any{map[string]any{"start": "10.0.0.2", "end": "10.0.0.9", "x": 1}}}
		case "fixed_ips":
			good, bad = []any{list, []any{map[string]any{"ip_address": "10.0.0.9"}}},
				[]any{"x", []any{"x"}, []any{map[string]any{"ip_address": "x"}}, []any{map[string]any{"subnet_id": "x"}}, []any{map[string]any{"ip_address": "10.0.0.9"}, map[string]any{"ip_address": "10.0.0.9"}}, object}
		case "allowed_address_pairs":
			good, bad = []any{list, []any{map[string]any{"ip_address": "10.0.0.0/24"}}}, []any{"x", []any{"x"}, []any{object}, []any{map[string]any{"ip_address": "x"}}, []any{map[string]any{"ip_address": "10.0.0.9", "mac_address": "x"}}}
		case "mac_address":
			good, bad = []any{"fa:16:3e:00:00:01", "FA-16-3E-00-00-01", nil}, []any{"x", 1, "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", list, object}
		case "dict_or_none", "dict_or_nodata":
			good, bad = []any{nil}, []any{"x", 1, []any{"x"}}
		case "boolean":
			good, bad = []any{true, "false"}, []any{"zz", 2, list, object}
		case "dns_domain_name":
			good, bad = []any{"example.org.", ""}, []any{1, "example.org", "-.org.", "a..b.", list, object}
		case "dns_host_name", "fip_dns_host_name":
			good, bad = []any{"www", ""}, []any{1, "-", "a..b", "a b", long[:300], list, object}
		case "availability_zone_hint_list":
			good, bad = []any{list}, []any{"x", []any{1}, []any{"a", "a"}, []any{long}, object}
		case "list_of_unique_strings":
			good, bad = []any{list, []any{"a", "b"}}, []any{"x", []any{1}, []any{"a", "a"}, []any{long}, object}
		case "list_of_subnet_service_types":
			good, bad = []any{list, []any{"compute:nova", "network:router_gateway"}}, []any{"x", []any{1}, []any{"zz"}, object}
		case "list_of_any_key_specs_or_none":
			option := map[string]any{"opt_name": "bootfile-name", "opt_value": "x"}
			good, bad = []any{list, nil, []any{option}}, []any{"x", []any{"x"}, []any{object}, []any{map[string]any{"opt_name": "", "opt_value": "x"}}, []any{map[string]any{"opt_name": "a\nb", "opt_value": "x"}}, []any{map[string]any{"opt_name": "a", "opt_value": "x", "ip_version": 5}}}
		case "network_segments":
			good, bad = []any{[]any{map[string]any{"provider:network_type": "vxlan"}}}, []any{"x", list, []any{"x"}, []any{map[string]any{"x": 1}}}
		case "subports":
			good, bad = []any{list, []any{map[string]any{"port_id": someID, "segmentation_type": "vlan", "segmentation_id": 5}}},
				[]any{"x", []any{"x"}, []any{object}, []any{map[string]any{"port_id": "x", "segmentation_type": "vlan", "segmentation_id": 5}}, []any{map[string]any{"port_id": someID, "segmentation_type": "vlan"}}}
		case "valid_target_project":
			good, bad = []any{"*", strings.Repeat("1", 32)}, []any{nil, 1, "", "bob", list}
		case "service_plugin_type":
			good, bad = []any{"L3_ROUTER_NAT"}, []any{"zz", 1, list}
		}
	}
	switch f.Convert {
	case "convert_to_boolean":
		good, bad = []any{true, "false", 1, "0", "Yes"}, []any{nil, "zz", 2, list, object}
	case "convert_to_boolean_if_not_none":
		good, bad = []any{true, "false", nil}, []any{"zz", 2, list, object}
	case "convert_none_to_empty_list":
		good = append(good, nil)
	case "convert_ethertype_to_case_insensitive":
		good = []any{"ipv4", "IPV6"}
	case "convert_to_protocol":
		good = []any{"tcp"}
	case "convert_protocol":
		good, bad = []any{"tcp", "TCP", 6, "6", 0, "any", nil}, []any{"zz", 256, -1, list, object}
	case "convert_ip_prefix_to_cidr":
		good, bad = []any{"10.0.0.1", "10.0.0.1/8", "", nil}, []any{"x", "10.0.0.0/33", 1, list, object}
	case "convert_validate_port_value":
		good, bad = []any{80, "80", nil}, []any{-1, 65536, "x", list, object}
	case "convert_valid_object_type":
		good, bad = []any{"network", " Network "}, []any{"zz", 1, nil, list}
	case "convert_to_int":
		if len(f.Validate) == 0 {
			good, bad = []any{5, "5"}, []any{"x", list, object}
		}
	}
	return good, bad
}

// TestValuesAreTheOriginals sends every attribute values that the original refuses, on create and on update, which must
// be a 400, and such that it takes, which must not be refused for their form.
func TestValuesAreTheOriginals(t *testing.T) {
	var spec struct{ Resources map[string]resourceFact }
	original(t, "resources.json", &spec)
	have := map[string]bool{"network": true, "subnet": true, "port": true, "subnetpool": true}
	for _, alias := range append(api.Extensions(nil), api.DriverExtensions()...) {
		have[alias] = true
	}
	s := open(t)
	kept := map[string]string{}
	tellOn(t, s, kept, []step{
		{do: "POST /networks", body: `{"network": {"router:external": true}}`, status: 201, keep: "net"},
		{do: "POST /subnets", body: `{"subnet": {"network_id": "$net", "ip_version": 4, "cidr": "203.0.113.0/24"}}`, status: 201},
		{do: "POST /floatingips", body: `{"floatingip": {"floating_network_id": "$net"}}`, status: 201, keep: "floatingips"},
		{do: "POST /routers", body: `{"router": {}}`, status: 201, keep: "routers"},
		{do: "POST /qos/policies", body: `{"policy": {"name": "q"}}`, status: 201, keep: "policies"},
		{do: "POST /ports", body: `{"port": {"network_id": "$net", "device_owner": "compute:x"}}`, status: 201, keep: "ports"},
		{do: "POST /local-ips", body: `{"local_ip": {"network_id": "$net"}}`, status: 201, keep: "local_ips"},
	})
	h := door(t, s)
	ours := s.described()
	for _, name := range slices.Sorted(maps.Keys(spec.Resources)) {
		d, here := ours[spec.Resources[name].place()]
		if !here {
			continue
		}
		base := map[string]any{}
		for attribute, f := range spec.Resources[name].Attributes {
			if good, _ := samples(f); f.Post && f.Default == nil && len(good) > 0 {
				base[attribute] = good[0]
			}
		}
		v := valuer{T: t, h: h, d: d, path: "/v2.0/" + d.Collection, base: base}
		if d.Below != "" {
			v.path = "/v2.0/" + d.Below + "/" + kept[underscored(d.Below)] + "/" + d.Collection
		}
		for _, attribute := range slices.Sorted(maps.Keys(spec.Resources[name].Attributes)) {
			if f, known := spec.Resources[name].Attributes[attribute].known(have); known && attribute != "project_id" && attribute != "tenant_id" {
				v.hold(attribute, f)
			}
		}
	}
}

// valuer sends values for the attributes of one resource.
type valuer struct {
	*testing.T
	h    http.Handler
	d    engine.Description
	path string
	base map[string]any // a create's required attributes
}

func (v valuer) hold(attribute string, f fact) {
	v.Helper()
	good, bad := samples(f)
	for _, value := range bad {
		if f.Post && v.d.Create {
			if code, answer := v.send("POST", attribute, value); code != http.StatusBadRequest {
				v.Errorf("%s: create takes %s %s: %d %s", v.path, attribute, marshal(value), code, answer)
			}
		}
		if f.Put && v.d.Update {
			if code, answer := v.send("PUT", attribute, value); code != http.StatusBadRequest {
				v.Errorf("%s: update takes %s %s: %d %s", v.path, attribute, marshal(value), code, answer)
			}
		}
	}
	for _, value := range good {
		if f.Post && v.d.Create {
			if code, answer := v.send("POST", attribute, value); code == http.StatusBadRequest && strings.Contains(answer, "Invalid input for "+attribute+".") {
				v.Errorf("%s: create refuses %s %s: %s", v.path, attribute, marshal(value), answer)
			}
		}
		if f.Put && v.d.Update {
			if code, answer := v.send("PUT", attribute, value); code == http.StatusBadRequest && strings.Contains(answer, "Invalid input for "+attribute+".") {
				v.Errorf("%s: update refuses %s %s: %s", v.path, attribute, marshal(value), answer)
			}
		}
	}
}

func (v valuer) send(method, attribute string, value any) (int, string) {
	path, object := v.path, map[string]any{}
	if method == "POST" {
		maps.Copy(object, v.base)
	} else {
		path += "/" + uuid.NewString()
	}
	object[attribute] = value
	req := httptest.NewRequest(method, path, strings.NewReader(string(marshal(map[string]any{v.d.Name: object}))))
	req.Header.Set("X-Auth-Token", "nova")
	rec := httptest.NewRecorder()
	v.h.ServeHTTP(rec, req)
	return rec.Code, rec.Body.String()
}
