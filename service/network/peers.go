package network

import (
	"net/netip"
	"slices"

	"neutrino/engine"
	"neutrino/store"
)

// Subnets on different segments of a network reach each other through their gateways: each has host routes to
// its peers, the subnets of its IP version on the other segments, which follow them. Routes to a peer's block
// are the service's; the others are the user's.

// peersOf gives a subnet's peers in the order of their blocks.
func (s *Service) peersOf(c *engine.Call, n *Subnet) ([]*Subnet, error) {
	if n.SegmentID == "" {
		return nil, nil
	}
	peers, err := s.Subnets.Rows(c, store.Where("t.network_id = ? AND t.segment_id <> '' AND t.segment_id <> ? AND t.ip_version = ?",
		n.NetworkID, n.SegmentID, n.IPVersion))
	slices.SortFunc(peers, func(a, b *Subnet) int { return a.CIDR.Addr().Compare(b.CIDR.Addr()) })
	return peers, err
}

// setRoutes checks a subnet's lists and gives it the routes to its peers beside the user's.
func (s *Service) setRoutes(c *engine.Call, n *Subnet) error {
	peers, err := s.peersOf(c, n)
	if err != nil {
		return err
	}
	own := slices.DeleteFunc(slices.Clone(n.Routes), func(r Route) bool {
		return slices.ContainsFunc(peers, func(p *Subnet) bool { return p.CIDR == r.Destination })
	})
	checked := *n
	checked.Routes = own
	if err := s.checkLists(&checked); err != nil {
		return err
	}
	if len(peers) == 0 {
		return nil
	}
	n.Routes = own
	for _, p := range peers {
		if n.Gateway.IsValid() {
			n.Routes = append(n.Routes, Route{p.CIDR, n.Gateway})
		}
	}
	return nil
}

// peersChanged gives the peers of a subnet that came, changed or goes their routes. gone is the block of one that
// goes; the zero value is none.
func (s *Service) peersChanged(c *engine.Call, n *Subnet, gone netip.Prefix) error {
	peers, err := s.peersOf(c, n)
	if err != nil {
		return err
	}
	for _, old := range peers {
		p := *old
		p.Routes = slices.DeleteFunc(slices.Clone(old.Routes), func(r Route) bool { return r.Destination == gone })
		if err := s.setRoutes(c, &p); err != nil {
			return err
		}
		if slices.Equal(p.Routes, old.Routes) {
			continue
		}
		if err := s.Subnets.Save(c, old, &p, nil); err != nil {
			return err
		}
	}
	return nil
}
