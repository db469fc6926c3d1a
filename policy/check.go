package policy

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Verdict is what a check says about a caller and a target.
type Verdict uint8

// The verdicts. Depends comes only from Decide, which knows no target.
const (
	No Verdict = iota
	Yes
	Depends
)

func verdict(b bool) Verdict {
	if b {
		return Yes
	}
	return No
}

// check is a node of a compiled rule. A nil target means that the target is not known yet: the
// answer is then Depends if it matters.
type check interface {
	eval(c *Credentials, t Target) Verdict
}

type (
	constant bool            // @ and !
	negation struct{ check } // not
	allOf    []check         // and
	anyOf    []check         // or
	alias    struct {        // rule:X
		name string
		rule *rule // set by link
	}
	roleCheck  struct{ name template } // role:X
	equalCheck struct {                // project_id:%(project_id)s, 'text':%(x)s
		left  operand
		right template
	}
	fieldCheck struct { // field:networks:shared=True
		names   []string // where to look, first hit counts
		text    string
		boolean *bool          // text as a boolean, if it is one
		pattern *regexp.Regexp // instead of text
	}
)

func (k constant) eval(*Credentials, Target) Verdict { return verdict(bool(k)) }

func (k negation) eval(c *Credentials, t Target) Verdict {
	switch k.check.eval(c, t) {
	case Yes:
		return No
	case No:
		return Yes
	default:
		return Depends
	}
}

func (k allOf) eval(c *Credentials, t Target) Verdict {
	sum := Yes
	for _, part := range k {
		switch part.eval(c, t) {
		case No:
			return No
		case Depends:
			sum = Depends
		}
	}
	return sum
}

func (k anyOf) eval(c *Credentials, t Target) Verdict {
	sum := No
	for _, part := range k {
		switch part.eval(c, t) {
		case Yes:
			return Yes
		case Depends:
			sum = Depends
		}
	}
	return sum
}

func (k *alias) eval(c *Credentials, t Target) Verdict { return k.rule.check.eval(c, t) }

func (k roleCheck) eval(c *Credentials, t Target) Verdict {
	if t == nil && k.name.needsTarget() {
		return Depends
	}
	name, ok := k.name.text(t)
	if !ok {
		return No
	}
	for _, role := range c.Roles {
		if strings.EqualFold(role, name) {
			return Yes
		}
	}
	return No
}

func (k equalCheck) eval(c *Credentials, t Target) Verdict {
	if t == nil && k.right.needsTarget() {
		return Depends
	}
	if k.left.literal {
		text, ok := k.right.text(t)
		return verdict(ok && text == k.left.text)
	}
	// An identity that is absent on either side must not equal another that is absent.
	text, ok := k.right.identity(t)
	if !ok {
		return No
	}
	if k.left.list != nil {
		return verdict(slices.Contains(k.left.list(c), text))
	}
	return verdict(text != "" && k.left.value(c) == text)
}

func (k fieldCheck) eval(_ *Credentials, t Target) Verdict {
	if t == nil {
		return Depends
	}
	value, ok := lookUp(t, k.names)
	if !ok || value == nil {
		return No
	}
	if k.pattern != nil {
		text, isText := value.(string)
		return verdict(isText && k.pattern.MatchString(text))
	}
	if b, isBool := value.(bool); isBool {
		return verdict(k.boolean != nil && *k.boolean == b)
	}
	return verdict(show(value) == k.text)
}

// newField compiles "RES:ATTR=VALUE" or "RES:ATTR=~PATTERN". ATTR may contain colons.
func newField(text string) (check, error) {
	resource, rest, _ := strings.Cut(text, ":")
	name, value, found := strings.Cut(rest, "=")
	if resource == "" || name == "" || !found {
		return nil, errorf("field:%s is not of the form field:RESOURCE:ATTRIBUTE=VALUE", text)
	}
	k := fieldCheck{names: spellings(name), text: value}
	if resource == "networks" && name == "shared" {
		// Ports and subnets have no such attribute: their network's counts.
		k.names = append(k.names, "network:shared")
	}
	if pattern, is := strings.CutPrefix(value, "~"); is {
		re, err := regexp.Compile(`^(?:` + pattern + `)`) // as Python's match: from the start
		if err != nil {
			return nil, errorf("field:%s: the pattern is not understood: %v", text, err)
		}
		k.pattern = re
	} else if b, err := strconv.ParseBool(strings.ToLower(value)); err == nil {
		k.boolean = &b
	}
	return k, nil
}

// parts gives the checks that k is made of, not following aliases.
func parts(k check) []check {
	switch k := k.(type) {
	case negation:
		return []check{k.check}
	case allOf:
		return k
	case anyOf:
		return k
	default:
		return nil
	}
}
