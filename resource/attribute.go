// Package resource is the language in which a resource is declared: attributes, each bound to a
// field of a Go struct by a small function, with their rules for requests, answers, filters and SQL
// columns. It knows no resource by name, does no I/O and speaks no HTTP.
package resource

import (
	"fmt"

	"neutrino/fault"
	"neutrino/store"
)

// Attribute declares one attribute of a resource whose Go type is T. Make it by Text, Bool, Int,
// … and refine it by its methods; the zero flags mean: read-only, shown, not a filter.
type Attribute[T any] = AttributeOf[*T]

// AttributeOf is Attribute by the pointer to the resource's type (see object.go).
type AttributeOf[P any] struct {
	Name   string // wire name, e.g. "binding:host_id"
	Column string // SQL column of the resource's own table; "" when the value does not live there

	post, put bool
	required  bool
	hidden    bool
	adminOnly bool
	detail    bool
	filter    bool
	sort      bool
	policed   bool

	setDefault func(t P)
	decode     func(t P, value any) error
	encode     func(b []byte, t P) []byte
	value      func(t P) any // natural value for policy and SQL: string, bool, int, int64
	dest       func(t P) any // where SQL scans to
	filterArg  func(text string) (any, error)
	where      func(values []string, self string) (store.Cond, error)
	order      func(self string) string
	raw        bool // the column's text is the JSON that goes out
	schema     Schema
	when       func(t P) bool // objects that have the attribute; nil is all
	subKeys    bool           // the value is a map or a list of maps whose keys policy may rule on
}

// Post lets clients give the attribute on create.
func (a *AttributeOf[P]) Post() *AttributeOf[P] { a.post = true; return a }

// Put lets clients change the attribute.
func (a *AttributeOf[P]) Put() *AttributeOf[P] { a.put = true; return a }

// Required makes the attribute mandatory on create.
func (a *AttributeOf[P]) Required() *AttributeOf[P] { a.post, a.required = true, true; return a }

// Hidden keeps the attribute out of answers.
func (a *AttributeOf[P]) Hidden() *AttributeOf[P] { a.hidden = true; return a }

// Detail keeps the attribute out of lists: only a show has it.
func (a *AttributeOf[P]) Detail() *AttributeOf[P] { a.detail = true; return a }

// IsDetail says whether lists leave the attribute out.
func (a *AttributeOf[P]) IsDetail() bool { return a.detail }

// Filter lets clients filter lists by the attribute.
func (a *AttributeOf[P]) Filter() *AttributeOf[P] { a.filter = true; return a }

// Sort lets clients sort lists by the attribute, and filter by it.
func (a *AttributeOf[P]) Sort() *AttributeOf[P] { a.filter, a.sort = true, true; return a }

// SortBy lets clients sort lists by an SQL expression in place of the column; self is the alias of the resource's table.
// It must give what Value gives.
func (a *AttributeOf[P]) SortBy(expression func(self string) string) *AttributeOf[P] {
	a.filter, a.sort, a.order = true, true, expression
	return a
}

// Policed makes the policy rules <action>_<resource>:<attribute> apply when the attribute is given.
func (a *AttributeOf[P]) Policed() *AttributeOf[P] { a.policed = true; return a }

// When leaves the attribute out of objects for which has is false.
func (a *AttributeOf[P]) When(has func(t P) bool) *AttributeOf[P] { a.when = has; return a }

// Default sets the value of a create that does not give the attribute.
func (a *AttributeOf[P]) Default(set func(t P)) *AttributeOf[P] { a.setDefault = set; return a }

// Where replaces the attribute's filter. It gets the texts of the query (at least one; they are
// OR-ed) and the SQL alias of the resource's table.
func (a *AttributeOf[P]) Where(where func(values []string, self string) (store.Cond, error)) *AttributeOf[P] {
	a.filter, a.where = true, where
	return a
}

// Decoded replaces what is done with a client's value: it converts, validates and stores it.
func (a *AttributeOf[P]) Decoded(decode func(t P, value any) error) *AttributeOf[P] {
	a.decode = decode
	return a
}

// Encoded replaces how the value is written as JSON.
func (a *AttributeOf[P]) Encoded(encode func(b []byte, t P) []byte) *AttributeOf[P] {
	a.encode, a.raw = encode, false
	return a
}

// SubKeys makes policy rule on the keys of the map (or list of maps) too, as in
// create_port:fixed_ips:ip_address.
func (a *AttributeOf[P]) SubKeys() *AttributeOf[P] { a.subKeys, a.policed = true, true; return a }

// CanPost says whether a create may give the attribute.
func (a *AttributeOf[P]) CanPost() bool { return a.post }

// CanPut says whether an update may give the attribute.
func (a *AttributeOf[P]) CanPut() bool { return a.put }

// IsRequired says whether a create must give the attribute.
func (a *AttributeOf[P]) IsRequired() bool { return a.required }

// IsHidden says whether answers leave the attribute out.
func (a *AttributeOf[P]) IsHidden() bool { return a.hidden }

// In says whether an object has the attribute.
func (a *AttributeOf[P]) In(t P) bool { return a.when == nil || a.when(t) }

// IsFilter says whether lists can be filtered by the attribute.
func (a *AttributeOf[P]) IsFilter() bool { return a.filter }

// HasWhere says whether the attribute's filter was replaced.
func (a *AttributeOf[P]) HasWhere() bool { return a.where != nil }

// IsSort says whether lists can be sorted by the attribute.
func (a *AttributeOf[P]) IsSort() bool { return a.sort && a.Column != "" }

// Order is what lists that are sorted by the attribute are sorted by: SQL on the alias self.
func (a *AttributeOf[P]) Order(self string) string {
	if a.order != nil {
		return a.order(self)
	}
	return self + "." + a.Column
}

// IsPoliced says whether rules of the attribute apply when it is given.
func (a *AttributeOf[P]) IsPoliced() bool { return a.policed }

// HasSubKeys says whether rules of the value's keys apply when they are given.
func (a *AttributeOf[P]) HasSubKeys() bool { return a.subKeys }

// SetDefault gives t the attribute's default.
func (a *AttributeOf[P]) SetDefault(t P) {
	if a.setDefault != nil {
		a.setDefault(t)
	}
}

// Decode converts and validates a client's JSON value (decoded with json.Number) into t.
func (a *AttributeOf[P]) Decode(t P, value any) error {
	if a.decode == nil {
		return fault.Invalid("Attribute '%s' not allowed in POST", a.Name)
	}
	return a.decode(t, value)
}

// Append writes the value as JSON.
func (a *AttributeOf[P]) Append(b []byte, t P) []byte { return a.encode(b, t) }

// Value is the natural value (string, bool, int, int64) for policy checks; nil when it has none.
func (a *AttributeOf[P]) Value(t P) any {
	if a.value == nil {
		return nil
	}
	return a.value(t)
}

// IsRaw says whether the column's text is the value's JSON form, so that a list can copy it without
// reading it.
func (a *AttributeOf[P]) IsRaw() bool { return a.raw }

// Dest is the place that SQL scans the column to.
func (a *AttributeOf[P]) Dest(t P) any { return a.dest(t) }

// Condition turns the query's texts for this attribute into SQL; self is the alias of the
// resource's table.
func (a *AttributeOf[P]) Condition(values []string, self string) (store.Cond, error) {
	if a.where != nil {
		return a.where(values, self)
	}
	args := make([]any, len(values))
	for i, text := range values {
		arg := any(text)
		if a.filterArg != nil {
			var err error
			if arg, err = a.filterArg(text); err != nil {
				return store.Cond{}, err
			}
		}
		args[i] = arg
	}
	return store.In(self+"."+a.Column, args), nil
}

// Matcher turns the query's texts for this attribute into a test of values, for lists that are computed.
func (a *AttributeOf[P]) Matcher(values []string) (func(t P) bool, error) {
	wanted := make(map[string]bool, len(values))
	for _, text := range values {
		if a.filterArg != nil {
			arg, err := a.filterArg(text)
			if err != nil {
				return nil, err
			}
			text = fmt.Sprint(arg)
		}
		wanted[text] = true
	}
	return func(t P) bool { return wanted[fmt.Sprint(a.Value(t))] }, nil
}

// AdminOnly shows the attribute to administrators only, unless a policy rule get_<resource>:<name>
// says otherwise.
func (a *AttributeOf[P]) AdminOnly() *AttributeOf[P] { a.adminOnly = true; return a }

// IsAdminOnly says whether only administrators get the attribute.
func (a *AttributeOf[P]) IsAdminOnly() bool { return a.adminOnly }

// Valued replaces the natural value for policy and SQL.
func (a *AttributeOf[P]) Valued(value func(t P) any) *AttributeOf[P] { a.value = value; return a }

// Scanned replaces where SQL scans to.
func (a *AttributeOf[P]) Scanned(dest func(t P) any) *AttributeOf[P] { a.dest = dest; return a }
