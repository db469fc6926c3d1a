package policy

import (
	"fmt"
	"strings"
)

// maxNesting limits how deep parentheses and "not" may nest.
const maxNesting = 100

func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// parse compiles a rule in the text form: checks joined by "and", "or", "not" (in any case) and
// parentheses. "not" binds tightest, then "and", then "or". An empty rule allows everything.
func parse(text string) (check, error) {
	p := &parser{tokens: tokens(text)}
	if len(p.tokens) == 0 {
		return constant(true), nil
	}
	k, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if len(p.tokens) > 0 {
		return nil, errorf("%q is unexpected after a complete check; join checks with and / or", p.tokens[0].text)
	}
	return k, nil
}

// parseLists compiles a rule in the old form: any of the outer list, all of each inner list.
func parseLists(lists [][]string) (check, error) {
	if len(lists) == 0 {
		return constant(true), nil
	}
	var outer anyOf
	for _, list := range lists {
		var inner allOf
		for _, text := range list {
			k, err := newCheck(text)
			if err != nil {
				return nil, err
			}
			inner = append(inner, k)
		}
		if len(inner) > 0 { // an empty inner list adds nothing, neither here nor in the original
			outer = append(outer, inner)
		}
	}
	return outer, nil
}

// token is a parenthesis, a word of the language or a check.
type token struct {
	kind string // "(", ")", "and", "or", "not" or "check"
	text string
}

// tokens splits at white space; parentheses count only at the ends of what is between.
func tokens(text string) []token {
	var list []token
	for _, word := range strings.Fields(text) {
		for strings.HasPrefix(word, "(") {
			list = append(list, token{"(", "("})
			word = word[1:]
		}
		inner := strings.TrimRight(word, ")")
		if inner != "" {
			kind := "check"
			if low := strings.ToLower(inner); low == "and" || low == "or" || low == "not" {
				kind = low
			}
			list = append(list, token{kind, inner})
		}
		for range len(word) - len(inner) {
			list = append(list, token{")", ")"})
		}
	}
	return list
}

type parser struct {
	tokens []token
}

// take removes the next token if it is of the kind.
func (p *parser) take(kind string) bool {
	if len(p.tokens) == 0 || p.tokens[0].kind != kind {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func (p *parser) or(depth int) (check, error) {
	first, err := p.and(depth)
	if err != nil || len(p.tokens) == 0 || p.tokens[0].kind != "or" {
		return first, err
	}
	list := anyOf{first}
	for p.take("or") {
		next, err := p.and(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, next)
	}
	return list, nil
}

func (p *parser) and(depth int) (check, error) {
	first, err := p.unary(depth)
	if err != nil || len(p.tokens) == 0 || p.tokens[0].kind != "and" {
		return first, err
	}
	list := allOf{first}
	for p.take("and") {
		next, err := p.unary(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, next)
	}
	return list, nil
}

func (p *parser) unary(depth int) (check, error) {
	if depth > maxNesting {
		return nil, errorf("parentheses or not are nested deeper than %d", maxNesting)
	}
	switch {
	case len(p.tokens) == 0:
		return nil, errorf("the rule ends where a check is expected")
	case p.take("not"):
		k, err := p.unary(depth + 1)
		if err != nil {
			return nil, err
		}
		return negation{k}, nil
	case p.take("("):
		k, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.take(")") {
			return nil, errorf("a closing parenthesis is missing")
		}
		return k, nil
	case p.tokens[0].kind == "check":
		text := p.tokens[0].text
		p.tokens = p.tokens[1:]
		return newCheck(text)
	default:
		return nil, errorf("%q stands where a check is expected", p.tokens[0].text)
	}
}

// newCheck compiles one check: "@", "!" or "kind:match".
func newCheck(text string) (check, error) {
	switch text {
	case "@":
		return constant(true), nil
	case "!":
		return constant(false), nil
	}
	kind, match, found := cutKind(text)
	if !found {
		return nil, errorf("%q is no check; checks look like role:member, rule:owner, @ or !", text)
	}
	switch kind {
	case "rule":
		if match == "" {
			return nil, errorf("rule: needs the name of a rule")
		}
		return &alias{name: match}, nil
	case "field":
		return newField(match)
	case "http", "https":
		return nil, errorf("%s: checks, which ask another server, are not supported", kind)
	case "is_admin":
		switch match {
		case "True":
			return &alias{name: adminRule}, nil
		case "False":
			return negation{&alias{name: adminRule}}, nil
		}
		return nil, errorf("is_admin:%s: is_admin is True or False", match)
	}
	right, err := newTemplate(match)
	if err != nil {
		return nil, err
	}
	if kind == "role" {
		if match == "" {
			return nil, errorf("role: needs the name of a role")
		}
		return roleCheck{right}, nil
	}
	left, err := newOperand(kind)
	if err != nil {
		return nil, err
	}
	return equalCheck{left, right}, nil
}

// cutKind splits at the first colon, which a literal in quotes may contain.
func cutKind(text string) (kind, match string, found bool) {
	if text != "" && (text[0] == '\'' || text[0] == '"') {
		if end := strings.IndexByte(text[1:], text[0]); end >= 0 && strings.HasPrefix(text[end+2:], ":") {
			return text[:end+2], text[end+3:], true
		}
		return "", "", false
	}
	return strings.Cut(text, ":")
}
