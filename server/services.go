// Package server wires the parts of `neutrino server` together: the lists here name every service,
// driver and reader that runs.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"neutrino/engine"
	"neutrino/migrations"
	"neutrino/policy"
	"neutrino/service/agent"
	"neutrino/service/network"
	"neutrino/service/router"
	"neutrino/service/security"
	"neutrino/store"
)

// Services are all services of the networking API, bound to one engine. The order is the order in
// which they may use one another.
type Services struct {
	Engine   *engine.Engine
	Agents   *agent.Service
	Network  *network.Service
	Security *security.Service
	Router   *router.Service
}

// quotas are the original's defaults; what is not here is unlimited.
var quotas = map[string]int{
	"network": 100, "subnet": 100, "port": 500, "router": 10, "floatingip": 50,
	"security_group": 10, "security_group_rule": 100, "router_route": 30,
}

// agentDownAfter is agent_down_time: how old a heartbeat may be of an agent that counts as alive.
const agentDownAfter = 75 * time.Second

// Collections lists every resource that the API shows, in the order of the documentation.
func (s *Services) Collections() []engine.Collection {
	return []engine.Collection{
		s.Network.Networks,
		s.Network.Subnets,
		s.Network.Ports,
		s.Security.Groups,
		s.Security.Rules,
		s.Router.Routers,
		s.Router.FloatingIPs,
		s.Agents.Agents,
	}
}

// OpenServices opens the database at path, brings its schema up to date, and binds all services to it.
func OpenServices(ctx context.Context, path string, enforcer *policy.Enforcer, config network.Config, log *slog.Logger) (*Services, error) {
	db, err := store.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	before, after, err := db.Migrate(ctx, migrations.SQLite)
	if err != nil {
		return nil, fmt.Errorf("bring the schema of %s up to date: %w (and close: %v)", path, err, db.Close())
	}
	if before != after {
		log.Info("schema brought up to date", "database", path, "from", before, "to", after)
	}
	s := &Services{Engine: &engine.Engine{DB: db, Policy: enforcer, Log: log, Now: time.Now, Quotas: quotas}}
	s.Agents = agent.New(agentDownAfter, log)
	s.Network = network.New(config, s.Agents, log)
	s.Security = security.New(s.Network)
	s.Router = router.New(s.Network, s.Agents, log)

	s.Agents.Changed = append(s.Agents.Changed, s.Network.Rebind, s.takeWork)

	s.Agents.Agents.Install(s.Engine)
	s.Network.Install(s.Engine)
	s.Security.Install(s.Engine)
	s.Router.Install(s.Engine)
	return s, nil
}

// takeWork gives waiting routers and unserved networks to a host that has come.
func (s *Services) takeWork(c *engine.Call, _ string) error {
	if err := s.Router.ScheduleWaiting(c); err != nil {
		return err
	}
	networks, err := s.Network.UnservedNetworks(c)
	if err != nil {
		return err
	}
	for _, id := range networks {
		if err := s.Network.EnsureDHCP(c, id); err != nil {
			return err
		}
	}
	return nil
}
