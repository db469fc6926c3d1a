package server

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// endless is a body that never ends.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// TestHTTP holds what clients see of the door: status, headers and bodies.
func TestHTTP(t *testing.T) {
	r := run(t)
	network := r.do(t, "POST", "/v2.0/networks", `{"network": {"name": "n"}}`, 201)["network"].(map[string]any)["id"].(string)
	group := r.do(t, "POST", "/v2.0/security-groups", `{"security_group": {"name": "g"}}`, 201)["security_group"].(map[string]any)["id"].(string)
	for _, c := range []struct {
		name, method, path, body string
		reader                   io.Reader
		header                   map[string]string
		status                   int
		want                     []string
		not                      string
	}{
		{name: "versions", path: "/", header: map[string]string{"X-Auth-Token": ""}, status: 200, want: []string{`"id": "v2.0"`, `"status": "CURRENT"`, "/v2.0/"}},
		{name: "core resources", path: "/v2.0/", status: 200, want: []string{`"name": "network"`, `"collection": "ports"`}, not: "routers"},
		{name: "healthy", path: "/healthcheck", header: map[string]string{"X-Auth-Token": ""}, status: 200, want: []string{"OK"}},
		{name: "metrics", path: "/metrics", header: map[string]string{"X-Auth-Token": ""}, status: 200, want: []string{"neutrino_api_requests_total"}},
		{name: "no token", path: "/v2.0/networks", header: map[string]string{"X-Auth-Token": ""}, status: 401, want: []string{"requires authentication"}},
		{name: "bad token", path: "/v2.0/networks", header: map[string]string{"X-Auth-Token": "x"}, status: 401},
		{name: "unknown path", path: "/v2.0/nothing", status: 404, want: []string{`"type": "HTTPNotFound"`, `"detail": ""`}},
		{name: "unknown id", path: "/v2.0/networks/" + group, status: 404, want: []string{`"type": "NetworkNotFound"`}},
		{name: "show", path: "/v2.0/networks/" + network + ".json", status: 200, want: []string{`"name": "n"`, `"provider:network_type": "vxlan"`}},
		{name: "fields", path: "/v2.0/networks?fields=id&fields=bogus", status: 200, want: []string{`{"id": "` + network + `"}`}},
		{name: "unknown filter", path: "/v2.0/networks?bogus=1", status: 400, want: []string{"['bogus'] is invalid attribute for filtering"}},
		{name: "bad limit", path: "/v2.0/networks?limit=-1", status: 400, want: []string{`"type": "BadRequest"`, "Limit must be an integer 0 or greater and not '-1'"}},
		{name: "bad sort", path: "/v2.0/networks?sort_key=name&sort_dir=up", status: 400, want: []string{"valid value is 'asc' and 'desc'"}},
		{name: "links", path: "/v2.0/networks?limit=1", status: 200, want: []string{`"networks_links"`, `"rel": "next"`, `"rel": "previous"`, r.url + "/v2.0/networks?"}},
		{name: "unknown marker", path: "/v2.0/networks?limit=1&marker=" + group, status: 404, want: []string{"NetworkNotFound"}},
		{name: "filter by boolean", path: "/v2.0/networks?admin_state_up=zz", status: 400, want: []string{`"type": "InvalidInput"`}},
		{name: "underscore path", path: "/v2.0/security_groups/" + group, status: 200, want: []string{`"name": "g"`}},
		{name: "patch", method: "PATCH", path: "/v2.0/networks/" + network, status: 405},
		{name: "head of a list", method: "HEAD", path: "/v2.0/networks", status: 405},
		{name: "put on a list", method: "PUT", path: "/v2.0/networks", status: 405},
		{name: "malformed", method: "POST", path: "/v2.0/networks", body: `{"network": `, status: 400, want: []string{"Malformed request body"}},
		{name: "garbage after", method: "POST", path: "/v2.0/networks", body: `{"network": {}} x`, status: 400},
		{name: "empty body", method: "POST", path: "/v2.0/networks", status: 400, want: []string{"Body contains invalid data"}},
		{name: "too deep", method: "POST", path: "/v2.0/networks", body: strings.Repeat("[", 10000), status: 400, want: []string{"deep"}},
		{name: "100 MB", method: "POST", path: "/v2.0/networks", reader: io.LimitReader(endless{}, 100<<20), status: 413},
		{name: "delete with a body", method: "DELETE", path: "/v2.0/networks/" + network, body: `{}`, status: 400, want: []string{"Request body is not supported in DELETE."}},
		{name: "lost race", method: "PUT", path: "/v2.0/networks/" + network, body: `{"network": {"name": "m"}}`, header: map[string]string{"If-Match": `"revision_number=99"`}, status: 412, want: []string{"RevisionNumberConstraintFailed", "Constrained to 99, but current revision is 1"}},
		{name: "won race", method: "PUT", path: "/v2.0/networks/" + network, body: `{"network": {"name": "m"}}`, header: map[string]string{"If-Match": `revision_number=1`}, status: 200, want: []string{`"name": "m"`, `"revision_number": 2`}},
		{name: "no change", method: "PUT", path: "/v2.0/networks/" + network, body: `{"network": {}}`, status: 200, want: []string{`"revision_number": 2`}},
		{name: "add a tag", method: "PUT", path: "/v2.0/networks/" + network + "/tags/red", status: 201},
		{name: "replace tags", method: "PUT", path: "/v2.0/networks/" + network + "/tags", body: `{"tags": ["blue", "green"]}`, status: 200, want: []string{"blue"}},
		{name: "more tags", method: "POST", path: "/v2.0/networks/" + network + "/tags", body: `{"tags": ["grey"]}`, status: 200},
		{name: "has the tag", path: "/v2.0/networks/" + network + "/tags/grey", status: 204},
		{name: "has not the tag", path: "/v2.0/networks/" + network + "/tags/red", status: 404, want: []string{"TagNotFound"}},
		{name: "filter by tags", path: "/v2.0/networks?tags=blue,grey&not-tags-any=red", status: 200, want: []string{network}},
		{name: "no such tags", path: "/v2.0/networks?tags=blue,red", status: 200, want: []string{`"networks": []`}},
		{name: "extensions", path: "/v2.0/extensions", status: 200, want: []string{`"alias":"router"`, `"links":[]`}},
		{name: "an extension", path: "/v2.0/extensions/security-group", status: 200, want: []string{`"alias":"security-group"`}},
		{name: "no such extension", path: "/v2.0/extensions/x", status: 404, want: []string{"Extension with alias x does not exist"}},
		{name: "extensions are read-only", method: "POST", path: "/v2.0/extensions", body: "{}", status: 404},
		{name: "quotas", path: "/v2.0/quotas/" + r.project, status: 200, want: []string{`"network": 100`, `"port": 500`, `"router_route": 30`}},
		{name: "quota details", path: "/v2.0/quotas/" + r.project + "/details.json", status: 200, want: []string{`"network": {"limit": 100, "used": 1, "reserved": 0}`}},
		{name: "default quotas", path: "/v2.0/quotas/" + r.project + "/default", status: 200, want: []string{`"floatingip": 50`}},
		{name: "whose quotas", path: "/v2.0/quotas/tenant", status: 200, want: []string{`{"tenant": {"tenant_id": "` + r.project + `"}}`}},
		{name: "quota below use", method: "PUT", path: "/v2.0/quotas/" + r.project, body: `{"quota": {"network": 0, "check_limit": true}}`, status: 400, want: []string{"Quota limit 0 for network must be greater than or equal to already used 1"}},
		{name: "quota forced", method: "PUT", path: "/v2.0/quotas/" + r.project, body: `{"quota": {"network": 1, "force": true}}`, status: 200, want: []string{`"network": 1`}},
		{name: "over quota", method: "POST", path: "/v2.0/networks", body: `{"network": {}}`, status: 409, want: []string{`"type": "OverQuota"`, "Quota exceeded for resources: ['network']."}},
		{name: "no such quota", method: "PUT", path: "/v2.0/quotas/" + r.project, body: `{"quota": {"unicorn": 1}}`, status: 400, want: []string{"Unrecognized attribute(s) 'unicorn'"}},
		{name: "quota back to default", method: "DELETE", path: "/v2.0/quotas/" + r.project, status: 204},
		{name: "no quota to delete", method: "DELETE", path: "/v2.0/quotas/" + r.project, status: 404, want: []string{"TenantQuotaNotFound"}},
		{name: "quotas are not posted", method: "POST", path: "/v2.0/quotas", body: "{}", status: 501},
		{name: "rules are immutable", method: "PUT", path: "/v2.0/security-group-rules/" + group, body: `{"security_group_rule": {}}`, status: 405},
		{name: "agents are not posted", method: "POST", path: "/v2.0/agents", body: `{"agent": {}}`, status: 400, want: []string{`"type": "BadRequest"`}},
		{name: "the caller's request id is theirs", path: "/v2.0/networks", header: map[string]string{"X-Openstack-Request-Id": "req-11111111-1111-1111-1111-111111111111"}, status: 200},
		{name: "an action without its body", method: "PUT", path: "/v2.0/routers/" + group + "/add_router_interface", status: 404, want: []string{"RouterNotFound"}},
		{name: "a member action by hyphens, with a suffix", method: "PUT", path: "/v2.0/routers/" + group + "/add-router-interface.json", body: "{}", status: 404, want: []string{"RouterNotFound"}},
		{name: "a prefix is left out", path: "/v2.0/rule-types?all_rules=true", status: 200, want: []string{`"rule_types"`}},
		{name: "patch on a path of extensions", method: "PATCH", path: "/v2.0/routers/" + group, status: 405},
		{name: "head of an object", method: "HEAD", path: "/v2.0/networks/" + network, status: 200},
		{name: "without the slash there is nothing", path: "/v2.0", status: 404},
		{name: "hosts need the secret", path: "/agent/v1/stream?host=h1", status: 401, want: []string{"wrong agent secret"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			method, body := c.method, c.reader
			if method == "" {
				method = "GET"
			}
			if body == nil {
				body = bytes.NewReader([]byte(c.body))
			}
			req, err := http.NewRequest(method, r.url+c.path, body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Auth-Token", r.token)
			for k, v := range c.header {
				if req.Header.Set(k, v); v == "" {
					req.Header.Del(k)
				}
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != c.status {
				t.Errorf("got %s, want %d: %s", resp.Status, c.status, b)
			}
			for _, want := range c.want {
				if !strings.Contains(string(b), want) {
					t.Errorf("%q is not in the answer: %s", want, b)
				}
			}
			if c.not != "" && strings.Contains(string(b), c.not) {
				t.Errorf("%q is in the answer: %s", c.not, b)
			}
			if strings.HasPrefix(c.path, "/v2.0") && !strings.HasPrefix(resp.Header.Get("X-Openstack-Request-Id"), "req-") {
				t.Error("the answer has no request id")
			}
			if resp.StatusCode == 401 && strings.HasPrefix(c.path, "/v2.0") && !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Keystone uri=") {
				t.Errorf("WWW-Authenticate is %q", resp.Header.Get("WWW-Authenticate"))
			}
		})
	}
}

// TestIdentityHeaders: what keystonemiddleware tells an API by headers is told to ours by nobody. Clients that send them
// are who their token says, or nobody.
func TestIdentityHeaders(t *testing.T) {
	h := door(t, open(t))
	forged := map[string]string{
		"X-Identity-Status": "Confirmed", "X-Service-Identity-Status": "Confirmed", "X-Auth-Token-Info": "{}",
		"X-Roles": "admin", "X-Role": "admin", "X-Service-Roles": "service,admin", "X-Is-Admin-Project": "True",
		"X-Project-Id": admin.ProjectID, "X-Tenant-Id": admin.ProjectID, "X-Tenant": admin.ProjectID, "X-Project-Name": "admin",
		"X-User-Id": admin.UserID, "X-User": admin.UserID, "X-User-Name": "admin", "X-Domain-Id": "default",
		"OpenStack-System-Scope": "all", "X-Service-Catalog": "[]", "X-Service-Project-Id": admin.ProjectID,
	}
	ask := func(token string) *httptest.ResponseRecorder {
		req := httptest.NewRequest("POST", "/v2.0/networks", strings.NewReader(`{"network": {"router:external": true}}`))
		for name, value := range forged {
			req.Header.Set(name, value)
			req.Header.Set(strings.ReplaceAll(name, "-", "_"), value)
		}
		if token != "" {
			req.Header.Set("X-Auth-Token", token)
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		return rec
	}
	if rec := ask(""); rec.Code != http.StatusUnauthorized {
		t.Errorf("without a token: %d %s", rec.Code, rec.Body)
	}
	if rec := ask("demo"); rec.Code != http.StatusForbidden {
		t.Errorf("a member: %d %s", rec.Code, rec.Body)
	}
	if rec := ask("admin"); rec.Code != http.StatusCreated || !strings.Contains(rec.Body.String(), `"project_id": "`+admin.ProjectID+`"`) {
		t.Errorf("an administrator: %d %s", rec.Code, rec.Body)
	}
}
