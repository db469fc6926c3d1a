package agent

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"time"

	"neutrino/desired"
)

// Options say who the agent is and whom it follows.
type Options struct {
	Servers   []string // base URLs, tried in turn
	Secret    string
	Host      string
	StateDir  string                      // where the last known state is kept
	Heartbeat time.Duration               // 0: 10 s
	Check     time.Duration               // how often everything is checked; 0: 60 s
	Describe  func() []desired.AgentState // what heartbeats say
}

// Agent follows a server and runs the managers.
type Agent struct {
	options  Options
	managers []Manager
	log      *slog.Logger

	boxes   []*mailbox
	reports *reports
}

// New makes an agent of managers.
func New(o Options, log *slog.Logger, managers ...Manager) *Agent {
	if o.Heartbeat == 0 {
		o.Heartbeat = 10 * time.Second
	}
	if o.Check == 0 {
		o.Check = time.Minute
	}
	a := &Agent{options: o, managers: managers, log: log, reports: newReports(len(managers))}
	for range managers {
		a.boxes = append(a.boxes, newMailbox())
	}
	return a
}

// Run works until the context ends. The host goes on as it is then.
func (a *Agent) Run(ctx context.Context) error {
	if len(a.options.Servers) == 0 {
		return fmt.Errorf("no server is given")
	}
	var group sync.WaitGroup
	defer group.Wait()
	for i, m := range a.managers {
		group.Go(func() { a.manage(ctx, m, a.boxes[i]) })
	}
	group.Go(func() { a.tell(ctx) })
	follower := &follower{agent: a, cache: filepath.Join(a.options.StateDir, "desired.json")}
	follower.restore()
	follower.run(ctx)
	return ctx.Err()
}

// deliver hands a batch of items to all managers; the items are shared and never changed.
func (a *Agent) deliver(items map[desired.Key]desired.Item) {
	for _, box := range a.boxes {
		box.put(items)
	}
}

// mailbox holds what a manager has not seen yet: the newest item by key (nil: gone), so that it does
// not grow beyond the number of things there are.
type mailbox struct {
	mu    sync.Mutex
	items map[desired.Key]desired.Item
	ready bool // a first complete state has come
	wake  chan struct{}
}

func newMailbox() *mailbox {
	return &mailbox{items: map[desired.Key]desired.Item{}, wake: make(chan struct{}, 1)}
}

func (b *mailbox) put(items map[desired.Key]desired.Item) {
	b.mu.Lock()
	maps.Copy(b.items, items)
	b.ready = true
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take moves what has come into the state and notes the keys.
func (b *mailbox) take(state *desired.State, keys map[desired.Key]struct{}) (ready bool) {
	b.mu.Lock()
	items := b.items
	b.items = map[desired.Key]desired.Item{}
	ready = b.ready
	b.mu.Unlock()
	for key, item := range items {
		keys[key] = struct{}{}
		if item == nil {
			state.Delete(key)
		} else {
			state.Put(item)
		}
	}
	return ready
}
