package policy

import (
	"fmt"
	"slices"
	"strings"
)

// maxCost limits how many checks one rule may come to with all the rules it names.
const maxCost = 10_000

// ruleset is a complete set of rules whose references are resolved.
type ruleset struct {
	byName map[string]*rule
	admin  *rule
}

// rule is one compiled rule.
type rule struct {
	name        string
	origin      string // "policy.yaml:12" or "default"
	check       check
	scopes      []string
	operation   bool // the API asks for it directly
	needsTarget bool
	cost        int
	state       state
}

type state uint8

const (
	untouched state = iota
	inWork
	resolved
)

func (s *ruleset) isAdmin(c *Credentials) bool {
	return s.admin != nil && s.admin.check.eval(c, bare{}) == Yes
}

// override is a rule of an operator's file.
type override struct {
	name, origin string
	check        check
}

// link joins defaults and overrides and resolves what rules say about each other. It reports every
// rule that is wrong.
func link(defaults []Default, overrides []override, deprecated bool) (*ruleset, []error) {
	var errs []error
	set := &ruleset{byName: make(map[string]*rule, len(defaults)+len(overrides))}
	for _, d := range defaults {
		k, err := defaultCheck(d, deprecated)
		if err != nil {
			errs = append(errs, fmt.Errorf("default rule %q: %w", d.Name, err))
			continue
		}
		set.byName[d.Name] = &rule{name: d.Name, origin: "default", check: k, scopes: d.Scopes, operation: len(d.Operations) > 0}
	}
	given := map[string]override{}
	for _, o := range overrides {
		given[o.name] = o
		r := set.byName[o.name]
		if r == nil {
			r = &rule{name: o.name}
			set.byName[o.name] = r
		}
		r.check, r.origin = o.check, o.origin
	}
	for _, d := range defaults {
		if d.Deprecated == nil || d.Deprecated.Name == d.Name {
			continue
		}
		old, isOld := given[d.Deprecated.Name]
		if _, isNew := given[d.Name]; isOld && !isNew && set.byName[d.Name] != nil {
			r := set.byName[d.Name]
			r.check, r.origin = &alias{name: old.name}, old.origin
		}
	}
	for _, name := range sortedNames(set.byName) {
		if err := set.resolve(set.byName[name], nil); err != nil {
			errs = append(errs, err)
		}
	}
	for _, r := range set.byName {
		callersFirst(r.check)
	}
	set.admin = set.byName[adminRule]
	return set, errs
}

func defaultCheck(d Default, deprecated bool) (check, error) {
	k, err := parse(d.Check)
	if err != nil || !deprecated || d.Deprecated == nil || d.Deprecated.Check == d.Check {
		return k, err
	}
	old, err := parse(d.Deprecated.Check)
	return anyOf{k, old}, err
}

// resolve points the aliases of r at their rules, and theirs, and adds up what r costs. path is how
// we came here.
func (s *ruleset) resolve(r *rule, path []string) error {
	if r.state == resolved {
		return nil
	}
	path = append(path, r.name)
	if r.state == inWork {
		loop := path[slices.Index(path, r.name):]
		return r.wrong("goes round in a circle: %s", strings.Join(loop, " -> "))
	}
	r.state = inWork
	err := s.resolveCheck(r, r.check, path)
	r.state = resolved
	return err
}

func (s *ruleset) resolveCheck(r *rule, k check, path []string) error {
	r.cost++
	switch k := k.(type) {
	case *alias:
		to := s.byName[k.name]
		if to == nil {
			return r.wrong("names the rule %q, which does not exist", k.name)
		}
		if err := s.resolve(to, path); err != nil {
			return err
		}
		k.rule = to
		r.cost += to.cost
		r.needsTarget = r.needsTarget || to.needsTarget
	case fieldCheck:
		r.needsTarget = true
	case equalCheck:
		r.needsTarget = r.needsTarget || k.right.needsTarget()
	case roleCheck:
		r.needsTarget = r.needsTarget || k.name.needsTarget()
	}
	if r.cost > maxCost {
		return r.wrong("comes to more than %d checks with the rules that it names", maxCost)
	}
	for _, part := range parts(k) {
		if err := s.resolveCheck(r, part, path); err != nil {
			return err
		}
	}
	return nil
}

// callersFirst puts what only the caller decides before what must look at the object, wherever one of several is
// enough: an object's attribute may have to be read first.
func callersFirst(k check) {
	if list, is := k.(anyOf); is {
		slices.SortStableFunc(list, func(a, b check) int {
			switch x, y := looksAtTarget(a), looksAtTarget(b); {
			case x == y:
				return 0
			case x:
				return 1
			}
			return -1
		})
	}
	for _, part := range parts(k) {
		callersFirst(part)
	}
}

func looksAtTarget(k check) bool {
	switch k := k.(type) {
	case *alias:
		return k.rule != nil && k.rule.needsTarget
	case fieldCheck:
		return true
	case equalCheck:
		return k.right.needsTarget()
	case roleCheck:
		return k.name.needsTarget()
	}
	return slices.ContainsFunc(parts(k), looksAtTarget)
}

func (r *rule) wrong(format string, args ...any) error {
	return fmt.Errorf("%s: rule %q %s", r.origin, r.name, fmt.Sprintf(format, args...))
}

func sortedNames(rules map[string]*rule) []string {
	names := make([]string, 0, len(rules))
	for name := range rules {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
