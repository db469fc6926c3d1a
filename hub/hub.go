package hub

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"neutrino/desired"
)

// Hub serves the hosts of a cloud. Make it by New and let it Run.
type Hub struct {
	journal Journal
	source  Source
	sink    Sink
	secret  string
	log     *slog.Logger
	epoch   string

	mu       sync.Mutex
	index    *index
	revision int64 // of the journal, that the index is at
	loaded   bool
	hosts    map[string]*host
	statuses map[Thing]Status
	reports  map[Thing]map[string]desired.Report // by host and layer
	pending  map[Thing]Status                    // to be written
	flush    chan struct{}
}

// host is what the hub remembers of a host, connected or not.
type host struct {
	dirty    map[desired.Key]bool // not sent yet
	recent   []sent               // what was touched when, for hosts that come back
	since    int64                // recent is complete after this revision
	wake     chan struct{}
	stream   int  // number of the newest stream: an older one ends
	reported bool // it has told all it knows since we live
}

// sent is a key that was touched at a revision.
type sent struct {
	revision int64
	key      desired.Key
}

// maxRecent is how much the hub remembers for a host that comes back.
const maxRecent = 4096

// New makes a hub. Hosts show the secret as a bearer token.
func New(journal Journal, source Source, sink Sink, secret string, log *slog.Logger) *Hub {
	return &Hub{
		journal: journal, source: source, sink: sink, secret: secret, log: log, epoch: uuid.NewString(),
		index: newIndex(), hosts: map[string]*host{}, statuses: map[Thing]Status{},
		reports: map[Thing]map[string]desired.Report{}, pending: map[Thing]Status{}, flush: make(chan struct{}, 1),
	}
}

// poll is how often the journal is looked at for what other servers wrote.
const poll = 500 * time.Millisecond

// Run follows the journal until the context ends.
func (h *Hub) Run(ctx context.Context) error {
	var group sync.WaitGroup
	group.Go(func() { h.writeStatuses(ctx) })
	defer group.Wait()
	for ctx.Err() == nil {
		changed := h.journal.Changed()
		if err := h.catchUp(ctx); err != nil && ctx.Err() == nil {
			h.log.Error("following the journal failed; trying again", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(poll):
		}
	}
	return ctx.Err()
}

// catchUp brings the index to the journal's head.
func (h *Hub) catchUp(ctx context.Context) error {
	h.mu.Lock()
	loaded, revision := h.loaded, h.revision
	h.mu.Unlock()
	if !loaded {
		return h.loadAll(ctx)
	}
	for {
		entries, err := h.journal.Read(ctx, revision, 1000)
		if err != nil || len(entries) == 0 {
			return err
		}
		if entries[0].Revision != revision+1 {
			oldest, err := h.journal.Oldest(ctx)
			if err != nil {
				return err
			}
			if oldest > revision+1 && oldest == entries[0].Revision {
				h.log.Warn("the journal was trimmed past us; reading everything again", "at", revision, "oldest", oldest)
				return h.loadAll(ctx)
			}
		}
		if err := h.follow(ctx, entries); err != nil {
			return err
		}
		revision = entries[len(entries)-1].Revision
	}
}

// loadAll reads everything.
func (h *Hub) loadAll(ctx context.Context) error {
	began := time.Now()
	facts, revision, err := h.source.All(ctx)
	if err != nil {
		return fmt.Errorf("read all facts: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t := touched{}
	old := h.index
	h.index = newIndex()
	h.statuses = map[Thing]Status{}
	h.put(facts, t)
	h.revision, h.loaded = revision, true
	for name := range h.hosts { // whatever they had may be another now
		for _, key := range append(old.keys(name), h.index.keys(name)...) {
			t.add(name, key)
		}
	}
	h.mark(t)
	h.log.Info("hub loaded", "revision", revision, "ports", len(facts.Ports), "networks", len(facts.Networks), "hosts", len(facts.Hosts), "took", time.Since(began).String())
	return nil
}

// put puts facts into the index.
func (h *Hub) put(facts *Facts, t touched) {
	for _, x := range facts.Hosts {
		h.index.setHost(x.Name, x, t)
	}
	for _, x := range facts.Networks {
		h.index.setNetwork(x.ID, x, t)
	}
	for _, x := range facts.Groups {
		h.index.setGroup(x.ID, x, t)
	}
	for _, x := range facts.Ports {
		h.index.setPort(x.ID, x, t)
	}
	for _, x := range facts.Routers {
		h.index.setRouter(x.ID, x, t)
	}
	for thing, status := range facts.Statuses {
		h.statuses[thing] = status
	}
}

// follow reads what entries name and tells the hosts.
func (h *Hub) follow(ctx context.Context, entries []Entry) error {
	var w Wanted
	add := func(list *[]string, id string) {
		if !slices.Contains(*list, id) {
			*list = append(*list, id)
		}
	}
	for _, e := range entries {
		switch e.Kind {
		case "agent":
			w.Hosts = true
		case "network":
			add(&w.Networks, e.ID)
		case "port":
			add(&w.Ports, e.ID)
		case "security_group":
			add(&w.Groups, e.ID)
		case "router":
			add(&w.Routers, e.ID)
		}
	}
	h.mu.Lock()
	for _, network := range w.Networks { // a router's item holds its subnets and MTUs
		for id := range h.index.routersOn[network] {
			add(&w.Routers, id)
		}
	}
	h.mu.Unlock()
	facts, err := h.source.Some(ctx, w)
	if err != nil {
		return fmt.Errorf("read changed facts: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t := touched{}
	h.forget(w, facts, t)
	h.put(facts, t)
	h.revision = entries[len(entries)-1].Revision
	h.mark(t)
	for _, id := range w.Ports {
		h.judge(Thing{desired.KindPort, id})
	}
	for _, r := range facts.Routers {
		h.judge(Thing{desired.KindRouter, r.ID})
		for _, f := range r.FloatingIPs {
			h.judge(Thing{desired.KindFloatingIP, f.ID})
		}
	}
	return nil
}

// forget removes from the index what was asked for and is not there any more.
func (h *Hub) forget(w Wanted, facts *Facts, t touched) {
	missing(w.Networks, facts.Networks, func(n *desired.Network) string { return n.ID }, func(id string) { h.index.setNetwork(id, nil, t) })
	missing(w.Ports, facts.Ports, func(p *desired.Port) string { return p.ID }, func(id string) {
		h.index.setPort(id, nil, t)
		h.drop(Thing{desired.KindPort, id})
	})
	missing(w.Groups, facts.Groups, func(g *desired.SecurityGroup) string { return g.ID }, func(id string) { h.index.setGroup(id, nil, t) })
	missing(w.Routers, facts.Routers, func(r *desired.Router) string { return r.ID }, func(id string) {
		h.index.setRouter(id, nil, t)
		h.drop(Thing{desired.KindRouter, id})
	})
	if w.Hosts {
		for name := range h.index.hosts {
			if !slices.ContainsFunc(facts.Hosts, func(x *desired.Host) bool { return x.Name == name }) {
				h.index.setHost(name, nil, t)
			}
		}
	}
}

func missing[T any](asked []string, found []T, id func(T) string, gone func(string)) {
	have := make(map[string]bool, len(found))
	for _, x := range found {
		have[id(x)] = true
	}
	for _, x := range asked {
		if !have[x] {
			gone(x)
		}
	}
}

func (h *Hub) drop(thing Thing) {
	delete(h.statuses, thing)
	delete(h.pending, thing)
}

// mark notes for hosts what they must look at. Hosts that never came are not remembered.
func (h *Hub) mark(t touched) {
	for name, keys := range t {
		x := h.hosts[name]
		if x == nil {
			continue
		}
		for key := range keys {
			x.dirty[key] = true
			x.recent = append(x.recent, sent{h.revision, key})
		}
		if over := len(x.recent) - maxRecent; over > 0 {
			x.since = x.recent[over-1].revision
			x.recent = slices.Clone(x.recent[over:])
		}
		select {
		case x.wake <- struct{}{}:
		default:
		}
	}
}

// subscribe begins a stream for a host. With resumed the host goes on from the given revision, and only
// what was touched since is dirty; otherwise it must get a snapshot.
func (h *Hub) subscribe(name, epoch string, revision int64) (x *host, number int, resumed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x = h.hosts[name]
	if x == nil {
		x = &host{since: h.revision, wake: make(chan struct{}, 1)}
		h.hosts[name] = x
	}
	x.stream++
	x.reported = false
	x.dirty = map[desired.Key]bool{}
	select { // the older stream, if there is one, sees that it is no longer the newest
	case x.wake <- struct{}{}:
	default:
	}
	if epoch == h.epoch && revision >= x.since && revision <= h.revision {
		for _, s := range x.recent {
			if s.revision > revision {
				x.dirty[s.key] = true
			}
		}
		return x, x.stream, true
	}
	return x, x.stream, false
}

// batch is what a host must be told now.
type batch struct {
	messages []desired.Message
	revision int64
	ended    bool // another stream has taken over
}

// next takes what is dirty for a host; snapshot takes everything it should have.
func (h *Hub) next(name string, x *host, number int, snapshot bool) batch {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x.stream != number {
		return batch{ended: true}
	}
	b := batch{revision: h.revision}
	keys := x.dirty
	if snapshot {
		keys = map[desired.Key]bool{}
		for _, key := range h.index.keys(name) {
			keys[key] = true
		}
		b.messages = append(b.messages, desired.Message{Type: desired.Snapshot})
	}
	for key := range keys {
		if item := h.index.view(name, key); item != nil {
			b.messages = append(b.messages, desired.Message{Type: desired.Put, Item: item})
		} else if !snapshot {
			k := key
			b.messages = append(b.messages, desired.Message{Type: desired.Delete, Key: &k})
		}
	}
	x.dirty = map[desired.Key]bool{}
	return b
}
