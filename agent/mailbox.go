package agent

import (
	"maps"
	"sync"

	"neutrino/desired"
)

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

// put adds a batch. The first one is a complete state.
func (b *mailbox) put(items map[desired.Key]desired.Item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ready && len(items) == 0 {
		return
	}
	maps.Copy(b.items, items)
	b.ready = true
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
