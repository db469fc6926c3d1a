package ovn

import (
	"net/netip"
	"reflect"
	"slices"
)

func (m *Model) setNetwork(id string, n *Network) {
	o := object{KindNetwork, id}
	old, changed := replace(m, m.networks, o, n)
	if !changed {
		return
	}
	if old != nil {
		m.use(old.QoSPolicyID, o, false)
	}
	if n != nil {
		m.use(n.QoSPolicyID, o, true)
	}
	m.touch(KindPort, m.externalPorts[id])
	if old != nil && n != nil { // what others see of it
		a, b := *old, *n
		a.Name, a.Revision, a.ZoneHints, b.Name, b.Revision, b.ZoneHints = "", 0, nil, "", 0, nil
		if reflect.DeepEqual(a, b) {
			return
		}
	}
	m.touch(KindPort, m.portsOn[id])
	for router := range m.routersOn[id] {
		m.touchRouter(router)
	}
}

func (m *Model) setGroup(id string, g *Group) {
	old, changed := replace(m, m.groups, object{KindGroup, id}, g)
	if !changed {
		return
	}
	if old != nil {
		for _, r := range old.Rules {
			m.remoteOf.drop(r.RemoteGroup, id)
		}
	}
	if g != nil {
		for _, r := range g.Rules {
			m.remoteOf.add(r.RemoteGroup, id)
		}
	}
}

// touchRouter makes a router and what hangs on it stale.
func (m *Model) touchRouter(id string) {
	m.stale[object{KindRouter, id}] = true
	m.touch(KindFloatingIP, m.floatingOf[id])
	m.touchInside(id)
}

// touchInside makes stale who answers for external ports on a router's networks: that follows the router's gateway.
func (m *Model) touchInside(router string) {
	for id := range m.routerPorts[router] {
		m.touchExternal(m.ports[id].NetworkID)
	}
}

// touchExternal makes a network with external ports stale, and them.
func (m *Model) touchExternal(network string) {
	if list := m.externalPorts[network]; len(list) > 0 {
		m.stale[object{KindNetwork, network}] = true
		m.touch(KindPort, list)
	}
}

func (m *Model) setPort(id string, p *Port) {
	o := object{KindPort, id}
	old, changed := replace(m, m.ports, o, p)
	if !changed {
		return
	}
	if old != nil {
		m.indexPort(old, false)
	}
	if p != nil {
		m.indexPort(p, true)
	}
	if (old == nil) != (p == nil) || old.Bound != p.Bound || old.External != p.External {
		m.touch(KindFloatingIP, m.floatingOfPort[id])
	}
}

// indexPort notes or forgets what a port means to others, and makes those stale.
func (m *Model) indexPort(p *Port, on bool) {
	change := func(s sets, key, id string) {
		if on {
			s.add(key, id)
		} else {
			s.drop(key, id)
		}
	}
	at := func(s map[place]map[string]bool, key place) {
		if on {
			addTo(s, key, p.ID)
		} else {
			dropFrom(s, key, p.ID)
		}
	}
	change(m.portsOn, p.NetworkID, p.ID)
	m.use(p.QoSPolicyID, object{KindPort, p.ID}, on)
	if p.External {
		change(m.externalPorts, p.NetworkID, p.ID)
		m.stale[object{KindNetwork, p.NetworkID}] = true
	}
	if isRouterPort(p) {
		change(m.routerPorts, p.DeviceID, p.ID)
		if on {
			m.routersOn.add(p.NetworkID, p.DeviceID)
		} else if !m.joins(p.DeviceID, p.NetworkID) {
			m.routersOn.drop(p.NetworkID, p.DeviceID)
		}
		m.touchRouter(p.DeviceID)
		m.touchExternal(p.NetworkID)
	}
	if isMetadataPort(p) {
		change(m.metadataPorts, p.NetworkID, p.ID)
		m.stale[object{KindNetwork, p.NetworkID}] = true
		for id := range m.portsOn[p.NetworkID] {
			if other := m.ports[id]; other != nil && len(other.DHCP) > 0 {
				m.stale[object{KindPort, id}] = true
			}
		}
	}
	for _, f := range p.FixedIPs {
		at(m.portsAt, place{p.NetworkID, f.IP})
	}
	if !isService(p) && p.PortSecurity {
		for _, g := range p.Groups {
			for _, pair := range p.Pairs {
				name := pairSet(g, pair.IP.Addr().Is6())
				before := len(m.pairsIn[name])
				change(m.pairsIn, name, p.ID)
				if (before == 0) != (len(m.pairsIn[name]) == 0) {
					m.stale[object{KindGroup, g}] = true
					m.touch(KindGroup, m.remoteOf[g])
				}
			}
		}
	}
	for _, pair := range p.Pairs {
		if pair.IP.IsSingleIP() {
			key := place{p.NetworkID, pair.IP.Addr()}
			at(m.pairsAt, key)
			m.touch(KindPort, m.portsAt[key])
		}
	}
}

// joins says whether a router has a port on a network.
func (m *Model) joins(router, network string) bool {
	for id := range m.routerPorts[router] {
		if p := m.ports[id]; p != nil && p.NetworkID == network {
			return true
		}
	}
	return false
}

func (m *Model) setRouter(id string, r *Router) {
	o := object{KindRouter, id}
	old, changed := replace(m, m.routers, o, r)
	if !changed {
		return
	}
	if old != nil {
		m.use(old.QoSPolicyID, o, false)
	}
	if r != nil {
		m.use(r.QoSPolicyID, o, true)
	}
	if (old == nil) != (r == nil) || !slices.Equal(old.Gateways, r.Gateways) {
		m.touch(KindFloatingIP, m.floatingOf[id])
	}
	m.touchInside(id)
}

func (m *Model) setFloating(id string, f *FloatingIP) {
	o := object{KindFloatingIP, id}
	old, changed := replace(m, m.floating, o, f)
	if !changed {
		return
	}
	index := func(f *FloatingIP, on bool) {
		m.use(f.QoSPolicyID, o, on)
		for key, s := range map[string]sets{f.RouterID: m.floatingOf, f.PortID: m.floatingOfPort} {
			switch {
			case key == "":
			case on:
				s.add(key, id)
			default:
				s.drop(key, id)
			}
		}
		if f.PortID != "" {
			m.stale[object{KindPort, f.PortID}] = true
			m.touch(KindFloatingIP, m.floatingOfPort[f.PortID])
		}
	}
	if old != nil {
		index(old, false)
	}
	if f != nil {
		index(f, true)
	}
}

func (m *Model) setPolicy(id string, p *Policy) {
	if _, changed := replace(m, m.policies, object{KindPolicy, id}, p); !changed {
		return
	}
	for user := range m.users[id] {
		m.stale[user] = true
		if user.kind == KindNetwork {
			m.touch(KindPort, m.portsOn[user.id])
			m.touch(KindRouter, m.routersOn[user.id])
			for f, ip := range m.floating {
				if ip.NetworkID == user.id {
					m.stale[object{KindFloatingIP, f}] = true
				}
			}
		}
	}
}

func (m *Model) setChassis(name string, c *Chassis) {
	if _, changed := replace(m, m.chassis, object{KindChassis, name}, c); !changed {
		return
	}
	for id := range m.routers {
		m.stale[object{KindRouter, id}] = true
	}
	for id := range m.externalPorts {
		m.touchExternal(id)
	}
}

// place is an address on a network.
type place struct {
	network string
	ip      netip.Addr
}
