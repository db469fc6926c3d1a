package router

import (
	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/network"
	"neutrino/store"
)

// guardPorts keeps ports of routers and floating IPs from being deleted under them, and parts
// floating IPs from a port that goes.
func (s *Service) guardPorts() {
	s.net.Ports.DeleteGuards = append(s.net.Ports.DeleteGuards, s.refuseServicePort, s.partFloatingIPs)
	s.net.PortRules = append(s.net.PortRules, network.PortRule{
		Updated: func(c *engine.Call, old, p *network.Port, given resource.Given) error {
			if p.DeviceID != "" && (p.DeviceOwner == OwnerInterface || p.DeviceOwner == OwnerGateway) {
				c.Tx.Change("router", p.DeviceID)
			}
			if given.Has("fixed_ips") {
				return s.partLostAddresses(c, p)
			}
			return nil
		},
	})
}

func (s *Service) refuseServicePort(c *engine.Call, p *network.Port) error {
	table := ""
	switch p.DeviceOwner {
	case OwnerInterface, OwnerGateway:
		table = "routers"
	case OwnerFloating:
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
	return s.part(c, store.And(store.Where("t.port_id = ?", p.ID), store.Not(store.In("t.fixed_ip_address", have))))
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
