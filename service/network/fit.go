package network

import (
	"errors"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/store"
)

// Takes says why a port of a network could not be bound to a host; "" is that it could. p is a port that is there,
// for its addresses may hold it where it is; nil is any.
func (s *Service) Takes(c *engine.Call, networkID string, p *Port, host string) (reason string, err error) {
	n, err := s.networkOf(c, networkID)
	if err != nil {
		return "", err
	}
	w := wish{vnic: "normal"}
	if p != nil {
		w = wishOf(p.VNICType, p.Profile)
	}
	_, _, reason, err = s.plug(c, w, host, n)
	if reason != "" || err != nil || p == nil {
		return reason, err
	}
	moved := *p
	moved.Host = host
	err = s.checkMove(c, &moved, n)
	var refused *fault.Error
	if errors.As(err, &refused) {
		return refused.Message, nil
	}
	return "", err
}

// DHCPPorts gives the DHCP ports on a host, or with "" of a network, or with both "" all.
func (s *Service) DHCPPorts(c *engine.Call, host, networkID string) ([]*Port, error) {
	cond := store.Where("t.device_owner = ?", ownerDHCP)
	if host != "" {
		cond = store.And(cond, store.Where("t.host = ?", host))
	}
	if networkID != "" {
		cond = store.And(cond, store.Where("t.network_id = ?", networkID))
	}
	return s.Ports.Find(c, cond)
}

// TakesDHCP says why a host could not serve DHCP with a port as it is now on another host; "" is that it could.
func (s *Service) TakesDHCP(c *engine.Call, p *Port, host string) (reason string, err error) {
	return s.Takes(c, p.NetworkID, p, host)
}

// MoveDHCP moves a DHCP port, with its addresses, to the best host that can take it. reason says why there is none.
func (s *Service) MoveDHCP(c *engine.Call, old *Port) (host, reason string, err error) {
	n, err := s.networkOf(c, old.NetworkID)
	if err != nil {
		return "", "", err
	}
	beside, err := s.DHCPPorts(c, "", old.NetworkID)
	if err != nil {
		return "", "", err
	}
	serving := make([]string, len(beside))
	for i, p := range beside {
		serving[i] = p.Host
	}
	hosts, err := s.hosts.DHCPHosts(c, s.config.Zones(n.ZoneHints), serving)
	if err != nil {
		return "", "", err
	}
	reason = "no other host with an alive DHCP agent takes the network"
	for _, host := range hosts {
		why, err := s.TakesDHCP(c, old, host)
		if err != nil {
			return "", "", err
		}
		if why != "" {
			reason = why
			continue
		}
		p := *old
		p.Host, p.DeviceID = host, dhcpDeviceID(host, n.ID)
		return host, "", s.Ports.Save(c.Elevated(), old, &p, nil)
	}
	return "", reason, nil
}

// WantsDHCP says whether a network has a subnet with DHCP.
func (s *Service) WantsDHCP(c *engine.Call, networkID string) (bool, error) {
	n, err := c.Tx.Count("SELECT COUNT(*) FROM subnets WHERE network_id = ? AND enable_dhcp = ?", networkID, true)
	return n > 0, err
}
