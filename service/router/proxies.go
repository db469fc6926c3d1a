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

// NDPProxy has a router answer outside for an internal IPv6 address, so that packets for it come to the router.
type NDPProxy struct {
	resource.Standard
	RouterID string
	PortID   string
	IP       netip.Addr
}

func (s *Service) declareProxies() {
	std := func(n *NDPProxy) *resource.Standard { return &n.Standard }
	s.Proxies = &engine.Resource[NDPProxy]{
		Name: "ndp_proxy", Plural: "ndp_proxies", Extension: "l3-ndp-proxy", Standard: std, NoBulk: true,
		NotFound: func(id string) error {
			return fault.NotFound("NDPProxyNotFound", "Ndp proxy %s could not be found.", id)
		},
		Attributes: append(resource.Replace(resource.Standards(std),
			resource.Text("description", "description", 255, func(n *NDPProxy) *string { return &n.Description }).Post().Put().Filter()),
			resource.UUID("router_id", "router_id", func(n *NDPProxy) *string { return &n.RouterID }).Required().Sort(),
			resource.UUID("port_id", "port_id", func(n *NDPProxy) *string { return &n.PortID }).Required().Sort(),
			resource.IP("ip_address", "ip_address", func(n *NDPProxy) *netip.Addr { return &n.IP }).Post().Sort(),
		),
		OnCreate: s.createProxy,
		OnCreated: func(c *engine.Call, n *NDPProxy) error {
			c.Tx.Change("router", n.RouterID)
			return nil
		},
		OnDeleted: func(c *engine.Call, n *NDPProxy) error {
			c.Tx.Change("router", n.RouterID)
			return nil
		},
	}
}

// createProxy holds a new proxy against its router, its port and the address scopes between.
func (s *Service) createProxy(c *engine.Call, n *NDPProxy, _ resource.Given) error {
	p, err := s.net.Ports.GetVisible(c, n.PortID)
	if err != nil {
		return err
	}
	r, err := s.Routers.GetVisible(c, n.RouterID)
	if err != nil {
		return err
	}
	ports, err := s.interfaces(c, r.ID)
	if err != nil {
		return err
	}
	ports = slices.DeleteFunc(ports, func(i *network.Port) bool { return i.NetworkID != p.NetworkID })
	if len(ports) == 0 {
		return unreachable(n)
	}
	if !r.NDPProxy || r.gateway() == nil {
		return fault.Conflict("RouterNDPProxyNotEnable", "The enable_ndp_proxy parameter of router %s must be set as True while create ndp proxy entry on it.", r.ID)
	}
	if err := n.chooseAddress(p, ports); err != nil {
		return err
	}
	outside, err := s.net.Networks.Get(c, r.gateway().NetworkID)
	if err != nil {
		return err
	}
	inside, err := s.net.Networks.Get(c, p.NetworkID)
	if err != nil {
		return err
	}
	if outside.Scope6 != inside.Scope6 {
		return fault.Conflict("AddressScopeConflict", "The IPv6 address scope %s of external network conflict with internal network's IPv6 address scope %s.",
			orNone(outside.Scope6), orNone(inside.Scope6))
	}
	taken, err := c.Tx.Count("SELECT COUNT(*) FROM ndp_proxies WHERE router_id = ? AND ip_address = ?", n.RouterID, n.IP.String())
	if err == nil && taken > 0 {
		err = fault.BadRequest("BadRequest", "Bad ndp_proxy request: A duplicate ndp proxy entry with same attributes already exists, "+
			"conflicting values are {'ip_address': '%s', 'router_id': '%s'}.", n.IP, n.RouterID)
	}
	return err
}

func orNone(text string) string {
	if text == "" {
		return "None"
	}
	return text
}

func unreachable(n *NDPProxy) error {
	return fault.Conflict("PortUnreachableRouter", "The port %s cannot reach the router %s by IPv6 subnet.", n.PortID, n.RouterID)
}

// chooseAddress settles which of the port's IPv6 addresses is meant: one on a subnet of the router.
func (n *NDPProxy) chooseAddress(p *network.Port, routerPorts []*network.Port) error {
	six := slices.DeleteFunc(slices.Clone(p.FixedIPs), func(f network.FixedIP) bool { return !f.IP.Is6() })
	if len(six) == 0 {
		return fault.BadRequest("BadRequest", "Bad ndp_proxy request: Requested port %s must allocate one IPv6 address at least.", p.ID)
	}
	reached := func(f network.FixedIP) bool {
		return slices.ContainsFunc(routerPorts, func(i *network.Port) bool { return slices.Contains(subnetIDs(i), f.SubnetID) })
	}
	if !n.IP.IsValid() {
		at := slices.IndexFunc(six, reached)
		if at < 0 {
			return unreachable(n)
		}
		n.IP = six[at].IP
		return nil
	}
	at := slices.IndexFunc(six, func(f network.FixedIP) bool { return f.IP == n.IP })
	switch {
	case at < 0:
		return fault.BadRequest("InvalidAddress", "The address %s is invalid, reason: This address not belong to the port %s.", n.IP, p.ID)
	case !reached(six[at]):
		return fault.BadRequest("InvalidAddress", "The address %s is invalid, reason: This address cannot reach the router %s.", n.IP, n.RouterID)
	}
	return nil
}

// checkProxying holds enable_ndp_proxy and the proxies that there are against the router's new gateway.
func (s *Service) checkProxying(c *engine.Call, old, r *Router) error {
	proxies, err := c.Tx.Count("SELECT COUNT(*) FROM ndp_proxies WHERE router_id = ?", r.ID)
	if err != nil {
		return err
	}
	switch {
	case proxies > 0 && (r.gateway() == nil || old.gateway() != nil && old.gateway().NetworkID != r.gateway().NetworkID):
		return fault.Conflict("RouterGatewayInUseByNDPProxy", "Unable to unset external gateway of router %s, There are one or more ndp proxies still in use on the router.", r.ID)
	case !r.NDPProxy:
		return nil
	case r.gateway() == nil && old.gateway() != nil:
		return badProxyGateway(r, "The router's external gateway will be unset")
	case r.gateway() == nil:
		return badProxyGateway(r, "The router has no external gateway")
	}
	n, err := s.net.Networks.Get(c, r.gateway().NetworkID)
	if err != nil {
		return err
	}
	if n.Scope6 == "" {
		return badProxyGateway(r, "The external network "+n.ID+" has no IPv6 address scope")
	}
	if slices.ContainsFunc(r.gateway().FixedIPs, func(f network.FixedIP) bool { return f.IP.Is6() }) {
		return nil
	}
	if old.NDPProxy {
		return fault.Conflict("RouterIPv6GatewayInUse", "Can't remove the IPv6 subnet from external gateway of router %s, the IPv6 subnet in use by the router's ndp proxy.", r.ID)
	}
	return badProxyGateway(r, "The external gateway port has no IPv6 address")
}

func badProxyGateway(r *Router, reason string) error {
	return fault.Conflict("RouterGatewayNotValid", "Can not enable ndp proxy on router %s, %s.", r.ID, reason)
}

// dropProxies removes proxies of addresses that go.
func (s *Service) dropProxies(c *engine.Call, cond store.Cond) error {
	lost, err := s.Proxies.Find(c, cond)
	if err != nil {
		return err
	}
	for _, n := range lost {
		if err := s.Proxies.Drop(c, n); err != nil {
			return err
		}
	}
	return nil
}
