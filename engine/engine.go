// Package engine gives every declared resource its five verbs and everything that goes with them:
// bulk create, filters, fields, sorting, paging, tags, quota, policy, sharing, revisions, times and
// the journal, each operation in one transaction. It knows no resource by name.
package engine

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"neutrino/policy"
	"neutrino/store"
)

// Engine is what operations of all resources share.
type Engine struct {
	DB     *store.DB
	Policy *policy.Enforcer
	Log    *slog.Logger
	Now    func() time.Time
	Quotas map[string]int // default limit by resource name; -1: unlimited
}

// Call is one operation of one caller inside its transaction. Rules get it.
type Call struct {
	context.Context
	Tx     *store.Tx
	Caller *policy.Credentials
	Engine *Engine

	listing bool
	query   url.Values // of a list or show
	parent  string     // id of the parent's object that the path names, for sub-resources
	inside  bool       // a service acts by itself
	admin   bool       // the caller is an administrator
	global  bool       // the caller sees every project's objects
	memo    map[any]any
}

// Admin says whether the caller is an administrator.
func (c *Call) Admin() bool { return c.admin }

// Global says whether the caller sees every project's objects: administrators and services.
func (c *Call) Global() bool { return c.global }

// Internal says whether a service acts by itself rather than a caller.
func (c *Call) Internal() bool { return c.inside }

// Listing says whether the operation is a list.
func (c *Call) Listing() bool { return c.listing }

// Asked is the first value that the query of a list or show has for a name; "" for none.
func (c *Call) Asked(name string) string { return c.query.Get(name) }

// Parent is the id of the parent's object that the path of a sub-resource names.
func (c *Call) Parent() string { return c.parent }

// Now is the time of the operation, UTC, to the second.
func (c *Call) Now() time.Time { return c.Engine.Now().UTC().Truncate(time.Second) }

// Elevated gives the same call with an administrator's eyes, for what a rule must see whoever calls.
func (c *Call) Elevated() *Call {
	e := *c
	e.inside, e.admin, e.global = true, true, true
	return &e
}

// Once remembers what load gives for key during this transaction. Use it for rows that the same
// operation does not change.
func Once[K comparable, V any](c *Call, key K, load func() (V, error)) (V, error) {
	if v, ok := c.memo[key]; ok {
		return v.(V), nil
	}
	v, err := load()
	if err == nil {
		c.memo[key] = v
	}
	return v, err
}

// Known says whether Once has something for key already.
func Known[K comparable](c *Call, key K) bool {
	_, known := c.memo[key]
	return known
}

// Remember tells Once what load would give for key: for what a page's loader has read at once.
func Remember[K comparable, V any](c *Call, key K, v V) { c.memo[key] = v }

// Forget drops what Once remembers for key, after a rule has changed the row.
func Forget[K comparable](c *Call, key K) { delete(c.memo, key) }

// Update runs fn in a read-write transaction for the caller; nil is the system itself, which may
// do everything.
func (e *Engine) Update(ctx context.Context, caller *policy.Credentials, fn func(c *Call) error) error {
	return e.DB.Update(ctx, func(tx *store.Tx) error { return fn(e.call(ctx, tx, caller)) })
}

// View runs fn in a read-only transaction for the caller; nil is the system itself.
func (e *Engine) View(ctx context.Context, caller *policy.Credentials, fn func(c *Call) error) error {
	return e.DB.View(ctx, func(tx *store.Tx) error { return fn(e.call(ctx, tx, caller)) })
}

func (e *Engine) call(ctx context.Context, tx *store.Tx, caller *policy.Credentials) *Call {
	c := &Call{Context: ctx, Tx: tx, Caller: caller, Engine: e, memo: map[any]any{}, parent: parentOf(ctx)}
	if caller == nil {
		c.Caller = &policy.Credentials{}
		c.inside, c.admin, c.global = true, true, true
		return c
	}
	c.admin = e.Policy.IsAdmin(caller)
	c.global = c.admin
	for _, rule := range []string{"context_with_global_access", "context_is_advsvc", "service_api"} {
		c.global = c.global || e.Policy.Allows(rule, caller, nothing{})
	}
	return c
}

// nothing is a policy target without attributes.
type nothing struct{}

func (nothing) Attr(string) (any, bool) { return nil, false }

// Allows says whether the caller may do what rule is about to target; a nil target has no attributes.
func (c *Call) Allows(rule string, target policy.Target) bool {
	if target == nil {
		target = nothing{}
	}
	return c.Engine.Policy.Allows(rule, c.Caller, target)
}
