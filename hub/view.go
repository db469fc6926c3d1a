package hub

import (
	"net/netip"
	"slices"
	"strings"

	"neutrino/desired"
)

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
		return x.remote[key.ID]
	case desired.KindSecurityGroup:
		if g := x.groups[key.ID]; g != nil && x.hostGroups[host][key.ID] > 0 {
			return g
		}
	case desired.KindMember:
		return x.memberView(host, key)
	case desired.KindRouter:
		r := x.routers[key.ID]
		switch {
		case r == nil:
		case r.Host == host:
			return r
		case r.Next == host:
			standby := *r
			standby.Standby = true
			return &standby
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
	q.PortSecurity, q.SecurityGroups, q.QoS = false, nil, nil
	return &q
}

func (x *index) memberView(host string, key desired.Key) desired.Item {
	group, id, ok := strings.Cut(key.ID, "/")
	if !ok || !x.portsOfGroup[group][id] {
		return nil
	}
	for user := range x.namedBy[group] {
		if x.hostGroups[host][user] > 0 {
			return &desired.Member{GroupID: group, PortID: id, Addresses: memberAddresses(x.ports[id])}
		}
	}
	return nil
}

// memberAddresses are the fixed IPs and the address pairs of a port, each once.
func memberAddresses(p *desired.Port) []netip.Prefix {
	var out []netip.Prefix
	for _, f := range p.FixedIPs {
		if prefix, err := f.IP.Prefix(f.IP.BitLen()); err == nil {
			out = append(out, prefix)
		}
	}
	for _, pair := range p.AddressPairs {
		if !slices.Contains(out, pair.IP) {
			out = append(out, pair.IP)
		}
	}
	return out
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
	for id := range x.hostRouters[host] {
		t.add(host, desired.Key{Kind: desired.KindRouter, ID: id})
	}
	keys := make([]desired.Key, 0, len(t[host]))
	for key := range t[host] {
		keys = append(keys, key)
	}
	return keys
}
