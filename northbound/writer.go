package northbound

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"neutrino/dataplane/ovndb"
	"neutrino/driver/ovn"
)

// Options say which database is written, and from what.
type Options struct {
	Database ovndb.Options // Endpoints and TLS; the rest is the writer's
	Driver   ovn.Options
	Journal  Journal
	Source   Source
	Log      *slog.Logger

	// Realised is told which routers and floating IPs have been written, or why they can't be; nil: nobody.
	Realised func(ctx context.Context, list []Realised) error
	// Turn is told when this server begins or ceases to be the one that writes; nil: nobody.
	Turn func(writing bool)
	// Ask is how often hosts are asked whether they live; 0: never.
	Ask time.Duration
	// Check is how long after one comparison of the whole database the next one begins; 0: DefaultCheck.
	Check time.Duration
}

// Realised is a thing whose rows are written.
type Realised struct {
	ovn.Thing
	Rows   bool   // there are any, and it works by them
	Reason string // what is in its way
}

// lock is what the one server that writes holds.
const lock = "neutrino"

// Writer keeps the database as it should be. Of several servers one writes; the others follow, ready to go on.
type Writer struct {
	o      Options
	client *ovndb.Client
	wake   chan struct{}

	mu      sync.Mutex // before the client's
	model   *ovn.Model
	loaded  bool
	read    int64              // revision of the journal that the model is at
	hosts   bool               // the chassis are known
	tell    map[ovn.Thing]bool // things that Realised was not told of yet
	dropped dropped            // rows that were wanted
	pruned  time.Time          // when those were looked through
	anew    bool               // the journal has gone back: what is not there was not deleted, it is another database
	since   time.Time          // when the oldest change was heard of that is not written yet; zero: there is none

	backlog []item // what is to be compared when all that has changed was
	crowd   bool   // rows that have changed are in the backlog
	pass    *pass  // the comparison of everything that the backlog is the rest of; nil: none

	refused map[ovn.Key]*refusal
	doubts  bool // the last transaction was refused, and it was not said for what
	most    int  // rows to try at once, for that reason; 0: as many as there is room for

	// The client's callbacks write these while the client is locked; mu is not held there.
	in    sync.Mutex
	index *index
	full  bool      // everything is to be compared
	facts *dirty    // by changed facts
	seen  *dirty    // by changes of the database
	asked time.Time // hosts, whether they live

	heard   atomic.Int64 // when the journal told of a change that was not read yet, in ns since 1970; 0: of none
	stats   stats
	metrics metrics
}

// New makes a writer.
func New(o Options) *Writer {
	if o.Check == 0 {
		o.Check = DefaultCheck
	}
	w := &Writer{
		o: o, model: ovn.NewModel(o.Driver), wake: make(chan struct{}, 1), facts: newDirty(), seen: newDirty(), tell: map[ovn.Thing]bool{}, metrics: newMetrics(),
		dropped: dropped{},
		refused: map[ovn.Key]*refusal{},
	}
	w.index = newIndex(w.seen)
	db := o.Database
	db.Database, db.Lock, db.Log = "OVN_Northbound", lock, o.Log
	db.Tables = w.tables()
	db.Changed, db.State = w.changed, w.state
	w.client = ovndb.New(db)
	return w
}

// columns are the columns that are watched of tables which have others that change by themselves.
var columns = map[string][]string{
	"Logical_Switch_Port": {
		"name", "type", "options", "parent_name", "tag_request", "addresses", "port_security", "enabled", "dhcpv4_options", "dhcpv6_options",
		"ha_chassis_group", "peer", "external_ids",
	},
	"BFD": {"logical_port", "dst_ip", "external_ids"},
}

// tables are what is watched.
func (w *Writer) tables() map[string][]string {
	out := map[string][]string{"NB_Global": {"external_ids", "nb_cfg"}}
	for _, t := range ovn.Tables {
		out[t] = columns[t]
	}
	return out
}

func (w *Writer) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// changed takes what has changed in the copy.
func (w *Writer) changed(db *ovndb.View, changes []ovndb.Change) {
	w.in.Lock()
	defer w.in.Unlock()
	w.index.take(changes, db.Row)
	for _, ch := range changes {
		if ch.Table == "NB_Global" && (ch.Came["external_ids"][ownMark] != "" || ch.Gone["external_ids"][ownMark] != "") {
			w.full = true // what may be removed is another
		}
	}
	w.poke()
}

// state notes that we may write, or may not any more.
func (w *Writer) state(ready bool) {
	w.in.Lock()
	defer w.in.Unlock()
	w.full = w.full || ready // what was written meanwhile, by whomever, is not known to be right
	w.asked = time.Time{}
	w.o.Log.Info("northbound database", "writing", ready)
	if w.o.Turn != nil {
		w.o.Turn(ready)
	}
	w.poke()
}

// SetHosts tells which hosts OVN runs on. Nothing is written before this is known.
func (w *Writer) SetHosts(list []*ovn.Chassis) {
	w.mu.Lock()
	defer w.mu.Unlock()
	gone := map[string]bool{}
	for _, name := range w.model.IDs(ovn.KindChassis) {
		gone[name] = true
	}
	for _, c := range list {
		w.model.Put(c)
		delete(gone, c.Name)
	}
	for name := range gone {
		w.model.Delete(ovn.KindChassis, name)
	}
	w.hosts = true
	w.poke()
}

// Run follows the journal and the database until the context ends.
func (w *Writer) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { _ = w.client.Run(ctx) })
	group.Go(func() { w.listen(ctx) })
	const most = 2 * time.Second
	pause := time.Duration(0)
	for ctx.Err() == nil {
		news := w.o.Journal.Changed()
		err := w.step(ctx)
		pause = min(2*pause+50*time.Millisecond, most)
		if err == nil {
			pause = most // others' changes and what fell through are looked for
		} else if ctx.Err() == nil {
			w.o.Log.Error("the northbound database could not be written; trying again", "error", err)
		}
		timer := time.After(pause)
		select {
		case <-ctx.Done():
		case <-timer:
		case <-news:
			if err != nil {
				<-time.After(50 * time.Millisecond)
			}
		case <-w.wake:
			if err != nil {
				<-time.After(50 * time.Millisecond)
			}
		}
		if err == nil {
			pause = 0
		}
	}
	return ctx.Err()
}

// listen notes when changes are heard of.
func (w *Writer) listen(ctx context.Context) {
	for {
		news := w.o.Journal.Changed()
		select {
		case <-ctx.Done():
			return
		case <-news:
			w.heard.CompareAndSwap(0, time.Now().UnixNano())
		}
	}
}

// step brings the model to the journal's head, and the database to the model: what has changed first, then what is to
// be looked at besides.
func (w *Writer) step(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for more := true; more; {
		w.in.Lock()
		full := w.full // before the journal is read: what comes then is no older than our turn
		w.in.Unlock()
		if t := w.heard.Swap(0); t != 0 && w.since.IsZero() {
			w.since = time.Unix(0, t)
		}
		if err := w.follow(ctx); err != nil {
			return err
		}
		touched := w.model.Settle()
		w.drop(touched.Rows)
		w.in.Lock()
		maps.Copy(w.facts.rows, touched.Rows)
		maps.Copy(w.facts.slots, touched.Slots)
		w.in.Unlock()
		maps.Copy(w.tell, touched.Things)
		if w.client.Ready() != nil || !w.hosts {
			w.in.Lock()
			w.clear() // whoever begins to write compares everything
			w.in.Unlock()
			w.since = time.Time{}
			return nil
		}
		w.in.Lock()
		began := w.full && !full
		w.in.Unlock()
		if began { // our turn came while the journal was read: it may be older
			continue
		}
		w.begin(full)
		var err error
		if more, err = w.write(ctx); err != nil {
			return err
		}
	}
	if err := w.realised(ctx); err != nil {
		return err
	}
	return w.ask(ctx)
}

// drop notes which rows are wanted no longer, as facts say that were deleted or changed.
func (w *Writer) drop(touched map[ovn.Key]bool) {
	if w.anew {
		w.anew = false
		clear(w.dropped)
		return
	}
	w.dropped.take(w.model, touched)
	if time.Since(w.pruned) > w.o.Check {
		w.pruned = time.Now()
		w.in.Lock()
		w.dropped.prune(w.index)
		w.in.Unlock()
	}
}

// realised tells of routers and floating IPs that are written.
func (w *Writer) realised(ctx context.Context) error {
	if w.o.Realised == nil || len(w.tell) == 0 || w.client.Ready() != nil {
		return nil
	}
	list := make([]Realised, 0, len(w.tell))
	for t := range w.tell {
		if t.Kind != ovn.KindRouter && t.Kind != ovn.KindFloatingIP {
			continue
		}
		rows, notes := w.model.State(t)
		reasons, works := w.refusedOf(t)
		list = append(list, Realised{t, rows && works, strings.Join(slices.Concat(notes, reasons), "; ")})
	}
	if err := w.o.Realised(ctx, list); err != nil {
		return fmt.Errorf("tell what is realised: %w", err)
	}
	for t := range w.tell {
		if _, notes := w.model.State(t); len(notes) > 0 && t.Kind != ovn.KindRouter && t.Kind != ovn.KindFloatingIP { // of others only the log tells
			w.o.Log.Warn("OVN can't do what was asked for", "of", t.Kind, "id", t.ID, "what", short(strings.Join(notes, "; ")))
		}
	}
	w.tell = map[ovn.Thing]bool{}
	return nil
}

// Ask has hosts asked at once whether they live.
func (w *Writer) Ask() {
	w.in.Lock()
	defer w.in.Unlock()
	w.asked = time.Time{}
	w.poke()
}

// ask raises the number that all controllers repeat in the southbound database when they have done what the
// northbound one said (ovn-nb(5), NB_Global nb_cfg).
func (w *Writer) ask(ctx context.Context) error {
	w.in.Lock()
	due := w.o.Ask > 0 && time.Since(w.asked) >= w.o.Ask
	w.in.Unlock()
	if !due {
		return nil
	}
	var ops []ovndb.Operation
	if err := w.client.View(func(db *ovndb.View) {
		for id, row := range db.Table("NB_Global") {
			n, _ := strconv.ParseInt(row.One["nb_cfg"], 10, 64)
			next := ovndb.NewRow()
			next.One["nb_cfg"] = strconv.FormatInt(n+1, 10)
			ops = append(ops, db.Schema().Update("NB_Global", id, next))
		}
	}); err != nil || len(ops) == 0 {
		return err
	}
	if err := w.client.Transact(ctx, ops); err != nil && !errors.Is(err, ovndb.ErrNotReady) {
		return fmt.Errorf("ask hosts whether they live: %w", err)
	}
	w.in.Lock()
	w.asked = time.Now()
	w.in.Unlock()
	return nil
}

// batch is how many entries of the journal are read at once.
const batch = 1000

// follow reads what has changed.
func (w *Writer) follow(ctx context.Context) error {
	if !w.loaded {
		return w.load(ctx)
	}
	for {
		entries, err := w.o.Journal.Read(ctx, w.read, batch)
		if err != nil {
			return fmt.Errorf("read the journal after %d: %w", w.read, err)
		}
		if len(entries) == 0 {
			head, err := w.o.Journal.Head(ctx)
			if err == nil && head < w.read {
				w.o.Log.Warn("the journal has gone back; reading everything again", "at", w.read, "head", head)
				w.anew = true
				return w.load(ctx)
			}
			return err
		}
		if entries[0].Revision != w.read+1 {
			oldest, err := w.o.Journal.Oldest(ctx)
			if err != nil {
				return fmt.Errorf("find the journal's oldest entry: %w", err)
			}
			if oldest > w.read+1 {
				return w.load(ctx)
			}
		}
		asked := map[ovn.Kind][]string{}
		seen := map[Entry]bool{}
		for _, e := range entries {
			kind := ovn.Kind(e.Kind)
			if one := (Entry{Kind: e.Kind, ID: e.ID}); slices.Contains(kinds, kind) && !seen[one] {
				seen[one] = true
				asked[kind] = append(asked[kind], e.ID)
			}
		}
		if len(asked) > 0 {
			facts, err := w.o.Source.Some(ctx, asked)
			if err != nil {
				return fmt.Errorf("read changed facts: %w", err)
			}
			facts.put(w.model, asked)
		}
		w.read = entries[len(entries)-1].Revision
	}
}

// load reads everything.
func (w *Writer) load(ctx context.Context) error {
	facts, revision, err := w.o.Source.All(ctx)
	if err != nil {
		return fmt.Errorf("read all facts: %w", err)
	}
	all := map[ovn.Kind][]string{}
	for _, k := range kinds {
		all[k] = w.model.IDs(k)
	}
	facts.put(w.model, all)
	w.loaded, w.read = true, revision
	return nil
}

// ownMark in NB_Global's external_ids says that a Neutrino has taken the database over. Before that, rows with the
// original's mark that no fact has ever wanted stay: a server with an empty database of its own does not
// empty the network of a whole cloud.
const ownMark = "neutrino:writes"

func isOurs(db *ovndb.View) bool {
	for _, row := range db.Table("NB_Global") {
		return row.Many["external_ids"][ownMark] != ""
	}
	return false
}

func globalID(db *ovndb.View) string {
	for id := range db.Table("NB_Global") {
		return id
	}
	return ""
}
