package l2

import (
	"slices"
	"strconv"

	"neutrino/dataplane/ovsdb"
	"neutrino/desired"
)

// tunnelTypes are the network types that run in tunnels, with the port of br-tun that they use.
var tunnelTypes = map[string]string{"vxlan": "vxlan-sys", "geneve": "geneve-sys", "gre": "gre-sys"}

// tunnelPort is the port of br-tun that networks of a type use; "" for other types, and where this host has no
// such tunnels.
func (m *Manager) tunnelPort(kind string) string {
	if !m.options.TunnelIP.IsValid() || m.options.TunnelTypes != nil && !slices.Contains(m.options.TunnelTypes, kind) {
		return ""
	}
	return tunnelTypes[kind]
}

// meets says whether there can be tunnels between this host and another: both need an address, of one IP version.
func (m *Manager) meets(h *desired.Host) bool {
	here := m.options.TunnelIP
	return h != nil && h.TunnelIP.IsValid() && here.IsValid() && h.TunnelIP.Is4() == here.Is4()
}

// tunnels are the tunnel types in use, with their ports; VXLAN is from the start, so that its first network
// need not wait.
func (m *Manager) tunnels(state *desired.State) map[string]string {
	out := map[string]string{}
	if port := m.tunnelPort("vxlan"); port != "" {
		out["vxlan"] = port
	}
	for _, n := range state.Networks {
		if port := m.tunnelPort(n.Type); port != "" {
			out[n.Type] = port
		}
	}
	return out
}

// tunnelSettings is the port of a type: flows say to whom each packet goes and under which key.
func (m *Manager) tunnelSettings(kind, name string) ovsdb.Port {
	p := ovsdb.Port{Name: name, Type: kind, ExternalIDs: marked, Options: map[string]string{
		"remote_ip": "flow", "key": "flow", "local_ip": m.options.TunnelIP.String(),
		"df_default": strconv.FormatBool(!m.options.Fragment),
	}}
	if kind == "vxlan" && m.options.VXLANPort != 0 {
		p.Options["dst_port"] = strconv.Itoa(m.options.VXLANPort)
	}
	if m.options.Checksum {
		p.Options["csum"] = "true"
	}
	return p
}

// lacksTunnel says whether a network has come of a type that has no tunnel port yet.
func (m *Manager) lacksTunnel(state *desired.State) bool {
	for _, port := range m.tunnels(state) {
		if _, there := m.facts.patch[port]; !there {
			return true
		}
	}
	return false
}
