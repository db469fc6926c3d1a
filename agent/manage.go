package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"neutrino/desired"
)

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 10 * time.Second
)

// manage runs one manager for ever: it applies what comes, tries again after errors, and checks
// everything now and then.
func (a *Agent) manage(ctx context.Context, m Manager, box *mailbox) {
	state := desired.NewState()
	change := Change{Full: true, Keys: map[desired.Key]struct{}{}, Requests: map[desired.Key]string{}}
	backoff := time.Duration(0)
	check := time.NewTimer(jitter(a.options.Check))
	defer check.Stop()
	began := time.Now()
	converged := false
	var asked []chan<- error // who waits for this look at everything
	for {
		if backoff > 0 { // what comes meanwhile waits for the next try
			select {
			case <-ctx.Done():
				return
			case <-time.After(jitter(backoff)):
			case done := <-box.looks:
				asked = append(asked, done)
			}
		} else {
			select {
			case <-ctx.Done():
				return
			case <-box.wake:
			case <-m.Wake():
			case <-check.C:
				change.Full = true
				check.Reset(jitter(a.options.Check))
			case done := <-box.looks:
				change.Full, asked = true, append(asked, done)
			}
		}
		if !box.take(state, &change) {
			asked = answer(asked, errNothingYet)
			continue // an empty one would tear the host down
		}
		started := time.Now()
		reports, err := safely(ctx, m, state, change)
		a.metrics.apply.WithLabelValues(m.Name()).Observe(time.Since(started).Seconds())
		asked = answer(asked, err)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			backoff = min(max(2*backoff, minBackoff), maxBackoff)
			a.metrics.failed.WithLabelValues(m.Name()).Inc()
			level := slog.LevelError
			if backoff == minBackoff { // at a start one manager may be a moment ahead of another
				level = slog.LevelWarn
			}
			a.log.Log(ctx, level, "apply failed; trying again", "manager", m.Name(), "after", backoff.String(), "error", err)
			change.Full = true
			continue
		}
		backoff = 0
		a.say(m.Name(), a.reports.put(m.Name(), reports), change.Requests)
		if !converged {
			converged = true
			a.metrics.converged.WithLabelValues(m.Name()).Set(time.Since(began).Seconds())
			a.log.Info("converged", "manager", m.Name(), "took", time.Since(began).String(), "ports", len(state.Ports), "routers", len(state.Routers))
		}
		for key := range change.Requests { // what is done needs no explanation any more
			if !a.reports.waits(m.Name(), key) {
				delete(change.Requests, key)
			}
		}
		change = Change{Keys: map[desired.Key]struct{}{}, Requests: change.Requests}
	}
}

// errNothingYet is why a manager did not look.
var errNothingYet = errors.New("there is no complete state yet")

// answer tells those who asked how it went.
func answer(asked []chan<- error, err error) []chan<- error {
	for _, done := range asked {
		done <- err // has room
	}
	return nil
}

// safely is Apply that survives a panic.
func safely(ctx context.Context, m Manager, state *desired.State, change Change) (reports []desired.Report, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	return m.Apply(ctx, state, change)
}

// jitter spreads a time by a tenth, so that a thousand hosts don't do the same at once.
func jitter(d time.Duration) time.Duration {
	return d - d/20 + time.Duration(rand.Int64N(int64(d/10)+1))
}
