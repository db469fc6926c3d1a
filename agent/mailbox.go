package agent

import (
	"maps"
	"sync"

	"neutrino/desired"
)

// mailbox holds what a manager has not seen yet: the newest item by key (nil: gone), so that it does
// not grow beyond the number of things there are.
type mailbox struct {
	mu       sync.Mutex
	items    map[desired.Key]desired.Item
	requests map[desired.Key]string // of items, where known
	ready    bool                   // a first complete state has come
	wake     chan struct{}
	looks    chan chan<- error // who wants the manager to look at everything, and hear how it went
}

func newMailbox() *mailbox {
	return &mailbox{items: map[desired.Key]desired.Item{}, requests: map[desired.Key]string{}, wake: make(chan struct{}, 1), looks: make(chan chan<- error)}
}

// put adds a batch. The first one is a complete state.
func (b *mailbox) put(items map[desired.Key]desired.Item, requests map[desired.Key]string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ready && len(items) == 0 {
		return
	}
	maps.Copy(b.items, items)
	maps.Copy(b.requests, requests)
	b.ready = true
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take moves what has come into the state and notes the keys, and who asked for it.
func (b *mailbox) take(state *desired.State, change *Change) (ready bool) {
	b.mu.Lock()
	items := b.items
	maps.Copy(change.Requests, b.requests)
	b.items, b.requests = map[desired.Key]desired.Item{}, map[desired.Key]string{}
	ready = b.ready
	b.mu.Unlock()
	for key, item := range items {
		change.Keys[key] = struct{}{}
		if item == nil {
			state.Delete(key)
		} else {
			state.Put(item)
		}
	}
	return ready
}
