package network

import (
	"slices"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/store"
)

// A routed network is one whose subnets lie on segments, each of which reaches some hosts only: a port's
// addresses come from the segment that reaches its host.

// ownerRouted are subnets' service types for addresses that are routed to the network: they lie on no segment.
const ownerRouted = "network:routed"

// checkSubnetSegment holds a new subnet's segment against its network and the subnets beside it.
func (s *Service) checkSubnetSegment(c *engine.Call, n *Subnet, siblings []*Subnet) error {
	if !n.routed() {
		for _, other := range siblings {
			if !other.routed() && (other.SegmentID == "") != (n.SegmentID == "") {
				return mixedSegments(n.NetworkID)
			}
		}
	}
	return s.segmentOfNetwork(c, n)
}

func (n *Subnet) routed() bool { return slices.Contains(n.ServiceTypes, ownerRouted) }

func mixedSegments(network string) error {
	return fault.BadRequest("SubnetsNotAllAssociatedWithSegments", "All of the subnets on network '%s' must either all be associated with segments or all not associated with any segment.", network)
}

// segmentOfNetwork refuses a segment that is not the network's.
func (s *Service) segmentOfNetwork(c *engine.Call, n *Subnet) error {
	if n.SegmentID == "" {
		return nil
	}
	g, err := s.Segments.Row(c, n.SegmentID)
	if err != nil {
		return err
	}
	if g.NetworkID != n.NetworkID {
		return fault.BadRequest("NetworkIdsDontMatch", "The subnet's network id, '%s', doesn't match the network_id of segment '%s'", n.NetworkID, n.SegmentID)
	}
	return nil
}

// moveSubnet lets the only subnet of a network with one segment be put on that segment, once.
func (s *Service) moveSubnet(c *engine.Call, old, n *Subnet) error {
	siblings, err := s.Subnets.Rows(c, store.Where("t.network_id = ?", n.NetworkID))
	if err != nil {
		return err
	}
	siblings = slices.DeleteFunc(siblings, (*Subnet).routed)
	if len(siblings) > 1 {
		return mixedSegments(n.NetworkID)
	}
	if old.SegmentID != "" {
		return fault.BadRequest("SubnetSegmentAssociationChangeNotAllowed", "A subnet that is already associated with a segment cannot have its segment association changed.")
	}
	segments, err := s.segmentsOf(c, n.NetworkID)
	if err != nil {
		return err
	}
	if len(segments) > 1 {
		return fault.BadRequest("NoUpdateSubnetWhenMultipleSegmentsOnNetwork", "The network '%s' has multiple segments, it is only possible to associate an existing subnet with a segment on networks with a single segment.", n.NetworkID)
	}
	return s.segmentOfNetwork(c, n)
}

// reached gives those of a network's subnets that a host may use, and whether the network is routed. Of a host
// that is not known (""), only those on no segment.
func (s *Service) reached(c *engine.Call, n *NetworkRow, subnets []*Subnet, host string) (usable []*Subnet, routed bool, err error) {
	for _, subnet := range subnets {
		if subnet.SegmentID == "" {
			usable = append(usable, subnet)
			continue
		}
		routed = true
		if host == "" {
			continue
		}
		ok, err := s.reaches(c, n, subnet.SegmentID, host)
		if err != nil {
			return nil, false, err
		}
		if ok {
			usable = append(usable, subnet)
		}
	}
	return usable, routed, nil
}

// checkMove refuses to bind a port with addresses to a host where they don't work.
func (s *Service) checkMove(c *engine.Call, p *Port, n *NetworkRow) error {
	subnets, err := s.subnetsOf(c, n.ID)
	if err != nil {
		return err
	}
	usable, routed, err := s.reached(c, n, subnets, p.Host)
	if err != nil || !routed || p.Host == "" {
		return err
	}
	for _, f := range p.FixedIPs {
		if !slices.ContainsFunc(usable, func(n *Subnet) bool { return n.ID == f.SubnetID }) {
			return fault.Conflict("HostNotCompatibleWithFixedIps", "Host %s is not connected to a segment where the existing fixed_ips on port %s will function given the routed network topology.", p.Host, p.ID)
		}
	}
	return nil
}
