package northbound

import (
	"context"
	"errors"
	"maps"
	"slices"

	"neutrino/dataplane/ovndb"
	"neutrino/driver/ovn"
)

// refusal is a row that the database does not take. It is left out until its facts change, or others change the row, or
// another server begins to write; all else is written.
type refusal struct {
	of     ovn.Thing // whose row it is
	reason string
	whole  bool // not only its own columns: also what others put into its sets, or what it needs
	found  bool // by trying; the database has not named it
}

// turn is what is compared and written at once.
type turn struct {
	todo    []item
	changed int // of todo, those that were not in the backlog
	slots   map[ovn.Slot]bool
	why     map[ovn.Key]cause

	done int // of todo
	ops  []operation
	list []Difference
}

// turn takes what has changed, and the backlog. Rows that were refused are tried again when they have changed.
func (w *Writer) turn() *turn {
	w.in.Lock()
	defer w.in.Unlock()
	t := &turn{}
	t.todo, t.slots, t.why = w.take()
	t.changed = len(t.todo)
	for _, i := range t.todo {
		w.accept(i.key)
	}
	t.todo = append(t.todo, w.backlog...)
	return t
}

// compare makes the operations.
func (t *turn) compare(p *plan) (err error) {
	if err = p.compareSlots(t.slots); err == nil {
		t.done, err = p.compare(t.todo)
	}
	t.ops, t.list = p.operations(), p.differences()
	return err
}

// transact compares and makes a transaction of the differences, again and again while the database refuses rows, without those.
func (w *Writer) transact(ctx context.Context, t *turn, comment string, compare func(db *ovndb.View) error) (err error) {
	for again := true; again; {
		if viewing := w.client.View(func(db *ovndb.View) {
			w.in.Lock()
			defer w.in.Unlock()
			err = compare(db)
		}); viewing != nil {
			return viewing
		}
		if err != nil {
			return err
		}
		if len(t.ops) == 0 {
			break
		}
		ops := make([]ovndb.Operation, len(t.ops), len(t.ops)+1)
		for i, op := range t.ops {
			ops[i] = op.Operation
		}
		err = w.client.Transact(ctx, append(ops, ovndb.Comment(comment)))
		again = w.refuses(t, err)
	}
	if err == nil && w.most > 0 {
		w.most *= 2
	}
	if err == nil && (w.most == 0 || w.most >= mostRows) {
		w.most, w.doubts = 0, false
	}
	return err
}

// refuses says whether an error was a row's fault, and the rest may be tried. Where the database names no operation, or one of
// a row that is left out already, another client's doing may be the cause: the first time everything is compared anew. Then
// fewer and fewer rows are tried at once, until it is one.
func (w *Writer) refuses(t *turn, err error) bool {
	var no *ovndb.Refusal
	if !errors.As(err, &no) {
		return false
	}
	w.metrics.failed.Inc()
	if no.Operation >= 0 && no.Operation < len(t.ops) {
		if key := t.ops[no.Operation].of; key != (ovn.Key{}) && w.refused[key] == nil {
			w.refuse(key, &refusal{reason: no.Reason})
			return true
		}
	}
	switch {
	case !w.doubts:
		w.doubts = true
		return false
	case len(t.slots) > 0:
		rows := map[ovn.Key]bool{}
		for s := range t.slots {
			rows[s.Row] = true
			if s.Entry.Ref != (ovn.Key{}) && w.model.Row(s.Entry.Ref) != nil {
				rows[s.Entry.Ref] = true
			}
		}
		items := w.items(rows, byFact)
		t.todo, t.slots, t.changed = append(items, t.todo...), nil, t.changed+len(items)
	case t.done > 1:
		w.most = t.done / 2
	case t.done == 1:
		w.refuse(t.todo[0].key, &refusal{reason: no.Reason, whole: true, found: true})
	default:
		return false
	}
	return true
}

// refuse leaves a row out.
func (w *Writer) refuse(key ovn.Key, r *refusal) {
	r.of = w.model.Owner(key)
	w.refused[key] = r
	w.tell[r.of] = true
	w.countRefused()
	w.o.Log.Error("the northbound database refuses a row; it is left out", "table", key.Table, "name", key.Name, "of", r.of.Kind, "id", r.of.ID, "reason", short(r.reason))
}

// accept has a row that was refused tried again.
func (w *Writer) accept(key ovn.Key) {
	if r := w.refused[key]; r != nil {
		delete(w.refused, key)
		w.tell[r.of] = true
		w.countRefused()
	}
}

// acceptAll has all rows that were refused tried again, or of them those that the database has not named: what was in their
// way may be gone.
func (w *Writer) acceptAll(named bool) {
	for key, r := range w.refused {
		if named || r.found {
			w.accept(key)
		}
	}
}

func (w *Writer) countRefused() {
	w.stats.mu.Lock()
	defer w.stats.mu.Unlock()
	w.stats.Refused = len(w.refused)
}

// refusedOf gives why rows of a thing are not written, and whether it works without them.
func (w *Writer) refusedOf(of ovn.Thing) (reasons []string, works bool) {
	works = true
	for _, key := range slices.SortedFunc(maps.Keys(w.refused), compareKeys) {
		if r := w.refused[key]; r.of == of {
			reasons = append(reasons, "OVN's northbound database refuses "+key.String()+": "+short(r.reason))
			works = works && key.Table == "QoS"
		}
	}
	return reasons, works
}

// waits says whether a row can't come, for the database refuses it, or a row that would keep it alive or guard it.
func (p *plan) waits(key ovn.Key) bool {
	if len(p.refused) == 0 || p.refused[key] != nil {
		return p.refused[key] != nil
	}
	return slices.ContainsFunc(p.model.NamedBy(key), func(s ovn.Slot) bool {
		return p.refused[s.Row] != nil && p.index.find(s.Row) == "" && (p.isChild(s.Row, s.Column, key.Table) || s.Row == ovn.Guard)
	})
}
