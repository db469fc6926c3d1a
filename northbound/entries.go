package northbound

import (
	"slices"
	"strings"

	"neutrino/dataplane/ovndb"
	"neutrino/driver/ovn"
)

// entries compares a whole set that several objects fill.
func (p *plan) entries(key ovn.Key, column string, have map[string]string) {
	for _, e := range p.model.Entries(key, column) {
		p.entry(ovn.Slot{Row: key, Column: column, Entry: e})
	}
	for text := range have {
		p.extra(key, column, text)
	}
}

// extra takes out of a set what should not be there, if it is ours.
func (p *plan) extra(key ovn.Key, column, text string) {
	e := p.index.entry(key.Table, column, text)
	if _, wanted := p.model.Value(ovn.Slot{Row: key, Column: column, Entry: e}); wanted {
		return
	}
	parent := p.index.find(key)
	if e.Text != "" {
		p.out(key, parent, column, text, text)
		return
	}
	is, known := p.index.names[text]
	switch {
	case !known: // of a table that we don't watch
	case p.isChild(key, column, is.key.Table) && (p.model.Row(is.key) == nil || p.index.find(is.key) != text):
		p.remove(is.key, text)
	case !is.ours && !p.isChild(key, column, is.key.Table): // somebody else's, as balancers are
	default:
		p.out(key, parent, column, text, is.key.Name)
	}
}

// isChild says whether the column is the one that keeps the row alive.
func (p *plan) isChild(key ovn.Key, column, child string) bool {
	at, is := ovn.Children[child]
	return is && at.Table == key.Table && at.Column == column
}

func (p *plan) out(key ovn.Key, id, column, text, name string) {
	c := p.change(key, id)
	m := c.mutate[column]
	if _, done := m.Delete[text]; done {
		return
	}
	if m.Delete == nil {
		m.Delete = map[string]string{}
	}
	m.Delete[text] = ""
	c.mutate[column] = m
	c.columns[column] = strings.TrimSpace(c.columns[column] + " -" + name)
}

// slot compares one entry of a set.
func (p *plan) slot(s ovn.Slot) error {
	inSet := slices.Contains(ovn.Sets[s.Row.Table], s.Column)
	switch row := p.coming[s.Row]; {
	case row != nil && inSet:
		p.late(row, s)
		return nil
	case p.model.Row(s.Row) == nil || p.index.find(s.Row) == "" || !inSet:
		return p.row(s.Row)
	case p.rows[s.Row] && !ovn.Gradual(s.Row.Table, s.Column):
		return nil
	}
	if _, wanted := p.model.Value(s); wanted {
		p.entry(s)
		return nil
	}
	row := p.view.Row(s.Row.Table, p.index.find(s.Row))
	if s.Entry.Text != "" {
		if _, there := row.Many[s.Column][s.Entry.Text]; there {
			p.extra(s.Row, s.Column, s.Entry.Text)
		}
		return nil
	}
	ids := p.index.rows[s.Entry.Ref]
	if len(ids) == 0 { // nothing that we know; perhaps a row that is not ours
		ids = []string{s.Entry.Ref.Name}
	}
	for _, id := range ids {
		if _, there := row.Many[s.Column][id]; there {
			p.extra(s.Row, s.Column, id)
		}
	}
	return nil
}

// late puts an entry into a set of a row that was made in this transaction before the row that it names.
func (p *plan) late(row *ovndb.Row, s ovn.Slot) {
	if _, ok := p.has(s.Row.Table, s.Column); !ok {
		return
	}
	value, wanted := p.model.Value(s)
	text := s.Entry.Text
	if text == "" && p.there(s.Entry.Ref) {
		text = p.uuid(s.Entry.Ref)
	}
	if !wanted || text == "" {
		return
	}
	if row.Many[s.Column] == nil {
		row.Many[s.Column] = map[string]string{}
	}
	row.Many[s.Column][text] = value
}

// entry puts a wanted entry into a set of a row that is there.
func (p *plan) entry(s ovn.Slot) {
	if _, ok := p.has(s.Row.Table, s.Column); !ok {
		return
	}
	id := p.index.find(s.Row)
	value, wanted := p.model.Value(s)
	if id == "" || !wanted {
		return
	}
	text, name := s.Entry.Text, s.Entry.Text
	if text == "" {
		if ovn.Gradual(s.Row.Table, s.Column) && !p.there(s.Entry.Ref) {
			return // it comes with its row
		}
		text, name = p.uuid(s.Entry.Ref), s.Entry.Ref.Name
		if text == "" {
			return
		}
	}
	have, there := p.view.Row(s.Row.Table, id).Many[s.Column][text]
	if there && have == value {
		return
	}
	c := p.change(s.Row, id)
	m := c.mutate[s.Column]
	if m.Insert == nil {
		m.Insert = map[string]string{}
	}
	if _, done := m.Insert[text]; done {
		return
	}
	if there {
		if m.Delete == nil {
			m.Delete = map[string]string{}
		}
		m.Delete[text] = ""
	}
	m.Insert[text] = value
	c.mutate[s.Column] = m
	c.columns[s.Column] = strings.TrimSpace(c.columns[s.Column] + " +" + name)
}
