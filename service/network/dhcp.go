package network

import (
	"maps"
	"slices"

	"github.com/google/uuid"

	"neutrino/engine"
	"neutrino/fault"
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
	if s.config.MetadataPorts {
		if err := s.ensureMetadata(c, n, subnets); err != nil {
			return err
		}
	}
	ports, err := s.Ports.Find(c, store.Where("t.network_id = ? AND t.device_owner = ?", networkID, ownerDHCP))
	if err != nil {
		return err
	}
	var kept []*Port
	for _, p := range ports {
		wanted, err := s.servedFrom(c, n, subnets, p.Host)
		if err != nil {
			return err
		}
		if len(wanted) == 0 {
			if err := s.Ports.Drop(c, p); err != nil {
				return err
			}
			continue
		}
		if err := s.readdress(c, p, wanted); err != nil {
			return err
		}
		kept = append(kept, p)
	}
	return s.addServers(c, n, subnets, kept)
}

// servedFrom are the addresses that a DHCP port on a host needs: one of each subnet with DHCP that the host reaches.
func (s *Service) servedFrom(c *engine.Call, n *NetworkRow, subnets []*Subnet, host string) ([]addressRequest, error) {
	usable, _, err := s.reached(c, n, subnets, host)
	if err != nil {
		return nil, err
	}
	var wanted []addressRequest
	for _, subnet := range usable {
		if subnet.EnableDHCP {
			wanted = append(wanted, addressRequest{subnet: subnet.ID})
		}
	}
	return wanted, nil
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

// addServers makes DHCP ports on further hosts until the network, if it is routed each of its segments, has as
// many as configured, or there are no more hosts.
func (s *Service) addServers(c *engine.Call, n *NetworkRow, subnets []*Subnet, ports []*Port) error {
	missing := map[string]int{} // by segment
	for _, subnet := range subnets {
		if subnet.EnableDHCP {
			missing[subnet.SegmentID] = s.config.DHCPPerNetwork
		}
	}
	serves := func(host string) (list []string, err error) {
		for segment := range missing {
			ok := segment == ""
			if !ok {
				if ok, err = s.reaches(c, n, segment, host); err != nil {
					return nil, err
				}
			}
			if ok {
				list = append(list, segment)
			}
		}
		return list, nil
	}
	for _, p := range ports {
		list, err := serves(p.Host)
		if err != nil {
			return err
		}
		for _, segment := range list {
			missing[segment]--
		}
	}
	if !slices.ContainsFunc(slices.Collect(maps.Values(missing)), func(n int) bool { return n > 0 }) {
		return nil
	}
	serving := make([]string, len(ports))
	for i, p := range ports {
		serving[i] = p.Host
	}
	hosts, err := s.hosts.DHCPHosts(c, s.config.Zones(n.ZoneHints), serving)
	if err != nil {
		return err
	}
	for _, host := range hosts {
		if why, err := s.Takes(c, n.ID, nil, host); err != nil || why != "" {
			if err != nil {
				return err
			}
			continue
		}
		list, err := serves(host)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(list, func(segment string) bool { return missing[segment] > 0 }) {
			continue
		}
		wanted, err := s.servedFrom(c, n, subnets, host)
		if err != nil {
			return err
		}
		if err := s.addServer(c, n, host, wanted); err != nil {
			return err
		}
		for _, segment := range list {
			missing[segment]--
		}
	}
	return nil
}

// ServeDHCP gives a network a DHCP port on a host, beside those it has. agent is the host's agent, for errors.
func (s *Service) ServeDHCP(c *engine.Call, networkID, host, agent string) error {
	n, err := s.networkOf(c, networkID)
	if err != nil {
		return err
	}
	used, err := c.Tx.Count("SELECT COUNT(*) FROM ports WHERE network_id = ? AND device_owner = ? AND host = ?", networkID, ownerDHCP, host)
	if err != nil {
		return err
	}
	if used > 0 {
		return fault.Conflict("NetworkHostedByDHCPAgent", "The network %s has been already hosted by the DHCP Agent %s.", networkID, agent)
	}
	subnets, err := s.subnetsOf(c, networkID)
	if err != nil {
		return err
	}
	wanted, err := s.servedFrom(c, n, subnets, host)
	if err != nil {
		return err
	}
	if wanted == nil {
		wanted = []addressRequest{} // nothing to serve yet: the port gets its addresses with the subnets
	}
	return s.addServer(c, n, host, wanted)
}

// ReleaseDHCP takes a network's DHCP port off a host.
func (s *Service) ReleaseDHCP(c *engine.Call, networkID, host, agent string) error {
	ports, err := s.Ports.Find(c, store.Where("t.network_id = ? AND t.device_owner = ? AND t.host = ?", networkID, ownerDHCP, host))
	if err != nil {
		return err
	}
	if len(ports) == 0 {
		return fault.Conflict("NetworkNotHostedByDhcpAgent", "The network %s is not hosted by the DHCP agent %s.", networkID, agent)
	}
	for _, p := range ports {
		if err := s.Ports.Drop(c, p); err != nil {
			return err
		}
	}
	return nil
}

// addServer makes a DHCP port on a host.
func (s *Service) addServer(c *engine.Call, n *NetworkRow, host string, wanted []addressRequest) error {
	p := &Port{
		NetworkID: n.ID, AdminStateUp: true, Host: host, VNICType: "normal",
		DeviceOwner: ownerDHCP, DeviceID: dhcpDeviceID(host, n.ID), wanted: wanted,
	}
	p.ProjectID = n.ProjectID
	return s.Ports.Insert(c.Elevated(), p, resource.Given{"fixed_ips": nil})
}

// UnservedNetworks lists networks with DHCP subnets that may have fewer DHCP ports than configured: of routed ones
// each segment needs its own.
func (s *Service) UnservedNetworks(c *engine.Call) ([]string, error) {
	served, err := engine.TextSet(c, `SELECT DISTINCT s.network_id FROM subnets s WHERE s.enable_dhcp = ? AND
		(s.segment_id <> '' OR (SELECT COUNT(*) FROM ports p WHERE p.network_id = s.network_id AND p.device_owner = ?) < ?)`,
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
