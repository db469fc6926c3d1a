// Package hubtest is a cloud in memory for tests of the hub and of agents: the journal, the services
// that know the facts, and the place where statuses go.
package hubtest

import (
	"context"
	"slices"
	"sync"

	"neutrino/desired"
	"neutrino/hub"
)

// Cloud is a hub.Journal, a hub.Source and a hub.Sink.
type Cloud struct {
	mu       sync.Mutex
	state    *desired.State
	statuses map[hub.Thing]hub.Status
	served   map[string][]hub.Served
	journal  []hub.Entry
	head     int64
	changed  chan struct{}
	beats    map[string][]desired.AgentState
	writes   int
	request  string
	because  map[hub.Thing]string // the request with which a status was written last
	failing  error
}

// New makes an empty cloud.
func New() *Cloud {
	return &Cloud{state: desired.NewState(), statuses: map[hub.Thing]hub.Status{}, served: map[string][]hub.Served{}, changed: make(chan struct{}), beats: map[string][]desired.AgentState{}, because: map[hub.Thing]string{}}
}

// names are the kinds' names in the journal.
var names = map[desired.Kind]string{
	desired.KindHost: "agent", desired.KindNetwork: "network", desired.KindPort: "port",
	desired.KindSecurityGroup: "security_group", desired.KindRouter: "router", desired.KindFloatingIP: "floatingip",
}

// As has what is written from now on be the doing of an API request.
func (c *Cloud) As(request string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.request = request
}

// Put adds or replaces things in one transaction; what is new is DOWN.
func (c *Cloud) Put(items ...desired.Item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(items)
	c.commit()
}

// PutAndTrim is Put, and all of the journal but its newest entry is forgotten before anyone reads it.
func (c *Cloud) PutAndTrim(items ...desired.Item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(items)
	c.journal = slices.Clone(c.journal[len(c.journal)-1:])
	c.commit()
}

func (c *Cloud) put(items []desired.Item) {
	for _, item := range items {
		c.state.Put(item)
		c.begin(item.Key())
		if r, ok := item.(*desired.Router); ok {
			for _, f := range r.FloatingIPs {
				c.begin(desired.Key{Kind: desired.KindFloatingIP, ID: f.ID})
			}
		}
		c.write(item.Key())
	}
}

func (c *Cloud) begin(key desired.Key) {
	thing := hub.Thing{Kind: key.Kind, ID: key.ID}
	if _, there := c.statuses[thing]; there {
		return
	}
	switch key.Kind {
	case desired.KindRouter:
		c.statuses[thing] = hub.Status{Status: "ACTIVE"}
	case desired.KindPort, desired.KindFloatingIP:
		c.statuses[thing] = hub.Status{Status: "DOWN"}
	}
}

// Delete removes things in one transaction.
func (c *Cloud) Delete(keys ...desired.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		c.state.Delete(key)
		delete(c.statuses, hub.Thing{Kind: key.Kind, ID: key.ID})
		c.write(key)
	}
	c.commit()
}

func (c *Cloud) write(key desired.Key) {
	c.head++
	c.journal = append(c.journal, hub.Entry{Revision: c.head, Kind: names[key.Kind], ID: key.ID, Request: c.request})
}

func (c *Cloud) commit() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Backup gives a function that sets the cloud back to what it is now.
func (c *Cloud) Backup() (restore func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := desired.NewState()
	for _, key := range c.state.Keys() {
		kept.Put(c.state.Get(key))
	}
	journal, head := slices.Clone(c.journal), c.head
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.state, c.journal, c.head = kept, journal, head
		c.commit()
	}
}

// Fail has statuses refused with an error, or with nil taken again.
func (c *Cloud) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing = err
}

// Status is a thing's status.
func (c *Cloud) Status(kind desired.Kind, id string) hub.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.statuses[hub.Thing{Kind: kind, ID: id}]
}

// Because is the API request with which a thing's status was written last.
func (c *Cloud) Because(kind desired.Kind, id string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.because[hub.Thing{Kind: kind, ID: id}]
}

// Writes counts the statuses that were written.
func (c *Cloud) Writes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writes
}

// Beat is a host's newest heartbeat.
func (c *Cloud) Beat(host string) []desired.AgentState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.beats[host]
}

// Head implements hub.Journal.
func (c *Cloud) Head(context.Context) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.head, nil
}

// Oldest implements hub.Journal.
func (c *Cloud) Oldest(context.Context) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.journal) == 0 {
		return 0, nil
	}
	return c.journal[0].Revision, nil
}

// Read implements hub.Journal.
func (c *Cloud) Read(_ context.Context, after int64, limit int) ([]hub.Entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []hub.Entry
	for _, e := range c.journal {
		if e.Revision > after && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, nil
}

// Changed implements hub.Journal.
func (c *Cloud) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// All implements hub.Source.
func (c *Cloud) All(context.Context) (*hub.Facts, int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &hub.Facts{Statuses: map[hub.Thing]hub.Status{}, Served: map[string][]hub.Served{}}
	for _, key := range c.state.Keys() {
		c.read(f, key)
	}
	return f, c.head, nil
}

// Some implements hub.Source.
func (c *Cloud) Some(_ context.Context, w hub.Wanted) (*hub.Facts, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &hub.Facts{Statuses: map[hub.Thing]hub.Status{}, Served: map[string][]hub.Served{}}
	if w.Hosts {
		for name := range c.state.Hosts {
			c.read(f, desired.Key{Kind: desired.KindHost, ID: name})
		}
	}
	for kind, ids := range map[desired.Kind][]string{
		desired.KindNetwork: w.Networks, desired.KindPort: w.Ports, desired.KindSecurityGroup: w.Groups, desired.KindRouter: w.Routers,
	} {
		for _, id := range ids {
			c.read(f, desired.Key{Kind: kind, ID: id})
		}
	}
	return f, nil
}

func (c *Cloud) read(f *hub.Facts, key desired.Key) {
	note := func(kind desired.Kind, id string) {
		thing := hub.Thing{Kind: kind, ID: id}
		f.Statuses[thing] = c.statuses[thing]
	}
	switch x := c.state.Get(key).(type) {
	case *desired.Host:
		f.Hosts = append(f.Hosts, x)
	case *desired.Network:
		f.Networks = append(f.Networks, x)
	case *desired.Port:
		f.Ports = append(f.Ports, x)
		note(key.Kind, key.ID)
		if served := c.served[key.ID]; served != nil {
			f.Served[key.ID] = slices.Clone(served)
		}
	case *desired.SecurityGroup:
		f.Groups = append(f.Groups, x)
	case *desired.Router:
		f.Routers = append(f.Routers, x)
		note(key.Kind, key.ID)
		for _, ip := range x.FloatingIPs {
			note(desired.KindFloatingIP, ip.ID)
		}
	}
}

// SetStatus implements hub.Sink. As in the services, what changes is journaled.
func (c *Cloud) SetStatus(_ context.Context, changes []hub.StatusChange, served map[string][]hub.Served) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failing != nil {
		return c.failing
	}
	for _, ch := range changes {
		if have, there := c.statuses[ch.Thing]; there && have != ch.Status {
			c.statuses[ch.Thing] = ch.Status
			c.because[ch.Thing] = ch.Request
			c.writes++
			c.write(desired.Key{Kind: ch.Kind, ID: ch.ID})
		}
	}
	for port, told := range served {
		for _, s := range told {
			c.served[port] = append(slices.DeleteFunc(c.served[port], func(old hub.Served) bool { return old.Host == s.Host }), s)
		}
		c.writes++
		c.write(desired.Key{Kind: desired.KindPort, ID: port})
	}
	c.commit()
	return nil
}

// Heartbeat implements hub.Sink.
func (c *Cloud) Heartbeat(_ context.Context, host string, agents []desired.AgentState) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failing != nil {
		return c.failing
	}
	c.beats[host] = agents
	return nil
}
