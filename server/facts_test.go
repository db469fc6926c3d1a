package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"neutrino/api"
	"neutrino/engine"
	"neutrino/policy"
)

// original reads a table of what the original does, from the specification beside the project; without it the test is
// skipped.
func original(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile("../../shared/spec/networking/" + name)
	if err != nil {
		t.Skip("the specification is not beside the project")
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// fact is what the original's attribute map says of an attribute.
type fact struct {
	From      string
	Post      bool            `json:"allow_post"`
	Put       bool            `json:"allow_put"`
	Visible   bool            `json:"is_visible"`
	Filter    bool            `json:"is_filter"`
	Sort      bool            `json:"is_sort_key"`
	Policed   bool            `json:"enforce_policy"`
	Default   json.RawMessage // nil: none, so that a create must give it
	Validate  map[string]json.RawMessage
	Convert   string
	Overrides []fact
}

// resourceFact is what the original says of a collection.
type resourceFact struct {
	Path       string `json:"collection_path"`
	Name       string `json:"json_singular"`
	Plural     string `json:"json_plural"`
	Extension  string `json:"defined_by"`
	Attributes map[string]fact
	Operations string // "list, show, delete"; "": all five
	Actions    map[string]struct {
		Method, Ext string
		Status      int
	} `json:"member_actions"`
}

// known gives an attribute as the extensions that are here make it.
func (f fact) known(have map[string]bool) (fact, bool) {
	for _, alias := range strings.Split(f.From, ",") {
		if have[alias] {
			return f, true
		}
	}
	for _, older := range slices.Backward(f.Overrides) {
		if k, ok := older.known(have); ok {
			return k, true
		}
	}
	return fact{}, false
}

// TestAttributesAreTheOriginals holds every declaration against the original's attribute maps: which attributes there
// are, who may give, change, filter and sort them, what must be given, and the defaults.
func TestAttributesAreTheOriginals(t *testing.T) {
	var spec struct{ Resources map[string]resourceFact }
	original(t, "resources.json", &spec)
	have := map[string]bool{"network": true, "subnet": true, "port": true, "subnetpool": true}
	for _, alias := range append(api.Extensions(nil), api.DriverExtensions()...) {
		have[alias] = true
	}
	ours := open(t).described()
	for _, name := range slices.Sorted(maps.Keys(spec.Resources)) {
		r := spec.Resources[name]
		if !have[r.Extension] {
			if !slices.ContainsFunc(absent, func(service string) bool { return strings.HasPrefix(r.Extension, service) }) {
				t.Errorf("%s: the extension %s is not here", name, r.Extension)
			}
			continue
		}
		d, here := ours[r.place()]
		if parent, word, below := strings.Cut(r.place(), "/{}/"); !here && below {
			here = slices.ContainsFunc(ours[parent].Actions, func(a engine.ActionDescription) bool { return underscored(a.Name) == word })
			if here {
				continue // shows other resources' objects
			}
		}
		if !here && name != "quotas" { // the door's own
			t.Errorf("%s: no collection %s", name, r.place())
		}
		if !here {
			continue
		}
		holdAttributes(t, name, r, d, have)
		holdVerbs(t, name, r, d, have)
	}
}

// place is where a collection is: "qos/policies", or below what "floatingips/{}/port_forwardings".
func (r resourceFact) place() string {
	path := strings.TrimPrefix(r.Path, "/v2.0/")
	if before, after, found := strings.Cut(path, "/{"); found {
		_, after, _ = strings.Cut(after, "}/")
		path = before[strings.LastIndex(before, "/")+1:] + "/{}/" + after
	}
	return underscored(path)
}

// described are the collections by their places.
func (s *Services) described() map[string]engine.Description {
	all := map[string]engine.Description{}
	for _, col := range s.Collections() {
		d := col.Describe()
		place := d.Collection
		if d.Below != "" {
			place = d.Below + "/{}/" + d.Collection
		}
		all[underscored(place)] = d
	}
	return all
}

// absent are the extensions of services that are not built yet.
var absent = []string{"bgp", "bgpvpn", "flow_classifier", "fwaas", "networking-sfc", "service_graph", "sfc", "taas", "tap", "vpn"}

func underscored(path string) string { return strings.ReplaceAll(path, "-", "_") }

func holdAttributes(t *testing.T, name string, r resourceFact, d engine.Description, have map[string]bool) {
	if d.Name != r.Name || d.Plural != r.Plural {
		t.Errorf("%s: is %s, %s, want %s, %s", name, d.Name, d.Plural, r.Name, r.Plural)
	}
	seen := map[string]bool{"not-tags": d.Taggable, "tags-any": d.Taggable, "not-tags-any": d.Taggable}
	for _, a := range d.Attributes {
		seen[a.Name] = true
		if a.Name == "tenant_id" || a.Name == "project_id" || a.Name == "tags" { // the same for all; projects are twins
			continue
		}
		f, known := r.Attributes[a.Name]
		if known {
			f, known = f.known(have)
		}
		internal := a.Hidden && !a.Post && !a.Put || a.Name == "status_reason"
		if !known {
			if !internal {
				t.Errorf("%s: %s is not the original's", name, a.Name)
			}
			continue
		}
		excused := but[name+": "+a.Name]
		complain := func(what string, got, want any) {
			t.Helper()
			if !slices.Contains(excused, what) {
				t.Errorf("%s: %s: %s is %v, want %v", name, a.Name, what, got, want)
			}
		}
		for _, flag := range []struct {
			what      string
			got, want bool
		}{
			{"post", a.Post && d.Create, f.Post && d.Create}, {"put", a.Put && d.Update, f.Put && d.Update}, {"visible", !a.Hidden, f.Visible},
			{"required", a.Required && d.Create, f.Post && f.Default == nil && d.Create},
			{"filter", a.Filter || !f.Filter, true}, {"sort", a.Sort || !f.Sort, true}, // more is no harm
			{"policed", a.Policed || !f.Policed || !f.Post && !f.Put, true},
		} {
			if flag.got != flag.want {
				complain(flag.what, flag.got, flag.want)
			}
		}
		if f.Post && d.Create && f.Default != nil && string(f.Default) != `"<not-specified>"` && !sameJSON(f.Default, a.Default) {
			complain("default", string(a.Default), string(f.Default))
		}
	}
	for _, attribute := range slices.Sorted(maps.Keys(r.Attributes)) {
		if f, known := r.Attributes[attribute].known(have); known && !seen[attribute] && len(but[name+": "+attribute]) == 0 {
			t.Errorf("%s: %s is missing: %+v", name, attribute, f)
		}
	}
}

// but are places where ours differs from the table, and why that is right or no harm.
var but = map[string][]string{
	// Sorting by what is computed is refused (docs/compatibility.md).
	"networks: status": {"sort"}, "networks: availability_zone_hints": {"sort"}, "address_scopes: shared": {"sort"}, "subnetpools: shared": {"sort"},
	"agents: alive": {"sort"}, "floatingips/port_forwardings: external_port_range": {"sort", "default"},
	"local_ips/port_associations: local_ip_address": {"sort"}, "local_ips/port_associations: host": {"sort"},
	// What a create without the attribute gets is settled by rules, and shown as the original shows it.
	"floatingips/port_forwardings: external_port": {"default"}, "floatingips/port_forwardings: internal_port": {"default"},
	"floatingips/port_forwardings: internal_port_range": {"default"}, "ports: extra_dhcp_opts": {"default"},
	"security_groups: stateful":          {"default"}, // the project's setting
	"routers: enable_default_route_ecmp": {"default"}, "routers: enable_default_route_bfd": {"default"},
	// Without it there is a 400 in the original too.
	"rbac_policies: object_type": {"required", "default"}, "network_segment_ranges: network_type": {"required"},
	// The original's PUT of an agent takes it and does nothing with it; it is set for a router on the agent.
	"agents: ha_chassis_priority": {"put", "policed"},
	// A filter that is no attribute: TestSubnetFacts.
	"subnets: shared": {"missing"},
	// Taken by the original's table, shown and kept nowhere.
	"ports/bindings: project_id": {"missing"},
	// Filters of a list, no attributes: TestQoS.
	"rule_types: all_rules": {"missing"}, "rule_types: all_supported": {"missing"},
}

// holdVerbs holds what can be done to objects.
func holdVerbs(t *testing.T, name string, r resourceFact, d engine.Description, have map[string]bool) {
	text, _, _ := strings.Cut(r.Operations, "(")
	for verb, has := range map[string]bool{"list": d.List, "show": d.Show, "create": d.Create, "update": d.Update, "delete": d.Delete} {
		want := text == "" || strings.Contains(text, verb)
		if verb == "update" && text == "" {
			want = slices.ContainsFunc(slices.Collect(maps.Values(r.Attributes)), func(f fact) bool { return f.Put })
		}
		if has != want && !(verb == "show" && strings.Contains(r.Operations, "show")) {
			t.Errorf("%s: %s is %v, want %v", name, verb, has, want)
		}
	}
	for action, want := range r.Actions {
		at := slices.IndexFunc(d.Actions, func(a engine.ActionDescription) bool { return a.Name == action })
		switch {
		case !have[want.Ext]:
		case at < 0:
			t.Errorf("%s: %s is missing", name, action)
		case d.Actions[at].Method != want.Method || d.Actions[at].Status != want.Status:
			t.Errorf("%s: %s is %s %d, want %s %d", name, action, d.Actions[at].Method, d.Actions[at].Status, want.Method, want.Status)
		}
	}
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && bytes.Equal(marshal(x), marshal(y))
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// moreRules are policy rules that the original has no defaults of: where its code asks for administrators, ours asks policy.
var moreRules = []string{"update_port_binding", "create_router:external_gateway_info:qos_policy_id", "update_router:external_gateway_info:qos_policy_id",
	"add_external_gateways:external_gateways:qos_policy_id", "update_external_gateways:external_gateways:qos_policy_id"}

// TestPolicyIsTheOriginals holds the default rules against the original's: the same names, checks, scopes, operations
// and older defaults.
func TestPolicyIsTheOriginals(t *testing.T) {
	var spec struct {
		Neutron map[string]struct {
			Check      string
			Scopes     []string `json:"scope_types"`
			Operations []string
			Deprecated *struct{ Name, Check string }
		}
	}
	original(t, "policies.json", &spec)
	defaults, err := policy.Neutron()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range defaults {
		want, known := spec.Neutron[d.Name]
		if !known {
			if !slices.Contains(moreRules, d.Name) {
				t.Errorf("the original has no rule %s", d.Name)
			}
			continue
		}
		delete(spec.Neutron, d.Name)
		older := ""
		if d.Deprecated != nil {
			older = d.Deprecated.Name + " " + d.Deprecated.Check
		}
		wantOlder := ""
		if want.Deprecated != nil {
			wantOlder = want.Deprecated.Name + " " + want.Deprecated.Check
		}
		if d.Check != want.Check || !slices.Equal(d.Scopes, want.Scopes) || !slices.Equal(d.Operations, want.Operations) || older != wantOlder {
			t.Errorf("%s\n is   %q %q %q older %q\n want %q %q %q older %q", d.Name, d.Check, d.Scopes, d.Operations, older, want.Check, want.Scopes, want.Operations, wantOlder)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Neutron)) {
		t.Errorf("rule %s is missing", name)
	}
}

// TestErrorsAreTheOriginals holds every error that the code can answer against the original's types and statuses.
func TestErrorsAreTheOriginals(t *testing.T) {
	type failure struct {
		Type   string
		Status int
	}
	var spec struct{ HTTP, Types []failure }
	original(t, "errors.json", &spec)
	known := map[string][]int{}
	for _, f := range append(spec.HTTP, spec.Types...) {
		known[f.Type] = append(known[f.Type], f.Status)
		if f.Status == 500 {
			known[f.Type] = append(known[f.Type], 400) // a client's mistake that the original's code does not catch
		}
	}
	found := 0
	for _, dir := range []string{"api", "engine", "resource", "service"} {
		err := filepath.WalkDir("../"+dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				kind, status := raised(n)
				if kind == "" {
					return true
				}
				found++
				if statuses := known[kind]; !slices.Contains(statuses, status) && !slices.Contains(ownErrors, kind) {
					t.Errorf("%s: %s is %d, the original's %v", path, kind, status, statuses)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 200 {
		t.Errorf("only %d errors are found in the code", found)
	}
}

// ownErrors are not in the table: those of limits that the original's web server has rather than its API, and some
// that the original raises all the same.
var ownErrors = []string{"HTTPRequestEntityTooLarge", "HTTPRequestTimeout",
	"NeutronDbObjectDuplicateEntry", "NetworkVlanRangeError", "NetworkTunnelRangeError", "RoutesExhausted", "VlanTransparencyDriverError"}

// raised gives type and status of an error that an expression makes by package fault; "" for other expressions.
func raised(n ast.Node) (kind string, status int) {
	call, is := n.(*ast.CallExpr)
	if !is {
		return "", 0
	}
	f, is := call.Fun.(*ast.SelectorExpr)
	if !is {
		return "", 0
	}
	if of, is := f.X.(*ast.Ident); !is || of.Name != "fault" {
		return "", 0
	}
	args := call.Args
	switch f.Sel.Name {
	case "BadRequest":
		status = http.StatusBadRequest
	case "NotFound":
		status = http.StatusNotFound
	case "Conflict":
		status = http.StatusConflict
	case "New":
		status, args = statusOf(args[0]), args[1:]
	default:
		return "", 0
	}
	word, is := args[0].(*ast.BasicLit)
	if !is {
		return "", 0
	}
	return strings.Trim(word.Value, `"`), status
}

// statusOf reads a number or a name of net/http.
func statusOf(e ast.Expr) int {
	switch e := e.(type) {
	case *ast.BasicLit:
		n := 0
		_, _ = fmt.Sscan(e.Value, &n)
		return n
	case *ast.SelectorExpr:
		for code := 100; code < 600; code++ {
			if "Status"+strings.ReplaceAll(strings.ReplaceAll(http.StatusText(code), " ", ""), "-", "") == e.Sel.Name {
				return code
			}
		}
	}
	return 0
}

// TestEveryRuleIsAsked: a rule that an operator may set has an effect: something asks for it.
func TestEveryRuleIsAsked(t *testing.T) {
	defaults, err := policy.Neutron()
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{"context_is_admin": true, "context_with_global_access": true, "default": true}
	for _, d := range defaults {
		for _, word := range strings.FieldsFunc(d.Check, func(r rune) bool { return r == ' ' || r == '(' || r == ')' }) {
			if name, is := strings.CutPrefix(word, "rule:"); is {
				asked[name] = true
			}
		}
	}
	for _, name := range []string{"get_quota", "update_quota", "delete_quota"} {
		asked[name] = true
	}
	for _, d := range open(t).described() {
		for verb, has := range map[string]bool{"get": d.List || d.Show, "create": d.Create, "update": d.Update, "delete": d.Delete} {
			if !has {
				continue
			}
			rule := verb + "_" + d.Rule
			asked[rule] = true
			for _, a := range d.Attributes {
				asked[rule+":"+a.Name] = verb == "get" || verb == "create" && a.Post && a.Policed || verb == "update" && a.Put && a.Policed
				for _, other := range defaults {
					if strings.HasPrefix(other.Name, rule+":"+a.Name+":") {
						asked[other.Name] = asked[rule+":"+a.Name]
					}
				}
			}
			if d.Taggable {
				asked[rule+":tags"] = true
			}
		}
		if d.Taggable {
			asked["create_"+d.Rule+":tags"], asked["update_"+d.Rule+":tags"], asked["delete_"+d.Rule+":tags"] = true, true, true
		}
		for _, a := range d.Actions {
			asked[a.Rule] = true
			for _, d := range defaults {
				if policed := a.Rule + ":" + a.Policed; a.Policed != "" && (d.Name == policed || strings.HasPrefix(d.Name, policed+":")) {
					asked[d.Name] = true
				}
			}
		}
	}
	for _, d := range defaults {
		if !asked[d.Name] && !slices.Contains(unused, d.Name) {
			t.Errorf("nothing asks for %s", d.Name)
		}
	}
}

// unused are rules that nothing asks for: of extensions that are not here, and those that the original has without
// asking for them either.
var unused = []string{
	// names for operators' own rules
	"admin_owner_or_network_owner", "regular_user", "admin_or_ext_parent_owner", "admin_or_data_plane_int", "restrict_wildcard", "admin_owner_or_sg_owner", "rule_default_sg",
	// agents are not posted; a binding of flavor and profile is not shown; attributes that the table does not police or have
	"create_agent", "get_flavor_service_profile", "create_subnet:service_types", "update_subnet:service_types", "create_rbac_policy:target_project", "update_rbac_policy:target_project",
	// tags of segments: no alias announces them
	"create_segments_tags", "get_segments_tags", "update_segments_tags", "delete_segments_tags",
	// l3-agent-scheduler-ha-chassis-priority, evpn, pvlan
	"update_l3-router", "create_router:evpn_vni", "get_router:evpn_vni", "create_port:pvlan_type", "create_port:pvlan_community", "update_port:pvlan_type", "update_port:pvlan_community",
	"get_port:pvlan_type", "get_port:pvlan_community", "create_network:pvlan", "update_network:pvlan", "get_network:pvlan",
}
