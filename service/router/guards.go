package router

import (
	"slices"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/network"
	"neutrino/store"
)

// guardPorts keeps ports of routers and floating IPs from being deleted under them, and parts
// floating IPs from a port that goes.
func (s *Service) guardPorts() {
	s.net.Ports.DeleteGuards = append(s.net.Ports.DeleteGuards, s.refuseServicePort, s.partFloatingIPs, s.releasePort)
	s.net.NetworkDeleting = append(s.net.NetworkDeleting, s.releaseUnused)
	s.net.PortRules = append(s.net.PortRules, network.PortRule{
		Create: func(c *engine.Call, p *network.Port, _ *network.NetworkRow, _ resource.Given) error {
			return refuseForeignRouter(c, p)
		},
		Update: func(c *engine.Call, _, p *network.Port, _ *network.NetworkRow, given resource.Given) error {
			if !given.Any("device_id", "device_owner") {
				return nil
			}
			return refuseForeignRouter(c, p)
		},
		Updated: func(c *engine.Call, old, p *network.Port, given resource.Given) error {
			if p.DeviceID != "" && slices.Contains(portOwners, p.DeviceOwner) {
				c.Tx.Change("router", p.DeviceID)
			}
			if given.Has("fixed_ips") {
				return s.partLostAddresses(c, p)
			}
			return nil
		},
	})
}

// refuseForeignRouter keeps projects from making their ports those of another project's router: whoever owns a network may
// name its ports' owners, and a port that says it is a router's is one.
func refuseForeignRouter(c *engine.Call, p *network.Port) error {
	if c.Global() || p.DeviceID == "" || !slices.Contains(portOwners, p.DeviceOwner) {
		return nil
	}
	n, err := c.Tx.Count("SELECT COUNT(*) FROM routers WHERE id = ? AND project_id <> ?", p.DeviceID, p.ProjectID)
	if err == nil && n > 0 {
		err = fault.Conflict("DeviceIDNotOwnedByTenant", "The following device_id %s is not owned by your project or matches another project router.", p.DeviceID)
	}
	return err
}

// releaseUnused takes the floating IPs that nobody uses from a network that goes.
func (s *Service) releaseUnused(c *engine.Call, n *network.Network) error {
	unused, err := s.FloatingIPs.Find(c, store.Where("t.floating_network_id = ? AND t.router_id = ''", n.ID))
	if err != nil {
		return err
	}
	for _, f := range unused {
		if err := s.FloatingIPs.Remove(c.Elevated(), f); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) refuseServicePort(c *engine.Call, p *network.Port) error {
	table := ""
	switch {
	case slices.Contains(portOwners, p.DeviceOwner):
		table = "routers"
	case p.DeviceOwner == OwnerFloating:
		table = "floatingips"
	default:
		return nil
	}
	n, err := c.Tx.Count("SELECT COUNT(*) FROM "+table+" WHERE id = ?", p.DeviceID)
	if err == nil && n > 0 {
		err = fault.Conflict("ServicePortInUse", "Port %s cannot be deleted directly via the port API: has device owner %s.", p.ID, p.DeviceOwner)
	}
	return err
}

func (s *Service) partFloatingIPs(c *engine.Call, p *network.Port) error {
	return s.part(c, store.Where("t.port_id = ?", p.ID))
}

// partLostAddresses parts floating IPs from addresses that the port no longer has.
func (s *Service) partLostAddresses(c *engine.Call, p *network.Port) error {
	have := make([]string, len(p.FixedIPs))
	for i, f := range p.FixedIPs {
		have[i] = f.IP.String()
	}
	if err := s.dropProxies(c, store.And(store.Where("t.port_id = ?", p.ID), store.Not(store.In("t.ip_address", have)))); err != nil {
		return err
	}
	if err := s.dropForwardings(c, store.And(store.Where("t.internal_port_id = ?", p.ID), store.Not(store.In("t.internal_ip_address", have)))); err != nil {
		return err
	}
	return s.part(c, store.And(store.Where("t.port_id = ?", p.ID), store.Not(store.In("t.fixed_ip_address", have))))
}

// releasePort removes what leads to a port that goes: port forwardings and NDP proxies.
func (s *Service) releasePort(c *engine.Call, p *network.Port) error {
	if err := s.dropProxies(c, store.Where("t.port_id = ?", p.ID)); err != nil {
		return err
	}
	return s.dropForwardings(c, store.Where("t.internal_port_id = ?", p.ID))
}

func (s *Service) part(c *engine.Call, cond store.Cond) error {
	floating, err := s.FloatingIPs.Find(c, cond)
	if err != nil {
		return err
	}
	for _, old := range floating {
		f := *old
		f.disassociate()
		if err := s.FloatingIPs.Save(c.Elevated(), old, &f, nil); err != nil {
			return err
		}
	}
	return nil
}
