package openflow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Bridge keeps the flows of one bridge as its owner wants them. Flows are given in sets by key, so
// that a change of one port costs that port's flows only. It belongs to one goroutine.
type Bridge struct {
	network, addr string
	conn          *Conn

	sets      map[string][]*record
	want      map[identity]*claim
	installed map[identity]*record  // what the switch has, as far as we know
	dirty     map[identity]struct{} // to be looked at
	failed    map[string]error      // keys whose flows the switch refused
	stale     []Entry               // flows of ours found on the switch that nobody wants
	foreign   []Entry               // flows found there that are not ours: never touched
	synced    bool

	meters    map[string][]MeterSpec // by key, that its flows name
	metered   map[uint32]MeterSpec   // by id: what the switch has, as far as we know
	allMeters bool                   // there are only ours
}

// claim is a key's wish for a flow; others may wish for the same place.
type claim struct {
	key    string
	record *record
	next   *claim
}

// NewBridge keeps the flows of the bridge with that management socket, for instance
// "unix", "/run/openvswitch/br-int.mgmt".
func NewBridge(network, addr string) *Bridge {
	return &Bridge{
		network: network, addr: addr,
		sets: map[string][]*record{}, want: map[identity]*claim{}, installed: map[identity]*record{},
		dirty: map[identity]struct{}{}, failed: map[string]error{},
		meters: map[string][]MeterSpec{}, metered: map[uint32]MeterSpec{},
	}
}

// Set gives the flows of a key in place of those that it had; none removes the key. Nothing is
// written before Flush. When two keys want different flows with the same table, priority and match,
// the key that sorts first has it; of one key's flows the last has it.
func (b *Bridge) Set(key string, flows []Flow) {
	for _, f := range flows {
		if err := f.Check(); err != nil { // as a set it is not wanted: none of its flows is
			b.replace(key, nil)
			delete(b.meters, key)
			b.failed[key] = fmt.Errorf("flow %s: %w", f, err)
			return
		}
	}
	meters := metersOf(flows)
	if delete(b.meters, key); len(meters) > 0 {
		b.meters[key] = meters
	}
	records := make([]*record, len(flows))
	for i, f := range flows {
		records[i] = newRecord(f)
	}
	same := func(a, b *record) bool { return a.identity == b.identity && a.cookie == b.cookie }
	if b.failed[key] == nil && slices.EqualFunc(records, b.sets[key], same) {
		return
	}
	b.replace(key, records)
}

// replace gives a key these records in place of those that it had.
func (b *Bridge) replace(key string, records []*record) {
	for _, r := range b.sets[key] {
		b.withdraw(r.identity, key)
		b.dirty[r.identity] = struct{}{}
	}
	delete(b.failed, key)
	delete(b.sets, key)
	if len(records) == 0 {
		return
	}
	b.sets[key] = records
	for _, r := range records {
		b.withdraw(r.identity, key) // an earlier one of the same set
		b.want[r.identity] = &claim{key, r, b.want[r.identity]}
		b.dirty[r.identity] = struct{}{}
	}
}

// withdraw ends a key's claim on a place.
func (b *Bridge) withdraw(id identity, key string) {
	var kept *claim
	for c := b.want[id]; c != nil; c = c.next {
		if c.key != key {
			kept = &claim{c.key, c.record, kept}
		}
	}
	if kept == nil {
		delete(b.want, id)
	} else {
		b.want[id] = kept
	}
}

// Keys lists the keys that have flows, or had to be refused.
func (b *Bridge) Keys() []string {
	keys := slices.Collect(maps.Keys(b.sets))
	for key := range b.failed {
		if _, has := b.sets[key]; !has {
			keys = append(keys, key)
		}
	}
	return keys
}

// Pending is the number of flows that Flush would look at.
func (b *Bridge) Pending() int { return len(b.dirty) }

// chosen is the claim that holds a place; nil when none does.
func (b *Bridge) chosen(id identity) *claim {
	var first *claim
	for c := b.want[id]; c != nil; c = c.next {
		if b.failed[c.key] == nil && (first == nil || c.key < first.key) {
			first = c
		}
	}
	return first
}

// Connected says whether there is a connection that has not ended.
func (b *Bridge) Connected() bool {
	if b.conn == nil {
		return false
	}
	select {
	case <-b.conn.Closed():
		return false
	default:
		return true
	}
}

// Flush writes what has changed since the last one, as one atomic bundle: additions first, deletions
// last. After a lost connection it compares with the switch first. Sets that the switch refuses are
// left out and told by key; the rest is written all the same. An error means that nothing is known
// to have been written: call again.
func (b *Bridge) Flush(ctx context.Context) (refused map[string]error, err error) {
	if err := b.connect(ctx); err != nil {
		return nil, err
	}
	if err := b.makeMeters(ctx); err != nil {
		b.synced = false
		return nil, err
	}
	for {
		mods, owners, done := b.changes()
		var err error
		if len(mods) > 0 {
			err = b.conn.bundle(ctx, mods)
		}
		var bad *Refused
		switch {
		case err == nil:
			done()
			if err := b.dropMeters(ctx); err != nil {
				b.synced = false
				return nil, err
			}
			return maps.Clone(b.failed), nil
		case errors.As(err, &bad) && bad.Index < len(owners):
			owner := owners[bad.Index]
			b.failed[owner.key] = fmt.Errorf("the switch refuses flow %s: %s", owner.record, reason(bad.Type, bad.Code))
			for _, r := range b.sets[owner.key] {
				b.dirty[r.identity] = struct{}{}
			}
		default:
			b.synced = false
			return nil, fmt.Errorf("write flows: %w", err)
		}
	}
}

// Resync compares with the switch: flows that have been lost come back and strays go, with the next
// Flush.
func (b *Bridge) Resync() { b.synced = false }

// Close ends the connection. The switch keeps its flows.
func (b *Bridge) Close() {
	if b.conn != nil {
		_ = b.conn.Close()
	}
}

// Connect connects to the switch where there is no connection. What it has is compared by the next Flush.
func (b *Bridge) Connect(ctx context.Context) error {
	if b.Connected() {
		return nil
	}
	conn, err := Dial(ctx, b.network, b.addr)
	if err != nil {
		return err
	}
	b.conn, b.synced = conn, false
	b.retry()
	return nil
}

func (b *Bridge) connect(ctx context.Context) error {
	if err := b.Connect(ctx); err != nil {
		return err
	}
	if b.synced {
		return nil
	}
	entries, err := b.conn.Dump(ctx)
	if err != nil {
		return err
	}
	b.compare(entries)
	if err := b.readMeters(ctx); err != nil {
		return err
	}
	b.synced = true
	return nil
}

// Foreign lists the flows that were on the switch at the last comparison and do not bear our mark.
// They are left alone, unless a wanted flow with the same table, priority and match replaces one.
func (b *Bridge) Foreign() []Entry { return b.foreign }

// Lost is closed when the connection has ended: the switch may have forgotten its flows, and Flush
// puts them back. It is nil before the first Flush.
func (b *Bridge) Lost() <-chan struct{} {
	if b.conn == nil {
		return nil
	}
	return b.conn.Closed()
}

// retry forgets what the switch has refused: another one may run now.
func (b *Bridge) retry() {
	for _, key := range slices.Collect(maps.Keys(b.failed)) {
		if _, kept := b.sets[key]; kept { // what Check refuses is no better for another switch
			b.replace(key, b.sets[key])
		}
	}
}

// compare finds which wanted flows the switch has, by their cookies, and which of our flows there
// nobody wants.
func (b *Bridge) compare(entries []Entry) {
	have := make(map[uint64]bool, len(entries))
	for _, e := range entries {
		have[e.Cookie] = true
	}
	b.installed = make(map[identity]*record, len(b.want))
	wanted := make(map[uint64]bool, len(b.want))
	for id := range b.want {
		c := b.chosen(id)
		if c == nil {
			continue
		}
		cookie := c.record.cookie
		wanted[cookie] = true
		if have[cookie] {
			b.installed[id] = c.record
		}
		b.dirty[id] = struct{}{}
	}
	b.stale, b.foreign = nil, nil
	for _, e := range entries {
		switch {
		case !e.Ours():
			b.foreign = append(b.foreign, e)
		case !wanted[e.Cookie]:
			b.stale = append(b.stale, e)
		}
	}
}

// changes makes the messages of the next bundle: first those that add, with their claims by the same
// index, then those that delete; done notes that all was written.
func (b *Bridge) changes() (mods [][]byte, owners []*claim, done func()) {
	var deleted []*record
	for id := range b.dirty {
		c, was := b.chosen(id), b.installed[id]
		switch {
		case c != nil && was != nil && c.record.cookie == was.cookie:
		case c != nil:
			mods, owners = append(mods, c.record.body), append(owners, c)
		case was != nil:
			deleted = append(deleted, was)
		}
	}
	for _, r := range deleted {
		mods = append(mods, r.deletion())
	}
	for _, e := range b.stale {
		mods = append(mods, deletion(e.Table, e.Priority, e.Cookie, e.match))
	}
	return mods, owners, func() {
		for _, c := range owners {
			b.installed[c.record.identity] = c.record
		}
		for _, r := range deleted {
			delete(b.installed, r.identity)
		}
		b.stale, b.dirty = nil, map[identity]struct{}{}
	}
}
