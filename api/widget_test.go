package api

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/identity"
	"neutrino/policy"
	"neutrino/resource"
	"neutrino/store"
	"neutrino/store/storetest"
)

// The door, the engine and the store are proved with a resource that exists only here: a widget, with
// a child table, a parent, tags, sharing, a quota, an attribute for administrators and actions that go wrong.

var schema = fstest.MapFS{"0001_widgets.sql": {Data: []byte(`
CREATE TABLE journal (revision BIGINT NOT NULL PRIMARY KEY, kind VARCHAR(64) NOT NULL, id VARCHAR(36) NOT NULL, request VARCHAR(64) NOT NULL DEFAULT '');
CREATE TABLE journal_head (id INTEGER NOT NULL PRIMARY KEY, revision BIGINT NOT NULL, claims BIGINT NOT NULL);
INSERT INTO journal_head VALUES (1, 0, 0);
CREATE TABLE tags (kind VARCHAR(64) NOT NULL, resource_id VARCHAR(36) NOT NULL, tag VARCHAR(255) NOT NULL, PRIMARY KEY (resource_id, tag));
CREATE TABLE quotas (project_id VARCHAR(255) NOT NULL, resource VARCHAR(64) NOT NULL, quota_limit INTEGER NOT NULL, PRIMARY KEY (project_id, resource));
CREATE TABLE rbac_entries (id VARCHAR(36) NOT NULL PRIMARY KEY, project_id VARCHAR(255) NOT NULL, object_type VARCHAR(64) NOT NULL,
	object_id VARCHAR(36) NOT NULL, action VARCHAR(64) NOT NULL, target_project VARCHAR(255) NOT NULL);
CREATE TABLE gadgets (id VARCHAR(36) NOT NULL PRIMARY KEY, project_id VARCHAR(255) NOT NULL);
CREATE TABLE widgets (id VARCHAR(36) NOT NULL PRIMARY KEY, project_id VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL,
	description TEXT NOT NULL, revision_number BIGINT NOT NULL, created_at VARCHAR(20) NOT NULL, updated_at VARCHAR(20) NOT NULL,
	size INTEGER NOT NULL, enabled BOOLEAN NOT NULL, secret VARCHAR(255) NOT NULL, gadget_id VARCHAR(36) NOT NULL REFERENCES gadgets (id));
CREATE TABLE parts (widget_id VARCHAR(36) NOT NULL REFERENCES widgets (id) ON DELETE CASCADE, name VARCHAR(255) NOT NULL);`)}}

type gadget struct{ ID, ProjectID string }

type widget struct {
	resource.Standard
	Size     int
	Enabled  bool
	Secret   string // for administrators
	GadgetID string
	Shared   bool
	Parts    []string
}

// world is a door with all that is behind it, and what was logged.
type world struct {
	http.Handler
	engine  *engine.Engine
	widgets *engine.Resource[widget]
	door    *door
	log     *journalOfLogs
	tries   atomic.Int32 // runs of the action that asks to be run again
}

// journalOfLogs keeps what was logged.
type journalOfLogs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *journalOfLogs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *journalOfLogs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

const (
	projectA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	projectB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

	parent = "00000000-0000-0000-0000-00000000000f"
	alpha  = "00000000-0000-0000-0000-000000000001" // A's
	beta   = "00000000-0000-0000-0000-000000000002" // A's
	gamma  = "00000000-0000-0000-0000-000000000003" // B's
	delta  = "00000000-0000-0000-0000-000000000004" // B's, shared with A
)

// tokens are the callers: a token is what it is worth.
type tokens map[string]policy.Credentials

func (t tokens) Authenticate(_ context.Context, token string) (*policy.Credentials, error) {
	if token == "outage" {
		return nil, identity.ErrUnavailable
	}
	c, ok := t[token]
	if !ok {
		return nil, identity.ErrInvalidToken
	}
	return &c, nil
}

// AuthenticateExpired takes the token "late", too: that of somebody whose token has expired.
func (t tokens) AuthenticateExpired(ctx context.Context, token string) (*policy.Credentials, error) {
	if token == "late" {
		token = "a"
	}
	return t.Authenticate(ctx, token)
}

var callers = tokens{
	"service": {UserID: "nova", ProjectID: projectB, Roles: []string{"service"}},
	"admin":   {UserID: "root", ProjectID: "cccccccccccccccccccccccccccccccc", Roles: []string{"admin", "member", "reader"}},
	"a":       {UserID: "ann", ProjectID: projectA, Roles: []string{"member", "reader"}},
	"a-reads": {UserID: "abe", ProjectID: projectA, Roles: []string{"reader"}},
	"b":       {UserID: "bob", ProjectID: projectB, Roles: []string{"member", "reader"}},
	"a-none":  {UserID: "ada", ProjectID: projectA},
	"nothing": {UserID: "nil"},
}

var rules = []policy.Default{
	{Name: "context_is_admin", Check: "role:admin"},
	{Name: "owner", Check: "role:member and project_id:%(project_id)s"},
	{Name: "shared", Check: "field:widgets:shared=True"},
	{Name: "create_widget", Check: "rule:context_is_admin or rule:owner"},
	{Name: "create_widget:secret", Check: "rule:context_is_admin"},
	{Name: "get_widget", Check: "rule:context_is_admin or rule:shared or role:reader and project_id:%(project_id)s"},
	{Name: "get_widget:secret", Check: "rule:context_is_admin"},
	{Name: "update_widget", Check: "rule:context_is_admin or rule:owner"},
	{Name: "update_widget:secret", Check: "rule:context_is_admin"},
	{Name: "update_widget:gadget_id", Check: "rule:context_is_admin or project_id:%(gadget:project_id)s"},
	{Name: "delete_widget", Check: "rule:context_is_admin or rule:owner"},
	{Name: "explode", Check: "rule:owner"}, {Name: "fail", Check: "rule:owner"}, {Name: "again", Check: "rule:owner"},
	{Name: "get_quota", Check: "rule:context_is_admin"},
	{Name: "update_quota", Check: "rule:context_is_admin"},
	{Name: "delete_quota", Check: "rule:context_is_admin"},
}

// newWorld opens a world of four widgets.
func newWorld(t testing.TB, change ...func(*Options)) *world {
	t.Helper()
	ctx := context.Background()
	db, err := store.Open(ctx, storetest.Empty(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Migrate(ctx, schema); err != nil {
		t.Fatal(err)
	}
	enforcer, err := policy.New(rules)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{log: &journalOfLogs{}}
	logger := slog.New(slog.NewTextHandler(w.log, nil))
	w.engine = &engine.Engine{DB: db, Policy: enforcer, Log: logger, Now: time.Now, Quotas: map[string]int{"widget": 5}}
	gadgets := declareGadgets().Install(w.engine)
	w.widgets = w.declareWidgets(gadgets).Install(w.engine)
	o := Options{Engine: w.engine, Collections: []engine.Collection{w.widgets}, Authenticator: callers,
		Extensions: []string{"quotas"}, IdentityURL: "http://id/v3", Log: logger, ServiceRoles: []string{"service"}}
	for _, f := range change {
		f(&o)
	}
	if w.Handler, err = New(o); err != nil {
		t.Fatal(err)
	}
	w.door = w.Handler.(*door)
	if err := w.engine.Update(ctx, nil, func(c *engine.Call) error {
		if err := gadgets.Insert(c, &gadget{ID: parent, ProjectID: projectB}, nil); err != nil {
			return err
		}
		for _, made := range []widget{
			{Standard: resource.Standard{ID: alpha, ProjectID: projectA, Name: "alpha", Tags: []string{"blue", "red"}}, Size: 3, Secret: "swordfish", Parts: []string{"nut", "screw"}},
			{Standard: resource.Standard{ID: beta, ProjectID: projectA, Name: "beta", Tags: []string{"red"}}, Size: 1, Enabled: true},
			{Standard: resource.Standard{ID: gamma, ProjectID: projectB, Name: "gamma"}, Size: 2},
			{Standard: resource.Standard{ID: delta, ProjectID: projectB, Name: "delta"}, Size: 9},
		} {
			made.GadgetID = parent
			if err := w.widgets.Insert(c, &made, nil); err != nil {
				return err
			}
		}
		_, err := c.Tx.Exec("INSERT INTO rbac_entries (id, project_id, object_type, object_id, action, target_project) VALUES ('1', ?, 'widget', ?, 'access_as_shared', ?)",
			projectB, delta, projectA)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return w
}

func declareGadgets() *engine.Resource[gadget] {
	return &engine.Resource[gadget]{
		Name: "gadget", Plural: "gadgets",
		Attributes: append(resource.Project(func(g *gadget) *string { return &g.ProjectID }),
			resource.ID(func(g *gadget) *string { return &g.ID })),
	}
}

func (w *world) declareWidgets(gadgets *engine.Resource[gadget]) *engine.Resource[widget] {
	std := func(x *widget) *resource.Standard { return &x.Standard }
	return &engine.Resource[widget]{
		Name: "widget", Plural: "widgets", Collection: "wid-gets", Standard: std,
		Taggable: true, Counted: true, Sharable: "widget",
		Attributes: append(resource.Standards(std),
			resource.Int("size", "size", 0, 10, func(x *widget) *int { return &x.Size }).Post().Put().Sort(),
			resource.Bool("enabled", "enabled", func(x *widget) *bool { return &x.Enabled }).Post().Put().Filter(),
			resource.Text("secret", "secret", 255, func(x *widget) *string { return &x.Secret }).Post().Put().Policed(),
			resource.UUID("gadget_id", "gadget_id", func(x *widget) *string { return &x.GadgetID }).Required().Put().Filter().Policed(),
			resource.Computed("shared", func(b []byte, x *widget) []byte { return resource.AppendBool(b, x.Shared) },
				func(x *widget) any { return x.Shared }),
			resource.Computed("parts", func(b []byte, x *widget) []byte { return resource.AppendStrings(b, x.Parts) }, nil).
				Post().Decoded(func(x *widget, v any) error {
				list, err := resource.ListValue("parts", v)
				for _, item := range list {
					part, err := resource.StringValue("parts", item, 255)
					if err != nil {
						return err
					}
					x.Parts = append(x.Parts, part)
				}
				return err
			}),
		),
		Parents: map[string]func(*engine.Call, *widget) (policy.Target, error){
			"gadget": func(c *engine.Call, x *widget) (policy.Target, error) {
				g, err := engine.Once(c, x.GadgetID, func() (*gadget, error) { return gadgets.Row(c, x.GadgetID) })
				if err != nil {
					return nil, err
				}
				return gadgets.Target(c, g), nil
			},
		},
		Loaders: []engine.Loader[widget]{
			engine.SharingLoader("widget", "access_as_shared", func(x *widget) string { return x.ID }, func(x *widget, on bool) { x.Shared = on }),
			loadParts,
		},
		OnCreate: func(c *engine.Call, x *widget, _ resource.Given) error {
			_, err := gadgets.Row(c, x.GadgetID)
			return err
		},
		OnCreated: func(c *engine.Call, x *widget) error {
			for _, part := range x.Parts {
				if part == "rotten" {
					return fault.Conflict("RottenPart", "A part is rotten.")
				}
				if _, err := c.Tx.Exec("INSERT INTO parts (widget_id, name) VALUES (?, ?)", x.ID, part); err != nil {
					return err
				}
			}
			return nil
		},
		Actions: map[string]engine.Action[widget]{
			"explode": {Run: func(*engine.Call, *widget, engine.Input, []byte) ([]byte, error) { panic("bang") }},
			"fail": {Run: func(*engine.Call, *widget, engine.Input, []byte) ([]byte, error) {
				return nil, errors.New("password swordfish did not fit")
			}},
			"again": {Run: func(c *engine.Call, x *widget, _ engine.Input, b []byte) ([]byte, error) {
				if err := w.widgets.Touch(c, x.ID); err != nil {
					return nil, err
				}
				if w.tries.Add(1) < 3 {
					return nil, store.ErrRetry
				}
				return append(b, `{"done": true}`...), nil
			}},
		},
	}
}

func loadParts(c *engine.Call, page engine.Page) (func(x *widget), error) {
	parts := map[string][]string{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var id, name string
		err := rows.Scan(&id, &name)
		parts[id] = append(parts[id], name)
		return err
	}, "SELECT p.widget_id, p.name FROM parts p"+page.Join("p.widget_id")+"ORDER BY p.name", page.Args...)
	return func(x *widget) { x.Parts = parts[x.ID] }, err
}

// fill adds n widgets of project A in one transaction.
func (w *world) fill(t testing.TB, n int) {
	t.Helper()
	if err := w.engine.Update(context.Background(), nil, func(c *engine.Call) error {
		for i := range n {
			x := widget{Standard: resource.Standard{ProjectID: projectA, Name: "w" + strconv.Itoa(i), Tags: []string{"t"}}, GadgetID: parent, Parts: []string{"p"}}
			if err := w.widgets.Insert(c, &x, nil); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// exec runs a statement behind everybody's back.
func (w *world) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	if err := w.engine.DB.Update(context.Background(), func(tx *store.Tx) error { _, err := tx.Exec(query, args...); return err }); err != nil {
		t.Fatal(err)
	}
}

// changes lists the journal after a revision: "widget 1 widget 2", by the last digit of ids that are
// the fixture's, "?" for new ones.
func (w *world) changes(t testing.TB, after int64) string {
	t.Helper()
	entries, err := w.engine.DB.Read(context.Background(), after, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, e := range entries {
		id := "?"
		if strings.HasPrefix(e.ID, "00000000-") {
			id = e.ID[len(e.ID)-1:]
		}
		words = append(words, e.Kind+" "+id)
	}
	return strings.Join(words, ", ")
}

// madeBy holds what was journaled after a revision to be the doing of a request.
func (w *world) madeBy(t testing.TB, after int64, id string) {
	t.Helper()
	entries, err := w.engine.DB.Read(context.Background(), after, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Request != id {
			t.Errorf("%s %s is journaled as the doing of %q, not of %q", e.Kind, e.ID, e.Request, id)
		}
	}
}

// do makes a call as somebody.
func (w *world) do(as, method, path, body string, header map[string]string) *httptest.ResponseRecorder {
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req := httptest.NewRequest(method, path, r)
	if as != "" {
		req.Header.Set("X-Auth-Token", as)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	out := httptest.NewRecorder()
	w.ServeHTTP(out, req)
	return out
}

// constant is an authenticator that gives everybody the same credentials, and keeps them.
type constant struct{ c *policy.Credentials }

func (c constant) Authenticate(context.Context, string) (*policy.Credentials, error) { return c.c, nil }
