package engine

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"neutrino/fault"
	"neutrino/policy"
	"neutrino/resource"
	"neutrino/store"
)

// Query is what a client asks of a list or a show.
type Query struct {
	Values url.Values
	URL    string // absolute URL of the request without its query, for links
}

// listing is a Query made sense of.
type listing struct {
	cond    store.Cond
	fields  []string
	sorts   []sorting
	limit   int // 0: none
	reverse bool
	paged   bool
	marker  string
	texts   map[string][]string // filters of a computed list
	none    bool                // the caller may see no object at all
}

type sorting struct {
	column string
	by     string // SQL
	attr   int
	desc   bool
}

// What a query may ask for at most. A name's values become the arguments of one IN; those of a filter
// that is more than a comparison become an expression each, and databases bound how large it may grow.
const (
	maxValues       = 5000
	maxAlternatives = 500
)

// flushSize is how much of an answer is collected before it goes out.
const flushSize = 32 << 10

// List writes the objects that the caller may see and that meet the query, as {"ports": […]}. The
// number of SQL statements does not depend on the number of objects, and rows go out as they come.
func (r *ResourceOf[P]) List(ctx context.Context, caller *policy.Credentials, q Query, w io.Writer) error {
	if r.NoList {
		return methodNotAllowed()
	}
	if r.Touched != nil {
		if err := r.Touched(ctx, caller); err != nil {
			return err
		}
	}
	return r.engine.View(ctx, caller, func(c *Call) error { return r.list(c, q, w) })
}

func (r *ResourceOf[P]) list(c *Call, q Query, w io.Writer) error {
	c.listing, c.query = true, q.Values
	l, err := r.parse(c, q.Values)
	if err != nil {
		return err
	}
	if err := r.enter(c); err != nil {
		return err
	}
	if !c.admin && !c.Engine.Policy.DependsOnTarget("get_"+r.Rule) && !c.Allows("get_"+r.Rule, nil) {
		l.cond, l.none = store.Never(), true
	}
	if r.From != nil {
		return r.listComputed(c, l, q, w)
	}
	order, cond := "", l.cond
	if l.paged || len(l.sorts) > 0 {
		after, err := r.afterMarker(c, l)
		if err != nil {
			return err
		}
		cond = store.And(cond, after)
		order = orderBy(l)
	}
	tail, args := cond.Clause()+order, cond.Args
	if l.limit > 0 {
		tail, args = tail+" LIMIT ?", append(slices.Clone(args), l.limit)
	}
	attach, err := r.load(c, Page{SQL: "SELECT t.id FROM " + r.Table + " t" + tail, Args: args, all: tail == ""})
	if err != nil {
		return err
	}

	b := append(make([]byte, 0, flushSize+4096), `{"`+r.Plural+`": [`...)
	columns := r.columns(c, l.fields)
	var reversed [][]byte // a page read backwards is turned round at its end
	var first, last string
	count := 0
	row := r.newRow()
	t := row.object
	err = c.Tx.Each(func(rows *sql.Rows) error {
		if err := row.scan(rows); err != nil {
			return err
		}
		for _, f := range attach {
			f(t)
		}
		count++
		if l.paged {
			if last = r.id(t); first == "" {
				first = last
			}
		}
		if !c.admin && !r.visible(c, t) {
			return nil
		}
		shown := columns.of(t)
		if l.reverse {
			reversed = append(reversed, row.append(nil, shown))
			return nil
		}
		if b[len(b)-1] != '[' {
			b = append(b, ", "...)
		}
		b = row.append(b, shown)
		if len(b) >= flushSize {
			// the last byte stays, so that the next object sees that there is one before it
			if _, err := w.Write(b[:len(b)-1]); err != nil {
				return err
			}
			b = append(b[:0], b[len(b)-1])
		}
		return nil
	}, "SELECT "+r.sql.list+" FROM "+r.Table+" t"+tail, args...)
	if err != nil {
		return err
	}
	for _, object := range slices.Backward(reversed) {
		if b[len(b)-1] != '[' {
			b = append(b, ", "...)
		}
		b = append(b, object...)
	}
	if l.reverse {
		first, last = last, first
	}
	b = append(b, ']')
	if l.limit > 0 && l.paged {
		b = r.appendLinks(b, q, l, first, last, count)
	}
	_, err = w.Write(append(b, '}'))
	return err
}

// parse makes sense of a query.
func (r *ResourceOf[P]) parse(c *Call, values url.Values) (*listing, error) {
	l := &listing{fields: fieldsOf(values)}
	var unknown []string
	conds := []store.Cond{r.scope(c), r.within(c)}
	if one, other := values["project_id"], values["tenant_id"]; len(one) > 0 && len(other) > 0 && !slices.Equal(one, other) {
		return nil, fault.Invalid("'project_id' and 'tenant_id' do not match")
	}
	for _, key := range slices.Sorted(keys(values)) {
		texts := values[key]
		switch key {
		case "fields", "sort_key", "sort_dir":
			continue
		case "limit":
			limit, err := strconv.Atoi(texts[0])
			if err != nil || limit < 0 {
				return nil, fault.BadRequest("BadRequest", "Bad limit request: Limit must be an integer 0 or greater and not '%s'.", texts[0])
			}
			l.limit, l.paged = limit, limit > 0
			continue
		case "marker":
			l.marker = texts[0]
			continue
		case "page_reverse":
			l.reverse = strings.EqualFold(texts[0], "true")
			continue
		}
		var cond store.Cond
		var err error
		f, a := r.Filters[key], r.byName[key]
		switch {
		case a != nil && (f != nil || a.IsFilter()) && r.hides(c, a):
			cond, l.none = store.Never(), true
		case f != nil:
			if err = checkCount(key, alternatives(texts), maxAlternatives); err == nil {
				cond, err = f(c, texts, "t")
			}
		case a != nil && a.IsFilter() && r.From != nil:
			if l.texts == nil {
				l.texts = map[string][]string{}
			}
			l.texts[key] = texts
			continue
		case a != nil && a.IsFilter():
			most := maxValues
			if a.HasWhere() {
				most = maxAlternatives
			}
			if err = checkCount(key, len(texts), most); err == nil {
				cond, err = a.Condition(texts, "t")
			}
		default:
			unknown = append(unknown, key)
			continue
		}
		if err != nil {
			return nil, err
		}
		conds = append(conds, cond)
	}
	if len(unknown) > 0 {
		return nil, fault.Invalid("['%s'] is invalid attribute for filtering", strings.Join(unknown, "', '"))
	}
	l.cond = store.And(conds...)
	l.reverse = l.reverse && l.paged
	return l, r.parseSorts(l, values["sort_key"], values["sort_dir"])
}

// hides says whether policy shows an attribute of no object to the caller. A filter by it finds nothing, or it would tell what
// answers leave out: on which host a port is, for instance.
func (r *ResourceOf[P]) hides(c *Call, a *resource.AttributeOf[P]) bool {
	rule := "get_" + r.Rule + ":" + a.Name
	return c.Engine.Policy.Has(rule) && c.Engine.Policy.Decide(rule, c.Caller) == policy.No
}

// alternatives counts values that may be lists with commas.
func alternatives(texts []string) int {
	n := len(texts)
	for _, text := range texts {
		n += strings.Count(text, ",")
	}
	return n
}

func checkCount(key string, n, most int) error {
	if n > most {
		return fault.Invalid("Invalid input for %s. Reason: %d values are more than the %d that a filter may have.", key, n, most)
	}
	return nil
}

// fieldsOf lists the attributes that a query asks for; none means all. Empty names say nothing.
func fieldsOf(values url.Values) []string {
	return slices.DeleteFunc(slices.Clone(values["fields"]), func(name string) bool { return name == "" })
}

func (r *ResourceOf[P]) sortingBy(col column) sorting {
	return sorting{column: col.name, by: r.Attributes[col.attr].Order("t"), attr: col.attr}
}

func (r *ResourceOf[P]) parseSorts(l *listing, sortKeys, dirs []string) error {
	if len(sortKeys) != len(dirs) {
		return fault.Invalid("The number of sort_keys and sort_dirs must be same")
	}
	byID := false
	for i, key := range sortKeys {
		at := slices.IndexFunc(r.sql.columns, func(col column) bool {
			a := r.byName[key]
			return a != nil && a.IsSort() && col.name == a.Column
		})
		if at < 0 {
			return fault.Invalid("['%s'] is invalid attribute for sort_keys", key)
		}
		s := r.sortingBy(r.sql.columns[at])
		switch dirs[i] {
		case "asc":
		case "desc":
			s.desc = true
		default:
			return fault.Invalid("['%s'] is invalid value for sort_dirs, valid value is 'asc' and 'desc'", dirs[i])
		}
		if slices.ContainsFunc(l.sorts, func(have sorting) bool { return have.column == s.column }) {
			continue // the first of two decides
		}
		byID = byID || s.column == "id"
		l.sorts = append(l.sorts, s)
	}
	if (l.paged || len(l.sorts) > 0) && !byID {
		for _, col := range r.sql.columns {
			if col.name == "id" {
				l.sorts = append(l.sorts, r.sortingBy(col))
			}
		}
	}
	return nil
}

// scope is what the caller may see at all, as SQL: the policy has the last word on each row.
func (r *ResourceOf[P]) scope(c *Call) store.Cond {
	project := r.byName["project_id"]
	owned := project != nil && project.Column != "" // otherwise it is another object's
	if c.global || !owned && r.Scope == nil {
		return store.Cond{}
	}
	var wider []store.Cond
	if owned {
		wider = append(wider, store.Where("t."+project.Column+" = ?", c.Caller.ProjectID))
	}
	if r.Scope != nil {
		wider = append(wider, r.Scope(c, "t"))
	}
	if r.Sharable != "" {
		wider = append(wider, sharedWith(c, r.Sharable, "access_as_shared", "t"))
	}
	return store.Or(wider...)
}

func orderBy(l *listing) string {
	var b strings.Builder
	for i, s := range l.sorts {
		if i == 0 {
			b.WriteString(" ORDER BY ")
		} else {
			b.WriteString(", ")
		}
		b.WriteString(s.by)
		if s.desc != l.reverse {
			b.WriteString(" DESC")
		}
	}
	return b.String()
}

// afterMarker is the condition for rows that come after the marker in the listing's order. A marker
// that the caller may not see is not found, or for an extension's resource nothing comes after it.
func (r *ResourceOf[P]) afterMarker(c *Call, l *listing) (store.Cond, error) {
	if l.marker == "" {
		return store.Cond{}, nil
	}
	t, err := r.at(c, l.marker)
	if e, known := fault.As(err); known && e.Status == http.StatusNotFound && r.Extension != "" {
		return store.Never(), nil // as the original's extensions have it: nothing comes after
	}
	if err != nil {
		return store.Cond{}, err
	}
	var ways []store.Cond
	var equal []store.Cond
	for _, s := range l.sorts {
		value := r.Attributes[s.attr].Value(t)
		op := " > ?"
		if s.desc != l.reverse {
			op = " < ?"
		}
		ways = append(ways, store.And(append(slices.Clone(equal), store.Where(s.by+op, value))...))
		equal = append(equal, store.Where(s.by+" = ?", value))
	}
	return store.Or(ways...), nil
}

// appendLinks writes the links to the pages beside this one: next unless fewer than limit objects
// came, previous unless fewer came while going back.
func (r *ResourceOf[P]) appendLinks(b []byte, q Query, l *listing, first, last string, count int) []byte {
	link := func(rel, marker string, reverse bool) []byte {
		values := url.Values{}
		for key, texts := range q.Values {
			if key != "marker" && key != "page_reverse" {
				values[key] = texts
			}
		}
		if marker != "" { // an empty page's neighbour is the list's end
			values.Set("marker", marker)
		}
		if reverse {
			values.Set("page_reverse", "True")
		}
		out := append([]byte(`{"rel": `), resource.AppendString(nil, rel)...)
		out = append(out, `, "href": `...)
		return append(resource.AppendString(out, q.URL+"?"+values.Encode()), '}')
	}
	var links [][]byte
	if l.reverse || count == l.limit {
		links = append(links, link("next", last, false))
	}
	if !l.reverse || count == l.limit {
		links = append(links, link("previous", first, true))
	}
	b = append(b, fmt.Sprintf(`, "%s_links": [`, r.Plural)...)
	for i, text := range links {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, text...)
	}
	return append(b, ']')
}

func keys(values url.Values) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for key := range values {
			if !yield(key) {
				return
			}
		}
	}
}

// Show gives one object as {"port": {…}}.
func (r *ResourceOf[P]) Show(ctx context.Context, caller *policy.Credentials, id string, q Query) ([]byte, error) {
	var b []byte
	if r.NoShow {
		return nil, methodNotAllowed()
	}
	run, fields := r.engine.View, fieldsOf(q.Values)
	if r.OnAsk != nil {
		run, fields = r.engine.Update, nil
	}
	err := run(ctx, caller, func(c *Call) error {
		c.query = q.Values
		t, err := r.asked(c, id, true)
		if err != nil {
			return err
		}
		if r.OnShow != nil {
			if err := r.OnShow(c, t); err != nil {
				return err
			}
		}
		b = r.envelope(c, t, fields)
		return nil
	})
	return b, err
}

// asked is the object that a show or a delete is about.
func (r *ResourceOf[P]) asked(c *Call, word string, making bool) (P, error) {
	if r.OnAsk != nil {
		return r.OnAsk(c, word, making)
	}
	return r.at(c, word)
}

func (r *ResourceOf[P]) envelope(c *Call, t P, fields []string) []byte {
	b := append(make([]byte, 0, 2048), `{"`+r.Name+`": `...)
	return append(appendObject(b, t, r.shown(c, t, fields)), '}')
}

// AppendObject writes t as the caller may see it, without an envelope: for answers of actions.
func (r *ResourceOf[P]) AppendObject(c *Call, b []byte, t P) []byte {
	return appendObject(b, t, r.shown(c, t, nil))
}

// AppendPlain writes t with all shown attributes, without asking policy about each: for objects
// inside another object's answer.
func (r *ResourceOf[P]) AppendPlain(b []byte, t P) []byte {
	r.mustBeWhole(t)
	b = append(b, '{')
	first := true
	for _, a := range r.Attributes {
		if a.IsHidden() || a.IsAdminOnly() || !a.In(t) {
			continue
		}
		if !first {
			b = append(b, ", "...)
		}
		first = false
		b = append(b, '"')
		b = append(b, a.Name...)
		b = append(b, `": `...)
		b = a.Append(b, t)
	}
	return append(b, '}')
}
