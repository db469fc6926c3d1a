package store

import (
	"container/list"
	"context"
	"sync"
)

// turn lets one writer of this program at a time write, first come, first served.
type turn struct {
	mu      sync.Mutex
	taken   bool
	waiting list.List // of *waiter
}

type waiter struct {
	ready chan struct{} // closed when it has the turn
	alone bool          // it must not share a transaction
}

// take waits for the turn. The error is the context's; with a turn that came at its end there is none.
func (t *turn) take(ctx context.Context, alone bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	if !t.taken {
		t.taken = true
		t.mu.Unlock()
		return nil
	}
	w := &waiter{ready: make(chan struct{}), alone: alone}
	place := t.waiting.PushBack(w)
	t.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	default:
		t.waiting.Remove(place)
		return ctx.Err()
	}
}

// pass gives the turn to who has waited longest and may share a transaction; if nobody does, or who has waited
// longest must not share one, the caller keeps it.
func (t *turn) pass() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := t.waiting.Front()
	if first == nil || first.Value.(*waiter).alone {
		return false
	}
	close(t.waiting.Remove(first).(*waiter).ready)
	return true
}

// end gives the turn up.
func (t *turn) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if first := t.waiting.Front(); first != nil {
		close(t.waiting.Remove(first).(*waiter).ready)
		return
	}
	t.taken = false
}
