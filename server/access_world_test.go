package server

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"neutrino/api"
	"neutrino/engine"
	"neutrino/identity"
	"neutrino/policy"
	"neutrino/store"
)

// The projects of the access tests: one that owns, one that is shared with, one that has nothing to do with
// them, and those of the cloud's own people.
const (
	owning  = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	invited = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	foreign = "cccccccccccccccccccccccccccccccc"
	clouds  = "dddddddddddddddddddddddddddddddd"
)

// people are the callers of the access tests, by token. maker makes the objects.
var people = func() map[string]*policy.Credentials {
	all := []string{"admin", "manager", "member", "reader"}
	who := map[string]*policy.Credentials{
		"maker":         {UserID: "u-maker", ProjectID: clouds, Roles: append(slices.Clone(all), "service")},
		"admin":         {UserID: "u-admin", ProjectID: clouds, Roles: all},
		"service":       {UserID: "u-service", ProjectID: clouds, Roles: []string{"service"}},
		"advsvc":        {UserID: "u-advsvc", ProjectID: clouds, Roles: []string{"advsvc"}},
		"integrator":    {UserID: "u-integrator", ProjectID: clouds, Roles: []string{"data_plane_integrator", "reader"}},
		"system admin":  {UserID: "u-system", SystemScope: true, Roles: all},
		"system reader": {UserID: "u-auditor", SystemScope: true, Roles: []string{"reader"}},
		"domain admin":  {UserID: "u-domain", DomainID: "default", Roles: all},
		"nobody":        {UserID: "u-nobody", Roles: []string{"manager", "member", "reader"}}, // a token of nothing
	}
	for project, id := range map[string]string{"owning": owning, "invited": invited, "foreign": foreign} {
		for i, role := range all[1:] {
			who[project+" "+role] = &policy.Credentials{UserID: "u-" + project + role, ProjectID: id, Roles: all[1+i:]}
		}
		who[project+" without roles"] = &policy.Credentials{UserID: "u-" + project, ProjectID: id}
	}
	return who
}()

type peopleAuthenticator struct{}

func (peopleAuthenticator) Authenticate(_ context.Context, token string) (*policy.Credentials, error) {
	if c := people[token]; c != nil {
		own := *c
		return &own, nil
	}
	return nil, identity.ErrInvalidToken
}

// A recipe says how an object of a collection is made. $words are ids of objects that were made before from
// the recipes of these names, for the same project; $n is a number that was not used before, $u an id, $a.$b two bytes of one.
type recipe struct {
	name    string            // what $words call it; "" is the collection's own name
	of      string            // the collection's path with what it is below, as in the reference: "ports/bindings"
	post    string            // attributes of a create, without the braces
	put     string            // attributes of an update that is always good
	shared  bool              // is, or belongs to, what can be shared: made for every way of sharing too
	fresh   map[string]string // words whose objects can be used once: a new one from that recipe for each
	parents map[string]string // policy's name of a parent: the word of it
	acts    map[string]string // bodies of actions by their keys
	is      string            // made with another object, whose word this is
	key     string            // what a path calls it, with $words, when that is not its id
	once    bool              // there is one for a project, or it can't be made again: not deleted in tests
	after   string            // "PUT path body": done by maker once it was made
}

// recipes are in the order in which objects need one another.
var recipes = []recipe{
	{of: "networks", post: `"name": "n"`, put: `"name": "m"`, shared: true},
	{of: "subnets", post: `"network_id": "$network", "ip_version": 4, "cidr": "10.$a.$b.0/24"`, put: `"name": "m"`, shared: true, parents: map[string]string{"network": "network"}},
	{of: "ports", post: `"network_id": "$network"`, put: `"name": "m"`, shared: true, parents: map[string]string{"network": "network"}},
	{name: "bound", of: "ports", post: `"network_id": "$network", "device_owner": "compute:nova", "device_id": "vm", "binding:host_id": "h1"`, put: `"name": "m"`, parents: map[string]string{"network": "network"}},
	{of: "ports/bindings", post: `"host": "h2"`, put: `"vnic_type": "normal"`, fresh: map[string]string{"port": "bound"}, key: "h2", parents: map[string]string{"ext_parent": "port", "network": "network"}, acts: map[string]string{"activate": ``}},
	{of: "segments", post: `"network_id": "$network", "network_type": "vxlan"`, put: `"name": "m"`, fresh: map[string]string{"network": "network"}},
	{of: "network-segment-ranges", post: `"network_type": "vlan", "physical_network": "p$n", "minimum": 1, "maximum": 2, "shared": false`, put: `"name": "m"`},
	{of: "address-scopes", post: `"name": "s", "ip_version": 4`, put: `"name": "m"`, shared: true},
	{of: "subnetpools", post: `"name": "p", "prefixes": ["172.16.0.0/12"], "default_prefixlen": 24`, put: `"name": "m"`, shared: true,
		acts: map[string]string{"add_prefixes": `{"prefixes": ["192.168.0.0/16"]}`, "remove_prefixes": `{"prefixes": ["192.168.0.0/16"]}`, "onboard_network_subnets": `{"network_id": "$agent"}`}},
	{of: "network-ip-availabilities", is: "network"},
	{of: "security-groups", post: `"name": "g"`, put: `"description": "m"`, shared: true},
	{of: "security-group-rules", post: `"security_group_id": "$security_group", "direction": "ingress", "protocol": "tcp", "port_range_min": $n, "port_range_max": $n`, shared: true,
		parents: map[string]string{"security_group": "security_group", "ext_parent": "security_group"}},
	{of: "address-groups", post: `"name": "a", "addresses": ["10.0.0.0/8"]`, put: `"name": "m"`, shared: true,
		acts: map[string]string{"add_addresses": `{"addresses": ["192.0.2.0/24"]}`, "remove_addresses": `{"addresses": ["192.0.2.0/24"]}`}},
	{of: "default-security-group-rules", post: `"used_in_default_sg": false, "used_in_non_default_sg": true, "direction": "ingress", "protocol": "tcp", "port_range_min": $n, "port_range_max": $n`},
	{of: "security-groups-default-statefulness", post: `"stateful": true`, put: `"stateful": true`, once: true},
	{of: "routers", post: `"name": "r"`, put: `"name": "m"`, acts: map[string]string{
		"add_router_interface": `{"subnet_id": "$subnet"}`, "remove_router_interface": `{"subnet_id": "$subnet"}`, "add_extraroutes": `{"router": {"routes": []}}`, "remove_extraroutes": `{"router": {"routes": []}}`,
		"add_external_gateways": `{"router": {"external_gateways": []}}`, "update_external_gateways": `{"router": {"external_gateways": []}}`, "remove_external_gateways": `{"router": {"external_gateways": []}}`}},

	// A network behind a router with a gateway.
	{name: "inside", of: "networks", post: `"name": "inside"`, put: `"name": "m"`},
	{name: "inside_subnet", of: "subnets", post: `"network_id": "$inside", "ip_version": 4, "cidr": "10.0.0.0/24"`, put: `"name": "m"`, parents: map[string]string{"network": "inside"}, once: true},
	{name: "inside_subnet6", of: "subnets", post: `"network_id": "$inside", "ip_version": 6, "subnetpool_id": "$pool6"`, put: `"name": "m"`, parents: map[string]string{"network": "inside"}, once: true},
	{name: "inside_port", of: "ports", post: `"network_id": "$inside"`, put: `"name": "m"`, parents: map[string]string{"network": "inside"}},
	{name: "gateway", of: "routers", post: `"external_gateway_info": {"network_id": "$ext"}, "enable_ndp_proxy": true`, put: `"name": "m"`, once: true, after: `PUT /routers/$gateway/add_router_interface {"subnet_id": "$inside_subnet"}`},
	{name: "gateway6", of: "routers", is: "gateway", put: `"name": "m"`, once: true, after: `PUT /routers/$gateway/add_router_interface {"subnet_id": "$inside_subnet6"}`},
	{of: "floatingips", post: `"floating_network_id": "$ext"`, put: `"description": "m"`},
	{of: "floatingips/port_forwardings", post: `"internal_port_id": "$inside_port", "internal_ip_address": "$inside_port_ip", "protocol": "tcp", "internal_port": $n, "external_port": $n`, put: `"description": "m"`,
		parents: map[string]string{"ext_parent": "floatingip"}},
	{of: "routers/conntrack_helpers", post: `"protocol": "udp", "port": $n, "helper": "tftp"`, put: `"port": $n`, parents: map[string]string{"ext_parent": "router"}},
	{of: "ndp-proxies", post: `"router_id": "$gateway", "port_id": "$inside_port"`, put: `"name": "m"`, fresh: map[string]string{"inside_port": "inside_port"}},
	{of: "rbac-policies", post: `"object_type": "network", "object_id": "$network", "action": "access_as_shared", "target_tenant": "$u"`, put: `"target_tenant": "$u"`},
	{of: "qos/policies", post: `"name": "q"`, put: `"name": "m"`, shared: true},
	{of: "policies/bandwidth_limit_rules", post: `"max_kbps": $n`, put: `"max_kbps": $n`, shared: true, fresh: map[string]string{"policy": "policy"}, parents: map[string]string{"ext_parent": "policy"}},
	{of: "policies/dscp_marking_rules", post: `"dscp_mark": 26`, put: `"dscp_mark": 28`, shared: true, fresh: map[string]string{"policy": "policy"}, parents: map[string]string{"ext_parent": "policy"}},
	{of: "policies/minimum_bandwidth_rules", post: `"min_kbps": $n`, put: `"min_kbps": $n`, shared: true, fresh: map[string]string{"policy": "policy"}, parents: map[string]string{"ext_parent": "policy"}},
	{of: "policies/packet_rate_limit_rules", post: `"max_kpps": $n`, put: `"max_kpps": $n`, shared: true, fresh: map[string]string{"policy": "policy"}, parents: map[string]string{"ext_parent": "policy"}},
	{of: "policies/minimum_packet_rate_rules", post: `"min_kpps": $n`, put: `"min_kpps": $n`, shared: true, fresh: map[string]string{"policy": "policy"}, parents: map[string]string{"ext_parent": "policy"}},
	{of: "qos/alias-bandwidth-limit-rules", is: "bandwidth_limit_rule", put: `"max_kbps": $n`, shared: true},
	{of: "qos/alias-dscp-marking-rules", is: "dscp_marking_rule", put: `"dscp_mark": 30`, shared: true},
	{of: "qos/alias-minimum-bandwidth-rules", is: "minimum_bandwidth_rule", put: `"min_kbps": $n`, shared: true},
	{of: "qos/alias-minimum-packet-rate-rules", is: "minimum_packet_rate_rule", put: `"min_kpps": $n`, shared: true},
	{of: "trunks", post: `"port_id": "$port"`, put: `"name": "m"`, fresh: map[string]string{"port": "port"}, acts: map[string]string{
		"GET get_subports": ``, "add_subports": `{"sub_ports": []}`, "remove_subports": `{"sub_ports": []}`}},
	{of: "metering/metering-labels", post: `"name": "l"`},
	{of: "metering/metering-label-rules", post: `"metering_label_id": "$metering_label", "direction": "ingress", "remote_ip_prefix": "10.$a.$b.0/24"`},
	{of: "log/logs", post: `"resource_type": "security_group", "resource_id": "$security_group"`, put: `"name": "m"`},
	{of: "local-ips", post: `"network_id": "$network"`, put: `"name": "m"`},
	{of: "local_ips/port_associations", post: `"fixed_port_id": "$port"`, fresh: map[string]string{"port": "port"}, key: "$port", parents: map[string]string{"ext_parent": "local_ip"}},
	{of: "flavors", post: `"name": "f", "service_type": "L3_ROUTER_NAT"`, put: `"name": "m"`, acts: map[string]string{
		"POST service_profiles": `{"service_profile": {"id": "$agent"}}`, "DELETE service_profiles/*": `$service_profile`, "GET next_providers": ``}},
	{of: "service_profiles", post: `"metainfo": "m"`, put: `"description": "m"`},
	{of: "agents", key: "$agent", put: `"description": "m"`, once: true, acts: map[string]string{
		"GET dhcp-networks": ``, "GET l3-routers": ``, "POST dhcp-networks": `{"network_id": "$network"}`, "DELETE dhcp-networks/*": `$network`,
		"POST l3-routers": `{"router_id": "$router"}`, "DELETE l3-routers/*": `$router`}},
}

// elsewhere are collections that the matrix has no objects of, with where else access to them is tested.
var elsewhere = map[string]string{
	"floatingip-pools":        "TestAccessOfListsOnly",
	"log/loggable-resources":  "TestAccessOfListsOnly",
	"availability_zones":      "TestAccessOfListsOnly",
	"service-providers":       "TestAccessOfListsOnly",
	"qos/rule-types":          "TestQoSRuleAccess",
	"auto-allocated-topology": "TestAccessOfTopology",
}

// thing is an object that was made from a recipe.
type thing struct {
	*recipe
	engine.Description
	id      string            // as a path calls it
	path    string            // of its collection: "/v2.0/ports/ID/bindings"
	owner   string            // project
	words   map[string]string // with which it was made
	parents map[string]*thing
	with    string // project that it is shared with, "*" for all, "" for none
	outside string // the same for external networks
}

// url is the object's path.
func (x *thing) url() string { return x.path + "/" + x.id }

// attr is what policies may ask of the object, for a caller of a project.
func (x *thing) attr(caller string) attributes {
	to := func(whom string) bool { return whom == "*" || whom != "" && whom == caller }
	return func(name string) any {
		switch name {
		case "project_id", "tenant_id":
			return x.owner
		case "shared":
			if network := x.parents["network"]; network != nil {
				return network.attr(caller)(name)
			}
			return to(x.with)
		case "router:external": // what is external for anybody is so for all who see it
			if network := x.parents["network"]; network != nil {
				return network.attr(caller)(name)
			}
			return x.outside != ""
		}
		if prefix, rest, found := strings.Cut(name, ":"); found && x.parents[prefix] != nil {
			return x.parents[prefix].attr(caller)(rest)
		}
		return nil
	}
}

// reaches says whether an object is among those that a caller gets to see at all, if the policies let them: the
// policies say of an external network that anybody may see it, but it is external for some projects only, and of
// its subnets the others see nothing.
func (x *thing) reaches(c *policy.Credentials) bool {
	network := x
	if x.Name == "subnet" {
		network = x.parents["network"]
	} else if x.Name != "network" {
		return true
	}
	if slices.ContainsFunc(c.Roles, func(role string) bool { return slices.Contains([]string{"admin", "service", "advsvc"}, role) }) {
		return true
	}
	invited := []string{x.owner, network.owner, network.with}
	if x == network {
		invited = append(invited, network.outside)
	}
	return slices.Contains(invited, "*") || c.ProjectID != "" && slices.Contains(invited, c.ProjectID)
}

// kit is one project's objects, shared in one way.
type kit struct {
	owner         string
	with, outside string
	things        map[string]*thing // by recipe's word
	words         map[string]string // ids and more, for bodies
}

// accessWorld has objects of several projects.
type accessWorld struct {
	*Services
	oracle
	http.Handler
	described map[string]engine.Description // by path, as recipes have it
	used      int
	common    map[string]string // words of all kits
	failing   map[string]bool   // what has been said already
}

func newAccessWorld(t *testing.T) *accessWorld {
	t.Helper()
	s := open(t)
	hosts(t, s, "h1", "h2")
	s.Engine.Quotas = map[string]int{}
	door, err := api.New(api.Options{
		Engine: s.Engine, Collections: s.Collections(), Authenticator: peopleAuthenticator{}, Extensions: api.Extensions(s.Network.Extensions()), Log: failures(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &accessWorld{Services: s, oracle: newOracle(t), Handler: door, described: map[string]engine.Description{}, common: map[string]string{}, used: 1000, failing: map[string]bool{}}
	for _, col := range s.Collections() {
		d := col.Describe()
		path := d.Collection
		if d.Below != "" {
			path = d.Below + "/" + path
		}
		w.described[path] = d
	}
	common := func(word, path, body string) {
		t.Helper()
		status, answer := w.do("maker", "POST", "/v2.0"+path, w.expand(body, w.common))
		if status != 201 {
			t.Fatalf("POST %s %s: %d %s", path, body, status, answer)
		}
		w.common[word] = inner(t, answer)["id"].(string)
	}
	common("ext", "/networks", `{"network": {"router:external": true, "provider:network_type": "flat", "provider:physical_network": "physnet1"}}`)
	common("", "/subnets", `{"subnet": {"network_id": "$ext", "ip_version": 4, "cidr": "203.0.112.0/20", "enable_dhcp": false}}`)
	common("scope6", "/address-scopes", `{"address_scope": {"name": "six", "ip_version": 6, "shared": true}}`)
	common("pool6", "/subnetpools", `{"subnetpool": {"name": "six", "shared": true, "address_scope_id": "$scope6", "default_prefixlen": 64, "prefixes": ["2001:db8::/40"]}}`)
	common("", "/subnets", `{"subnet": {"network_id": "$ext", "ip_version": 6, "subnetpool_id": "$pool6", "enable_dhcp": false}}`)
	_, answer := w.do("maker", "GET", "/v2.0/agents?host=h1&agent_type=L3+agent&fields=id", "")
	w.common["agent"] = strings.Split(string(answer), `"`)[5]
	return w
}

var bodyWord = regexp.MustCompile(`\$[a-z_0-9]+`)

// expand puts values in place of a body's words.
func (w *accessWorld) expand(text string, words map[string]string) string {
	w.used++
	return bodyWord.ReplaceAllStringFunc(text, func(word string) string {
		switch name := word[1:]; name {
		case "n":
			return fmt.Sprint(w.used)
		case "u":
			return fmt.Sprintf("00000000-0000-4000-8000-%012d", w.used)
		case "a":
			return fmt.Sprint(w.used / 250)
		case "b":
			return fmt.Sprint(w.used % 250)
		default:
			value := words[name]
			if value == "" {
				value = w.common[name]
			}
			if value == "" {
				panic("nothing is called " + word + " in " + text)
			}
			return value
		}
	})
}

// do makes a request and gives its status and answer.
func (w *accessWorld) do(as, method, path, body string) (int, []byte) {
	req := httptest.NewRequest(method, strings.ReplaceAll(path, " ", "%20"), strings.NewReader(body))
	if body == "" {
		req.Body = http.NoBody
	}
	req.Header.Set("X-Auth-Token", as)
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, req)
	return rec.Code, rec.Body.Bytes()
}

// word is what a recipe's objects are called.
func (w *accessWorld) word(r *recipe) string {
	if r.name != "" {
		return r.name
	}
	return w.described[r.of].Name
}

// kit makes a project's objects: all, or only what has to do with sharing.
func (w *accessWorld) kit(t *testing.T, owner, with, outside string) *kit {
	t.Helper()
	k := &kit{owner: owner, with: with, outside: outside, things: map[string]*thing{}, words: map[string]string{}}
	for i := range recipes {
		if r := &recipes[i]; r.shared || with == "" && outside == "" {
			x := w.make(t, k, r)
			k.things[w.word(r)] = x
			k.words[w.word(r)] = x.id
			if r.is == "" && strings.HasSuffix(r.of, "ports") {
				k.words[w.word(r)+"_ip"] = w.address(t, x)
			}
			if r.after != "" {
				parts := strings.SplitN(w.expand(r.after, k.words), " ", 3)
				if status, answer := w.do("maker", parts[0], "/v2.0"+parts[1], parts[2]); status >= 300 {
					t.Fatalf("%s: %d %s", r.after, status, answer)
				}
			}
		}
	}
	return k
}

// address is a port's first IPv4 address.
func (w *accessWorld) address(t *testing.T, x *thing) string {
	t.Helper()
	_, answer := w.do("maker", "GET", x.url(), "")
	for _, ip := range addresses(inner(t, answer)) {
		if !strings.Contains(ip, ":") {
			return ip
		}
	}
	return "none"
}

// prepare is a thing that is yet to be made, with the objects that only it can use.
func (w *accessWorld) prepare(t *testing.T, k *kit, r *recipe) *thing {
	t.Helper()
	x := &thing{recipe: r, Description: w.described[r.of], owner: k.owner, words: maps.Clone(k.words), parents: map[string]*thing{}, with: k.with, outside: k.outside}
	if x.Description.Name == "" {
		t.Fatalf("there is no collection %s", r.of)
	}
	used := map[string]*thing{}
	for word, from := range r.fresh {
		at := slices.IndexFunc(recipes, func(r recipe) bool { return w.word(&r) == from })
		used[word] = w.make(t, k, &recipes[at])
		x.words[word] = used[word].id
	}
	find := func(word string) *thing {
		if used[word] != nil {
			return used[word]
		}
		return k.things[word]
	}
	for name, word := range r.parents {
		x.parents[name] = find(word)
	}
	x.path = "/v2.0/" + x.Collection
	if x.Below != "" {
		x.path = x.parents["ext_parent"].url() + "/" + x.Collection
	}
	return x
}

// post is the body of a create, for a project.
func (w *accessWorld) post(x *thing, project string) string {
	body := w.expand(x.recipe.post, x.words)
	if x.Below == "" && project != "" && slices.ContainsFunc(x.Attributes, func(a engine.AttributeDescription) bool { return a.Name == "project_id" && a.Post }) {
		body += `, "project_id": "` + project + `"`
	}
	return `{"` + x.Name + `": {` + body + `}}`
}

// make makes an object from a recipe.
func (w *accessWorld) make(t *testing.T, k *kit, r *recipe) *thing {
	t.Helper()
	x := w.prepare(t, k, r)
	if r.is != "" {
		like := k.things[r.is]
		if r.of != "routers" && k.things[w.word(r)] != nil { // a new one
			at := slices.IndexFunc(recipes, func(o recipe) bool { return w.word(&o) == r.is })
			like = w.make(t, k, &recipes[at])
		}
		x.id, x.parents, x.words = like.id, like.parents, like.words
		return x
	}
	if r.post == "" {
		x.id = w.expand(r.key, x.words)
		return x
	}
	status, answer := w.do("maker", "POST", x.path, w.post(x, k.owner))
	if status != 201 { // the other recipes go on without it
		t.Errorf("POST %s %s: %d %s", x.path, w.post(x, k.owner), status, answer)
		x.id = "11111111-1111-1111-1111-111111111111"
		return x
	}
	x.id, _ = inner(t, answer)["id"].(string)
	if r.key != "" {
		x.id = w.expand(r.key, x.words)
	}
	for action, target := range map[string]string{"access_as_shared": k.with, "access_as_external": k.outside} {
		if target != "" && x.Sharable != "" && (action == "access_as_shared" || x.Sharable == "network") {
			body := fmt.Sprintf(`{"rbac_policy": {"object_type": %q, "object_id": %q, "action": %q, "target_tenant": %q, "project_id": %q}}`, x.Sharable, x.id, action, target, k.owner)
			if status, answer := w.do("maker", "POST", "/v2.0/rbac-policies", body); status != 201 {
				t.Fatalf("share %s: %d %s", body, status, answer)
			}
		}
	}
	return x
}

// contents is everything in the database as one text per table.
func (w *accessWorld) contents(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := w.Engine.DB.View(context.Background(), func(tx *store.Tx) error {
		for _, table := range tables(t) {
			text, err := dump(tx, table)
			if err != nil {
				return err
			}
			out[table] = text
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// decoded is an answer's object or list of objects.
func decoded(answer []byte, name string) any {
	var m map[string]any
	if json.Unmarshal(answer, &m) != nil {
		return nil
	}
	return m[name]
}
