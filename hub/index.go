package hub

import (
	"slices"
	"strings"

	"neutrino/desired"
)

// index holds all items in full, and what is needed to know whom they concern. It is pure: every
// change of it gives a set of (host, key) pairs whose view may be another one now.
type index struct {
	hosts    map[string]*desired.Host
	networks map[string]*desired.Network
	ports    map[string]*desired.Port
	groups   map[string]*desired.SecurityGroup
	routers  map[string]*desired.Router

	portsOfNetwork map[string]map[string]bool // network → ports
	portsOfGroup   map[string]map[string]bool // security group → ports
	networkHosts   counts                     // network → host → bound ports
	hostNetworks   counts                     // host → network → bound ports
	groupHosts     counts                     // security group → host → bound ports
	hostGroups     counts                     // host → security group → bound ports
	namedBy        map[string]map[string]bool // remote group → groups whose rules name it
	routersOn      map[string]map[string]bool // network → routers with a port there
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
		portsOfNetwork: map[string]map[string]bool{}, portsOfGroup: map[string]map[string]bool{},
		networkHosts: counts{}, hostNetworks: counts{}, groupHosts: counts{}, hostGroups: counts{},
		namedBy: map[string]map[string]bool{}, routersOn: map[string]map[string]bool{},
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
	if h == nil {
		delete(x.hosts, name)
	} else {
		x.hosts[name] = h
	}
	key := desired.Key{Kind: desired.KindHost, ID: name}
	t.add(name, key)
	for network := range x.hostNetworks[name] {
		for other := range x.networkHosts[network] {
			t.add(other, key)
		}
	}
}

func (x *index) setNetwork(id string, n *desired.Network, t touched) {
	if n == nil {
		delete(x.networks, id)
	} else {
		x.networks[id] = n
	}
	for host := range x.networkHosts[id] {
		t.add(host, desired.Key{Kind: desired.KindNetwork, ID: id})
	}
}

func (x *index) setRouter(id string, r *desired.Router, t touched) {
	key := desired.Key{Kind: desired.KindRouter, ID: id}
	if old := x.routers[id]; old != nil {
		t.add(old.Host, key)
		for _, network := range networksOf(old) {
			drop(x.routersOn, network, id)
		}
		delete(x.routers, id)
	}
	if r != nil {
		t.add(r.Host, key)
		for _, network := range networksOf(r) {
			put(x.routersOn, network, id)
		}
		x.routers[id] = r
	}
}

func networksOf(r *desired.Router) []string {
	var out []string
	for _, i := range r.Interfaces {
		out = append(out, i.NetworkID)
	}
	if r.Gateway != nil {
		out = append(out, r.Gateway.NetworkID)
	}
	return out
}

// setGroup puts or removes a security group. Hosts with ports in it learn the members of groups
// that its rules newly name, and forget those that no rule of theirs names any more.
func (x *index) setGroup(id string, g *desired.SecurityGroup, t touched) {
	before, after := remoteGroups(x.groups[id]), remoteGroups(g)
	for _, remote := range before {
		drop(x.namedBy, remote, id)
	}
	for _, remote := range after {
		put(x.namedBy, remote, id)
	}
	if g == nil {
		delete(x.groups, id)
	} else {
		x.groups[id] = g
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
	for _, r := range g.Rules {
		if r.RemoteGroup != "" && !slices.Contains(out, r.RemoteGroup) {
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

// setPort puts or removes a port.
func (x *index) setPort(id string, p *desired.Port, t touched) {
	old := x.ports[id]
	if old != nil {
		x.touchPort(old, t)
		x.unlink(old, t)
		delete(x.ports, id)
	}
	if p != nil {
		x.ports[id] = p
		x.link(p, t)
		x.touchPort(p, t)
	}
}

// touchPort tells those that know the port, as it is in the index, about it.
func (x *index) touchPort(p *desired.Port, t touched) {
	for host := range x.networkHosts[p.NetworkID] {
		t.add(host, desired.Key{Kind: desired.KindPort, ID: p.ID})
	}
	for _, group := range p.SecurityGroups {
		for user := range x.namedBy[group] {
			for host := range x.groupHosts[user] {
				t.add(host, desired.MemberKey(group, p.ID))
			}
		}
	}
}

func (x *index) link(p *desired.Port, t touched) {
	put(x.portsOfNetwork, p.NetworkID, p.ID)
	for _, group := range p.SecurityGroups {
		put(x.portsOfGroup, group, p.ID)
	}
	x.count(p, 1, t)
}

func (x *index) unlink(p *desired.Port, t touched) {
	x.count(p, -1, t)
	drop(x.portsOfNetwork, p.NetworkID, p.ID)
	for _, group := range p.SecurityGroups {
		drop(x.portsOfGroup, group, p.ID)
	}
}

// count notes that a host has one bound port more or less of a network and of groups, and tells the
// host of networks and groups that come or go with it.
func (x *index) count(p *desired.Port, n int, t touched) {
	if p.Host == "" {
		return
	}
	if x.hostNetworks.add(p.Host, p.NetworkID, n) {
		if n < 0 {
			x.meet(p.Host, p.NetworkID, t) // the others, while the host still counts as one of them
		}
		x.networkHosts.add(p.NetworkID, p.Host, n)
		if n > 0 {
			x.meet(p.Host, p.NetworkID, t)
		}
		t.add(p.Host, desired.Key{Kind: desired.KindNetwork, ID: p.NetworkID})
		for port := range x.portsOfNetwork[p.NetworkID] {
			t.add(p.Host, desired.Key{Kind: desired.KindPort, ID: port})
		}
	} else {
		x.networkHosts.add(p.NetworkID, p.Host, n)
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

// meet has the hosts of a network look at one another.
func (x *index) meet(host, network string, t touched) {
	for other := range x.networkHosts[network] {
		t.add(other, desired.Key{Kind: desired.KindHost, ID: host})
		t.add(host, desired.Key{Kind: desired.KindHost, ID: other})
	}
	t.add(host, desired.Key{Kind: desired.KindHost, ID: host})
}

// view is what a host should have under a key; nil is nothing.
func (x *index) view(host string, key desired.Key) desired.Item {
	switch key.Kind {
	case desired.KindHost:
		if h := x.hosts[key.ID]; h != nil && (key.ID == host || x.together(host, key.ID)) {
			return h
		}
	case desired.KindNetwork:
		if n := x.networks[key.ID]; n != nil && x.hostNetworks[host][key.ID] > 0 {
			return n
		}
	case desired.KindPort:
		p := x.ports[key.ID]
		if p == nil || x.hostNetworks[host][p.NetworkID] == 0 {
			return nil
		}
		if p.Host == host {
			return p
		}
		return remotePort(p)
	case desired.KindSecurityGroup:
		if g := x.groups[key.ID]; g != nil && x.hostGroups[host][key.ID] > 0 {
			return g
		}
	case desired.KindMember:
		return x.memberView(host, key)
	case desired.KindRouter:
		if r := x.routers[key.ID]; r != nil && r.Host == host {
			return r
		}
	}
	return nil
}

// together says whether two hosts share a network.
func (x *index) together(a, b string) bool {
	for network := range x.hostNetworks[a] {
		if x.networkHosts[network][b] > 0 {
			return true
		}
	}
	return false
}

// remotePort is a port as other hosts of its network know it.
func remotePort(p *desired.Port) *desired.Port {
	q := *p
	q.PortSecurity, q.SecurityGroups = false, nil
	return &q
}

func (x *index) memberView(host string, key desired.Key) desired.Item {
	group, id, ok := strings.Cut(key.ID, "/")
	if !ok || !x.portsOfGroup[group][id] {
		return nil
	}
	for user := range x.namedBy[group] {
		if x.hostGroups[host][user] > 0 {
			return member(group, x.ports[id])
		}
	}
	return nil
}

func member(group string, p *desired.Port) desired.Item {
	m := &desired.Member{GroupID: group, PortID: p.ID}
	for _, f := range p.FixedIPs {
		if prefix, err := f.IP.Prefix(f.IP.BitLen()); err == nil {
			m.Addresses = append(m.Addresses, prefix)
		}
	}
	for _, pair := range p.AddressPairs {
		if !slices.Contains(m.Addresses, pair.IP) {
			m.Addresses = append(m.Addresses, pair.IP)
		}
	}
	return m
}

// keys lists what a host has.
func (x *index) keys(host string) []desired.Key {
	t := touched{}
	t.add(host, desired.Key{Kind: desired.KindHost, ID: host})
	for network := range x.hostNetworks[host] {
		t.add(host, desired.Key{Kind: desired.KindNetwork, ID: network})
		for port := range x.portsOfNetwork[network] {
			t.add(host, desired.Key{Kind: desired.KindPort, ID: port})
		}
		for other := range x.networkHosts[network] {
			t.add(host, desired.Key{Kind: desired.KindHost, ID: other})
		}
	}
	for group := range x.hostGroups[host] {
		t.add(host, desired.Key{Kind: desired.KindSecurityGroup, ID: group})
		for _, remote := range remoteGroups(x.groups[group]) {
			x.touchMembers(host, remote, t)
		}
	}
	for id, r := range x.routers {
		if r.Host == host {
			t.add(host, desired.Key{Kind: desired.KindRouter, ID: id})
		}
	}
	keys := make([]desired.Key, 0, len(t[host]))
	for key := range t[host] {
		keys = append(keys, key)
	}
	return keys
}
