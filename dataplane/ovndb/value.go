package ovndb

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Row is a row, or what is to become one. All atoms are text: numbers in decimal, "true" and "false", UUIDs; the
// schema says what they are.
type Row struct {
	One  map[string]string            // columns of at most one atom; an empty one is missing
	Many map[string]map[string]string // maps, and sets as the keys of maps to ""
}

// NewRow gives a row with nothing in it.
func NewRow() *Row { return &Row{One: map[string]string{}, Many: map[string]map[string]string{}} }

// Clone copies a row.
func (r *Row) Clone() *Row {
	c := &Row{One: maps.Clone(r.One), Many: make(map[string]map[string]string, len(r.Many))}
	for column, many := range r.Many {
		c.Many[column] = maps.Clone(many)
	}
	return c
}

// decode reads a value into atoms, and for maps their values: "set" and "map" forms and single atoms.
func decode(b json.RawMessage, c Column) (map[string]string, error) {
	var list []json.RawMessage
	var word string
	if json.Unmarshal(b, &list) != nil || len(list) != 2 || json.Unmarshal(list[0], &word) != nil || word == "uuid" {
		a, err := decodeAtom(b, c.Key)
		return map[string]string{a: ""}, err
	}
	switch {
	case word == "set" && !c.IsMap():
		var atoms []json.RawMessage
		if err := json.Unmarshal(list[1], &atoms); err != nil {
			return nil, err
		}
		out := make(map[string]string, len(atoms))
		for _, raw := range atoms {
			a, err := decodeAtom(raw, c.Key)
			if err != nil {
				return nil, err
			}
			out[a] = ""
		}
		return out, nil
	case word == "map" && c.IsMap():
		var pairs [][2]json.RawMessage
		if err := json.Unmarshal(list[1], &pairs); err != nil {
			return nil, err
		}
		out := make(map[string]string, len(pairs))
		for _, pair := range pairs {
			k, err := decodeAtom(pair[0], c.Key)
			if err != nil {
				return nil, err
			}
			if out[k], err = decodeAtom(pair[1], c.Value); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("%q is no value of this column", word)
}

func decodeAtom(b json.RawMessage, kind string) (string, error) {
	var text string
	var list []string
	switch kind {
	case "string":
		return text, json.Unmarshal(b, &text)
	case "uuid":
		if err := json.Unmarshal(b, &list); err != nil || len(list) != 2 || list[0] != "uuid" {
			return "", fmt.Errorf("%s is no UUID", b)
		}
		return list[1], nil
	case "integer", "real":
		var n json.Number
		if err := json.Unmarshal(b, &n); err != nil {
			return "", err
		}
		return n.String(), nil
	case "boolean":
		var is bool
		err := json.Unmarshal(b, &is)
		return strconv.FormatBool(is), err
	}
	return "", fmt.Errorf("%q is no type of atoms", kind)
}

// encode writes a value. A UUID that is none is the name of a row that the same transaction inserts.
func encode(many map[string]string, c Column) (json.RawMessage, error) {
	var b bytes.Buffer
	word := "set"
	if c.IsMap() {
		word = "map"
	}
	fmt.Fprintf(&b, `[%q,[`, word)
	for i, k := range slices.Sorted(maps.Keys(many)) {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := encodeAtom(k, c.Key)
		if err != nil {
			return nil, err
		}
		if !c.IsMap() {
			b.Write(key)
			continue
		}
		value, err := encodeAtom(many[k], c.Value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "[%s,%s]", key, value)
	}
	b.WriteString("]]")
	return b.Bytes(), nil
}

func encodeAtom(text, kind string) (json.RawMessage, error) {
	switch kind {
	case "string":
		return json.Marshal(text)
	case "uuid":
		if isUUID(text) {
			return json.Marshal([2]string{"uuid", text})
		}
		return json.Marshal([2]string{"named-uuid", text})
	case "integer":
		n, err := strconv.ParseInt(text, 10, 64)
		return strconv.AppendInt(nil, n, 10), err
	case "real":
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, err
		}
		return json.Marshal(n)
	case "boolean":
		is, err := strconv.ParseBool(text)
		return strconv.AppendBool(nil, is), err
	}
	return nil, fmt.Errorf("%q is no type of atoms", kind)
}

func isUUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c < '0' || c > '9' && c < 'a' || c > 'f':
			return false
		}
	}
	return true
}
