package engine

import (
	"bytes"
	"slices"
	"strings"

	"neutrino/fault"
	"neutrino/policy"
	"neutrino/resource"
)

// target shows an object to the policy engine.
type target[T any] struct {
	r *Resource[T]
	c *Call
	t *T
}

// Target shows t to policy rules, for instance as another resource's parent.
func (r *Resource[T]) Target(c *Call, t *T) policy.Target { return target[T]{r, c, t} }

// Attr implements policy.Target.
func (o target[T]) Attr(name string) (any, bool) {
	if a := o.r.byName[name]; a != nil {
		return a.Value(o.t), true
	}
	prefix, rest, found := strings.Cut(name, ":")
	if parent := o.r.Inherit[name]; parent != "" {
		prefix, rest, found = parent, name, true
	}
	if found && o.r.Parents[prefix] != nil {
		parent, err := o.r.Parents[prefix](o.c, o.t)
		if err != nil || parent == nil {
			return nil, false
		}
		return parent.Attr(rest)
	}
	return nil, false
}

// permit checks the rules of an action and of the attributes that were given. A denial lists the
// rules that were asked for, as the original does.
func (r *Resource[T]) permit(c *Call, action string, t *T, given resource.Given, creating bool) error {
	rule := action + "_" + r.Name
	rules := []string{"rule:" + rule}
	tgt := r.Target(c, t)
	allowed := c.Allows(rule, tgt)
	check := func(rule string) {
		if c.Engine.Policy.Has(rule) {
			rules = append(rules, "rule:"+rule)
			allowed = allowed && c.Allows(rule, tgt)
		}
	}
	for _, a := range r.Attributes {
		keys, sent := given[a.Name]
		if !sent || !a.IsPoliced() || creating && r.likeAbsent(a, t, keys) {
			continue
		}
		check(rule + ":" + a.Name)
		if a.HasSubKeys() {
			slices.Sort(keys)
			for _, key := range keys {
				check(rule + ":" + a.Name + ":" + key)
			}
		}
	}
	if allowed {
		return nil
	}
	text := rules[0]
	if len(rules) > 1 {
		text = "(" + strings.Join(rules, " and ") + ")"
	}
	return fault.Forbidden("%s is disallowed by policy", text)
}

// likeAbsent says whether a create that gives the attribute says no more than one that doesn't, so
// that its rules need not be asked: many clients send every default. A map or list is like an absent
// one only when it is null.
func (r *Resource[T]) likeAbsent(a *resource.Attribute[T], t *T, keys []string) bool {
	if a.HasSubKeys() {
		return keys == nil
	}
	fresh := new(T)
	a.SetDefault(fresh)
	return bytes.Equal(a.Append(nil, fresh), a.Append(nil, t))
}

// visible says whether the caller may see t.
func (r *Resource[T]) visible(c *Call, t *T) bool {
	return c.Allows("get_"+r.Name, r.Target(c, t))
}

// shown lists the attributes that the caller gets of objects like t; fields limits them further.
func (r *Resource[T]) shown(c *Call, t *T, fields []string) []*resource.Attribute[T] {
	shown := make([]*resource.Attribute[T], 0, len(r.Attributes))
	tgt := r.Target(c, t)
	for _, a := range r.Attributes {
		if a.IsHidden() || len(fields) > 0 && !slices.Contains(fields, a.Name) {
			continue
		}
		if rule := "get_" + r.Name + ":" + a.Name; c.Engine.Policy.Has(rule) {
			if !c.Allows(rule, tgt) {
				continue
			}
		} else if a.IsAdminOnly() && !c.admin {
			continue
		}
		shown = append(shown, a)
	}
	return shown
}

func appendObject[T any](b []byte, t *T, shown []*resource.Attribute[T]) []byte {
	b = append(b, '{')
	for i, a := range shown {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, '"')
		b = append(b, a.Name...)
		b = append(b, `": `...)
		b = a.Append(b, t)
	}
	return append(b, '}')
}
