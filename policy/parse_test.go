package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// spell writes a check with all its parentheses.
func spell(k check) string {
	join := func(list []check, word string) string {
		var texts []string
		for _, p := range list {
			texts = append(texts, spell(p))
		}
		return "(" + strings.Join(texts, " "+word+" ") + ")"
	}
	switch k := k.(type) {
	case constant:
		return map[constant]string{true: "@", false: "!"}[k]
	case negation:
		return "not " + spell(k.check)
	case allOf:
		return join(k, "and")
	case anyOf:
		return join(k, "or")
	case *alias:
		return k.name
	default:
		return fmt.Sprintf("%T", k)
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                       "@",
		"  \t ":                                  "@",
		"@":                                      "@",
		"!":                                      "!",
		"rule:a":                                 "a",
		"rule:a or rule:b and rule:c":            "(a or (b and c))",
		"rule:a and rule:b or rule:c and rule:d": "((a and b) or (c and d))",
		"rule:a or rule:b and rule:c and rule:d": "(a or (b and c and d))",
		"(rule:a or rule:b) and rule:c":          "((a or b) and c)",
		"( rule:a OR rule:b ) And rule:c":        "((a or b) and c)",
		"not rule:a and rule:b":                  "(not a and b)",
		"not rule:a or rule:b":                   "(not a or b)",
		"not (rule:a or rule:b)":                 "not (a or b)",
		"rule:a or not rule:b and rule:c":        "(a or (not b and c))",
		"not not rule:a":                         "not not a",
		"((rule:a))":                             "a",
		"is_admin:True":                          "context_is_admin",
		"is_admin:False":                         "not context_is_admin",
		"rule:a:b:c":                             "a:b:c",
	} {
		k, err := parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if got := spell(k); got != want {
			t.Errorf("%q means %s, want %s", text, got, want)
		}
	}
}

func TestNotUnderstood(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"rule:a rule:b":               "unexpected",
		"rule:a and":                  "ends where",
		"or rule:a":                   "stands where",
		"(rule:a":                     "closing parenthesis",
		"rule:a)":                     "unexpected",
		"()":                          "stands where",
		"admin":                       "no check",
		"rule:":                       "name of a rule",
		"role:":                       "name of a role",
		"rolle:admin":                 "no check of kind",
		"http://example.org/%(name)s": "not supported",
		"https://example.org/":        "not supported",
		"field:networks:shared":       "form field:",
		"field:shared=True":           "form field:",
		"field:port:device_owner=~[":  "pattern",
		"is_admin:yes":                "True or False",
		"project_id:%(project_id)":    "%(attribute)s",
		"project_id:%(project_id)d":   "%(attribute)s",
		"project_id:%s":               "%(attribute)s",
		"project_id:%()s":             "%(attribute)s",
		"'open:%(x)s":                 "no check",
		strings.Repeat("(", 200) + "@" + strings.Repeat(")", 200): "nested deeper",
		strings.Repeat("not ", 200) + "@":                         "nested deeper",
	} {
		if k, err := parse(text); err == nil {
			t.Errorf("%q is understood as %s", text, spell(k))
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want something with %q", text, err, want)
		}
	}
}

func TestChecks(t *testing.T) {
	t.Parallel()
	caller := &Credentials{
		UserID: "u", UserName: "ann", ProjectDomainID: "None", ProjectID: "p", ProjectName: "shop",
		Roles: []string{"Member"}, ServiceRoles: []string{"service"},
	}
	target := attrs{
		"project_id": "p", "user": "u", "shared": true, "mtu": int64(1500), "vlan": 7, "name": "web", "empty": "", "null": nil,
		"network:project_id": "p", "target_tenant": "*", "device_owner": "network:dhcp", "router:external": false,
	}
	for text, want := range map[string]bool{
		"role:member":                          true,
		"role:MEMBER":                          true,
		"role:admin":                           false,
		"role:%(name)s":                        false,
		"project_id:%(project_id)s":            true,
		"tenant_id:%(tenant_id)s":              true,
		"project_id:%(network:tenant_id)s":     true,
		"project_id:%(subnet:project_id)s":     false,
		"project_id:p":                         true,
		"user_id:%(user)s":                     true,
		"user_name:ann":                        true,
		"project_name:shop":                    true,
		"domain_id:%(empty)s":                  false,
		"domain_id:%(null)s":                   false,
		"project_domain_id:%(null)s":           false,
		"domain_id:None":                       false,
		"domain_id:":                           false,
		"system_scope:all":                     false,
		"service_roles:service":                true,
		"service_roles:nova":                   false,
		"'web':%(name)s":                       true,
		`"web":%(name)s`:                       true,
		"'a:web-100%':a:%(name)s-100%%":        true,
		"None:%(null)s":                        true,
		"None:%(absent)s":                      false,
		"True:%(shared)s":                      true,
		"'True':%(shared)s":                    true,
		"1500:%(mtu)s":                         true,
		"7:%(vlan)s":                           true,
		"'':%(empty)s":                         true,
		"field:networks:shared=True":           true,
		"field:networks:shared=true":           true,
		"field:networks:shared=False":          false,
		"field:networks:shared=web":            false,
		"field:networks:router:external=False": true,
		"field:networks:mtu=1500":              true,
		"field:networks:name=web":              true,
		"field:networks:name=~we":              true,
		"field:networks:name=~eb":              false,
		"field:networks:name=~web$|x":          true,
		"field:networks:mtu=~15":               false,
		"field:networks:absent=None":           false,
		"field:networks:null=None":             false,
		"field:rbac_policy:target_project=*":   true,
		"field:rbac_policy:target_tenant=*":    true,
		"field:port:device_owner=~^network:":   true,
	} {
		e, err := New([]Default{{Name: "it", Check: text}, {Name: adminRule, Check: "!"}})
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := e.Allows("it", caller, target); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
		if e.Allows("it", caller, nil) && e.DependsOnTarget("it") && want == false {
			t.Errorf("%q: allowed without a target", text)
		}
	}
}

func TestPolicyFile(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"comments", "# nothing\n", ""},
		{"yaml", "create_network: rule:admin_only\n\"get_network\": \"@\"\n", ""},
		{"json", "{\n\t\"create_network\": \"rule:admin_only\",\n\t\"x\": [[\"role:a\", \"role:b\"], \"role:c\", []]\n}", ""},
		{"anchors", "a: &it role:x\nb: *it\n", ""},
		{"lists", "x: []\ny: [[]]\n", ""},
		{"not a mapping", "- a\n", "p.yaml:1: must be a mapping"},
		{"not YAML", "a: [", "p.yaml: yaml"},
		{"twice", "a: '@'\n\nb: '@'\na: '!'\n", `p.yaml:4: rule "a" is here twice, first in line 1`},
		{"null", "\na:\n", `p.yaml:2: rule "a": has no value`},
		{"number", "a: 1\n", `p.yaml:1: rule "a": must be text`},
		{"mapping inside", "a: {b: c}\n", `p.yaml:1: rule "a": must be text`},
		{"mistake", "b: '@'\na: role:x and\n", `p.yaml:2: rule "a": the rule ends`},
		{"two mistakes", "b: 'x'\na: role:x and\n", `p.yaml:1: rule "b": "x" is no check`},
		{"http", "a: http://h/\n", `p.yaml:1: rule "a": http: checks`},
		{"unknown rule", "a: role:x or rule:nowhere\n", `p.yaml:1: rule "a" names the rule "nowhere", which does not exist`},
		{"itself", "a: rule:a\n", `p.yaml:1: rule "a" goes round in a circle: a -> a`},
		{"circle", "a: rule:b\nb: role:x and rule:c\nc: not rule:a\n", `goes round in a circle: a -> b -> c -> a`},
		{"admin by itself", "context_is_admin: is_admin:True\n", "goes round in a circle"},
		{"circle through defaults", "context_is_admin: rule:admin_only\n", "goes round in a circle"},
		{"merge", "<<: {a: '@'}\n", "must be text"},
		{"bomb", bomb(), "comes to more than"},
	} {
		e := neutron(t)
		err := e.Load("p.yaml", []byte(test.text))
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v; want %s", test.name, err, test.want)
		}
		if test.want != "" && e.Has("a") {
			t.Errorf("%s: a refused file left a rule behind", test.name)
		}
	}
}

// bomb is a small file whose rules double at each step.
func bomb() string {
	var b strings.Builder
	b.WriteString("r0: '@'\n")
	for i := range 40 {
		fmt.Fprintf(&b, "r%d: rule:r%d and rule:r%d\n", i+1, i, i)
	}
	return b.String()
}

func TestListForm(t *testing.T) {
	t.Parallel()
	e := neutron(t)
	if err := e.Load("policy.json", []byte(`{"a": [["role:x", "role:y"], "role:z"], "b": [], "c": [[]]}`)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		rule  string
		roles []string
		want  bool
	}{
		{"a", []string{"x"}, false},
		{"a", []string{"x", "y"}, true},
		{"a", []string{"z"}, true},
		{"b", nil, true},
		{"c", []string{"x", "y", "z"}, false},
	} {
		if got := e.Allows(test.rule, &Credentials{Roles: test.roles}, nil); got != test.want {
			t.Errorf("%s with %v: %v, want %v", test.rule, test.roles, got, test.want)
		}
	}
}

// FuzzParse: whatever is understood can be asked, says the same with its parentheses written out,
// and decides for an unknown target only what it says for a known one.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "@", "!", "role:a or not (rule:b and project_id:%(network:tenant_id)s)", "((", "not", "field:a:b:c=~^x",
		"'a b':%(x)s", "is_admin:True", "%%:%%", "a:%(", "http:x", "field:networks:shared=True AND 1:%(x)s",
	} {
		f.Add(text, "x")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		defaults := []Default{{Name: "it", Check: text}, {Name: adminRule, Check: "role:admin"}, {Name: "b", Check: "role:b"}}
		e, err := New(defaults)
		if err != nil {
			return
		}
		c := &Credentials{UserID: value, ProjectID: "p", Roles: []string{value, "b"}}
		known := e.Allows("it", c, attrs{"x": value, "project_id": value, "shared": true})
		if v := e.Decide("it", c); v != Depends && (v == Yes) != known {
			t.Errorf("%q: %v without the target, %v with it", text, v, known)
		}
		if !e.DependsOnTarget("it") && e.Decide("it", c) == Depends {
			t.Errorf("%q depends on the target but says it does not", text)
		}
	})
}

// FuzzPolicyFile: no file makes the server stop, and a refused one changes nothing.
func FuzzPolicyFile(f *testing.F) {
	for _, text := range []string{"", "a: role:x", `{"a": [["role:x"]]}`, "a: *b", "a: &a [*a]", "? [a]\n: b", "<<: x", "!!binary x: y"} {
		f.Add([]byte(text))
	}
	defaults := []Default{{Name: "own", Check: "role:x"}, {Name: adminRule, Check: "role:admin"}}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := New(defaults)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Load("p.yaml", data); err != nil && !slices.Equal(sortedNames(e.rules.Load().byName), []string{adminRule, "own"}) {
			t.Error("a refused file changed the rules")
		}
		for name := range e.rules.Load().byName {
			e.Allows(name, &Credentials{Roles: []string{"x"}}, nil)
		}
	})
}
