package northbound

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"neutrino/dataplane/ovndb"
	"neutrino/driver/ovn"
)

// there says whether a row is in the database, or comes in this transaction as far as is known yet.
func (p *plan) there(key ovn.Key) bool {
	_, coming := p.inserts[key]
	return coming || p.index.find(key) != ""
}

// uuid names a row for a reference: its UUID, or, when it comes in this transaction, its name there. "": there is
// no such row and there is to be none.
func (p *plan) uuid(key ovn.Key) string {
	if id := p.index.find(key); id != "" {
		return id
	}
	if p.model.Row(key) == nil || p.waits(key) {
		return ""
	}
	name, coming := p.inserts[key]
	if !coming {
		name = fmt.Sprintf("row%d", len(p.inserts))
		p.inserts[key] = name
		p.queue = append(p.queue, key)
	}
	return name
}

// row compares a whole row.
func (p *plan) row(key ovn.Key) error {
	if p.rows[key] {
		return nil
	}
	p.rows[key] = true
	want, have, refused := p.model.Row(key), p.index.rows[key], p.refused[key]
	if refused != nil && (refused.whole || want == nil) {
		return nil
	}
	if want == nil {
		for _, id := range have {
			p.remove(key, id)
		}
		return nil
	}
	if len(have) == 0 {
		p.uuid(key)
		return nil
	}
	for _, id := range have[1:] {
		p.remove(key, id)
	}
	id := have[0]
	row := p.view.Row(key.Table, id)
	if row == nil {
		return fmt.Errorf("%s is in the index and not in the copy", key)
	}
	if refused == nil {
		p.own(key, id, want, row)
	}
	for _, column := range ovn.Sets[key.Table] {
		if _, ok := p.has(key.Table, column); ok {
			p.entries(key, column, row.Many[column])
		}
	}
	return nil
}

// own compares what a row says by itself.
func (p *plan) own(key ovn.Key, id string, want *ovn.Row, row *ovndb.Row) {
	for column, atom := range want.One {
		if c, ok := p.has(key.Table, column); ok && row.One[column] != atom && !isDefault(c, row.One[column], atom) {
			p.set(key, id, column, atom)
		}
	}
	for column, ref := range want.Refs {
		to := ""
		if ref != (ovn.Key{}) {
			to = p.uuid(ref)
		}
		if _, ok := p.has(key.Table, column); ok && row.One[column] != to {
			p.set(key, id, column, to)
		}
	}
	for column, many := range want.Many {
		if c, ok := p.has(key.Table, column); ok {
			p.many(key, id, column, c, many, row.Many[column])
		}
	}
	p.blank(want, id, row)
}

// blank compares the columns that have nothing in them.
func (p *plan) blank(want *ovn.Row, id string, row *ovndb.Row) {
	for _, column := range ovn.Blank[want.Key.Table] {
		c, ok := p.has(want.Key.Table, column)
		switch {
		case !ok || want.Names(column):
		case !c.IsOne():
			p.many(want.Key, id, column, c, nil, row.Many[column])
		case row.One[column] != "" && row.One[column] != zero(c):
			p.set(want.Key, id, column, zero(c))
		}
	}
}

// zero is the atom that a new row has in a column; "": none, or the empty text.
func zero(c ovndb.Column) string {
	switch {
	case c.Min == 0:
	case c.Key == "integer":
		return "0"
	case c.Key == "boolean":
		return "false"
	}
	return ""
}

// isDefault says whether an atom that is not told and one that we want are the same: the server leaves defaults out.
func isDefault(c ovndb.Column, have, want string) bool {
	return c.Min > 0 && have == "" && want == zero(c)
}

func (p *plan) change(key ovn.Key, id string) *change {
	c := p.changes[key]
	if c == nil {
		c = &change{uuid: id, update: ovndb.NewRow(), mutate: map[string]ovndb.Mutation{}, columns: map[string]string{}}
		p.changes[key] = c
	}
	return c
}

func (p *plan) set(key ovn.Key, id, column, atom string) {
	c := p.change(key, id)
	c.columns[column] = "set to " + atom
	if atom == "" {
		if t, _ := p.has(key.Table, column); t.Min == 0 {
			c.update.Many[column] = map[string]string{}
			c.columns[column] = "clear"
			return
		}
	}
	c.update.One[column] = atom
}

// many compares a set or a map that is the row's own.
func (p *plan) many(key ovn.Key, id, column string, t ovndb.Column, want, have map[string]string) {
	var m ovndb.Mutation
	put := func(to *map[string]string, k, v string) {
		if *to == nil {
			*to = map[string]string{}
		}
		(*to)[k] = v
	}
	for k, v := range want {
		old, there := have[k]
		if there && old == v {
			continue
		}
		if there {
			put(&m.Delete, k, old)
		}
		put(&m.Insert, k, v)
	}
	for k, v := range have {
		if _, wanted := want[k]; wanted {
			continue
		}
		if shared, ours := ovn.Shared(key.Table, column, k); !shared || ours {
			put(&m.Delete, k, v)
		}
	}
	if len(m.Insert)+len(m.Delete) == 0 {
		return
	}
	c := p.change(key, id)
	if t.Min > 0 && len(m.Delete) > 0 { // must not be empty in between: it comes whole
		c.update.Many[column] = want
	} else {
		c.mutate[column] = m
	}
	c.columns[column] = describe(m)
}

func describe(m ovndb.Mutation) string {
	var words []string
	for _, part := range []struct {
		sign string
		of   map[string]string
	}{{"-", m.Delete}, {"+", m.Insert}} {
		for _, k := range slices.Sorted(maps.Keys(part.of)) {
			text := part.sign + k
			if v := part.of[k]; v != "" {
				text += "=" + v
			}
			words = append(words, text)
		}
	}
	return strings.Join(words, " ")
}

// insert makes a row that is missing, and names it wherever it is to be named.
func (p *plan) insert(key ovn.Key) error {
	want := p.model.Row(key)
	row := ovndb.NewRow()
	for column, atom := range want.One {
		if c, ok := p.has(key.Table, column); ok && atom != "" && !isDefault(c, "", atom) {
			row.One[column] = atom
		}
	}
	for column, ref := range want.Refs {
		if _, ok := p.has(key.Table, column); !ok || ref == (ovn.Key{}) {
			continue
		}
		if to := p.uuid(ref); to != "" {
			row.One[column] = to
		}
	}
	for column, many := range want.Many {
		if _, ok := p.has(key.Table, column); ok && len(many) > 0 {
			row.Many[column] = many
		}
	}
	for _, column := range ovn.Sets[key.Table] {
		if _, ok := p.has(key.Table, column); !ok {
			continue
		}
		many := map[string]string{}
		for _, e := range p.model.Entries(key, column) {
			value, _ := p.model.Value(ovn.Slot{Row: key, Column: column, Entry: e})
			if e.Text != "" {
				many[e.Text] = value
			} else if ovn.Gradual(key.Table, column) && !p.there(e.Ref) {
				continue // it comes with its row
			} else if to := p.uuid(e.Ref); to != "" {
				many[to] = value
			}
		}
		if len(many) > 0 {
			row.Many[column] = many
		}
	}
	p.coming[key], p.order = row, append(p.order, key)
	p.list = append(p.list, Difference{Table: key.Table, Name: key.Name, Action: "add"})
	for _, s := range p.model.NamedBy(key) {
		if !slices.Contains(ovn.Sets[s.Row.Table], s.Column) && p.index.find(s.Row) == "" {
			continue // a row that is missing too names it when it comes
		}
		if err := p.slot(s); err != nil {
			return err
		}
	}
	return nil
}

// goes says of a row that should not be there whether it is ours to remove. What is held goes with what holds it.
func (p *plan) goes(id string) bool {
	is, first := p.index.names[id], p.index.first[id]
	if is.ours && (!p.keep || p.dropped(is.key) || p.dropped(first) || p.model.Row(first) != nil) {
		return true
	}
	parent := p.index.parent[id].uuid
	holder := p.index.names[parent].key
	return holder.Name != "" && (p.model.Row(holder) == nil || p.index.find(holder) != parent) && p.goes(parent)
}

// dropped says whether a row was wanted.
func (p *plan) dropped(key ovn.Key) bool {
	_, was := p.gone[key]
	return was
}

// remove removes a row that should not be there, if it is ours.
func (p *plan) remove(key ovn.Key, id string) {
	if p.listed[id] {
		return
	}
	if !p.goes(id) {
		if _, child := ovn.Children[key.Table]; p.index.names[id].ours || child && p.index.names[p.index.parent[id].uuid].ours {
			p.foreign(key.Table, id)
		}
		return
	}
	p.listed[id] = true
	p.removeHeld(key.Table, id)
	p.list = append(p.list, Difference{Table: key.Table, Name: cmp.Or(key.Name, id), UUID: id, Action: "remove"})
	at, child := ovn.Children[key.Table]
	if !child {
		p.deleted = append(p.deleted, operation{key, p.view.Schema().Delete(key.Table, id)})
		return
	}
	if row := p.view.Row(key.Table, id); row != nil && row.One["ha_chassis_group"] != "" {
		// Else the group could not go in the same transaction: a row without a holder is taken away last.
		none := ovndb.NewRow()
		none.Many["ha_chassis_group"] = map[string]string{}
		p.deleted = append(p.deleted, operation{key, p.view.Schema().Update(key.Table, id, none)})
	}
	if parent := p.index.parent[id]; parent.uuid != "" {
		out := map[string]ovndb.Mutation{at.Column: {Delete: map[string]string{id: ""}}}
		p.deleted = append(p.deleted, operation{key, p.view.Schema().Mutate(at.Table, parent.uuid, out)})
	}
}

// removeHeld removes what a row holds that goes, apart from what is to be in another.
func (p *plan) removeHeld(table, id string) {
	row := p.view.Row(table, id)
	if row == nil {
		return
	}
	for column := range childColumns[table] {
		for child := range row.Many[column] {
			if key := p.index.names[child].key; p.model.Row(key) == nil || p.index.find(key) != child {
				p.remove(key, child)
			}
		}
	}
}

// foreign notes a row among ours that stays.
func (p *plan) foreign(table, id string) {
	why := notOurs
	if p.index.names[id].ours {
		why = notYet
	}
	if !p.listed[id] {
		p.listed[id] = true
		p.list = append(p.list, Difference{Table: table, Name: cmp.Or(p.index.names[id].key.Name, id), UUID: id, Action: "keep", Why: why})
	}
}
