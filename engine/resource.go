package engine

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"neutrino/fault"
	"neutrino/policy"
	"neutrino/resource"
	"neutrino/store"
)

// Resource declares a resource whose Go type is T. All functions run inside the operation's
// transaction and do no I/O but through it, for a transaction may be run again.
type Resource[T any] = ResourceOf[*T]

// ResourceOf is Resource by the pointer to its Go type (why: resource/object.go).
type ResourceOf[P any] struct {
	Name       string // wire name of one, e.g. "security_group": envelope, policy rules, journal, quota
	Plural     string // wire name of many, e.g. "security_groups"
	Collection string // path below /v2.0, e.g. "qos/policies"; "" is Plural with hyphens
	Extension  string // alias of the extension that brings the resource; "" is the core
	Table      string // SQL table; "" is Plural
	Key        string // attribute that names an object in paths; "" is id
	Rule       string // noun in policy rules (get_<noun>); "" is Name, below a parent <parent>_<Name>

	// Only is what all its objects meet, for resources that share a table; the table's alias is t.
	Only store.Cond

	// Below makes it a sub-resource, whose objects live below one of a parent's; nil for most.
	Below *BelowOf[P]

	// From computes all objects of a resource that has no table; nil for most. Lists filter, sort and
	// page what it gives.
	From func(c *Call) ([]P, error)

	// OnAsk gives the object that a path's last word names, and checks who asks; nil is to look it up. With it a
	// show may write: making says that what is not there is to be made.
	OnAsk func(c *Call, word string, making bool) (P, error)

	// Keep writes an object of a resource without a table: old is nil for a new one, t for one that goes.
	// It journals what it changes.
	Keep func(c *Call, old, t P) error

	Attributes []*resource.AttributeOf[P]
	Standard   func(t P) *resource.Standard // nil only for resources without revision and times

	Taggable     bool   // tag paths, tag filters and the tags attribute
	TagsOnCreate bool   // tags may be given on create
	UpdateEmpty  bool   // an update without attributes runs the rules too
	NoBulk       bool   // a POST takes one object only
	Counted      bool   // limited by the quota of its name
	Sharable     string // object type of RBAC entries that share it ("network"); "" for none
	Discreet     bool   // who may not change what is shared with them is told that it is not there

	// NotFound is the error for an id that is not there or not visible; nil is <Name>NotFound.
	NotFound func(id string) error

	// Parents gives objects that policy rules may look at, by the prefix used in the rules: "network"
	// for %(network:project_id)s. Inherit lists attributes that rules ask of the resource but that
	// its parent has: {"shared": "network"}.
	Parents map[string]func(c *Call, t P) (policy.Target, error)
	Inherit map[string]string

	// Scope widens what a caller without global access sees beyond their own project's objects; self
	// is the table's alias. ReadOnly hides all writing verbs.
	Scope func(c *Call, self string) store.Cond

	// Loaders fill what is not in the resource's own row, for a page of objects at once.
	Loaders []LoaderOf[P]

	// Filters are list filters that need the call; they come before the attributes' own.
	Filters map[string]func(c *Call, values []string, self string) (store.Cond, error)

	// Rules. Prepare checks and completes an object before policy sees it (nil for most); Together holds the
	// objects of one create against one another, after policy and quota; OnCreate,
	// OnUpdate and OnDelete check and complete it before its row is written; OnCreated, OnUpdated and
	// OnDeleted write what hangs on the row. Touched runs before a list (for instance to make a
	// project's default security group).
	Prepare   func(c *Call, t P, given resource.Given) error
	Together  func(c *Call, all []P) error
	OnCreate  func(c *Call, t P, given resource.Given) error
	OnCreated func(c *Call, t P) error
	OnUpdate  func(c *Call, old, t P, given resource.Given) error
	OnUpdated func(c *Call, old, t P, given resource.Given) error
	OnDelete  func(c *Call, t P) error
	OnDeleted func(c *Call, t P) error
	Touched   func(ctx context.Context, caller *policy.Credentials) error
	OnShow    func(c *Call, t P) error // may refuse or complete what a show gives

	// Guards of other services, called before Delete: an error refuses. Filled in a wire file.
	DeleteGuards []func(c *Call, t P) error

	// Actions by name are PUT /{collection}/{id}/{name}. With a method before the name, "GET l3-agents",
	// they are that, and with "/*" after it, "DELETE l3-routers/*", one more word follows in the path.
	Actions map[string]ActionOf[P]

	NoList, NoShow, NoCreate, NoUpdate, NoDelete bool

	// NoCreateWhy is what a create is told where there is none; nil is 405.
	NoCreateWhy error

	engine *Engine
	byName map[string]*resource.AttributeOf[P]
	sql    statements
}

// Action is something that can be done on a path below an object.
type Action[T any] = ActionOf[*T]

// ActionOf is Action by the pointer to the type.
type ActionOf[P any] struct {
	Rule   string // policy rule that must allow it; "" is the action's name
	Status int    // of the answer; 0 is 200
	Reads  bool   // changes nothing: runs in a read-only transaction

	// Policed is an attribute of the object that the body holds under the resource's name which has rules of its
	// own: <rule>:<attribute> and <rule>:<attribute>:<key>. "" for most.
	Policed string

	// Run does it and appends the JSON answer to b; nothing appended is an answer without a body. The
	// object was found visible and the policy allows.
	Run func(c *Call, t P, in Input, b []byte) ([]byte, error)
}

// Input is what came with an action.
type Input struct {
	Body  map[string]any // nil without a body
	Word  string         // the path's last word, for actions named with "/*"
	Query url.Values
}

// Loader fills something for all objects of a page with a fixed number of statements, and gives a
// function that puts it into one object.
type Loader[T any] = LoaderOf[*T]

// LoaderOf is Loader by the pointer to the type.
type LoaderOf[P any] func(c *Call, page Page) (attach func(t P), err error)

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
func (r *ResourceOf[P]) Install(e *Engine) *ResourceOf[P] {
	r.engine = e
	if r.Below != nil {
		r.addParent()
	}
	if r.Rule == "" {
		r.Rule = r.Name
	}
	if r.Key == "" {
		r.Key = "id"
	}
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
	r.byName = map[string]*resource.AttributeOf[P]{}
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

func (r *ResourceOf[P]) id(t P) string {
	a := r.byName["id"]
	if a == nil {
		a = r.byName[r.Key]
	}
	id, _ := a.Value(t).(string)
	return id
}

func (r *ResourceOf[P]) project(t P) string {
	if a := r.byName["project_id"]; a != nil {
		id, _ := a.Value(t).(string)
		return id
	}
	return ""
}
