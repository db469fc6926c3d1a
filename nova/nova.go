// Package nova tells compute services what has become of their ports, by Nova's os-server-external-events. It is
// set as the original's notifier is, and speaks as that does; unlike it, it forgets nothing while Nova is away.
package nova

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"neutrino/keystone"
)

// Event is one that Nova has still to be told.
type Event struct {
	ID      string // by which the queue knows it
	Name    string // network-vif-plugged, …
	Server  string // uuid of the instance
	Tag     string // the port's id
	Status  string // completed or failed; "" for events without
	Request string // id of the API request that made it, for logs; "" for none
	Created time.Time
}

// Queue is where events wait.
type Queue interface {
	// Waiting gives events that have not been sent, the oldest first, no more than limit, and how many there are.
	Waiting(ctx context.Context, limit int) (list []Event, all int, err error)
	// Sent removes events.
	Sent(ctx context.Context, ids []string) error
	// Changed gives a channel that is closed when there may be new ones.
	Changed() <-chan struct{}
	// Turn says whether it is this server that sends, now and for some seconds to come.
	Turn(ctx context.Context) (bool, error)
}

// Options say where Nova is and how it is told.
type Options struct {
	keystone.Options

	Region    string        // region_name; "" is any
	Interface string        // endpoint_type
	Interval  time.Duration // send_events_interval: what happens so soon after a request goes with the next
}

// Defaults are the original's.
func Defaults() Options {
	o := Options{Options: keystone.Defaults(), Interface: "public", Interval: 2 * time.Second}
	o.Section, o.Retries, o.RequestTimeout = "nova", 0, 30*time.Second
	return o
}

const (
	// maxEvents go with one request: Nova takes bodies of 112 KiB, and an event has less than 300 bytes.
	maxEvents = 300
	turnEvery = time.Second            // how often the turn is asked for
	lookEvery = 100 * time.Millisecond // how often at most the queue is looked at
	firstWait = time.Second            // after a failure; it doubles
	maxWait   = time.Minute
)

// Sender sends what waits in a queue.
type Sender struct {
	options Options
	session *keystone.Session
	queue   Queue
	log     *slog.Logger
	metrics metrics
}

// New makes a Sender. It asks nothing yet.
func New(o Options, queue Queue, log *slog.Logger) (*Sender, error) {
	o.Log = log
	session, err := keystone.NewSession(o.Options)
	if err != nil {
		return nil, fmt.Errorf("[nova]: %w", err)
	}
	return &Sender{options: o, session: session, queue: queue, log: log, metrics: newMetrics()}, nil
}

// Run sends until the context ends. Events are removed when Nova has answered: if we end in between, they are sent once
// more.
func (s *Sender) Run(ctx context.Context) error {
	wait := firstWait
	for {
		changed := s.queue.Changed()
		pause, err := s.round(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			s.metrics.troubles.Inc()
			s.log.Warn("Nova could not be told of ports; trying again", "error", err, "in", wait.String())
			if !sleep(ctx, wait) {
				return ctx.Err()
			}
			wait = min(2*wait, maxWait)
			continue
		}
		wait = firstWait
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
		if pause > lookEvery { // what came in the interval goes now
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-time.After(turnEvery):
		}
	}
}

// round sends what waits, if it is our turn, and says how long to leave Nova alone then.
func (s *Sender) round(ctx context.Context) (pause time.Duration, err error) {
	mine, err := s.queue.Turn(ctx)
	if err != nil {
		return 0, fmt.Errorf("find out whose turn it is: %w", err)
	}
	if !mine {
		s.metrics.waiting.Set(0)
		s.metrics.lag.Set(0)
		return lookEvery, nil
	}
	events, all, err := s.queue.Waiting(ctx, maxEvents)
	if err != nil {
		return 0, fmt.Errorf("read what Nova has to be told: %w", err)
	}
	s.metrics.waiting.Set(float64(all))
	if len(events) == 0 {
		s.metrics.lag.Set(0)
		return lookEvery, nil
	}
	s.metrics.lag.Set(max(time.Since(events[0].Created), 0).Seconds())
	if err := s.send(ctx, events); err != nil {
		return 0, err
	}
	if all > len(events) {
		return lookEvery, nil
	}
	return max(s.options.Interval, lookEvery), nil
}

// sleep is false when the context ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
