package router

import (
	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
)

// gatewayAction makes an action of a change of the router's external gateways. The body names them as the router's
// external_gateways are shown; without the list nothing changes. The answer is the router.
func (s *Service) gatewayAction(change func(c *engine.Call, r *Router, list []*gatewayRequest) error) engine.Action[Router] {
	return engine.Action[Router]{Policed: "external_gateways", Run: func(c *engine.Call, old *Router, in engine.Input, b []byte) ([]byte, error) {
		object, err := resource.MapValue("router", in.Body["router"], "external_gateways")
		if err != nil {
			return nil, err
		}
		list, err := parseGateways("external_gateways", object["external_gateways"])
		if err != nil {
			return nil, err
		}
		r := *old
		if list != nil {
			if err := change(c, &r, list); err != nil {
				return nil, err
			}
			if len(r.Gateways) == 0 {
				r.NDPProxy = false // goes with the gateway
			}
			if err := s.checkProxying(c, old, &r); err != nil {
				return nil, err
			}
			if err := s.Routers.Save(c, old, &r, nil); err != nil {
				return nil, err
			}
		}
		now, err := s.Routers.Get(c, r.ID)
		if err != nil {
			return nil, err
		}
		b = append(b, `{"router": `...)
		return append(s.Routers.AppendObject(c, b, now), '}'), nil
	}}
}

// addGateways adds gateways to those that there are. A router without any takes the first of the list for the one that
// external_gateway_info shows.
func (s *Service) addGateways(c *engine.Call, r *Router, list []*gatewayRequest) error {
	for _, want := range list {
		if len(r.Gateways) == 0 {
			r.take(want)
		} else if err := r.agree(want); err != nil {
			return err
		}
		if err := s.addGateway(c, r, want); err != nil {
			return err
		}
	}
	return nil
}

// updateGateways makes the first of the list the router's first gateway, in place of the one there is, and gives the
// others new addresses, or adds them. Gateways that the list does not name stay as they are; the empty list takes all
// away. So does the original.
func (s *Service) updateGateways(c *engine.Call, r *Router, list []*gatewayRequest) error {
	if len(list) == 0 {
		r.take(&gatewayRequest{})
		return s.dropGateways(c, r)
	}
	for _, want := range list {
		if _, err := s.externalSubnets(c, want); err != nil {
			return err
		}
	}
	first, err := r.match(list[0])
	if err != nil {
		return err
	}
	if first > 0 {
		g := r.Gateways[first]
		others := append(append([]Gateway{}, r.Gateways[:first]...), r.Gateways[first+1:]...)
		r.Gateways = append([]Gateway{g}, others...)
		if err := s.writeFirst(c, r); err != nil {
			return err
		}
	}
	if err := s.mayPartQoS(c, r, list[0], "update_external_gateways:external_gateways:qos_policy_id"); err != nil {
		return err
	}
	r.take(list[0])
	if err := s.setGateway(c, r, list[0]); err != nil {
		return err
	}
	named := map[string]bool{r.Gateways[0].PortID: true}
	for _, want := range list[1:] {
		if err := r.agree(want); err != nil {
			return err
		}
		at, err := r.match(want)
		switch {
		case err != nil:
			return err
		case at < 0:
			if err := s.addGateway(c, r, want); err != nil {
				return err
			}
			at = len(r.Gateways) - 1
		case named[r.Gateways[at].PortID]:
			return unmatched(r, "two of the requested gateways are the one on network %s", want.network)
		case want.ips != nil:
			if err := s.checkExternal(c, r, want, r.Gateways[at].PortID); err != nil {
				return err
			}
			if err := s.moveGateway(c, &r.Gateways[at], want); err != nil {
				return err
			}
		}
		named[r.Gateways[at].PortID] = true
	}
	return nil
}

// removeGateways takes gateways away. Only their networks and addresses say which are meant.
func (s *Service) removeGateways(c *engine.Call, r *Router, list []*gatewayRequest) error {
	if len(list) > 0 && len(r.Gateways) == 0 {
		return fault.BadRequest("UnableToRemoveGateways", "Unable to remove extra gateways from a router %s: it has no external gateways.", r.ID)
	}
	for _, want := range list {
		if _, err := s.externalSubnets(c, want); err != nil {
			return err
		}
		at, err := r.match(want)
		if err != nil {
			return err
		}
		if at < 0 {
			return unmatched(r, "it has none on network %s", want.network)
		}
		if len(r.Gateways) == 1 {
			r.take(&gatewayRequest{})
		}
		if err := s.dropGateway(c, r, at); err != nil {
			return err
		}
	}
	return s.writeFirst(c, r)
}

// match finds the gateway that a request means: the one on its network, or of several that which has one of the
// addresses. It is -1 when the router has none on that network.
func (r *Router) match(want *gatewayRequest) (int, error) {
	on := r.gatewaysOn(want.network)
	switch {
	case len(on) == 0:
		return -1, nil
	case want.ips == nil && len(on) == 1:
		return on[0], nil
	case want.ips == nil:
		return -1, unmatched(r, "several are on network %s, so that external_fixed_ips must say which is meant", want.network)
	}
	for _, at := range on {
		if want.names(r.Gateways[at]) {
			return at, nil
		}
	}
	return -1, unmatched(r, "none on network %s has an address of external_fixed_ips", want.network)
}

func unmatched(r *Router, reason string, args ...any) error {
	return fault.BadRequest("UnableToMatchGateways", "Unable to match a requested gateway port to existing gateway ports for router %s: "+reason+".",
		append([]any{r.ID}, args...)...)
}

// checkDefaultRoutes refuses to share default routes, or to watch them, where nothing on the hosts does it.
func (s *Service) checkDefaultRoutes(r *Router) error {
	switch {
	case r.ECMP && !s.net.Supports("enable-default-route-ecmp"):
		return fault.BadRequest("BadRequest", "Bad router request: enable_default_route_ecmp: the mechanism driver gives routers one default route only.")
	case r.BFD && !s.net.Supports("enable-default-route-bfd"):
		return fault.BadRequest("BadRequest", "Bad router request: enable_default_route_bfd: the mechanism driver does not watch next hops by BFD.")
	}
	return nil
}
