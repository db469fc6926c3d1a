package network

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/policy"
	"neutrino/resource"
	"neutrino/store"
)

func (s *Service) createNetwork(c *engine.Call, n *Network, given resource.Given) error {
	if err := s.chooseSegments(c, n); err != nil {
		return err
	}
	if err := s.checkTags(n); err != nil {
		return err
	}
	if err := s.checkMTU(c, n, nil); err != nil {
		return err
	}
	if err := s.hosts.CheckDHCPZones(c, n.ZoneHints); err != nil {
		return err
	}
	if err := s.createNetworkQoS(c, n); err != nil {
		return err
	}
	return s.checkDefault(c, n)
}

// createNetworkQoS takes the project's default QoS policy for a network that is made without one.
func (s *Service) createNetworkQoS(c *engine.Call, n *Network) (err error) {
	switch {
	case s.QoS == nil:
	case n.QoSPolicyID == "":
		n.QoSPolicyID, err = s.QoS.Default(c, n.ProjectID)
	default:
		err = s.QoS.Check(c, n.QoSPolicyID)
	}
	return err
}

// updateNetworkQoS holds a change of a network's QoS policy against the caller and the network's ports.
func (s *Service) updateNetworkQoS(c *engine.Call, old, n *Network) error {
	if s.QoS == nil || old.QoSPolicyID == n.QoSPolicyID {
		return nil
	}
	if err := s.QoS.Change(c, old.QoSPolicyID, n.QoSPolicyID); err != nil {
		return err
	}
	return s.QoS.CheckNetwork(c, n)
}

func (s *Service) networkCreated(c *engine.Call, n *Network) error {
	for _, seg := range n.Segments {
		seg.NetworkID = n.ID
		if err := s.Segments.Insert(c, seg, nil); err != nil {
			return err
		}
	}
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
	if s.config.MetadataPorts {
		return s.ensureMetadata(c, &n.NetworkRow, nil)
	}
	return nil
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
	if err := s.updateSegment(c, old, n, given); err != nil {
		return err
	}
	if err := s.updateNetworkQoS(c, old, n); err != nil {
		return err
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
	for _, f := range s.NetworkDeleting {
		if err := f(c, n); err != nil {
			return err
		}
	}
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

// visibleNetwork gives the row of a network that the caller may use for a new port or subnet.
func (s *Service) visibleNetwork(c *engine.Call, id string) (*NetworkRow, error) {
	n, err := s.seenNetwork(c, id)
	if err != nil {
		return nil, err
	}
	return &n.NetworkRow, nil
}

// seenNetwork reads a network that the caller may see once in an operation: its row, for few rules ask more of it.
func (s *Service) seenNetwork(c *engine.Call, id string) (*Network, error) {
	return engine.Once(c, networkKey{id, c.Admin()}, func() (*Network, error) {
		n, err := s.Networks.VisibleRow(c, id)
		if err == nil && !engine.Known(c, networkKey{id, true}) {
			engine.Remember(c, networkKey{id, true}, n)
		}
		return n, err
	})
}

type networkKey struct {
	id    string
	admin bool
}

// networkTarget shows a network to the policy rules for what lies on it.
func (s *Service) networkTarget(c *engine.Call, id string) (policy.Target, error) {
	n, err := s.seenNetwork(c.Elevated(), id)
	if err != nil {
		return nil, err
	}
	return s.Networks.Target(c, n), nil
}

// networkOf gives the row of the network of a port or subnet, whoever looks.
func (s *Service) networkOf(c *engine.Call, id string) (*NetworkRow, error) {
	n, err := engine.Once(c, networkKey{id, true}, func() (*Network, error) {
		n, err := s.Networks.Row(c, id)
		if err != nil {
			return nil, fmt.Errorf("network of a port or subnet: %w", err)
		}
		return n, nil
	})
	if err != nil {
		return nil, err
	}
	return &n.NetworkRow, nil
}

// maxPreload is how many networks one statement names.
const maxPreload = 5000

// preload reads the networks of a list of ports or subnets at once, for the policy rules that ask who owns
// them. Administrators' rules don't; and of a single object it is read when a rule asks.
func preload[T any](s *Service, table string) engine.Loader[T] {
	return func(c *engine.Call, page engine.Page) (func(*T), error) {
		nothing := func(*T) {}
		if c.Admin() || !c.Listing() {
			return nothing, nil
		}
		ids, err := engine.TextSet(c, "SELECT DISTINCT x.network_id FROM "+table+" x"+page.Join("x.id"), page.Args...)
		if err != nil {
			return nil, err
		}
		maps.DeleteFunc(ids, func(id string, _ bool) bool { return engine.Known(c, networkKey{id, true}) })
		if len(ids) == 0 {
			return nothing, nil
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
