package northbound

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"neutrino/dataplane/ovndb"
	"neutrino/driver/ovn"
)

// DefaultCheck is how long after one comparison of the whole database the next one begins.
const DefaultCheck = time.Minute

// cause is why something is compared.
type cause int

const (
	byFact   cause = iota // a fact has changed
	byOthers              // the database has changed, and not by us
	byTurn                // we begin to write
	byCheck               // it is looked at now and then
)

// item is a row to be compared.
type item struct {
	key ovn.Key
	why cause
}

// pass is a comparison of everything, in as many transactions as it takes.
type pass struct {
	why                       cause
	began                     time.Time
	missing, extra, different int             // rows
	foreign                   map[string]bool // UUIDs of rows that stay, though we did not make them
	stays                     bool            // among those are some with our mark
}

// begin has everything compared, if it is time to.
func (w *Writer) begin(full bool) {
	why := byTurn
	if !full {
		w.stats.mu.Lock()
		due := w.pass == nil && time.Since(w.stats.Checked) >= w.o.Check
		w.stats.mu.Unlock()
		if !due {
			return
		}
		why = byCheck
	}
	w.acceptAll(full)
	w.in.Lock()
	if full {
		w.full = false
		w.clear()
	}
	keys := w.everything()
	w.in.Unlock()
	w.pass, w.backlog = &pass{why: why, began: time.Now(), foreign: map[string]bool{}}, w.items(keys, why)
}

// everything is all that we want and all that is there.
func (w *Writer) everything() map[ovn.Key]bool {
	all := make(map[ovn.Key]bool, len(w.index.rows))
	for _, key := range w.model.Keys() {
		all[key] = true
	}
	for key := range w.index.rows {
		all[key] = true
	}
	return all
}

// places are where rows of a table come in the order of their coming.
var places = func() map[string]int {
	m := map[string]int{}
	for i, table := range ovn.Tables {
		m[table] = i
	}
	return m
}()

// items are rows in the order in which they may come, then those that are to go, the other way round.
func (w *Writer) items(keys map[ovn.Key]bool, why cause) []item {
	list := make([]item, 0, len(keys))
	going := map[ovn.Key]bool{}
	for key := range keys {
		list = append(list, item{key, why})
		if w.model.Row(key) == nil {
			going[key] = true
		}
	}
	slices.SortFunc(list, func(a, b item) int {
		switch goes := going[a.key]; {
		case goes != going[b.key] && goes:
			return 1
		case goes != going[b.key]:
			return -1
		case goes:
			return cmp.Or(cmp.Compare(places[b.key.Table], places[a.key.Table]), strings.Compare(a.key.Name, b.key.Name))
		}
		return cmp.Or(cmp.Compare(places[a.key.Table], places[b.key.Table]), strings.Compare(a.key.Name, b.key.Name))
	})
	return list
}

// clear forgets what has changed. w.in is held.
func (w *Writer) clear() {
	w.facts, w.seen = newDirty(), newDirty()
	w.index.dirty = w.seen
}

// take gives the rows and entries that have changed, and why they are looked at. Of very many entries it gives the
// rows.
func (w *Writer) take() (rows []item, slots map[ovn.Slot]bool, why map[ovn.Key]cause) {
	facts, seen := w.facts, w.seen
	w.clear()
	why = map[ovn.Key]cause{}
	for _, d := range []struct {
		of    *dirty
		cause cause
	}{{seen, byOthers}, {facts, byFact}} {
		for s := range d.of.slots {
			why[s.Row] = d.cause
		}
		for key := range d.of.rows {
			why[key] = d.cause
		}
	}
	slots = facts.slots
	maps.Copy(slots, seen.slots)
	if len(slots) > mostRows {
		for s := range slots {
			facts.rows[s.Row] = true
		}
		slots = nil
	}
	for key := range facts.rows {
		delete(seen.rows, key)
	}
	return append(w.items(facts.rows, byFact), w.items(seen.rows, byOthers)...), slots, why
}

// write compares what has changed, and of the backlog what there is room for, and makes one transaction of the
// differences. more says that there is more to do.
func (w *Writer) write(ctx context.Context) (more bool, err error) {
	ended, explained := w.pass, w.crowd || w.pass != nil && w.pass.why == byTurn
	t := w.turn()
	began := time.Now()
	err = w.transact(ctx, t, "neutrino server", func(db *ovndb.View) error {
		ours := isOurs(db)
		if err := t.compare(w.plan(db, !ours)); err != nil {
			return err
		}
		w.backlog = t.todo[t.done:]
		last := len(w.backlog) == 0 && ended != nil
		if id := globalID(db); last && ended.why == byTurn && !ours && !ended.stays && !stays(t.list) && id != "" {
			t.ops = append(t.ops, takeOver(db, id))
		}
		began = time.Now()
		return nil
	})
	if len(w.backlog) > 0 {
		ended = nil
	}
	for _, i := range t.todo[:t.done] {
		if _, known := t.why[i.key]; !known {
			t.why[i.key] = i.why
		}
	}
	w.crowd = (w.crowd || t.done < t.changed) && len(w.backlog) > 0
	if err != nil {
		w.backlog, w.pass = nil, nil
		w.in.Lock()
		w.full = true
		w.in.Unlock()
		if errors.Is(err, ovndb.ErrNotReady) {
			return false, nil // State will say when
		}
		w.metrics.failed.Inc()
		return false, fmt.Errorf("write %d differences: %w", len(t.list), err)
	}
	if len(t.ops) > 0 {
		w.metrics.transaction.Observe(time.Since(began).Seconds())
	}
	w.report(t.list, t.why, explained)
	if ended != nil {
		w.ended(ended)
		w.pass = nil
	}
	if !w.since.IsZero() && len(t.ops) > 0 {
		w.metrics.commit.Observe(time.Since(w.since).Seconds())
	}
	w.since = time.Time{}
	return len(w.backlog) > 0, nil
}

// stays says whether rows with our mark stay though they should not be there.
func stays(list []Difference) bool {
	return slices.ContainsFunc(list, func(d Difference) bool { return d.Why == notYet })
}

// report counts what was written, and tells of rows that no changed fact explains, unless all are explained.
func (w *Writer) report(list []Difference, why map[ovn.Key]cause, explained bool) {
	w.stats.mu.Lock()
	defer w.stats.mu.Unlock()
	for _, d := range list {
		if d.Action == "keep" {
			w.keeps(d)
			continue
		}
		w.stats.Written++
		reason, known := why[ovn.Key{Table: d.Table, Name: d.Name}]
		if explained || !known || reason == byFact {
			continue
		}
		var none int
		missing, extra, different := &none, &none, &none
		if reason == byCheck && w.pass != nil {
			missing, extra, different = &w.pass.missing, &w.pass.extra, &w.pass.different
		}
		switch d.Action {
		case "add":
			w.stats.MendedMissing++
			*missing++
		case "remove":
			w.stats.MendedExtra++
			*extra++
		default:
			w.stats.MendedDifferent++
			*different++
		}
		w.o.Log.Warn("a row of the northbound database was not as it should be", "table", d.Table, "name", d.Name, "mended_by", d.Action, "columns", short(fmt.Sprint(d.Columns)))
	}
}

// short is a text as a log may have it.
func short(text string) string {
	const most = 500
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// keeps notes a row that is not ours to remove.
func (w *Writer) keeps(d Difference) {
	if w.pass == nil || w.pass.foreign[d.UUID] {
		return
	}
	w.pass.foreign[d.UUID] = true
	w.pass.stays = w.pass.stays || d.Why == notYet
	if w.pass.why == byTurn {
		w.o.Log.Warn("a row of the northbound database is not ours to remove", "table", d.Table, "name", d.Name, "uuid", d.UUID, "why", d.Why)
	}
}

// ended notes what a comparison of everything has found.
func (w *Writer) ended(p *pass) {
	w.stats.mu.Lock()
	defer w.stats.mu.Unlock()
	w.stats.Checked, w.stats.CheckTook, w.stats.Foreign = time.Now(), time.Since(p.began), len(p.foreign)
	w.stats.Missing, w.stats.Extra, w.stats.Different = p.missing, p.extra, p.different
	level := slog.LevelInfo
	if p.why == byCheck {
		level = slog.LevelDebug
	}
	w.o.Log.Log(context.Background(), level, "northbound database compared", "took", time.Since(p.began).Round(time.Millisecond),
		"missing", p.missing, "extra", p.extra, "different", p.different, "foreign", len(p.foreign))
}
