package network

import (
	"database/sql"
	"encoding/json"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/store"
)

// Network is a layer-2 network on one segment.
type Network struct {
	resource.Standard
	AdminStateUp bool
	MTU          int // bytes; 0 in a request: the largest that the segment allows
	PortSecurity bool
	Type         string // provider:network_type
	Physical     string // provider:physical_network; "" is none
	SegmentID    int    // provider:segmentation_id; -1 is none
	External     bool   // the caller may use it as external
	Shared       bool   // the caller may use it as shared
	IsDefault    bool   // the default external network
	DNSDomain    string
	ZoneHints    []string
	Subnets      []string
}

const (
	sharedAccess   = "access_as_shared"
	externalAccess = "access_as_external"
)

func (s *Service) declareNetworks() {
	id := func(n *Network) string { return n.ID }
	std := func(n *Network) *resource.Standard { return &n.Standard }
	s.Networks = &engine.Resource[Network]{
		Name: "network", Plural: "networks", Standard: std,
		Taggable: true, Counted: true, Sharable: "network",
		Attributes: append(resource.Standards(std),
			resource.Bool("admin_state_up", "admin_state_up", func(n *Network) *bool { return &n.AdminStateUp }).
				Post().Put().Sort().Default(func(n *Network) { n.AdminStateUp = true }),
			resource.Computed("status", func(b []byte, _ *Network) []byte { return append(b, `"ACTIVE"`...) },
				func(*Network) any { return "ACTIVE" }).Where(isActive),
			resource.Computed("subnets", func(b []byte, n *Network) []byte { return resource.AppendStrings(b, n.Subnets) }, nil),
			resource.Bool("shared", "", func(n *Network) *bool { return &n.Shared }).Post().Put().Policed(),
			resource.Bool("router:external", "", func(n *Network) *bool { return &n.External }).Post().Put().Policed(),
			resource.Bool("is_default", "is_default", func(n *Network) *bool { return &n.IsDefault }).
				Post().Put().Filter().Policed(),
			resource.Int("mtu", "mtu", 0, 1<<16, func(n *Network) *int { return &n.MTU }).Post().Put().Sort().Policed(),
			resource.Bool("port_security_enabled", "port_security_enabled", func(n *Network) *bool { return &n.PortSecurity }).
				Post().Put().Policed().Default(func(n *Network) { n.PortSecurity = true }),
			resource.OptionalText("provider:network_type", "network_type", 32, func(n *Network) *string { return &n.Type }).
				Post().Put().Filter().Policed().Default(func(n *Network) { n.SegmentID = noSegment }),
			resource.OptionalText("provider:physical_network", "physical_network", 64, func(n *Network) *string { return &n.Physical }).
				Post().Put().Filter().Policed(),
			resource.OptionalInt("provider:segmentation_id", "segmentation_id", 0, 1<<32-1, noSegment, func(n *Network) *int { return &n.SegmentID }).
				Post().Put().Filter().Policed(),
			resource.JSON("availability_zone_hints", "availability_zone_hints", func(n *Network) *[]string { return &n.ZoneHints }, zoneHints).
				Post().Default(func(n *Network) { n.ZoneHints = []string{} }),
			resource.Computed("availability_zones", func(b []byte, n *Network) []byte { return append(b, `[]`...) }, nil),
			resource.Computed("ipv4_address_scope", null[Network], nil),
			resource.Computed("ipv6_address_scope", null[Network], nil),
			resource.Computed("l2_adjacency", func(b []byte, _ *Network) []byte { return append(b, "true"...) }, nil),
			dnsDomain(func(n *Network) *string { return &n.DNSDomain }),
		),
		Scope: func(c *engine.Call, self string) store.Cond {
			return engine.SharedWith(c, "network", externalAccess, self)
		},
		Filters: map[string]func(*engine.Call, []string, string) (store.Cond, error){
			"router:external": engine.SharingFilter("network", externalAccess),
		},
		Loaders: []engine.Loader[Network]{
			engine.SharingLoader("network", sharedAccess, id, func(n *Network, on bool) { n.Shared = on }),
			engine.SharingLoader("network", externalAccess, id, func(n *Network, on bool) { n.External = on }),
			loadSubnetIDs,
		},
		OnCreate:  s.createNetwork,
		OnCreated: s.networkCreated,
		OnUpdate:  s.updateNetwork,
		OnUpdated: s.networkUpdated,
		OnDelete:  s.deleteNetwork,
	}
}

// noSegment is the segmentation id of a network without one.
const noSegment = -1

func loadSubnetIDs(c *engine.Call, page engine.Page) (func(n *Network), error) {
	subnets := map[string][]string{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var network, subnet string
		if err := rows.Scan(&network, &subnet); err != nil {
			return err
		}
		subnets[network] = append(subnets[network], subnet)
		return nil
	}, "SELECT s.network_id, s.id FROM subnets s"+page.Join("s.network_id")+"ORDER BY s.created_at, s.id", page.Args...)
	return func(n *Network) { n.Subnets = subnets[n.ID] }, err
}

// isActive is the status filter of resources whose status never is anything else.
func isActive(values []string, _ string) (store.Cond, error) {
	for _, v := range values {
		if v == "ACTIVE" {
			return store.Cond{}, nil
		}
	}
	return store.Never(), nil
}

func null[T any](b []byte, _ *T) []byte { return append(b, "null"...) }

// zoneHints refuses zones, for no agent reports one.
func zoneHints(v any) ([]string, error) {
	list, err := resource.ListValue("availability_zone_hints", v)
	if err != nil {
		return nil, err
	}
	if len(list) > 0 {
		text, err := json.Marshal(list[0])
		if err != nil {
			return nil, err
		}
		return nil, fault.NotFound("AvailabilityZoneNotFound", "AvailabilityZone %s could not be found.", string(text))
	}
	return []string{}, nil
}
