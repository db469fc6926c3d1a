package network

import (
	"slices"

	"github.com/google/uuid"

	"neutrino/engine"
	"neutrino/resource"
	"neutrino/store"
)

// dhcpDeviceID is the device_id of the DHCP port of a network on a host: the original's form.
func dhcpDeviceID(host, network string) string {
	return "dhcp" + uuid.NewSHA1(uuid.NameSpaceDNS, []byte(host)).String() + "-" + network
}

// EnsureDHCP gives a network with DHCP subnets its DHCP ports on hosts that serve it, an address on
// each such subnet, and takes them away from a network without. It is called again and again.
func (s *Service) EnsureDHCP(c *engine.Call, networkID string) error {
	n, err := s.networkOf(c, networkID)
	if err != nil {
		return err
	}
	subnets, err := s.subnetsOf(c, networkID)
	if err != nil {
		return err
	}
	var wanted []addressRequest
	for _, subnet := range subnets {
		if subnet.EnableDHCP {
			wanted = append(wanted, addressRequest{subnet: subnet.ID})
		}
	}
	ports, err := s.Ports.Find(c, store.Where("t.network_id = ? AND t.device_owner = ?", networkID, ownerDHCP))
	if err != nil {
		return err
	}
	if len(wanted) == 0 {
		for _, p := range ports {
			if err := s.Ports.Drop(c, p); err != nil {
				return err
			}
		}
		return nil
	}
	for _, p := range ports {
		if err := s.readdress(c, p, wanted); err != nil {
			return err
		}
	}
	return s.addServers(c, n, wanted, ports)
}

// readdress gives a DHCP port addresses on exactly the subnets that it serves.
func (s *Service) readdress(c *engine.Call, old *Port, wanted []addressRequest) error {
	have := map[string]bool{}
	for _, f := range old.FixedIPs {
		have[f.SubnetID] = true
	}
	same := len(have) == len(wanted)
	for _, r := range wanted {
		same = same && have[r.subnet]
	}
	if same {
		return nil
	}
	p := *old
	p.wanted = wanted
	return s.Ports.Save(c.Elevated(), old, &p, resource.Given{"fixed_ips": nil})
}

// addServers makes DHCP ports on further hosts until the network has as many as configured, or
// there are no more hosts.
func (s *Service) addServers(c *engine.Call, n *Network, wanted []addressRequest, ports []*Port) error {
	missing := s.config.DHCPPerNetwork - len(ports)
	if missing <= 0 {
		return nil
	}
	hosts, err := s.hosts.DHCPHosts(c)
	if err != nil {
		return err
	}
	for _, host := range hosts {
		if missing == 0 {
			break
		}
		if slices.ContainsFunc(ports, func(p *Port) bool { return p.Host == host }) {
			continue
		}
		p := &Port{
			NetworkID: n.ID, AdminStateUp: true, Host: host, VNICType: "normal",
			DeviceOwner: ownerDHCP, DeviceID: dhcpDeviceID(host, n.ID), wanted: wanted,
		}
		p.ProjectID = n.ProjectID
		if err := s.Ports.Insert(c.Elevated(), p, resource.Given{"fixed_ips": nil}); err != nil {
			return err
		}
		missing--
	}
	return nil
}

// UnservedNetworks lists networks with DHCP subnets that have fewer DHCP ports than configured.
func (s *Service) UnservedNetworks(c *engine.Call) ([]string, error) {
	served, err := engine.TextSet(c, `SELECT DISTINCT s.network_id FROM subnets s WHERE s.enable_dhcp = ? AND
		(SELECT COUNT(*) FROM ports p WHERE p.network_id = s.network_id AND p.device_owner = ?) < ?`,
		true, ownerDHCP, s.config.DHCPPerNetwork)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(served))
	for id := range served {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, nil
}
