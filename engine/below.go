package engine

import (
	"context"

	"neutrino/fault"
	"neutrino/policy"
	"neutrino/resource"
	"neutrino/store"
)

// Below says where a sub-resource lives: /floatingips/{id}/port_forwardings.
type Below[T any] = BelowOf[*T]

// BelowOf is Below by the pointer to the type.
type BelowOf[P any] struct {
	Parent string            // the parent's wire name: "floatingip"
	Path   string            // the parent's collection as in paths: "floatingips", "policies"
	Column string            // SQL column that holds the parent's id
	Of     func(t P) *string // the field of the parent's id

	// NotFound is the error for an id that is not there below a parent; nil is the resource's own.
	NotFound func(parent, id string) error

	// Find gives the parent as policy rules see it (ext_parent). One that is not there, or that the
	// caller may not see, is its not-found error.
	Find func(c *Call, id string) (policy.Target, error)
}

type parentKey struct{}

// WithParent gives a context for operations on a sub-resource of the parent's object that a path names.
func WithParent(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, parentKey{}, id)
}

func parentOf(ctx context.Context) string {
	id, _ := ctx.Value(parentKey{}).(string)
	return id
}

// addParent completes the declaration of a sub-resource.
func (r *ResourceOf[P]) addParent() {
	if r.Rule == "" {
		r.Rule = r.Below.Parent + "_" + r.Name
	}
	if r.Parents == nil {
		r.Parents = map[string]func(c *Call, t P) (policy.Target, error){}
	}
	r.Parents["ext_parent"] = func(c *Call, t P) (policy.Target, error) { return r.parent(c, *r.Below.Of(t)) }
	column := r.Below.Column
	for _, a := range r.Attributes {
		if a.Column == column && column != "" {
			return
		}
	}
	if r.From == nil {
		r.Attributes = append(r.Attributes, resource.Text("ext_parent_id", column, 36, r.Below.Of).Hidden())
	}
}

// parent finds a parent once in a transaction.
func (r *ResourceOf[P]) parent(c *Call, id string) (policy.Target, error) {
	type key struct{ kind, id string }
	return Once(c, key{r.Below.Parent, id}, func() (policy.Target, error) { return r.Below.Find(c, id) })
}

// enter refuses a sub-resource's operation when the path's parent is not there for the caller.
func (r *ResourceOf[P]) enter(c *Call) error {
	if r.Below == nil {
		return nil
	}
	_, err := r.parent(c, c.parent)
	return err
}

// enterNew is enter for a create. Who could not create below a parent of their own either is forbidden
// to, whether the parent is there or not.
func (r *ResourceOf[P]) enterNew(c *Call) error {
	err := r.enter(c)
	if rule := "create_" + r.Rule; fault.IsNotFound(err) && !c.Allows(rule, ownParent{c.Caller.ProjectID}) {
		return fault.Forbidden("rule:%s is disallowed by policy", rule)
	}
	return err
}

// ownParent is a sub-resource whose parent is of that project.
type ownParent struct{ project string }

// Attr implements policy.Target.
func (o ownParent) Attr(name string) (any, bool) {
	switch name {
	case "ext_parent:project_id", "ext_parent:tenant_id":
		return o.project, true
	}
	return nil, false
}

// within is the condition that an object is one of this resource, below the path's parent.
func (r *ResourceOf[P]) within(c *Call) store.Cond {
	if r.Below == nil || r.From != nil {
		return r.Only
	}
	return store.And(r.Only, store.Where("t."+r.Below.Column+" = ?", c.parent))
}

func (r *ResourceOf[P]) notFound(c *Call, key string) error {
	if r.Below != nil && r.Below.NotFound != nil {
		return r.Below.NotFound(c.parent, key)
	}
	return r.NotFound(key)
}

// at finds the visible object that a path names; a sub-resource's only below the path's parent.
func (r *ResourceOf[P]) at(c *Call, key string) (P, error) {
	if err := r.enter(c); err != nil {
		return resource.None[P](), err
	}
	var found []P
	var err error
	if r.From != nil {
		found, err = r.computed(c, key)
	} else {
		found, err = r.Find(c, store.And(store.Where("t."+r.byName[r.Key].Column+" = ?", key), r.scope(c), r.within(c)))
	}
	if err != nil {
		return resource.None[P](), err
	}
	if len(found) == 0 || !c.admin && !r.visible(c, found[0]) {
		return resource.None[P](), r.notFound(c, key)
	}
	return found[0], nil
}
