package engine

import (
	"context"
	"fmt"
	"strings"

	"neutrino/fault"
	"neutrino/policy"
	"neutrino/resource"
	"neutrino/store"
)

// Resource declares a resource whose Go type is T. All functions run inside the operation's
// transaction and do no I/O but through it, for a transaction may be run again.
type Resource[T any] struct {
	Name       string // wire name of one, e.g. "security_group": envelope, policy rules, journal, quota
	Plural     string // wire name of many, e.g. "security_groups"
	Collection string // path below /v2.0, e.g. "qos/policies"; "" is Plural with hyphens
	Extension  string // alias of the extension that brings the resource; "" is the core
	Table      string // SQL table; "" is Plural

	Attributes []*resource.Attribute[T]
	Standard   func(t *T) *resource.Standard // nil only for resources without revision and times

	Taggable     bool   // tag paths, tag filters and the tags attribute
	TagsOnCreate bool   // tags may be given on create
	UpdateEmpty  bool   // an update without attributes runs the rules too
	NoBulk       bool   // a POST takes one object only
	Counted      bool   // limited by the quota of its name
	Sharable     string // object type of RBAC entries that share it ("network"); "" for none

	// NotFound is the error for an id that is not there or not visible; nil is <Name>NotFound.
	NotFound func(id string) error

	// Parents gives objects that policy rules may look at, by the prefix used in the rules: "network"
	// for %(network:project_id)s. Inherit lists attributes that rules ask of the resource but that
	// its parent has: {"shared": "network"}.
	Parents map[string]func(c *Call, t *T) (policy.Target, error)
	Inherit map[string]string

	// Scope widens what a caller without global access sees beyond their own project's objects; self
	// is the table's alias. ReadOnly hides all writing verbs.
	Scope func(c *Call, self string) store.Cond

	// Loaders fill what is not in the resource's own row, for a page of objects at once.
	Loaders []Loader[T]

	// Filters are list filters that need the call; they come before the attributes' own.
	Filters map[string]func(c *Call, values []string, self string) (store.Cond, error)

	// Rules. Prepare checks and completes an object before policy sees it (nil for most); OnCreate,
	// OnUpdate and OnDelete check and complete it before its row is written; OnCreated, OnUpdated and
	// OnDeleted write what hangs on the row. Touched runs before a list (for instance to make a
	// project's default security group).
	Prepare   func(c *Call, t *T, given resource.Given) error
	OnCreate  func(c *Call, t *T, given resource.Given) error
	OnCreated func(c *Call, t *T) error
	OnUpdate  func(c *Call, old, t *T, given resource.Given) error
	OnUpdated func(c *Call, old, t *T, given resource.Given) error
	OnDelete  func(c *Call, t *T) error
	OnDeleted func(c *Call, t *T) error
	Touched   func(ctx context.Context, caller *policy.Credentials) error

	// Guards of other services, called before Delete: an error refuses. Filled in a wire file.
	DeleteGuards []func(c *Call, t *T) error

	Actions map[string]Action[T] // PUT /{collection}/{id}/{action}

	NoCreate, NoUpdate, NoDelete bool

	engine *Engine
	byName map[string]*resource.Attribute[T]
	sql    statements
}

// Action is a member action: PUT on a path below the object.
type Action[T any] struct {
	// Run does it and appends the JSON answer to b. The object was found visible and the policy rule
	// named like the action allows.
	Run func(c *Call, t *T, body map[string]any, b []byte) ([]byte, error)
}

// Loader fills something for all objects of a page with a fixed number of statements, and gives a
// function that puts it into one object.
type Loader[T any] func(c *Call, page Page) (attach func(t *T), err error)

// Page is a set of objects as a sub-select with the column id: join it, so that one statement
// serves the page whatever its length.
type Page struct {
	SQL  string
	Args []any

	all bool // every object there is: nothing to join
}

// Join is "JOIN (the page) page ON page.id = column".
func (p Page) Join(column string) string {
	if p.all {
		return " "
	}
	return " JOIN (" + p.SQL + ") page ON page.id = " + column + " "
}

// Install completes the declaration and binds it to the engine. It panics on a declaration that
// can't work: that is found by every test.
func (r *Resource[T]) Install(e *Engine) *Resource[T] {
	r.engine = e
	if r.Table == "" {
		r.Table = r.Plural
	}
	if r.Collection == "" {
		r.Collection = strings.ReplaceAll(r.Plural, "_", "-")
	}
	if r.NotFound == nil {
		kind := camel(r.Name)
		r.NotFound = func(id string) error {
			words := strings.ReplaceAll(r.Name, "_", " ")
			return fault.NotFound(kind+"NotFound", "%s%s %s could not be found.", strings.ToUpper(words[:1]), words[1:], id)
		}
	}
	if r.Taggable {
		r.addTags()
	}
	if r.Sharable != "" {
		r.addSharing()
	}
	r.byName = map[string]*resource.Attribute[T]{}
	for _, a := range r.Attributes {
		if r.byName[a.Name] != nil {
			panic(fmt.Sprintf("engine: %s declares %s twice", r.Name, a.Name))
		}
		r.byName[a.Name] = a
	}
	r.prepareSQL()
	return r
}

// camel turns security_group into SecurityGroup.
func camel(name string) string {
	var b strings.Builder
	for _, word := range strings.Split(name, "_") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

func (r *Resource[T]) id(t *T) string {
	id, _ := r.byName["id"].Value(t).(string)
	return id
}

func (r *Resource[T]) project(t *T) string {
	if a := r.byName["project_id"]; a != nil {
		id, _ := a.Value(t).(string)
		return id
	}
	return ""
}
