package network

import (
	"slices"

	"neutrino/driver/segment"
	"neutrino/fault"
)

// brings says of all networks whether a driver in use brings an extension: without one its attribute is not shown.
func (s *Service) brings(alias string) func(*Network) bool {
	return func(*Network) bool { return s.Supports(alias) }
}

// checkTags refuses networks that should carry instances' VLAN tags where the drivers in use don't, or in two ways.
func (s *Service) checkTags(n *Network) error {
	flat := slices.ContainsFunc(n.Segments, func(g *Segment) bool { return g.Type == segment.Flat.Name })
	switch {
	case n.VLANTransparent && (flat || !s.Supports("vlan-transparent")): // a flat network has no tag of its own to tell an instance's from
		return fault.BadRequest("VlanTransparencyDriverError", "Backend does not support VLAN Transparency.")
	case !n.QinQ:
		return nil
	case !s.Supports("qinq"):
		return fault.BadRequest("BadRequest", "Bad network request: Backend does not support QinQ.")
	case n.VLANTransparent:
		return fault.BadRequest("BadRequest", "Bad network request: vlan_transparent and qinq can't both be true.")
	}
	for _, g := range n.Segments {
		if g.Type != segment.VLAN.Name {
			return fault.BadRequest("BadRequest", "Bad network request: qinq is for VLAN networks, not for network_type %s.", g.Type)
		}
	}
	return nil
}
