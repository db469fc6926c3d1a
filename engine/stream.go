package engine

import (
	"database/sql"

	"neutrino/resource"
)

// row is the one object that a list's rows stream through. Columns whose text is already the JSON
// that goes out are copied, not read.
type row[P any] struct {
	r      *ResourceOf[P]
	object P
	dests  []any
	raw    map[*resource.AttributeOf[P]]*sql.RawBytes
}

func (r *ResourceOf[P]) newRow() *row[P] {
	w := &row[P]{r: r, object: resource.New[P](), dests: make([]any, len(r.sql.columns)), raw: map[*resource.AttributeOf[P]]*sql.RawBytes{}}
	for i, col := range r.sql.columns {
		a := r.Attributes[col.attr]
		w.dests[i] = a.Dest(w.object)
		if a.IsRaw() {
			text := new(sql.RawBytes)
			w.raw[a], w.dests[i] = text, text
		}
	}
	return w
}

// scan reads the next row in place of the one before.
func (w *row[P]) scan(rows *sql.Rows) error {
	resource.Clear(w.object)
	return rows.Scan(w.dests...)
}

// append writes the object as JSON.
func (w *row[P]) append(b []byte, shown []*resource.AttributeOf[P]) []byte {
	b = append(b, '{')
	for _, a := range shown {
		if !a.In(w.object) {
			continue
		}
		if b[len(b)-1] != '{' {
			b = append(b, ", "...)
		}
		b = append(b, '"')
		b = append(b, a.Name...)
		b = append(b, `": `...)
		if text := w.raw[a]; text != nil {
			b = append(b, *text...)
			continue
		}
		b = a.Append(b, w.object)
	}
	return append(b, '}')
}
