package l2

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"neutrino/dataplane/ovsdb"
)

// patience is how long a switch that has ended is held when it starts again: when its flows can't be restored
// within that, the host's other bridges must not suffer for it.
const patience = 30 * time.Second

// gap keeps the gap in traffic short when ovs-vswitchd is started anew. As soon as the old one's connection
// ends, the next is told by the database to wait for its flows; once they are written, it goes on. Without that a
// kernel datapath would forget what it passes, and physical bridges would for a moment be plain switches.
// The database says so only between the two, so that a switch does not wait for an agent that is not there.
type gap struct {
	switchd *ovsdb.Client
	log     *slog.Logger
	watched <-chan struct{} // closed when the connection that is watched ends
	closing chan struct{}
	once    sync.Once
}

// watch sees to the end of a connection to br-int; it is told of each connection once or more.
func (g *gap) watch(lost <-chan struct{}) {
	if lost == nil || lost == g.watched {
		return
	}
	g.watched = lost
	go func() {
		select {
		case <-g.closing:
			return
		case <-lost:
		}
		select {
		case <-g.closing: // both: it was us
			return
		default:
		}
		g.log.Warn("Open vSwitch has ended; its flows will be restored")
		g.do("have the switch wait for its flows", g.switchd.Hold)
		select {
		case <-g.closing:
		case <-time.After(patience):
			g.do("let the switch go on", g.switchd.Release)
		}
	}()
}

// done lets a switch that waits go on, after its flows have been written.
func (g *gap) done() { g.do("let the switch go on", g.switchd.Release) }

// close ends the watching. A switch that waits is let go: who knows when the next agent comes.
func (g *gap) close() {
	g.once.Do(func() {
		close(g.closing)
		g.done()
	})
}

func (g *gap) do(what string, step func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := step(ctx); err != nil {
		g.log.Warn("could not "+what, "error", err)
	}
}
