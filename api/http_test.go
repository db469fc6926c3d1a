package api

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
)

// TestHTTP makes one call a case on a world of its own and holds the answer and the journal to what
// is said. Without a journal the call must have changed nothing.
func TestHTTP(t *testing.T) {
	const widgets = "/v2.0/wid-gets"
	body := func(rest string) string { return `{"widget": {"gadget_id": "` + parent + `"` + rest + `}}` }
	bulk := func(items ...string) string { return `{"widgets": [` + strings.Join(items, ", ") + `]}` }
	item := func(rest string) string { return `{"gadget_id": "` + parent + `"` + rest + `}` }
	for _, c := range []struct {
		name, as, method, path, body string
		header                       map[string]string
		status                       int
		want, not                    []string
		journal                      string
	}{
		// create
		{name: "create", as: "a", method: "POST", path: widgets, body: body(`, "name": "new", "size": "7", "parts": ["nut"]`), status: 201,
			want:    []string{`{"widget": {`, `"name": "new"`, `"size": 7`, `"parts": ["nut"]`, `"tenant_id": "` + projectA + `"`, `"project_id": "` + projectA + `"`, `"revision_number": 1`, `"shared": false`, `"tags": []`},
			not:     []string{"secret"},
			journal: "widget ?"},
		{name: "create by a reader", as: "a-reads", method: "POST", path: widgets, body: body(""), status: 403, want: []string{`"type": "PolicyNotAuthorized"`, "rule:create_widget is disallowed by policy"}},
		{name: "create with a secret", as: "a", method: "POST", path: widgets, body: body(`, "secret": "x"`), status: 403, want: []string{"(rule:create_widget and rule:create_widget:secret) is disallowed by policy"}},
		{name: "the default said aloud is no wish", as: "a", method: "POST", path: widgets, body: body(`, "secret": ""`), status: 201, journal: "widget ?"},
		{name: "create for another project", as: "a", method: "POST", path: widgets, body: body(`, "project_id": "` + projectB + `"`), status: 400, want: []string{"other than the authenticated project"}},
		{name: "create for another project by an administrator", as: "admin", method: "POST", path: widgets, body: body(`, "project_id": "` + projectB + `"`), status: 201, want: []string{`"project_id": "` + projectB + `"`}, journal: "widget ?"},
		{name: "two projects", as: "admin", method: "POST", path: widgets, body: body(`, "project_id": "x", "tenant_id": "y"`), status: 400, want: []string{"'project_id' and 'tenant_id' do not match"}},
		{name: "two projects that are none", as: "admin", method: "POST", path: widgets, body: body(`, "project_id": {}, "tenant_id": {}`), status: 400, not: []string{"do not match"}},
		{name: "without what is required", as: "a", method: "POST", path: widgets, body: `{"widget": {}}`, status: 400, want: []string{"Required attribute 'gadget_id' not specified"}},
		{name: "shape wins over policy", as: "a-reads", method: "POST", path: widgets, body: body(`, "bogus": 1`), status: 400, want: []string{"Unrecognized attribute(s) 'bogus'"}},
		{name: "policy wins over rules", as: "a-reads", method: "POST", path: widgets, body: body(`, "parts": ["rotten"]`), status: 403},
		{name: "read-only", as: "a", method: "POST", path: widgets, body: body(`, "id": "` + alpha + `"`), status: 400, want: []string{"Attribute 'id' not allowed in POST"}},
		{name: "out of range", as: "a", method: "POST", path: widgets, body: body(`, "size": 11`), status: 400, want: []string{`"type": "HTTPBadRequest"`, "'11' is not in range 0 through 10"}},
		{name: "not a number", as: "a", method: "POST", path: widgets, body: body(`, "size": "big"`), status: 400, want: []string{`"type": "InvalidInput"`}},
		{name: "null for a number", as: "a", method: "POST", path: widgets, body: body(`, "size": null`), status: 400},
		{name: "the last of two keys", as: "a", method: "POST", path: widgets, body: body(`, "name": "first", "name": "second"`), status: 201, want: []string{`"name": "second"`}, journal: "widget ?"},
		{name: "text that looks like JSON", as: "a", method: "POST", path: widgets, body: body(`, "description": "\"}\u2028<é"`), status: 201, want: []string{`"description": "\"}`}, journal: "widget ?"},
		{name: "no parent", as: "a", method: "POST", path: widgets, body: strings.Replace(body(""), parent, alpha, 1), status: 404, want: []string{"GadgetNotFound"}},
		{name: "a rule after the row", as: "a", method: "POST", path: widgets, body: body(`, "parts": ["nut", "rotten"]`), status: 409, want: []string{"RottenPart"}},
		{name: "no object", as: "a", method: "POST", path: widgets, body: `{"widget": [1]}`, status: 400, want: []string{"Object 'widget' contains invalid data"}},
		{name: "another object", as: "a", method: "POST", path: widgets, body: `{"gadget": {}}`, status: 400, want: []string{"Unable to find 'widget' in request body"}},

		// bulk
		{name: "bulk", as: "a", method: "POST", path: widgets, body: bulk(item(`, "name": "x"`), `{"widget": `+item(`, "name": "y"`)+`}`), status: 201, want: []string{`{"widgets": [{`, `"name": "x"`, `"name": "y"`}, journal: "widget ?, widget ?"},
		{name: "bulk with one bad item", as: "a", method: "POST", path: widgets, body: bulk(item(""), item(`, "parts": ["rotten"]`)), status: 409},
		{name: "bulk with one bad shape", as: "a", method: "POST", path: widgets, body: bulk(item(""), "7"), status: 400},
		{name: "empty bulk", as: "a", method: "POST", path: widgets, body: bulk(), status: 400, want: []string{"Resources required"}},
		{name: "bulk of several projects", as: "admin", method: "POST", path: widgets, body: bulk(item(`, "project_id": "`+projectA+`"`), item(`, "project_id": "`+projectB+`"`)), status: 201, journal: "widget ?, widget ?"},

		// quota: five, of which A has two
		{name: "bulk up to the quota", as: "a", method: "POST", path: widgets, body: bulk(item(""), item(""), item("")), status: 201, journal: "widget ?, widget ?, widget ?"},
		{name: "bulk beyond the quota", as: "a", method: "POST", path: widgets, body: bulk(item(""), item(""), item(""), item("")), status: 409, want: []string{"OverQuota", "Quota exceeded for resources: ['widget']."}},
		{name: "quotas are the administrator's", as: "a", method: "GET", path: "/v2.0/quotas", status: 403},
		{name: "own quota", as: "a", method: "GET", path: "/v2.0/quotas/" + projectA, status: 200, want: []string{`{"quota": {"widget": 5}}`}},
		{name: "another's quota", as: "a", method: "GET", path: "/v2.0/quotas/" + projectB, status: 403},
		{name: "own quota is not mine to change", as: "a", method: "PUT", path: "/v2.0/quotas/" + projectA, body: `{"quota": {"widget": 50}}`, status: 403},
		{name: "quota details", as: "a", method: "GET", path: "/v2.0/quotas/" + projectA + "/details.json", status: 200, want: []string{`"widget": {"limit": 5, "used": 2, "reserved": 0}`}},
		{name: "quota out of range", as: "admin", method: "PUT", path: "/v2.0/quotas/" + projectA, body: `{"quota": {"widget": -2}}`, status: 400},
		{name: "quota of a project with no name", as: "admin", method: "PUT", path: "/v2.0/quotas/" + strings.Repeat("x", 256), body: `{"quota": {"widget": 9}}`, status: 400},

		// show
		{name: "show", as: "a", method: "GET", path: widgets + "/" + alpha, status: 200, want: []string{`"name": "alpha"`, `"parts": ["nut", "screw"]`, `"tags": ["blue", "red"]`}, not: []string{"secret", "swordfish"}},
		{name: "show with suffix", as: "a", method: "GET", path: widgets + "/" + alpha + ".json", status: 200, want: []string{`"name": "alpha"`}},
		{name: "show what is hidden", as: "admin", method: "GET", path: widgets + "/" + alpha, status: 200, want: []string{`"secret": "swordfish"`}},
		{name: "asking for what is hidden", as: "a", method: "GET", path: widgets + "/" + alpha + "?fields=secret&fields=size", status: 200, want: []string{`{"widget": {"size": 3}}`}},
		{name: "empty field names", as: "a", method: "GET", path: widgets + "/" + alpha + "?fields=", status: 200, want: []string{`"name": "alpha"`}},
		{name: "show another's", as: "a", method: "GET", path: widgets + "/" + gamma, status: 404, want: []string{"WidgetNotFound", "Widget " + gamma + " could not be found."}},
		{name: "show what is shared", as: "a", method: "GET", path: widgets + "/" + delta, status: 200, want: []string{`"shared": true`}},
		{name: "the owner does not share with themselves", as: "b", method: "GET", path: widgets + "/" + delta, status: 200, want: []string{`"shared": false`}},
		{name: "no roles, no project", as: "nothing", method: "GET", path: widgets + "/" + alpha, status: 404},

		// list
		{name: "list", as: "a", method: "GET", path: widgets + "?sort_key=name&sort_dir=asc", status: 200, want: []string{`"name": "alpha"`, `"name": "beta"`, `"name": "delta"`}, not: []string{"gamma", "secret", "_links"}},
		{name: "list everything", as: "admin", method: "GET", path: widgets, status: 200, want: []string{"alpha", "gamma", "swordfish"}},
		{name: "list without roles", as: "nothing", method: "GET", path: widgets, status: 200, want: []string{`{"widgets": []}`}},
		{name: "policy has the last word on each row", as: "a-none", method: "GET", path: widgets + "?fields=name", status: 200, want: []string{`{"widgets": [{"name": "delta"}]}`}},
		{name: "list by underscores", as: "a", method: "GET", path: "/v2.0/wid_gets?fields=name&name=beta", status: 200, want: []string{`{"widgets": [{"name": "beta"}]}`}},
		{name: "filter by either", as: "a", method: "GET", path: widgets + "?fields=name&name=beta&name=alpha&sort_key=size&sort_dir=asc", status: 200, want: []string{`[{"name": "beta"}, {"name": "alpha"}]`}},
		{name: "filter by both", as: "a", method: "GET", path: widgets + "?name=beta&size=3", status: 200, want: []string{`{"widgets": []}`}},
		{name: "filter by a boolean", as: "a", method: "GET", path: widgets + "?fields=name&enabled=TRUE", status: 200, want: []string{`{"widgets": [{"name": "beta"}]}`}},
		{name: "filter by what is shared", as: "a", method: "GET", path: widgets + "?fields=name&shared=True", status: 200, want: []string{`{"widgets": [{"name": "delta"}]}`}},
		{name: "filter by an empty value", as: "a", method: "GET", path: widgets + "?name=", status: 200, want: []string{`{"widgets": []}`}},
		{name: "filter with a quote", as: "a", method: "GET", path: widgets + "?name='%20OR%201=1--", status: 200, want: []string{`{"widgets": []}`}},
		{name: "filter by what does not exist", as: "a", method: "GET", path: widgets + "?bogus=1&wrong=2", status: 400, want: []string{"['bogus', 'wrong'] is invalid attribute for filtering"}},
		{name: "filter by what is hidden", as: "a", method: "GET", path: widgets + "?secret=swordfish", status: 400, want: []string{"['secret'] is invalid attribute for filtering"}},
		{name: "filter that can't be read", as: "a", method: "GET", path: widgets + "?name=%zz", status: 400},
		{name: "filter by two projects", as: "admin", method: "GET", path: widgets + "?tenant_id=x&project_id=y", status: 400},
		{name: "filter by one project twice", as: "admin", method: "GET", path: widgets + "?fields=name&sort_key=name&sort_dir=asc&tenant_id=" + projectA + "&project_id=" + projectA, status: 200, want: []string{`[{"name": "alpha"}, {"name": "beta"}]`}},
		{name: "filter by all tags", as: "a", method: "GET", path: widgets + "?fields=name&tags=red,blue", status: 200, want: []string{`[{"name": "alpha"}]`}},
		{name: "filter by any tag", as: "a", method: "GET", path: widgets + "?fields=name&sort_key=name&sort_dir=asc&tags-any=red,green", status: 200, want: []string{`[{"name": "alpha"}, {"name": "beta"}]`}},
		{name: "filter by not all tags", as: "a", method: "GET", path: widgets + "?fields=name&sort_key=name&sort_dir=asc&not-tags=red,blue", status: 200, want: []string{`[{"name": "beta"}, {"name": "delta"}]`}},
		{name: "filter by no tag", as: "a", method: "GET", path: widgets + "?fields=name&not-tags-any=red,blue", status: 200, want: []string{`[{"name": "delta"}]`}},
		{name: "sort down", as: "a", method: "GET", path: widgets + "?fields=size&sort_key=size&sort_dir=desc", status: 200, want: []string{`[{"size": 9}, {"size": 3}, {"size": 1}]`}},
		{name: "sort keys without directions", as: "a", method: "GET", path: widgets + "?sort_key=size&sort_key=name&sort_dir=asc", status: 400, want: []string{"The number of sort_keys and sort_dirs must be same"}},
		{name: "a sort key without a direction", as: "a", method: "GET", path: widgets + "?sort_key=size", status: 400, want: []string{"The number of sort_keys and sort_dirs must be same"}},
		{name: "sort by what can't be sorted", as: "a", method: "GET", path: widgets + "?sort_key=secret&sort_dir=asc", status: 400},
		{name: "limit zero is no limit", as: "a", method: "GET", path: widgets + "?limit=0", status: 200, want: []string{"alpha", "beta", "delta"}, not: []string{"_links"}},
		{name: "marker of another project", as: "a", method: "GET", path: widgets + "?limit=1&marker=" + gamma, status: 404, want: []string{"WidgetNotFound"}},
		{name: "hundreds of ids", as: "a", method: "GET", path: widgets + "?fields=name&id=" + strings.Repeat(gamma+"&id=", 900) + alpha, status: 200, want: []string{`[{"name": "alpha"}]`}},
		{name: "too many values", as: "a", method: "GET", path: widgets + "?" + strings.Repeat("name=&", 5001), status: 400, want: []string{"5001 values are more than"}},
		{name: "far too many values", as: "a", method: "GET", path: widgets + "?" + strings.Repeat("name=&", 40000), status: 400},
		{name: "as many values as may be", as: "a", method: "GET", path: widgets + "?fields=name&name=beta" + strings.Repeat("&name=", 4999), status: 200, want: []string{`[{"name": "beta"}]`}},
		{name: "as many conditions as may be", as: "a", method: "GET", path: widgets + "?tags=" + strings.Repeat("x,", 499) + "x&not-tags-any=" + strings.Repeat("x,", 499) + "x", status: 200},
		{name: "too many conditions", as: "a", method: "GET", path: widgets + "?tags=" + strings.Repeat("x,", 2000), status: 400},
		{name: "too many alternatives", as: "a", method: "GET", path: widgets + "?" + strings.Repeat("shared=1&", 2000), status: 400},
		{name: "the first of many sort keys", as: "a", method: "GET", path: widgets + "?fields=name&limit=1&marker=" + alpha + strings.Repeat("&sort_key=name&sort_dir=asc", 2000), status: 200, want: []string{`[{"name": "beta"}]`}},

		// update
		{name: "update", as: "a", method: "PUT", path: widgets + "/" + alpha, body: `{"widget": {"name": "omega"}}`, status: 200, want: []string{`"name": "omega"`, `"size": 3`, `"revision_number": 2`, `"parts": ["nut", "screw"]`}, journal: "widget 1"},
		{name: "update nothing", as: "a", method: "PUT", path: widgets + "/" + alpha, body: `{"widget": {}}`, status: 200, want: []string{`"revision_number": 1`}},
		{name: "update another's", as: "a", method: "PUT", path: widgets + "/" + gamma, body: `{"widget": {"name": "x"}}`, status: 404},
		{name: "update what is shared", as: "a", method: "PUT", path: widgets + "/" + delta, body: `{"widget": {"name": "x"}}`, status: 403},
		{name: "update by a reader", as: "a-reads", method: "PUT", path: widgets + "/" + alpha, body: `{"widget": {"name": "x"}}`, status: 403},
		{name: "update a secret", as: "a", method: "PUT", path: widgets + "/" + alpha, body: `{"widget": {"secret": ""}}`, status: 403, want: []string{"update_widget:secret"}},
		{name: "a rule on the parent refuses", as: "a", method: "PUT", path: widgets + "/" + alpha, body: `{"widget": {"gadget_id": "` + parent + `"}}`, status: 403},
		{name: "a rule on the parent allows", as: "b", method: "PUT", path: widgets + "/" + gamma, body: `{"widget": {"gadget_id": "` + parent + `"}}`, status: 200, journal: "widget 3"},
		{name: "update what is fixed", as: "a", method: "PUT", path: widgets + "/" + alpha, body: `{"widget": {"project_id": "x"}}`, status: 400, want: []string{"Cannot update read-only attribute project_id"}},
		{name: "update at the right revision", as: "a", method: "PUT", path: widgets + "/" + alpha, body: `{"widget": {"size": 4}}`, header: map[string]string{"If-Match": `"revision_number=1"`}, status: 200, journal: "widget 1"},
		{name: "update at a wrong revision", as: "a", method: "PUT", path: widgets + "/" + alpha, body: `{"widget": {"size": 4}}`, header: map[string]string{"If-Match": "revision_number=7"}, status: 412, want: []string{"Constrained to 7, but current revision is 1"}},
		{name: "update at no revision", as: "a", method: "PUT", path: widgets + "/" + alpha, body: `{"widget": {"size": 4}}`, header: map[string]string{"If-Match": "revision_number=x"}, status: 400},

		// delete
		{name: "delete", as: "a", method: "DELETE", path: widgets + "/" + alpha, status: 204, journal: "widget 1"},
		{name: "delete another's", as: "a", method: "DELETE", path: widgets + "/" + gamma, status: 404},
		{name: "delete what is shared", as: "a", method: "DELETE", path: widgets + "/" + delta, status: 403},
		{name: "delete at a wrong revision", as: "a", method: "DELETE", path: widgets + "/" + alpha, header: map[string]string{"If-Match": "revision_number=2"}, status: 412},
		{name: "delete with a body", as: "a", method: "DELETE", path: widgets + "/" + alpha, body: "{}", status: 400, want: []string{"Request body is not supported in DELETE."}},

		// tags
		{name: "tags", as: "a", method: "GET", path: widgets + "/" + alpha + "/tags", status: 200, want: []string{`{"tags": ["blue", "red"]}`}},
		{name: "another's tags", as: "a", method: "GET", path: widgets + "/" + gamma + "/tags", status: 403},
		{name: "add a tag", as: "a", method: "PUT", path: widgets + "/" + alpha + "/tags/new", status: 201, journal: "widget 1"},
		{name: "add a tag that is there", as: "a", method: "PUT", path: widgets + "/" + alpha + "/tags/red", status: 201},
		{name: "add tags", as: "a", method: "POST", path: widgets + "/" + alpha + "/tags", body: `{"tags": ["new"]}`, status: 200, want: []string{`{"tags": ["new"]}`}, journal: "widget 1"},
		{name: "replace tags", as: "a", method: "PUT", path: widgets + "/" + alpha + "/tags", body: `{"tags": ["x"]}`, status: 200, journal: "widget 1"},
		{name: "a tag twice", as: "a", method: "PUT", path: widgets + "/" + alpha + "/tags", body: `{"tags": ["x", "x"]}`, status: 400},
		{name: "too many tags", as: "a", method: "PUT", path: widgets + "/" + alpha + "/tags", body: `{"tags": ["` + manyTags(51) + `"]}`, status: 400, want: []string{"exceed the per-resource limit of 50"}},
		{name: "one tag too many", as: "a", method: "POST", path: widgets + "/" + alpha + "/tags", body: `{"tags": ["` + manyTags(49) + `"]}`, status: 400, want: []string{"exceed the per-resource limit of 50"}},
		{name: "remove a tag", as: "a", method: "DELETE", path: widgets + "/" + alpha + "/tags/red", status: 204, journal: "widget 1"},
		{name: "remove no tag", as: "a", method: "DELETE", path: widgets + "/" + alpha + "/tags/none", status: 404, want: []string{"TagNotFound"}},
		{name: "remove all tags", as: "a", method: "DELETE", path: widgets + "/" + alpha + "/tags", status: 204, journal: "widget 1"},
		{name: "tag by a reader", as: "a-reads", method: "PUT", path: widgets + "/" + alpha + "/tags/x", status: 403},

		// what goes wrong
		{name: "panic", as: "a", method: "PUT", path: widgets + "/" + alpha + "/explode", status: 500, want: []string{`"type": "HTTPInternalServerError"`, "Request Failed: internal server error while processing your request."}, not: []string{"bang"}},
		{name: "unknown error", as: "a", method: "PUT", path: widgets + "/" + alpha + "/fail", status: 500, not: []string{"swordfish"}},
		{name: "run again", as: "a", method: "PUT", path: widgets + "/" + alpha + "/again", status: 200, want: []string{`{"done": true}`}, journal: "widget 1"},
		{name: "no such action", as: "a", method: "PUT", path: widgets + "/" + alpha + "/dance", status: 404, want: []string{"The resource could not be found."}},
		{name: "no token", method: "GET", path: widgets, status: 401, not: []string{"NeutronError"}},
		{name: "wrong token", as: "thief", method: "GET", path: widgets, status: 401},
		{name: "identity is down", as: "outage", method: "GET", path: widgets, status: 503},
		{name: "identity is down for the service", as: "a", method: "GET", path: widgets, header: map[string]string{"X-Service-Token": "outage"}, status: 503},
		{name: "wrong service token", as: "a", method: "GET", path: widgets, header: map[string]string{"X-Service-Token": "thief"}, status: 401},
		{name: "expired token", as: "late", method: "GET", path: widgets, status: 401},
		{name: "expired token that a service passes on", as: "late", method: "GET", path: widgets, header: map[string]string{"X-Service-Token": "service"}, status: 200, want: []string{"alpha"}},
		{name: "expired token that somebody passes on", as: "late", method: "GET", path: widgets, header: map[string]string{"X-Service-Token": "b"}, status: 401},
		{name: "body beyond the limit", as: "a", method: "POST", path: widgets, body: strings.Repeat(" ", 5000), status: 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *Options) { o.MaxBody = 4096 })
			before, err := w.engine.DB.Head(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			out := w.do(c.as, c.method, c.path, c.body, c.header)
			answer := out.Body.String()
			if out.Code != c.status {
				t.Fatalf("status %d, want %d: %s\n%s", out.Code, c.status, answer, w.log)
			}
			for _, text := range c.want {
				if !strings.Contains(answer, text) {
					t.Errorf("%s\nlacks %s", answer, text)
				}
			}
			for _, text := range c.not {
				if strings.Contains(answer, text) {
					t.Errorf("%s\nmust not say %s", answer, text)
				}
			}
			if kind := out.Header().Get("Content-Type"); kind == "application/json" && !json.Valid(out.Body.Bytes()) {
				t.Errorf("no JSON: %s", answer)
			}
			id := out.Header().Get("X-Openstack-Request-Id")
			if !strings.HasPrefix(id, "req-") || !strings.Contains(w.log.String(), "request_id="+id) {
				t.Errorf("the request id %q is not in the log", id)
			}
			w.madeBy(t, before, id)
			if got := w.changes(t, before); got != c.journal {
				t.Errorf("journal: %q, want %q", got, c.journal)
			}
		})
	}
}

func manyTags(n int) string {
	var tags []string
	for i := range n {
		tags = append(tags, strings.Repeat("t", i+1))
	}
	return strings.Join(tags, `", "`)
}
