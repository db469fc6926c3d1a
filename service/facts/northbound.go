package facts

import (
	"database/sql"
	"slices"
	"strings"

	"neutrino/driver/ovn"
	"neutrino/engine"
	"neutrino/service/network"
	"neutrino/service/router"
	"neutrino/service/security"
	"neutrino/store"
)

// The facts in the words of driver/ovn. Each function gives those with ids; nil asks for all.

// OVNNetworks gives networks with their subnets.
func (r *Reader) OVNNetworks(c *engine.Call, ids []string) ([]*ovn.Network, error) {
	networks, err := r.Network.Networks.Find(c, byIDs(ids))
	if err != nil {
		return nil, err
	}
	cond := store.Cond{}
	if ids != nil {
		cond = store.In("t.network_id", ids)
	}
	subnets, err := r.Network.Subnets.Find(c, cond)
	if err != nil {
		return nil, err
	}
	byNetwork := map[string][]ovn.Subnet{}
	for _, s := range subnets {
		byNetwork[s.NetworkID] = append(byNetwork[s.NetworkID], ovn.Subnet{
			ID: s.ID, Revision: s.Revision, CIDR: s.CIDR, Gateway: s.Gateway, EnableDHCP: s.EnableDHCP, RAMode: s.RAMode, AddressMode: s.AddressMode,
			DNS: s.DNS, Routes: ovnRoutes(s.Routes),
		})
	}
	for _, list := range byNetwork {
		slices.SortFunc(list, func(a, b ovn.Subnet) int { return strings.Compare(a.ID, b.ID) })
	}
	out := make([]*ovn.Network, len(networks))
	for i, n := range networks {
		out[i] = &ovn.Network{
			ID: n.ID, Name: n.Name, ProjectID: n.ProjectID, Revision: n.Revision, AdminStateUp: n.AdminStateUp, MTU: n.MTU, External: n.External, Transparent: n.VLANTransparent, QinQ: n.QinQ,
			DNSDomain: strings.TrimSuffix(n.LocalDomain(), "."), ZoneHints: r.Network.Config().Zones(n.ZoneHints), QoSPolicyID: n.QoSPolicyID, Subnets: byNetwork[n.ID],
		}
		for _, g := range n.Segments {
			segment := ovn.Segment{ID: g.ID, Type: g.Type, Physical: g.Physical}
			if g.Type == "vlan" {
				segment.VLAN = g.SegmentID
			}
			out[i].Segments = append(out[i].Segments, segment)
		}
	}
	return out, nil
}

func ovnRoutes(list []network.Route) []ovn.Route {
	var out []ovn.Route
	for _, route := range list {
		out = append(out, ovn.Route{Destination: route.Destination, NextHop: route.NextHop})
	}
	return out
}

// OVNPorts gives ports, with the trunks and further hosts that they have.
func (r *Reader) OVNPorts(c *engine.Call, ids []string) ([]*ovn.Port, error) {
	ports, err := r.Network.Ports.Find(c, byIDs(ids))
	if err != nil {
		return nil, err
	}
	carried, err := subPorts(c, ids)
	if err != nil {
		return nil, err
	}
	moving := map[string]string{}
	where := store.Where("vif_type = 'ovs'")
	if ids != nil {
		where = store.And(store.In("port_id", ids), where)
	}
	if err := c.Tx.Each(func(rows *sql.Rows) error {
		var id, host string
		err := rows.Scan(&id, &host)
		moving[id] = host
		return err
	}, "SELECT port_id, host FROM port_bindings"+where.Clause()+" ORDER BY host", where.Args...); err != nil {
		return nil, err
	}
	out := make([]*ovn.Port, len(ports))
	for i, p := range ports {
		out[i] = ovnPort(p)
		if s := carried[p.ID]; s != nil {
			out[i].Parent, out[i].Tag = s.Parent, int(s.VLAN)
		}
		out[i].MigratingTo = moving[p.ID]
		if to, ok := p.Profile["migrating_to"].(string); ok && to != "" {
			out[i].MigratingTo = to
		}
	}
	return out, nil
}

func ovnPort(p *network.Port) *ovn.Port {
	out := &ovn.Port{
		ID: p.ID, Name: p.Name, ProjectID: p.ProjectID, NetworkID: p.NetworkID, Revision: p.Revision, AdminStateUp: p.AdminStateUp, MAC: p.MAC,
		DeviceID: p.DeviceID, DeviceOwner: p.DeviceOwner, PortSecurity: p.PortSecurity, Groups: p.SecurityGroups, Hostname: p.Hostname(),
		VNICType: p.VNICType, External: p.External(), Host: p.Host, Bound: p.Bound(), QoSPolicyID: p.QoSPolicyID,
	}
	for _, f := range p.FixedIPs {
		out.FixedIPs = append(out.FixedIPs, ovn.FixedIP{SubnetID: f.SubnetID, IP: f.IP})
	}
	for _, o := range p.Options {
		if o.Value != nil {
			out.DHCP = append(out.DHCP, ovn.DHCPOption{Name: o.Name, Value: *o.Value, IPVersion: o.IPVersion})
		}
	}
	for _, pair := range p.Pairs {
		out.Pairs = append(out.Pairs, ovn.AddressPair{MAC: pair.MAC, IP: pair.Prefix()})
	}
	return out
}

// OVNGroups gives security groups with their rules.
func (r *Reader) OVNGroups(c *engine.Call, ids []string) ([]*ovn.Group, error) {
	groups, err := r.Security.Groups.Find(c, byIDs(ids))
	if err != nil {
		return nil, err
	}
	out := make([]*ovn.Group, len(groups))
	for i, g := range groups {
		out[i] = &ovn.Group{ID: g.ID, Revision: g.Revision, Stateful: g.Stateful}
		for _, rule := range g.Rules {
			out[i].Rules = append(out[i].Rules, ovn.Rule{
				ID: rule.ID, Ingress: rule.Ingress(), IPv6: rule.Ethertype == security.IPv6, Protocol: rule.Number(), PortMin: rule.PortMin, PortMax: rule.PortMax,
				RemotePrefix: rule.Normalized(), RemoteGroup: rule.RemoteGroupID, RemoteAddresses: rule.AddressGroupID,
			})
		}
	}
	return out, nil
}

// OVNAddressGroups gives address groups.
func (r *Reader) OVNAddressGroups(c *engine.Call, ids []string) ([]*ovn.AddressGroup, error) {
	groups, err := r.Security.AddressGroups.Find(c, byIDs(ids))
	out := make([]*ovn.AddressGroup, len(groups))
	for i, g := range groups {
		out[i] = &ovn.AddressGroup{ID: g.ID, Revision: g.Revision, Addresses: g.Addresses}
	}
	return out, err
}

// OVNRouters gives routers without their ports.
func (r *Reader) OVNRouters(c *engine.Call, ids []string) ([]*ovn.Router, error) {
	routers, err := r.Router.Routers.Find(c, byIDs(ids))
	if err != nil {
		return nil, err
	}
	chassis, err := r.Router.Chassis(c, ids)
	out := make([]*ovn.Router, len(routers))
	for i, x := range routers {
		out[i] = &ovn.Router{
			ID: x.ID, Name: x.Name, Revision: x.Revision, AdminStateUp: x.AdminStateUp, EnableSNAT: x.EnableSNAT, ZoneHints: r.Network.Config().Zones(x.ZoneHints),
			Routes: ovnRoutes(x.Routes), QoSPolicyID: x.GatewayQoS, ECMP: x.ECMP, BFD: x.BFD, Chassis: chassis[x.ID],
		}
		for _, g := range x.Gateways {
			out[i].Gateways = append(out[i].Gateways, g.PortID)
		}
	}
	return out, err
}

// OVNFloatingIPs gives floating IPs with their port forwardings.
func (r *Reader) OVNFloatingIPs(c *engine.Call, ids []string) ([]*ovn.FloatingIP, error) {
	floating, err := r.Router.FloatingIPs.Find(c, byIDs(ids))
	if err != nil {
		return nil, err
	}
	holders := make([]string, len(floating))
	for i, f := range floating {
		holders[i] = f.FloatingPort
	}
	cond := store.Where("t.device_owner = ?", router.OwnerFloating)
	if ids != nil {
		cond = store.In("t.id", holders)
	}
	ports, err := r.Network.Ports.Find(c, cond)
	if err != nil {
		return nil, err
	}
	byID := map[string]*network.Port{}
	for _, p := range ports {
		byID[p.ID] = p
	}
	out := make([]*ovn.FloatingIP, len(floating))
	for i, f := range floating {
		out[i] = &ovn.FloatingIP{
			ID: f.ID, Revision: f.Revision, NetworkID: f.NetworkID, RouterID: f.RouterID, IP: f.IP, FixedIP: f.FixedIP, PortID: f.PortID, QoSPolicyID: f.QoSPolicyID,
		}
		if p := byID[f.FloatingPort]; p != nil {
			out[i].MAC = p.MAC
		}
		for _, w := range f.Forwardings {
			forwarding := ovn.Forwarding{ID: w.ID, Protocol: w.Protocol, InternalIP: w.InternalIP}
			forwarding.ExternalFirst, forwarding.ExternalLast = w.External.Bounds()
			forwarding.InternalFirst, forwarding.InternalLast = w.Internal.Bounds()
			out[i].Forwardings = append(out[i].Forwardings, forwarding)
		}
	}
	return out, nil
}

// OVNPolicies gives QoS policies with their rules.
func (r *Reader) OVNPolicies(c *engine.Call, ids []string) ([]*ovn.Policy, error) {
	where := store.Cond{}
	if ids != nil {
		where = store.In("p.id", ids)
	}
	byID := map[string]*ovn.Policy{}
	var out []*ovn.Policy
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var id string
		var kind, direction sql.NullString
		var amount, burst sql.NullInt64
		if err := rows.Scan(&id, &kind, &direction, &amount, &burst); err != nil {
			return err
		}
		p := byID[id]
		if p == nil {
			p = &ovn.Policy{ID: id}
			byID[id] = p
			out = append(out, p)
		}
		if kind.Valid {
			p.Rules = append(p.Rules, ovn.QoSRule{Type: kind.String, Direction: direction.String, Amount: int(amount.Int64), Burst: int(burst.Int64)})
		}
		return nil
	}, "SELECT p.id, q.rule_type, q.direction, q.amount, q.burst FROM qos_policies p LEFT JOIN qos_rules q ON q.policy_id = p.id"+where.Clause()+" ORDER BY p.id, q.id", where.Args...)
	return out, err
}
