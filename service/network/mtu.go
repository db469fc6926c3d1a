package network

import (
	"neutrino/driver/segment"
	"neutrino/engine"
	"neutrino/fault"
)

// checkMTU settles n's MTU: at most what its segments carry, at least what its subnets need.
func (s *Service) checkMTU(_ *engine.Call, n *Network, subnets []*Subnet) error {
	most := s.config.PhysicalMTU
	for _, g := range n.Segments {
		most = min(most, s.maxMTU(g))
	}
	if n.MTU == 0 {
		n.MTU = most
	}
	if n.MTU > most {
		return fault.InvalidInput("Requested MTU is too big, maximum is %d", most)
	}
	for _, subnet := range subnets {
		if least := leastMTU(subnet); n.MTU < least {
			return fault.Conflict("NetworkMTUSubnetConflict", "MTU of %s is not valid, subnet requires a minimum of %d", n.ID, least)
		}
	}
	return nil
}

// maxMTU is the largest MTU that instances on a segment may use.
func (s *Service) maxMTU(g *Segment) int {
	t, mtu := segment.Types[g.Type], s.config.PhysicalMTU
	if own := s.config.PhysicalMTUs[g.Physical]; own > 0 {
		mtu = min(mtu, own)
	}
	if t.IsTunnel() && s.config.PathMTU > 0 {
		mtu = min(mtu, s.config.PathMTU)
	}
	if t == segment.Geneve {
		mtu -= s.config.GeneveHeader - segment.GeneveHeader
	}
	return t.MaxMTU(mtu, s.config.OverlayIPv6)
}

func leastMTU(subnet *Subnet) int {
	if subnet.IPVersion == 6 {
		return 1280
	}
	return 68
}
