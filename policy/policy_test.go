package policy

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// attrs is a target written down.
type attrs map[string]any

func (a attrs) Attr(name string) (any, bool) { v, ok := a[name]; return v, ok }

func neutron(t testing.TB, options ...Option) *Enforcer {
	t.Helper()
	defaults, err := Neutron()
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(defaults, options...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// The callers of the tables. Roles come expanded, as identity gives them.
var people = map[string]*Credentials{
	"reader":   {UserID: "u1", ProjectID: "mine", Roles: []string{"reader"}},
	"member":   {UserID: "u1", ProjectID: "mine", Roles: []string{"member", "reader"}},
	"manager":  {UserID: "u1", ProjectID: "mine", Roles: []string{"manager", "member", "reader"}},
	"admin":    {UserID: "u2", ProjectID: "admins", Roles: []string{"admin", "manager", "member", "reader"}},
	"service":  {UserID: "u3", ProjectID: "services", Roles: []string{"service"}},
	"system":   {UserID: "u2", SystemScope: true, Roles: []string{"admin", "manager", "member", "reader"}},
	"domain":   {UserID: "u2", DomainID: "default", Roles: []string{"admin", "manager", "member", "reader"}},
	"nobody":   {UserID: "u4", ProjectID: "mine"},
	"unscoped": {UserID: "u1", Roles: []string{"member", "reader"}},
}

var everyone = strings.Fields("reader member manager admin service system domain nobody unscoped")

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	var (
		own     = attrs{"project_id": "mine", "shared": false, "router:external": false}
		foreign = attrs{"project_id": "theirs", "shared": false, "router:external": false}
		shared  = attrs{"project_id": "theirs", "shared": true, "router:external": false}
		outside = attrs{"project_id": "theirs", "shared": false, "router:external": true}
		nobodys = attrs{"project_id": "", "shared": false}
		null    = attrs{"project_id": nil, "shared": false}

		onOwn     = attrs{"project_id": "mine", "network:project_id": "mine", "network:shared": false}
		onForeign = attrs{"project_id": "mine", "network:project_id": "theirs", "network:shared": false}
		onShared  = attrs{"project_id": "mine", "network:project_id": "theirs", "network:shared": true}
		theirsOn  = attrs{"project_id": "theirs", "network:project_id": "mine", "network:shared": false}
		theirs    = attrs{"project_id": "theirs", "network:project_id": "theirs", "network:shared": false}

		device = func(owner string, a attrs) attrs {
			b := attrs{"device_owner": owner}
			for k, v := range a {
				b[k] = v
			}
			return b
		}
		ownRule     = attrs{"ext_parent:project_id": "mine"}
		foreignRule = attrs{"ext_parent:project_id": "theirs"}
		sgRuleOwn   = attrs{"security_group:project_id": "mine", "project_id": "mine", "belongs_to_default_sg": false}
		toAll       = attrs{"project_id": "mine", "target_tenant": "*"}
		toOne       = attrs{"project_id": "mine", "target_tenant": "theirs"}
	)
	for _, test := range []struct {
		rule   string
		target attrs
		who    string // everybody else may not
	}{
		{"get_network", own, "reader member manager admin service"},
		{"get_network", foreign, "admin service"},
		{"get_network", shared, "reader member manager admin service nobody unscoped"},
		{"get_network", outside, "reader member manager admin service nobody unscoped"},
		{"get_network", nobodys, "admin service"},
		{"get_network", null, "admin service"},
		{"create_network", own, "member manager admin"},
		{"create_network", foreign, "admin"},
		{"update_network", own, "member manager admin"},
		{"update_network", shared, "admin"},
		{"delete_network", own, "member manager admin"},
		{"delete_network", shared, "admin"},
		{"create_network:shared", own, "admin"},
		{"create_network:provider:segmentation_id", own, "admin"},
		{"get_network:provider:segmentation_id", own, "admin"},

		{"create_subnet", onOwn, "member manager admin"},
		{"create_subnet", onShared, "admin"},
		{"get_subnet", onOwn, "reader member manager admin service"},
		{"get_subnet", theirs, "admin service"},
		{"get_subnet", onShared, "reader member manager admin service nobody unscoped"},

		{"create_port", onOwn, "member manager admin service"},
		{"create_port", onForeign, "admin service"},
		{"create_port", onShared, "reader member manager admin service nobody unscoped"},
		{"create_port:fixed_ips", onForeign, "admin service"},
		{"get_port", onForeign, "reader member manager admin service"},
		{"get_port", theirsOn, "reader member manager admin service"},
		{"get_port", theirs, "admin service"},
		{"update_port", onForeign, "member manager admin service"},
		{"update_port", theirs, "admin service"},
		{"delete_port", theirsOn, "member manager admin service"},
		{"delete_port", theirs, "admin service"},
		{"update_port:device_owner", device("network:dhcp", onForeign), "admin service"},
		{"update_port:device_owner", device("network:dhcp", onOwn), "member manager admin service"},
		{"update_port:device_owner", device("compute:nova", onForeign), "reader member manager admin service nobody unscoped"},
		{"update_port:device_owner", device("xnetwork:dhcp", onForeign), "reader member manager admin service nobody unscoped"},
		{"create_port:binding:host_id", onOwn, "admin service"},

		{"create_security_group_rule", sgRuleOwn, "member manager admin"},
		{"get_policy_bandwidth_limit_rule", ownRule, "reader member manager admin"},
		{"get_policy_bandwidth_limit_rule", foreignRule, "admin"},
		{"create_rbac_policy:target_tenant", toAll, "admin"},
		{"create_rbac_policy:target_tenant", toOne, "reader member manager admin service nobody unscoped"},

		{"context_is_admin", nil, "admin system domain"},
		{"context_with_global_access", nil, ""},
		{"no_such_rule", own, ""},
		{"", own, ""},
	} {
		e := neutron(t)
		for _, who := range everyone {
			want := contains(strings.Fields(test.who), who)
			if got := e.Allows(test.rule, people[who], test.target); got != want {
				t.Errorf("%s, %s, %v: allowed %v, want %v", test.rule, who, test.target, got, want)
			}
			// What is decided without the target must be what the target would have given.
			if v := e.Decide(test.rule, people[who]); v != Depends && (v == Yes) != want {
				t.Errorf("%s, %s: decided %v before the target %v was known, want %v", test.rule, who, v, test.target, want)
			}
		}
		if e.Allows(test.rule, nil, test.target) {
			t.Errorf("%s: allowed without credentials", test.rule)
		}
	}
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

func TestDecideAndDepends(t *testing.T) {
	t.Parallel()
	e := neutron(t)
	for _, test := range []struct {
		rule, who string
		want      Verdict
		depends   bool
	}{
		{"get_network", "admin", Yes, true},
		{"get_network", "member", Depends, true},
		{"get_network", "system", No, true},
		{"get_network:provider:network_type", "member", No, false},
		{"get_network:provider:network_type", "admin", Yes, false},
		{"create_port:device_owner", "member", Depends, true},
		{"nothing", "admin", No, false},
	} {
		if got := e.Decide(test.rule, people[test.who]); got != test.want {
			t.Errorf("Decide(%s, %s) = %v, want %v", test.rule, test.who, got, test.want)
		}
		if got := e.DependsOnTarget(test.rule); got != test.depends {
			t.Errorf("DependsOnTarget(%s) = %v, want %v", test.rule, got, test.depends)
		}
	}
}

func TestScopesAndOlderDefaults(t *testing.T) {
	t.Parallel()
	own := attrs{"project_id": "mine"}
	old, open := neutron(t, AcceptDeprecated()), neutron(t, IgnoreScope())
	for _, test := range []struct {
		name string
		got  bool
		want bool
	}{
		{"a reader may create by the older default", old.Allows("create_network", people["reader"], own), true},
		{"not by the new one", neutron(t).Allows("create_network", people["reader"], own), false},
		{"but not for others", old.Allows("update_network", people["reader"], attrs{"project_id": "theirs"}), false},
		{"an administrator may do what is for services", old.Allows("create_port_binding", people["admin"], own), true},
		{"but not by default", neutron(t).Allows("create_port_binding", people["admin"], own), false},
		{"an administrator does not become global", old.Allows("context_with_global_access", people["admin"], own), false},
		{"system scope is refused", neutron(t).Allows("create_network", people["system"], own), false},
		{"unless scopes are ignored", open.Allows("create_network", people["system"], own), true},
		{"IsAdmin", neutron(t).IsAdmin(people["admin"]), true},
		{"IsAdmin of a member", neutron(t).IsAdmin(people["member"]), false},
		{"IsAdmin of the system's administrator", neutron(t).IsAdmin(people["system"]), false},
		{"unless scopes are ignored", open.IsAdmin(people["system"]), true},
		{"IsAdmin of nobody", neutron(t).IsAdmin(nil), false},
	} {
		if test.got != test.want {
			t.Errorf("%s: %v, want %v", test.name, test.got, test.want)
		}
	}
}

func TestOldNamesInPolicyFile(t *testing.T) {
	t.Parallel()
	e := neutron(t)
	own := attrs{"project_id": "mine"}
	if err := e.Load("policy.yaml", []byte(`"get_networks_tags": "!"`)); err != nil {
		t.Fatal(err)
	}
	if e.Allows("get_network:tags", people["reader"], own) {
		t.Error("a rule under its old name has no effect")
	}
	if err := e.Load("policy.yaml", []byte("get_networks_tags: '!'\nget_network:tags: '@'")); err != nil {
		t.Fatal(err)
	}
	if !e.Allows("get_network:tags", people["reader"], own) {
		t.Error("the old name wins over the new one")
	}
}

// lockedText is text that may be read while it is written.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestFollow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	e := neutron(t)
	if err := e.LoadFile(path); !os.IsNotExist(unwrapAll(err)) {
		t.Fatalf("a missing file gives %v", err)
	}
	write(`create_network: "role:reader"`)
	if err := e.LoadFile(path); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	var said lockedText
	go func() {
		defer close(done)
		e.Follow(ctx, path, 5*time.Millisecond, slog.New(slog.NewTextHandler(&said, nil)))
	}()
	allowed := func() bool { return e.Allows("create_network", people["reader"], attrs{"project_id": "x"}) }
	if !allowed() {
		t.Error("the file's rule is not in force")
	}
	wait := func(want bool, why string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); allowed() != want; time.Sleep(2 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(why)
			}
		}
	}
	write(`create_network: "!"`)
	wait(false, "the changed file never came into force")
	write(`create_network: "role:reader and"`)
	for end := time.Now().Add(20 * time.Second); !strings.Contains(said.String(), "policy.yaml:1"); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the log does not say what was wrong: %s", said.String())
		}
	}
	if allowed() {
		t.Error("a file with mistakes changed the rules")
	}
	write(`create_network: "role:reader"  # mended`)
	wait(true, "the mended file never came into force")
	cancel()
	<-done
	if text := said.String(); !strings.Contains(text, "policy.yaml:1") || !strings.Contains(text, "create_network") {
		t.Errorf("the log does not say what was wrong: %s", text)
	}
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
}

func BenchmarkAllows(b *testing.B) {
	e := neutron(b)
	var target Target = attrs{"project_id": "mine", "shared": false, "router:external": false}
	c := people["member"]
	b.ReportAllocs()
	for b.Loop() {
		if !e.Allows("get_network", c, target) {
			b.Fatal("denied")
		}
	}
}

func TestAllowsDoesNotAllocate(t *testing.T) {
	e := neutron(t)
	var target Target = attrs{"project_id": "theirs", "shared": false, "router:external": false}
	c := people["member"]
	if n := testing.AllocsPerRun(100, func() { e.Allows("get_network", c, target) }); n > 0 {
		t.Errorf("%v allocations a decision", n)
	}
}
