// Package facts reads from the services what hosts need to know, in the words of desired. It is the
// hub's source; it decides nothing.
package facts

import (
	"encoding/base64"
	"net/netip"
	"slices"
	"strings"

	"neutrino/desired"
	"neutrino/engine"
	"neutrino/service/agent"
	"neutrino/service/compute"
	"neutrino/service/network"
	"neutrino/service/router"
	"neutrino/service/security"
	"neutrino/store"
)

// Reader reads facts from the services.
type Reader struct {
	Engine   *engine.Engine
	Agents   *agent.Service
	Network  *network.Service
	Security *security.Service
	Router   *router.Service
	Compute  *compute.Service // is told of ports' statuses; nil: nobody is
}

// byIDs is the condition for some objects, or with no ids for all.
func byIDs(ids []string) store.Cond {
	if ids == nil {
		return store.Cond{}
	}
	return store.In("t.id", ids)
}

// Hosts gives hosts by name; nil asks for all.
func (r *Reader) Hosts(c *engine.Call, names []string) ([]*desired.Host, error) {
	cond := store.Where("t.agent_type = ?", agent.OpenVSwitch)
	if names != nil {
		cond = store.And(cond, store.In("t.host", names))
	}
	agents, err := r.Agents.Agents.Find(c, cond)
	if err != nil {
		return nil, err
	}
	hosts := make([]*desired.Host, len(agents))
	for i, a := range agents {
		hosts[i] = &desired.Host{Name: a.Host}
		if text, ok := a.Configurations["tunneling_ip"].(string); ok {
			hosts[i].TunnelIP, _ = netip.ParseAddr(text)
		}
	}
	return hosts, nil
}

// Networks gives networks with their subnets; nil asks for all.
func (r *Reader) Networks(c *engine.Call, ids []string) ([]*desired.Network, error) {
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
	byNetwork := map[string][]desired.Subnet{}
	for _, s := range subnets {
		byNetwork[s.NetworkID] = append(byNetwork[s.NetworkID], subnetItem(s))
	}
	limits, err := qosOf(c, "networks", ownPolicy, ids)
	if err != nil {
		return nil, err
	}
	items := make([]*desired.Network, len(networks))
	for i, n := range networks {
		items[i] = &desired.Network{
			ID: n.ID, ProjectID: n.ProjectID, MTU: n.MTU, Type: n.Type, Physical: n.Physical, SegmentationID: max(n.SegmentID, 0),
			AdminStateUp: n.AdminStateUp, External: n.External, DNSDomain: n.LocalDomain(), Subnets: byNetwork[n.ID], QoS: limits[n.ID],
		}
		if len(n.Segments) > 1 {
			for _, g := range n.Segments {
				items[i].Segments = append(items[i].Segments, desired.Segment{Type: g.Type, Physical: g.Physical, SegmentationID: max(g.SegmentID, 0)})
			}
		}
		slices.SortFunc(items[i].Subnets, func(a, b desired.Subnet) int { return strings.Compare(a.ID, b.ID) })
	}
	return items, nil
}

func subnetItem(s *network.Subnet) desired.Subnet {
	return desired.Subnet{
		ID: s.ID, CIDR: s.CIDR, Gateway: s.Gateway, EnableDHCP: s.EnableDHCP, RAMode: s.RAMode, AddressMode: s.AddressMode,
		DNS: s.DNS, Routes: routes(s.Routes),
	}
}

func routes(list []network.Route) []desired.Route {
	out := make([]desired.Route, len(list))
	for i, route := range list {
		out[i] = desired.Route{Destination: route.Destination, NextHop: route.NextHop}
	}
	return out
}

// Ports gives ports with all that their hosts need, and their status as the API shows it.
func (r *Reader) Ports(c *engine.Call, ids []string) ([]*desired.Port, map[string]Status, error) {
	ports, err := r.Network.Ports.Find(c, byIDs(ids))
	if err != nil {
		return nil, nil, err
	}
	limits, err := qosOf(c, "ports", ownPolicy, ids)
	if err != nil {
		return nil, nil, err
	}
	carried, err := subPorts(c, ids)
	if err != nil {
		return nil, nil, err
	}
	items := make([]*desired.Port, len(ports))
	statuses := make(map[string]Status, len(ports))
	for i, p := range ports {
		items[i] = portItem(p)
		items[i].QoS, items[i].SubPort = limits[p.ID], carried[p.ID]
		statuses[p.ID] = Status{p.Status, p.StatusReason}
	}
	return items, statuses, nil
}

// Status is what the API shows of a thing's state.
type Status struct {
	Status string
	Reason string
}

func portItem(p *network.Port) *desired.Port {
	item := &desired.Port{
		ID: p.ID, Revision: p.Revision, NetworkID: p.NetworkID, ProjectID: p.ProjectID, Host: p.Host, MAC: p.MAC,
		DeviceID: p.DeviceID, DeviceOwner: p.DeviceOwner, AdminStateUp: p.AdminStateUp, VNICType: p.VNICType,
		Hostname: p.Hostname(), PortSecurity: p.PortSecurity, SecurityGroups: p.SecurityGroups, Metadata: metadata(p),
	}
	if !p.Bound() {
		item.Host = ""
	}
	if driver := p.Driver(); driver != network.Openvswitch {
		item.WiredBy = driver
	}
	item.AnsweredBy = p.AnsweredBy
	for _, f := range p.FixedIPs {
		item.FixedIPs = append(item.FixedIPs, desired.FixedIP{SubnetID: f.SubnetID, IP: f.IP})
	}
	for _, o := range p.Options {
		if o.Value != nil {
			item.DHCP = append(item.DHCP, desired.DHCPOption{Name: o.Name, Value: *o.Value, IPVersion: o.IPVersion})
		}
	}
	for _, pair := range p.Pairs {
		item.AddressPairs = append(item.AddressPairs, desired.AddressPair{MAC: pair.MAC, IP: pair.Prefix()})
	}
	return item
}

// metadata is what we answer an instance ourselves: the port's name, and from its binding profile
// the keys user_data (base64) and public_keys (name → key), which an administrator's tool puts there.
func metadata(p *network.Port) *desired.Metadata {
	m := &desired.Metadata{Name: p.Name}
	if text, ok := p.Profile["user_data"].(string); ok {
		if data, err := base64.StdEncoding.DecodeString(text); err == nil {
			m.UserData = data
		}
	}
	if keys, ok := p.Profile["public_keys"].(map[string]any); ok {
		m.PublicKeys = map[string]string{}
		for name, key := range keys {
			if text, ok := key.(string); ok {
				m.PublicKeys[name] = text
			}
		}
	}
	return m
}

// Groups gives security groups with their rules; nil asks for all.
func (r *Reader) Groups(c *engine.Call, ids []string) ([]*desired.SecurityGroup, error) {
	groups, err := r.Security.Groups.Find(c, byIDs(ids))
	if err != nil {
		return nil, err
	}
	addresses, err := r.Security.AddressesOf(c, groups)
	if err != nil {
		return nil, err
	}
	items := make([]*desired.SecurityGroup, len(groups))
	for i, g := range groups {
		items[i] = &desired.SecurityGroup{ID: g.ID, Stateful: g.Stateful}
		for _, rule := range g.Rules {
			item := desired.Rule{
				ID: rule.ID, Ingress: rule.Ingress(), IPv6: rule.Ethertype == security.IPv6, Protocol: rule.Number(),
				PortMin: rule.PortMin, PortMax: rule.PortMax, RemotePrefix: rule.Normalized(), RemoteGroup: rule.RemoteGroupID,
			}
			if rule.AddressGroupID == "" {
				items[i].Rules = append(items[i].Rules, item)
				continue
			}
			for _, prefix := range addresses[rule.AddressGroupID] { // one rule for each; none lets nothing pass
				if prefix.Addr().Is6() == item.IPv6 {
					item.ID, item.RemotePrefix = rule.ID+" "+prefix.String(), prefix
					items[i].Rules = append(items[i].Rules, item)
				}
			}
		}
		slices.SortFunc(items[i].Rules, func(a, b desired.Rule) int { return strings.Compare(a.ID, b.ID) })
	}
	return items, nil
}
