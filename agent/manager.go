// Package agent brings a host to its desired state, for ever: it follows the server's stream of
// desired items, hands them to one manager per subject (l2, dhcp, l3, metadata), and reports what
// the managers found to be true.
package agent

import (
	"context"

	"neutrino/desired"
)

// Manager keeps one subject of the host at its desired state. The agent runs each manager in a
// goroutine of its own with a State of its own, so that none waits for another, and calls Apply
// again and again: for every batch of changes, when Wake fires, after a failed Apply (with
// back-off), and now and then with Full to find and mend what others have changed.
type Manager interface {
	// Name is the subject, for logs and metrics: "l2", "dhcp", "l3", "metadata".
	Name() string

	// Apply makes the host match the state. It computes purely, then writes the difference in a
	// safe order. One object that can't be applied must not stop the others: it is said in its
	// report. An error means that the subject as a whole could not be looked after (the switch does
	// not answer); the agent calls again later with Full.
	Apply(ctx context.Context, state *desired.State, change Change) ([]desired.Report, error)

	// Wake fires when something outside the state has changed and Apply is worth a call (an
	// interface came or went). It may be nil.
	Wake() <-chan struct{}
}

// Change says what differs from the last successful Apply.
type Change struct {
	Full bool                     // look at everything: start, resync, after an error, periodic check
	Keys map[desired.Key]struct{} // items that were put or deleted since; empty with a bare Wake

	// Requests are the API requests because of which things were changed, as far as they are known, for logs: of
	// Keys, and of what was changed before and is not up yet.
	Requests map[desired.Key]string
}
