package ovndb

import (
	"encoding/json"
	"fmt"
)

// Change is what has become of a row of the copy.
type Change struct {
	Table, UUID string
	Row         *Row // as it is now; of a deleted row as it was
	Inserted    bool
	Deleted     bool

	// Of a changed row: columns of one atom that have another one, and what came into and left the others. A
	// map's pair with another value has left and come. Of an inserted or deleted row they are nil.
	One        map[string]bool
	Came, Gone map[string]map[string]string
}

// rows are the rows of a table by UUID.
type rows map[string]*Row

// copied is a copy of tables.
type copied struct {
	schema *Schema
	tables map[string]rows
}

func newCopied(schema *Schema, tables []string) *copied {
	c := &copied{schema: schema, tables: map[string]rows{}}
	for _, t := range tables {
		c.tables[t] = rows{}
	}
	return c
}

// update2 is what the server says of a row (ovsdb-server(7), 4.1.14).
type update2 struct {
	Initial map[string]json.RawMessage `json:"initial"`
	Insert  map[string]json.RawMessage `json:"insert"`
	Modify  map[string]json.RawMessage `json:"modify"`
}

// apply takes over what the server says. After an error the copy is worth nothing.
func (c *copied) apply(b json.RawMessage) ([]Change, error) {
	var in map[string]map[string]update2
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("an update makes no sense: %w", err)
	}
	var changes []Change
	for table, list := range in {
		have, watched := c.tables[table]
		if !watched {
			return nil, fmt.Errorf("an update of table %q, which is not watched", table)
		}
		columns := c.schema.Tables[table].Columns
		for id, u := range list {
			old := have[id]
			whole := u.Initial
			if whole == nil {
				whole = u.Insert
			}
			switch {
			case whole != nil:
				row, err := readRow(whole, columns)
				if err != nil {
					return nil, fmt.Errorf("row %s of %s: %w", id, table, err)
				}
				have[id] = row
				changes = append(changes, Change{Table: table, UUID: id, Row: row, Inserted: true})
			case old == nil:
				if u.Modify != nil {
					return nil, fmt.Errorf("row %s of %s changes, but is not there", id, table)
				}
			case u.Modify != nil:
				ch := Change{Table: table, UUID: id, Row: old, One: map[string]bool{}, Came: map[string]map[string]string{}, Gone: map[string]map[string]string{}}
				if err := ch.modify(u.Modify, columns); err != nil {
					return nil, fmt.Errorf("row %s of %s: %w", id, table, err)
				}
				changes = append(changes, ch)
			default:
				delete(have, id)
				changes = append(changes, Change{Table: table, UUID: id, Row: old, Deleted: true})
			}
		}
	}
	return changes, nil
}

// replace makes c what it is not yet of a newer copy of the same tables.
func (c *copied) replace(newer *copied) []Change {
	var changes []Change
	for table, have := range c.tables {
		for id, row := range have {
			if newer.tables[table][id] == nil {
				changes = append(changes, Change{Table: table, UUID: id, Row: row, Deleted: true})
			}
		}
		for id, row := range newer.tables[table] {
			if have[id] != nil { // told as gone and come: whoever follows has no third case to think of
				changes = append(changes, Change{Table: table, UUID: id, Row: have[id], Deleted: true})
			}
			changes = append(changes, Change{Table: table, UUID: id, Row: row, Inserted: true})
		}
	}
	c.schema, c.tables = newer.schema, newer.tables
	return changes
}

func readRow(in map[string]json.RawMessage, columns map[string]Column) (*Row, error) {
	row := NewRow()
	for name, b := range in {
		c, known := columns[name]
		if !known {
			continue
		}
		many, err := decode(b, c)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", name, err)
		}
		row.set(name, c, many)
	}
	return row, nil
}

func (r *Row) set(name string, c Column, many map[string]string) {
	if !c.IsOne() {
		r.Many[name] = many
		return
	}
	delete(r.One, name)
	for atom := range many {
		r.One[name] = atom
	}
}

// modify applies what is different: the new value of a column of one atom, the elements of a set that are in one
// of old and new, the pairs of a map that came, have another value or, repeated, left.
func (ch *Change) modify(in map[string]json.RawMessage, columns map[string]Column) error {
	for name, b := range in {
		c, known := columns[name]
		if !known {
			continue
		}
		many, err := decode(b, c)
		if err != nil {
			return fmt.Errorf("column %s: %w", name, err)
		}
		if c.IsOne() {
			ch.Row.set(name, c, many)
			ch.One[name] = true
			continue
		}
		have := ch.Row.Many[name]
		if have == nil {
			have = map[string]string{}
			ch.Row.Many[name] = have
		}
		came, gone := map[string]string{}, map[string]string{}
		for k, v := range many {
			old, was := have[k]
			if was {
				gone[k] = old
			}
			if was && old == v {
				delete(have, k)
				continue
			}
			have[k], came[k] = v, v
		}
		ch.Came[name], ch.Gone[name] = came, gone
	}
	return nil
}
