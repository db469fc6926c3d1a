package northbound

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"neutrino/dataplane/ovndb"
	"neutrino/driver/ovn"
)

// Difference is a row that is not as it should be.
type Difference struct {
	Table   string            `json:"table"`
	Name    string            `json:"name"` // in our words; for a row that is not ours its UUID
	UUID    string            `json:"uuid,omitempty"`
	Action  string            `json:"action"`            // add, change, remove; keep: not ours, or not to be removed yet
	Columns map[string]string `json:"columns,omitempty"` // of a change: what is done
	Why     string            `json:"why,omitempty"`     // of what is kept: notOurs or notYet
}

// Why rows that should not be there are kept.
const (
	notOurs = "it has no mark of ours"
	notYet  = "the database was not taken over: neutrino ovn repair --take-over"
)

// plan compares what was dirty with the copy and makes the operations that mend it. It reads the copy only.
type plan struct {
	model *ovn.Model
	index *index
	view  *ovndb.View
	keep  bool // rows with our mark that we never wanted stay: the database is not known to be ours
	whole bool // is not to become a transaction, and has no bounds
	gone  dropped
	most  int // rows that are compared

	refused map[ovn.Key]*refusal // rows that the database does not take

	inserts map[ovn.Key]string // rows that come → their names in the transaction
	queue   []ovn.Key          // of them, those that were not looked at yet
	coming  map[ovn.Key]*ovndb.Row
	order   []ovn.Key        // of what comes
	rows    map[ovn.Key]bool // looked at
	changes map[ovn.Key]*change
	deleted []operation
	list    []Difference
	listed  map[string]bool // UUIDs of rows that go or stay
}

// change is what happens to a row that is there.
type change struct {
	uuid    string
	update  *ovndb.Row
	mutate  map[string]ovndb.Mutation
	columns map[string]string
}

// operation is one of a transaction, and whose.
type operation struct {
	of ovn.Key
	ovndb.Operation
}

func (w *Writer) plan(v *ovndb.View, keep bool) *plan {
	return &plan{
		model: w.model, index: w.index, view: v, keep: keep, gone: w.dropped, most: cmp.Or(w.most, mostRows), refused: w.refused,
		inserts: map[ovn.Key]string{}, coming: map[ovn.Key]*ovndb.Row{}, rows: map[ovn.Key]bool{}, changes: map[ovn.Key]*change{}, listed: map[string]bool{},
	}
}

// Bounds of one turn, so that the database's server is not kept from others for long, nor our copy from its news.
const (
	mostChanges = 500  // rows that come, change or go in one transaction; what must come together may be more
	mostRows    = 5000 // rows that are compared
)

// compare looks at rows in their order, until that is enough for one transaction. It says how many it has looked at.
func (p *plan) compare(list []item) (done int, err error) {
	for done < len(list) && (p.whole || done < p.most && len(p.order)+len(p.changes)+len(p.deleted) < mostChanges) {
		err := p.row(list[done].key)
		if err == nil {
			err = p.drain()
		}
		if err != nil {
			return done, err
		}
		done++
	}
	return done, nil
}

// compareSlots looks at entries of sets.
func (p *plan) compareSlots(slots map[ovn.Slot]bool) error {
	for slot := range slots {
		if err := p.slot(slot); err != nil {
			return err
		}
	}
	return p.drain()
}

// drain makes the rows that come.
func (p *plan) drain() error {
	for len(p.queue) > 0 {
		key := p.queue[0]
		p.queue = p.queue[1:]
		if err := p.insert(key); err != nil {
			return err
		}
	}
	return nil
}

// operations are those of one transaction.
func (p *plan) operations() []operation {
	var ops []operation
	for _, key := range p.order {
		ops = append(ops, operation{key, p.view.Schema().Insert(key.Table, p.inserts[key], p.coming[key])})
	}
	for _, key := range slices.SortedFunc(maps.Keys(p.changes), compareKeys) {
		c := p.changes[key]
		if len(c.update.One)+len(c.update.Many) > 0 {
			ops = append(ops, operation{key, p.view.Schema().Update(key.Table, c.uuid, c.update)})
		}
		if len(c.mutate) > 0 {
			ops = append(ops, operation{key, p.view.Schema().Mutate(key.Table, c.uuid, c.mutate)})
		}
	}
	return append(ops, p.deleted...)
}

func compareKeys(a, b ovn.Key) int {
	return cmp.Or(strings.Compare(a.Table, b.Table), strings.Compare(a.Name, b.Name))
}

// differences lists what the operations mend, and what stays.
func (p *plan) differences() []Difference {
	list := p.list
	for key, c := range p.changes {
		if len(c.columns) > 0 {
			list = append(list, Difference{Table: key.Table, Name: key.Name, UUID: c.uuid, Action: "change", Columns: c.columns})
		}
	}
	slices.SortFunc(list, func(a, b Difference) int {
		return cmp.Or(strings.Compare(a.Table, b.Table), strings.Compare(a.Name, b.Name), strings.Compare(a.UUID, b.UUID))
	})
	return list
}

// has says whether the database's schema has a column: older ones lack some.
func (p *plan) has(table, column string) (ovndb.Column, bool) {
	c, ok := p.view.Schema().Tables[table].Columns[column]
	return c, ok
}
