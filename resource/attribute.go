// Package resource is the language in which a resource is declared: attributes, each bound to a
// field of a Go struct by a small function, with their rules for requests, answers, filters and SQL
// columns. It knows no resource by name, does no I/O and speaks no HTTP.
package resource

import (
	"neutrino/fault"
	"neutrino/store"
)

// Attribute declares one attribute of a resource whose Go type is T. Make it by Text, Bool, Int,
// … and refine it by its methods; the zero flags mean: read-only, shown, not a filter.
type Attribute[T any] struct {
	Name   string // wire name, e.g. "binding:host_id"
	Column string // SQL column of the resource's own table; "" when the value does not live there

	post, put bool
	required  bool
	hidden    bool
	adminOnly bool
	filter    bool
	sort      bool
	policed   bool

	setDefault func(t *T)
	decode     func(t *T, value any) error
	encode     func(b []byte, t *T) []byte
	value      func(t *T) any // natural value for policy and SQL: string, bool, int, int64
	dest       func(t *T) any // where SQL scans to
	filterArg  func(text string) (any, error)
	where      func(values []string, self string) (store.Cond, error)
	raw        bool // the column's text is the JSON that goes out
	subKeys    bool // the value is a map or a list of maps whose keys policy may rule on
}

// Post lets clients give the attribute on create.
func (a *Attribute[T]) Post() *Attribute[T] { a.post = true; return a }

// Put lets clients change the attribute.
func (a *Attribute[T]) Put() *Attribute[T] { a.put = true; return a }

// Required makes the attribute mandatory on create.
func (a *Attribute[T]) Required() *Attribute[T] { a.post, a.required = true, true; return a }

// Hidden keeps the attribute out of answers.
func (a *Attribute[T]) Hidden() *Attribute[T] { a.hidden = true; return a }

// Filter lets clients filter lists by the attribute.
func (a *Attribute[T]) Filter() *Attribute[T] { a.filter = true; return a }

// Sort lets clients sort lists by the attribute, and filter by it.
func (a *Attribute[T]) Sort() *Attribute[T] { a.filter, a.sort = true, true; return a }

// Policed makes the policy rules <action>_<resource>:<attribute> apply when the attribute is given.
func (a *Attribute[T]) Policed() *Attribute[T] { a.policed = true; return a }

// Default sets the value of a create that does not give the attribute.
func (a *Attribute[T]) Default(set func(t *T)) *Attribute[T] { a.setDefault = set; return a }

// Where replaces the attribute's filter. It gets the texts of the query (at least one; they are
// OR-ed) and the SQL alias of the resource's table.
func (a *Attribute[T]) Where(where func(values []string, self string) (store.Cond, error)) *Attribute[T] {
	a.filter, a.where = true, where
	return a
}

// Decoded replaces what is done with a client's value: it converts, validates and stores it.
func (a *Attribute[T]) Decoded(decode func(t *T, value any) error) *Attribute[T] {
	a.decode = decode
	return a
}

// Encoded replaces how the value is written as JSON.
func (a *Attribute[T]) Encoded(encode func(b []byte, t *T) []byte) *Attribute[T] {
	a.encode, a.raw = encode, false
	return a
}

// SubKeys makes policy rule on the keys of the map (or list of maps) too, as in
// create_port:fixed_ips:ip_address.
func (a *Attribute[T]) SubKeys() *Attribute[T] { a.subKeys, a.policed = true, true; return a }

// CanPost says whether a create may give the attribute.
func (a *Attribute[T]) CanPost() bool { return a.post }

// CanPut says whether an update may give the attribute.
func (a *Attribute[T]) CanPut() bool { return a.put }

// IsRequired says whether a create must give the attribute.
func (a *Attribute[T]) IsRequired() bool { return a.required }

// IsHidden says whether answers leave the attribute out.
func (a *Attribute[T]) IsHidden() bool { return a.hidden }

// IsFilter says whether lists can be filtered by the attribute.
func (a *Attribute[T]) IsFilter() bool { return a.filter }

// HasWhere says whether the attribute's filter was replaced.
func (a *Attribute[T]) HasWhere() bool { return a.where != nil }

// IsSort says whether lists can be sorted by the attribute.
func (a *Attribute[T]) IsSort() bool { return a.sort && a.Column != "" }

// IsPoliced says whether rules of the attribute apply when it is given.
func (a *Attribute[T]) IsPoliced() bool { return a.policed }

// HasSubKeys says whether rules of the value's keys apply when they are given.
func (a *Attribute[T]) HasSubKeys() bool { return a.subKeys }

// SetDefault gives t the attribute's default.
func (a *Attribute[T]) SetDefault(t *T) {
	if a.setDefault != nil {
		a.setDefault(t)
	}
}

// Decode converts and validates a client's JSON value (decoded with json.Number) into t.
func (a *Attribute[T]) Decode(t *T, value any) error {
	if a.decode == nil {
		return fault.Invalid("Attribute '%s' not allowed in POST", a.Name)
	}
	return a.decode(t, value)
}

// Append writes the value as JSON.
func (a *Attribute[T]) Append(b []byte, t *T) []byte { return a.encode(b, t) }

// Value is the natural value (string, bool, int, int64) for policy checks; nil when it has none.
func (a *Attribute[T]) Value(t *T) any {
	if a.value == nil {
		return nil
	}
	return a.value(t)
}

// IsRaw says whether the column's text is the value's JSON form, so that a list can copy it without
// reading it.
func (a *Attribute[T]) IsRaw() bool { return a.raw }

// Dest is the place that SQL scans the column to.
func (a *Attribute[T]) Dest(t *T) any { return a.dest(t) }

// Condition turns the query's texts for this attribute into SQL; self is the alias of the
// resource's table.
func (a *Attribute[T]) Condition(values []string, self string) (store.Cond, error) {
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

// AdminOnly shows the attribute to administrators only, unless a policy rule get_<resource>:<name>
// says otherwise.
func (a *Attribute[T]) AdminOnly() *Attribute[T] { a.adminOnly = true; return a }

// IsAdminOnly says whether only administrators get the attribute.
func (a *Attribute[T]) IsAdminOnly() bool { return a.adminOnly }

// Valued replaces the natural value for policy and SQL.
func (a *Attribute[T]) Valued(value func(t *T) any) *Attribute[T] { a.value = value; return a }

// Scanned replaces where SQL scans to.
func (a *Attribute[T]) Scanned(dest func(t *T) any) *Attribute[T] { a.dest = dest; return a }
