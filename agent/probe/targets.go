package probe

import (
	"slices"

	"neutrino/agent/dhcp"
	"neutrino/desired"
)

// overhead is what a tunnel adds to an instance's packet, in bytes, without the outer IP header: the inner Ethernet
// header, the tunnel's own, and UDP's or GRE's.
var overhead = map[string]int{"vxlan": 30, "geneve": 30, "gre": 22}

// targets are what a host with that state serves. It is pure.
func (o Options) targets(state *desired.State) (t targets) {
	for id, n := range state.Networks {
		p := dhcp.ServedBy(state, id, o.Host)
		if p == nil || !n.AdminStateUp {
			continue
		}
		place := dhcp.PlaceOf(state, n, p, o.Networks)
		if own, ok := dhcp.SelfAddress(n, p); ok && slices.Contains(o.Roles, "dhcp") {
			t.dhcp = append(t.dhcp, server{id, p.ID, place.Namespace, place.Device, p.MAC, own.Addr()})
		}
		if v4, _ := dhcp.NeedsMetadata(state, p, o.Networks); v4 && slices.Contains(o.Roles, "metadata") {
			t.metadata = append(t.metadata, at(id, place.Namespace))
		}
	}
	for id, r := range state.Routers {
		if r.AdminStateUp && !o.NoRouters && slices.Contains(o.Roles, "metadata") && slices.Contains(o.Roles, "l3") {
			t.metadata = append(t.metadata, at("router "+id, "qrouter-"+id))
		}
	}
	if !o.TunnelIP.IsValid() {
		return t
	}
	outer := 20
	if o.TunnelIP.Is6() {
		outer = 40
	}
	for _, n := range state.Networks {
		if more := overhead[n.Type]; more != 0 {
			t.size = max(t.size, n.MTU+more+outer)
		}
	}
	for name, h := range state.Hosts {
		if name != o.Host && h.TunnelIP.IsValid() && h.TunnelIP.Is4() == o.TunnelIP.Is4() && h.TunnelIP != o.TunnelIP {
			t.peers = append(t.peers, peer{name, h.TunnelIP})
		}
	}
	if t.size == 0 {
		t.peers = nil
	}
	return t
}

func at(target, namespace string) place { return place{target, namespace} }
