package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// operand is the left side of a comparison: something of the caller's, or a literal.
type operand struct {
	literal bool
	text    string
	value   func(*Credentials) string
	list    func(*Credentials) []string
}

// callers lists what rules may say about the caller.
var callers = map[string]operand{
	"user_id":           {value: func(c *Credentials) string { return c.UserID }},
	"user":              {value: func(c *Credentials) string { return c.UserID }},
	"user_name":         {value: func(c *Credentials) string { return c.UserName }},
	"user_domain_id":    {value: func(c *Credentials) string { return c.UserDomainID }},
	"project_id":        {value: func(c *Credentials) string { return c.ProjectID }},
	"project":           {value: func(c *Credentials) string { return c.ProjectID }},
	"tenant_id":         {value: func(c *Credentials) string { return c.ProjectID }},
	"tenant":            {value: func(c *Credentials) string { return c.ProjectID }},
	"project_name":      {value: func(c *Credentials) string { return c.ProjectName }},
	"tenant_name":       {value: func(c *Credentials) string { return c.ProjectName }},
	"project_domain_id": {value: func(c *Credentials) string { return c.ProjectDomainID }},
	"domain_id":         {value: func(c *Credentials) string { return c.DomainID }},
	"system_scope": {value: func(c *Credentials) string {
		if c.SystemScope {
			return "all"
		}
		return ""
	}},
	"is_admin_project": {value: func(*Credentials) string { return "True" }},
	"roles":            {list: func(c *Credentials) []string { return c.Roles }},
	"service_roles":    {list: func(c *Credentials) []string { return c.ServiceRoles }},
}

// newOperand finds what kind, the part of a check before the colon, stands for.
func newOperand(kind string) (operand, error) {
	if o, ok := callers[kind]; ok {
		return o, nil
	}
	if n := len(kind); n >= 2 && (kind[0] == '\'' || kind[0] == '"') && kind[n-1] == kind[0] {
		return operand{literal: true, text: kind[1 : n-1]}, nil
	}
	if _, err := strconv.ParseInt(kind, 10, 64); err == nil || kind == "True" || kind == "False" || kind == "None" {
		return operand{literal: true, text: kind}, nil
	}
	return operand{}, errorf("there is no check of kind %q; known are role, rule, field, is_admin, %s, and literals in quotes",
		kind, strings.Join(slices.Sorted(maps.Keys(callers)), ", "))
}

// template is the right side of a comparison: text with %(name)s in it.
type template struct {
	pieces []piece
}

// piece is a literal or, with names, an attribute of the target.
type piece struct {
	literal string
	names   []string
}

// newTemplate understands %(name)s and %%.
func newTemplate(text string) (template, error) {
	var t template
	var literal strings.Builder
	for rest := text; ; {
		before, after, found := strings.Cut(rest, "%")
		literal.WriteString(before)
		if !found {
			break
		}
		if tail, is := strings.CutPrefix(after, "%"); is {
			literal.WriteByte('%')
			rest = tail
			continue
		}
		name, tail, closed := strings.Cut(after, ")s")
		if !strings.HasPrefix(name, "(") || !closed || len(name) < 2 || strings.ContainsAny(name[1:], "()%") {
			return t, errorf("%q: a %% must begin %%(attribute)s or be doubled", text)
		}
		if literal.Len() > 0 {
			t.pieces = append(t.pieces, piece{literal: literal.String()})
			literal.Reset()
		}
		t.pieces = append(t.pieces, piece{names: spellings(name[1:])})
		rest = tail
	}
	if literal.Len() > 0 || len(t.pieces) == 0 {
		t.pieces = append(t.pieces, piece{literal: literal.String()})
	}
	return t, nil
}

func (t template) needsTarget() bool {
	return slices.ContainsFunc(t.pieces, func(p piece) bool { return p.names != nil })
}

// text fills the template; false when an attribute is missing. Null becomes "None", as rules spell it.
func (t template) text(target Target) (string, bool) { return t.fill(target, true) }

// identity fills the template; false when an attribute is missing or null.
func (t template) identity(target Target) (string, bool) { return t.fill(target, false) }

func (t template) fill(target Target, null bool) (string, bool) {
	if len(t.pieces) == 1 {
		return t.pieces[0].fill(target, null)
	}
	var b strings.Builder
	for _, p := range t.pieces {
		text, ok := p.fill(target, null)
		if !ok {
			return "", false
		}
		b.WriteString(text)
	}
	return b.String(), true
}

func (p piece) fill(target Target, null bool) (string, bool) {
	if p.names == nil {
		return p.literal, true
	}
	value, ok := lookUp(target, p.names)
	if !ok || value == nil && !null {
		return "", false
	}
	return show(value), true
}

// lookUp gives the first of the names that the target has.
func lookUp(target Target, names []string) (any, bool) {
	if target == nil {
		return nil, false
	}
	for _, name := range names {
		if value, ok := target.Attr(name); ok {
			return value, true
		}
	}
	return nil, false
}

// spellings gives an attribute's names in the new and the old spelling, new first.
func spellings(name string) []string {
	last := name[strings.LastIndexByte(name, ':')+1:]
	head := name[:len(name)-len(last)]
	pairs := [][2]string{{"project_id", "tenant_id"}, {"target_project", "target_tenant"}}
	for _, pair := range pairs {
		if last == pair[0] || last == pair[1] {
			return []string{head + pair[0], head + pair[1]}
		}
	}
	return []string{name}
}

// show gives a value as rules spell it.
func show(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		if v {
			return "True"
		}
		return "False"
	case nil:
		return "None"
	case int64:
		return strconv.FormatInt(v, 10)
	default:
		return fmt.Sprint(v)
	}
}
