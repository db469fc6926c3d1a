package network

import (
	"database/sql"
	"strings"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/store"
)

// Network is a layer-2 network, whole.
type Network struct {
	NetworkRow
	Segments []*Segment
	Routed   bool     // its subnets lie on segments
	External bool     // somebody may use it as external
	Shared   bool     // the caller may use it as shared
	Zones    []string // zones that DHCP servers are in
	Subnets  []string
	Scope4   string // address scope of its IPv4 subnets' pool; "": none
	Scope6   string
	HA       bool // of a request: to be the network for its project's highly available routers

	wantedSegments []*Segment // what a client asks for
}

// NetworkRow is what a network's own row says: all that most rules of ports and subnets look at. Type, Physical
// and SegmentID are those of its first segment.
type NetworkRow struct {
	resource.Standard
	AdminStateUp bool
	MTU          int // bytes; 0 in a request: the largest that the segment allows
	PortSecurity bool
	Type         string // provider:network_type
	Physical     string // provider:physical_network; "" is none
	SegmentID    int    // provider:segmentation_id; -1 is none
	IsDefault    bool   // the default external network
	DNSDomain    string
	ZoneHints    []string // zones that DHCP servers are wanted in
	QoSPolicyID  string

	VLANTransparent bool // instances' VLAN tags pass
	QinQ            bool // instances' VLAN tags pass, inside 802.1ad tags
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
				Post().Put().Filter().Policed().When(single).Default(func(n *Network) { n.SegmentID = noSegment }).
				Decoded(func(n *Network, v any) (err error) {
					n.Type, err = resource.StringValue("provider:network_type", v, 32)
					return err
				}),
			resource.OptionalText("provider:physical_network", "physical_network", 64, func(n *Network) *string { return &n.Physical }).
				Post().Put().Filter().Policed().When(single).
				Decoded(func(n *Network, v any) (err error) {
					n.Physical, err = resource.StringValue("provider:physical_network", v, 64)
					return err
				}),
			resource.OptionalInt("provider:segmentation_id", "segmentation_id", 0, 1<<32-1, noSegment, func(n *Network) *int { return &n.SegmentID }).
				Post().Put().Filter().Policed().When(single),
			resource.JSON("availability_zone_hints", "availability_zone_hints", func(n *Network) *[]string { return &n.ZoneHints }, ZoneHints).
				Post().Default(func(n *Network) { n.ZoneHints = []string{} }),
			resource.Computed("availability_zones", func(b []byte, n *Network) []byte { return resource.AppendStrings(b, n.Zones) }, nil),
			resource.OptionalUUID("ipv4_address_scope", "", func(n *Network) *string { return &n.Scope4 }),
			resource.OptionalUUID("ipv6_address_scope", "", func(n *Network) *string { return &n.Scope6 }),
			resource.Computed("l2_adjacency", func(b []byte, n *Network) []byte { return resource.AppendBool(b, !n.Routed) }, nil),
			resource.Computed("segments", appendNetworkSegments, nil).
				Post().Put().Policed().When(func(n *Network) bool { return len(n.Segments) > 1 }).
				Decoded(func(n *Network, v any) (err error) { n.wantedSegments, err = parseSegments(v); return err }),
			resource.OptionalUUID("qos_policy_id", "qos_policy_id", func(n *Network) *string { return &n.QoSPolicyID }).Post().Put().Policed(),
			dnsDomain(func(n *Network) *string { return &n.DNSDomain }),
			resource.Bool("ha", "", func(n *Network) *bool { return &n.HA }).Hidden().Post(),
			resource.Bool("vlan_transparent", "vlan_transparent", func(n *Network) *bool { return &n.VLANTransparent }).
				Post().Filter().When(s.brings("vlan-transparent")),
			resource.Bool("qinq", "qinq", func(n *Network) *bool { return &n.QinQ }).Post().Filter().When(s.brings("qinq")),
		),
		Scope: func(c *engine.Call, self string) store.Cond {
			return engine.SharedWith(c, "network", externalAccess, self)
		},
		Filters: map[string]func(*engine.Call, []string, string) (store.Cond, error){
			"router:external": externalFilter,
		},
		Loaders: []engine.Loader[Network]{
			engine.SharingLoader("network", sharedAccess, id, func(n *Network, on bool) { n.Shared = on }),
			loadExternal,
			loadSubnetIDs,
			loadSegments,
			loadScopes,
		},
		OnCreate:  s.createNetwork,
		OnCreated: s.networkCreated,
		OnUpdate:  s.updateNetwork,
		OnUpdated: s.networkUpdated,
		OnDelete:  s.deleteNetwork,
	}
}

// loadExternal says which networks of a page are external: those that any project may use as such.
func loadExternal(c *engine.Call, page engine.Page) (func(n *Network), error) {
	external, err := engine.TextSet(c, "SELECT DISTINCT r.object_id FROM rbac_entries r"+page.Join("r.object_id")+
		"WHERE r.object_type = 'network' AND r.action = ?", append(append([]any{}, page.Args...), externalAccess)...)
	return func(n *Network) { n.External = external[n.ID] }, err
}

// externalFilter filters by what loadExternal computes.
func externalFilter(_ *engine.Call, values []string, self string) (store.Cond, error) {
	conds := make([]store.Cond, len(values))
	for i, text := range values {
		want, err := resource.BoolValue(text)
		if err != nil {
			return store.Cond{}, err
		}
		conds[i] = store.Where(self+".id IN (SELECT r.object_id FROM rbac_entries r WHERE r.object_type = 'network' AND r.action = ?)", externalAccess)
		if !want {
			conds[i] = store.Not(conds[i])
		}
	}
	return store.Or(conds...), nil
}

// single says whether a network has no more than one segment, so that provider:* tells it all.
func single(n *Network) bool { return len(n.Segments) <= 1 }

// noSegment is the segmentation id of a network without one.
const noSegment = -1

func loadSubnetIDs(c *engine.Call, page engine.Page) (func(n *Network), error) {
	subnets := map[string][]string{}
	routed := map[string]bool{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var network, subnet, segment string
		if err := rows.Scan(&network, &subnet, &segment); err != nil {
			return err
		}
		routed[network] = routed[network] || segment != ""
		subnets[network] = append(subnets[network], subnet)
		return nil
	}, "SELECT s.network_id, s.id, s.segment_id FROM subnets s"+page.Join("s.network_id")+"ORDER BY s.created_at, s.id", page.Args...)
	return func(n *Network) { n.Subnets, n.Routed = subnets[n.ID], routed[n.ID] }, err
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

// LocalDomain is the DNS domain that hosts tell the network's instances; one with a keyword in it is for a DNS
// service outside.
func (n *NetworkRow) LocalDomain() string {
	if strings.Contains(n.DNSDomain, "<") {
		return ""
	}
	return n.DNSDomain
}

// ZoneHints reads a list of distinct zones.
func ZoneHints(v any) ([]string, error) {
	list, err := resource.ListValue("availability_zone_hints", v)
	if err != nil {
		return nil, err
	}
	zones := make([]string, 0, len(list))
	for _, item := range list {
		zone, err := resource.StringValue("availability_zone_hints", item, 255)
		if err != nil {
			return nil, err
		}
		zones = append(zones, zone)
	}
	if zone, twice := resource.Twice(zones); twice {
		return nil, fault.Invalid("Invalid input for availability_zone_hints. Reason: Duplicate items in the list: '%s'.", zone)
	}
	if text := resource.AppendStrings(nil, zones); len(text) > maxZoneHints {
		return nil, fault.Invalid("Invalid input for availability_zone_hints. Reason: Too many availability_zones are specified: %d characters are more than %d.", len(text), maxZoneHints)
	}
	return zones, nil
}

// maxZoneHints is how long the JSON text of zone hints may be.
const maxZoneHints = 255
