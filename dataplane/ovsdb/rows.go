package ovsdb

import (
	"encoding/json"
	"fmt"
)

// The rows of the Open_vSwitch database, with the columns that we use (ovs-vswitchd.conf.db(5)).

type bridgeRow struct {
	uuid         string
	name         string
	ports        []string
	datapathType string
	failMode     string // "" is none
	externalIDs  map[string]string
	otherConfig  map[string]string
}

type portRow struct {
	uuid        string
	name        string
	interfaces  []string
	tag         int // 0 is none
	externalIDs map[string]string
	otherConfig map[string]string
}

type interfaceRow struct {
	uuid        string
	name        string
	kind        string
	options     map[string]string
	externalIDs map[string]string
	ofport      int // 0 is none
	trouble     string
	mac         string
}

// columns are what is asked for of each table.
var columns = map[string][]string{
	"Open_vSwitch": {"bridges", "other_config"},
	"Bridge":       {"name", "ports", "datapath_type", "fail_mode", "external_ids", "other_config"},
	"Port":         {"name", "interfaces", "tag", "external_ids", "other_config"},
	"Interface":    {"name", "type", "options", "external_ids", "ofport", "error", "mac_in_use"},
}

// raw is a row as it comes over the wire (RFC 7047, 5.1).
type raw map[string]json.RawMessage

// atoms reads a column that is a set: one atom stands for itself. Of a UUID the id is given.
func (r raw) atoms(column string) ([]any, error) {
	var v any
	if err := json.Unmarshal(r[column], &v); err != nil {
		return nil, fmt.Errorf("column %s: %w", column, err)
	}
	list, ok := v.([]any)
	if !ok {
		return []any{v}, nil
	}
	if len(list) != 2 {
		return nil, fmt.Errorf("column %s is neither an atom nor a set", column)
	}
	if list[0] == "set" {
		set, ok := list[1].([]any)
		if !ok {
			return nil, fmt.Errorf("column %s is no set", column)
		}
		out := make([]any, len(set))
		for i, atom := range set {
			out[i] = plain(atom)
		}
		return out, nil
	}
	return []any{plain(v)}, nil
}

// plain is an atom without its "uuid".
func plain(atom any) any {
	if pair, ok := atom.([]any); ok && len(pair) == 2 && pair[0] == "uuid" {
		return pair[1]
	}
	return atom
}

func (r raw) texts(column string) ([]string, error) {
	atoms, err := r.atoms(column)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(atoms))
	for _, atom := range atoms {
		text, ok := atom.(string)
		if !ok {
			return nil, fmt.Errorf("column %s holds %T, not text", column, atom)
		}
		out = append(out, text)
	}
	return out, nil
}

// text reads a text or an optional text.
func (r raw) text(column string) (string, error) {
	texts, err := r.texts(column)
	if err != nil || len(texts) == 0 {
		return "", err
	}
	return texts[0], nil
}

// number reads an integer or an optional integer.
func (r raw) number(column string) (int, error) {
	atoms, err := r.atoms(column)
	if err != nil || len(atoms) == 0 {
		return 0, err
	}
	n, ok := atoms[0].(float64)
	if !ok {
		return 0, fmt.Errorf("column %s holds %T, not a number", column, atoms[0])
	}
	return int(n), nil
}

func (r raw) pairs(column string) (map[string]string, error) {
	var v []json.RawMessage
	var word string
	var list [][2]string
	if err := json.Unmarshal(r[column], &v); err != nil || len(v) != 2 {
		return nil, fmt.Errorf("column %s is no map", column)
	}
	if err := json.Unmarshal(v[0], &word); err != nil || word != "map" {
		return nil, fmt.Errorf("column %s is no map", column)
	}
	if err := json.Unmarshal(v[1], &list); err != nil {
		return nil, fmt.Errorf("column %s: %w", column, err)
	}
	out := make(map[string]string, len(list))
	for _, pair := range list {
		out[pair[0]] = pair[1]
	}
	return out, nil
}

// reader collects the first error while a row is read.
type reader struct {
	row raw
	err error
}

func read[T any](r *reader, get func(string) (T, error), column string) T {
	v, err := get(column)
	if r.err == nil {
		r.err = err
	}
	return v
}

func readBridge(id string, row raw) (*bridgeRow, error) {
	r := &reader{row: row}
	b := &bridgeRow{
		uuid: id, name: read(r, row.text, "name"), ports: read(r, row.texts, "ports"), datapathType: read(r, row.text, "datapath_type"),
		failMode: read(r, row.text, "fail_mode"), externalIDs: read(r, row.pairs, "external_ids"), otherConfig: read(r, row.pairs, "other_config"),
	}
	return b, r.err
}

func readPort(id string, row raw) (*portRow, error) {
	r := &reader{row: row}
	p := &portRow{
		uuid: id, name: read(r, row.text, "name"), interfaces: read(r, row.texts, "interfaces"), tag: read(r, row.number, "tag"),
		externalIDs: read(r, row.pairs, "external_ids"), otherConfig: read(r, row.pairs, "other_config"),
	}
	return p, r.err
}

func readInterface(id string, row raw) (*interfaceRow, error) {
	r := &reader{row: row}
	i := &interfaceRow{
		uuid: id, name: read(r, row.text, "name"), kind: read(r, row.text, "type"), options: read(r, row.pairs, "options"),
		externalIDs: read(r, row.pairs, "external_ids"), ofport: max(read(r, row.number, "ofport"), 0),
		trouble: read(r, row.text, "error"), mac: read(r, row.text, "mac_in_use"),
	}
	return i, r.err
}
