// Package scheduling shows and changes which hosts serve DHCP to a network and realise a router, and
// lists the zones that hosts are in.
package scheduling

import (
	"cmp"
	"slices"
	"strings"

	"neutrino/driver/ovn"
	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/agent"
	"neutrino/service/network"
	"neutrino/service/router"
	"neutrino/store"
)

// Zone is an availability zone for networks or routers.
type Zone struct {
	Name      string
	Resource  string // network or router
	Available bool   // a host of it is alive
}

// Service adds actions to agents, networks and routers, and has the zones.
type Service struct {
	Zones *engine.Resource[Zone]

	agents   *agent.Service
	net      *network.Service
	router   *router.Service
	gateways Gateways // nil: no gateways of OVN's
}

// Gateways says where OVN has the gateways of routers.
type Gateways interface {
	// GatewayHosts gives the chassis on which a router's gateways may be: the first gateway's by priority, then the others'.
	GatewayHosts(router string) []string
	// Priorities gives the chassis of the first gateway with their priorities, the highest first.
	Priorities(router string) []ovn.ChassisPriority
	// RoutersOn lists the routers whose gateways may be on a chassis.
	RoutersOn(chassis string) []string
}

// SetGateways tells where to learn of OVN's gateways. It must be called before the first request.
func (s *Service) SetGateways(g Gateways) { s.gateways = g }

// New declares the zones and adds the actions.
func New(agents *agent.Service, net *network.Service, rtr *router.Service) *Service {
	s := &Service{agents: agents, net: net, router: rtr}
	s.Zones = &engine.Resource[Zone]{
		Name: "availability_zone", Plural: "availability_zones", Collection: "availability_zones", Extension: "availability_zone", Key: "name",
		NoShow: true, NoCreate: true, NoUpdate: true, NoDelete: true,
		Attributes: []*resource.Attribute[Zone]{
			resource.Text("name", "name", 255, func(z *Zone) *string { return &z.Name }).Filter(),
			resource.Text("resource", "resource", 0, func(z *Zone) *string { return &z.Resource }).Filter(),
			resource.Computed("state", func(b []byte, z *Zone) []byte { return resource.AppendString(b, z.state()) }, func(z *Zone) any { return z.state() }).Filter(),
		},
		From: s.zones,
	}
	agents.Agents.Actions = map[string]engine.Action[agent.Agent]{
		"GET dhcp-networks":      {Rule: "get_dhcp-networks", Reads: true, Run: s.networksOn},
		"POST dhcp-networks":     {Rule: "create_dhcp-network", Status: 201, Run: s.serveNetwork},
		"DELETE dhcp-networks/*": {Rule: "delete_dhcp-network", Status: 204, Run: s.releaseNetwork},
		"GET l3-routers":         {Rule: "get_l3-routers", Reads: true, Run: s.routersOn},
		"POST l3-routers":        {Rule: "create_l3-router", Status: 201, Run: s.takeRouter},
		"PUT l3-routers/*":       {Rule: "update_l3-router", Run: s.setPriority},
		"DELETE l3-routers/*":    {Rule: "delete_l3-router", Status: 204, Run: s.releaseRouter},
		"drain":                  {Rule: "update_agent", Run: s.drain},
	}
	agents.Agents.Attributes = append(agents.Agents.Attributes, resource.Computed("ha_chassis_priority", appendPriority, nil).
		When(func(*agent.Agent) bool { return net.Supports(priorityExtension) }))
	net.Networks.Actions = map[string]engine.Action[network.Network]{
		"GET dhcp-agents": {Rule: "get_dhcp-agents", Reads: true, Run: s.agentsOfNetwork},
		"GET explain":     {Rule: "get_dhcp-agents", Reads: true, Run: s.explainNetwork},
	}
	net.Networks.Loaders = append(net.Networks.Loaders, zonesOfNetworks)
	rtr.Routers.Loaders = append(rtr.Routers.Loaders, zonesOfRouters)
	rtr.Routers.Actions["GET explain"] = engine.Action[router.Router]{Rule: "get_l3-agents", Reads: true, Run: s.explainRouter}
	net.Ports.Actions = map[string]engine.Action[network.Port]{
		"GET explain": {Rule: "get_dhcp-agents", Reads: true, Run: s.explainPort},
	}
	rtr.Routers.Actions["GET l3-agents"] = engine.Action[router.Router]{Rule: "get_l3-agents", Reads: true, Run: s.agentsOfRouter}
	return s
}

// Install binds the zones to the engine.
func (s *Service) Install(e *engine.Engine) { s.Zones.Install(e) }

func (z *Zone) state() string {
	if z.Available {
		return "available"
	}
	return "unavailable"
}

func (s *Service) zones(c *engine.Call) ([]*Zone, error) {
	agents, err := s.agents.Agents.Find(c, store.Where("t.availability_zone <> ''"))
	if err != nil {
		return nil, err
	}
	var zones []*Zone
	for _, a := range agents {
		z := &Zone{Name: a.Zone, Resource: "network"}
		if a.Type == agent.L3 {
			z.Resource = "router"
		}
		at := slices.IndexFunc(zones, func(other *Zone) bool { return other.Name == z.Name && other.Resource == z.Resource })
		if at < 0 {
			zones, at = append(zones, z), len(zones)
		}
		zones[at].Available = zones[at].Available || a.Alive() && a.AdminStateUp
	}
	slices.SortFunc(zones, func(a, b *Zone) int { return strings.Compare(a.Name+" "+a.Resource, b.Name+" "+b.Resource) })
	return zones, nil
}

// list writes {"name": [objects]}.
func list[T any](c *engine.Call, r *engine.Resource[T], name string, cond store.Cond, b []byte) ([]byte, error) {
	found, err := r.Find(c, cond)
	if err != nil {
		return nil, err
	}
	b = append(b, `{"`+name+`": [`...)
	for i, t := range found {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = r.AppendObject(c, b, t)
	}
	return append(b, "]}"...), nil
}

func (s *Service) networksOn(c *engine.Call, a *agent.Agent, _ engine.Input, b []byte) ([]byte, error) {
	cond := store.Where("t.id IN (SELECT p.network_id FROM ports p WHERE p.host = ? AND p.device_owner = 'network:dhcp')", a.Host)
	if a.Type != agent.DHCP {
		cond = store.Never()
	}
	return list(c, s.net.Networks, "networks", cond, b)
}

func (s *Service) agentsOfNetwork(c *engine.Call, n *network.Network, _ engine.Input, b []byte) ([]byte, error) {
	return list(c, s.agents.Agents, "agents",
		store.Where("t.agent_type = ? AND t.host IN (SELECT p.host FROM ports p WHERE p.network_id = ? AND p.device_owner = 'network:dhcp')", agent.DHCP, n.ID), b)
}

// idIn reads the id that an action's body has under key.
func idIn(in engine.Input, key string) (string, error) {
	m, err := resource.MapValue(key, any(in.Body), key)
	if err != nil {
		return "", err
	}
	return resource.UUIDValue(key, m[key])
}

// nothing is the body of an answer that has none: clients of the original read a null there.
const nothing = "null"

func (s *Service) serveNetwork(c *engine.Call, a *agent.Agent, in engine.Input, b []byte) ([]byte, error) {
	id, err := idIn(in, "network_id")
	if err != nil {
		return nil, err
	}
	if a.Type != agent.DHCP || !a.AdminStateUp {
		return nil, fault.NotFound("InvalidDHCPAgent", "Agent %s is not a valid DHCP Agent or has been disabled.", a.ID)
	}
	if _, err := s.net.Networks.Get(c, id); err != nil {
		return nil, err
	}
	return append(b, nothing...), s.net.ServeDHCP(c, id, a.Host, a.ID)
}

func (s *Service) releaseNetwork(c *engine.Call, a *agent.Agent, in engine.Input, _ []byte) ([]byte, error) {
	return nil, s.net.ReleaseDHCP(c, in.Word, a.Host, a.ID)
}

func (s *Service) routersOn(c *engine.Call, a *agent.Agent, _ engine.Input, b []byte) ([]byte, error) {
	cond := store.Never()
	switch {
	case a.Type == agent.L3:
		cond = store.Where("t.host = ?", a.Host)
	case s.isChassis(a):
		ids, err := s.routersOnChassis(c, a.Chassis())
		if err != nil {
			return nil, err
		}
		cond = store.In("t.id", ids)
	}
	return list(c, s.router.Routers, "routers", cond, b)
}

// agentsOfRouter lists the agents that host a router, with ha_state. An L3 agent is active for a highly available one, for
// it is the only host of it. Of the chassis that may have an OVN router's gateways, in the order of their priorities, those
// are active which have one.
func (s *Service) agentsOfRouter(c *engine.Call, r *router.Router, _ engine.Input, b []byte) ([]byte, error) {
	found, err := s.agents.Agents.Find(c, store.Where("t.agent_type = ? AND t.host = ? AND t.host <> ''", agent.L3, r.Host))
	if err != nil {
		return nil, err
	}
	b = append(b, `{"agents": [`...)
	more := func(a *agent.Agent, state string) {
		if b[len(b)-1] != '[' {
			b = append(b, ", "...)
		}
		b = s.agents.Agents.AppendObject(c, b, a)
		b = append(b[:len(b)-1], `, "ha_state": `+state+`}`...)
	}
	for _, a := range found {
		if r.HA {
			more(a, `"active"`)
		} else {
			more(a, "null")
		}
	}
	on, active, err := s.chassisOf(c, r)
	if err != nil {
		return nil, err
	}
	for _, a := range on {
		if active[a.Host] {
			more(a, `"active"`)
		} else {
			more(a, `"standby"`)
		}
	}
	return append(b, "]}"...), nil
}

// chassisOf gives the agents of the chassis that may have an OVN router's gateways, the best for the first gateway first,
// and the hosts that have one.
func (s *Service) chassisOf(c *engine.Call, r *router.Router) (list []*agent.Agent, active map[string]bool, err error) {
	if s.gateways == nil || len(r.Gateways) == 0 {
		return nil, nil, nil
	}
	priorities, said, err := s.priorities(c, r)
	if err != nil {
		return nil, nil, err
	}
	var order []string
	for _, p := range priorities {
		order = append(order, p.Chassis)
	}
	if !said {
		order = s.gateways.GatewayHosts(r.ID)
	}
	if len(order) == 0 {
		return nil, nil, nil
	}
	list, err = s.agents.Agents.Find(c, store.Where("t.agent_type IN (?, ?)", agent.OVNController, agent.OVNGateway))
	if err != nil {
		return nil, nil, err
	}
	place := func(a *agent.Agent) int { return slices.Index(order, a.Chassis()) }
	list = slices.DeleteFunc(list, func(a *agent.Agent) bool { return place(a) < 0 })
	slices.SortFunc(list, func(a, b *agent.Agent) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), strings.Compare(a.ID, b.ID))
	})
	for _, a := range list {
		if at := indexOf(priorities, a.Chassis()); at >= 0 {
			a.Priority = &priorities[at].Priority
		}
	}
	var ids []string
	for _, g := range r.Gateways {
		ids = append(ids, g.PortID)
	}
	ports, err := s.net.Ports.Find(c.Elevated(), store.In("t.id", ids))
	if err != nil {
		return nil, nil, err
	}
	active = map[string]bool{}
	for _, p := range ports {
		active[p.Host] = true
	}
	return list, active, nil
}

func (s *Service) takeRouter(c *engine.Call, a *agent.Agent, in engine.Input, b []byte) ([]byte, error) {
	if s.isChassis(a) {
		return s.addChassis(c, a, in, b)
	}
	id, err := idIn(in, "router_id")
	if err != nil {
		return nil, err
	}
	if a.Type != agent.L3 || !a.AdminStateUp {
		return nil, fault.NotFound("InvalidL3Agent", "Agent %s is not a L3 Agent or has been disabled.", a.ID)
	}
	r, err := s.router.Routers.Get(c, id)
	if err != nil {
		return nil, err
	}
	switch r.Host {
	case a.Host:
		return append(b, nothing...), nil
	case "":
		return append(b, nothing...), s.router.Place(c, r, a.Host)
	}
	return nil, fault.Conflict("RouterHostedByL3Agent", "The router %s has been already hosted by the L3 Agent %s.", id, a.ID)
}

func (s *Service) releaseRouter(c *engine.Call, a *agent.Agent, in engine.Input, _ []byte) ([]byte, error) {
	r, err := s.router.Routers.Get(c, in.Word)
	if err == nil && s.isChassis(a) {
		return nil, s.dropChassis(c, a, r)
	}
	if err != nil || r.Host != a.Host {
		return nil, err
	}
	return nil, s.router.Place(c, r, "")
}
