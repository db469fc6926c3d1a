package network

import (
	"neutrino/address"
	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/network/ipam"
)

// preparePort finds the network before policy looks at it; one that the caller may not see is missing.
func (s *Service) preparePort(c *engine.Call, p *Port, _ resource.Given) error {
	_, err := s.visibleNetwork(c, p.NetworkID)
	return err
}

func (s *Service) createPort(c *engine.Call, p *Port, given resource.Given) error {
	n, err := s.networkOf(c, p.NetworkID)
	if err != nil {
		return err
	}
	if err := s.chooseMAC(c, p); err != nil {
		return err
	}
	if !given.Has("port_security_enabled") {
		p.PortSecurity = n.PortSecurity && !isNetworkOwner(p.DeviceOwner)
	}
	if p.Status == "" {
		p.Status = "DOWN"
	}
	if p.VNICType == "" {
		p.VNICType = "normal"
	}
	if p.Pairs == nil {
		p.Pairs = []AddressPair{}
	}
	if p.Options == nil {
		p.Options = []DHCPOption{}
	}
	if p.Profile == nil {
		p.Profile = map[string]any{}
	}
	if !given.Has("propagate_uplink_status") {
		p.PropagateUplink = true
	}
	p.offerOffload()
	if err := s.allocate(c, p, n); err != nil {
		return err
	}
	if err := s.checkPairs(p); err != nil {
		return err
	}
	if err := s.bind(c, p, n); err != nil {
		return err
	}
	if err := s.checkPortQoS(c, "", p, n); err != nil {
		return err
	}
	for _, rule := range s.PortRules {
		if rule.Create != nil {
			if err := rule.Create(c, p, n, given); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkPortQoS holds a port's QoS policy in place of the old one against the caller and the port's driver.
func (s *Service) checkPortQoS(c *engine.Call, old string, p *Port, n *NetworkRow) error {
	if s.QoS == nil {
		return nil
	}
	if old != p.QoSPolicyID {
		if err := s.QoS.Change(c, old, p.QoSPolicyID); err != nil {
			return err
		}
	}
	return s.QoS.CheckPort(c, p, n)
}

func (s *Service) portCreated(c *engine.Call, p *Port) error {
	if err := s.writeAllocations(c, p, p.FixedIPs, 0); err != nil {
		return err
	}
	for _, rule := range s.PortRules {
		if rule.Created != nil {
			if err := rule.Created(c, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// chooseMAC checks a given MAC or makes one; it is unique on the network.
func (s *Service) chooseMAC(c *engine.Call, p *Port) error {
	taken := func(m address.MAC) (bool, error) {
		n, err := c.Tx.Count("SELECT COUNT(*) FROM ports WHERE network_id = ? AND mac_address = ? AND id <> ?", p.NetworkID, m.String(), p.ID)
		return n > 0, err
	}
	if !p.MAC.IsZero() {
		used, err := taken(p.MAC)
		if err == nil && used {
			err = fault.Conflict("MacAddressInUse", "Unable to complete operation for network %s. The mac address %s is in use.", p.NetworkID, p.MAC)
		}
		return err
	}
	for range 16 {
		m := ipam.RandomMAC(s.config.BaseMAC)
		used, err := taken(m)
		if err != nil {
			return err
		}
		if !used {
			p.MAC = m
			return nil
		}
	}
	return fault.New(503, "NetworkMacAddressGenerationFailure", "Unable to generate unique mac on network %s.", p.NetworkID)
}

// checkPairs completes the allowed address pairs and holds them against port security.
func (s *Service) checkPairs(p *Port) error {
	if len(p.Pairs) == 0 {
		return nil
	}
	if !p.PortSecurity {
		return fault.Conflict("AddressPairAndPortSecurityRequired", "Port Security must be enabled in order to have allowed address pairs on a port.")
	}
	if len(p.Pairs) > s.config.MaxPairs {
		return fault.BadRequest("AllowedAddressPairExhausted", "The number of allowed address pair exceeds the maximum %d.", s.config.MaxPairs)
	}
	for i := range p.Pairs {
		if p.Pairs[i].MAC.IsZero() {
			p.Pairs[i].MAC = p.MAC
		}
	}
	return nil
}

func (s *Service) updatePort(c *engine.Call, old, p *Port, given resource.Given) error {
	n, err := s.networkOf(c, p.NetworkID)
	if err != nil {
		return err
	}
	if old.MAC != p.MAC {
		if old.VIFType != vifUnbound && old.VIFType != vifFailed && old.VIFType != "" && old.VNICType != "direct-physical" {
			return fault.Conflict("PortBound", "Unable to complete operation on port %s, port is already bound, port type: %s, old_mac %s, new_mac %s.", p.ID, old.VIFType, old.MAC, p.MAC)
		}
		if err := s.chooseMAC(c, p); err != nil {
			return err
		}
	}
	if err := s.settleHost(c, old, p, n, given); err != nil {
		return err
	}
	if given.Has("fixed_ips") || old.MAC != p.MAC && p.wanted == nil {
		if err := s.reallocate(c, old, p, n, given.Has("fixed_ips")); err != nil {
			return err
		}
	}
	if old.VNICType != p.VNICType && old.VIFType != vifUnbound && old.Host != "" && old.Host == p.Host {
		return fault.Conflict("PortBound", "Unable to complete operation on port %s, port is already bound, port type: %s, old_mac %s, new_mac %s.", p.ID, old.VIFType, old.MAC, p.MAC)
	}
	if err := checkExtras(old, p, given); err != nil {
		return err
	}
	// A port of the network service is trusted. One that is nobody's or an instance's from now on is not: else whoever gets
	// a router's port on another project's network could send there as they please.
	if isNetworkOwner(old.DeviceOwner) && !isNetworkOwner(p.DeviceOwner) && !given.Has("port_security_enabled") {
		p.PortSecurity = p.PortSecurity || n.PortSecurity
	}
	if given.Any("allowed_address_pairs", "port_security_enabled") {
		p.Pairs = append([]AddressPair{}, p.Pairs...)
		if err := s.checkPairs(p); err != nil {
			return err
		}
	}
	if old.Host != p.Host || given.Has("binding:profile") && p.VIFType == vifFailed || p.Bound() && offloaded(old.Profile) != offloaded(p.Profile) {
		if err := s.bind(c, p, n); err != nil {
			return err
		}
	}
	if given.Has("qos_policy_id") || old.Host != p.Host {
		if err := s.checkPortQoS(c, old.QoSPolicyID, p, n); err != nil {
			return err
		}
	}
	if !p.AdminStateUp && old.AdminStateUp && p.Status == "ACTIVE" {
		p.Status, p.StatusReason = "DOWN", "the port is administratively down"
	}
	if p.AdminStateUp != old.AdminStateUp {
		s.unwatched(p)
	}
	for _, rule := range s.PortRules {
		if rule.Update != nil {
			if err := rule.Update(c, old, p, n, given); err != nil {
				return err
			}
		}
	}
	return nil
}

// settleHost gives a port whose addresses were put off what its host reaches, and holds those that it has
// against a new host.
func (s *Service) settleHost(c *engine.Call, old, p *Port, n *NetworkRow, given resource.Given) error {
	if p.Host == "" || old.Host == p.Host || given.Has("fixed_ips") {
		return nil
	}
	if old.IPAllocation == ipDeferred && len(old.FixedIPs) == 0 {
		return s.allocate(c, p, n)
	}
	return s.checkMove(c, p, n)
}

func (s *Service) portUpdated(c *engine.Call, old, p *Port, given resource.Given) error {
	if p.wanted != nil || old.MAC != p.MAC || old.IPAllocation != p.IPAllocation {
		if _, err := c.Tx.Exec("DELETE FROM ip_allocations WHERE port_id = ?", p.ID); err != nil {
			return err
		}
		if err := s.writeAllocations(c, p, p.FixedIPs, 0); err != nil {
			return err
		}
	}
	if old.Host != p.Host && p.Host != "" { // what waited there is the port's own binding now
		if _, err := c.Tx.Exec("DELETE FROM port_bindings WHERE port_id = ? AND host = ?", p.ID, p.Host); err != nil {
			return err
		}
	}
	for _, rule := range s.PortRules {
		if rule.Updated != nil {
			if err := rule.Updated(c, old, p, given); err != nil {
				return err
			}
		}
	}
	return nil
}
