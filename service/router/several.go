package router

import (
	"database/sql"
	"slices"

	"neutrino/driver/ovn"
	"neutrino/engine"
	"neutrino/fault"
	"neutrino/service/network"
)

// What OVN can't do on a router with several gateways is refused. Its routers remember no flow's gateway: they find it
// by a packet's addresses. docs/decisions/0017-several-gateways-ovn.md says how.

// byOVN says whether OVN's hosts route.
func (s *Service) byOVN() bool { return slices.Contains(s.net.Config().Mechanisms, network.OVN) }

// checkFurther holds a further gateway of a router against what it has.
func (s *Service) checkFurther(c *engine.Call, r *Router, want *gatewayRequest) error {
	if !s.byOVN() || len(r.Gateways) == 0 {
		return nil
	}
	if len(r.gatewaysOn(want.network)) > 0 {
		return fault.BadRequest("BadRequest", "Bad router request: with OVN a router has one external gateway on a network, and has that on %s.", want.network)
	}
	n, err := c.Tx.Count("SELECT COUNT(*) FROM port_forwardings w JOIN floatingips f ON f.id = w.floatingip_id WHERE f.router_id = ?", r.ID)
	if err != nil {
		return err
	}
	if n > 0 {
		return fault.BadRequest("BadRequest", "Bad router request: with OVN a router with port forwardings has one external gateway only.")
	}
	return nil
}

// severalByOVN says whether OVN has a router with several gateways.
func (s *Service) severalByOVN(c *engine.Call, router string) (bool, error) {
	if !s.byOVN() {
		return false, nil
	}
	n, err := c.Tx.Count("SELECT COUNT(*) FROM ports WHERE device_id = ? AND device_owner = ?", router, OwnerGateway)
	return n > 1, err
}

// checkShared refuses a second floating IP of an address where the address decides by which gateway its answers leave.
func (s *Service) checkShared(c *engine.Call, f *FloatingIP) error {
	several, err := s.severalByOVN(c, f.RouterID)
	if err != nil || !several {
		return err
	}
	n, err := c.Tx.Count("SELECT COUNT(*) FROM floatingips WHERE port_id = ? AND fixed_ip_address = ? AND router_id = ? AND id <> ?",
		f.PortID, f.FixedIP.String(), f.RouterID, f.ID)
	if err != nil {
		return err
	}
	if n > 0 {
		return badFloatingIP("With OVN and several external gateways of router %s, fixed IP %s of port %s can have one floating IP, and has it", f.RouterID, f.FixedIP, f.PortID)
	}
	return nil
}

// checkAmount refuses a forwarding of more ports of a floating IP than OVN can have.
func (s *Service) checkAmount(c *engine.Call, w *PortForwarding) error {
	if !s.byOVN() {
		return nil
	}
	total := w.External.last - w.External.first + 1
	if err := c.Tx.Each(func(rows *sql.Rows) error {
		var other span
		err := rows.Scan(&other.first, &other.last)
		total += other.last - other.first + 1
		return err
	}, "SELECT external_first, external_last FROM port_forwardings WHERE floatingip_id = ? AND id <> ?", w.FloatingIPID, w.ID); err != nil {
		return err
	}
	if total > ovn.MostForwarded {
		return badForwarding("with OVN a floating IP forwards at most %d ports, and %s would forward %d", ovn.MostForwarded, w.FloatingIPID, total)
	}
	return nil
}
