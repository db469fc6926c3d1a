package engine

import (
	"cmp"
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"neutrino/policy"
	"neutrino/resource"
)

// Collection is a resource of any Go type, as the API's door sees it. Every *Resource is one.
// Errors that callers may see are *fault.Error.
type Collection interface {
	Describe() Description
	List(ctx context.Context, caller *policy.Credentials, q Query, w io.Writer) error
	Show(ctx context.Context, caller *policy.Credentials, id string, q Query) ([]byte, error)
	Create(ctx context.Context, caller *policy.Credentials, body any) ([]byte, error)
	Update(ctx context.Context, caller *policy.Credentials, id string, body any, ifMatch string) ([]byte, error)
	Delete(ctx context.Context, caller *policy.Credentials, id, ifMatch string) error
	Act(ctx context.Context, caller *policy.Credentials, id, action string, body any, in Input) (status int, b []byte, err error)
	Tags(ctx context.Context, caller *policy.Credentials, id string) ([]byte, error)
	HasTag(ctx context.Context, caller *policy.Credentials, id, tag string) error
	SetTags(ctx context.Context, caller *policy.Credentials, id string, body any, add bool) ([]byte, error)
	AddTag(ctx context.Context, caller *policy.Credentials, id, tag string) error
	RemoveTag(ctx context.Context, caller *policy.Credentials, id, tag string) error
	Usage(c *Call, project string) (int, error)
}

// Description is what the door and the documents need to know of a resource.
type Description struct {
	Name       string // "security_group"
	Plural     string // "security_groups"
	Collection string // path: "security-groups"
	Extension  string // alias; "" is the core
	Below      string // path of the parent's collection, for a sub-resource: "floatingips"
	Parent     string // the parent's name: "floatingip"
	Key        string // attribute that names an object in paths
	Rule       string // noun in policy rules
	Taggable   bool
	Counted    bool // has a quota
	Attributes []AttributeDescription
	Sharable   string // object type of RBAC entries; "" when it can't be shared
	Bulk       bool   // a create may bring many
	Actions    []ActionDescription

	List, Show, Create, Update, Delete bool // the verbs it has
}

// ActionDescription is one action below an object.
type ActionDescription struct {
	Key     string // how the declaration names it: "add_router_interface", "DELETE l3-routers/*"
	Method  string // "PUT"
	Name    string // "add_router_interface"
	Word    bool   // one more word follows in the path
	Rule    string // policy rule
	Policed string // attribute whose own rules apply, RULE:ATTRIBUTE and RULE:ATTRIBUTE:KEY; "" is none
	Status  int
}

// AttributeDescription is one attribute's rules for clients.
type AttributeDescription struct {
	Name                                                          string
	Post, Put, Required, Hidden, Filter, Sort, AdminOnly, Policed bool
	Default                                                       []byte // JSON of what a create without it gets before the rules look
	Schema                                                        resource.Schema
}

// Describe implements Collection.
func (r *ResourceOf[P]) Describe() Description {
	d := Description{
		Name: r.Name, Plural: r.Plural, Collection: r.Collection, Extension: r.Extension, Key: r.Key, Rule: r.Rule,
		Taggable: r.Taggable, Counted: r.Counted, Sharable: r.Sharable, Bulk: !r.NoBulk && r.regular(),
		List: !r.NoList, Show: !r.NoShow, Create: !r.NoCreate, Update: !r.NoUpdate, Delete: !r.NoDelete,
	}
	if r.Below != nil {
		d.Below, d.Parent = r.Below.Path, r.Below.Parent
	}
	for _, a := range r.Attributes {
		fresh := resource.New[P]()
		a.SetDefault(fresh)
		d.Attributes = append(d.Attributes, AttributeDescription{
			Name: a.Name, Post: a.CanPost(), Put: a.CanPut(), Required: a.IsRequired(), Policed: a.IsPoliced(), Default: a.Append(nil, fresh),
			AdminOnly: a.IsAdminOnly(), Schema: a.Schema(), Hidden: a.IsHidden(), Filter: a.IsFilter() || r.Filters[a.Name] != nil, Sort: a.IsSort(),
		})
	}
	for _, key := range slices.Sorted(maps.Keys(r.Actions)) {
		action := r.Actions[key]
		a := ActionDescription{Key: key, Method: http.MethodPut, Rule: cmp.Or(action.Rule, key), Policed: action.Policed, Status: cmp.Or(action.Status, http.StatusOK)}
		a.Name, a.Word = strings.CutSuffix(key, "/*")
		if method, name, found := strings.Cut(a.Name, " "); found {
			a.Method, a.Name = method, name
		}
		d.Actions = append(d.Actions, a)
	}
	return d
}

// Usage implements Collection: how many objects count against a project's quota.
func (r *ResourceOf[P]) Usage(c *Call, project string) (int, error) { return r.Used(c, project) }
