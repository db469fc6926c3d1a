// Package ovndb is a client of large OVSDB databases, such as OVN's two: it keeps a copy of the tables that it
// watches, brings the copy up to date after a lost connection, follows the leader of a cluster, and makes
// transactions. It knows the form of the tables from the server's own schema.
//
// The switch's small database has a client of its own, dataplane/ovsdb; docs/decisions says why there are two.
package ovndb

import (
	"encoding/json"
	"fmt"
)

// Column is the type of a column (RFC 7047, 3.2).
type Column struct {
	Key   string // type of its atoms, or of a map's keys: string, integer, real, boolean, uuid
	Value string // type of a map's values; "" for everything else
	Min   int    // 0: may be empty
	Max   int    // 1 or, for sets and maps, more; unlimited is -1
	Ref   string // table that its UUIDs name; "" for none
	Weak  bool   // the references do not keep rows alive
}

// IsMap says whether the column holds pairs.
func (c Column) IsMap() bool { return c.Value != "" }

// IsOne says whether the column holds at most one atom.
func (c Column) IsOne() bool { return c.Max == 1 && !c.IsMap() }

// Schema is the form of a database.
type Schema struct {
	Version string
	Tables  map[string]Table
}

// Table is the form of a table.
type Table struct {
	Root    bool // rows live without being referenced
	Columns map[string]Column
}

// ParseSchema reads a schema as the server tells it.
func ParseSchema(b []byte) (*Schema, error) {
	var in struct {
		Version string `json:"version"`
		Tables  map[string]struct {
			Root    bool `json:"isRoot"`
			Columns map[string]struct {
				Type json.RawMessage `json:"type"`
			} `json:"columns"`
		} `json:"tables"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("the schema makes no sense: %w", err)
	}
	s := &Schema{Version: in.Version, Tables: map[string]Table{}}
	for name, t := range in.Tables {
		table := Table{Root: t.Root, Columns: map[string]Column{}}
		for column, c := range t.Columns {
			parsed, err := parseType(c.Type)
			if err != nil {
				return nil, fmt.Errorf("type of %s.%s: %w", name, column, err)
			}
			table.Columns[column] = parsed
		}
		s.Tables[name] = table
	}
	return s, nil
}

func parseType(b json.RawMessage) (Column, error) {
	c := Column{Min: 1, Max: 1}
	if json.Unmarshal(b, &c.Key) == nil {
		return c, nil
	}
	var in struct {
		Key   json.RawMessage `json:"key"`
		Value json.RawMessage `json:"value"`
		Min   *int            `json:"min"`
		Max   json.RawMessage `json:"max"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return c, err
	}
	base := func(b json.RawMessage) (name, ref string, weak bool, err error) {
		if json.Unmarshal(b, &name) == nil {
			return name, "", false, nil
		}
		var full struct {
			Type     string `json:"type"`
			RefTable string `json:"refTable"`
			RefType  string `json:"refType"`
		}
		err = json.Unmarshal(b, &full)
		return full.Type, full.RefTable, full.RefType == "weak", err
	}
	var err error
	if c.Key, c.Ref, c.Weak, err = base(in.Key); err != nil {
		return c, err
	}
	if in.Value != nil {
		if c.Value, _, _, err = base(in.Value); err != nil {
			return c, err
		}
	}
	if in.Min != nil {
		c.Min = *in.Min
	}
	if in.Max != nil {
		var n int
		var word string
		switch {
		case json.Unmarshal(in.Max, &n) == nil:
			c.Max = n
		case json.Unmarshal(in.Max, &word) == nil && word == "unlimited":
			c.Max = -1
		default:
			return c, fmt.Errorf("%s is no maximum", in.Max)
		}
	}
	return c, nil
}
