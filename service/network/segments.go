package network

import (
	"database/sql"
	"slices"
	"strings"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/store"
)

// Segment is a piece of layer 2 that a network lies on.
type Segment struct {
	resource.Standard // without a project of its own
	NetworkID         string
	Type              string // network_type
	Physical          string // physical_network; "" is none
	SegmentID         int    // segmentation_id; noSegment is none
	Index             int    // its place in the network

	reserved bool // its id was taken by the network's rules
}

func (s *Service) declareSegments() {
	std := func(g *Segment) *resource.Standard { return &g.Standard }
	s.Segments = &engine.Resource[Segment]{
		Name: "segment", Plural: "segments", Table: "network_segments", Extension: "segment", Standard: std, NoBulk: true,
		Attributes: append([]*resource.Attribute[Segment]{
			resource.ID(func(g *Segment) *string { return &g.ID }),
			resource.Text("tenant_id", "", 255, func(*Segment) *string { return new(string) }).Post().Hidden(),
			resource.UUID("network_id", "network_id", func(g *Segment) *string { return &g.NetworkID }).Required().Sort(),
			resource.OptionalText("name", "name", 255, func(g *Segment) *string { return &g.Name }).Post().Put().Sort().Decoded(segmentName),
			resource.Text("network_type", "network_type", 32, func(g *Segment) *string { return &g.Type }).Required().Sort(),
			resource.OptionalText("physical_network", "physical_network", 64, func(g *Segment) *string { return &g.Physical }).Post().Sort().
				Decoded(func(g *Segment, v any) (err error) {
					g.Physical, err = resource.StringValue("physical_network", v, 64)
					return err
				}),
			resource.OptionalInt("segmentation_id", "segmentation_id", 0, 1<<32-1, noSegment, func(g *Segment) *int { return &g.SegmentID }).Post().Sort(),
			resource.Int("segment_index", "segment_index", 0, 1<<31-1, func(g *Segment) *int { return &g.Index }).Hidden(),
		}, resource.Stamps(std)...),
		OnCreate:  s.createSegment,
		OnCreated: func(c *engine.Call, g *Segment) error { return s.segmentsChanged(c, g) },
		OnDelete:  s.deleteSegment,
		OnDeleted: s.segmentDeleted,
	}
}

func segmentName(g *Segment, v any) (err error) {
	if v == nil {
		g.Name = ""
		return nil
	}
	g.Name, err = resource.NameValue("name", v)
	return err
}

// createSegment gives a network one more segment.
func (s *Service) createSegment(c *engine.Call, g *Segment, _ resource.Given) error {
	if g.reserved {
		return nil
	}
	n, err := s.Networks.Get(c, g.NetworkID)
	if err != nil {
		return err
	}
	if err := s.reserve(c, g, n.ProjectID, nil); err != nil {
		return err
	}
	if len(n.Segments) > 0 {
		g.Index = n.Segments[len(n.Segments)-1].Index + 1
	}
	return nil
}

// segmentsChanged tells the hosts of a network whose segments are others now, and keeps the first one in the
// network's own row.
func (s *Service) segmentsChanged(c *engine.Call, g *Segment) error {
	engine.Forget(c, networkKey{g.NetworkID, true})
	engine.Forget(c, networkKey{g.NetworkID, false})
	engine.Forget(c, segmentsKey{g.NetworkID})
	if g.reserved {
		return nil // the network is being made, with its columns right
	}
	first := &Segment{SegmentID: noSegment}
	list, err := s.Segments.Rows(c, store.Where("t.network_id = ?", g.NetworkID))
	if err != nil {
		return err
	}
	if len(list) > 0 {
		first = slices.MinFunc(list, func(a, b *Segment) int { return a.Index - b.Index })
	}
	if _, err := c.Tx.Exec("UPDATE networks SET network_type = ?, physical_network = ?, segmentation_id = ? WHERE id = ?",
		first.Type, first.Physical, first.SegmentID, g.NetworkID); err != nil {
		return err
	}
	return s.Networks.Touch(c, g.NetworkID)
}

// deleteSegment refuses while subnets or ports need the segment; DHCP ports on it go.
func (s *Service) deleteSegment(c *engine.Call, g *Segment) error {
	subnets, err := engine.TextSet(c, "SELECT id FROM subnets WHERE segment_id = ?", g.ID)
	if err != nil {
		return err
	}
	if len(subnets) > 0 {
		var ids []string
		for id := range subnets {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		return segmentInUse(g, "The segment is still associated with subnet(s) %s", strings.Join(ids, ", "))
	}
	ports, err := s.Ports.Find(c, store.Where("t.network_id = ? AND t.bound_segment = ?", g.NetworkID, g.ID))
	if err != nil {
		return err
	}
	left := 0
	for _, p := range ports {
		if !autoDeleted(p.DeviceOwner) {
			left++
		}
	}
	if left > 0 {
		return segmentInUse(g, "The segment is still bound with %d port(s)", left)
	}
	for _, p := range ports {
		if err := s.Ports.Drop(c, p); err != nil {
			return err
		}
	}
	return nil
}

func segmentInUse(g *Segment, reason string, args ...any) error {
	return fault.Conflict("SegmentInUse", "Segment '%s' cannot be deleted: "+reason+".", append([]any{g.ID}, args...)...)
}

func (s *Service) segmentDeleted(c *engine.Call, g *Segment) error {
	if err := s.segmentsChanged(c, g); err != nil {
		return err
	}
	return s.EnsureDHCP(c, g.NetworkID)
}

type segmentsKey struct{ network string }

// segmentsOf gives a network's segments in their order.
func (s *Service) segmentsOf(c *engine.Call, network string) ([]*Segment, error) {
	return engine.Once(c, segmentsKey{network}, func() ([]*Segment, error) {
		segments, err := s.Segments.Rows(c, store.Where("t.network_id = ?", network))
		slices.SortFunc(segments, func(a, b *Segment) int { return a.Index - b.Index })
		return segments, err
	})
}

// loadSegments reads the segments of a page of networks.
func loadSegments(c *engine.Call, page engine.Page) (func(n *Network), error) {
	segments := map[string][]*Segment{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		g := &Segment{}
		if err := rows.Scan(&g.ID, &g.NetworkID, &g.Type, &g.Physical, &g.SegmentID, &g.Index); err != nil {
			return err
		}
		segments[g.NetworkID] = append(segments[g.NetworkID], g)
		return nil
	}, "SELECT g.id, g.network_id, g.network_type, g.physical_network, g.segmentation_id, g.segment_index FROM network_segments g"+
		page.Join("g.network_id"), page.Args...)
	return func(n *Network) {
		n.Segments = segments[n.ID]
		slices.SortFunc(n.Segments, func(a, b *Segment) int { return a.Index - b.Index })
	}, err
}
