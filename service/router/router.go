// Package router has routers, their interfaces and gateways, and floating IPs.
package router

import (
	"database/sql"
	"log/slog"
	"net/netip"

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
	EnableSNAT   bool
	Routes       []network.Route
	Distributed  bool
	HA           bool
	Gateway      *Gateway

	wanted *gatewayRequest // what a client asked for as external_gateway_info
}

// Gateway is a router's port on an external network.
type Gateway struct {
	NetworkID string
	PortID    string
	FixedIPs  []network.FixedIP
}

// Owners of the ports that routers have.
const (
	OwnerInterface = "network:router_interface"
	OwnerGateway   = "network:router_gateway"
	OwnerFloating  = "network:floatingip"
)

// Hosts tells which hosts can realise routers, the least loaded first; the agent service is it.
type Hosts interface {
	RouterHosts(c *engine.Call) ([]string, error)
}

// Service has the two resources.
type Service struct {
	Routers     *engine.Resource[Router]
	FloatingIPs *engine.Resource[FloatingIP]

	net   *network.Service
	hosts Hosts
	log   *slog.Logger
}

// New declares the resources and guards the ports that belong to routers.
func New(net *network.Service, hosts Hosts, log *slog.Logger) *Service {
	s := &Service{net: net, hosts: hosts, log: log}
	s.declareRouters()
	s.declareFloatingIPs()
	s.guardPorts()
	return s
}

// Install binds the resources to the engine.
func (s *Service) Install(e *engine.Engine) {
	s.Routers.Install(e)
	s.FloatingIPs.Install(e)
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
			resource.Bool("enable_snat", "enable_snat", func(r *Router) *bool { return &r.EnableSNAT }).Hidden().
				Default(func(r *Router) { r.EnableSNAT = true }),
			resource.JSON("routes", "routes", func(r *Router) *[]network.Route { return &r.Routes },
				func(v any) ([]network.Route, error) { return network.ParseRoutes("routes", v) }).
				Put().Default(func(r *Router) { r.Routes = []network.Route{} }),
			flag("distributed", func(r *Router) *bool { return &r.Distributed }),
			flag("ha", func(r *Router) *bool { return &r.HA }),
			resource.Text("host", "host", 255, func(r *Router) *string { return &r.Host }).Hidden(),
			resource.Computed("flavor_id", null, nil),
			resource.Computed("availability_zone_hints", emptyList, nil),
			resource.Computed("availability_zones", emptyList, nil),
		),
		Loaders:   []engine.Loader[Router]{loadGateways},
		OnCreate:  s.createRouter,
		OnCreated: s.routerCreated,
		OnUpdate:  s.updateRouter,
		OnUpdated: s.routerUpdated,
		OnDelete:  s.deleteRouter,
		Actions: map[string]engine.Action[Router]{
			"add_router_interface":    {Run: s.addInterface},
			"remove_router_interface": {Run: s.removeInterface},
			"add_extraroutes":         {Run: s.addRoutes},
			"remove_extraroutes":      {Run: s.removeRoutes},
		},
	}
}

// flag declares distributed or ha: shown as false, and refused when asked for, until a driver
// realises it.
func flag(name string, field func(r *Router) *bool) *resource.Attribute[Router] {
	return resource.Bool(name, "", field).Post().Put().Policed().AdminOnly().Decoded(func(r *Router, v any) error {
		if v == nil {
			return nil
		}
		on, err := resource.BoolValue(v)
		if err == nil && on {
			err = fault.BadRequest("BadRequest", "Bad router request: %s routers are not supported by this server.", name)
		}
		return err
	})
}

func null(b []byte, _ *Router) []byte      { return append(b, "null"...) }
func emptyList(b []byte, _ *Router) []byte { return append(b, "[]"...) }

// loadGateways fills the gateways of a page of routers from their gateway ports.
func loadGateways(c *engine.Call, page engine.Page) (func(r *Router), error) {
	gateways := map[string]*Gateway{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var router, networkID, port string
		var subnet, text sql.NullString
		if err := rows.Scan(&router, &networkID, &port, &subnet, &text); err != nil {
			return err
		}
		g := gateways[router]
		if g == nil {
			g = &Gateway{NetworkID: networkID, PortID: port}
			gateways[router] = g
		}
		if !text.Valid {
			return nil
		}
		ip, err := netip.ParseAddr(text.String)
		g.FixedIPs = append(g.FixedIPs, network.FixedIP{SubnetID: subnet.String, IP: ip})
		return err
	}, "SELECT p.device_id, p.network_id, p.id, a.subnet_id, a.ip_address FROM ports p"+page.Join("p.device_id")+
		"LEFT JOIN ip_allocations a ON a.port_id = p.id WHERE p.device_owner = 'network:router_gateway' ORDER BY p.id, a.position", page.Args...)
	return func(r *Router) { r.Gateway = gateways[r.ID] }, err
}

func appendGateway(b []byte, r *Router) []byte {
	if r.Gateway == nil {
		return append(b, "null"...)
	}
	b = append(b, `{"network_id": `...)
	b = resource.AppendString(b, r.Gateway.NetworkID)
	b = append(b, `, "external_fixed_ips": [`...)
	for i, f := range r.Gateway.FixedIPs {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, `{"subnet_id": `...)
		b = resource.AppendString(b, f.SubnetID)
		b = append(b, `, "ip_address": `...)
		b = resource.AppendIP(b, f.IP)
		b = append(b, '}')
	}
	b = append(b, `], "enable_snat": `...)
	return append(resource.AppendBool(b, r.EnableSNAT), '}')
}

// gatewayRequest is a client's external_gateway_info; the zero value clears the gateway.
type gatewayRequest struct {
	network string
	ips     []network.FixedIP // nil: any
	snat    *bool
}

func decodeGateway(r *Router, v any) error {
	r.wanted = &gatewayRequest{}
	if v == nil {
		return nil
	}
	m, err := resource.MapValue("external_gateway_info", v, "network_id", "enable_snat", "external_fixed_ips", "qos_policy_id")
	if err != nil || len(m) == 0 {
		return err
	}
	if r.wanted.network, err = resource.UUIDValue("external_gateway_info", m["network_id"]); err != nil {
		return err
	}
	if v, sent := m["enable_snat"]; sent && v != nil {
		on, err := resource.BoolValue(v)
		if err != nil {
			return err
		}
		r.wanted.snat = &on
	}
	if m["qos_policy_id"] != nil {
		return fault.BadRequest("BadRequest", "Bad router request: QoS policies of gateways are not supported by this server.")
	}
	list, err := resource.ListValue("external_fixed_ips", m["external_fixed_ips"])
	if err != nil {
		return err
	}
	for _, item := range list {
		m, err := resource.MapValue("external_fixed_ips", item, "subnet_id", "ip_address")
		if err != nil {
			return err
		}
		var f network.FixedIP
		if m["subnet_id"] != nil {
			if f.SubnetID, err = resource.UUIDValue("external_fixed_ips", m["subnet_id"]); err != nil {
				return err
			}
		}
		if m["ip_address"] != nil {
			if f.IP, err = resource.IPValue("external_fixed_ips", m["ip_address"]); err != nil {
				return err
			}
		}
		if f == (network.FixedIP{}) {
			return fault.InvalidInput("IP allocation requires subnet_id or ip_address")
		}
		r.wanted.ips = append(r.wanted.ips, f)
	}
	return nil
}

func (s *Service) createRouter(c *engine.Call, r *Router, _ resource.Given) error {
	r.Status = "ACTIVE"
	if r.wanted != nil && r.wanted.snat != nil {
		r.EnableSNAT = *r.wanted.snat
	}
	return s.schedule(c, r)
}

func (s *Service) routerCreated(c *engine.Call, r *Router) error {
	return s.setGateway(c, r)
}

// schedule chooses a host for a router that has none.
func (s *Service) schedule(c *engine.Call, r *Router) error {
	if r.Host != "" {
		return nil
	}
	hosts, err := s.hosts.RouterHosts(c)
	if err != nil {
		return err
	}
	if len(hosts) == 0 {
		r.StatusReason = "no host with an alive L3 agent takes routers"
		return nil
	}
	r.Host = hosts[0]
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
			return nil
		}
		if err := s.Routers.Save(c, old, &r, nil); err != nil {
			return err
		}
		ports, err := s.net.Ports.Find(c, store.Where("t.device_id = ? AND t.device_owner IN (?, ?)", r.ID, OwnerInterface, OwnerGateway))
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
	}
	return nil
}

func (s *Service) updateRouter(c *engine.Call, old, r *Router, given resource.Given) error {
	if r.wanted != nil && r.wanted.network != "" {
		r.EnableSNAT = true
		if r.wanted.snat != nil {
			r.EnableSNAT = *r.wanted.snat
		}
	}
	if given.Has("routes") {
		return s.checkRoutes(c, r)
	}
	return nil
}

func (s *Service) routerUpdated(c *engine.Call, old, r *Router, given resource.Given) error {
	if !given.Has("external_gateway_info") {
		return nil
	}
	return s.setGateway(c, r)
}

func (s *Service) deleteRouter(c *engine.Call, r *Router) error {
	ports, err := s.interfaces(c, r.ID)
	if err != nil {
		return err
	}
	if len(ports) > 0 {
		return fault.Conflict("RouterInUse", "Router %s has ports still attached: %s", r.ID, portIDs(ports))
	}
	r.wanted = &gatewayRequest{}
	return s.setGateway(c, r)
}
