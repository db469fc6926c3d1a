package network

import (
	"neutrino/driver/openvswitch"
	"neutrino/engine"
	"neutrino/store"
)

// bind decides how the port is plugged on its host. A host that can't take it is no error: the
// port says binding_failed, and why.
func (s *Service) bind(c *engine.Call, p *Port, n *Network) error {
	p.VIFDetails = map[string]any{}
	if p.Host == "" {
		p.VIFType, p.StatusReason = vifUnbound, "the port is not bound to a host"
		if p.Status == "ACTIVE" {
			p.Status = "DOWN"
		}
		return nil
	}
	host, err := s.hosts.SwitchOn(c, p.Host)
	if err != nil {
		return err
	}
	if p.Status == "ACTIVE" {
		p.Status = "DOWN"
	}
	binding, err := openvswitch.Bind(p.VNICType, openvswitch.Segment{Type: n.Type, Physical: n.Physical}, host)
	if err != nil {
		p.VIFType, p.StatusReason = vifFailed, err.Error()
		s.log.Warn("port can't be bound", "port", p.ID, "host", p.Host, "network", n.ID, "reason", err)
		return nil
	}
	p.VIFType, p.VIFDetails = binding.VIFType, binding.Details
	p.StatusReason = "waiting for host " + p.Host + " to wire the port"
	return nil
}

// Rebind tries the failed bindings of a host again: its agent has come or has new abilities.
func (s *Service) Rebind(c *engine.Call, host string) error {
	ports, err := s.Ports.Find(c, store.Where("t.host = ? AND t.vif_type = ?", host, vifFailed))
	if err != nil {
		return err
	}
	for _, old := range ports {
		p := *old
		n, err := s.networkOf(c, p.NetworkID)
		if err != nil {
			return err
		}
		if err := s.bind(c, &p, n); err != nil {
			return err
		}
		if p.VIFType == vifFailed {
			continue
		}
		if err := s.Ports.Save(c, old, &p, nil); err != nil {
			return err
		}
	}
	return nil
}
