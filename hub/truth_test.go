package hub

import (
	"slices"

	"neutrino/desired"
)

// truth is what a host should have, from the definition in desired alone: it looks at everything and
// uses none of the index's short cuts.
func truth(x *index, host string) follower {
	f := follower{}
	put := func(item desired.Item) { f[item.Key()] = item }
	bound := func(on, network string) bool {
		for _, p := range x.ports {
			if slices.Contains(p.Places(), on) && p.NetworkID == network {
				return true
			}
		}
		return false
	}
	for _, h := range x.hosts {
		mine := h.Name == host
		for network := range networkIDs(x) {
			mine = mine || bound(host, network) && bound(h.Name, network)
		}
		if mine {
			put(h)
		}
	}
	for _, n := range x.networks {
		if bound(host, n.ID) {
			put(n)
		}
	}
	named := map[string]bool{}
	for _, p := range x.ports {
		switch {
		case p.Host == host:
			put(p)
			for _, id := range p.SecurityGroups {
				if g := x.groups[id]; g != nil {
					put(g)
					for _, r := range g.Rules {
						named[r.RemoteGroup] = r.RemoteGroup != ""
					}
				}
			}
		case bound(host, p.NetworkID):
			q := *p
			q.PortSecurity, q.SecurityGroups = false, nil
			put(&q)
		}
	}
	for group, is := range named {
		for _, p := range x.ports {
			if is && slices.Contains(p.SecurityGroups, group) {
				put(&desired.Member{GroupID: group, PortID: p.ID, Addresses: memberAddresses(p)})
			}
		}
	}
	for _, r := range x.routers {
		switch host {
		case r.Host:
			put(r)
		case r.Next:
			standby := *r
			standby.Standby = true
			put(&standby)
		}
	}
	return f
}

func networkIDs(x *index) map[string]bool {
	ids := map[string]bool{}
	for _, p := range x.ports {
		ids[p.NetworkID] = true
	}
	return ids
}
