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

	sets      map[string][]Flow
	want      map[string]map[string]Flow // identity → key → flow
	installed map[string]Flow            // identity → what the switch has, as far as we know
	dirty     map[string]struct{}        // identities to look at
	failed    map[string]error           // keys whose flows the switch refused
	stale     []Entry                    // flows of ours found on the switch that nobody wants
	foreign   []Entry                    // flows found there that are not ours: never touched
	synced    bool
}

// NewBridge keeps the flows of the bridge with that management socket, for instance
// "unix", "/run/openvswitch/br-int.mgmt".
func NewBridge(network, addr string) *Bridge {
	return &Bridge{
		network: network, addr: addr,
		sets: map[string][]Flow{}, want: map[string]map[string]Flow{}, installed: map[string]Flow{},
		dirty: map[string]struct{}{}, failed: map[string]error{},
	}
}

// Set gives the flows of a key in place of those that it had; none removes the key. Nothing is
// written before Flush. When two keys want different flows with the same table, priority and match,
// the key that sorts first has it; of one key's flows the last has it.
func (b *Bridge) Set(key string, flows []Flow) {
	for _, f := range b.sets[key] {
		id := string(f.identity())
		delete(b.want[id], key)
		if len(b.want[id]) == 0 {
			delete(b.want, id)
		}
		b.dirty[id] = struct{}{}
	}
	delete(b.failed, key)
	if len(flows) == 0 {
		delete(b.sets, key)
		return
	}
	b.sets[key] = flows
	for _, f := range flows {
		if err := f.Check(); err != nil {
			b.failed[key] = fmt.Errorf("flow %s: %w", f, err)
			return // as a set it is not wanted: none of its flows is
		}
	}
	for _, f := range flows {
		id := string(f.identity())
		if b.want[id] == nil {
			b.want[id] = map[string]Flow{}
		}
		b.want[id][key] = f
		b.dirty[id] = struct{}{}
	}
}

// Keys lists the keys that have flows.
func (b *Bridge) Keys() []string {
	keys := make([]string, 0, len(b.sets))
	for key := range b.sets {
		keys = append(keys, key)
	}
	return keys
}

// Pending is the number of flows that Flush would look at.
func (b *Bridge) Pending() int { return len(b.dirty) }

// chosen is the flow wanted for an identity, with its key.
func (b *Bridge) chosen(id string) (flow Flow, key string, ok bool) {
	for k, f := range b.want[id] {
		if b.failed[k] == nil && (!ok || k < key) {
			flow, key, ok = f, k, true
		}
	}
	return flow, key, ok
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
	for {
		mods, owners, done := b.changes()
		if len(mods) == 0 {
			done()
			return maps.Clone(b.failed), nil
		}
		err := b.conn.bundle(ctx, mods)
		var bad *Refused
		switch {
		case err == nil:
			done()
			return maps.Clone(b.failed), nil
		case errors.As(err, &bad) && bad.Index < len(owners):
			key := owners[bad.Index].key
			b.failed[key] = fmt.Errorf("the switch refuses flow %s: %s", owners[bad.Index].flow, reason(bad.Type, bad.Code))
			for _, f := range b.sets[key] {
				b.dirty[string(f.identity())] = struct{}{}
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

func (b *Bridge) connect(ctx context.Context) error {
	if !b.Connected() {
		conn, err := Dial(ctx, b.network, b.addr)
		if err != nil {
			return err
		}
		b.conn, b.synced = conn, false
		b.retry()
	}
	if b.synced {
		return nil
	}
	entries, err := b.conn.Dump(ctx)
	if err != nil {
		return err
	}
	b.compare(entries)
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
		b.Set(key, b.sets[key])
	}
}

// compare finds which wanted flows the switch has, by their cookies, and which of our flows there
// nobody wants.
func (b *Bridge) compare(entries []Entry) {
	have := make(map[uint64]bool, len(entries))
	for _, e := range entries {
		have[e.Cookie] = true
	}
	b.installed = make(map[string]Flow, len(b.want))
	wanted := make(map[uint64]bool, len(b.want))
	for id := range b.want {
		f, _, ok := b.chosen(id)
		if !ok {
			continue
		}
		cookie := f.Cookie()
		wanted[cookie] = true
		if have[cookie] {
			b.installed[id] = f
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

// owner is whose flow a message adds.
type owner struct {
	key  string
	flow Flow
}

// changes makes the messages of the next bundle: first those that add, with their owners by the same
// index, then those that delete; done notes that all was written.
func (b *Bridge) changes() (mods [][]byte, owners []owner, done func()) {
	type deletedFlow struct {
		id   string
		flow Flow
	}
	added := map[string]Flow{}
	var deleted []deletedFlow
	for id := range b.dirty {
		f, key, ok := b.chosen(id)
		was, there := b.installed[id]
		switch {
		case ok && there && f.Cookie() == was.Cookie():
		case ok:
			mods, owners = append(mods, f.flowMod()), append(owners, owner{key, f})
			added[id] = f
		case there:
			deleted = append(deleted, deletedFlow{id, was})
		}
	}
	for _, d := range deleted {
		mods = append(mods, deletion(d.flow.Table, d.flow.Priority, d.flow.Cookie(), d.flow.Match.append(nil)))
	}
	for _, e := range b.stale {
		mods = append(mods, deletion(e.Table, e.Priority, e.Cookie, e.match))
	}
	return mods, owners, func() {
		for id, f := range added {
			b.installed[id] = f
		}
		for _, d := range deleted {
			delete(b.installed, d.id)
		}
		b.stale, b.dirty = nil, map[string]struct{}{}
	}
}
