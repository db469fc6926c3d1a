package network

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strconv"
	"strings"

	"neutrino/driver/segment"
	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/store"
)

// SegmentRange is a range of segmentation ids from which networks get theirs: of one project, or shared.
type SegmentRange struct {
	resource.Standard
	Default  bool // comes from the configuration
	Shared   bool
	Type     string
	Physical string // "" for tunnels
	Minimum  int
	Maximum  int

	used map[int]string // segmentation id → project of the network that has it
}

func (s *Service) declareRanges() {
	std := func(r *SegmentRange) *resource.Standard { return &r.Standard }
	types := []string{segment.VLAN.Name, segment.VXLAN.Name, segment.GRE.Name, segment.Geneve.Name}
	s.Ranges = &engine.Resource[SegmentRange]{
		Name: "network_segment_range", Plural: "network_segment_ranges", Extension: "network-segment-range",
		Standard: std, Taggable: true, NoBulk: true,
		Attributes: append(slices.DeleteFunc(resource.Standards(std), func(a *resource.Attribute[SegmentRange]) bool { return a.Name == "tenant_id" || a.Name == "project_id" }),
			resource.OptionalText("project_id", "project_id", 255, func(r *SegmentRange) *string { return &r.ProjectID }).Post().Sort(),
			resource.Bool("default", "is_default", func(r *SegmentRange) *bool { return &r.Default }),
			resource.Bool("shared", "shared", func(r *SegmentRange) *bool { return &r.Shared }).Post().Default(func(r *SegmentRange) { r.Shared = true }),
			resource.Enum("network_type", "network_type", types, false, func(r *SegmentRange) *string { return &r.Type }).Required().Filter(),
			resource.OptionalText("physical_network", "physical_network", 64, func(r *SegmentRange) *string { return &r.Physical }).Post().Filter(),
			resource.Int("minimum", "minimum", 1, 1<<32-1, func(r *SegmentRange) *int { return &r.Minimum }).Required().Put(),
			resource.Int("maximum", "maximum", 1, 1<<32-1, func(r *SegmentRange) *int { return &r.Maximum }).Required().Put(),
			resource.Computed("used", appendUsed, nil),
			resource.Computed("available", appendAvailable, nil),
		),
		NotFound: func(id string) error {
			return fault.NotFound("NetworkSegmentRangeNotFound", "Network Segment Range %s could not be found.", id)
		},
		Loaders:  []engine.Loader[SegmentRange]{loadUsed},
		OnCreate: s.createRange,
		OnUpdate: s.updateRange,
		OnDelete: s.deleteRange,
	}
}

// loadUsed reads which ids of a page of ranges are in use, and by whose networks.
func loadUsed(c *engine.Call, page engine.Page) (func(r *SegmentRange), error) {
	used := map[string]map[int]string{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var id, project string
		var number int
		if err := rows.Scan(&id, &number, &project); err != nil {
			return err
		}
		if used[id] == nil {
			used[id] = map[int]string{}
		}
		used[id][number] = project
		return nil
	}, `SELECT r.id, g.segmentation_id, n.project_id FROM network_segment_ranges r`+page.Join("r.id")+
		`JOIN network_segments g ON g.network_type = r.network_type AND g.physical_network = r.physical_network
			AND g.segmentation_id >= r.minimum AND g.segmentation_id <= r.maximum
		JOIN networks n ON n.id = g.network_id`, page.Args...)
	return func(r *SegmentRange) { r.used = used[r.ID] }, err
}

func appendUsed(b []byte, r *SegmentRange) []byte {
	b = append(b, '{')
	for i, id := range slices.Sorted(maps.Keys(r.used)) {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, '"')
		b = strconv.AppendInt(b, int64(id), 10)
		b = append(b, `": `...)
		b = resource.AppendString(b, r.used[id])
	}
	return append(b, '}')
}

// mostAvailable bounds the free ids that an answer lists one by one.
const mostAvailable = 1 << 16

func appendAvailable(b []byte, r *SegmentRange) []byte {
	b = append(b, '[')
	first := true
	for id := r.Minimum; id <= min(r.Maximum, r.Minimum+mostAvailable-1); id++ {
		if _, taken := r.used[id]; taken {
			continue
		}
		if !first {
			b = append(b, ", "...)
		}
		first = false
		b = strconv.AppendInt(b, int64(id), 10)
	}
	return append(b, ']')
}

func (s *Service) createRange(c *engine.Call, r *SegmentRange, _ resource.Given) error {
	if r.Type != segment.VLAN.Name {
		r.Physical = ""
	} else if r.Physical == "" {
		return fault.BadRequest("BadRequest", "Bad network_segment_range request: Network type vlan requires 'physical_network' to be specified while creating new range.")
	}
	switch {
	case r.Shared:
		r.ProjectID = ""
	case r.ProjectID == "":
		return fault.BadRequest("BadRequest", "Bad network_segment_range request: a range that is not shared needs a project_id.")
	}
	return s.checkRange(c, r)
}

// checkRange holds a range against its type and the other ranges; those of the configuration may be overlapped.
func (s *Service) checkRange(c *engine.Call, r *SegmentRange) error {
	t := segment.Types[r.Type]
	switch {
	case r.Minimum > r.Maximum:
		return rangeError(t, r, "End of range is less than start of range")
	case r.Minimum < t.MinID || r.Maximum > t.MaxID:
		return rangeError(t, r, "the ids must be between "+strconv.Itoa(t.MinID)+" and "+strconv.Itoa(t.MaxID))
	}
	var overlapped []string
	others, err := s.rangesOf(c, r.Type)
	if err != nil {
		return err
	}
	for _, o := range others {
		if !r.Default && o.ID != r.ID && !o.Default && o.Physical == r.Physical && r.Minimum <= o.Maximum && o.Minimum <= r.Maximum {
			overlapped = append(overlapped, o.ID)
		}
	}
	if len(overlapped) > 0 {
		return fault.Conflict("NetworkSegmentRangeOverlaps", "Network segment range overlaps with range(s) with id %s", strings.Join(overlapped, ", "))
	}
	return nil
}

func rangeError(t segment.Type, r *SegmentRange, why string) error {
	if t == segment.VLAN {
		return fault.BadRequest("NetworkVlanRangeError", "Invalid network VLAN range: '%d:%d' - '%s'.", r.Minimum, r.Maximum, why)
	}
	return fault.BadRequest("NetworkTunnelRangeError", "Invalid network tunnel range: '%d:%d' - %s.", r.Minimum, r.Maximum, why)
}

func (s *Service) updateRange(c *engine.Call, old, r *SegmentRange, _ resource.Given) error {
	if old.Default {
		return readOnlyRange(old)
	}
	for id := range old.used { // as in the original, an end that moves inwards takes its own id along
		if r.Minimum > old.Minimum && id <= r.Minimum || r.Maximum < old.Maximum && id >= r.Maximum {
			return referencedRange(old)
		}
	}
	return s.checkRange(c, r)
}

func (s *Service) deleteRange(c *engine.Call, r *SegmentRange) error {
	if r.Default {
		return readOnlyRange(r)
	}
	if len(r.used) > 0 {
		return referencedRange(r)
	}
	return nil
}

func readOnlyRange(r *SegmentRange) error {
	return fault.BadRequest("NetworkSegmentRangeDefaultReadOnly", "Network Segment Range %s is a default segment range which could not be updated or deleted.", r.ID)
}

func referencedRange(r *SegmentRange) error {
	return fault.Conflict("NetworkSegmentRangeReferencedByProject", "Network Segment Range %s is referenced by one or more project networks.", r.ID)
}

// rangesOf gives the ranges of a type in a fixed order.
func (s *Service) rangesOf(c *engine.Call, kind string) ([]*SegmentRange, error) {
	list, err := s.Ranges.Rows(c, store.Where("t.network_type = ?", kind))
	slices.SortFunc(list, func(a, b *SegmentRange) int {
		if a.Physical != b.Physical {
			return strings.Compare(a.Physical, b.Physical)
		}
		return a.Minimum - b.Minimum
	})
	return list, err
}

// SyncRanges makes the default ranges those of the configuration.
func (s *Service) SyncRanges(ctx context.Context, e *engine.Engine) error {
	return e.Update(ctx, nil, func(c *engine.Call) error {
		have, err := s.Ranges.Rows(c, store.Where("t.is_default = ?", true))
		if err != nil {
			return err
		}
		for _, want := range s.configuredRanges() {
			same := func(r *SegmentRange) bool {
				return r.Type == want.Type && r.Physical == want.Physical && r.Minimum == want.Minimum && r.Maximum == want.Maximum
			}
			if i := slices.IndexFunc(have, same); i >= 0 {
				have = slices.Delete(have, i, i+1)
				continue
			}
			if err := s.Ranges.Insert(c, want, nil); err != nil {
				return err
			}
		}
		for _, r := range have {
			if err := s.Ranges.Drop(c, r); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Service) configuredRanges() []*SegmentRange {
	var list []*SegmentRange
	add := func(kind, physical string, r IDRange) {
		if r.First > 0 && r.First <= r.Last && slices.Contains(s.config.Types, kind) {
			list = append(list, &SegmentRange{Default: true, Shared: true, Type: kind, Physical: physical, Minimum: r.First, Maximum: r.Last})
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(s.config.TunnelIDs)) {
		for _, r := range s.config.TunnelIDs[kind] {
			add(kind, "", r)
		}
	}
	for _, physical := range slices.Sorted(maps.Keys(s.config.VLANs)) {
		for _, r := range s.config.VLANs[physical] {
			add(segment.VLAN.Name, physical, r)
		}
	}
	return list
}
