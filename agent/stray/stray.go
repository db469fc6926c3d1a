// Package stray says what a stray is, and how long it may stay: a thing on the machine that bears our mark and that
// nothing wants. Managers find such things and remove them; the rule is here.
//
// What bears no mark of ours is never a stray, whatever its name. What the server takes away while the agent follows
// it is no stray either: it is removed at once. Strays are what is found without a word about it: after a restart
// during which something was deleted, after a crash half way, after a change of the configuration. They have a time
// of grace, for what they were made for may come back (a server that was set back to a backup, a change that was
// taken back). Meanwhile they are silent: a port that nothing wants has no flows, so nothing passes it. Flows and
// addresses have no grace, for they act; the managers keep exact sets of them and remove what is too much when they see it.
package stray

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Mark is the alias of lo in every namespace that we make, and the value of external_ids:neutrino of bridges and ports
// that connect bridges.
const Mark = "neutrino"

// Grace is how long a stray stays when nobody says otherwise.
const Grace = 10 * time.Minute

// Kind of a thing.
type Kind string

// The kinds of things that can be strays.
const (
	Namespace Kind = "namespace"
	Port      Kind = "port"   // of a bridge
	Device    Kind = "device" // of the host's own namespace
	Table     Kind = "table"  // of nftables, in the host's own namespace
	Flows     Kind = "flows"  // of a bridge that is not ours to fill any more
)

// Thing is a stray, by what a person would look for.
type Thing struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
	On   string `json:"on,omitempty"` // the bridge of a port or of flows
	Why  string `json:"why"`          // why nothing wants it
}

// key tells things apart; why they are strays may change.
func (t Thing) key() string { return string(t.Kind) + " " + t.On + " " + t.Name }

// Seen is a stray with its age.
type Seen struct {
	Thing
	Owner string    `json:"manager"` // who removes it
	Since time.Time `json:"since"`   // when it was first found
	Due   time.Time `json:"due"`     // when it is removed
	Error string    `json:"error,omitempty"`
}

// List remembers strays since when they are. It is safe for concurrent use. A nil List gives no grace.
type List struct {
	grace time.Duration
	now   func() time.Time

	mu   sync.Mutex
	seen map[string]map[string]*Seen // owner → key → stray
}

// New makes an empty list. grace 0 removes strays when they are found.
func New(grace time.Duration) *List {
	return &List{grace: grace, now: time.Now, seen: map[string]map[string]*Seen{}}
}

// Found takes all strays that an owner finds now, and gives those whose time is over. What is found no more is
// forgotten: it has gone, or is wanted again.
func (l *List) Found(owner string, things []Thing) (due []Thing) {
	if l == nil {
		return things
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before, now := l.seen[owner], l.now()
	l.seen[owner] = map[string]*Seen{}
	for _, t := range things {
		s := before[t.key()]
		if s == nil {
			s = &Seen{Owner: owner, Since: now, Due: now.Add(l.grace)}
		}
		s.Thing = t
		l.seen[owner][t.key()] = s
		if !now.Before(s.Due) {
			due = append(due, t)
		}
	}
	return due
}

// Removed notes how the removal of a stray went.
func (l *List) Removed(owner string, t Thing, err error) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch s := l.seen[owner][t.key()]; {
	case s == nil:
	case err != nil:
		s.Error = err.Error()
	default:
		delete(l.seen[owner], t.key())
	}
}

// All gives the strays that are known, the oldest first.
func (l *List) All() []Seen {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	out := []Seen{}
	for _, of := range l.seen {
		for _, s := range of {
			out = append(out, *s)
		}
	}
	slices.SortFunc(out, func(a, b Seen) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.key(), b.key())
	})
	return out
}

// Expire ends the time of grace of all strays that are known now.
func (l *List) Expire() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, of := range l.seen {
		for _, s := range of {
			s.Due = now
		}
	}
}
