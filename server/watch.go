package server

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"neutrino/engine"
	"neutrino/hub"
	"neutrino/service/agent"
	"neutrino/service/scheduling"
)

// Failover says when a host counts as lost and what moves then.
type Failover struct {
	LostAfter time.Duration // of silence, of a host that has not said good-bye; 0: hosts are never lost
	Routers   bool          // allow_automatic_l3agent_failover
	DHCP      bool          // allow_automatic_dhcp_failover
}

// DefaultFailover has hosts noticed within ten seconds. Unlike the original's, routers move, too.
func DefaultFailover() Failover {
	return Failover{LostAfter: 8 * time.Second, Routers: true, DHCP: true}
}

const (
	watchEvery = time.Second
	retryMoves = 5 * time.Second  // while nothing could be moved
	readyIn    = 60 * time.Second // how long a host may take to make a router ready that is to move there

	serverQuiet = 10 * time.Second // a server whose count stands still for so long is gone
	orphanQuiet = 30 * time.Second // and its hosts have so long to find another
	serverGone  = time.Hour        // after which it is forgotten

	// fewLost hosts may be lost at a time whatever the number of those that live. When there are more, and more than
	// live, what is lost is more likely the way from the server to them.
	fewLost = 2
)

// watch looks after hosts: it notices those that are lost, and moves their work. Every server has one; a host is judged
// by the one that it follows, and the work moves in transactions that look again, so that any of them may do it.
type watch struct {
	services *Services
	hub      interface {
		Presences() ([]hub.Presence, bool)
		Awoke()
	}
	log      *slog.Logger
	id       string // of this server
	failover Failover
	stopped  time.Duration // after which a host whose agent was stopped counts as lost: agent_down_time

	claimed map[string]uint64     // by host: the stream for which it is noted that it follows us
	others  map[string]standstill // by server
	orphans map[string]time.Time  // hosts that follow no server that lives, since when
	moving  map[string]time.Time  // routers that are made ready elsewhere, since when
	ended   time.Time             // of the last look
	beaten  time.Time
	tried   time.Time // when nothing could be moved last
	warned  time.Time
	turns   []*turn // are told when our count has gone on
}

// standstill is a server's count, and since when it is that.
type standstill struct {
	count int64
	since time.Time
}

func newWatch(s *Services, h *hub.Hub, f Failover, stopped time.Duration, log *slog.Logger) *watch {
	return &watch{
		services: s, hub: h, log: log, id: uuid.NewString(), failover: f, stopped: stopped,
		claimed: map[string]uint64{}, others: map[string]standstill{}, orphans: map[string]time.Time{}, moving: map[string]time.Time{},
	}
}

// turn gives one of the turns that servers have one at a time. It must be called before run.
func (w *watch) turn(name string) *turn {
	t := &turn{services: w.services, name: name, server: w.id, now: time.Now}
	w.turns = append(w.turns, t)
	return t
}

// run watches until the context ends.
func (w *watch) run(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := w.look(ctx, time.Now()); err != nil && ctx.Err() == nil {
			w.log.Error("hosts could not be looked after; trying again", "error", err)
		}
		w.ended = time.Now()
	}
}

// look looks once.
func (w *watch) look(ctx context.Context, now time.Time) error {
	if !w.ended.IsZero() && now.Sub(w.ended) > 3*watchEvery {
		w.log.Warn("this server has slept; what it did not hear meanwhile means nothing", "for", now.Sub(w.ended).String())
		w.hub.Awoke()
		clear(w.others)
		clear(w.orphans)
	}
	presences, ready := w.hub.Presences()
	if !ready {
		clear(w.orphans)
		return nil
	}
	var f agent.Followers
	err := w.services.Engine.View(ctx, nil, func(c *engine.Call) (err error) {
		f, err = w.services.Agents.Followers(c)
		return err
	})
	if err != nil {
		return fmt.Errorf("read who follows whom: %w", err)
	}
	claims, losses := w.judge(now, presences, f)
	if err := w.write(ctx, now, claims, losses); err != nil {
		return err
	}
	if err := w.settleMoves(ctx, now); err != nil {
		return err
	}
	return w.rehouse(ctx, now)
}

// claim is a host whose stream is new here.
type claim struct {
	host   string
	stream uint64
}

// loss is a host that is lost, as far as a server had the say about it.
type loss struct{ host, server, reason string }

// judge finds which hosts have come to this server and which are lost.
func (w *watch) judge(now time.Time, presences []hub.Presence, f agent.Followers) (claims []claim, losses []loss) {
	here := map[string]bool{}
	for _, p := range presences {
		here[p.Host] = true
		if p.Here && w.claimed[p.Host] != p.Stream {
			claims = append(claims, claim{p.Host, p.Stream})
			continue
		}
		if f.Of[p.Host] != w.id || f.Lost[p.Host] || w.failover.LostAfter == 0 {
			continue
		}
		switch {
		case p.Gone:
			losses = append(losses, loss{p.Host, w.id, "its machine is shutting down"})
		case p.Left && p.Quiet > w.stopped:
			losses = append(losses, loss{p.Host, w.id, fmt.Sprintf("its agent was stopped %s ago", p.Quiet.Round(time.Second))})
		case !p.Left && p.Quiet > w.failover.LostAfter:
			losses = append(losses, loss{p.Host, w.id, fmt.Sprintf("nothing was heard of it for %s", p.Quiet.Round(time.Second))})
		}
	}
	for id, count := range f.Beats {
		if was, known := w.others[id]; !known || was.count != count {
			w.others[id] = standstill{count, now}
		}
	}
	for host, server := range f.Of {
		other, known := w.others[server]
		if server == w.id && here[host] || server != w.id && known && now.Sub(other.since) < serverQuiet {
			delete(w.orphans, host)
			continue
		}
		since, known := w.orphans[host]
		if !known {
			w.orphans[host] = now
			continue
		}
		if now.Sub(since) > orphanQuiet && !f.Lost[host] && w.failover.LostAfter > 0 {
			losses = append(losses, loss{host, server, "the server that it followed is gone, and it has come to no other"})
		}
	}
	return claims, losses
}

// write notes what was found, and that this server lives.
func (w *watch) write(ctx context.Context, now time.Time, claims []claim, losses []loss) error {
	if len(claims) == 0 && len(losses) == 0 && now.Sub(w.beaten) < 2*watchEvery {
		return nil
	}
	var gone []string
	for id, other := range w.others {
		if id != w.id && now.Sub(other.since) > serverGone {
			gone = append(gone, id)
		}
	}
	var lost []loss
	err := w.services.Engine.Update(ctx, nil, func(c *engine.Call) error {
		lost = nil
		if err := w.services.Agents.BeatServer(c, w.id, gone); err != nil {
			return err
		}
		hosts := make([]string, len(claims))
		for i, claim := range claims {
			hosts[i] = claim.host
		}
		if err := w.services.Agents.Claim(c, w.id, hosts); err != nil {
			return err
		}
		for _, l := range losses {
			is, err := w.services.Agents.Lose(c, l.host, l.server, l.reason)
			if err != nil {
				return err
			}
			if is {
				lost = append(lost, l)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write who follows whom: %w", err)
	}
	w.beaten = now
	for _, t := range w.turns {
		t.counted(now)
	}
	for _, claim := range claims {
		w.claimed[claim.host] = claim.stream
	}
	for _, id := range gone {
		delete(w.others, id)
	}
	for _, l := range lost {
		w.log.Warn("host is lost", "host", l.host, "reason", l.reason)
		w.tried = time.Time{}
	}
	return nil
}

// rehouse moves the work of hosts that are lost or have no agent for it any more.
func (w *watch) rehouse(ctx context.Context, now time.Time) error {
	if now.Sub(w.tried) < retryMoves {
		return nil
	}
	for _, k := range []struct {
		kind    string
		allowed bool
	}{{agent.L3, w.failover.Routers}, {agent.DHCP, w.failover.DHCP}} {
		if !k.allowed || w.failover.LostAfter == 0 {
			continue
		}
		var homeless []string
		var alive int
		err := w.services.Engine.View(ctx, nil, func(c *engine.Call) (err error) {
			if homeless, err = w.services.Hosting.Homeless(c, k.kind); err != nil || len(homeless) == 0 {
				return err
			}
			alive, err = w.services.Hosting.Alive(c, k.kind)
			return err
		})
		if err != nil {
			return fmt.Errorf("find hosts whose work must move: %w", err)
		}
		if len(homeless) > max(fewLost, alive) {
			if now.Sub(w.warned) > time.Minute {
				w.warned = now
				w.log.Error("more hosts are lost than live: nothing moves, for the fault is more likely on the way to them", "lost", homeless, "alive", alive, "agents", k.kind)
			}
			continue
		}
		for _, host := range homeless {
			if err := w.empty(ctx, host, k.kind); err != nil {
				return err
			}
		}
	}
	w.tried = now
	return nil
}

// empty moves a host's work, a batch in a transaction.
func (w *watch) empty(ctx context.Context, host, kind string) error {
	for {
		var moves []scheduling.Move
		err := w.services.Engine.Update(ctx, nil, func(c *engine.Call) error {
			moves = nil
			homeless, err := w.services.Hosting.Homeless(c, kind)
			if err != nil || !slices.Contains(homeless, host) { // it came back, or another server was first
				return err
			}
			moves, err = w.services.Hosting.MoveAway(c, host, kind)
			return err
		})
		if err != nil {
			return fmt.Errorf("move the work of host %s: %w", host, err)
		}
		moved := false
		for _, m := range moves {
			if m.To == "" {
				w.log.Warn("it stays on a host that is lost", "resource", m.Kind, "id", m.ID, "host", host, "reason", m.Why)
				continue
			}
			moved = true
			w.log.Info("moved from a host that is lost", "resource", m.Kind, "id", m.ID, "from", host, "to", m.To)
		}
		if !moved {
			return nil
		}
	}
}

// settleMoves moves routers that their next hosts have made ready, and gives up moves that come to nothing.
func (w *watch) settleMoves(ctx context.Context, now time.Time) error {
	under := map[string]bool{}
	type step struct {
		id, from, to, why string
		ready             bool
	}
	var steps []step
	err := w.services.Engine.View(ctx, nil, func(c *engine.Call) error {
		routers, err := w.services.Router.Moving(c)
		if err != nil {
			return err
		}
		for _, r := range routers {
			under[r.ID] = true
			began, known := w.moving[r.ID]
			if !known {
				began = now
				w.moving[r.ID] = now
			}
			lost, err := w.services.Agents.Lost(c, r.NextHost)
			if err != nil {
				return err
			}
			switch {
			case lost != "":
				steps = append(steps, step{r.ID, r.Host, r.NextHost, lost, false})
			case r.NextStatus == "ACTIVE":
				steps = append(steps, step{r.ID, r.Host, r.NextHost, "", true})
			case now.Sub(began) > readyIn:
				steps = append(steps, step{r.ID, r.Host, r.NextHost, "it is not ready after " + readyIn.String() + ": " + r.NextReason, false})
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look after routers that move: %w", err)
	}
	for id := range w.moving {
		if !under[id] {
			delete(w.moving, id)
		}
	}
	for _, s := range steps {
		delete(w.moving, s.id)
		done := false
		err := w.services.Engine.Update(ctx, nil, func(c *engine.Call) error {
			done = false
			found, err := w.services.Router.Get(c, s.id)
			if err != nil || found == nil || found.NextHost != s.to || s.ready && found.NextStatus != "ACTIVE" {
				return err // another server was first, or it is gone
			}
			done = true
			if s.ready {
				return w.services.Router.Place(c, found, s.to)
			}
			return w.services.Router.Stay(c, found)
		})
		switch {
		case err != nil:
			return fmt.Errorf("move router %s to %s: %w", s.id, s.to, err)
		case done && s.ready:
			w.log.Info("router has moved", "router", s.id, "from", s.from, "to", s.to)
		case done:
			w.log.Warn("router does not move", "router", s.id, "to", s.to, "reason", s.why)
		}
	}
	return nil
}
