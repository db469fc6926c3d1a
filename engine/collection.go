package engine

import (
	"context"
	"io"

	"neutrino/policy"
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
	Act(ctx context.Context, caller *policy.Credentials, id, action string, body any) ([]byte, error)
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
	Taggable   bool
	Counted    bool // has a quota
	Attributes []AttributeDescription
	Actions    []string
}

// AttributeDescription is one attribute's rules for clients.
type AttributeDescription struct {
	Name                                      string
	Post, Put, Required, Hidden, Filter, Sort bool
}

// Describe implements Collection.
func (r *Resource[T]) Describe() Description {
	d := Description{
		Name: r.Name, Plural: r.Plural, Collection: r.Collection, Extension: r.Extension,
		Taggable: r.Taggable, Counted: r.Counted,
	}
	for _, a := range r.Attributes {
		d.Attributes = append(d.Attributes, AttributeDescription{
			Name: a.Name, Post: a.CanPost(), Put: a.CanPut(), Required: a.IsRequired(),
			Hidden: a.IsHidden(), Filter: a.IsFilter() || r.Filters[a.Name] != nil, Sort: a.IsSort(),
		})
	}
	for name := range r.Actions {
		d.Actions = append(d.Actions, name)
	}
	return d
}

// Usage implements Collection: how many objects count against a project's quota.
func (r *Resource[T]) Usage(c *Call, project string) (int, error) { return r.Used(c, project) }
