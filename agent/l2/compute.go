package l2

import (
	"maps"
	"net/netip"
	"slices"

	"neutrino/agent"
	"neutrino/agent/firewall"
	"neutrino/dataplane/openflow"
	"neutrino/desired"
)

// compute gives the bridges the flows of everything that the change touches, and says which ports
// must be reported: those of this host, and those that were. Nothing is written yet.
func (m *Manager) compute(state *desired.State, change agent.Change, replugged []string, everything bool) map[string]bool {
	ports, networks, hosts := map[string]bool{}, map[string]bool{}, map[string]bool{}
	if len(replugged) > 0 {
		carried := m.subPortsOf(state)
		for _, id := range replugged {
			ports[id] = true
			if p := state.Ports[id]; p != nil {
				networks[p.NetworkID] = true
			}
			for _, p := range carried[id] {
				ports[p.ID], networks[p.NetworkID] = true, true
			}
		}
	}
	members := map[desired.Key]bool{}
	if everything {
		m.all(state, ports, networks, hosts, members)
	}
	for key := range change.Keys {
		switch key.Kind {
		case desired.KindPort:
			ports[key.ID] = true
			if p := state.Ports[key.ID]; p != nil {
				networks[p.NetworkID] = true
			}
		case desired.KindNetwork:
			networks[key.ID] = true
			for id := range state.PortsOf[key.ID] {
				ports[id] = true
			}
		case desired.KindHost:
			hosts[key.ID] = true
			for id, p := range state.Ports {
				if p.Host == key.ID {
					ports[id], networks[p.NetworkID] = true, true
				}
			}
		case desired.KindSecurityGroup:
			for id, p := range state.Ports {
				if p.Wired(m.options.Host) && slices.Contains(p.SecurityGroups, key.ID) {
					ports[id], networks[p.NetworkID] = true, true // a port that is wired now is flooded to
				}
			}
		case desired.KindMember:
			members[key] = true
		}
	}
	// A port that has gone leaves its network without it: find which by what it had.
	for id := range ports {
		if state.Ports[id] == nil {
			for _, network := range m.networksOf(id) {
				networks[network] = true
			}
		}
	}
	// A network that comes to this host, or leaves it, changes what is known of its other ports.
	for id := range networks {
		if m.hasLocal(state, id) != (m.seen[id] != nil) {
			for port := range state.PortsOf[id] {
				ports[port] = true
			}
		}
	}
	m.groups(state, members)
	m.base()
	for name := range hosts {
		m.set(brTun, "host/"+name, m.hostFlows(state.Hosts[name]))
	}
	for id := range ports {
		m.port(state, id)
	}
	for id := range networks {
		m.network(state, id)
	}
	local := map[string]bool{}
	for id := range ports {
		if m.local(state, id) != nil || m.told[id] {
			local[id] = true
		}
	}
	return local
}

// all names everything that there is, in the state and in the flows.
func (m *Manager) all(state *desired.State, ports, networks, hosts map[string]bool, members map[desired.Key]bool) {
	for id := range state.Ports {
		ports[id] = true
	}
	for id := range state.Networks {
		networks[id] = true
	}
	for name := range state.Hosts {
		hosts[name] = true
	}
	for group, list := range state.MembersOf {
		for port := range list {
			members[desired.MemberKey(group, port)] = true
		}
	}
	for _, b := range m.plans {
		for _, key := range b.Keys() {
			kind, id, _ := cut(key)
			switch kind {
			case "port":
				ports[id] = true
			case "net":
				networks[id] = true
			case "host":
				hosts[id] = true
			}
		}
	}
}

func cut(key string) (kind, id string, ok bool) {
	for i := range len(key) {
		if key[i] == '/' {
			return key[:i], key[i+1:], true
		}
	}
	return key, "", false
}

// set gives flows to a bridge that is there; a host without tunnels has no br-tun.
func (m *Manager) set(bridge, key string, flows []openflow.Flow) {
	if b := m.plans[bridge]; b != nil {
		b.Set(key, flows)
	}
}

// networksOf gives the networks that have this port in what was computed for them last.
func (m *Manager) networksOf(port string) []string {
	var out []string
	for network, ports := range m.seen {
		if ports[port] {
			out = append(out, network)
		}
	}
	return out
}

// groups brings the remote groups' address flows up to date: for members that came or went, and for
// all of a group whose use by rules has changed.
func (m *Manager) groups(state *desired.State, members map[desired.Key]bool) {
	uses := firewall.Uses(state.SecurityGroups)
	affected := map[netip.Prefix]bool{}
	changedGroups := map[string]bool{}
	for u := range uses {
		if !m.uses[u] {
			changedGroups[u.Group] = true
			m.set(brInt, useKey(u), firewall.Accept(u, m.numbers))
		}
	}
	for u := range m.uses {
		if !uses[u] {
			changedGroups[u.Group] = true
			m.set(brInt, useKey(u), nil)
		}
	}
	m.uses = uses
	for key := range members {
		group, port, _ := cut(key.ID)
		m.member(group, port, state.MembersOf[group][port], affected)
	}
	if len(changedGroups) > 0 {
		for p, groups := range m.held {
			for group := range groups {
				if changedGroups[group] {
					affected[p] = true
				}
			}
		}
	}
	for p := range affected {
		m.address(p)
	}
}

func useKey(u firewall.Use) string {
	key := "use/" + u.Group
	if u.Ingress {
		key += "/in"
	}
	if u.IPv6 {
		key += "/6"
	}
	return key
}

// member notes the addresses that a port brings to a group (nil: none any more).
func (m *Manager) member(group, port string, item *desired.Member, affected map[netip.Prefix]bool) {
	var now []netip.Prefix
	if item != nil {
		now = item.Addresses
	}
	id := group + "/" + port
	for _, p := range m.brought[id] {
		if slices.Contains(now, p) {
			continue
		}
		delete(m.held[p][group], port)
		if len(m.held[p][group]) == 0 {
			delete(m.held[p], group)
		}
		if len(m.held[p]) == 0 {
			delete(m.held, p)
		}
		affected[p] = true
	}
	for _, p := range now {
		if m.held[p] == nil {
			m.held[p] = map[string]map[string]bool{}
		}
		if m.held[p][group] == nil {
			m.held[p][group] = map[string]bool{}
			affected[p] = true
		}
		m.held[p][group][port] = true
	}
	if len(now) == 0 {
		delete(m.brought, id)
	} else {
		m.brought[id] = slices.Clone(now)
	}
}

// address sets the flows of one address of remote groups.
func (m *Manager) address(p netip.Prefix) {
	var uses []firewall.Use
	for u := range m.uses {
		if len(m.held[p][u.Group]) > 0 {
			uses = append(uses, u)
		}
	}
	m.set(brInt, "addr/"+p.String(), firewall.Address(p, uses, m.numbers))
}

// port sets the flows of one port, local or not.
func (m *Manager) port(state *desired.State, id string) {
	p := state.Ports[id]
	var n *desired.Network
	if p != nil {
		n = state.Networks[p.NetworkID]
	}
	var inside, tunnel []openflow.Flow
	switch {
	case p == nil || n == nil:
	case p.Wired(m.options.Host):
		if why := m.whyNot(state, p); why == "" {
			inside = m.localFlows(state, p, n)
		}
	case m.hasLocal(state, n.ID) && p.AdminStateUp:
		by, h := m.tunnelPort(n.Type), state.Hosts[p.Host]
		if by != "" && !m.meets(h) {
			break // nobody here knows the way
		}
		inside = awayFlows(p, m.way(n))
		if by != "" {
			tunnel = remoteFlows(p, m.vlan(n.ID), uint64(n.SegmentationID), h.TunnelIP, m.facts.patch[by])
		}
	}
	m.set(brInt, "port/"+id, inside)
	m.set(brTun, "port/"+id, tunnel)
}

// whyNot is why, after making sure that the network has a local VLAN.
func (m *Manager) whyNot(state *desired.State, p *desired.Port) string {
	m.vlan(p.NetworkID)
	return m.why(state, p)
}

// hasLocal says whether a port of the network is bound here.
func (m *Manager) hasLocal(state *desired.State, network string) bool {
	for _, p := range state.PortsOf[network] {
		if p.Wired(m.options.Host) {
			return true
		}
	}
	return false
}

// network sets the flows that a network has as a whole: flooding, and its way in and out.
func (m *Manager) network(state *desired.State, id string) {
	n := state.Networks[id]
	key := "net/" + id
	if n == nil || !m.hasLocal(state, id) {
		m.set(brInt, key, nil)
		for name := range m.plans {
			if name != brInt {
				m.set(name, key, nil)
			}
		}
		switch {
		case m.hasLocal(state, id): // its ports came first: the local VLAN that they may have stays
			m.see(state, id)
		case n == nil:
			delete(m.vlans, id)
			fallthrough
		default:
			delete(m.seen, id)
		}
		return
	}
	vlan := m.vlan(id)
	if vlan == 0 {
		return
	}
	m.see(state, id)

	w := m.way(n)
	switch {
	case !n.AdminStateUp:
	case m.tunnelPort(n.Type) != "":
		m.set(brTun, key, tunnelFlows(n, vlan, m.remoteHosts(state, id), m.facts.patch[m.tunnelPort(n.Type)], m.facts.patch[patchInt]))
	case n.Type == "flat" || n.Type == "vlan":
		bridge := m.options.Mappings[n.Physical]
		m.set(bridge, key, physicalFlows(n, vlan, m.facts.phys[bridge]))
	}
	var locals []localPort
	for _, port := range slices.Sorted(maps.Keys(state.PortsOf[id])) {
		p := state.Ports[port]
		if p.Wired(m.options.Host) && n.AdminStateUp && m.why(state, p) == "" {
			locals = append(locals, localPort{p, m.placeOf(p), m.guards(p)})
		}
	}
	m.set(brInt, key, networkFlows(n, w, locals))
}

// way is how a network leaves br-int; one that is down does not.
func (m *Manager) way(n *desired.Network) way {
	w := way{vlan: m.vlan(n.ID)}
	switch {
	case !n.AdminStateUp:
	case m.tunnelPort(n.Type) != "":
		w.out = m.facts.patch[patchTun]
	case n.Type == "flat" || n.Type == "vlan":
		w.out = m.facts.patch[peerName("int-", m.options.Mappings[n.Physical])]
	}
	return w
}

// see notes which ports a network has.
func (m *Manager) see(state *desired.State, network string) {
	ports := make(map[string]bool, len(state.PortsOf[network]))
	for port := range state.PortsOf[network] {
		ports[port] = true
	}
	m.seen[network] = ports
}

// remoteHosts are the tunnel addresses of the other hosts that have a port on the network, sorted.
func (m *Manager) remoteHosts(state *desired.State, network string) []netip.Addr {
	var out []netip.Addr
	for _, p := range state.PortsOf[network] {
		h := state.Hosts[p.Host]
		if p.Host != m.options.Host && m.meets(h) && !slices.Contains(out, h.TunnelIP) {
			out = append(out, h.TunnelIP)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}
