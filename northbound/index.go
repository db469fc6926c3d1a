// Package northbound keeps OVN's northbound database as the facts have it: it follows the journal, lets driver/ovn
// compute the rows, compares them with a copy of the database, and writes the differences. What others change or
// lose in our rows is mended in the same way.
package northbound

import (
	"slices"

	"neutrino/dataplane/ovndb"
	"neutrino/driver/ovn"
)

// index knows which rows of the copy are which of ours.
type index struct {
	names  map[string]named     // UUID → what it is
	rows   map[ovn.Key][]string // → UUIDs, in order; more than one is a mistake
	parent map[string]holder    // UUID of a row → who holds it
	first  map[string]ovn.Key   // UUID of a row that somebody made another → what it was
	dirty  *dirty               // told what may differ now
}

// named is a row of the database.
type named struct {
	key  ovn.Key // its Name is "" for a row that is nothing of ours
	ours bool    // has our mark: goes when it should not be there
}

type holder struct{ table, uuid string }

func newIndex(d *dirty) *index {
	return &index{names: map[string]named{}, rows: map[ovn.Key][]string{}, parent: map[string]holder{}, first: map[string]ovn.Key{}, dirty: d}
}

// childColumn is the column in which a table's rows hold others, and which others.
var childColumns = func() map[string]map[string]string {
	out := map[string]map[string]string{}
	for child, at := range ovn.Children {
		if out[at.Table] == nil {
			out[at.Table] = map[string]string{}
		}
		out[at.Table][at.Column] = child
	}
	return out
}()

// take follows changes of the copy. look gives its rows.
func (x *index) take(changes []ovndb.Change, look func(table, uuid string) *ovndb.Row) {
	again := map[holder]bool{} // rows to be named anew
	for _, ch := range changes {
		x.hold(ch, again)
	}
	for _, ch := range changes {
		if !ch.Deleted {
			again[holder{ch.Table, ch.UUID}] = true
		}
	}
	for _, ch := range changes {
		if ch.Deleted {
			x.mark(ch)
			x.forget(ch.UUID)
			delete(x.first, ch.UUID)
		}
	}
	for h := range again {
		if _, child := ovn.Children[h.table]; !child {
			x.identify(h, look)
		}
	}
	for h := range again {
		if _, child := ovn.Children[h.table]; child {
			x.identify(h, look)
		}
	}
	for _, ch := range changes {
		if !ch.Deleted {
			x.mark(ch)
		}
	}
}

// hold notes who holds which rows.
func (x *index) hold(ch ovndb.Change, again map[holder]bool) {
	for column, child := range childColumns[ch.Table] {
		if ch.One["name"] { // what a renamed row holds is called after it
			for id := range ch.Row.Many[column] {
				again[holder{child, id}] = true
			}
		}
		came, gone := ch.Came[column], ch.Gone[column]
		if ch.Inserted {
			came = ch.Row.Many[column]
		}
		if ch.Deleted {
			gone = ch.Row.Many[column]
		}
		for id := range gone {
			if x.parent[id].uuid == ch.UUID {
				delete(x.parent, id)
			}
		}
		for id := range came {
			x.parent[id] = holder{ch.Table, ch.UUID}
			again[holder{child, id}] = true
		}
	}
}

func (x *index) identify(h holder, look func(table, uuid string) *ovndb.Row) {
	row := look(h.table, h.uuid)
	if row == nil {
		return
	}
	parent := x.names[x.parent[h.uuid].uuid].key.Name
	name, ours := ovn.Identify(h.table, parent, row.One, row.Many)
	now := named{ovn.Key{Table: h.table, Name: name}, ours}
	was, known := x.names[h.uuid]
	if known && was == now {
		return
	}
	if _, more := x.first[h.uuid]; known && !more && was.key.Name != "" && was.key != now.key {
		x.first[h.uuid] = was.key
	}
	x.forget(h.uuid)
	x.names[h.uuid] = now
	if name != "" {
		list := append(x.rows[now.key], h.uuid)
		slices.Sort(list)
		x.rows[now.key] = list
		x.dirty.row(now.key)
	}
}

func (x *index) forget(id string) {
	was, known := x.names[id]
	if !known {
		return
	}
	delete(x.names, id)
	if was.key.Name == "" {
		return
	}
	x.dirty.row(was.key)
	list := slices.DeleteFunc(x.rows[was.key], func(other string) bool { return other == id })
	if len(list) == 0 {
		delete(x.rows, was.key)
	} else {
		x.rows[was.key] = list
	}
}

// mark notes what a change may have made wrong: of a large set only what came and went.
func (x *index) mark(ch ovndb.Change) {
	is := x.names[ch.UUID]
	if is.key.Name == "" {
		return
	}
	if ch.Inserted || ch.Deleted || len(ch.One) > 0 {
		x.dirty.row(is.key)
	}
	for column := range ch.Came {
		if !slices.Contains(ovn.Sets[ch.Table], column) {
			x.dirty.row(is.key)
			continue
		}
		for _, part := range []map[string]string{ch.Came[column], ch.Gone[column]} {
			for entry := range part {
				x.dirty.slot(ovn.Slot{Row: is.key, Column: column, Entry: x.entry(ch.Table, column, entry)})
			}
		}
	}
}

// entry is an element of a set of the database as the model knows it: a row's key; of a map its key. Of a row that
// is nothing of ours the UUID stands for the name.
func (x *index) entry(table, column, text string) ovn.Entry {
	if table == "DNS" || table == "Address_Set" {
		return ovn.Entry{Text: text}
	}
	if is, known := x.names[text]; known && is.key.Name != "" {
		return ovn.Entry{Ref: is.key}
	}
	return ovn.Entry{Ref: ovn.Key{Table: column, Name: text}}
}

// find gives the UUID of a row; "": it is not there.
func (x *index) find(key ovn.Key) string {
	if list := x.rows[key]; len(list) > 0 {
		return list[0]
	}
	return ""
}

// dirty is what has to be compared.
type dirty struct {
	rows  map[ovn.Key]bool
	slots map[ovn.Slot]bool
}

func newDirty() *dirty { return &dirty{rows: map[ovn.Key]bool{}, slots: map[ovn.Slot]bool{}} }

func (d *dirty) row(key ovn.Key)    { d.rows[key] = true }
func (d *dirty) slot(slot ovn.Slot) { d.slots[slot] = true }
