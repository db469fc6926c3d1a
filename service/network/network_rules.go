package network

import (
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"neutrino/driver/segment"
	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/store"
)

func (s *Service) createNetwork(c *engine.Call, n *Network, given resource.Given) error {
	if n.Type == "" {
		if n.Physical != "" || n.SegmentID != noSegment {
			return fault.InvalidInput("network_type required")
		}
		if err := s.projectSegment(c, n); err != nil {
			return err
		}
	} else if err := s.providerSegment(c, n); err != nil {
		return err
	}
	if err := s.checkMTU(c, n, nil); err != nil {
		return err
	}
	return s.checkDefault(c, n)
}

func (s *Service) networkCreated(c *engine.Call, n *Network) error {
	if n.Shared || n.External {
		if err := s.writeSharing(c, n); err != nil {
			return err
		}
	}
	for _, f := range s.NetworkCreated {
		if err := f(c, n); err != nil {
			return err
		}
	}
	return nil
}

// projectSegment gives n the first free segment of the types for project networks.
func (s *Service) projectSegment(c *engine.Call, n *Network) error {
	for _, name := range s.config.ProjectTypes {
		t := segment.Types[name]
		switch {
		case t.MaxID == 0 && !t.NeedsPhysical:
			n.Type = name
			return nil
		case t.NeedsPhysical && t.MaxID > 0:
			for physical, ranges := range s.config.VLANs {
				for _, r := range ranges {
					id, ok, err := freeID(c, name, physical, r)
					if err != nil {
						return err
					}
					if ok {
						n.Type, n.Physical, n.SegmentID = name, physical, id
						return nil
					}
				}
			}
		case t.IsTunnel():
			id, ok, err := freeID(c, name, "", s.config.TunnelIDs[name])
			if err != nil {
				return err
			}
			if ok {
				n.Type, n.SegmentID = name, id
				return nil
			}
		}
	}
	return fault.New(503, "NoNetworkAvailable", "Unable to create the network. No project network is available for allocation.")
}

// providerSegment checks a segment that an administrator asks for, and completes it.
func (s *Service) providerSegment(c *engine.Call, n *Network) error {
	t, known := segment.Types[n.Type]
	if !known {
		return fault.InvalidInput("network_type value '%s' not supported", n.Type)
	}
	if !t.NeedsPhysical && n.Physical != "" {
		return fault.InvalidInput("provider:physical_network specified for %s network", n.Type)
	}
	if t.MaxID == 0 && n.SegmentID != noSegment {
		return fault.InvalidInput("provider:segmentation_id specified for %s network", n.Type)
	}
	if n.SegmentID != noSegment && (n.SegmentID < t.MinID || n.SegmentID > t.MaxID) {
		return fault.InvalidInput("segmentation_id out of range (%d through %d) for %s network", t.MinID, t.MaxID, n.Type)
	}
	if t == segment.Flat && n.Physical == "" {
		return fault.InvalidInput("physical_network required for flat provider network")
	}
	if t == segment.Flat && !slices.Contains(s.config.FlatNetworks, "*") && !slices.Contains(s.config.FlatNetworks, n.Physical) {
		return fault.InvalidInput("physical_network '%s' unknown for flat provider network", n.Physical)
	}
	if t == segment.VLAN {
		if _, known := s.config.VLANs[n.Physical]; n.Physical != "" && !known {
			return fault.InvalidInput("physical_network '%s' unknown for VLAN provider network", n.Physical)
		}
		if n.Physical == "" && n.SegmentID != noSegment {
			return fault.InvalidInput("segmentation_id requires physical_network for VLAN provider network")
		}
	}
	if t.MaxID > 0 && n.SegmentID == noSegment {
		if err := s.providerID(c, n, t); err != nil {
			return err
		}
	}
	if t == segment.Local {
		return nil
	}
	taken, err := segmentTaken(c, n.Type, n.Physical, n.SegmentID)
	if err != nil || !taken {
		return err
	}
	switch t {
	case segment.Flat:
		return fault.Conflict("FlatNetworkInUse", "Unable to create the flat network. Physical network %s is in use.", n.Physical)
	case segment.VLAN:
		return fault.Conflict("VlanIdInUse", "Unable to create the network. The VLAN %d on physical network %s is in use.", n.SegmentID, n.Physical)
	}
	return fault.Conflict("TunnelIdInUse", "Unable to create the network. The tunnel ID %d is in use.", n.SegmentID)
}

// providerID takes a free id from the configured ranges for a provider network that names none.
func (s *Service) providerID(c *engine.Call, n *Network, t segment.Type) error {
	ranges := map[string][]IDRange{"": {s.config.TunnelIDs[t.Name]}}
	if t.NeedsPhysical {
		ranges = s.config.VLANs
	}
	for physical, list := range ranges {
		if n.Physical != "" && physical != n.Physical {
			continue
		}
		for _, r := range list {
			id, ok, err := freeID(c, t.Name, physical, r)
			if err != nil {
				return err
			}
			if ok {
				n.Physical, n.SegmentID = physical, id
				return nil
			}
		}
	}
	return fault.New(503, "NoNetworkAvailable", "Unable to create the network. No project network is available for allocation.")
}

// freeID finds an id of the range that no network has: by chance first, for that is quick while the
// range is not nearly full, then the lowest free one.
func freeID(c *engine.Call, kind, physical string, r IDRange) (int, bool, error) {
	size := r.Last - r.First + 1
	if r.First == 0 || size <= 0 {
		return 0, false, nil
	}
	for range 8 {
		id := r.First + rand.IntN(size)
		taken, err := segmentTaken(c, kind, physical, id)
		if err != nil {
			return 0, false, err
		}
		if !taken {
			return id, true, nil
		}
	}
	next := r.First
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var id int
		if err := rows.Scan(&id); err != nil {
			return err
		}
		if id == next {
			next++
		}
		return nil
	}, "SELECT segmentation_id FROM networks WHERE network_type = ? AND physical_network = ? AND segmentation_id >= ? ORDER BY segmentation_id",
		kind, physical, r.First)
	return next, next <= r.Last, err
}

func segmentTaken(c *engine.Call, kind, physical string, id int) (bool, error) {
	n, err := c.Tx.Count("SELECT COUNT(*) FROM networks WHERE network_type = ? AND physical_network = ? AND segmentation_id = ?", kind, physical, id)
	return n > 0, err
}

// checkMTU settles n's MTU: at most what its segment carries, at least what its subnets need.
func (s *Service) checkMTU(c *engine.Call, n *Network, subnets []*Subnet) error {
	most := segment.Types[n.Type].MaxMTU(s.config.PhysicalMTU, false)
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

func leastMTU(subnet *Subnet) int {
	if subnet.IPVersion == 6 {
		return 1280
	}
	return 68
}

// checkDefault lets only one external network be the default.
func (s *Service) checkDefault(c *engine.Call, n *Network) error {
	if !n.IsDefault {
		return nil
	}
	var other string
	found, err := c.Tx.One([]any{&other}, "SELECT id FROM networks WHERE is_default = ? AND id <> ?", true, n.ID)
	if err != nil || !found {
		return err
	}
	return fault.Conflict("DefaultExternalNetworkExists", "A default external network already exists: %s.", other)
}

func (s *Service) writeSharing(c *engine.Call, n *Network) error {
	if err := engine.ShareWithAll(c, "network", n.ID, n.ProjectID, sharedAccess, n.Shared); err != nil {
		return err
	}
	return engine.ShareWithAll(c, "network", n.ID, n.ProjectID, externalAccess, n.External)
}

func (s *Service) updateNetwork(c *engine.Call, old, n *Network, given resource.Given) error {
	if given.Any("provider:network_type", "provider:physical_network", "provider:segmentation_id") &&
		(old.Type != n.Type || old.Physical != n.Physical || old.SegmentID != n.SegmentID) {
		return fault.InvalidInput("Plugin does not support updating provider attributes")
	}
	if given.Has("mtu") {
		subnets, err := s.Subnets.Find(c, store.Where("t.network_id = ?", n.ID))
		if err != nil {
			return err
		}
		if err := s.checkMTU(c, n, subnets); err != nil {
			return err
		}
	}
	if old.External && !n.External {
		used, err := c.Tx.Count("SELECT COUNT(*) FROM ports WHERE network_id = ? AND device_owner IN ('network:router_gateway', 'network:floatingip')", n.ID)
		if err != nil {
			return err
		}
		if used > 0 {
			return fault.Conflict("ExternalNetworkInUse", "External network %s cannot be updated to be made non-external, since it has existing gateway ports.", n.ID)
		}
	}
	if given.Has("shared") && !n.Shared {
		others, err := c.Tx.Count("SELECT COUNT(*) FROM ports WHERE network_id = ? AND project_id NOT IN ('', ?)", n.ID, n.ProjectID)
		if err != nil {
			return err
		}
		if others > 0 {
			return fault.Conflict("InvalidSharedSetting", "Unable to reconfigure sharing settings for network %s. Multiple projects are using it.", n.ID)
		}
	}
	return s.checkDefault(c, n)
}

func (s *Service) networkUpdated(c *engine.Call, old, n *Network, given resource.Given) error {
	if given.Any("shared", "router:external") {
		return s.writeSharing(c, n)
	}
	return nil
}

// deleteNetwork refuses while ports are left that somebody made, and takes the others along.
func (s *Service) deleteNetwork(c *engine.Call, n *Network) error {
	ports, err := s.Ports.Find(c, store.Where("t.network_id = ?", n.ID))
	if err != nil {
		return err
	}
	var left []string
	for _, p := range ports {
		if !autoDeleted(p.DeviceOwner) {
			left = append(left, p.ID)
		}
	}
	if len(left) > 0 {
		slices.Sort(left)
		return fault.Conflict("NetworkInUse", "Unable to complete operation on network %s. There are one or more ports still in use on the network, id for these ports is %s.", n.ID, strings.Join(left, ","))
	}
	for _, p := range ports {
		if err := s.Ports.Drop(c, p); err != nil {
			return err
		}
	}
	subnets, err := s.Subnets.Find(c, store.Where("t.network_id = ?", n.ID))
	if err != nil {
		return err
	}
	for _, subnet := range subnets {
		if err := s.Subnets.Drop(c, subnet); err != nil {
			return err
		}
	}
	return nil
}

// autoDeleted says whether ports of that owner go with their network or subnet.
func autoDeleted(owner string) bool {
	switch owner {
	case ownerDHCP, "network:distributed", "network:floatingip_agent_gateway":
		return true
	}
	return false
}

// visibleNetwork gives a network that the caller may use for a new port or subnet.
func (s *Service) visibleNetwork(c *engine.Call, id string) (*Network, error) {
	return engine.Once(c, networkKey{id, c.Admin()}, func() (*Network, error) { return s.Networks.GetVisible(c, id) })
}

type networkKey struct {
	id    string
	admin bool
}

// networkOf gives the network of a port or subnet, whoever looks.
func (s *Service) networkOf(c *engine.Call, id string) (*Network, error) {
	return engine.Once(c, networkKey{id, true}, func() (*Network, error) {
		n, err := s.Networks.Get(c, id)
		if err != nil {
			return nil, fmt.Errorf("network of a port or subnet: %w", err)
		}
		return n, nil
	})
}

// maxPreload is how many networks one statement names.
const maxPreload = 5000

// preload reads the networks of a page of ports or subnets at once, for the policy rules that ask
// who owns them. Administrators' rules don't.
func preload[T any](s *Service, table string) engine.Loader[T] {
	return func(c *engine.Call, page engine.Page) (func(*T), error) {
		nothing := func(*T) {}
		if c.Admin() {
			return nothing, nil
		}
		ids, err := engine.TextSet(c, "SELECT DISTINCT x.network_id FROM "+table+" x"+page.Join("x.id"), page.Args...)
		if err != nil {
			return nil, err
		}
		cond := store.Cond{} // more than a statement has room for: read them all
		if len(ids) <= maxPreload {
			cond = store.In("t.id", slices.Sorted(maps.Keys(ids)))
		}
		networks, err := s.Networks.Find(c.Elevated(), cond)
		for _, n := range networks {
			engine.Remember(c, networkKey{n.ID, true}, n)
		}
		return nothing, err
	}
}
