package ovn

import (
	"slices"
)

// Entry is what is in a set or map: the key of a row, or a map's key.
type Entry struct {
	Ref  Key
	Text string
}

// slot is a column of a row.
type slot struct {
	row    Key
	column string
}

// Slot is an entry of a column of a row.
type Slot struct {
	Row    Key
	Column string
	Entry  Entry
}

// exchange puts one object's rows in the place of what it had before.
func (m *Model) exchange(o object, old, now *output, t Touched) {
	was := map[Key]*Row{}
	for _, r := range old.rows {
		was[r.Key] = r
	}
	for _, r := range now.rows {
		if before := was[r.Key]; before == nil || m.owners[r.Key] != o || !before.same(r) {
			t.Rows[r.Key] = true
		}
		if m.owners[r.Key] == o {
			m.refer(m.rows[r.Key], false)
		}
		m.rows[r.Key], m.owners[r.Key] = r, o
		m.refer(r, true)
		delete(was, r.Key)
	}
	for key := range was {
		if m.owners[key] == o {
			m.refer(m.rows[key], false)
			delete(m.rows, key)
			delete(m.owners, key)
			t.Rows[key] = true
		}
	}
	before, after := map[Slot][]string{}, map[Slot][]string{}
	for _, e := range old.elements {
		before[e.slot()] = append(before[e.slot()], e.Value)
	}
	for _, e := range now.elements {
		after[e.slot()] = append(after[e.slot()], e.Value)
	}
	for slot := range before {
		if _, stays := after[slot]; !stays {
			m.drop(slot, o)
			t.Slots[slot] = true
		}
	}
	for slot, values := range after {
		if had, was := before[slot]; !was || !slices.Equal(had, values) {
			m.hold(slot, o, values)
			t.Slots[slot] = true
		}
	}
}

func (e Element) slot() Slot { return Slot{e.Row, e.Column, Entry{e.Ref, e.Text}} }

// refer notes which rows a row names.
func (m *Model) refer(r *Row, on bool) {
	for column, key := range r.Refs {
		if key == (Key{}) {
			continue
		}
		if on {
			addTo(m.heldBy, key, slot{r.Key, column})
		} else {
			dropFrom(m.heldBy, key, slot{r.Key, column})
		}
	}
}

func (m *Model) hold(s Slot, o object, values []string) {
	columns := m.holds[s.Row]
	if columns == nil {
		columns = map[string]map[Entry]map[object][]string{}
		m.holds[s.Row] = columns
	}
	entries := columns[s.Column]
	if entries == nil {
		entries = map[Entry]map[object][]string{}
		columns[s.Column] = entries
	}
	if entries[s.Entry] == nil {
		entries[s.Entry] = map[object][]string{}
		if s.Entry.Ref != (Key{}) {
			addTo(m.heldBy, s.Entry.Ref, slot{s.Row, s.Column})
		}
	}
	entries[s.Entry][o] = values
}

func (m *Model) drop(s Slot, o object) {
	columns := m.holds[s.Row]
	entries := columns[s.Column]
	delete(entries[s.Entry], o)
	if len(entries[s.Entry]) > 0 {
		return
	}
	delete(entries, s.Entry)
	if s.Entry.Ref != (Key{}) {
		dropFrom(m.heldBy, s.Entry.Ref, slot{s.Row, s.Column})
	}
	if len(entries) == 0 {
		delete(columns, s.Column)
	}
	if len(columns) == 0 {
		delete(m.holds, s.Row)
	}
}
