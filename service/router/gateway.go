package router

import (
	"slices"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/network"
	"neutrino/store"
)

// setGateway makes the router's first gateway what is wanted; nil leaves it as it is. With the first gone, the next
// is the first.
func (s *Service) setGateway(c *engine.Call, r *Router, want *gatewayRequest) error {
	have := r.gateway()
	switch {
	case want == nil || have == nil && want.network == "":
		return nil
	case have == nil:
		return s.addGateway(c, r, want)
	case have.NetworkID == want.network && want.ips == nil:
		return nil // the address stays; SNAT is a column of the router
	case have.NetworkID == want.network:
		if err := s.checkExternal(c, r, want, have.PortID); err != nil {
			return err
		}
		return s.moveGateway(c, have, want)
	}
	if err := s.dropGateway(c, r, 0); err != nil {
		return err
	}
	if want.network == "" {
		return s.writeFirst(c, r)
	}
	if err := s.addGateway(c, r, want); err != nil {
		return err
	}
	last := len(r.Gateways) - 1
	r.Gateways = append([]Gateway{r.Gateways[last]}, r.Gateways[:last]...)
	return s.writeFirst(c, r)
}

// addGateway gives the router a further gateway.
func (s *Service) addGateway(c *engine.Call, r *Router, want *gatewayRequest) error {
	if len(r.Gateways) > 0 && !s.net.Supports("external-gateway-multihoming") {
		return fault.BadRequest("BadRequest", "Bad router request: the mechanism driver gives routers one external gateway only.")
	}
	if err := s.checkExternal(c, r, want, ""); err != nil {
		return err
	}
	if err := s.checkFurther(c, r, want); err != nil {
		return err
	}
	p := &network.Port{
		NetworkID: want.network, AdminStateUp: true, DeviceID: r.ID, DeviceOwner: OwnerGateway, Host: r.Host, VNICType: "normal",
	}
	given := resource.Given{}
	if want.ips != nil {
		p.Want(want.ips...)
		given.Note("fixed_ips", nil)
	}
	if err := s.net.Ports.Insert(c.Elevated(), p, given); err != nil {
		return err
	}
	r.Gateways = append(slices.Clip(r.Gateways), Gateway{NetworkID: p.NetworkID, PortID: p.ID, FixedIPs: p.FixedIPs})
	return s.writeFirst(c, r)
}

// moveGateway gives a gateway other addresses on its network.
func (s *Service) moveGateway(c *engine.Call, g *Gateway, want *gatewayRequest) error {
	old, err := s.net.Ports.Get(c, g.PortID)
	if err != nil {
		return err
	}
	p := *old
	p.Want(want.ips...)
	if err := s.net.Ports.Save(c.Elevated(), old, &p, resource.Given{"fixed_ips": nil}); err != nil {
		return err
	}
	g.FixedIPs = p.FixedIPs
	return nil
}

// dropGateway takes a gateway away, unless floating IPs need it.
func (s *Service) dropGateway(c *engine.Call, r *Router, at int) error {
	g := r.Gateways[at]
	if len(r.gatewaysOn(g.NetworkID)) == 1 {
		n, err := c.Tx.Count("SELECT COUNT(*) FROM floatingips WHERE router_id = ? AND floating_network_id = ?", r.ID, g.NetworkID)
		if err != nil {
			return err
		}
		if n > 0 {
			return fault.Conflict("RouterExternalGatewayInUseByFloatingIp", "Gateway cannot be updated for router %s, since a gateway to external network %s is required by one or more floating IPs.", r.ID, g.NetworkID)
		}
	}
	p, err := s.net.Ports.Get(c, g.PortID)
	if err != nil {
		return err
	}
	if err := s.net.Ports.Drop(c, p); err != nil {
		return err
	}
	if r.Gateways = slices.Delete(slices.Clone(r.Gateways), at, at+1); len(r.Gateways) == 0 {
		return dropChassis(c, r.ID)
	}
	return nil
}

// dropGateways takes all away.
func (s *Service) dropGateways(c *engine.Call, r *Router) error {
	for len(r.Gateways) > 0 {
		if err := s.dropGateway(c, r, len(r.Gateways)-1); err != nil {
			return err
		}
	}
	return s.writeFirst(c, r)
}

// writeFirst notes which of the gateways is the first.
func (s *Service) writeFirst(c *engine.Call, r *Router) error {
	first := ""
	if len(r.Gateways) > 0 {
		first = r.Gateways[0].PortID
	}
	_, err := c.Tx.Exec("UPDATE routers SET gateway_port_id = ? WHERE id = ?", first, r.ID)
	return err
}

// checkExternal holds the wanted network against what a gateway needs: to be external, and to overlap with no network
// that the router is on, but for the one that the gateway of the port "but" is on.
func (s *Service) checkExternal(c *engine.Call, r *Router, want *gatewayRequest, but string) error {
	subnets, err := s.externalSubnets(c, want)
	if err != nil {
		return err
	}
	for _, f := range want.ips {
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
	var inside []string
	for _, p := range ports {
		inside = append(inside, subnetIDs(p)...)
	}
	cond := store.In("t.id", inside)
	var others []string // several gateways may be on one network
	for _, g := range r.Gateways {
		if g.PortID != but && g.NetworkID != want.network {
			others = append(others, g.NetworkID)
		}
	}
	if others != nil {
		cond = store.Or(cond, store.In("t.network_id", others))
	}
	have, err := s.net.Subnets.Find(c, cond)
	if err != nil {
		return err
	}
	for _, in := range have {
		for _, out := range subnets {
			if in.CIDR.Overlaps(out.CIDR) {
				return overlaps(in, out)
			}
		}
	}
	return nil
}

// externalSubnets gives the subnets of a network that the caller may have a gateway on.
func (s *Service) externalSubnets(c *engine.Call, want *gatewayRequest) ([]*network.Subnet, error) {
	n, err := s.net.Networks.GetVisible(c, want.network)
	if err != nil {
		return nil, err
	}
	if !n.External {
		return nil, fault.BadRequest("BadRequest", "Bad router request: Network %s is not an external network.", n.ID)
	}
	return s.net.Subnets.Find(c, store.Where("t.network_id = ?", n.ID))
}

func overlaps(in, out *network.Subnet) error {
	return fault.BadRequest("BadRequest", "Bad router request: Cidr %s of subnet %s overlaps with cidr %s of subnet %s.", in.CIDR, in.ID, out.CIDR, out.ID)
}
