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
type target[P any] struct {
	r *ResourceOf[P]
	c *Call
	t P
}

// Target shows t to policy rules, for instance as another resource's parent.
func (r *ResourceOf[P]) Target(c *Call, t P) policy.Target { return target[P]{r, c, t} }

// Attr implements policy.Target.
func (o target[P]) Attr(name string) (any, bool) {
	if a := o.r.byName[name]; a != nil {
		t := o.t
		if a.Column == "" && o.r.partial(t) {
			var err error
			if t, err = o.r.whole(o.c, t); err != nil {
				return nil, false
			}
		}
		return a.Value(t), true
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
func (r *ResourceOf[P]) permit(c *Call, action string, t P, given resource.Given, creating bool) error {
	rule := action + "_" + r.Rule
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
	if !creating && r.Discreet && !c.Allows("get_"+r.Rule, unshared{tgt}) {
		return fault.NotFound("HTTPNotFound", "The resource could not be found.")
	}
	return denied(rules)
}

// permitAction checks an action's rule, and those of the attribute that its body gives, if it has any.
func (r *ResourceOf[P]) permitAction(c *Call, rule, attribute string, t P, body map[string]any) error {
	rules := []string{"rule:" + rule}
	given := resource.Given{}
	if object, ok := body[r.Name].(map[string]any); ok && attribute != "" && object[attribute] != nil {
		given.Note(attribute, object[attribute])
		for _, further := range append([]string{""}, slices.Sorted(slices.Values(given[attribute]))...) {
			name := rule + ":" + attribute
			if further != "" {
				name += ":" + further
			}
			if c.Engine.Policy.Has(name) {
				rules = append(rules, "rule:"+name)
			}
		}
	}
	for _, name := range rules {
		if !c.Allows(strings.TrimPrefix(name, "rule:"), r.Target(c, t)) {
			return denied(rules)
		}
	}
	return nil
}

// denied lists the rules that were asked for.
func denied(rules []string) error {
	text := rules[0]
	if len(rules) > 1 {
		text = "(" + strings.Join(rules, " and ") + ")"
	}
	return fault.Forbidden("%s is disallowed by policy", text)
}

// unshared is an object without what others share of it.
type unshared struct{ policy.Target }

// Attr implements policy.Target.
func (o unshared) Attr(name string) (any, bool) {
	if name == "shared" {
		return false, true
	}
	return o.Target.Attr(name)
}

// likeAbsent says whether a create that gives the attribute says no more than one that doesn't, so
// that its rules need not be asked: many clients send every default. A map or list is like an absent
// one only when it is null.
func (r *ResourceOf[P]) likeAbsent(a *resource.AttributeOf[P], t P, keys []string) bool {
	if a.HasSubKeys() {
		return keys == nil
	}
	fresh := resource.New[P]()
	a.SetDefault(fresh)
	return bytes.Equal(a.Append(nil, fresh), a.Append(nil, t))
}

// visible says whether the caller may see t.
func (r *ResourceOf[P]) visible(c *Call, t P) bool {
	return c.Allows("get_"+r.Rule, r.Target(c, t))
}

// shown lists the attributes that the caller gets of t; fields limits them further.
func (r *ResourceOf[P]) shown(c *Call, t P, fields []string) []*resource.AttributeOf[P] {
	r.mustBeWhole(t)
	shown := make([]*resource.AttributeOf[P], 0, len(r.Attributes))
	tgt := r.Target(c, t)
	for _, a := range r.Attributes {
		if a.IsHidden() || len(fields) > 0 && !slices.Contains(fields, a.Name) {
			continue
		}
		if rule := "get_" + r.Rule + ":" + a.Name; c.Engine.Policy.Has(rule) {
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

// columns are the attributes that a list shows. What the caller alone decides is decided once; the rest is asked of
// each object.
type columns[P any] struct {
	r     *ResourceOf[P]
	c     *Call
	all   []*resource.AttributeOf[P]
	rules []string // for each of all the rule that decides; "" is always. nil: none is asked
	shown []*resource.AttributeOf[P]
}

// columns finds what a list shows; fields limits it further.
func (r *ResourceOf[P]) columns(c *Call, fields []string) *columns[P] {
	list := &columns[P]{r: r, c: c}
	rules, asked := []string{}, false
	for _, a := range r.Attributes {
		if a.IsHidden() || a.IsDetail() || len(fields) > 0 && !slices.Contains(fields, a.Name) {
			continue
		}
		rule := "get_" + r.Rule + ":" + a.Name
		switch {
		case !c.Engine.Policy.Has(rule):
			if a.IsAdminOnly() && !c.admin {
				continue
			}
			rule = ""
		default:
			verdict := c.Engine.Policy.Decide(rule, c.Caller)
			if verdict == policy.No {
				continue
			}
			if verdict == policy.Yes {
				rule = ""
			}
		}
		asked = asked || rule != ""
		list.all, rules = append(list.all, a), append(rules, rule)
	}
	if asked {
		list.rules = rules
	}
	return list
}

// of lists the attributes of t that the caller gets. The slice is good until the next call.
func (l *columns[P]) of(t P) []*resource.AttributeOf[P] {
	if l.rules == nil {
		return l.all
	}
	tgt := l.r.Target(l.c, t)
	l.shown = l.shown[:0]
	for i, a := range l.all {
		if rule := l.rules[i]; rule == "" || l.c.Allows(rule, tgt) {
			l.shown = append(l.shown, a)
		}
	}
	return l.shown
}

func appendObject[P any](b []byte, t P, shown []*resource.AttributeOf[P]) []byte {
	b = append(b, '{')
	for _, a := range shown {
		if !a.In(t) {
			continue
		}
		if b[len(b)-1] != '{' {
			b = append(b, ", "...)
		}
		b = append(b, '"')
		b = append(b, a.Name...)
		b = append(b, `": `...)
		b = a.Append(b, t)
	}
	return append(b, '}')
}
