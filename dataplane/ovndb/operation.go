package ovndb

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Operation is one step of a transaction (RFC 7047, 5.2).
type Operation struct {
	body map[string]any
	err  error // it can't be said
}

func (s *Schema) row(table string, row *Row) (map[string]json.RawMessage, error) {
	columns := s.Tables[table].Columns
	out := map[string]json.RawMessage{}
	put := func(name string, many map[string]string) error {
		c, known := columns[name]
		if !known {
			return fmt.Errorf("table %s of this database has no column %s", table, name)
		}
		b, err := encode(many, c)
		if err != nil {
			return fmt.Errorf("column %s.%s: %w", table, name, err)
		}
		out[name] = b
		return nil
	}
	for name, atom := range row.One {
		if err := put(name, map[string]string{atom: ""}); err != nil {
			return nil, err
		}
	}
	for name, many := range row.Many {
		if err := put(name, many); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Insert makes a row. Other rows of the transaction refer to it by name.
func (s *Schema) Insert(table, name string, row *Row) Operation {
	columns, err := s.row(table, row)
	return Operation{map[string]any{"op": "insert", "table": table, "uuid-name": name, "row": columns}, err}
}

// Update gives columns of a row new values; an empty set in row.Many empties a column, also one of one atom.
func (s *Schema) Update(table, id string, row *Row) Operation {
	columns, err := s.row(table, row)
	return Operation{map[string]any{"op": "update", "table": table, "where": where(id), "row": columns}, err}
}

// Mutation is elements that come into and leave a set or a map.
type Mutation struct {
	Insert map[string]string
	Delete map[string]string // of a map only the keys count
}

// Mutate changes sets and maps of a row by elements. Deletions come first.
func (s *Schema) Mutate(table, id string, columns map[string]Mutation) Operation {
	op := Operation{body: map[string]any{"op": "mutate", "table": table, "where": where(id)}}
	var list []any
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		c, known := s.Tables[table].Columns[name]
		if !known {
			op.err = fmt.Errorf("table %s of this database has no column %s", table, name)
			return op
		}
		m := columns[name]
		if len(m.Delete) > 0 {
			keys := c
			keys.Value = "" // a map's pairs go by their keys
			b, err := encode(m.Delete, keys)
			if err != nil {
				op.err = err
				return op
			}
			list = append(list, []any{name, "delete", b})
		}
		if len(m.Insert) > 0 {
			b, err := encode(m.Insert, c)
			if err != nil {
				op.err = err
				return op
			}
			list = append(list, []any{name, "insert", b})
		}
	}
	op.body["mutations"] = list
	return op
}

// Delete deletes a row of a table whose rows live by themselves.
func (s *Schema) Delete(table, id string) Operation {
	return Operation{body: map[string]any{"op": "delete", "table": table, "where": where(id)}}
}

// Comment says in the server's log what a transaction is for.
func Comment(text string) Operation {
	return Operation{body: map[string]any{"op": "comment", "comment": text}}
}

func assertLock(name string) Operation {
	return Operation{body: map[string]any{"op": "assert", "lock": name}}
}

func where(id string) []any { return []any{[]any{"_uuid", "==", []any{"uuid", id}}} }
