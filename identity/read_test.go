package identity

import (
	"strings"
	"testing"
)

func TestReading(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	root, demo, system := b.login("root", onAdmin), b.login("demo", onDemo), b.login("root", onSystem)
	none := b.login("demo", unscoped)
	for _, test := range []struct {
		token, path string
		status      int
		want, not   string
	}{
		{root, "/v3/projects", 200, `"name":"alt"`, ""},
		{root, "/v3/projects/", 200, `"name":"alt"`, ""},
		{system, "/v3/projects", 200, `"name":"alt"`, ""},
		{root, "/v3/projects?name=demo", 200, demoID, `"name":"alt"`},
		{root, "/v3/projects?name=absent", 200, `"projects":[]`, "demo"},
		{root, "/v3/projects?enabled=false", 200, `"shut"`, `"demo"`},
		{root, "/v3/projects?domain_id=default", 200, `"demo"`, "elsewhere"},
		{root, "/v3/projects/" + demoID, 200, `"project":{"description":"","domain_id":"default"`, ""},
		{root, "/v3/projects/demo", 404, `"title":"Not Found"`, ""},
		{root, "/v3/projects/a%2Fb", 404, `"code":404`, ""},
		{root, "/v3/users?name=demo", 200, `"id":"u-demo"`, "password_hash"},
		{root, "/v3/users", 200, `"default_project_id":"` + demoID, "secret"},
		{root, "/v3/users/u-demo/projects", 200, `"name":"demo"`, `"name":"alt"`},
		{root, "/v3/roles?name=member", 200, `"name":"member"`, `"reader"`},
		{root, "/v3/domains?name=Default", 200, `"id":"default"`, ""},
		{root, "/v3/domains/default", 200, `"name":"Default"`, ""},
		{root, "/v3/services?type=network", 200, `"neutron"`, "swift"},
		{root, "/v3/endpoints?interface=public", 200, `"url":"http://cloud.example:9696"`, `"internal"`},
		{root, "/v3/regions/RegionOne", 200, `"id":"RegionOne"`, ""},
		{root, "/v3/groups", 200, `"groups":[]`, ""},
		{root, "/v3/role_assignments?user.id=u-demo", 200, demoID, `"name"`},
		{root, "/v3/role_assignments?include_names=true&effective", 200, `"name":"reader"`, ""},
		{root, "/v3/role_assignments?scope.system=all", 200, `"system":{"all":true}`, `"project"`},
		{root, "/v3/auth/system", 200, `{"all":true}`, ""},
		{root, "/v3/nothing", 404, `"error"`, ""},
		{demo, "/v3/auth/projects", 200, `"name":"demo"`, `"name":"alt"`},
		{demo, "/v3/auth/projects", 200, `"name":"demo"`, `"name":"shut"`},
		{none, "/v3/auth/projects", 200, `"name":"demo"`, `"name":"alt"`},
		{demo, "/v3/auth/domains", 200, `"domains":[]`, ""},
		{demo, "/v3/auth/catalog", 200, "http://cloud.example:9696/v1/AUTH_" + demoID, ""},
		{none, "/v3/auth/catalog", 200, `"neutron"`, "AUTH_"},
		{demo, "/v3/projects/" + demoID, 200, `"name":"demo"`, ""},
		{demo, "/v3/users/u-demo", 200, `"name":"demo"`, ""},
		{demo, "/v3/users/u-demo/projects", 200, `"name":"demo"`, ""},
		{demo, "/v3/domains/default", 200, "", ""},
		{demo, "/v3/regions", 200, "RegionOne", ""},
		{demo, "/v3/projects", 403, "identity:list_projects", ""},
		{demo, "/v3/projects/absent", 403, "", ""},
		{demo, "/v3/users", 403, "", ""},
		{demo, "/v3/roles", 403, "", ""},
		{demo, "/v3/role_assignments", 403, "", ""},
		{demo, "/v3/services", 403, "", ""},
		{"", "/v3/regions", 401, "requires authentication", ""},
		{"", "/v3/nothing", 401, "", ""},
		{"", "/", 300, `"versions":{"values":[{"id":"v3.14"`, ""},
		{"", "", 300, `"versions"`, ""},
		{"", "/v3", 200, `"href":"http://cloud.example:9696/identity/v3/"`, ""},
		{"", "/v3/", 200, `"version"`, ""},
	} {
		w := b.get(test.token, test.path)
		body := w.Body.String()
		if w.Code != test.status || !strings.Contains(body, test.want) || test.not != "" && strings.Contains(body, test.not) {
			t.Errorf("%s: %d %s\nwant %d with %s, without %s", test.path, w.Code, body, test.status, test.want, test.not)
		}
	}
	w := b.ask("POST", "/v3/credentials", "{}", "X-Auth-Token", root)
	if w.Code != 404 || !strings.Contains(w.Body.String(), "no POST /v3/credentials") {
		t.Errorf("what there is not: %d %s", w.Code, w.Body)
	}
}
