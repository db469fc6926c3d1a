// Package hub tells every host what it should look like, and the services what hosts find true. It
// follows the journal, holds in memory what hosts need, and sends each host only what concerns it: the
// cost of a change is proportional to the change and the hosts that it concerns.
package hub

import (
	"context"

	"neutrino/desired"
)

// Entry is a line of the journal: the resource with that name and id has changed.
type Entry struct {
	Revision int64
	Kind, ID string
	Request  string // id of the API request that made it; "": none did
}

// Journal is the list of all changes, in the order of their commits.
type Journal interface {
	Head(ctx context.Context) (int64, error)
	Read(ctx context.Context, after int64, limit int) ([]Entry, error)
	// Oldest is the oldest revision that can still be read.
	Oldest(ctx context.Context) (int64, error)
	// Changed is closed at the next change by this process; those of others are found by looking.
	Changed() <-chan struct{}
}

// Status is a thing's state as the API shows it.
type Status struct {
	Status string // ACTIVE, DOWN, …
	Reason string // why it is not ACTIVE
}

// Facts are items in full, as read from the services.
type Facts struct {
	Hosts    []*desired.Host
	Networks []*desired.Network
	Ports    []*desired.Port
	Groups   []*desired.SecurityGroup
	Routers  []*desired.Router
	Statuses map[Thing]Status    // of ports, routers and floating IPs
	Served   map[string][]Served // by port: what was told by SetStatus
}

// Thing names something that has a status.
type Thing struct {
	Kind desired.Kind
	ID   string
}

// Wanted names what to read: nil lists mean none.
type Wanted struct {
	Hosts                            bool // all of them
	Networks, Ports, Groups, Routers []string
	Policies                         []string // QoS policies: the ports, networks and routers that they are bound to
}

// Source reads facts. What is not there any more is left out of the answer.
type Source interface {
	All(ctx context.Context) (*Facts, int64, error) // with the revision that they are of
	Some(ctx context.Context, w Wanted) (*Facts, error)
}

// StatusChange is a status that hosts' reports lead to.
type StatusChange struct {
	Thing
	Status
	Request string // the last API request that changed the thing, for logs; "" when it was long ago or none
}

// Sink takes what hosts say.
type Sink interface {
	// SetStatus writes statuses, and by port what the servers of a database tell one another.
	SetStatus(ctx context.Context, changes []StatusChange, served map[string][]Served) error
	Heartbeat(ctx context.Context, host string, agents []desired.AgentState) error
}
