package network

import (
	"database/sql"
	"fmt"
	"net/netip"

	"neutrino/address"
	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/network/ipam"
	"neutrino/store"
)

// prepareSubnet finds the network before policy looks at its owner. A network that the caller may
// not see is refused by policy, not as missing, as the original does.
func (s *Service) prepareSubnet(c *engine.Call, n *Subnet, _ resource.Given) error {
	_, err := s.visibleNetwork(c.Elevated(), n.NetworkID)
	return err
}

func (s *Service) createSubnet(c *engine.Call, n *Subnet, given resource.Given) error {
	network, err := s.networkOf(c, n.NetworkID)
	if err != nil {
		return err
	}
	if n.ProjectID == "" {
		n.ProjectID = network.ProjectID
	}
	if err := s.fromPool(c, n); err != nil {
		return err
	}
	if err := checkCIDR(n); err != nil {
		return err
	}
	if err := checkModes(n); err != nil {
		return err
	}
	if network.MTU < leastMTU(n) {
		return fault.Conflict("NetworkMTUSubnetConflict", "MTU of %s is not valid, subnet requires a minimum of %d", network.ID, leastMTU(n))
	}
	siblings, err := s.Subnets.Find(c, store.Where("t.network_id = ?", n.NetworkID))
	if err != nil {
		return err
	}
	if err := checkAffinity(n, siblings); err != nil {
		return err
	}
	if err := s.checkSubnetSegment(c, n, siblings); err != nil {
		return err
	}
	for _, other := range siblings {
		if other.CIDR.Overlaps(n.CIDR) {
			return fault.InvalidInput("Requested subnet with cidr: %s for network: %s overlaps with another subnet", n.CIDR, n.NetworkID)
		}
	}
	if !given.Has("gateway_ip") {
		n.Gateway = ipam.DefaultGateway(n.CIDR)
	}
	if err := checkGateway(n); err != nil {
		return err
	}
	if !given.Has("allocation_pools") {
		n.Pools = []Pool{}
		for _, r := range ipam.DefaultPools(n.CIDR, n.Gateway) {
			n.Pools = append(n.Pools, Pool{r.First, r.Last})
		}
	}
	if err := checkPools(n); err != nil {
		return err
	}
	return s.setRoutes(c, n)
}

// checkCIDR holds the block against its IP version and use.
func checkCIDR(n *Subnet) error {
	if n.CIDR.Addr().Is4() != (n.IPVersion == 4) {
		return fault.InvalidInput("ip_version %d does not match cidr '%s'", n.IPVersion, n.CIDR)
	}
	if !n.EnableDHCP {
		return nil
	}
	longest := 30
	if n.IPVersion == 6 {
		longest = 126
	}
	switch {
	case n.CIDR.Bits() > longest:
		return fault.InvalidInput("Invalid CIDR %s: subnets with DHCP need a prefix of /%d or shorter", n.CIDR, longest)
	case n.CIDR.Addr().IsMulticast():
		return fault.InvalidInput("Multicast IP subnet is not supported if enable_dhcp is True")
	case n.CIDR.Addr().IsUnspecified(), n.CIDR.Addr().IsLoopback():
		return fault.InvalidInput("%s IP subnet is not supported if enable_dhcp is True", n.CIDR)
	}
	return nil
}

// checkModes holds the IPv6 modes against each other and the prefix.
func checkModes(n *Subnet) error {
	if n.RAMode == "" && n.AddressMode == "" {
		return nil
	}
	switch {
	case n.IPVersion != 6:
		return fault.InvalidInput("ipv6_ra_mode and ipv6_address_mode are not valid when ip_version is 4")
	case !n.EnableDHCP:
		return fault.InvalidInput("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False")
	case n.RAMode != "" && n.AddressMode != "" && n.RAMode != n.AddressMode:
		return fault.InvalidInput("ipv6_ra_mode set to '%s' with ipv6_address_mode set to '%s' is not valid. If both attributes are set, they must be the same value", n.RAMode, n.AddressMode)
	case n.RAMode != dhcpv6Stateful && n.AddressMode != dhcpv6Stateful && n.CIDR.Bits() != 64:
		return fault.InvalidInput("Invalid CIDR %s for IPv6 address mode. OpenStack uses the EUI-64 address format, which requires the prefix to be /64", n.CIDR)
	}
	return nil
}

// checkGateway lets a gateway lie outside the block, but not be its network or broadcast address.
func checkGateway(n *Subnet) error {
	if !n.Gateway.IsValid() {
		return nil
	}
	if n.Gateway.Is4() != (n.IPVersion == 4) {
		return fault.InvalidInput("gateway_ip '%s' is not of ip_version %d", n.Gateway, n.IPVersion)
	}
	if n.IPVersion == 4 && n.CIDR.Bits() < 31 && (n.Gateway == n.CIDR.Addr() || n.Gateway == address.Last(n.CIDR)) {
		return fault.InvalidInput("Gateway is not valid on subnet")
	}
	return nil
}

// checkPools holds the pools against the block, each other and the gateway.
func checkPools(n *Subnet) error {
	hosts := ipam.Hosts(n.CIDR)
	if n.IPVersion == 6 {
		hosts.First = n.CIDR.Addr()
	}
	for _, p := range n.ranges() {
		if p.First.BitLen() != p.Last.BitLen() || p.Last.Less(p.First) || p.First.Is4() != (n.IPVersion == 4) {
			return fault.BadRequest("InvalidAllocationPool", "The allocation pool %s is not valid.", p)
		}
		if !hosts.Contains(p.First) || !hosts.Contains(p.Last) {
			return fault.BadRequest("OutOfBoundsAllocationPool", "The allocation pool %s spans beyond the subnet cidr %s.", p, n.CIDR)
		}
	}
	if a, b, found := ipam.Overlap(n.ranges()); found {
		return fault.Conflict("OverlappingAllocationPools", "Found overlapping allocation pools: %s %s for subnet %s.", a, b, n.CIDR)
	}
	for _, p := range n.ranges() {
		if n.Gateway.IsValid() && p.Contains(n.Gateway) {
			return fault.Conflict("GatewayConflictWithAllocationPools", "Gateway ip %s conflicts with allocation pool %s.", n.Gateway, p)
		}
	}
	return nil
}

func (s *Service) checkLists(n *Subnet) error {
	if len(n.DNS) > s.config.MaxDNS {
		return fault.BadRequest("DNSNameServersExhausted", "Unable to complete operation for %s. The number of DNS nameservers exceeds the limit %d.", n.ID, s.config.MaxDNS)
	}
	if len(n.Routes) > s.config.MaxRoutes {
		return fault.BadRequest("HostRoutesExhausted", "Unable to complete operation for %s. The number of host routes exceeds the limit %d.", n.ID, s.config.MaxRoutes)
	}
	for _, ip := range n.DNS {
		if ip.Is4() != (n.IPVersion == 4) {
			return fault.InvalidInput("dns_nameserver '%s' is not of ip_version %d", ip, n.IPVersion)
		}
	}
	for _, r := range n.Routes {
		if r.Destination.Addr().Is4() != (n.IPVersion == 4) {
			return fault.InvalidInput("host route '%s' is not of ip_version %d", r.Destination, n.IPVersion)
		}
	}
	return nil
}

// subnetCreated gives SLAAC addresses to the ports that are there, and the network its DHCP port.
func (s *Service) subnetCreated(c *engine.Call, n *Subnet) error {
	engine.Forget(c, subnetsKey{n.NetworkID})
	if err := s.Networks.Touch(c, n.NetworkID); err != nil {
		return err
	}
	if err := s.peersChanged(c, n, netip.Prefix{}); err != nil {
		return err
	}
	if n.Automatic() {
		if err := s.addAutomaticAddresses(c, n); err != nil {
			return err
		}
	}
	return s.EnsureDHCP(c, n.NetworkID)
}

func (s *Service) addAutomaticAddresses(c *engine.Call, n *Subnet) error {
	ports, err := s.Ports.Find(c, store.Where("t.network_id = ?", n.NetworkID))
	if err != nil {
		return err
	}
	for _, p := range ports {
		if isRouterOwner(p.DeviceOwner) || p.DeviceOwner == ownerFloatingIP || p.DeviceOwner == ownerDHCP {
			continue
		}
		ip := p.MAC.EUI64(n.CIDR)
		if err := s.writeAllocations(c, p, []FixedIP{{n.ID, ip}}, len(p.FixedIPs)); err != nil {
			return err
		}
		if err := s.Ports.Touch(c, p.ID); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) updateSubnet(c *engine.Call, old, n *Subnet, given resource.Given) error {
	if old.SegmentID != n.SegmentID {
		if err := s.moveSubnet(c, old, n); err != nil {
			return err
		}
	}
	if old.EnableDHCP != n.EnableDHCP {
		if err := checkCIDR(n); err != nil {
			return err
		}
		if err := checkModes(n); err != nil {
			return err
		}
	}
	if old.Gateway != n.Gateway {
		if err := checkGateway(n); err != nil {
			return err
		}
		if err := s.gatewayUnused(c, old); err != nil {
			return err
		}
	}
	if given.Any("gateway_ip", "allocation_pools") {
		if err := checkPools(n); err != nil {
			return err
		}
	}
	return s.setRoutes(c, n)
}

// gatewayUnused refuses while a router has the subnet's gateway address.
func (s *Service) gatewayUnused(c *engine.Call, n *Subnet) error {
	if !n.Gateway.IsValid() {
		return nil
	}
	var port string
	used, err := c.Tx.One([]any{&port}, `SELECT a.port_id FROM ip_allocations a JOIN ports p ON p.id = a.port_id WHERE a.subnet_id = ? AND a.ip_address = ?
		AND p.device_owner IN ('network:router_interface', 'network:router_interface_distributed', 'network:ha_router_replicated_interface')`, n.ID, n.Gateway.String())
	if err != nil || !used {
		return err
	}
	return fault.Conflict("GatewayIpInUse", "Current gateway ip %s already in use by port %s. Unable to update.", n.Gateway, port)
}

func (s *Service) subnetUpdated(c *engine.Call, old, n *Subnet, _ resource.Given) error {
	engine.Forget(c, subnetsKey{n.NetworkID})
	if err := s.Networks.Touch(c, n.NetworkID); err != nil {
		return err
	}
	if old.SegmentID != n.SegmentID {
		if err := s.peersChanged(c, n, netip.Prefix{}); err != nil {
			return err
		}
	}
	if old.EnableDHCP == n.EnableDHCP && old.SegmentID == n.SegmentID {
		return nil
	}
	return s.EnsureDHCP(c, n.NetworkID)
}

// subnetDeleted takes the routes to a subnet from its peers.
func (s *Service) subnetDeleted(c *engine.Call, n *Subnet) error {
	if err := s.peersChanged(c, n, n.CIDR); err != nil {
		return err
	}
	return s.Networks.Touch(c, n.NetworkID)
}

// deleteSubnet refuses while somebody has an address of it; addresses of DHCP ports and automatic
// ones go with the subnet.
func (s *Service) deleteSubnet(c *engine.Call, n *Subnet) error {
	type user struct{ port, owner string }
	var users []user
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var u user
		err := rows.Scan(&u.port, &u.owner)
		users = append(users, u)
		return err
	}, `SELECT p.id, p.device_owner FROM ports p WHERE p.id IN
		(SELECT a.port_id FROM ip_allocations a WHERE a.subnet_id = ?)`, n.ID)
	if err != nil {
		return err
	}
	for _, u := range users {
		if !autoDeleted(u.owner) && (!n.Automatic() || isRouterOwner(u.owner)) {
			return fault.Conflict("SubnetInUse", "Unable to complete operation on subnet %s: One or more ports have an IP allocation from this subnet.", n.ID)
		}
	}
	if _, err := c.Tx.Exec("DELETE FROM ip_allocations WHERE subnet_id = ?", n.ID); err != nil {
		return fmt.Errorf("free addresses of subnet %s: %w", n.ID, err)
	}
	for _, u := range users {
		if err := s.Ports.Touch(c, u.port); err != nil {
			return err
		}
	}
	// The subnet must not count as one to serve when its network's DHCP ports are looked at.
	if _, err := c.Tx.Exec("UPDATE subnets SET enable_dhcp = ? WHERE id = ?", false, n.ID); err != nil {
		return err
	}
	engine.Forget(c, subnetsKey{n.NetworkID})
	return s.EnsureDHCP(c, n.NetworkID)
}

type subnetsKey struct{ network string }

// subnetsOf gives the rows of a network's subnets.
func (s *Service) subnetsOf(c *engine.Call, network string) ([]*Subnet, error) {
	return engine.Once(c, subnetsKey{network}, func() ([]*Subnet, error) {
		return s.Subnets.Rows(c, store.Where("t.network_id = ?", network))
	})
}
