package server

import (
	"context"
	"sync"
	"time"

	"neutrino/engine"
)

// turn is what only one of the servers on a database does. Who has it keeps it for as long as it lives, which the
// counts of servers say: whoever looks measures by its own clock how long one stands still. The one that has it
// believes so for less long without having counted on than the others wait, so that two never have it at once.
type turn struct {
	services *Services
	name     string
	server   string // our id
	now      func() time.Time

	mu    sync.Mutex
	beat  time.Time  // when our own count last went on
	has   string     // the server that has it
	since standstill // of that server
}

// turnKept is how long a server that could not count on still believes that a turn is its own.
const turnKept = serverQuiet / 2

// counted notes that our own count went on by a transaction that began then.
func (t *turn) counted(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.beat = at
}

// mine says whether we have the turn, and takes it when nobody has.
func (t *turn) mine(ctx context.Context) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if now.Sub(t.beat) > turnKept { // whoever has it, it is not for us to say
		return false, nil
	}
	var has string
	var count int64
	err := t.services.Engine.View(ctx, nil, func(c *engine.Call) (err error) {
		has, count, err = t.services.Agents.Turn(c, t.name)
		return err
	})
	switch {
	case err != nil || has == t.server:
		return err == nil, err
	case has != t.has || count != t.since.count || t.since.since.IsZero():
		t.has, t.since = has, standstill{count, now}
		if has != "" {
			return false, nil
		}
	case now.Sub(t.since.since) < serverQuiet:
		return false, nil
	}
	return t.give(ctx, has, t.server)
}

// leave gives the turn up, if it is ours, so that another need not wait.
func (t *turn) leave(ctx context.Context) error {
	_, err := t.give(ctx, t.server, "")
	return err
}

func (t *turn) give(ctx context.Context, from, to string) (done bool, err error) {
	err = t.services.Engine.Update(ctx, nil, func(c *engine.Call) (err error) {
		done, err = t.services.Agents.TakeTurn(c, t.name, from, to)
		return err
	})
	return done, err
}
