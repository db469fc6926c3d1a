package network

import (
	"database/sql"
	"math/rand/v2"
	"slices"

	"neutrino/driver/segment"
	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/store"
)

// providerKeys are the attributes that describe a network's one segment, or each of its list.
var providerKeys = []string{"provider:network_type", "provider:physical_network", "provider:segmentation_id"}

// parseSegments reads a list of segments of a request; null is none.
func parseSegments(v any) ([]*Segment, error) {
	list, err := resource.ListValue("segments", v)
	if err != nil {
		return nil, err
	}
	if v != nil && len(list) == 0 {
		return nil, fault.Invalid("Invalid input for segments. Reason: there must be at least one segment.")
	}
	segments := make([]*Segment, 0, len(list))
	for _, item := range list {
		m, err := resource.MapValue("segments", item, providerKeys...)
		if err != nil {
			return nil, err
		}
		g := &Segment{SegmentID: noSegment}
		for key, field := range map[string]*string{"provider:network_type": &g.Type, "provider:physical_network": &g.Physical} {
			if m[key] == nil {
				continue
			}
			if *field, err = resource.StringValue(key, m[key], 64); err != nil {
				return nil, err
			}
		}
		if id := m["provider:segmentation_id"]; id != nil {
			if g.SegmentID, err = resource.IntValue(id); err != nil {
				return nil, err
			}
			if g.SegmentID < 0 {
				return nil, fault.InvalidInput("segmentation_id %d is not valid", g.SegmentID)
			}
		}
		segments = append(segments, g)
	}
	return segments, nil
}

// appendNetworkSegments writes a network's segments as the API shows them; before it has any, those asked for.
func appendNetworkSegments(b []byte, n *Network) []byte {
	segments := n.Segments
	if segments == nil {
		segments = n.wantedSegments
	}
	b = append(b, '[')
	for i, g := range segments {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, `{"provider:network_type": `...)
		b = resource.AppendString(b, g.Type)
		b = append(b, `, "provider:physical_network": `...)
		if g.Physical == "" {
			b = append(b, "null"...)
		} else {
			b = resource.AppendString(b, g.Physical)
		}
		b = append(b, `, "provider:segmentation_id": `...)
		if g.SegmentID == noSegment {
			b = append(b, "null"...)
		} else {
			b = resource.AppendInt(b, int64(g.SegmentID))
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// sameSegments says whether two lists describe the same segments.
func sameSegments(a, b []*Segment) bool {
	return slices.EqualFunc(a, b, func(x, y *Segment) bool {
		return x.Type == y.Type && x.Physical == y.Physical && x.SegmentID == y.SegmentID
	})
}

// chooseSegments settles the segments of a new network: those asked for, or one of the types for project
// networks.
func (s *Service) chooseSegments(c *engine.Call, n *Network) error {
	single := n.Type != "" || n.Physical != "" || n.SegmentID != noSegment
	wanted := n.wantedSegments
	switch {
	case single && len(wanted) > 0:
		return fault.BadRequest("SegmentsSetInConjunctionWithProviders", "Segments and provider values cannot both be set.")
	case single:
		wanted = []*Segment{{Type: n.Type, Physical: n.Physical, SegmentID: n.SegmentID}}
	case len(wanted) == 0:
		types := s.config.ProjectTypes
		if n.External && s.config.ExternalType != "" {
			types = []string{s.config.ExternalType}
		}
		g, err := s.projectSegment(c, n.ProjectID, types)
		if err != nil {
			return err
		}
		n.Segments = []*Segment{g}
	}
	for i, g := range wanted {
		for _, other := range wanted[:i] {
			if other.Type == g.Type && other.Physical == g.Physical && other.SegmentID == g.SegmentID && !partial(g) {
				return fault.BadRequest("SegmentsContainDuplicateEntry", "Duplicate segment entry in request.")
			}
		}
	}
	for _, g := range wanted {
		if err := s.reserve(c, g, n.ProjectID, n.Segments); err != nil {
			return err
		}
		n.Segments = append(n.Segments, g)
	}
	for i, g := range n.Segments {
		g.Index, g.reserved = i, true
	}
	first := n.Segments[0]
	n.Type, n.Physical, n.SegmentID = first.Type, first.Physical, first.SegmentID
	return nil
}

// partial says whether a segment's request leaves its id to us.
func partial(g *Segment) bool {
	return segment.Types[g.Type].MaxID > 0 && g.SegmentID == noSegment
}

// projectSegment gives the first free segment of the types.
func (s *Service) projectSegment(c *engine.Call, project string, types []string) (*Segment, error) {
	for _, name := range types {
		g := &Segment{Type: name, SegmentID: noSegment}
		t := segment.Types[name]
		if t.MaxID == 0 {
			if t.NeedsPhysical {
				continue
			}
			return g, nil
		}
		ok, err := s.takeID(c, g, project, nil)
		if err != nil {
			return nil, err
		}
		if ok {
			return g, nil
		}
	}
	return nil, noNetwork()
}

func noNetwork() error {
	return fault.New(503, "NoNetworkAvailable", "Unable to create the network. No project network is available for allocation.")
}

// reserve checks a segment that an administrator asks for, and completes it. also are segments that are
// taken by the same request.
func (s *Service) reserve(c *engine.Call, g *Segment, project string, also []*Segment) error {
	if err := s.checkSegment(c, g); err != nil {
		return err
	}
	t := segment.Types[g.Type]
	if partial(g) {
		ok, err := s.takeID(c, g, project, also)
		if err == nil && !ok {
			err = noNetwork()
		}
		return err
	}
	if t == segment.Local {
		return nil
	}
	taken, err := segmentTaken(c, g.Type, g.Physical, g.SegmentID, also)
	if err != nil || !taken {
		return err
	}
	switch t {
	case segment.Flat:
		return fault.Conflict("FlatNetworkInUse", "Unable to create the flat network. Physical network %s is in use.", g.Physical)
	case segment.VLAN:
		return fault.Conflict("VlanIdInUse", "Unable to create the network. The VLAN %d on physical network %s is in use.", g.SegmentID, g.Physical)
	}
	return fault.Conflict("TunnelIdInUse", "Unable to create the network. The tunnel ID %d is in use.", g.SegmentID)
}

// checkSegment holds a segment that was asked for against its type and the configuration.
func (s *Service) checkSegment(c *engine.Call, g *Segment) error {
	if g.Type == "" {
		return fault.InvalidInput("network_type required")
	}
	t, known := segment.Types[g.Type]
	switch {
	case !known || !slices.Contains(s.config.Types, g.Type):
		return fault.InvalidInput("network_type value '%s' not supported", g.Type)
	case !t.NeedsPhysical && g.Physical != "":
		return fault.InvalidInput("provider:physical_network specified for %s network", g.Type)
	case t.MaxID == 0 && g.SegmentID != noSegment:
		return fault.InvalidInput("provider:segmentation_id specified for %s network", g.Type)
	case g.SegmentID != noSegment && (g.SegmentID < t.MinID || g.SegmentID > t.MaxID):
		return fault.InvalidInput("segmentation_id out of range (%d through %d) for %s network", t.MinID, t.MaxID, g.Type)
	case t == segment.Flat && g.Physical == "":
		return fault.InvalidInput("physical_network required for flat provider network")
	case t == segment.Flat && !slices.Contains(s.config.FlatNetworks, "*") && !slices.Contains(s.config.FlatNetworks, g.Physical):
		return fault.InvalidInput("physical_network '%s' unknown for flat provider network", g.Physical)
	case t == segment.VLAN && g.Physical == "" && g.SegmentID != noSegment:
		return fault.InvalidInput("segmentation_id requires physical_network for VLAN provider network")
	case t == segment.VLAN && g.Physical != "":
		return s.checkPhysical(c, g)
	}
	return nil
}

// checkPhysical lets VLANs lie on physical networks that the configuration or a segment range names.
func (s *Service) checkPhysical(c *engine.Call, g *Segment) error {
	if _, known := s.config.VLANs[g.Physical]; known {
		return nil
	}
	ranges, err := s.rangesOf(c, g.Type)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(ranges, func(r *SegmentRange) bool { return r.Physical == g.Physical }) {
		return fault.InvalidInput("physical_network '%s' unknown for VLAN provider network", g.Physical)
	}
	return nil
}

// takeID gives a segment a free id from the ranges of its type: from those of the project first, then from the
// shared ones, but never an id that lies in another project's range.
func (s *Service) takeID(c *engine.Call, g *Segment, project string, also []*Segment) (bool, error) {
	ranges, err := s.rangesOf(c, g.Type)
	if err != nil {
		return false, err
	}
	ofOthers := func(id int, physical string) bool {
		return slices.ContainsFunc(ranges, func(r *SegmentRange) bool {
			return !r.Shared && r.ProjectID != project && r.Physical == physical && r.Minimum <= id && id <= r.Maximum
		})
	}
	for _, shared := range []bool{false, true} {
		for _, r := range ranges {
			if r.Shared != shared || !shared && r.ProjectID != project || g.Physical != "" && g.Physical != r.Physical {
				continue
			}
			used := func(id int) bool {
				return ofOthers(id, r.Physical) || slices.ContainsFunc(also, func(o *Segment) bool {
					return o.Type == g.Type && o.Physical == r.Physical && o.SegmentID == id
				})
			}
			id, ok, err := freeID(c, r, used)
			if err != nil {
				return false, err
			}
			if ok {
				g.Physical, g.SegmentID = r.Physical, id
				return true, nil
			}
		}
	}
	return false, nil
}

// freeID finds an id of the range that no segment has: by chance first, for that is quick while the
// range is not nearly full, then the lowest free one. Chance leaves out the range's ends: while they are
// free, the range can be narrowed.
func freeID(c *engine.Call, r *SegmentRange, used func(id int) bool) (int, bool, error) {
	for range 8 {
		within := r.Maximum - r.Minimum - 1
		if within < 1 {
			break
		}
		id := r.Minimum + 1 + rand.IntN(within)
		if used(id) {
			continue
		}
		taken, err := segmentTaken(c, r.Type, r.Physical, id, nil)
		if err != nil {
			return 0, false, err
		}
		if !taken {
			return id, true, nil
		}
	}
	taken := map[int]bool{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var id int
		if err := rows.Scan(&id); err != nil {
			return err
		}
		taken[id] = true
		return nil
	}, "SELECT segmentation_id FROM network_segments WHERE network_type = ? AND physical_network = ? AND segmentation_id BETWEEN ? AND ?",
		r.Type, r.Physical, r.Minimum, r.Maximum)
	if err != nil {
		return 0, false, err
	}
	for id := r.Minimum; id <= r.Maximum; id++ {
		if !taken[id] && !used(id) {
			return id, true, nil
		}
	}
	return 0, false, nil
}

func segmentTaken(c *engine.Call, kind, physical string, id int, also []*Segment) (bool, error) {
	if slices.ContainsFunc(also, func(o *Segment) bool { return o.Type == kind && o.Physical == physical && o.SegmentID == id }) {
		return true, nil
	}
	n, err := c.Tx.Count("SELECT COUNT(*) FROM network_segments WHERE network_type = ? AND physical_network = ? AND segmentation_id = ?", kind, physical, id)
	return n > 0, err
}

// updateSegment lets the VLAN id of a network's only segment change; nothing else of a segment can.
func (s *Service) updateSegment(c *engine.Call, old, n *Network, given resource.Given) error {
	if given.Has("segments") && !sameSegments(n.wantedSegments, old.Segments) {
		return fault.InvalidInput("The segments of a network can't be changed by an update; use /segments")
	}
	if !given.Any(providerKeys...) {
		return nil
	}
	if old.Type != n.Type || old.Physical != n.Physical {
		return fault.InvalidInput("Plugin does not support updating the following provider network attributes: provider:network_type, provider:physical_network")
	}
	if old.SegmentID == n.SegmentID {
		return nil
	}
	switch {
	case len(old.Segments) != 1:
		return fault.InvalidInput("Provider network attributes can be updated only in provider networks with a single segment")
	case n.Type != segment.VLAN.Name:
		return fault.InvalidInput("Only VLAN type networks can be updated")
	case n.SegmentID == noSegment:
		return fault.InvalidInput("provider:segmentation_id of a VLAN network can't be taken away")
	}
	g := *old.Segments[0]
	g.SegmentID = n.SegmentID
	if err := s.reserve(c, &g, n.ProjectID, nil); err != nil {
		return err
	}
	stored, err := s.Segments.Find(c, store.Where("t.id = ?", g.ID))
	if err != nil || len(stored) == 0 {
		return err
	}
	changed := *stored[0]
	changed.SegmentID = n.SegmentID
	return s.Segments.Save(c, stored[0], &changed, nil)
}
