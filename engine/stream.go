package engine

import (
	"database/sql"

	"neutrino/resource"
)

// row is the one object that a list's rows stream through. Columns whose text is already the JSON
// that goes out are copied, not read.
type row[T any] struct {
	r      *Resource[T]
	object T
	dests  []any
	raw    map[*resource.Attribute[T]]*sql.RawBytes
}

func (r *Resource[T]) newRow() *row[T] {
	w := &row[T]{r: r, dests: make([]any, len(r.sql.columns)), raw: map[*resource.Attribute[T]]*sql.RawBytes{}}
	for i, col := range r.sql.columns {
		a := r.Attributes[col.attr]
		w.dests[i] = a.Dest(&w.object)
		if a.IsRaw() {
			text := new(sql.RawBytes)
			w.raw[a], w.dests[i] = text, text
		}
	}
	return w
}

// scan reads the next row in place of the one before.
func (w *row[T]) scan(rows *sql.Rows) error {
	w.object = *new(T)
	return rows.Scan(w.dests...)
}

// append writes the object as JSON.
func (w *row[T]) append(b []byte, shown []*resource.Attribute[T]) []byte {
	b = append(b, '{')
	for i, a := range shown {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, '"')
		b = append(b, a.Name...)
		b = append(b, `": `...)
		if text := w.raw[a]; text != nil {
			b = append(b, *text...)
			continue
		}
		b = a.Append(b, &w.object)
	}
	return append(b, '}')
}
