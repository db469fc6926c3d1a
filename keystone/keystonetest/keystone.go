// Package keystonetest runs a real Keystone for tests: Debian's python3-keystone with an SQLite database in a private
// directory, as whoever runs the test.
package keystonetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Keystone is a running one.
type Keystone struct {
	URL   string // "http://127.0.0.1:PORT"
	Token string // an administrator's

	dir, port string
	server    *exec.Cmd
	client    http.Client
}

// AdminPassword is the password of user admin.
const AdminPassword = "a secret of tests"

// Start starts a Keystone, which ends with the test. settings are further lines of keystone.conf, "[token]\nexpiration
// = 5".
func Start(t testing.TB, settings string) *Keystone {
	t.Helper()
	if _, err := exec.LookPath("keystone-manage"); err != nil {
		t.Fatal("Keystone is not installed: run scripts/install test")
	}
	k := &Keystone{dir: t.TempDir(), client: http.Client{Timeout: time.Minute}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, k.port, _ = net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	k.URL = "http://127.0.0.1:" + k.port
	conf := fmt.Sprintf("[DEFAULT]\nuse_stderr = true\n[database]\nconnection = sqlite:///%[1]s/keystone.db\n"+
		"[fernet_tokens]\nkey_repository = %[1]s/fernet\n[credential]\nkey_repository = %[1]s/credential\n[cache]\nenabled = false\n[identity]\npassword_hash_rounds = 4\n%[2]s\n", k.dir, settings)
	if err := os.WriteFile(k.conf(), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	k.manage(t, "db_sync")
	// Keystone leaves reading transactions open for a while, which would keep it from writing.
	wal := exec.Command("python3", "-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('pragma journal_mode=wal')", filepath.Join(k.dir, "keystone.db"))
	if out, err := wal.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	k.manage(t, "fernet_setup", "--keystone-user", me.Uid, "--keystone-group", me.Gid)
	k.manage(t, "credential_setup", "--keystone-user", me.Uid, "--keystone-group", me.Gid)
	k.manage(t, "bootstrap", "--bootstrap-password", AdminPassword, "--bootstrap-public-url", k.URL+"/v3", "--bootstrap-region-id", "RegionOne")
	k.Run(t)
	t.Cleanup(func() { k.Kill(t) })
	k.Token = k.Login(t, `{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "admin", "domain": {"id": "default"}, "password": "`+AdminPassword+`"}}},
		"scope": {"project": {"name": "admin", "domain": {"id": "default"}}}}}`)
	return k
}

func (k *Keystone) conf() string { return filepath.Join(k.dir, "keystone.conf") }

func (k *Keystone) manage(t testing.TB, args ...string) {
	t.Helper()
	cmd := exec.Command("keystone-manage", append([]string{"--config-file", k.conf()}, args...)...)
	cmd.Dir = k.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("keystone-manage %s: %v\n%s", args[0], err, out)
	}
}

// Run starts the server, after Kill too.
func (k *Keystone) Run(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(k.dir, "keystone.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	k.server = exec.Command("keystone-wsgi-public", "--host", "127.0.0.1", "--port", k.port)
	k.server.Env = append(os.Environ(), "OS_KEYSTONE_CONFIG_FILES="+k.conf())
	k.server.Dir, k.server.Stdout, k.server.Stderr = k.dir, log, log
	k.server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = k.server.Start()
	if closeErr := log.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		if resp, err := k.client.Get(k.URL + "/v3"); err == nil {
			_ = resp.Body.Close()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	text, _ := os.ReadFile(log.Name())
	t.Fatalf("Keystone does not answer:\n%s", text)
}

// Kill ends the server.
func (k *Keystone) Kill(t testing.TB) {
	t.Helper()
	if k.server == nil {
		return
	}
	k.Signal(t, syscall.SIGKILL)
	_ = k.server.Wait() // it was killed
	k.server = nil
}

// Signal sends the server a signal: SIGSTOP makes it hang.
func (k *Keystone) Signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := k.server.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Do calls the API as administrator, expects a status, and gives the answer's object.
func (k *Keystone) Do(t testing.TB, method, path, body string, want int) map[string]any {
	t.Helper()
	answer, _ := k.call(t, method, path, body, k.Token, want)
	return answer
}

// Login gets a token.
func (k *Keystone) Login(t testing.TB, auth string) string {
	t.Helper()
	_, header := k.call(t, http.MethodPost, "/auth/tokens", auth, "", http.StatusCreated)
	return header.Get("X-Subject-Token")
}

// Revoke ends a token.
func (k *Keystone) Revoke(t testing.TB, token string) {
	t.Helper()
	req := k.request(t, http.MethodDelete, "/auth/tokens", "", k.Token)
	req.Header.Set("X-Subject-Token", token)
	resp, err := k.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("revoke: %s", resp.Status)
	}
}

func (k *Keystone) request(t testing.TB, method, path, body, token string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, k.URL+"/v3"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("X-Auth-Token", token)
	}
	return req
}

func (k *Keystone) call(t testing.TB, method, path, body, token string, want int) (map[string]any, http.Header) {
	t.Helper()
	resp, err := k.client.Do(k.request(t, method, path, body, token))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		log, _ := os.ReadFile(filepath.Join(k.dir, "keystone.log"))
		t.Fatalf("%s %s: %s, want %d: %s %v\nKeystone's log:\n%s", method, path, resp.Status, want, text, err, log[max(0, len(log)-4000):])
	}
	var answer map[string]any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &answer); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
	return answer, resp.Header
}

// Project makes a project in the default domain and gives its id.
func (k *Keystone) Project(t testing.TB, name string) string {
	t.Helper()
	return id(k.Do(t, "POST", "/projects", `{"project": {"name": `+strconv.Quote(name)+`, "domain_id": "default"}}`, 201), "project")
}

// User makes a user, whose password is the name, with roles in a project, and gives its id. Roles that are not there
// are made.
func (k *Keystone) User(t testing.TB, name, project string, roles ...string) string {
	t.Helper()
	user := id(k.Do(t, "POST", "/users", `{"user": {"name": `+strconv.Quote(name)+`, "domain_id": "default", "password": `+strconv.Quote(name)+`}}`, 201), "user")
	for _, role := range roles {
		k.Do(t, "PUT", "/projects/"+project+"/users/"+user+"/roles/"+k.Role(t, role), "", 204)
	}
	return user
}

// Role gives the id of a role, which is made when it is not there.
func (k *Keystone) Role(t testing.TB, name string) string {
	t.Helper()
	list, _ := k.Do(t, "GET", "/roles?name="+name, "", 200)["roles"].([]any)
	if len(list) > 0 {
		return list[0].(map[string]any)["id"].(string)
	}
	return id(k.Do(t, "POST", "/roles", `{"role": {"name": `+strconv.Quote(name)+`}}`, 201), "role")
}

// As logs a user of User in to a project.
func (k *Keystone) As(t testing.TB, name, project string) string {
	t.Helper()
	scope := `"scope": {"project": {"id": "` + project + `"}}`
	if project == "system" {
		scope = `"scope": {"system": {"all": true}}`
	}
	return k.Login(t, strings.NewReplacer("NAME", name, "SCOPE", scope).Replace(
		`{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "NAME", "domain": {"id": "default"}, "password": "NAME"}}}, SCOPE}}`))
}

func id(answer map[string]any, name string) string {
	object, _ := answer[name].(map[string]any)
	text, _ := object["id"].(string)
	return text
}
