// Package policy decides who may do what. It reads the policy language of OpenStack services (oslo.policy):
// named rules made of checks on the caller's roles and on attributes of the object in question. The
// defaults are built in; an operator's policy.yaml replaces rules by name and may change while the
// server runs.
//
// Whatever is unclear denies: unknown rules, attributes that are absent, identities that are empty.
package policy

import (
	"errors"
	"os"
	"slices"
	"sync/atomic"
)

// Credentials say who calls, as the identity service confirmed it. Empty strings mean "none" and
// match nothing.
type Credentials struct {
	UserID, UserName, UserDomainID          string
	ProjectID, ProjectName, ProjectDomainID string   // the project the token is scoped to
	DomainID                                string   // set when the token is scoped to a domain
	SystemScope                             bool     // the token is scoped to the whole system
	Roles                                   []string // with all implied roles already in it
	ServiceRoles                            []string // roles of the service that passes the call on
}

// scope is the kind of thing the token is scoped to.
func (c *Credentials) scope() string {
	switch {
	case c.SystemScope:
		return "system"
	case c.DomainID != "":
		return "domain"
	default:
		return "project"
	}
}

// Target is the object that rules look at.
type Target interface {
	// Attr gives an attribute by the name that rules use in %(name)s and field checks: "project_id",
	// "network:project_id", "ext_parent:project_id", "shared", "router:external". Values are string,
	// bool, int, int64 or nil. ok is false when there is no such attribute.
	//
	// Rules in the old spelling (tenant_id) ask for the new one first.
	Attr(name string) (value any, ok bool)
}

// Default is a rule that holds as long as policy.yaml has no rule of the same name.
type Default struct {
	Name       string   `json:"name"`
	Check      string   `json:"check"`
	Scopes     []string `json:"scopes,omitempty"`     // kinds of token that may use it; none: any
	Operations []string `json:"operations,omitempty"` // "GET /networks": what of the API asks for it
	Deprecated *struct {
		Name  string `json:"name"`  // a policy.yaml with this name means this rule
		Check string `json:"check"` // the older default, accepted too with AcceptDeprecated
	} `json:"deprecated,omitempty"`
}

// Option changes how an Enforcer works.
type Option func(*Enforcer)

// AcceptDeprecated is enforce_new_defaults=false: what the older default of a rule allowed is
// allowed too, and administrators may use every operation of the API whatever its rule says.
func AcceptDeprecated() Option { return func(e *Enforcer) { e.deprecated = true } }

// IgnoreScope is enforce_scope=false: tokens of any scope may use every rule.
func IgnoreScope() Option { return func(e *Enforcer) { e.ignoreScope = true } }

// Enforcer answers by the rules now in force. It is safe for concurrent use; rules change as a whole.
type Enforcer struct {
	defaults    []Default
	deprecated  bool
	ignoreScope bool
	rules       atomic.Pointer[ruleset]
	lastFile    atomic.Pointer[os.FileInfo] // what LoadFile read last, as it was just before
}

// adminRule says who is an administrator; is_admin:True in a rule means it.
const adminRule = "context_is_admin"

// New makes an Enforcer of the defaults. It fails when they don't make sense.
func New(defaults []Default, options ...Option) (*Enforcer, error) {
	e := &Enforcer{defaults: slices.Clone(defaults)}
	for _, o := range options {
		o(e)
	}
	if err := e.apply(nil); err != nil {
		return nil, err
	}
	return e, nil
}

// apply puts the defaults with the overrides into force, or leaves everything as it was.
func (e *Enforcer) apply(overrides []override) error {
	set, errs := link(e.defaults, overrides, e.deprecated)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	e.rules.Store(set)
	return nil
}

// Allows says whether the caller may do to the target what the rule is about. A rule that does not
// exist allows nothing; a nil target has no attributes.
func (e *Enforcer) Allows(rule string, c *Credentials, t Target) bool {
	if t == nil {
		t = bare{}
	}
	return e.decide(rule, c, t) == Yes
}

// Decide says what Allows will say for every target, if the caller alone decides it; otherwise Depends.
// Lists use it to ask once instead of for every row.
func (e *Enforcer) Decide(rule string, c *Credentials) Verdict { return e.decide(rule, c, nil) }

func (e *Enforcer) decide(name string, c *Credentials, t Target) Verdict {
	set := e.rules.Load()
	r := set.byName[name]
	if r == nil || c == nil {
		return No
	}
	if !e.ignoreScope && len(r.scopes) > 0 && !slices.Contains(r.scopes, c.scope()) {
		return No
	}
	if e.deprecated && r.operation && set.isAdmin(c) {
		return Yes
	}
	return r.check.eval(c, t)
}

// Has says whether there is a rule of this name.
func (e *Enforcer) Has(rule string) bool { return e.rules.Load().byName[rule] != nil }

// DependsOnTarget says whether the rule looks at the object at all, for any caller.
func (e *Enforcer) DependsOnTarget(rule string) bool {
	r := e.rules.Load().byName[rule]
	return r != nil && r.needsTarget
}

// IsAdmin says whether the caller is an administrator: rule context_is_admin. As all of the API's rules are for
// tokens of a project, an administrator of a domain or of the system is none here, unless scopes are ignored.
func (e *Enforcer) IsAdmin(c *Credentials) bool {
	return c != nil && (e.ignoreScope || c.scope() == "project") && e.rules.Load().isAdmin(c)
}

// bare is a target without attributes.
type bare struct{}

func (bare) Attr(string) (any, bool) { return nil, false }
