package l2

import (
	"maps"

	"neutrino/desired"
)

// here is the state as this host sees it: a network with several segments lies on the first that reaches the
// host, as the server's driver has it.
func (m *Manager) here(state *desired.State) *desired.State {
	var networks map[string]*desired.Network
	for id, n := range state.Networks {
		if len(n.Segments) == 0 {
			continue
		}
		if networks == nil {
			networks = maps.Clone(state.Networks)
		}
		networks[id] = m.onSegment(n)
	}
	if networks == nil {
		return state
	}
	seen := *state
	seen.Networks = networks
	return &seen
}

func (m *Manager) onSegment(n *desired.Network) *desired.Network {
	for _, g := range n.Segments {
		if !m.reached(g) {
			continue
		}
		on := *n
		on.Type, on.Physical, on.SegmentationID = g.Type, g.Physical, g.SegmentationID
		return &on
	}
	return n
}

// reached says whether a segment reaches this host.
func (m *Manager) reached(g desired.Segment) bool {
	switch g.Type {
	case "flat", "vlan":
		return m.options.Mappings[g.Physical] != ""
	case "local":
		return true
	}
	return m.tunnelPort(g.Type) != ""
}
