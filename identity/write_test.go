package identity

import (
	"strings"
	"testing"
)

// TestWriting makes users and all around them through the API, as test suites do, and takes them away.
func TestWriting(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	root, demo := b.login("root", `{"system": {"all": true}}`), b.login("demo", "")
	kept := map[string]string{}
	put := func(text string) string {
		for name, id := range kept {
			text = strings.ReplaceAll(text, "$"+name, id)
		}
		return text
	}
	for _, test := range []struct {
		token, do, body string
		status          int
		want, keep      string
	}{
		{demo, "POST /v3/projects", `{"project": {"name": "p"}}`, 403, "identity:create_project", ""},
		{root, "POST /v3/projects", `{}`, 400, "'project' is a required property", ""},
		{root, "POST /v3/projects", `{"project": []}`, 400, "", ""},
		{root, "POST /v3/projects", `{"project": {"name": ""}}`, 400, "name", ""},
		{root, "POST /v3/projects", `{"project": {"name": "x", "colour": "red"}}`, 400, "colour", ""},
		{root, "POST /v3/projects", `{"project": {"name": "demo", "domain_id": "default"}}`, 409, "Duplicate entry", ""},
		{root, "POST /v3/projects", `{"project": {"name": "p", "domain_id": "nowhere"}}`, 404, "domain", ""},
		{root, "POST /v3/projects", `{"project": {"name": "p", "domain_id": "default", "description": "d", "tags": [], "enabled": true}}`, 201, `"name":"p"`, "p"},
		{root, "POST /v3/projects", `{"project": {"name": "p", "domain_id": "default"}}`, 409, "", ""},
		{root, "PATCH /v3/projects/$p", `{"project": {"description": "e"}}`, 200, `"description":"e"`, ""},
		{root, "PATCH /v3/projects/" + demoID, `{"project": {"description": "e"}}`, 403, identityFile, ""},
		{root, "DELETE /v3/projects/nothing", ``, 404, "", ""},
		{root, "POST /v3/roles", `{"role": {"name": "tester"}}`, 201, "", "tester"},
		{root, "POST /v3/roles", `{"role": {"name": "Member"}}`, 409, "", ""},
		{root, "POST /v3/users", `{"user": {"name": "u", "domain_id": "default", "password": "` + strings.Repeat("x", 73) + `"}}`, 400, "72", ""},
		{root, "POST /v3/users", `{"user": {"name": "u", "domain_id": "default", "password": "first", "email": "u@example.org", "enabled": true}}`, 201, `"email":"u@example.org"`, "u"},
		{root, "GET /v3/projects/$p/users/$u/roles", ``, 200, `"roles":[]`, ""},
		{root, "PUT /v3/projects/$p/users/$u/roles/nothing", ``, 404, "role", ""},
		{root, "PUT /v3/projects/$p/users/$u/roles/$tester", ``, 204, "", ""},
		{root, "PUT /v3/projects/$p/users/$u/roles/$tester", ``, 204, "", ""},
		{root, "HEAD /v3/projects/$p/users/$u/roles/$tester", ``, 204, "", ""},
		{root, "PUT /v3/system/users/$u/roles/$tester", ``, 204, "", ""},
		{root, "GET /v3/system/users/$u/roles", ``, 200, `"tester"`, ""},
		{root, "GET /v3/role_assignments?user.id=$u&scope.project.id=$p", ``, 200, `"$tester"`, ""},
		{root, "POST /v3/domains", `{"domain": {"name": "other"}}`, 201, "", "other"},
		{root, "POST /v3/users", `{"user": {"name": "demo", "domain_id": "$other"}}`, 201, "", "second"},
		{root, "DELETE /v3/domains/$other", ``, 403, "disable", ""},
		{root, "PATCH /v3/domains/$other", `{"domain": {"enabled": false}}`, 200, `"enabled":false`, ""},
		{root, "DELETE /v3/domains/$other", ``, 204, "", ""},
		{root, "GET /v3/users/$second", ``, 404, "", ""},
	} {
		method, path, _ := strings.Cut(put(test.do), " ")
		w := b.ask(method, path, put(test.body), "X-Auth-Token", test.token)
		if w.Code != test.status || !strings.Contains(w.Body.String(), put(test.want)) {
			t.Errorf("%s %s: %d %s\nwant %d with %s", test.do, test.body, w.Code, w.Body, test.status, put(test.want))
		}
		if test.keep != "" {
			for _, inner := range decodeBody(t, w) {
				kept[test.keep], _ = inner.(map[string]any)["id"].(string)
			}
		}
	}

	token := func() (string, int) {
		w := b.ask("POST", "/v3/auth/tokens", put(loginBody("u", "first", `{"project": {"id": "$p"}}`)))
		return w.Header().Get("X-Subject-Token"), w.Code
	}
	mine, status := token()
	if status != 201 {
		t.Fatalf("the new user can't log in: %d", status)
	}
	b.reopen() // what the API made is kept
	if w := b.get(mine, put("/v3/users/$u")); w.Code != 200 {
		t.Fatalf("after a restart: %d %s", w.Code, w.Body)
	}
	if w := b.ask("POST", put("/v3/users/$u/password"), `{"user": {"original_password": "first", "password": "second"}}`, "X-Auth-Token", mine); w.Code != 204 {
		t.Fatalf("change the password: %d %s", w.Code, w.Body)
	}
	if w := b.get(mine, put("/v3/users/$u")); w.Code != 401 {
		t.Errorf("a token of the old password still works: %d", w.Code)
	}
	b.ask("PATCH", put("/v3/users/$u"), `{"user": {"password": "first"}}`, "X-Auth-Token", root)
	for _, end := range []struct{ do, body, undo, again string }{
		{"DELETE /v3/projects/$p/users/$u/roles/$tester", "", "PUT /v3/projects/$p/users/$u/roles/$tester", ""},
		{"PATCH /v3/users/$u", `{"user": {"enabled": false}}`, "PATCH /v3/users/$u", `{"user": {"enabled": true}}`},
		{"PATCH /v3/projects/$p", `{"project": {"enabled": false}}`, "PATCH /v3/projects/$p", `{"project": {"enabled": true}}`},
		{"DELETE /v3/users/$u", "", "", ""},
	} {
		mine, status := token()
		if status != 201 {
			t.Fatalf("before %s: %d", end.do, status)
		}
		method, path, _ := strings.Cut(put(end.do), " ")
		if w := b.ask(method, path, end.body, "X-Auth-Token", root); w.Code >= 300 {
			t.Fatalf("%s: %d %s", end.do, w.Code, w.Body)
		}
		if w := b.get(mine, "/v3/auth/projects"); w.Code != 401 {
			t.Errorf("after %s a token still works: %d", end.do, w.Code)
		}
		if end.undo != "" {
			method, path, _ := strings.Cut(put(end.undo), " ")
			b.ask(method, path, end.again, "X-Auth-Token", root)
		}
	}
}

// TestLostObjects: what the API made stays readable when people take out of identity.yaml what it names.
func TestLostObjects(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	root := b.login("root", `{"system": {"all": true}}`)
	w := b.ask("POST", "/v3/projects", `{"project": {"name": "p", "domain_id": "default"}}`, "X-Auth-Token", root)
	id, _ := decodeBody(t, w)["project"].(map[string]any)["id"].(string)
	roleID := derivedID("role", "", "member")
	if w := b.ask("PUT", "/v3/projects/"+id+"/users/u-demo/roles/"+roleID, "", "X-Auth-Token", root); w.Code != 204 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	text := identities(t)
	for _, line := range []string{
		"- {id: u-demo, name: demo, domain: default, password: secret, default_project: demo}\n",
		"- {user: demo, role: member, project: demo}\n", "- {user: demo, role: member, project: shut}\n",
	} {
		text = strings.Replace(text, line, "", 1)
	}
	b.rewrite(text)
	if err := b.refresh(); err != nil {
		t.Fatal(err)
	}
	if w := b.get(root, "/v3/role_assignments?scope.project.id="+id); w.Code != 200 || strings.Contains(w.Body.String(), "u-demo") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func FuzzFields(f *testing.F) {
	for _, seed := range []string{`{"user": {"name": "u", "enabled": true}}`, `{"user": null}`, `{"user": {"name": 5, "options": {"x": 1}}}`, `{}{}`, `[]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := decodeFields(data, "user")
		if err != nil {
			return
		}
		var name string
		var disabled bool
		in.only("name", "enabled")
		in.name(&name)
		in.enabled(&disabled)
		if *in.wrong == nil && (name == "" || len(name) > 255) {
			t.Errorf("%q gives the name %q", data, name)
		}
	})
}
