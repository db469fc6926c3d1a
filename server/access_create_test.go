package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"neutrino/engine"
	"neutrino/policy"
)

// asNew is what policies may ask of an object of a project that is yet to be made.
func (x *thing) asNew(project string) attributes {
	y := *x
	y.owner, y.with, y.outside = project, "", ""
	return y.attr(project)
}

// TestAccessToCreate: who may make what, in their own project, for another, and with what others own.
func TestAccessToCreate(t *testing.T) {
	w := newAccessWorld(t)
	own := w.kit(t, owning, "", "")
	for i := range recipes {
		r := &recipes[i]
		if r.post == "" || !w.described[r.of].Create || r.name != "" {
			continue
		}
		for _, as := range slices.Sorted(maps.Keys(people)) {
			if as != "maker" {
				w.creates(t, own, r, as)
			}
		}
	}
}

// refers says whether a recipe needs objects of its project.
func refers(r *recipe, below string) bool {
	for _, word := range bodyWord.FindAllString(r.post, -1) {
		if !slices.Contains([]string{"$n", "$u", "$a", "$b", "$ext"}, word) {
			return true
		}
	}
	return below != ""
}

func (w *accessWorld) creates(t *testing.T, own *kit, r *recipe, as string) {
	t.Helper()
	c := people[as]
	x := w.prepare(t, own, r)
	rule := "create_" + x.Rule
	post := func(project string) (int, []byte) {
		before := w.head(t)
		status, answer := w.do(as, "POST", x.path, w.post(x, project))
		if status >= 300 && w.head(t) != before {
			w.complain(t, x, as, "create", "something has changed though it was refused: %d %s", status, answer)
		}
		return status, answer
	}
	cloud := (slices.Contains(c.Roles, "admin") || slices.Contains(c.Roles, "service")) && !unscoped(c) // they may act for others
	if status, answer := post(owning); c.ProjectID == owning || cloud {
		allowed := w.allows(rule, c, x.asNew(owning))
		// Who may not see what it needs may be told so first.
		if allowed != (status == 201) && (!r.once || status != 409) || !allowed && status != 403 && (status != 404 || !refers(r, x.Below)) {
			w.complain(t, x, as, "create", "%d %s, the policies say %v", status, answer, allowed)
		}
		return
	} else if status < 400 {
		w.complain(t, x, as, "create for another project", "%d %s", status, answer)
	}
	x = w.prepare(t, own, r)
	status, answer := post("")
	allowed := w.allows(rule, c, x.asNew(c.ProjectID))
	switch {
	case c.ProjectID == "" && status < 400:
		w.complain(t, x, as, "create without a project", "%d %s", status, answer)
	case refers(r, x.Below):
		if status < 400 && !allowed {
			w.complain(t, x, as, "create with another's objects", "%d %s", status, answer)
		}
	case allowed != (status < 300) && status != 409 && c.ProjectID != "":
		w.complain(t, x, as, "create for the own project", "%d %s, the policies say %v", status, answer, allowed)
	}
}

// lets are places where the original lets a project name another's object, with the reason.
var lets = map[string]string{}

// references are attributes of updates and actions that name other objects, besides those of recipes.
var references = []struct{ word, request, body string }{
	{"port", "PUT", `"security_groups": ["$security_group"]`},
	{"port", "PUT", `"qos_policy_id": "$policy"`},
	{"port", "PUT", `"fixed_ips": [{"subnet_id": "$subnet"}]`},
	{"network", "PUT", `"qos_policy_id": "$policy"`},
	{"floatingip", "PUT", `"port_id": "$inside_port"`},
	{"floatingip", "PUT", `"qos_policy_id": "$policy"`},
	{"subnetpool", "PUT", `"address_scope_id": "$address_scope"`},
	{"router", "PUT", `"external_gateway_info": {"network_id": "$inside"}`},
	{"port_forwarding", "PUT", `"internal_port_id": "$inside_port", "internal_ip_address": "$inside_port_ip"`},
	{"router", "add_router_interface", `{"subnet_id": "$subnet"}`},
	{"router", "add_router_interface", `{"port_id": "$port"}`},
	{"router", "remove_router_interface", `{"port_id": "$port"}`},
	{"trunk", "add_subports", `{"sub_ports": [{"port_id": "$port", "segmentation_type": "vlan", "segmentation_id": 9}]}`},
	{"subnetpool", "onboard_network_subnets", `{"network_id": "$network"}`},
	{"network", "POST /ports", `{"port": {"network_id": "$network"}}`},
	{"network", "POST /subnets", `{"subnet": {"network_id": "$inside", "ip_version": 4, "subnetpool_id": "$subnetpool"}}`},
	{"network", "POST /ports", `{"port": {"network_id": "$inside", "security_groups": ["$security_group"]}}`},
	{"network", "POST /ports", `{"port": {"network_id": "$inside", "fixed_ips": [{"subnet_id": "$subnet"}]}}`},
	{"network", "POST /floatingips", `{"floatingip": {"floating_network_id": "$ext", "port_id": "$inside_port"}}`},
	{"network", "POST /subnetpools", `{"subnetpool": {"name": "x", "prefixes": ["172.16.0.0/12"], "address_scope_id": "$address_scope"}}`},
	{"network", "POST /security-group-rules", `{"security_group_rule": {"direction": "ingress", "security_group_id": "$security_group"}}`},
	{"network", "POST /security-group-rules", `{"security_group_rule": {"direction": "ingress", "security_group_id": "$security_group", "remote_address_group_id": "$address_group"}}`},
	{"network", "POST /local-ips", `{"local_ip": {"local_port_id": "$inside_port"}}`},
	{"network", "POST /rbac-policies", `{"rbac_policy": {"object_type": "security_group", "object_id": "$security_group", "action": "access_as_shared", "target_tenant": "x"}}`},
	{"network", "POST /rbac-policies", `{"rbac_policy": {"object_type": "qos_policy", "object_id": "$policy", "action": "access_as_shared", "target_tenant": "x"}}`},
	{"network", "POST /rbac-policies", `{"rbac_policy": {"object_type": "subnetpool", "object_id": "$subnetpool", "action": "access_as_shared", "target_tenant": "x"}}`},
	{"network", "POST /log/logs", `{"log": {"resource_type": "security_group", "target_id": "$inside_port"}}`},
}

// TestAccessByReference: a project can't reach another's object by naming it in its own: each id in each body is
// exchanged in turn for that of another project's object of the same kind.
func TestAccessByReference(t *testing.T) {
	w := newAccessWorld(t)
	own, other := w.kit(t, owning, "", ""), w.kit(t, foreign, "", "")
	const as = "owning manager"
	exchanged := 0
	try := func(x *thing, method, path, template string) {
		t.Helper()
		for _, word := range bodyWord.FindAllString(template, -1) {
			word = word[1:]
			if w.common[word] != "" || other.words[word] == "" || strings.HasSuffix(word, "_ip") {
				continue
			}
			exchanged++
			words := maps.Clone(own.words)
			maps.Copy(words, x.words)
			words[word] = other.words[word]
			words[word+"_ip"] = other.words[word+"_ip"]
			body := w.expand(template, words)
			before := w.head(t)
			status, answer := w.do(as, method, path, body)
			if lets[method+" "+x.of+" "+word] != "" {
				continue
			}
			if status < 400 || status >= 500 || w.head(t) != before {
				t.Errorf("%s %s with another project's %s: %d %s", method, path, word, status, answer)
			}
		}
	}
	for i := range recipes {
		r := &recipes[i]
		if r.post == "" || !w.described[r.of].Create {
			continue
		}
		x := w.prepare(t, own, r)
		try(x, "POST", x.path, `{"`+x.Name+`": {`+r.post+`}}`)
		if x.Below != "" { // below another's parent
			theirs := other.things[w.word(r)]
			if status, answer := w.do(as, "POST", theirs.path, w.post(x, "")); status != 403 && status != 404 {
				t.Errorf("POST %s: %d %s", theirs.path, status, answer)
			}
		}
	}
	for _, ref := range references {
		x := own.things[ref.word]
		x.words = own.words
		switch method, path, isPath := strings.Cut(ref.request, " "); {
		case isPath:
			try(x, method, "/v2.0"+path, ref.body)
		case ref.request == "PUT":
			try(x, "PUT", x.url(), `{"`+x.Name+`": {`+ref.body+`}}`)
		default:
			try(x, "PUT", x.url()+"/"+ref.request, ref.body)
		}
	}
	if exchanged < 40 {
		t.Errorf("only %d references were exchanged", exchanged)
	}
}

// policed are values of attributes that have policies of their own, which say more than the default.
var policed = map[string]string{
	"floatingip:floating_ip_address":                  `"floating_ip_address": "203.0.113.$b"`,
	"network:shared":                                  `"shared": true`,
	"network:router:external":                         `"router:external": true`,
	"network:is_default":                              `"is_default": true`,
	"network:port_security_enabled":                   `"port_security_enabled": false`,
	"network:segments":                                `"segments": [{"provider:network_type": "vxlan"}]`,
	"network:provider:network_type":                   `"provider:network_type": "vxlan"`,
	"network:provider:physical_network":               `"provider:physical_network": "p$n"`,
	"network:provider:segmentation_id":                `"provider:segmentation_id": $n`,
	"port:device_id":                                  `"device_id": "d$n"`,
	"port:device_owner":                               `"device_owner": "network:x$n"`,
	"port:mac_address":                                `"mac_address": "fa:16:3e:99:$a:10"`,
	"port:fixed_ips":                                  `"fixed_ips": []`,
	"port:fixed_ips:ip_address":                       `"fixed_ips": [{"ip_address": "$port_ip"}]`,
	"port:fixed_ips:subnet_id":                        `"fixed_ips": [{"subnet_id": "$subnet"}]`,
	"port:port_security_enabled":                      `"port_security_enabled": false, "security_groups": []`,
	"port:binding:host_id":                            `"binding:host_id": "h2"`,
	"port:binding:profile":                            `"binding:profile": {"a": "b"}`,
	"port:binding:vnic_type":                          `"binding:vnic_type": "direct"`,
	"port:allowed_address_pairs":                      `"allowed_address_pairs": [{"ip_address": "10.0.0.$b"}]`,
	"port:allowed_address_pairs:mac_address":          `"allowed_address_pairs": [{"ip_address": "10.0.0.$b", "mac_address": "fa:16:3e:00:00:09"}]`,
	"port:allowed_address_pairs:ip_address":           `"allowed_address_pairs": [{"ip_address": "10.0.0.$b"}]`,
	"port:hints":                                      `"hints": {"openvswitch": {"other_config": {"tx-steering": "hash"}}}`,
	"port:trusted":                                    `"trusted": true`,
	"port:data_plane_status":                          `"data_plane_status": "DOWN"`,
	"router:distributed":                              `"distributed": true`,
	"router:enable_default_route_ecmp":                `"enable_default_route_ecmp": true`,
	"router:enable_default_route_bfd":                 `"enable_default_route_bfd": true`,
	"router:ha":                                       `"ha": true`,
	"router:external_gateway_info":                    `"external_gateway_info": {"network_id": "$ext"}`,
	"router:external_gateway_info:network_id":         `"external_gateway_info": {"network_id": "$ext"}`,
	"router:external_gateway_info:enable_snat":        `"external_gateway_info": {"network_id": "$ext", "enable_snat": false}`,
	"router:external_gateway_info:external_fixed_ips": `"external_gateway_info": {"network_id": "$ext", "external_fixed_ips": [{"ip_address": "203.0.114.$b"}]}`,
	"router:external_gateway_info:qos_policy_id":      `"external_gateway_info": {"network_id": "$ext", "qos_policy_id": "$policy"}`,
	"subnet:segment_id":                               `"segment_id": "$segment"`,
	"subnetpool:shared":                               `"shared": true`,
	"subnetpool:is_default":                           `"is_default": true`,
	"address_scope:shared":                            `"shared": true`,
	"rbac_policy:target_tenant":                       `"target_tenant": "*"`,
}

// TestAccessToAttributes: attributes with policies of their own are given and changed by whom these allow it.
func TestAccessToAttributes(t *testing.T) {
	w := newAccessWorld(t)
	own := w.kit(t, owning, "", "")
	for _, rule := range slices.Sorted(maps.Keys(w.oracle)) {
		verb, rest, _ := strings.Cut(rule, "_")
		resource, attribute, found := strings.Cut(rest, ":")
		if !found || verb != "create" && verb != "update" || attribute == "tags" {
			continue
		}
		x := own.things[resource]
		name, _, _ := strings.Cut(attribute, ":")
		if x == nil || !slices.ContainsFunc(w.described[x.of].Attributes, func(a engine.AttributeDescription) bool {
			return (a.Name == name || a.Name == attribute) && (verb == "create" && a.Post || verb == "update" && a.Put)
		}) {
			continue // an extension that is not there
		}
		if rest == "subnet:service_types" {
			continue // the attribute does not say that policy is to be enforced, so the original does not ask this one
		}
		value, known := policed[rest]
		if !known {
			t.Errorf("policy %s: policed has no value of it", rule)
			continue
		}
		for _, as := range []string{"admin", "service", "integrator", "advsvc", "owning manager", "owning member", "owning reader"} {
			w.gives(t, own, x, as, verb, rest, value)
		}
	}
}

func (w *accessWorld) gives(t *testing.T, own *kit, x *thing, as, verb, attribute, value string) {
	t.Helper()
	c := people[as]
	body := value
	method, path := "PUT", ""
	if verb == "create" {
		x = w.prepare(t, own, x.recipe)
		method, path = "POST", x.path
		body = x.post + ", " + value // the last of two counts
	} else {
		x = w.make(t, own, x.recipe)
		path = x.url()
	}
	object := w.expand(body, x.words)
	project := c.ProjectID
	if verb == "create" && slices.Contains(c.Roles, "admin") {
		project = owning
		object += `, "project_id": "` + owning + `"`
	}
	attr := x.attr(c.ProjectID)
	if verb == "create" {
		attr = x.asNew(project)
	}
	attr = with(attr, body)
	allowed := w.allowsAll(verb, x.Rule, strings.TrimPrefix(attribute, x.Name+":"), c, attr) && (verb == "create" || w.seen(c, x))
	status, answer := w.do(as, method, path, `{"`+x.Name+`": {`+object+`}}`)
	denied := status == 403 && strings.Contains(string(answer), "PolicyNotAuthorized") || status == 404 && !w.seen(c, x)
	if denied == allowed {
		w.complain(t, x, as, verb+" with "+attribute, "%d %s, the policies say %v", status, answer, allowed)
	}
}

// with is an object with what a body says of it, as far as policies ask for it.
func with(attr attributes, body string) attributes {
	return func(name string) any {
		if at := strings.LastIndex(body, fmt.Sprintf("%q: \"", name)); at >= 0 {
			value, _, _ := strings.Cut(body[at+len(name)+5:], `"`)
			if !strings.HasPrefix(value, "$") {
				return value
			}
		}
		return attr(name)
	}
}

// allowsAll asks the policies of a verb, an attribute and a part of it.
func (w *accessWorld) allowsAll(verb, resource, attribute string, c *policy.Credentials, attr attributes) bool {
	rule := verb + "_" + resource
	allowed := w.allows(rule, c, attr)
	words := strings.Split(attribute, ":")
	for i := range words {
		part := rule + ":" + strings.Join(words[:i+1], ":")
		if _, known := w.oracle[part]; known {
			allowed = allowed && w.allows(part, c, attr)
		}
	}
	return allowed
}
