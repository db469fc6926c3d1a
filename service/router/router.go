// Package router has routers, their interfaces and gateways, and floating IPs.
package router

import (
	"log/slog"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/network"
	"neutrino/store"
)

// Router connects subnets, and with a gateway an external network.
type Router struct {
	resource.Standard
	AdminStateUp bool
	Status       string
	StatusReason string
	Host         string // where it is realised; "" while no host takes it
	NextHost     string // that makes it ready to move there; "": it stays
	NextStatus   string // ACTIVE once that is done
	NextReason   string // why it is not
	EnableSNAT   bool
	Routes       []network.Route
	Distributed  bool
	HA           bool
	NDPProxy     bool // NDP proxies may be made; only with a gateway
	Helpers      []ConntrackHelper
	Gateways     []Gateway // the first is external_gateway_info
	ECMP         bool      // new flows share the default routes of all gateways
	BFD          bool      // default routes are watched
	GatewayQoS   string    // QoS policy of the gateways; "": none
	FlavorID     string    // "": none
	ZoneHints    []string  // zones that the router is wanted in
	Zones        []string  // zones that the router is in

	wanted *gatewayRequest // what a client asked for as external_gateway_info
}

// Owners of the ports that routers and floating IPs have on external networks.
const (
	OwnerGateway  = "network:router_gateway"
	OwnerFloating = "network:floatingip"
)

// Hosts tells which hosts can realise routers; the agent service is it.
type Hosts interface {
	// RouterHosts lists those in one of the zones (none: anywhere), the least loaded first.
	RouterHosts(c *engine.Call, zones []string) ([]string, error)
	// CheckRouterZones refuses zones that no host that takes routers is in.
	CheckRouterZones(c *engine.Call, zones []string) error
}

// Service has the resources.
type Service struct {
	Routers     *engine.Resource[Router]
	FloatingIPs *engine.Resource[FloatingIP]
	Pools       *engine.Resource[Pool]
	Forwardings *engine.Resource[PortForwarding]
	Helpers     *engine.Resource[ConntrackHelper]
	Proxies     *engine.Resource[NDPProxy]

	// QoS knows the policies that floating IPs and gateways may have; nil when there are none.
	QoS network.QoS
	// Flavors knows the flavors that routers may have; nil when there are none.
	Flavors Flavors
	// FloatingIPChanged are told of the ports at which a floating IP was and is; "" for none.
	FloatingIPChanged []func(c *engine.Call, was, is string) error

	net   *network.Service
	hosts Hosts
	log   *slog.Logger
}

// New declares the resources and guards the ports that belong to routers.
func New(net *network.Service, hosts Hosts, log *slog.Logger) *Service {
	s := &Service{net: net, hosts: hosts, log: log}
	s.declareRouters()
	s.declareFloatingIPs()
	s.declarePools()
	s.declareForwardings()
	s.declareHelpers()
	s.declareProxies()
	s.guardPorts()
	net.NetworkCreated = append(net.NetworkCreated, s.networkCreated)
	return s
}

// Install binds the resources to the engine.
func (s *Service) Install(e *engine.Engine) {
	s.Routers.Install(e)
	s.FloatingIPs.Install(e)
	s.Pools.Install(e)
	s.Forwardings.Install(e)
	s.Helpers.Install(e)
	s.Proxies.Install(e)
}

func (s *Service) declareRouters() {
	std := func(r *Router) *resource.Standard { return &r.Standard }
	s.Routers = &engine.Resource[Router]{
		Name: "router", Plural: "routers", Extension: "router", Standard: std, Taggable: true, Counted: true, NoBulk: true,
		NotFound: func(id string) error { return fault.NotFound("RouterNotFound", "Router %s could not be found", id) },
		Attributes: append(resource.Standards(std),
			resource.Bool("admin_state_up", "admin_state_up", func(r *Router) *bool { return &r.AdminStateUp }).
				Post().Put().Sort().Default(func(r *Router) { r.AdminStateUp = true }),
			resource.Text("status", "status", 16, func(r *Router) *string { return &r.Status }).Sort(),
			resource.Text("status_reason", "status_reason", 0, func(r *Router) *string { return &r.StatusReason }).AdminOnly(),
			resource.Computed("external_gateway_info", appendGateway, nil).Post().Put().SubKeys().Decoded(decodeGateway),
			resource.Computed("external_gateways", appendGateways, nil),
			resource.Bool("enable_snat", "enable_snat", func(r *Router) *bool { return &r.EnableSNAT }).Sort().
				Default(func(r *Router) { r.EnableSNAT = true }),
			optionalFlag("enable_default_route_ecmp", func(r *Router) *bool { return &r.ECMP }).Policed(),
			optionalFlag("enable_default_route_bfd", func(r *Router) *bool { return &r.BFD }).Policed(),
			resource.JSON("routes", "routes", func(r *Router) *[]network.Route { return &r.Routes },
				func(v any) ([]network.Route, error) { return network.ParseRoutes("routes", v) }).
				Put().Default(func(r *Router) { r.Routes = []network.Route{} }),
			optionalFlag("distributed", func(r *Router) *bool { return &r.Distributed }).Policed().AdminOnly(),
			optionalFlag("ha", func(r *Router) *bool { return &r.HA }).Policed().AdminOnly(),
			optionalFlag("enable_ndp_proxy", func(r *Router) *bool { return &r.NDPProxy }).Filter(),
			resource.Computed("conntrack_helpers", appendHelpers, nil),
			resource.Text("gateway_qos_policy_id", "gateway_qos_policy_id", 36, func(r *Router) *string { return &r.GatewayQoS }).Hidden(),
			resource.Text("host", "host", 255, func(r *Router) *string { return &r.Host }).Hidden(),
			resource.Text("next_host", "next_host", 255, func(r *Router) *string { return &r.NextHost }).Hidden(),
			resource.Text("next_status", "next_status", 16, func(r *Router) *string { return &r.NextStatus }).Hidden(),
			resource.Text("next_reason", "next_reason", 2000, func(r *Router) *string { return &r.NextReason }).Hidden(),
			resource.OptionalUUID("flavor_id", "flavor_id", func(r *Router) *string { return &r.FlavorID }).Post().Sort().Policed(),
			resource.JSON("availability_zone_hints", "availability_zone_hints", func(r *Router) *[]string { return &r.ZoneHints }, network.ZoneHints).
				Post().Default(func(r *Router) { r.ZoneHints = []string{} }),
			resource.Computed("availability_zones", func(b []byte, r *Router) []byte { return resource.AppendStrings(b, r.Zones) }, nil),
		),
		Loaders:   []engine.Loader[Router]{loadGateways, loadHelpers},
		OnCreate:  s.createRouter,
		OnCreated: s.routerCreated,
		OnUpdate:  s.updateRouter,
		OnUpdated: s.routerUpdated,
		OnDelete:  s.deleteRouter,
		OnDeleted: func(c *engine.Call, r *Router) error {
			if !r.HA {
				return nil
			}
			return s.dropHANetwork(c, r.ProjectID)
		},
		Actions: map[string]engine.Action[Router]{
			"add_router_interface":    {Run: s.addInterface},
			"remove_router_interface": {Run: s.removeInterface},
			"add_extraroutes":         {Run: s.addRoutes},
			"remove_extraroutes":      {Run: s.removeRoutes},

			"add_external_gateways":    s.gatewayAction(s.addGateways),
			"update_external_gateways": s.gatewayAction(s.updateGateways),
			"remove_external_gateways": s.gatewayAction(s.removeGateways),
		},
	}
}

func (s *Service) createRouter(c *engine.Call, r *Router, given resource.Given) error {
	r.Status = "ACTIVE"
	if err := s.chooseKind(c, r, given); err != nil {
		return err
	}
	r.take(r.wanted)
	if err := s.checkQoS(c, r.GatewayQoS); err != nil {
		return err
	}
	if err := s.checkDefaultRoutes(r); err != nil {
		return err
	}
	if err := s.hosts.CheckRouterZones(c, r.ZoneHints); err != nil {
		return err
	}
	return s.schedule(c, r)
}

func (s *Service) routerCreated(c *engine.Call, r *Router) error {
	if err := s.changeKind(c, &Router{}, r); err != nil {
		return err
	}
	if err := s.setGateway(c, r, r.wanted); err != nil {
		return err
	}
	return s.checkProxying(c, &Router{}, r)
}

// schedule chooses a host for a router that has none.
func (s *Service) schedule(c *engine.Call, r *Router) error {
	if r.Host != "" {
		return nil
	}
	var ports []*network.Port
	if r.ID != "" {
		var err error
		if ports, err = s.Ports(c, r.ID); err != nil {
			return err
		}
	}
	host, reason, err := s.choose(c, r, ports, true)
	if err != nil {
		return err
	}
	if host == "" {
		r.StatusReason = reason
		return nil
	}
	r.Host = host
	r.StatusReason = "waiting for host " + r.Host + " to realise the router"
	return nil
}

// ScheduleWaiting gives hosts to routers that have none, and binds their ports there.
func (s *Service) ScheduleWaiting(c *engine.Call) error {
	waiting, err := s.Routers.Find(c, store.Where("t.host = ''"))
	if err != nil {
		return err
	}
	for _, old := range waiting {
		r := *old
		if err := s.schedule(c, &r); err != nil {
			return err
		}
		if r.Host == "" {
			continue
		}
		if err := s.move(c, old, &r); err != nil {
			return err
		}
	}
	return nil
}

// Place puts a router on a host, or with "" takes it off the one it is on.
func (s *Service) Place(c *engine.Call, old *Router, host string) error {
	r := *old
	r.Host = host
	r.StatusReason = "waiting for host " + host + " to realise the router"
	if host == "" {
		r.StatusReason = "an administrator took the router off its host"
	}
	return s.move(c, old, &r)
}

// move saves a router that has another host, and binds its ports there.
func (s *Service) move(c *engine.Call, old, r *Router) error {
	r.NextHost, r.NextStatus, r.NextReason = "", "", ""
	if err := s.Routers.Save(c, old, r, nil); err != nil {
		return err
	}
	ports, err := s.net.Ports.Find(c, PortsOf([]string{r.ID}))
	if err != nil {
		return err
	}
	for _, was := range ports {
		p := *was
		p.Host = r.Host
		if err := s.net.Ports.Save(c.Elevated(), was, &p, nil); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) updateRouter(c *engine.Call, old, r *Router, given resource.Given) error {
	if err := checkKind(old, r); err != nil {
		return err
	}
	if err := keepKind(old, r); err != nil {
		return err
	}
	if err := s.checkDefaultRoutes(r); err != nil {
		return err
	}
	r.take(r.wanted)
	if r.wanted != nil && r.wanted.network == "" && len(r.Gateways) <= 1 {
		r.NDPProxy = r.NDPProxy && given.Has("enable_ndp_proxy") // which is refused, if it was asked for
	}
	if old.GatewayQoS != r.GatewayQoS {
		if err := s.mayPartQoS(c, old, r.wanted, "update_router:external_gateway_info:qos_policy_id"); err != nil {
			return err
		}
		if err := s.checkQoS(c, r.GatewayQoS); err != nil {
			return err
		}
	}
	if given.Has("routes") {
		return s.checkRoutes(c, r)
	}
	return nil
}

func (s *Service) routerUpdated(c *engine.Call, old, r *Router, given resource.Given) error {
	if err := s.changeKind(c, old, r); err != nil {
		return err
	}
	if given.Has("external_gateway_info") {
		if err := s.setGateway(c, r, r.wanted); err != nil {
			return err
		}
		if err := s.settle(c, r.ID); err != nil {
			return err
		}
	}
	return s.checkProxying(c, old, r)
}

func (s *Service) deleteRouter(c *engine.Call, r *Router) error {
	ports, err := s.interfaces(c, r.ID)
	if err != nil {
		return err
	}
	if len(ports) > 0 {
		return fault.Conflict("RouterInUse", "Router %s has ports still attached: %s", r.ID, portIDs(ports))
	}
	return s.dropGateways(c, r)
}
