package router

import (
	"database/sql"
	"slices"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/network"
	"neutrino/store"
)

func badForwarding(format string, args ...any) error {
	return fault.BadRequest("BadRequest", "Bad port_forwarding request: "+format+".", args...)
}

func (s *Service) createForwarding(c *engine.Call, w *PortForwarding, _ resource.Given) error {
	if w.External == (span{}) || w.Internal == (span{}) {
		return badForwarding("internal and external ports must be given, as single ports or as ranges")
	}
	p, err := s.innerPort(c, w)
	if err != nil {
		return err
	}
	if err := s.checkSpans(c, w); err != nil {
		return err
	}
	return s.checkForwarding(c, w, p)
}

func (s *Service) updateForwarding(c *engine.Call, old, w *PortForwarding, given resource.Given) error {
	var p *network.Port
	if given.Any("internal_port_id", "internal_ip_address") {
		var err error
		if p, err = s.innerPort(c, w); err != nil {
			return err
		}
	}
	if p != nil || given.Any("internal_port", "internal_port_range", "external_port", "external_port_range", "protocol") {
		if err := s.checkSpans(c, w); err != nil {
			return err
		}
	}
	if p == nil {
		return nil
	}
	return s.checkForwarding(c, w, p)
}

// innerPort finds the port that a forwarding leads to, before anything is said of what leads there already: it is the
// project's own.
func (s *Service) innerPort(c *engine.Call, w *PortForwarding) (*network.Port, error) {
	p, err := s.net.Ports.GetVisible(c, w.PortID)
	if err == nil && !c.Global() && p.ProjectID != c.Caller.ProjectID {
		err = s.net.Ports.NotFound(w.PortID)
	}
	return p, err
}

// checkSpans holds the ranges against one another and against those of other forwardings.
func (s *Service) checkSpans(c *engine.Call, w *PortForwarding) error {
	if w.Internal.first != w.Internal.last && w.Internal.last-w.Internal.first != w.External.last-w.External.first {
		return badForwarding("Invalid ranges of internal and/or external ports. The relation between internal and external ports must be N-N or 1-N")
	}
	var have span
	taken, err := c.Tx.One([]any{&have.first, &have.last}, `SELECT internal_first, internal_last FROM port_forwardings
		WHERE internal_port_id = ? AND protocol = ? AND internal_ip_address = ? AND id <> ? AND internal_first <= ? AND internal_last >= ?`,
		w.PortID, w.Protocol, w.InternalIP.String(), w.ID, w.Internal.last, w.Internal.first)
	if err != nil {
		return err
	}
	if taken {
		return badForwarding("There is a port collision with the internal_port_range. The following ranges collides: %s and %s", have, w.Internal)
	}
	taken, err = c.Tx.One([]any{&have.first, &have.last}, `SELECT external_first, external_last FROM port_forwardings
		WHERE floatingip_id = ? AND protocol = ? AND id <> ? AND external_first <= ? AND external_last >= ?`,
		w.FloatingIPID, w.Protocol, w.ID, w.External.last, w.External.first)
	if err == nil && taken {
		err = badForwarding("There is a port collision with the external_port_range. The following ranges collides: %s and %s", have, w.External)
	}
	if err == nil {
		err = s.checkAmount(c, w)
	}
	return err
}

// checkForwarding finds the router between the floating IP and the internal address, and leaves the floating IP
// to it.
func (s *Service) checkForwarding(c *engine.Call, w *PortForwarding, p *network.Port) error {
	var floating, id string
	bound, err := c.Tx.One([]any{&id, &floating}, "SELECT id, floating_ip_address FROM floatingips WHERE port_id = ?", w.PortID)
	if err != nil {
		return err
	}
	if bound {
		return fault.Conflict("PortHasBindingFloatingIP", "Cannot create port forwarding to floating IP %s (%s) with port %s using fixed IP %s, "+
			"as that port already has a binding floating IP.", floating, id, w.PortID, w.InternalIP)
	}
	f, err := s.FloatingIPs.Get(c, w.FloatingIPID)
	if err != nil {
		return err
	}
	if f.PortID != "" {
		return fault.Conflict("FloatingIPPortAlreadyAssociated", "Cannot associate floating IP %s (%s) with port %s using fixed IP %s, "+
			"as that fixed IP already has a floating IP on external network %s.", f.IP, f.ID, w.PortID, w.InternalIP, f.NetworkID)
	}
	if !slices.ContainsFunc(p.FixedIPs, func(ip network.FixedIP) bool { return ip.IP.Is4() }) {
		return badForwarding("Requested internal port %s must allocate an IPv4 address at least", p.ID)
	}
	at := slices.IndexFunc(p.FixedIPs, func(ip network.FixedIP) bool { return ip.IP.Is4() && ip.IP == w.InternalIP })
	if at < 0 {
		return badForwarding("Requested internal IP address %s is not suitable for internal neutron port %s", w.InternalIP, p.ID)
	}
	subnet := p.FixedIPs[at].SubnetID
	routers, err := routersBetween(c, subnet, f.NetworkID)
	if err != nil {
		return err
	}
	router := f.RouterID
	if router == "" && len(routers) > 0 {
		router = routers[0]
	}
	several, err := s.severalByOVN(c, router)
	if err != nil {
		return err
	}
	switch {
	case several:
		return badForwarding("with OVN router %s can't forward ports, for it has several external gateways", router)
	case len(routers) == 0:
		return badForwarding("External network %s is not reachable from subnet %s. Cannot set Port forwarding for port %s with Floating IP %s",
			f.NetworkID, subnet, p.ID, f.ID)
	case f.RouterID == "":
		return s.giveTo(c, f, routers[0])
	case !slices.Contains(routers, f.RouterID):
		return badForwarding("The Floating IP %s had been set on router %s, the internal Neutron port %s can not reach it", f.ID, f.RouterID, p.ID)
	}
	return nil
}

// routersBetween are the routers that have an interface on the subnet and a gateway on the external network; the
// one that is the subnet's gateway comes first.
func routersBetween(c *engine.Call, subnet, external string) ([]string, error) {
	in := store.In("i.device_owner", interfaceOwners)
	var routers []string
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var id string
		var first int
		err := rows.Scan(&id, &first)
		if !slices.Contains(routers, id) {
			routers = append(routers, id)
		}
		return err
	}, `SELECT i.device_id, CASE WHEN a.ip_address = s.gateway_ip THEN 0 ELSE 1 END AS rank_of
		FROM ports i JOIN ip_allocations a ON a.port_id = i.id JOIN subnets s ON s.id = a.subnet_id JOIN ports g ON g.device_id = i.device_id
		WHERE a.subnet_id = ? AND g.device_owner = ? AND g.network_id = ? AND `+in.SQL+" ORDER BY rank_of, i.device_id",
		append([]any{subnet, OwnerGateway, external}, in.Args...)...)
	return routers, err
}

// giveTo has a router realise a floating IP's port forwardings.
func (s *Service) giveTo(c *engine.Call, old *FloatingIP, router string) error {
	f := *old
	f.RouterID = router
	f.Status, f.StatusReason = "DOWN", "waiting for the router's host to realise the port forwardings"
	return s.FloatingIPs.Save(c.Elevated(), old, &f, nil)
}

// forwardingChanged journals the router that realises a forwarding.
func (s *Service) forwardingChanged(c *engine.Call, w *PortForwarding) error {
	if err := s.FloatingIPs.Touch(c, w.FloatingIPID); err != nil {
		return err
	}
	f, err := s.FloatingIPs.Row(c, w.FloatingIPID)
	if err == nil && f.RouterID != "" {
		c.Tx.Change("router", f.RouterID)
	}
	return err
}

// forwardingDeleted takes the floating IP from its router when the last forwarding has gone.
func (s *Service) forwardingDeleted(c *engine.Call, w *PortForwarding) error {
	old, err := s.FloatingIPs.Get(c, w.FloatingIPID)
	if err != nil {
		return err
	}
	if len(old.Forwardings) > 0 || old.PortID != "" {
		return s.forwardingChanged(c, w)
	}
	f := *old
	f.disassociate()
	return s.FloatingIPs.Save(c.Elevated(), old, &f, nil)
}

// dropForwardings removes the forwardings to a port, or to those of its addresses that it has no more.
func (s *Service) dropForwardings(c *engine.Call, cond store.Cond) error {
	lost, err := s.Forwardings.Find(c, cond)
	if err != nil {
		return err
	}
	for _, w := range lost {
		if err := s.Forwardings.Drop(c, w); err != nil {
			return err
		}
	}
	return nil
}

// notForwarded refuses a port for a floating IP when a distributed router leads port forwardings to it.
func notForwarded(c *engine.Call, port string) error {
	n, err := c.Tx.Count(`SELECT COUNT(*) FROM port_forwardings w JOIN floatingips f ON f.id = w.floatingip_id JOIN routers r ON r.id = f.router_id
		WHERE w.internal_port_id = ? AND r.distributed = TRUE`, port)
	if err == nil && n > 0 {
		err = fault.BadRequest("PortHasPortForwarding", "Cannot associate floating IP to port %s because it already has a Port Forwarding binding.", port)
	}
	return err
}

func inUseByForwarding(id string) error {
	return fault.Conflict("FipInUseByPortForwarding", "Floating IP %s in use by Port Forwarding resources.", id)
}
