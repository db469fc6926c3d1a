package router

import (
	"net/netip"
	"slices"
	"strings"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/network"
	"neutrino/store"
)

// interfaces gives the router's ports on internal networks.
func (s *Service) interfaces(c *engine.Call, router string) ([]*network.Port, error) {
	return s.net.Ports.Find(c, store.And(store.Where("t.device_id = ?", router), store.In("t.device_owner", interfaceOwners)))
}

func portIDs(ports []*network.Port) string {
	ids := make([]string, len(ports))
	for i, p := range ports {
		ids[i] = p.ID
	}
	return strings.Join(ids, ", ")
}

func subnetIDs(p *network.Port) []string {
	ids := make([]string, 0, len(p.FixedIPs))
	for _, f := range p.FixedIPs {
		if !slices.Contains(ids, f.SubnetID) {
			ids = append(ids, f.SubnetID)
		}
	}
	return ids
}

// interfaceRequest reads {subnet_id} or {port_id}, or for a removal both.
func interfaceRequest(body map[string]any) (subnet, port string, err error) {
	if _, err = resource.MapValue("router interface", body, "subnet_id", "port_id"); err != nil {
		return "", "", err
	}
	if v := body["subnet_id"]; v != nil {
		if subnet, err = resource.UUIDValue("subnet_id", v); err != nil {
			return "", "", err
		}
	}
	if v := body["port_id"]; v != nil {
		if port, err = resource.UUIDValue("port_id", v); err != nil {
			return "", "", err
		}
	}
	if subnet == "" && port == "" {
		return "", "", badInterface("Either subnet_id or port_id must be specified")
	}
	return subnet, port, nil
}

func badInterface(format string, args ...any) error {
	return fault.BadRequest("BadRequest", "Bad router request: "+format+".", args...)
}

func (s *Service) addInterface(c *engine.Call, r *Router, in engine.Input, b []byte) ([]byte, error) {
	subnetID, portID, err := interfaceRequest(in.Body)
	if err != nil {
		return nil, err
	}
	if subnetID != "" && portID != "" {
		return nil, badInterface("Cannot specify both subnet-id and port-id")
	}
	attached, err := s.attached(c, r.ID)
	if err != nil {
		return nil, err
	}
	var p *network.Port
	var subnets []*network.Subnet
	if portID != "" {
		p, subnets, err = s.attachPort(c, r, portID, attached)
	} else {
		var subnet *network.Subnet
		p, subnet, err = s.attachSubnet(c, r, subnetID, attached)
		subnets = []*network.Subnet{subnet}
	}
	if err != nil {
		return nil, err
	}
	if err := s.Routers.Touch(c, r.ID); err != nil {
		return nil, err
	}
	if err := s.settle(c, r.ID); err != nil {
		return nil, err
	}
	return appendInterface(b, r, p, subnets), nil
}

func appendInterface(b []byte, r *Router, p *network.Port, subnets []*network.Subnet) []byte {
	ids := make([]string, len(subnets))
	for i, n := range subnets {
		ids[i] = n.ID
	}
	field := func(name, value string) {
		b = append(b, '"')
		b = append(b, name...)
		b = append(b, `": `...)
		b = append(resource.AppendString(b, value), ", "...)
	}
	b = append(b, '{')
	field("id", r.ID)
	field("tenant_id", r.ProjectID)
	field("project_id", r.ProjectID)
	field("port_id", p.ID)
	field("network_id", p.NetworkID)
	field("subnet_id", ids[0])
	b = append(b, `"subnet_ids": `...)
	b = resource.AppendStrings(b, ids)
	return append(b, '}')
}

// attached gives the subnets that the router's interfaces and gateway are on.
func (s *Service) attached(c *engine.Call, router string) ([]*network.Subnet, error) {
	owned := store.In("p.device_owner", portOwners)
	return s.net.Subnets.Find(c, store.Where(`t.id IN (SELECT a.subnet_id FROM ip_allocations a JOIN ports p ON p.id = a.port_id
		WHERE p.device_id = ? AND `+owned.SQL+")", append([]any{router}, owned.Args...)...))
}

// checkNew refuses a subnet that the router has already, or that overlaps one that it has.
func checkNew(r *Router, n *network.Subnet, attached []*network.Subnet) error {
	for _, have := range attached {
		if have.ID == n.ID {
			return badInterface("Router already has a port on subnet %s", n.ID)
		}
		if have.CIDR.Overlaps(n.CIDR) {
			return badInterface("Cidr %s of subnet %s overlaps with cidr %s of subnet %s", n.CIDR, n.ID, have.CIDR, have.ID)
		}
	}
	return nil
}

func (s *Service) attachSubnet(c *engine.Call, r *Router, id string, attached []*network.Subnet) (*network.Port, *network.Subnet, error) {
	n, err := s.net.Subnets.Get(c, id)
	if err != nil {
		return nil, nil, err
	}
	net, err := s.net.Networks.GetVisible(c, n.NetworkID)
	if err != nil {
		return nil, nil, s.net.Subnets.NotFound(id) // who can't see the network can't see the subnet
	}
	if !c.Global() && net.ProjectID != c.Caller.ProjectID {
		return nil, nil, badInterface("Cannot add interface to router because subnet %s is not owned by project making the request", id)
	}
	if !n.Gateway.IsValid() {
		return nil, nil, badInterface("Subnet for router interface must have a gateway IP")
	}
	if n.IPVersion == 6 && n.RAMode == "" && n.AddressMode != "" {
		return nil, nil, badInterface("IPv6 subnet %s configured to receive RAs from an external router cannot be added to Neutron Router", id)
	}
	if err := checkNew(r, n, attached); err != nil {
		return nil, nil, err
	}
	if n.IPVersion == 6 {
		if p, err := s.joinPort(c, r, n); p != nil || err != nil {
			return p, n, err
		}
	}
	p := &network.Port{
		NetworkID: n.NetworkID, AdminStateUp: true, DeviceID: r.ID, DeviceOwner: r.interfaceOwner(), Host: r.Host, VNICType: "normal",
	}
	p.ProjectID = r.ProjectID
	p.Want(network.FixedIP{SubnetID: n.ID, IP: n.Gateway})
	if err := s.net.Ports.CheckQuota(c, p.ProjectID, 1); err != nil {
		return nil, nil, err
	}
	return p, n, s.net.Ports.Insert(c.Elevated(), p, resource.Given{"fixed_ips": nil})
}

// joinPort gives a further IPv6 subnet's address to the port that the router has on that network
// for IPv6 already; nil when there is none.
func (s *Service) joinPort(c *engine.Call, r *Router, n *network.Subnet) (*network.Port, error) {
	ports, err := s.interfaces(c, r.ID)
	if err != nil {
		return nil, err
	}
	for _, old := range ports {
		if old.NetworkID != n.NetworkID || !slices.ContainsFunc(old.FixedIPs, func(f network.FixedIP) bool { return f.IP.Is6() }) {
			continue
		}
		p := *old
		p.Want(append(slices.Clone(old.FixedIPs), network.FixedIP{SubnetID: n.ID, IP: n.Gateway})...)
		return &p, s.net.Ports.Save(c.Elevated(), old, &p, resource.Given{"fixed_ips": nil})
	}
	return nil, nil
}

func (s *Service) attachPort(c *engine.Call, r *Router, id string, attached []*network.Subnet) (*network.Port, []*network.Subnet, error) {
	old, err := s.net.Ports.GetVisible(c, id)
	if err != nil {
		return nil, nil, err
	}
	if old.DeviceID != "" {
		return nil, nil, fault.Conflict("PortInUse", "Unable to complete operation on port %s for network %s. Port already has an attached device %s.", old.ID, old.NetworkID, old.DeviceID)
	}
	if !c.Global() && old.ProjectID != c.Caller.ProjectID {
		return nil, nil, badInterface("Cannot add interface to router because port %s is not owned by project making the request", id)
	}
	if len(old.FixedIPs) == 0 {
		return nil, nil, badInterface("Router port must have at least one fixed IP")
	}
	four := 0
	for _, f := range old.FixedIPs {
		if f.IP.Is4() {
			four++
		}
	}
	if four > 1 {
		return nil, nil, badInterface("Cannot have multiple IPv4 subnets on router port")
	}
	subnets, err := s.net.Subnets.Find(c, store.In("t.id", subnetIDs(old)))
	if err != nil {
		return nil, nil, err
	}
	for _, n := range subnets {
		if err := checkNew(r, n, attached); err != nil {
			return nil, nil, err
		}
	}
	p := *old
	p.DeviceID, p.DeviceOwner, p.Host = r.ID, r.interfaceOwner(), r.Host
	p.PortSecurity, p.SecurityGroups = false, nil
	p.Pairs = []network.AddressPair{}
	return &p, subnets, s.net.Ports.Save(c.Elevated(), old, &p, resource.Given{"device_id": nil, "device_owner": nil, "binding:host_id": nil})
}

func (s *Service) removeInterface(c *engine.Call, r *Router, in engine.Input, b []byte) ([]byte, error) {
	subnetID, portID, err := interfaceRequest(in.Body)
	if err != nil {
		return nil, err
	}
	ports, err := s.interfaces(c, r.ID)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(ports, func(p *network.Port) bool {
		if portID != "" {
			return p.ID == portID
		}
		return slices.Contains(subnetIDs(p), subnetID)
	})
	if at < 0 {
		if portID != "" {
			return nil, fault.NotFound("RouterInterfaceNotFound", "Router %s does not have an interface with id %s", r.ID, portID)
		}
		if _, err := s.net.Subnets.GetVisible(c, subnetID); err != nil {
			return nil, err
		}
		return nil, fault.NotFound("RouterInterfaceNotFoundForSubnet", "Router %s has no interface on subnet %s", r.ID, subnetID)
	}
	p := ports[at]
	if portID != "" && subnetID != "" && !slices.Contains(subnetIDs(p), subnetID) {
		return nil, fault.BadRequest("SubnetMismatchForPort", "Subnet on port %s does not match the requested subnet %s.", portID, subnetID)
	}
	leaving := subnetIDs(p)
	if portID == "" {
		leaving = []string{subnetID}
	}
	subnets, err := s.net.Subnets.Find(c, store.In("t.id", leaving))
	if err != nil {
		return nil, err
	}
	for _, n := range subnets {
		if err := s.interfaceUnused(c, r, n); err != nil {
			return nil, err
		}
	}
	if err := s.detach(c, p, leaving); err != nil {
		return nil, err
	}
	if err := s.Routers.Touch(c, r.ID); err != nil {
		return nil, err
	}
	return appendInterface(b, r, p, subnets), nil
}

// detach takes subnets from a router's port; a port without any goes.
func (s *Service) detach(c *engine.Call, old *network.Port, leaving []string) error {
	var staying []network.FixedIP
	for _, f := range old.FixedIPs {
		if !slices.Contains(leaving, f.SubnetID) {
			staying = append(staying, f)
		}
	}
	if len(staying) == 0 {
		return s.net.Ports.Drop(c, old)
	}
	p := *old
	p.Want(staying...)
	return s.net.Ports.Save(c.Elevated(), old, &p, resource.Given{"fixed_ips": nil})
}

// interfaceUnused refuses to part from a subnet that floating IPs, NDP proxies or extra routes need.
func (s *Service) interfaceUnused(c *engine.Call, r *Router, n *network.Subnet) error {
	floating, err := s.FloatingIPs.Find(c, store.Where(`t.router_id = ? AND EXISTS (SELECT 1 FROM ip_allocations a
		WHERE a.port_id = t.port_id AND a.subnet_id = ? AND a.ip_address = t.fixed_ip_address)`, r.ID, n.ID))
	if err != nil {
		return err
	}
	forwarded, err := c.Tx.Count(`SELECT COUNT(*) FROM port_forwardings w JOIN floatingips f ON f.id = w.floatingip_id JOIN ip_allocations a ON a.port_id = w.internal_port_id
		WHERE f.router_id = ? AND a.subnet_id = ? AND a.ip_address = w.internal_ip_address`, r.ID, n.ID)
	if err != nil {
		return err
	}
	if len(floating) > 0 || forwarded > 0 {
		return fault.Conflict("RouterInterfaceInUseByFloatingIP", "Router interface for subnet %s on router %s cannot be deleted, as it is required by one or more floating IPs.", n.ID, r.ID)
	}
	proxied, err := c.Tx.Count(`SELECT COUNT(*) FROM ndp_proxies x JOIN ip_allocations a ON a.port_id = x.port_id
		WHERE x.router_id = ? AND a.subnet_id = ? AND a.ip_address = x.ip_address`, r.ID, n.ID)
	if err != nil {
		return err
	}
	if proxied > 0 {
		return fault.Conflict("RouterInterfaceInUseByNDPProxy", "Unable to remove subnet %s from router %s, There are one or more ndp proxies still in use on the subnet.", n.ID, r.ID)
	}
	if slices.ContainsFunc(r.Routes, func(route network.Route) bool { return within(n.CIDR, route.NextHop) }) {
		return fault.Conflict("RouterInterfaceInUseByRoute", "Router interface for subnet %s on router %s cannot be deleted, as it is required by one or more routes.", n.ID, r.ID)
	}
	return nil
}

func within(p netip.Prefix, ip netip.Addr) bool { return p.Contains(ip) }
