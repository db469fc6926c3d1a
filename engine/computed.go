package engine

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"neutrino/fault"
)

// computed gives the objects of a resource without a table whose key is id.
func (r *ResourceOf[P]) computed(c *Call, id string) ([]P, error) {
	all, err := r.From(c)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(t P) bool { return fmt.Sprint(r.byName[r.Key].Value(t)) != id }), nil
}

// again puts in the place of written objects what they are now.
func (r *ResourceOf[P]) again(c *Call, written []P) error {
	for i, t := range written {
		now, err := r.computed(c, r.id(t))
		if err != nil {
			return err
		}
		if len(now) != 1 {
			return r.NotFound(r.id(t))
		}
		written[i] = now[0]
	}
	return nil
}

// listComputed writes a list of a resource without a table.
func (r *ResourceOf[P]) listComputed(c *Call, l *listing, q Query, w io.Writer) error {
	var all []P
	if !l.none {
		var err error
		if all, err = r.From(c); err != nil {
			return err
		}
	}
	for name, texts := range l.texts {
		match, err := r.byName[name].Matcher(texts)
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(t P) bool { return !match(t) })
	}
	if !c.admin {
		all = slices.DeleteFunc(all, func(t P) bool { return !r.visible(c, t) })
	}
	r.sortComputed(l, all)
	page, err := r.pageComputed(l, all)
	if err != nil {
		return err
	}
	b := append(make([]byte, 0, flushSize), `{"`+r.Plural+`": [`...)
	columns := r.columns(c, l.fields)
	for i, t := range page {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendObject(b, t, columns.of(t))
	}
	b = append(b, ']')
	if l.paged {
		first, last := "", ""
		if len(page) > 0 {
			first, last = r.id(page[0]), r.id(page[len(page)-1])
		}
		b = r.appendLinks(b, q, l, first, last, len(page))
	}
	_, err = w.Write(append(b, '}'))
	return err
}

// sortComputed sorts by the query's keys; without any the order of From stays.
func (r *ResourceOf[P]) sortComputed(l *listing, all []P) {
	slices.SortStableFunc(all, func(x, y P) int {
		for _, s := range l.sorts {
			a := r.Attributes[s.attr]
			order := compare(a.Value(x), a.Value(y))
			if s.desc {
				order = -order
			}
			if order != 0 {
				return order
			}
		}
		return 0
	})
}

// compare orders two natural values of one attribute.
func compare(x, y any) int {
	switch x := x.(type) {
	case int:
		if y, ok := y.(int); ok {
			return cmp.Compare(x, y)
		}
	case int64:
		if y, ok := y.(int64); ok {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(fmt.Sprint(x), fmt.Sprint(y))
}

// pageComputed cuts the page out that the query asks for.
func (r *ResourceOf[P]) pageComputed(l *listing, all []P) ([]P, error) {
	if l.marker != "" {
		at := slices.IndexFunc(all, func(t P) bool { return r.id(t) == l.marker })
		if at < 0 {
			return nil, fault.NotFound("HTTPNotFound", "The marker %s could not be found.", l.marker)
		}
		if l.reverse {
			all = all[:at]
		} else {
			all = all[at+1:]
		}
	}
	if l.limit > 0 && len(all) > l.limit {
		if l.reverse {
			all = all[len(all)-l.limit:]
		} else {
			all = all[:l.limit]
		}
	}
	return all, nil
}
