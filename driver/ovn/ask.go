package ovn

import (
	"maps"
	"slices"
	"strings"
)

// Thing names what rows follow from: a router, a floating IP, a port, ….
type Thing struct {
	Kind Kind
	ID   string
}

// Owner says what a row follows from; its zero value: the row is not wanted.
func (m *Model) Owner(key Key) Thing {
	o := m.owners[key]
	return Thing{o.kind, o.id}
}

// Row gives a row that should be there; nil: it should not. It must not be changed.
func (m *Model) Row(key Key) *Row { return m.rows[key] }

// Keys lists all rows that should be there, in no order.
func (m *Model) Keys() []Key { return slices.Collect(maps.Keys(m.rows)) }

// Value says whether an entry should be in a column of a row, and with a map's entry what its value is: what
// several objects say is put together, each once, in order.
func (m *Model) Value(s Slot) (value string, there bool) {
	holders := m.holds[s.Row][s.Column][s.Entry]
	if len(holders) == 0 {
		return "", false
	}
	if s.Entry.Text == "" {
		return "", true
	}
	all := map[string]bool{}
	for _, values := range holders {
		for _, v := range values {
			all[v] = true
		}
	}
	return strings.Join(sorted(all), " "), true
}

// Entries lists what should be in a column of a row, apart from what the row itself says.
func (m *Model) Entries(key Key, column string) []Entry {
	return slices.Collect(maps.Keys(m.holds[key][column]))
}

// NamedBy lists the columns of rows that name a row: it can't be made anew without them.
func (m *Model) NamedBy(key Key) []Slot {
	var out []Slot
	for s := range m.heldBy[key] {
		out = append(out, Slot{s.row, s.column, Entry{Ref: key}})
	}
	return out
}

// Things lists all routers and floating IPs.
func (m *Model) Things() map[Thing]bool {
	out := map[Thing]bool{}
	for id := range m.routers {
		out[Thing{KindRouter, id}] = true
	}
	for id := range m.floating {
		out[Thing{KindFloatingIP, id}] = true
	}
	return out
}

// State says whether a thing has rows, and what is in its way.
func (m *Model) State(t Thing) (rows bool, notes []string) {
	if o := m.outputs[object{t.Kind, t.ID}]; o != nil {
		return len(o.rows) > 0, o.notes
	}
	return false, nil
}

// Notes lists what users asked for and OVN can't do.
func (m *Model) Notes() map[string][]string {
	out := map[string][]string{}
	for o, output := range m.outputs {
		if len(output.notes) > 0 {
			out[string(o.kind)+" "+o.id] = output.notes
		}
	}
	return out
}
