package server

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"neutrino/policy"
)

// oracle says who may do what by the check strings of the built-in policies. It reads and evaluates them by
// itself, in the most simple-minded way, so that the enforcer is held against a second opinion.
type oracle map[string]policy.Default

func newOracle(t testing.TB) oracle {
	t.Helper()
	rules, err := policy.Neutron()
	if err != nil {
		t.Fatal(err)
	}
	o := oracle{}
	for _, r := range rules {
		o[r.Name] = r
	}
	return o
}

// attributes are what a check can ask of an object.
type attributes func(name string) any

// allows says whether the caller may do what a rule is about to an object.
func (o oracle) allows(rule string, c *policy.Credentials, attr attributes) bool {
	r, known := o[rule]
	if !known {
		panic("no policy is called " + rule)
	}
	if len(r.Scopes) > 0 && (c.SystemScope || c.DomainID != "") {
		return false // all policies of the networking API are for tokens of a project
	}
	return o.says(r.Check, c, attr)
}

var checkWords = regexp.MustCompile(`'[^']*'|\(|\)|[^\s()]+(?:\([^)]*\)s?)?`)

// says evaluates a check: or binds weaker than and, and that weaker than not.
func (o oracle) says(check string, c *policy.Credentials, attr attributes) bool {
	if strings.TrimSpace(check) == "" {
		return true
	}
	e := &evaluation{oracle: o, words: checkWords.FindAllString(check, -1), c: c, attr: attr}
	result := e.or()
	if len(e.words) > 0 {
		panic(fmt.Sprintf("%q ends with %q", check, e.words))
	}
	return result
}

type evaluation struct {
	oracle
	words []string
	c     *policy.Credentials
	attr  attributes
}

// take takes the next word if it is this one.
func (e *evaluation) take(word string) bool {
	if len(e.words) == 0 || !strings.EqualFold(e.words[0], word) {
		return false
	}
	e.words = e.words[1:]
	return true
}

func (e *evaluation) or() bool {
	result := e.and()
	for e.take("or") {
		other := e.and()
		result = result || other
	}
	return result
}

func (e *evaluation) and() bool {
	result := e.not()
	for e.take("and") {
		other := e.not()
		result = result && other
	}
	return result
}

func (e *evaluation) not() bool {
	if e.take("not") {
		return !e.not()
	}
	if e.take("(") {
		result := e.or()
		if !e.take(")") {
			panic("a parenthesis is not closed")
		}
		return result
	}
	word := e.words[0]
	e.words = e.words[1:]
	return e.one(word)
}

// one evaluates one check.
func (e *evaluation) one(word string) bool {
	kind, match, _ := strings.Cut(word, ":")
	switch kind {
	case "@":
		return true
	case "!":
		return false
	case "rule":
		r, known := e.oracle[match]
		if !known {
			panic("no policy is called " + match)
		}
		return e.says(r.Check, e.c, e.attr)
	case "role":
		for _, role := range e.c.Roles {
			if role == match {
				return true
			}
		}
		return false
	case "project_id", "tenant_id":
		name := strings.TrimSuffix(strings.TrimPrefix(match, "%("), ")s")
		owner, _ := e.attr(name).(string)
		return owner != "" && owner == e.c.ProjectID // what is nobody's is not theirs who have no project
	case "field":
		_, rest, _ := strings.Cut(match, ":")
		name, want, _ := strings.Cut(rest, "=")
		have := e.attr(name)
		if have == nil {
			return false
		}
		if pattern, is := strings.CutPrefix(want, "~"); is {
			return regexp.MustCompile(pattern).MatchString(fmt.Sprint(have))
		}
		return strings.EqualFold(fmt.Sprint(have), want)
	}
	panic("unknown check " + word)
}

// TestOracle: the second opinion reads checks as the language says.
func TestOracle(t *testing.T) {
	o := newOracle(t)
	member := &policy.Credentials{ProjectID: "p", Roles: []string{"member"}}
	for check, want := range map[string]bool{
		"": true, "@": true, "!": false, "not !": true, "role:member": true, "role:mem": false, "role:admin or role:member": true,
		"@ or @ and !": true, "(@ or @) and !": false, "not ! and @": true, "not (@ and @)": false, "rule:admin_only": false, "rule:regular_user": true,
		"project_id:%(project_id)s": true, "role:member and project_id:%(network:project_id)s": false, "project_id:%(nothing)s": false,
		"field:networks:router:external=True": true, "field:port:device_owner=~^network:": true, "not field:port:device_owner=~^compute:": true, "field:x:absent=True": false,
	} {
		got := o.says(check, member, func(name string) any {
			return map[string]any{"project_id": "p", "network:project_id": "q", "router:external": true, "device_owner": "network:dhcp"}[name]
		})
		if got != want {
			t.Errorf("%q: %v", check, got)
		}
	}
}
