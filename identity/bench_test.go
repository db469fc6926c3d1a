package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
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
