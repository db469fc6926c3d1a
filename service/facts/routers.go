package facts

import (
	"net/netip"
	"slices"
	"strings"

	"neutrino/desired"
	"neutrino/engine"
	"neutrino/service/network"
	"neutrino/service/router"
	"neutrino/store"
)

// Routers gives routers with their ports, subnets and floating IPs (nil asks for all), and what the
// API shows of the routers' and of the floating IPs' state, and next of what routers' next hosts say.
func (r *Reader) Routers(c *engine.Call, ids []string) (items []*desired.Router, statuses, next, floating map[string]Status, err error) {
	routers, err := r.Router.Routers.Find(c, byIDs(ids))
	if err != nil {
		return nil, nil, nil, nil, err
	}
	around, err := r.around(c, ids)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	items = make([]*desired.Router, len(routers))
	statuses, next, floating = map[string]Status{}, map[string]Status{}, map[string]Status{}
	for i, rt := range routers {
		statuses[rt.ID] = Status{rt.Status, rt.StatusReason}
		if rt.NextHost != "" {
			next[rt.ID] = Status{rt.NextStatus, rt.NextReason}
		}
		items[i] = &desired.Router{
			ID: rt.ID, Revision: rt.Revision, ProjectID: rt.ProjectID, Host: rt.Host, AdminStateUp: rt.AdminStateUp, ECMP: rt.ECMP, Routes: routes(rt.Routes), Next: rt.NextHost,
		}
		for _, p := range around.ports[rt.ID] {
			port := around.routerPort(p)
			if p.DeviceOwner != router.OwnerGateway {
				items[i].Interfaces = append(items[i].Interfaces, port)
			}
		}
		for at, g := range rt.Gateways {
			p := around.port(rt.ID, g.PortID)
			if p == nil {
				continue
			}
			port := around.routerPort(p)
			gateway := desired.Gateway{RouterPort: port, EnableSNAT: rt.EnableSNAT, NextHops: nextHops(port.Subnets), QoS: around.limits(around.gatewayQoS[rt.ID], p.NetworkID)}
			if at == 0 {
				items[i].Gateway = &gateway
			} else {
				items[i].Further = append(items[i].Further, gateway)
			}
		}
		slices.SortFunc(items[i].Interfaces, func(a, b desired.RouterPort) int { return strings.Compare(a.PortID, b.PortID) })
		if rt.NDPProxy {
			items[i].Proxied = &desired.Proxied{Addresses: around.proxied[rt.ID]}
		}
		for _, f := range around.floating[rt.ID] {
			floating[f.ID] = Status{f.Status, f.StatusReason}
			items[i].FloatingIPs = append(items[i].FloatingIPs, desired.FloatingIP{
				ID: f.ID, Revision: f.Revision, Floating: f.IP, Fixed: f.FixedIP, Gateway: gatewayOf(rt, f), Forwards: forwards(f.Forwardings),
				QoS: around.limits(around.floatingQoS[f.ID], f.NetworkID),
			})
		}
		slices.SortFunc(items[i].FloatingIPs, func(a, b desired.FloatingIP) int { return strings.Compare(a.ID, b.ID) })
	}
	return items, statuses, next, floating, nil
}

// forwards are a floating IP's port forwardings.
func forwards(list []router.PortForwarding) (out []desired.Forward) {
	for _, w := range list {
		first, last := w.External.Bounds()
		toFirst, toLast := w.Internal.Bounds()
		out = append(out, desired.Forward{
			ID: w.ID, Protocol: w.Protocol, First: uint16(first), Last: uint16(last), To: w.InternalIP, ToFirst: uint16(toFirst), ToLast: uint16(toLast),
		})
	}
	return out
}

// gatewayOf is the gateway that a floating IP is on: the first on its network. "" is the router's first, which needs no
// saying.
func gatewayOf(r *router.Router, f *router.FloatingIP) string {
	for i, g := range r.Gateways {
		if g.NetworkID == f.NetworkID && i > 0 {
			return g.PortID
		}
		if g.NetworkID == f.NetworkID {
			break
		}
	}
	return ""
}

// surroundings are what routers are made of beside their own rows, read at once for all.
type surroundings struct {
	ports    map[string][]*network.Port // router id → its ports
	subnets  map[string]*network.Subnet
	mtus     map[string]int    // network id → MTU
	owners   map[string]string // network id → project
	floating map[string][]*router.FloatingIP
	proxied  map[string][]netip.Addr // router id → addresses of NDP proxies, sorted

	gatewayQoS, floatingQoS, networkQoS map[string]*desired.QoS // router id, floating IP's id, network id → what its policy says
}

func (r *Reader) around(c *engine.Call, ids []string) (*surroundings, error) {
	a := &surroundings{
		ports: map[string][]*network.Port{}, subnets: map[string]*network.Subnet{}, mtus: map[string]int{}, owners: map[string]string{}, floating: map[string][]*router.FloatingIP{},
		proxied: map[string][]netip.Addr{},
	}
	mine, associated, proxies := router.PortsOf(ids), store.Where("t.router_id <> ''"), store.Cond{}
	if ids != nil {
		associated = store.In("t.router_id", ids)
		proxies = associated
	}
	ports, err := r.Network.Ports.Find(c, mine)
	if err != nil {
		return nil, err
	}
	networks, mapped, seen := []string{}, []string{}, map[string]bool{}
	for _, p := range ports {
		a.ports[p.DeviceID] = append(a.ports[p.DeviceID], p)
		if !seen[p.NetworkID] {
			seen[p.NetworkID] = true
			networks = append(networks, p.NetworkID)
		}
	}
	near := func(column string) store.Cond { return store.In(column, networks) }
	if ids == nil { // all: a statement can't name them one by one
		near = func(string) store.Cond { return store.Cond{} }
	}
	subnets, err := r.Network.Subnets.Find(c, near("t.network_id"))
	if err != nil {
		return nil, err
	}
	for _, s := range subnets {
		a.subnets[s.ID] = s
	}
	found, err := r.Network.Networks.Find(c, near("t.id"))
	if err != nil {
		return nil, err
	}
	for _, n := range found {
		a.mtus[n.ID], a.owners[n.ID] = n.MTU, n.ProjectID
	}
	floating, err := r.Router.FloatingIPs.Find(c, associated)
	if err != nil {
		return nil, err
	}
	answered, err := r.Router.Proxies.Find(c, proxies)
	if err != nil {
		return nil, err
	}
	for _, n := range answered {
		a.proxied[n.RouterID] = append(a.proxied[n.RouterID], n.IP)
	}
	for _, list := range a.proxied {
		slices.SortFunc(list, netip.Addr.Compare)
	}
	for _, f := range floating {
		a.floating[f.RouterID] = append(a.floating[f.RouterID], f)
		mapped = append(mapped, f.ID)
	}
	if ids == nil {
		networks, mapped = nil, nil
	}
	if a.gatewayQoS, err = qosOf(c, "routers", gatewayPolicy, ids); err != nil {
		return nil, err
	}
	if a.floatingQoS, err = qosOf(c, "floatingips", ownPolicy, mapped); err != nil {
		return nil, err
	}
	a.networkQoS, err = qosOf(c, "networks", ownPolicy, networks)
	return a, err
}

// limits is what an own policy says of traffic outside, or else that of the external network; nil: nothing.
func (a *surroundings) limits(own *desired.QoS, network string) *desired.QoS {
	if own != nil {
		return own
	}
	return a.networkQoS[network]
}

// port finds a port of a router.
func (a *surroundings) port(router, id string) *network.Port {
	for _, p := range a.ports[router] {
		if p.ID == id {
			return p
		}
	}
	return nil
}

func (a *surroundings) routerPort(p *network.Port) desired.RouterPort {
	port := desired.RouterPort{PortID: p.ID, NetworkID: p.NetworkID, MAC: p.MAC, MTU: a.mtus[p.NetworkID]}
	for _, f := range p.FixedIPs {
		s := a.subnets[f.SubnetID]
		if s == nil {
			continue
		}
		port.Addresses = append(port.Addresses, netip.PrefixFrom(f.IP, s.CIDR.Bits()))
		if !slices.ContainsFunc(port.Subnets, func(have desired.Subnet) bool { return have.ID == s.ID }) {
			subnet := subnetItem(s)
			if !a.advertises(p, s) {
				subnet.RAMode = ""
			}
			port.Subnets = append(port.Subnets, subnet)
		}
	}
	return port
}

// advertises says whether a router tells a subnet's instances that it is their router. On another project's network only
// the one does that the subnet names as its gateway.
func (a *surroundings) advertises(p *network.Port, s *network.Subnet) bool {
	return p.ProjectID == a.owners[p.NetworkID] ||
		slices.ContainsFunc(p.FixedIPs, func(f network.FixedIP) bool { return f.SubnetID == s.ID && f.IP == s.Gateway })
}

// nextHops are the subnets' gateways, one of each family.
func nextHops(subnets []desired.Subnet) []netip.Addr {
	var hops []netip.Addr
	for _, s := range subnets {
		if s.Gateway.IsValid() && !slices.ContainsFunc(hops, func(h netip.Addr) bool { return h.Is4() == s.Gateway.Is4() }) {
			hops = append(hops, s.Gateway)
		}
	}
	return hops
}
