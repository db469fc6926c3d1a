package router

import (
	"net/netip"
	"slices"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/network"
	"neutrino/store"
)

// setGateway makes the router's gateway what r.wanted asks for; nil leaves it as it is.
func (s *Service) setGateway(c *engine.Call, r *Router) error {
	if r.wanted == nil {
		return nil
	}
	have := r.Gateway
	if have != nil && have.NetworkID == r.wanted.network && r.wanted.ips == nil {
		return nil // the address stays; SNAT is a column of the router
	}
	if have != nil && (have.NetworkID != r.wanted.network) {
		if err := s.gatewayUnused(c, r); err != nil {
			return err
		}
	}
	if r.wanted.network != "" {
		if err := s.checkExternal(c, r); err != nil {
			return err
		}
	}
	if have != nil && have.NetworkID == r.wanted.network {
		return s.moveGateway(c, r)
	}
	if have != nil {
		p, err := s.net.Ports.Get(c, have.PortID)
		if err != nil {
			return err
		}
		if err := s.net.Ports.Drop(c, p); err != nil {
			return err
		}
		r.Gateway = nil
	}
	if r.wanted.network == "" {
		return nil
	}
	p := &network.Port{
		NetworkID: r.wanted.network, AdminStateUp: true, DeviceID: r.ID, DeviceOwner: OwnerGateway, Host: r.Host, VNICType: "normal",
	}
	given := resource.Given{}
	if r.wanted.ips != nil {
		p.Want(r.wanted.ips...)
		given.Note("fixed_ips", nil)
	}
	if err := s.net.Ports.Insert(c.Elevated(), p, given); err != nil {
		return err
	}
	if len(p.FixedIPs) == 0 {
		return fault.BadRequest("BadRequest", "Bad router request: No IPs assigned to the gateway port from subnets of network %s.", r.wanted.network)
	}
	r.Gateway = &Gateway{NetworkID: p.NetworkID, PortID: p.ID, FixedIPs: p.FixedIPs}
	return nil
}

// moveGateway gives the gateway port other addresses on its network.
func (s *Service) moveGateway(c *engine.Call, r *Router) error {
	old, err := s.net.Ports.Get(c, r.Gateway.PortID)
	if err != nil {
		return err
	}
	p := *old
	p.Want(r.wanted.ips...)
	if err := s.net.Ports.Save(c.Elevated(), old, &p, resource.Given{"fixed_ips": nil}); err != nil {
		return err
	}
	r.Gateway.FixedIPs = p.FixedIPs
	return nil
}

// checkExternal holds the wanted network against what a gateway needs.
func (s *Service) checkExternal(c *engine.Call, r *Router) error {
	n, err := s.net.Networks.GetVisible(c, r.wanted.network)
	if err != nil {
		return err
	}
	if !n.External {
		return fault.BadRequest("BadRequest", "Bad router request: Network %s is not an external network.", n.ID)
	}
	subnets, err := s.net.Subnets.Find(c, store.Where("t.network_id = ?", n.ID))
	if err != nil {
		return err
	}
	for _, f := range r.wanted.ips {
		for _, subnet := range subnets {
			if f.IP.IsValid() && f.IP == subnet.Gateway {
				return fault.BadRequest("BadRequest", "Bad router request: External IP %s is the same as the gateway IP.", f.IP)
			}
		}
	}
	ports, err := s.interfaces(c, r.ID)
	if err != nil {
		return err
	}
	for _, p := range ports {
		inside, err := s.net.Subnets.Find(c, store.In("t.id", subnetIDs(p)))
		if err != nil {
			return err
		}
		for _, in := range inside {
			for _, out := range subnets {
				if in.CIDR.Overlaps(out.CIDR) {
					return overlaps(in, out)
				}
			}
		}
	}
	return nil
}

func overlaps(in, out *network.Subnet) error {
	return fault.BadRequest("BadRequest", "Bad router request: Cidr %s of subnet %s overlaps with cidr %s of subnet %s.", in.CIDR, in.ID, out.CIDR, out.ID)
}

// gatewayUnused refuses while floating IPs reach their ports through the router's gateway.
func (s *Service) gatewayUnused(c *engine.Call, r *Router) error {
	n, err := c.Tx.Count("SELECT COUNT(*) FROM floatingips WHERE router_id = ?", r.ID)
	if err == nil && n > 0 {
		err = fault.Conflict("RouterExternalGatewayInUseByFloatingIp", "Gateway cannot be updated for router %s, since a gateway to external network %s is required by one or more floating IPs.", r.ID, r.Gateway.NetworkID)
	}
	return err
}

// checkRoutes holds extra routes against what the router is connected to.
func (s *Service) checkRoutes(c *engine.Call, r *Router) error {
	limit, err := c.Limit(r.ProjectID, "router_route")
	if err != nil {
		return err
	}
	if limit >= 0 && len(r.Routes) > limit {
		return fault.BadRequest("RoutesExhausted", "Unable to complete operation for %s. The number of routes exceeds the maximum %d.", r.ID, limit)
	}
	if len(r.Routes) == 0 {
		return nil
	}
	ports, err := s.net.Ports.Find(c, store.Where("t.device_id = ? AND t.device_owner IN (?, ?)", r.ID, OwnerInterface, OwnerGateway))
	if err != nil {
		return err
	}
	var own []netip.Addr
	var connected []netip.Prefix
	for _, p := range ports {
		subnets, err := s.net.Subnets.Find(c, store.In("t.id", subnetIDs(p)))
		if err != nil {
			return err
		}
		for _, n := range subnets {
			connected = append(connected, n.CIDR)
		}
		for _, f := range p.FixedIPs {
			own = append(own, f.IP)
		}
	}
	for _, route := range r.Routes {
		hop := route.NextHop
		if !slices.ContainsFunc(connected, func(p netip.Prefix) bool { return p.Contains(hop) }) {
			return invalidRoutes(r, "the nexthop is not connected with router")
		}
		if slices.Contains(own, hop) {
			return invalidRoutes(r, "the nexthop is used by router")
		}
	}
	return nil
}

func invalidRoutes(r *Router, reason string) error {
	return fault.BadRequest("InvalidRoutes", "Invalid format for routes: %s, %s", string(resource.AppendJSON(nil, r.Routes)), reason)
}

// addRoutes adds routes that are not there yet.
func (s *Service) addRoutes(c *engine.Call, r *Router, body map[string]any, b []byte) ([]byte, error) {
	return s.changeRoutes(c, r, body, b, func(have, change []network.Route) []network.Route {
		out := slices.Clone(have)
		for _, route := range change {
			if !slices.Contains(out, route) {
				out = append(out, route)
			}
		}
		return out
	})
}

// removeRoutes removes routes; those that are not there don't matter.
func (s *Service) removeRoutes(c *engine.Call, r *Router, body map[string]any, b []byte) ([]byte, error) {
	return s.changeRoutes(c, r, body, b, func(have, change []network.Route) []network.Route {
		return slices.DeleteFunc(slices.Clone(have), func(route network.Route) bool { return slices.Contains(change, route) })
	})
}

func (s *Service) changeRoutes(c *engine.Call, old *Router, body map[string]any, b []byte, change func(have, change []network.Route) []network.Route) ([]byte, error) {
	object, err := resource.MapValue("router", body["router"], "routes")
	if err != nil {
		return nil, err
	}
	routes, err := network.ParseRoutes("routes", object["routes"])
	if err != nil {
		return nil, err
	}
	r := *old
	r.Routes = change(old.Routes, routes)
	if !slices.Equal(r.Routes, old.Routes) {
		if err := s.Routers.Save(c, old, &r, resource.Given{"routes": nil}); err != nil {
			return nil, err
		}
	}
	b = append(b, `{"router": `...)
	return append(s.Routers.AppendObject(c, b, &r), '}'), nil
}
