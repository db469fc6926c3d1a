package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	"gopkg.in/yaml.v3"
)

// The identities of the tests. Passwords in the clear are quick; "hashed" has bcrypt at its least cost.
const testIdentities = `
domains:
- {id: default, name: Default}
- {name: Closed, disabled: true}
roles:
- {name: reader}
- {name: member, implies: [reader]}
- {name: admin, implies: [member]}
- {name: service}
projects:
- {name: admin, domain: default}
- {id: 11111111111111111111111111111111, name: demo, domain: Default}
- {name: alt, domain: default}
- {name: shut, domain: default, disabled: true}
- {name: elsewhere, domain: Closed}
users:
- {name: root, domain: default, password: secret}
- {id: u-demo, name: demo, domain: default, password: secret, default_project: demo}
- {name: alt, domain: default, password: secret}
- {name: nova, domain: default, password: secret}
- {name: off, domain: default, password: secret, disabled: true}
- {name: gone, domain: Closed, password: secret}
- {name: hashed, domain: default, password_hash: %q}
- {name: mute, domain: default}
assignments:
- {user: root, role: admin, project: admin}
- {user: root, role: admin, system: true}
- {user: demo, role: member, project: demo}
- {user: demo, role: member, project: shut}
- {user: alt, role: reader, project: alt}
- {user: alt, role: reader, domain: default}
- {user: nova, role: service, project: admin}
- {user: off, role: member, project: demo}
- {user: gone, role: member, project: demo}
- {user: hashed, role: member, project: demo}
services:
- {type: network, name: neutron, region: RegionOne, url: "{public_url}"}
- {type: object-store, name: swift, region: RegionOne, url: "{public_url}/v1/AUTH_{project_id}"}
`

const demoID = "11111111111111111111111111111111"

// bench is a service on a directory of its own with a clock that only the test moves.
type bench struct {
	*Service
	t   testing.TB
	dir string
	mu  sync.Mutex
	at  time.Time
	log bytes.Buffer
}

func (b *bench) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

func (b *bench) wait(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = b.at.Add(d)
}

func identities(t testing.TB) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(testIdentities, hash)
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	b.rewrite(identities(t))
	if err := createKeys(filepath.Join(b.dir, keysDir)); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	return b
}

func (b *bench) reopen() {
	b.t.Helper()
	var err error
	b.Service, err = Open(Options{
		StateDir: b.dir, PublicURL: "http://cloud.example:9696/", Now: b.now, Log: slog.New(slog.NewTextHandler(&b.log, nil)),
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) rewrite(text string) {
	b.t.Helper()
	if err := writeFile(filepath.Join(b.dir, identityFile), []byte(text)); err != nil {
		b.t.Fatal(err)
	}
}

// refresh looks at the files as Follow does.
func (b *bench) refresh() error {
	var errs []error
	for _, w := range b.files {
		_, err := w.refresh()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// ask sends one request; pairs are names and values of headers.
func (b *bench) ask(method, path, body string, pairs ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, Prefix+path, strings.NewReader(body))
	for i := 0; i+1 < len(pairs); i += 2 {
		r.Header.Set(pairs[i], pairs[i+1])
	}
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, r)
	return w
}

func (b *bench) get(token, path string) *httptest.ResponseRecorder {
	b.t.Helper()
	return b.ask("GET", path, "", "X-Auth-Token", token)
}

func loginBody(name, password, scope string) string {
	body := fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":%q,"domain":{"id":"default"},"password":%q}}}`, name, password)
	if scope != "" {
		body += `,"scope":` + scope
	}
	return body + "}}"
}

func rescopeBody(token, scope string) string {
	return fmt.Sprintf(`{"auth":{"identity":{"methods":["token"],"token":{"id":%q}},"scope":%s}}`, token, scope)
}

const (
	onDemo   = `{"project":{"id":"` + demoID + `"}}`
	onAdmin  = `{"project":{"name":"admin","domain":{"name":"Default"}}}`
	onAlt    = `{"project":{"name":"alt","domain":{"id":"default"}}}`
	onSystem = `{"system":{"all":true}}`
	unscoped = `{"unscoped":{}}`
)

// login gives a token or ends the test.
func (b *bench) login(name, scope string) string {
	b.t.Helper()
	w := b.ask("POST", "/v3/auth/tokens", loginBody(name, "secret", scope))
	if w.Code != http.StatusCreated {
		b.t.Fatalf("%s can't log in to %s: %d %s", name, scope, w.Code, w.Body)
	}
	return w.Header().Get("X-Subject-Token")
}

func decodeBody(t testing.TB, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return body
}

func TestLogins(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	adminToken := b.login("root", onAdmin)
	long := strings.Repeat("x", 80)
	for _, test := range []struct {
		name, body string
		status     int
		want       string // in the answer
	}{
		{"project by id", loginBody("demo", "secret", onDemo), 201, `"project":{"domain":{"id":"default","name":"Default"},"id":"` + demoID},
		{"project by name", loginBody("root", "secret", onAdmin), 201, `"roles":[{"id":`},
		{"default project", loginBody("demo", "secret", ""), 201, `"name":"demo"`},
		{"no default project", loginBody("alt", "secret", ""), 201, `"methods":["password"],"user"`},
		{"domain", loginBody("alt", "secret", `{"domain":{"name":"Default"}}`), 201, `"domain":{"id":"default","name":"Default"}`},
		{"system", loginBody("root", "secret", onSystem), 201, `"system":{"all":true}`},
		{"unscoped", loginBody("demo", "secret", unscoped), 201, `"user"`},
		{"unscoped as text", loginBody("demo", "secret", `"unscoped"`), 201, `"user"`},
		{"bcrypt", loginBody("hashed", "secret", onDemo), 201, `"user"`},
		{"rescoped", rescopeBody(adminToken, onSystem), 201, `"methods":["token","password"]`},

		{"wrong password", loginBody("demo", "Secret", onDemo), 401, "requires authentication"},
		{"wrong password, bcrypt", loginBody("hashed", "Secret", onDemo), 401, "requires authentication"},
		{"too long", loginBody("hashed", long, onDemo), 401, "requires authentication"},
		{"empty password of one who has none", loginBody("mute", "", ""), 401, "requires authentication"},
		{"no such user", loginBody("nobody", "secret", onDemo), 401, "requires authentication"},
		{"disabled user", loginBody("off", "secret", onDemo), 401, "requires authentication"},
		{"user of a disabled domain", `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"gone","domain":{"name":"Closed"},"password":"secret"}}}}}`, 401, ""},
		{"no role there", loginBody("demo", "secret", onAdmin), 401, "requires authentication"},
		{"disabled project", loginBody("demo", "secret", `{"project":{"name":"shut","domain":{"id":"default"}}}`), 401, ""},
		{"no such project", loginBody("demo", "secret", `{"project":{"id":"x"}}`), 401, ""},
		{"no role in the system", loginBody("demo", "secret", onSystem), 401, ""},
		{"no role in the domain", loginBody("demo", "secret", `{"domain":{"id":"default"}}`), 401, ""},
		{"garbage token", rescopeBody("garbage", onDemo), 401, ""},
		{"unknown method", `{"auth":{"identity":{"methods":["totp"]}}}`, 401, ""},
		{"password and another's token", `{"auth":{"identity":{"methods":["password","token"],"token":{"id":"` + adminToken +
			`"},"password":{"user":{"id":"u-demo","password":"secret"}}}}}`, 401, ""},

		{"nothing", "", 400, "not the JSON"},
		{"no JSON", "{", 400, "not the JSON"},
		{"two values", loginBody("demo", "secret", "") + "{}", 400, "more than one"},
		{"empty", "{}", 400, "'auth' is a required property"},
		{"no identity", `{"auth":{}}`, 400, "'identity' is a required property"},
		{"no methods", `{"auth":{"identity":{}}}`, 400, "'methods' is a required property"},
		{"method without its part", `{"auth":{"identity":{"methods":["password"]}}}`, 400, "password"},
		{"twice", `{"auth":{"identity":{"methods":["token","token"],"token":{"id":"x"}}}}`, 400, "twice"},
		{"token without id", `{"auth":{"identity":{"methods":["token"]}}}`, 400, "identity.token.id"},
		{"user without domain", `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"demo","password":"x"}}}}}`, 400, "domain"},
		{"wrong type", `{"auth":{"identity":{"methods":"password"}}}`, 400, "not the JSON"},
		{"two scopes", loginBody("demo", "secret", `{"project":{"id":"x"},"system":{"all":true}}`), 400, "only one"},
		{"strange scope", loginBody("demo", "secret", `{"OS-TRUST:trust":{"id":"x"}}`), 400, "not supported"},
		{"half a scope", loginBody("demo", "secret", `{"project":{"name":"x"}}`), 400, "project scope"},
		{"system, not all", loginBody("demo", "secret", `{"system":{"all":false}}`), 400, "system scope"},
		{"too large", `{"auth":"` + strings.Repeat("x", maxBody) + `"}`, 413, "larger"},
	} {
		w := b.ask("POST", "/v3/auth/tokens", test.body)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s: %d %s; want %d with %s", test.name, w.Code, w.Body, test.status, test.want)
		}
		if got := w.Header().Get("X-Subject-Token") != ""; got != (test.status == 201) {
			t.Errorf("%s: token given: %v", test.name, got)
		}
		if w.Code == 401 && !strings.Contains(w.Header().Get("WWW-Authenticate"), `Keystone uri="http://cloud.example:9696/identity"`) {
			t.Errorf("%s: WWW-Authenticate is %q", test.name, w.Header().Get("WWW-Authenticate"))
		}
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := context.Background()
	c, err := b.Authenticate(ctx, b.login("demo", onDemo))
	if err != nil {
		t.Fatal(err)
	}
	if c.UserID != "u-demo" || c.UserName != "demo" || c.ProjectID != demoID || c.ProjectName != "demo" || c.ProjectDomainID != "default" ||
		c.SystemScope || strings.Join(c.Roles, " ") != "member reader" {
		t.Errorf("demo is %+v", c)
	}
	if c, err = b.Authenticate(ctx, b.login("root", onSystem)); err != nil || !c.SystemScope || c.ProjectID != "" || strings.Join(c.Roles, " ") != "admin member reader" {
		t.Errorf("root on the system is %+v, %v", c, err)
	}
	if c, err = b.Authenticate(ctx, b.login("alt", `{"domain":{"id":"default"}}`)); err != nil || c.DomainID != "default" {
		t.Errorf("alt on the domain is %+v, %v", c, err)
	}
	if c, err = b.Authenticate(ctx, b.login("demo", unscoped)); err != nil || len(c.Roles) != 0 || c.ProjectID != "" {
		t.Errorf("demo unscoped is %+v, %v", c, err)
	}
	for _, bad := range []string{"", "x", strings.Repeat("x", 5000), b.login("demo", onDemo)[:100], newBench(t).login("demo", onDemo)} {
		if _, err := b.Authenticate(ctx, bad); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("%.20q gives %v", bad, err)
		}
	}
}

func TestTokensEnd(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, test := range []struct {
		name string
		end  func(b *bench, token string)
	}{
		{"by time", func(b *bench, _ string) { b.wait(time.Hour) }},
		{"by revocation", func(b *bench, token string) {
			if w := b.ask("DELETE", "/v3/auth/tokens", "", "X-Auth-Token", token, "X-Subject-Token", token); w.Code != 204 {
				b.t.Errorf("revoke: %d %s", w.Code, w.Body)
			}
		}},
		{"by an administrator, over a restart", func(b *bench, token string) {
			if w := b.ask("DELETE", "/v3/auth/tokens", "", "X-Auth-Token", b.login("root", onAdmin), "X-Subject-Token", token); w.Code != 204 {
				b.t.Errorf("revoke: %d %s", w.Code, w.Body)
			}
			b.reopen()
		}},
		{"by another server", func(b *bench, token string) {
			other := &bench{t: b.t, dir: b.dir, at: b.at}
			other.reopen()
			if w := other.ask("DELETE", "/v3/auth/tokens", "", "X-Auth-Token", token, "X-Subject-Token", token); w.Code != 204 {
				b.t.Errorf("revoke: %d %s", w.Code, w.Body)
			}
		}},
		{"by a new password", func(b *bench, _ string) {
			b.rewrite(strings.Replace(identities(b.t), "name: demo, domain: default, password: secret", "name: demo, domain: default, password: other", 1))
		}},
		{"by disabling the user", func(b *bench, _ string) {
			b.rewrite(strings.Replace(identities(b.t), "name: demo, domain: default,", "name: demo, domain: default, disabled: true,", 1))
		}},
		{"by removing the user", func(b *bench, _ string) {
			text := strings.ReplaceAll(identities(b.t), "user: demo", "user: alt")
			b.rewrite(strings.Replace(text, "name: demo, domain: default,", "name: demo2, id: u2, domain: default,", 1))
			if err := b.refresh(); err == nil {
				b.t.Error("two ids are accepted")
			}
			b.rewrite(strings.Replace(text, "id: u-demo, name: demo, domain: default,", "id: u2, name: demo, domain: default,", 1))
		}},
		{"by removing the role", func(b *bench, _ string) {
			b.rewrite(strings.Replace(identities(b.t), "- {user: demo, role: member, project: demo}", "", 1))
		}},
		{"by disabling the project", func(b *bench, _ string) {
			b.rewrite(strings.Replace(identities(b.t), "name: demo, domain: Default}", "name: demo, domain: Default, disabled: true}", 1))
		}},
		{"with their key", func(b *bench, _ string) {
			for range 3 {
				if err := RotateKeys(b.dir, 3); err != nil {
					b.t.Fatal(err)
				}
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			token := b.login("demo", onDemo)
			b.wait(59 * time.Minute)
			if _, err := b.Authenticate(ctx, token); err != nil {
				t.Fatalf("before: %v", err)
			}
			test.end(b, token)
			if err := b.refresh(); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Authenticate(ctx, token); !errors.Is(err, ErrInvalidToken) {
				t.Errorf("after: %v", err)
			}
			if w := b.ask("GET", "/v3/auth/tokens", "", "X-Auth-Token", b.login("root", onAdmin), "X-Subject-Token", token); w.Code != 404 {
				t.Errorf("validation after: %d %s", w.Code, w.Body)
			}
		})
	}
}

func TestTokensLive(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token := b.login("demo", onDemo)
	b.wait(50 * time.Minute)
	rescoped := b.ask("POST", "/v3/auth/tokens", rescopeBody(token, unscoped)).Header().Get("X-Subject-Token")
	if err := RotateKeys(b.dir, 3); err != nil {
		t.Fatal(err)
	}
	if err := b.refresh(); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	for _, text := range []string{token, rescoped} {
		if _, err := b.Authenticate(context.Background(), text); err != nil {
			t.Errorf("after a rotation and a restart: %v", err)
		}
	}
	b.wait(11 * time.Minute)
	if _, err := b.Authenticate(context.Background(), rescoped); err == nil {
		t.Error("rescoping makes a token live longer")
	}
}

func TestValidation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	demo, alt, root, nova := b.login("demo", onDemo), b.login("alt", onAlt), b.login("root", onAdmin), b.login("nova", onAdmin)
	for _, test := range []struct {
		method, who, about string
		status             int
	}{
		{"GET", demo, demo, 200},
		{"HEAD", demo, demo, 200},
		{"GET", root, demo, 200},
		{"GET", nova, demo, 200},
		{"GET", alt, demo, 403},
		{"GET", alt, "garbage", 403},
		{"GET", root, "garbage", 404},
		{"GET", "garbage", demo, 401},
		{"GET", "", demo, 401},
		{"GET", demo, "", 400},
		{"DELETE", alt, demo, 403},
		{"DELETE", nova, demo, 403},
		{"DELETE", demo, demo, 204},
		{"GET", demo, demo, 401},
	} {
		w := b.ask(test.method, "/v3/auth/tokens", "", "X-Auth-Token", test.who, "X-Subject-Token", test.about)
		if w.Code != test.status {
			t.Errorf("%s %.8s about %.8s: %d %s, want %d", test.method, test.who, test.about, w.Code, w.Body, test.status)
		}
		if empty := w.Body.Len() == 0; empty != (test.method == "HEAD" || test.status == 204) {
			t.Errorf("%s: body %q", test.method, w.Body)
		}
	}
	w := b.ask("GET", "/v3/auth/tokens?nocatalog", "", "X-Auth-Token", alt, "X-Subject-Token", alt)
	if body := decodeBody(t, w)["token"].(map[string]any); body["catalog"] != nil || body["expires_at"] != "2026-01-02T04:04:05.000000Z" {
		t.Errorf("the token is shown as %v", body)
	}
}

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
	w := b.ask("POST", "/v3/projects", "{}", "X-Auth-Token", root)
	if w.Code != 403 || !strings.Contains(w.Body.String(), identityFile) {
		t.Errorf("creating a project: %d %s", w.Code, w.Body)
	}
}

func TestFailedLogins(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	try := func(name, password string) int {
		return b.ask("POST", "/v3/auth/tokens", loginBody(name, password, "")).Code
	}
	for _, name := range []string{"demo", "nobody"} {
		for i := range failureBurst {
			if code := try(name, "wrong"); code != 401 {
				t.Fatalf("%s, failure %d: %d", name, i+1, code)
			}
		}
		if code := try(name, "secret"); code != 429 {
			t.Errorf("%s after %d failures: %d", name, failureBurst, code)
		}
	}
	// Another way to name the same user does not help.
	byID := `{"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"u-demo","password":"secret"}}}}}`
	if code := b.ask("POST", "/v3/auth/tokens", byID).Code; code != 429 {
		t.Errorf("by id: %d", code)
	}
	if code := try("alt", "secret"); code != 201 {
		t.Errorf("others are locked out: %d", code)
	}
	b.wait(failureEvery)
	if code := try("demo", "secret"); code != 201 {
		t.Errorf("after a while: %d", code)
	}
	for range 100 {
		if code := try("alt", "secret"); code != 201 {
			t.Fatalf("logins that succeed are limited: %d", code)
		}
	}
}

func TestGuessingAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var wg sync.WaitGroup
	var guesses atomic.Int64
	for range 60 {
		wg.Go(func() {
			if b.ask("POST", "/v3/auth/tokens", loginBody("hashed", "wrong", "")).Code == 401 {
				guesses.Add(1)
			}
		})
	}
	wg.Wait()
	if n := guesses.Load(); n < failureBurst || n >= failureBurst+atOnce {
		t.Errorf("%d guesses went through at once", n)
	}
}

func TestRevocationsAreCompacted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 2 {
		token := b.login("demo", onDemo)
		b.ask("DELETE", "/v3/auth/tokens", "", "X-Auth-Token", token, "X-Subject-Token", token)
		b.wait(40 * time.Minute)
	}
	if err := b.revoked.compact(b.now()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(b.dir, revokedFile))
	if err != nil || bytes.Count(data, []byte("\n")) != 1 || len(b.revoked.until) != 1 {
		t.Errorf("of one live and one expired, %q is left, %v", data, err)
	}
}

func TestTornRevocation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := filepath.Join(b.dir, revokedFile)
	if err := os.WriteFile(path, []byte("one 99999999999\ntwo 999"), 0o600); err != nil {
		t.Fatal(err)
	}
	token := b.login("demo", onDemo)
	if w := b.ask("DELETE", "/v3/auth/tokens", "", "X-Auth-Token", token, "X-Subject-Token", token); w.Code != 204 {
		t.Fatalf("revoke: %d %s", w.Code, w.Body)
	}
	b.reopen()
	if _, err := b.Authenticate(context.Background(), token); err == nil {
		t.Error("a revocation after a torn one is lost")
	}
	if !b.revoked.has("one") || b.revoked.has("two") {
		t.Errorf("revoked: %v", b.revoked.until)
	}
	if err := os.WriteFile(path, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{StateDir: b.dir, PublicURL: "http://x"}); err == nil {
		t.Error("a list of revoked tokens that is not understood opens")
	}
}

func TestFailuresAreForgotten(t *testing.T) {
	t.Parallel()
	p, err := newPasswords()
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxWatched + 100 {
		p.failed(fmt.Sprint(i), time.Now())
	}
	if len(p.failures) > maxWatched {
		t.Errorf("%d are remembered", len(p.failures))
	}
}

func TestLongPasswords(t *testing.T) {
	t.Parallel()
	p, err := newPasswords()
	if err != nil {
		t.Fatal(err)
	}
	most := strings.Repeat("x", 72)
	hash, err := bcrypt.GenerateFromPassword([]byte(most), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	u := &user{PasswordHash: string(hash)}
	if !p.matches(u, most) || p.matches(u, most+"x") || p.matches(u, most[1:]) {
		t.Error("a password is taken by its beginning, or not at all")
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	p, err := newPasswords()
	if err != nil {
		t.Fatal(err)
	}
	for range atOnce {
		p.turn <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := p.check(ctx, nil, "x", "x", time.Now()); !errors.Is(err, errBusy) {
		t.Errorf("without a turn: %v", err)
	}
}

func TestIdentityFile(t *testing.T) {
	t.Parallel()
	const head = "domains: [{id: default, name: Default}]\nroles: [{name: member}]\n"
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"good", identities(t), ""},
		{"roles that imply each other", head[:40] + "roles: [{name: a, implies: [b]}, {name: b, implies: [a]}]", ""},
		{"unknown key", head + "user: []", "line 3: field user not found"},
		{"two documents", head + "---\n{}", "more than one"},
		{"unknown domain", head + "projects: [{name: p, domain: d}]", `project "p": there is no domain "d"`},
		{"no name", head + "projects: [{domain: default}]", "needs a name"},
		{"two of a name", head + "users: [{name: u, domain: default, id: a}, {name: u, domain: default, id: b}]", "two users"},
		{"two of an id", head + "users: [{name: u, domain: default, id: a}, {name: v, domain: default, id: a}]", "the id a is given twice"},
		{"strange id", head + `projects: [{name: u, domain: default, id: "a/b"}]`, "can't be an id"},
		{"bad hash", head + "users: [{name: u, domain: default, password_hash: x}]", "no bcrypt hash"},
		{"two passwords", head + "users: [{name: u, domain: default, password: x, password_hash: y}]", "not both"},
		{"implied role", head[:40] + "roles: [{name: a, implies: [b]}]", `there is no role "b"`},
		{"nowhere", head + "users: [{name: u, domain: default}]\nassignments: [{user: u, role: member}]", "give one of"},
		{"twice somewhere", head + "users: [{name: u, domain: default}]\nassignments: [{user: u, role: member, domain: default, system: true}]", "give one of"},
		{"unknown user", head + "assignments: [{user: u, role: member, system: true}]", `there is no user "u"`},
		{"URL", head + "services: [{type: a, name: b, region: c, url: 'ftp://x'}]", "no http or https URL"},
	} {
		doc, err := decodeDocument([]byte(test.text))
		if err == nil {
			_, err = newDirectory(doc, "http://x")
		}
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v; want %q", test.name, err, test.want)
		}
	}
}

func TestBadFileChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token := b.login("demo", onDemo)
	b.rewrite("users: [")
	if err := b.refresh(); err == nil || !strings.Contains(err.Error(), identityFile) {
		t.Errorf("a broken file gives %v", err)
	}
	if err := b.refresh(); err != nil {
		t.Errorf("the same mistake is said again: %v", err)
	}
	if _, err := b.Authenticate(context.Background(), token); err != nil {
		t.Errorf("a broken file ended a token: %v", err)
	}
	if _, err := Open(Options{StateDir: b.dir, PublicURL: "http://x"}); err == nil {
		t.Error("a broken file opens")
	}
	if !strings.Contains(b.log.String(), "in the clear") {
		t.Errorf("there is no warning of passwords in the clear: %s", b.log.String())
	}
	b.rewrite(identities(t))
	b.log.Reset()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); b.Follow(ctx, time.Millisecond) }()
	end := time.Now().Add(5 * time.Second)
	old := b.directory.Load()
	for b.directory.Load() == old && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
	if b.directory.Load() == old {
		t.Error("the mended file never came into force")
	}
}

func TestBootstrap(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := Bootstrap(dir, "http://127.0.0.1:9696"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	before, err := os.ReadFile(filepath.Join(dir, identityFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{identityFile, cloudsFile, keysDir + "/0", keysDir + "/1"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if err := Bootstrap(dir, "http://127.0.0.1:9696"); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, identityFile)); !bytes.Equal(before, after) {
		t.Error("a second start changes the identities")
	}
	var clouds struct {
		Clouds map[string]cloud `yaml:"clouds"`
	}
	data, err := os.ReadFile(filepath.Join(dir, cloudsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, &clouds); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	s, err := Open(Options{StateDir: dir, PublicURL: "http://127.0.0.1:9696", Log: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Service: s, t: t}
	for name, roles := range map[string]string{
		"neutrino-admin": "admin manager member reader", "demo": "member reader", "alt": "member reader", "service": "service",
	} {
		auth := clouds.Clouds[name].Auth
		w := b.ask("POST", "/v3/auth/tokens", loginBody(auth["username"], auth["password"],
			fmt.Sprintf(`{"project":{"name":%q,"domain":{"name":%q}}}`, auth["project_name"], auth["project_domain_name"])))
		c, err := s.Authenticate(context.Background(), w.Header().Get("X-Subject-Token"))
		if err != nil || strings.Join(c.Roles, " ") != roles || len(c.ProjectID) != 32 || len(c.UserID) != 32 {
			t.Errorf("%s: %+v, %v, %s", name, c, err, w.Body)
		}
		if bytes.Contains(before, []byte(auth["password"])) {
			t.Errorf("the password of %s is in %s", name, identityFile)
		}
	}
	if said.Len() > 0 {
		t.Errorf("a fresh start complains: %s", said.String())
	}
	for _, bad := range []string{"", "cloud:9696", "ftp://x", "http://", "http://u:p@x", "http://x?y"} {
		if err := Bootstrap(dir, bad); err == nil {
			t.Errorf("the public URL %q is accepted", bad)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			token := b.ask("POST", "/v3/auth/tokens", loginBody("hashed", "secret", onDemo)).Header().Get("X-Subject-Token")
			if _, err := b.Authenticate(context.Background(), token); err != nil {
				t.Error(err)
			}
			if i%2 == 0 {
				b.ask("DELETE", "/v3/auth/tokens", "", "X-Auth-Token", token, "X-Subject-Token", token)
				if _, err := b.Authenticate(context.Background(), token); err == nil {
					t.Error("a revoked token is good")
				}
			}
		})
	}
	wg.Wait()
	if err := b.revoked.reload(); err != nil || len(b.revoked.until) != 10 {
		t.Errorf("%d revocations, %v", len(b.revoked.until), err)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	s := newBench(b)
	token := s.login("demo", onDemo)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Authenticate(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzLogin: whatever the body, the answer is one of the statuses of a login and an error in Keystone's form.
func FuzzLogin(f *testing.F) {
	for _, body := range []string{
		"", "{}", "null", `{"auth":null}`, loginBody("demo", "secret", onDemo), loginBody("demo", "x", onSystem), loginBody("demo", "x", `"unscoped"`),
		rescopeBody("x", onDemo), loginBody("demo", "secret", `{"domain":null}`), loginBody("demo", "secret", `{"project":null}`),
		`{"auth":{"identity":{"methods":["password"],"password":{"user":null}}}}`, `{"auth":{"scope":[]}}`,
	} {
		f.Add([]byte(body))
	}
	b := newBench(f)
	handler := b.Handler()
	f.Fuzz(func(t *testing.T, body []byte) {
		b.wait(time.Minute) // so that nobody is locked out
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("POST", "/v3/auth/tokens", io.NopCloser(bytes.NewReader(body))))
		var answer struct {
			Token *struct{ Methods []string }
			Error *struct {
				Code           int
				Title, Message string
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
		switch w.Code {
		case 201:
			if answer.Token == nil || w.Header().Get("X-Subject-Token") == "" {
				t.Errorf("201 without a token: %s", w.Body)
			}
		case 400, 401, 413, 429:
			if answer.Error == nil || answer.Error.Code != w.Code || answer.Error.Message == "" {
				t.Errorf("%d with %s", w.Code, w.Body)
			}
		default:
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// FuzzToken: no text but a token is a token.
func FuzzToken(f *testing.F) {
	b := newBench(f)
	good := b.login("demo", onDemo)
	f.Add("")
	f.Add("gAAAAA")
	f.Add(good[:len(good)-1])
	f.Add(strings.ToUpper(good))
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := b.Authenticate(context.Background(), text); err == nil {
			t.Errorf("%q is accepted", text)
		} else if !errors.Is(err, ErrInvalidToken) {
			t.Error(err)
		}
	})
}

// FuzzIdentityFile: no file brings the server down, and what is accepted can be used.
func FuzzIdentityFile(f *testing.F) {
	f.Add([]byte(identities(f)))
	f.Add([]byte("domains: [{name: a}]\nusers: [{name: b, domain: a}]\nroles: [{name: r, implies: [r]}]\nassignments: [{user: b, role: r, domain: a}]"))
	f.Add([]byte("domains: &x [*x]"))
	f.Add([]byte("[]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := decodeDocument(data)
		if err != nil {
			return
		}
		d, err := newDirectory(doc, "http://x")
		if err != nil {
			return
		}
		d.catalog("p")
		d.assignmentObjects(true, true)
		for _, u := range d.users {
			if d.usable(u) {
				d.access(u, scope{System: true})
			}
		}
	})
}
