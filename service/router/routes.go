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
	ports, err := s.net.Ports.Find(c, PortsOf([]string{r.ID}))
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
func (s *Service) addRoutes(c *engine.Call, r *Router, in engine.Input, b []byte) ([]byte, error) {
	return s.changeRoutes(c, r, in, b, func(have, change []network.Route) []network.Route {
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
func (s *Service) removeRoutes(c *engine.Call, r *Router, in engine.Input, b []byte) ([]byte, error) {
	return s.changeRoutes(c, r, in, b, func(have, change []network.Route) []network.Route {
		return slices.DeleteFunc(slices.Clone(have), func(route network.Route) bool { return slices.Contains(change, route) })
	})
}

func (s *Service) changeRoutes(c *engine.Call, old *Router, in engine.Input, b []byte, change func(have, change []network.Route) []network.Route) ([]byte, error) {
	object, err := resource.MapValue("router", in.Body["router"], "routes")
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
