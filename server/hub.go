package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"neutrino/desired"
	"neutrino/engine"
	"neutrino/hub"
	"neutrino/service/agent"
	"neutrino/service/facts"
	"neutrino/store"
)

// journal shows the store's journal to the hub.
type journal struct{ *store.DB }

// Read implements hub.Journal.
func (j journal) Read(ctx context.Context, after int64, limit int) ([]hub.Entry, error) {
	entries, err := j.DB.Read(ctx, after, limit)
	out := make([]hub.Entry, len(entries))
	for i, e := range entries {
		out[i] = hub.Entry{Revision: e.Revision, Kind: e.Kind, ID: e.ID, Request: e.Request}
	}
	return out, err
}

// source reads for the hub what hosts need, and takes what they say.
type source struct {
	services *Services
	reader   *facts.Reader
}

func newSource(s *Services) *source {
	return &source{s, &facts.Reader{Engine: s.Engine, Agents: s.Agents, Network: s.Network, Security: s.Security, Router: s.Router, Compute: s.Compute}}
}

// All implements hub.Source.
func (s *source) All(ctx context.Context) (f *hub.Facts, revision int64, err error) {
	err = s.services.Engine.View(ctx, nil, func(c *engine.Call) error {
		if revision, err = c.Tx.Head(); err != nil {
			return err
		}
		f, err = s.read(c, hub.Wanted{Hosts: true}, true)
		return err
	})
	return f, revision, err
}

// Some implements hub.Source.
func (s *source) Some(ctx context.Context, w hub.Wanted) (f *hub.Facts, err error) {
	err = s.services.Engine.View(ctx, nil, func(c *engine.Call) error {
		f, err = s.read(c, w, false)
		return err
	})
	return f, err
}

func (s *source) read(c *engine.Call, w hub.Wanted, all bool) (*hub.Facts, error) {
	f := &hub.Facts{Statuses: map[hub.Thing]hub.Status{}, Served: map[string][]hub.Served{}}
	note := func(kind desired.Kind, statuses map[string]facts.Status) {
		for id, status := range statuses {
			f.Statuses[hub.Thing{Kind: kind, ID: id}] = hub.Status{Status: status.Status, Reason: status.Reason}
		}
	}
	var err error
	if w.Policies != nil {
		networks, ports, routers, err := s.reader.Bound(c, w.Policies)
		if err != nil {
			return nil, fmt.Errorf("read what QoS policies are bound to: %w", err)
		}
		w.Networks, w.Ports, w.Routers = join(w.Networks, networks), join(w.Ports, ports), join(w.Routers, routers)
	}
	if w.Hosts {
		if f.Hosts, err = s.reader.Hosts(c, nil); err != nil {
			return nil, fmt.Errorf("read hosts: %w", err)
		}
	}
	if all || w.Networks != nil {
		if f.Networks, err = s.reader.Networks(c, w.Networks); err != nil {
			return nil, fmt.Errorf("read networks: %w", err)
		}
	}
	if all || w.Ports != nil {
		var statuses map[string]facts.Status
		if f.Ports, statuses, err = s.reader.Ports(c, w.Ports); err != nil {
			return nil, fmt.Errorf("read ports: %w", err)
		}
		note(desired.KindPort, statuses)
		told, err := s.reader.Served(c, w.Ports)
		if err != nil {
			return nil, fmt.Errorf("read what serves ports: %w", err)
		}
		for _, t := range told {
			f.Served[t.Port] = append(f.Served[t.Port], hub.Served{Host: t.Host, Up: t.Up, Reason: t.Reason})
		}
	}
	if all || w.Groups != nil {
		if f.Groups, err = s.reader.Groups(c, w.Groups); err != nil {
			return nil, fmt.Errorf("read security groups: %w", err)
		}
	}
	if all || w.Routers != nil {
		var routers, next, floating map[string]facts.Status
		if f.Routers, routers, next, floating, err = s.reader.Routers(c, w.Routers); err != nil {
			return nil, fmt.Errorf("read routers: %w", err)
		}
		note(desired.KindRouter, routers)
		note(desired.KindRouterMove, next)
		note(desired.KindFloatingIP, floating)
	}
	return f, nil
}

// join appends the ids that a list does not have; nil stays nil when there are none.
func join(list, more []string) []string {
	for _, id := range more {
		if !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}

// SetStatus implements hub.Sink.
func (s *source) SetStatus(ctx context.Context, changes []hub.StatusChange, served map[string][]hub.Served) error {
	out := make([]facts.StatusChange, len(changes))
	for i, ch := range changes {
		out[i] = facts.StatusChange{Kind: ch.Kind, ID: ch.ID, Status: ch.Status.Status, Reason: ch.Reason, Request: ch.Request}
	}
	var told []facts.Served
	for port, list := range served {
		for _, w := range list {
			told = append(told, facts.Served{Port: port, Host: w.Host, Up: w.Up, Reason: w.Reason})
		}
	}
	return s.reader.SetStatus(ctx, out, told)
}

// Heartbeat implements hub.Sink.
func (s *source) Heartbeat(ctx context.Context, host string, agents []desired.AgentState) error {
	states := make([]agent.State, len(agents))
	for i, a := range agents {
		started, err := time.Parse(time.RFC3339, a.Started)
		if err != nil {
			return fmt.Errorf("start time of the %s on %s: %w", a.Type, host, err)
		}
		states[i] = agent.State{Type: a.Type, Binary: a.Binary, Topic: a.Topic, Configurations: a.Configurations, Zone: a.Zone, Started: started}
	}
	return s.services.Agents.Heartbeat(ctx, s.services.Engine, host, states)
}
