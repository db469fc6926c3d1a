package hub

import (
	"reflect"
	"slices"

	"neutrino/desired"
)

// index holds all items in full, and what is needed to know whom they concern. It is pure: every
// change of it gives a set of (host, key) pairs whose view may be another one now. Facts that are
// what they were touch nobody.
type index struct {
	hosts    map[string]*desired.Host
	networks map[string]*desired.Network
	ports    map[string]*desired.Port
	groups   map[string]*desired.SecurityGroup
	routers  map[string]*desired.Router

	portsOfNetwork map[string]map[string]bool // network → ports
	dhcpPorts      map[string]map[string]bool // network → its DHCP ports
	portsOfGroup   map[string]map[string]bool // security group → ports
	networkHosts   counts                     // network → host → bound ports
	hostNetworks   counts                     // host → network → bound ports
	groupHosts     counts                     // security group → host → bound ports
	hostGroups     counts                     // host → security group → bound ports
	namedBy        map[string]map[string]bool // remote group → groups whose rules name it
	routersOn      map[string]map[string]bool // network → routers with a port there
	hostRouters    map[string]map[string]bool // host → routers scheduled on it, or about to move to it
	routerOf       map[string]string          // floating IP → router

	remote map[string]*desired.Port // ports as other hosts of their networks know them
}

// counts counts by two keys.
type counts map[string]map[string]int

// add changes a count and says whether it came from, or to, zero.
func (c counts) add(a, b string, n int) (edge bool) {
	m := c[a]
	if m == nil {
		m = map[string]int{}
		c[a] = m
	}
	was := m[b]
	m[b] = was + n
	if m[b] == 0 {
		delete(m, b)
		if len(m) == 0 {
			delete(c, a)
		}
	}
	return (was == 0) != (was+n == 0)
}

func newIndex() *index {
	return &index{
		hosts: map[string]*desired.Host{}, networks: map[string]*desired.Network{}, ports: map[string]*desired.Port{},
		groups: map[string]*desired.SecurityGroup{}, routers: map[string]*desired.Router{},
		portsOfNetwork: map[string]map[string]bool{}, portsOfGroup: map[string]map[string]bool{}, dhcpPorts: map[string]map[string]bool{},
		networkHosts: counts{}, hostNetworks: counts{}, groupHosts: counts{}, hostGroups: counts{},
		namedBy: map[string]map[string]bool{}, routersOn: map[string]map[string]bool{},
		hostRouters: map[string]map[string]bool{}, routerOf: map[string]string{}, remote: map[string]*desired.Port{},
	}
}

// touched collects what may have changed for whom.
type touched map[string]map[desired.Key]bool

func (t touched) add(host string, key desired.Key) {
	if t[host] == nil {
		t[host] = map[desired.Key]bool{}
	}
	t[host][key] = true
}

func put(m map[string]map[string]bool, a, b string) {
	if m[a] == nil {
		m[a] = map[string]bool{}
	}
	m[a][b] = true
}

func drop(m map[string]map[string]bool, a, b string) {
	delete(m[a], b)
	if len(m[a]) == 0 {
		delete(m, a)
	}
}

// setHost puts or, with nil, removes a host.
func (x *index) setHost(name string, h *desired.Host, t touched) {
	if !replace(x.hosts, name, h) {
		return
	}
	key := desired.Key{Kind: desired.KindHost, ID: name}
	t.add(name, key)
	for network := range x.hostNetworks[name] {
		for other := range x.networkHosts[network] {
			t.add(other, key)
		}
	}
}

// replace puts or, with nil, removes a thing and says whether that changes anything.
func replace[T any](m map[string]*T, id string, now *T) bool {
	if reflect.DeepEqual(m[id], now) {
		return false
	}
	if now == nil {
		delete(m, id)
	} else {
		m[id] = now
	}
	return true
}

func (x *index) setNetwork(id string, n *desired.Network, t touched) {
	if !replace(x.networks, id, n) {
		return
	}
	for host := range x.networkHosts[id] {
		t.add(host, desired.Key{Kind: desired.KindNetwork, ID: id})
	}
}

func (x *index) setRouter(id string, r *desired.Router, t touched) {
	old := x.routers[id]
	if !replace(x.routers, id, r) {
		return
	}
	key := desired.Key{Kind: desired.KindRouter, ID: id}
	if old != nil {
		t.add(old.Host, key)
		drop(x.hostRouters, old.Host, id)
		if old.Next != "" {
			t.add(old.Next, key)
			drop(x.hostRouters, old.Next, id)
		}
		for _, network := range networksOf(old) {
			drop(x.routersOn, network, id)
		}
		for _, f := range old.FloatingIPs {
			if x.routerOf[f.ID] == id {
				delete(x.routerOf, f.ID)
			}
		}
	}
	if r != nil {
		t.add(r.Host, key)
		put(x.hostRouters, r.Host, id)
		if r.Next != "" {
			t.add(r.Next, key)
			put(x.hostRouters, r.Next, id)
		}
		for _, network := range networksOf(r) {
			put(x.routersOn, network, id)
		}
		for _, f := range r.FloatingIPs {
			x.routerOf[f.ID] = id
		}
	}
}

func networksOf(r *desired.Router) []string {
	var out []string
	for _, i := range r.Interfaces {
		out = append(out, i.NetworkID)
	}
	for _, g := range r.Gateways() {
		out = append(out, g.NetworkID)
	}
	return out
}

// setGroup puts or removes a security group. Hosts with ports in it learn the members of groups
// that its rules newly name, and forget those that no rule of theirs names any more.
func (x *index) setGroup(id string, g *desired.SecurityGroup, t touched) {
	before, after := remoteGroups(x.groups[id]), remoteGroups(g)
	if !replace(x.groups, id, g) {
		return
	}
	for _, remote := range before {
		drop(x.namedBy, remote, id)
	}
	for _, remote := range after {
		put(x.namedBy, remote, id)
	}
	for host := range x.groupHosts[id] {
		t.add(host, desired.Key{Kind: desired.KindSecurityGroup, ID: id})
		for _, remote := range before {
			if !slices.Contains(after, remote) {
				x.touchMembers(host, remote, t)
			}
		}
		for _, remote := range after {
			if !slices.Contains(before, remote) {
				x.touchMembers(host, remote, t)
			}
		}
	}
}

func remoteGroups(g *desired.SecurityGroup) []string {
	if g == nil {
		return nil
	}
	var out []string
	seen := map[string]bool{}
	for _, r := range g.Rules {
		if r.RemoteGroup != "" && !seen[r.RemoteGroup] {
			seen[r.RemoteGroup] = true
			out = append(out, r.RemoteGroup)
		}
	}
	return out
}

func (x *index) touchMembers(host, remote string, t touched) {
	for port := range x.portsOfGroup[remote] {
		t.add(host, desired.MemberKey(remote, port))
	}
}

// setPort puts or removes a port. The new one is counted before the old one is not any more, so that
// a change of a host's only port of a network does not look like the network's coming and going.
func (x *index) setPort(id string, p *desired.Port, t touched) {
	old := x.ports[id]
	if !replace(x.ports, id, p) {
		return
	}
	x.touchPort(old, t)
	x.touchMember(old, p, t)
	if p == nil {
		delete(x.remote, id)
	} else {
		x.remote[id] = remotePort(p)
		x.link(p, t)
	}
	if old != nil {
		x.unlink(old, p, t)
	}
	x.touchPort(p, t)
	x.touchMember(p, old, t)
}

// touchPort tells the hosts of a port's network, as they are in the index, of the port.
func (x *index) touchPort(p *desired.Port, t touched) {
	if p == nil {
		return
	}
	for host := range x.networkHosts[p.NetworkID] {
		t.add(host, desired.Key{Kind: desired.KindPort, ID: p.ID})
	}
}

// touchMember tells those that know a port as a member of its groups, unless it is the same member in
// its other life.
func (x *index) touchMember(p, other *desired.Port, t touched) {
	if p == nil {
		return
	}
	for _, group := range p.SecurityGroups {
		if other != nil && slices.Contains(other.SecurityGroups, group) && slices.Equal(memberAddresses(p), memberAddresses(other)) {
			continue
		}
		for user := range x.namedBy[group] {
			for host := range x.groupHosts[user] {
				t.add(host, desired.MemberKey(group, p.ID))
			}
		}
	}
}

func (x *index) link(p *desired.Port, t touched) {
	put(x.portsOfNetwork, p.NetworkID, p.ID)
	if p.DeviceOwner == ownerDHCP {
		put(x.dhcpPorts, p.NetworkID, p.ID)
	}
	for _, group := range p.SecurityGroups {
		put(x.portsOfGroup, group, p.ID)
	}
	x.count(p, 1, t)
}

// unlink undoes link, but for what the port still is in its new life.
func (x *index) unlink(p, now *desired.Port, t touched) {
	x.count(p, -1, t)
	if now == nil || now.NetworkID != p.NetworkID {
		drop(x.portsOfNetwork, p.NetworkID, p.ID)
	}
	if now == nil || now.NetworkID != p.NetworkID || now.DeviceOwner != ownerDHCP {
		drop(x.dhcpPorts, p.NetworkID, p.ID)
	}
	for _, group := range p.SecurityGroups {
		if now == nil || !slices.Contains(now.SecurityGroups, group) {
			drop(x.portsOfGroup, group, p.ID)
		}
	}
}

// count notes that a host has one bound port more or less of a network and of groups, and tells the
// host of networks and groups that come or go with it.
func (x *index) count(p *desired.Port, n int, t touched) {
	for _, host := range p.Places() {
		x.countNetwork(host, p.NetworkID, n, t)
	}
	if p.Host == "" {
		return
	}
	for _, group := range p.SecurityGroups {
		edge := x.hostGroups.add(p.Host, group, n)
		x.groupHosts.add(group, p.Host, n)
		if !edge {
			continue
		}
		t.add(p.Host, desired.Key{Kind: desired.KindSecurityGroup, ID: group})
		for _, remote := range remoteGroups(x.groups[group]) {
			x.touchMembers(p.Host, remote, t)
		}
	}
}

// countNetwork notes that a host has one port more or less of a network.
func (x *index) countNetwork(host, network string, n int, t touched) {
	edge := x.hostNetworks.add(host, network, n)
	if edge && n < 0 {
		x.meet(host, network, t) // the others, while the host still counts as one of them
	}
	x.networkHosts.add(network, host, n)
	if edge && n > 0 {
		x.meet(host, network, t)
	}
	if edge {
		t.add(host, desired.Key{Kind: desired.KindNetwork, ID: network})
		for port := range x.portsOfNetwork[network] {
			t.add(host, desired.Key{Kind: desired.KindPort, ID: port})
		}
	}
}

// ownerDHCP is the owner of the ports that serve DHCP to a network.
const ownerDHCP = "network:dhcp"

// meet has the hosts of a network look at one another.
func (x *index) meet(host, network string, t touched) {
	for other := range x.networkHosts[network] {
		t.add(other, desired.Key{Kind: desired.KindHost, ID: host})
		t.add(host, desired.Key{Kind: desired.KindHost, ID: other})
	}
	t.add(host, desired.Key{Kind: desired.KindHost, ID: host})
}
