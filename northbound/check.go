package northbound

import (
	"context"
	"errors"
	"fmt"
	"time"

	"neutrino/dataplane/ovndb"
	"neutrino/driver/ovn"
)

// CheckOptions say what Check does besides looking.
type CheckOptions struct {
	Repair   bool // write the differences
	TakeOver bool // remove rows with the original's mark that should not be there, now and from now on
}

// Check compares the whole database with the facts, once, and lists the differences. hosts are the chassis. It works
// beside running servers: what they are about to write may be among the differences.
func Check(ctx context.Context, o Options, hosts []*ovn.Chassis, what CheckOptions) ([]Difference, error) {
	w := New(o)
	db := o.Database
	db.Database, db.Log, db.Tables = "OVN_Northbound", o.Log, w.tables()
	ready := make(chan struct{}, 1)
	db.Changed = w.changed
	db.State = func(on bool) {
		if on {
			select {
			case ready <- struct{}{}:
			default:
			}
		}
	}
	w.client = ovndb.New(db)
	run, stop := context.WithCancel(ctx)
	defer stop()
	go func() { _ = w.client.Run(run) }()
	limit, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	select {
	case <-ready:
	case <-limit.Done():
		return nil, fmt.Errorf("reach the northbound database: %w", w.client.Ready())
	}
	if err := w.load(ctx); err != nil {
		return nil, err
	}
	for _, c := range hosts {
		w.model.Put(c)
	}
	w.model.Settle()
	list, err := w.look(what.TakeOver)
	if err == nil && (what.Repair || what.TakeOver) {
		err = w.mend(ctx, what)
	}
	return list, err
}

// look lists all differences.
func (w *Writer) look(takeOver bool) (list []Difference, err error) {
	if viewing := w.client.View(func(db *ovndb.View) {
		w.in.Lock()
		defer w.in.Unlock()
		p := w.plan(db, !isOurs(db) && !takeOver)
		p.whole = true
		_, err = p.compare(w.items(w.everything(), byCheck))
		list = p.differences()
	}); viewing != nil {
		return nil, viewing
	}
	return list, err
}

// mend writes all differences.
func (w *Writer) mend(ctx context.Context, what CheckOptions) error {
	w.in.Lock()
	todo := w.items(w.everything(), byCheck)
	w.in.Unlock()
	for first := true; first || what.Repair && len(todo) > 0; first = false {
		t := &turn{todo: todo}
		if err := w.transact(ctx, t, "neutrino ovn repair", func(db *ovndb.View) error {
			if what.Repair {
				if err := t.compare(w.plan(db, !isOurs(db) && !what.TakeOver)); err != nil {
					return err
				}
			}
			if id := globalID(db); first && what.TakeOver && id != "" {
				t.ops = append(t.ops, takeOver(db, id))
			}
			return nil
		}); err != nil {
			return fmt.Errorf("write the differences: %w", err)
		}
		todo = t.todo[t.done:]
	}
	var all []error
	for key, r := range w.refused {
		all = append(all, fmt.Errorf("%s: %w", key, errors.New(r.reason)))
	}
	return errors.Join(all...)
}

func takeOver(db *ovndb.View, id string) operation {
	return operation{Operation: db.Schema().Mutate("NB_Global", id, map[string]ovndb.Mutation{"external_ids": {Insert: map[string]string{ownMark: "yes"}}})}
}
