// Package server wires the parts of `neutrino server` together: the lists here name every service,
// driver and reader that runs.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"neutrino/engine"
	"neutrino/policy"
	"neutrino/service/agent"
	"neutrino/service/compute"
	"neutrino/service/flavor"
	"neutrino/service/localip"
	"neutrino/service/logging"
	"neutrino/service/metering"
	"neutrino/service/network"
	"neutrino/service/qos"
	"neutrino/service/rbac"
	"neutrino/service/router"
	"neutrino/service/scheduling"
	"neutrino/service/security"
	"neutrino/service/topology"
	"neutrino/service/trunk"
)

// Services are all services of the networking API, bound to one engine. The order is the order in
// which they may use one another.
type Services struct {
	Engine   *engine.Engine
	Agents   *agent.Service
	Network  *network.Service
	Security *security.Service
	Router   *router.Service
	Sharing  *rbac.Service
	QoS      *qos.Service
	Trunks   *trunk.Service
	Metering *metering.Service
	Logging  *logging.Service
	LocalIPs *localip.Service
	Hosting  *scheduling.Service
	Flavors  *flavor.Service
	Topology *topology.Service
	Compute  *compute.Service
}

// DefaultQuotas are the original's; what is not in them is unlimited.
func DefaultQuotas() map[string]int {
	return map[string]int{
		"network": 100, "subnet": 100, "port": 500, "router": 10, "floatingip": 50,
		"security_group": 10, "security_group_rule": 100, "router_route": 30, "rbac_policy": 10,
	}
}

// serviceTypes are the services that are there, as flavors name them.
var serviceTypes = []string{"CORE", "FLAVORS", router.ServiceType, "LOCAL_IP", "LOG_API", "METERING", "QOS", "trunk"}

// providers are what realises the services that flavors can choose a provider of.
func providers() (list []flavor.Provider) {
	for i, k := range router.Kinds {
		list = append(list, flavor.Provider{ServiceType: router.ServiceType, Name: k.Name, Driver: k.Driver, Default: i == 0})
	}
	return list
}

// qosDrivers are mechanism drivers with the QoS rules that they keep.
func qosDrivers(mechanisms []string) (list []qos.Driver) {
	for _, name := range mechanisms {
		for _, m := range network.Mechanisms {
			if m.Name == name {
				list = append(list, qos.Driver{Name: name, Rules: m.QoSRules})
			}
		}
	}
	return list
}

// ServiceOptions are what an operator decides about the services.
type ServiceOptions struct {
	Network       network.Config
	Quotas        map[string]int // limits of projects without their own; -1 and what is not there: none
	OtherQuota    int            // default_quota: the limit of what is not in Quotas; -1: none
	AgentDownTime time.Duration  // agent_down_time: how old a heartbeat may be of an agent that counts as alive
	Failover      Failover
	Assign        Assign
	Compute       compute.Options // which events are noted for compute services
}

// DefaultServices are the original's defaults.
func DefaultServices() ServiceOptions {
	return ServiceOptions{Network: network.Defaults(), Quotas: DefaultQuotas(), OtherQuota: -1, AgentDownTime: 75 * time.Second, Failover: DefaultFailover(), Assign: Assign{Networks: true, Routers: true}}
}

// Collections lists every resource that the API shows, in the order of the documentation.
func (s *Services) Collections() []engine.Collection {
	list := []engine.Collection{
		s.Network.Networks,
		s.Network.Subnets,
		s.Network.Ports,
		s.Network.Bindings,
		s.Network.Segments,
		s.Network.Ranges,
		s.Network.SubnetPools,
		s.Network.AddressScopes,
		s.Network.Availabilities,
		s.Security.Groups,
		s.Security.Rules,
		s.Security.AddressGroups,
		s.Security.Templates,
		s.Security.Statefulness,
		s.Router.Routers,
		s.Router.FloatingIPs,
		s.Router.Forwardings,
		s.Router.Pools,
		s.Router.Helpers,
		s.Router.Proxies,
		s.Sharing.Policies,
		s.QoS.Policies,
		s.QoS.RuleTypes,
		s.Trunks.Trunks,
		s.Metering.Labels,
		s.Metering.Rules,
		s.Logging.Logs,
		s.Logging.Loggables,
		s.LocalIPs.LocalIPs,
		s.LocalIPs.Associations,
		s.Hosting.Zones,
		s.Flavors.Flavors,
		s.Flavors.Profiles,
		s.Flavors.Providers,
		s.Topology.Topologies,
		s.Agents.Agents,
	}
	for _, rules := range append(slices.Clone(s.QoS.Rules), s.QoS.Aliases...) {
		list = append(list, rules)
	}
	return list
}

// OpenServices opens the database and binds all services to it.
func OpenServices(ctx context.Context, database Database, enforcer *policy.Enforcer, o ServiceOptions, log *slog.Logger) (*Services, error) {
	db, err := openDatabase(ctx, database, log)
	if err != nil {
		return nil, err
	}
	s := &Services{Engine: &engine.Engine{DB: db, Policy: enforcer, Log: log, Now: time.Now, Quotas: maps.Clone(o.Quotas)}}
	s.Agents = agent.New(o.AgentDownTime, log)
	s.Network = network.New(o.Network, s.Agents, log)
	s.Security = security.New(s.Network)
	s.Router = router.New(s.Network, s.Agents, log)

	s.QoS = qos.New(s.Network, s.Router, qosDrivers(o.Network.Mechanisms))
	s.Trunks = trunk.New(s.Network, log)
	s.Metering = metering.New()
	s.Logging = logging.New(s.Network, s.Security)
	s.LocalIPs = localip.New(s.Network)
	s.Hosting = scheduling.New(s.Agents, s.Network, s.Router)
	s.Flavors = flavor.New(serviceTypes, providers())
	s.Router.Flavors = s.Flavors
	s.Flavors.InUse = append(s.Flavors.InUse, s.Router.UsesFlavor)
	s.Topology = topology.New(s.Network, s.Router)
	s.Compute = compute.New(o.Compute, s.Network, s.Router)
	s.Sharing = rbac.New()
	s.share()

	for _, col := range s.Collections() {
		if d := col.Describe(); d.Counted {
			if _, said := s.Engine.Quotas[d.Name]; !said && o.OtherQuota >= 0 {
				s.Engine.Quotas[d.Name] = o.OtherQuota
			}
		}
	}
	s.Agents.Changed = append(s.Agents.Changed, s.Network.Rebind, o.Assign.takeWork(s))

	s.Agents.Agents.Install(s.Engine)
	s.Network.Install(s.Engine)
	s.Security.Install(s.Engine)
	s.Router.Install(s.Engine)
	s.QoS.Install(s.Engine)
	s.Trunks.Install(s.Engine)
	s.Metering.Install(s.Engine)
	s.Logging.Install(s.Engine)
	s.LocalIPs.Install(s.Engine)
	s.Hosting.Install(s.Engine)
	s.Flavors.Install(s.Engine)
	s.Topology.Install(s.Engine)
	s.Sharing.Install(s.Engine)
	if err := s.Network.SyncRanges(ctx, s.Engine); err != nil {
		return nil, fmt.Errorf("segment ranges of the configuration: %w (and close: %v)", err, db.Close())
	}
	return s, nil
}

// Assign says what a host that comes is given of what waits for one.
type Assign struct {
	Networks bool // network_auto_schedule: networks that have too few DHCP servers
	Routers  bool // router_auto_schedule
}

// takeWork gives waiting routers and unserved networks to a host that has come.
func (a Assign) takeWork(s *Services) func(c *engine.Call, _ string) error {
	return func(c *engine.Call, _ string) error {
		if a.Routers {
			if err := s.Router.ScheduleWaiting(c); err != nil {
				return err
			}
		}
		if !a.Networks {
			return nil
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
}
