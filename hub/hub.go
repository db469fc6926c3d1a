package hub

import (
	"context"
	"fmt"
	"log/slog"
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

	mu       sync.Mutex
	began    time.Time
	epoch    string // of the revisions that hosts are told
	index    *index
	revision int64 // of the journal, that the index is at
	loaded   bool
	hosts    map[string]*host
	streams  uint64 // that there were
	verdicts verdicts
	flush    chan struct{} // there are statuses to be written
}

// New makes a hub. Hosts show the secret as a bearer token.
func New(journal Journal, source Source, sink Sink, secret string, log *slog.Logger) *Hub {
	return &Hub{
		began: time.Now(), journal: journal, source: source, sink: sink, secret: secret, log: log, epoch: uuid.NewString(),
		index: newIndex(), hosts: map[string]*host{}, verdicts: newVerdicts(), flush: make(chan struct{}, 1),
	}
}

// poll is how often the journal is looked at for what other servers wrote.
const poll = 500 * time.Millisecond

// Run follows the journal until the context ends; then all streams end.
func (h *Hub) Run(ctx context.Context) error {
	var group sync.WaitGroup
	group.Go(func() { h.writeStatuses(ctx) })
	defer group.Wait()
	defer h.endStreams()
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

// batchSize is how many entries of the journal are read at once.
const batchSize = 1000

// catchUp brings the index to the journal's head.
func (h *Hub) catchUp(ctx context.Context) error {
	h.mu.Lock()
	loaded, revision := h.loaded, h.revision
	h.mu.Unlock()
	if !loaded {
		return h.loadAll(ctx)
	}
	for {
		entries, err := h.journal.Read(ctx, revision, batchSize)
		if err != nil {
			return fmt.Errorf("read the journal after %d: %w", revision, err)
		}
		if len(entries) == 0 {
			return h.checkHead(ctx, revision)
		}
		if entries[0].Revision != revision+1 {
			oldest, err := h.journal.Oldest(ctx)
			if err != nil {
				return fmt.Errorf("find the journal's oldest entry: %w", err)
			}
			if oldest > revision+1 {
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

// checkHead notices that the database was set back, as by restoring a backup: nothing that was told
// holds any more.
func (h *Hub) checkHead(ctx context.Context, revision int64) error {
	head, err := h.journal.Head(ctx)
	if err != nil {
		return fmt.Errorf("find the journal's head: %w", err)
	}
	if head >= revision {
		return nil
	}
	h.log.Warn("the journal has gone back; reading everything again", "at", revision, "head", head)
	h.endStreams()
	return h.loadAll(ctx)
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
	h.verdicts.reset()
	h.put(facts, touched{})
	h.revision, h.loaded = revision, true
	for name := range h.hosts { // whatever they had may be another now
		for _, key := range append(old.keys(name), h.index.keys(name)...) {
			t.add(name, key)
		}
	}
	h.mark(t, requests{})
	for thing := range h.verdicts.statuses {
		h.judge(thing)
	}
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
	for _, x := range facts.Routers {
		if x.Next == "" {
			h.verdicts.forget(Thing{desired.KindRouterMove, x.ID})
		}
	}
	for thing, status := range facts.Statuses {
		h.verdicts.statuses[thing] = status
	}
	for _, p := range facts.Ports {
		delete(h.verdicts.served, p.ID)
	}
	for id, served := range facts.Served {
		h.verdicts.served[id] = served
	}
}

// follow reads what entries name and tells the hosts.
func (h *Hub) follow(ctx context.Context, entries []Entry) error {
	w := h.wanted(entries)
	facts, err := h.source.Some(ctx, w)
	if err != nil {
		return fmt.Errorf("read changed facts: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t := touched{}
	served := h.servedNetworks(facts.Networks)
	h.forget(w, facts, t)
	h.put(facts, t)
	h.revision = entries[len(entries)-1].Revision
	made := requestsOf(entries)
	h.mark(t, made)
	for _, p := range facts.Ports {
		thing := Thing{desired.KindPort, p.ID}
		if h.verdicts.statuses[thing].Status == active {
			delete(h.verdicts.made, thing)
		} else if id := made.by[thing]; id != "" {
			h.verdicts.made[thing] = id
		}
	}
	for id, hosts := range made.hosts(t) {
		h.log.Info("hosts are told of a change", "request_id", id, "hosts", hosts, "revision", h.revision)
	}
	for _, id := range w.Ports {
		h.judge(Thing{desired.KindPort, id})
	}
	if w.Policies != nil { // ports that no entry names have been read
		for _, p := range facts.Ports {
			h.judge(Thing{desired.KindPort, p.ID})
		}
	}
	for _, n := range facts.Networks {
		if served[n.ID] != servedSubnets(n) { // its ports wait for DHCP, or do so no longer
			for id := range h.index.portsOfNetwork[n.ID] {
				h.judge(Thing{desired.KindPort, id})
			}
		}
	}
	for _, r := range facts.Routers {
		h.judge(Thing{desired.KindRouter, r.ID})
		h.judge(Thing{desired.KindRouterMove, r.ID})
		for _, f := range r.FloatingIPs {
			h.judge(Thing{desired.KindFloatingIP, f.ID})
		}
	}
	return nil
}

// wanted is what must be read because of entries. Kinds that are not named here concern no host by
// themselves: whoever changes them journals what they are part of, too.
func (h *Hub) wanted(entries []Entry) Wanted {
	h.mu.Lock()
	defer h.mu.Unlock()
	var w Wanted
	seen := map[Entry]bool{}
	add := func(list *[]string, kind, id string) {
		if key := (Entry{Kind: kind, ID: id}); !seen[key] {
			seen[key] = true
			*list = append(*list, id)
		}
	}
	for _, e := range entries {
		switch e.Kind {
		case "agent":
			w.Hosts = true
		case "network":
			add(&w.Networks, "network", e.ID)
			for id := range h.index.routersOn[e.ID] { // a router's item holds its subnets and MTUs
				add(&w.Routers, "router", id)
			}
		case "port":
			add(&w.Ports, "port", e.ID)
		case "security_group":
			add(&w.Groups, "security_group", e.ID)
		case "router":
			add(&w.Routers, "router", e.ID)
		case "floatingip":
			if id := h.index.routerOf[e.ID]; id != "" {
				add(&w.Routers, "router", id)
			}
		case "policy":
			add(&w.Policies, "policy", e.ID)
		}
	}
	return w
}

// servedNetworks are the subnets with DHCP of networks, as the index has them.
func (h *Hub) servedNetworks(networks []*desired.Network) map[string]string {
	out := map[string]string{}
	for _, n := range networks {
		out[n.ID] = servedSubnets(h.index.networks[n.ID])
	}
	return out
}

// servedSubnets names the subnets of a network that have DHCP.
func servedSubnets(n *desired.Network) string {
	text := ""
	if n != nil {
		for _, s := range n.Subnets {
			if s.EnableDHCP {
				text += s.ID + " "
			}
		}
	}
	return text
}

// forget removes from the index what was asked for and is not there any more.
func (h *Hub) forget(w Wanted, facts *Facts, t touched) {
	for _, id := range missing(w.Networks, facts.Networks) {
		h.index.setNetwork(id, nil, t)
	}
	for _, id := range missing(w.Groups, facts.Groups) {
		h.index.setGroup(id, nil, t)
	}
	for _, id := range missing(w.Ports, facts.Ports) {
		h.index.setPort(id, nil, t)
		h.verdicts.forget(Thing{desired.KindPort, id})
	}
	for _, id := range missing(w.Routers, facts.Routers) {
		if old := h.index.routers[id]; old != nil {
			for _, f := range old.FloatingIPs {
				h.verdicts.forget(Thing{desired.KindFloatingIP, f.ID})
			}
		}
		h.index.setRouter(id, nil, t)
		h.verdicts.forget(Thing{desired.KindRouter, id})
		h.verdicts.forget(Thing{desired.KindRouterMove, id})
	}
	if w.Hosts {
		var all []string
		for name := range h.index.hosts {
			all = append(all, name)
		}
		for _, name := range missing(all, facts.Hosts) {
			h.index.setHost(name, nil, t)
		}
	}
}

// missing are the ids that were asked for and not found.
func missing[T desired.Item](asked []string, found []T) []string {
	have := make(map[string]bool, len(found))
	for _, x := range found {
		have[x.Key().ID] = true
	}
	var out []string
	for _, id := range asked {
		if !have[id] {
			out = append(out, id)
		}
	}
	return out
}
