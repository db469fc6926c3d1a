package network

import (
	"net/netip"
	"slices"
	"strings"

	"neutrino/address"
	"neutrino/engine"
	"neutrino/fault"
	"neutrino/policy"
	"neutrino/resource"
	"neutrino/store"
)

// Subnet is a block of addresses on a network.
type Subnet struct {
	resource.Standard
	NetworkID    string
	IPVersion    int // 4 or 6
	CIDR         netip.Prefix
	Gateway      netip.Addr // zero: none
	EnableDHCP   bool
	Pools        []Pool
	DNS          []netip.Addr
	Routes       []Route
	RAMode       string // ipv6_ra_mode
	AddressMode  string // ipv6_address_mode
	ServiceTypes []string
	External     bool // its network is external
	PoolID       string
	PublishFixed bool   // dns_publish_fixed_ip
	SegmentID    string // segment that it lies on; "" is the whole network

	wantedBits     int // prefixlen of a request; noLength: not said
	useDefaultPool bool
}

// The IPv6 modes.
const (
	slaac           = "slaac"
	dhcpv6Stateful  = "dhcpv6-stateful"
	dhcpv6Stateless = "dhcpv6-stateless"
)

// Automatic says whether instances make their addresses themselves (SLAAC), so that we compute them.
func (s *Subnet) Automatic() bool {
	return s.AddressMode == slaac || s.AddressMode == dhcpv6Stateless
}

// ranges are the pools as ranges.
func (s *Subnet) ranges() []address.Range {
	out := make([]address.Range, len(s.Pools))
	for i, p := range s.Pools {
		out[i] = address.Range{First: p.Start, Last: p.End}
	}
	return out
}

func (s *Service) declareSubnets() {
	std := func(n *Subnet) *resource.Standard { return &n.Standard }
	modes := []string{dhcpv6Stateful, dhcpv6Stateless, slaac}
	s.Subnets = &engine.Resource[Subnet]{
		Name: "subnet", Plural: "subnets", Standard: std, Taggable: true, Counted: true,
		Attributes: append(resource.Standards(std),
			resource.UUID("network_id", "network_id", func(n *Subnet) *string { return &n.NetworkID }).Required().Sort(),
			ipVersion(func(n *Subnet) *int { return &n.IPVersion }).Required(),
			cidr(),
			gateway(),
			resource.Bool("enable_dhcp", "enable_dhcp", func(n *Subnet) *bool { return &n.EnableDHCP }).
				Post().Put().Sort().Default(func(n *Subnet) { n.EnableDHCP = true }),
			resource.JSON("allocation_pools", "allocation_pools", func(n *Subnet) *[]Pool { return &n.Pools }, parsePools).Post().Put(),
			resource.JSON("dns_nameservers", "dns_nameservers", func(n *Subnet) *[]netip.Addr { return &n.DNS }, parseNameservers).
				Post().Put().Default(func(n *Subnet) { n.DNS = []netip.Addr{} }),
			resource.JSON("host_routes", "host_routes", func(n *Subnet) *[]Route { return &n.Routes },
				func(v any) ([]Route, error) { return ParseRoutes("host_routes", v) }).
				Post().Put().Default(func(n *Subnet) { n.Routes = []Route{} }),
			resource.Enum("ipv6_ra_mode", "ipv6_ra_mode", modes, true, func(n *Subnet) *string { return &n.RAMode }).Post().Sort(),
			resource.Enum("ipv6_address_mode", "ipv6_address_mode", modes, true, func(n *Subnet) *string { return &n.AddressMode }).Post().Sort(),
			resource.JSON("service_types", "service_types", func(n *Subnet) *[]string { return &n.ServiceTypes }, parseServiceTypes).
				Post().Put().Default(func(n *Subnet) { n.ServiceTypes = []string{} }),
			resource.OptionalUUID("subnetpool_id", "subnetpool_id", func(n *Subnet) *string { return &n.PoolID }).Post().Sort().
				Decoded(decodePoolID),
			resource.Bool("use_default_subnetpool", "", func(n *Subnet) *bool { return &n.useDefaultPool }).Hidden().Post(),
			resource.OptionalInt("prefixlen", "", 0, 128, noLength, func(n *Subnet) *int { return &n.wantedBits }).Hidden().Post(),
			resource.Bool("dns_publish_fixed_ip", "dns_publish_fixed_ip", func(n *Subnet) *bool { return &n.PublishFixed }).Post().Put(),
			resource.OptionalUUID("segment_id", "segment_id", func(n *Subnet) *string { return &n.SegmentID }).Post().Put().Sort().Policed(),
			resource.Computed("router:external", func(b []byte, n *Subnet) []byte { return resource.AppendBool(b, n.External) },
				func(n *Subnet) any { return n.External }),
		),
		Parents: map[string]func(*engine.Call, *Subnet) (policy.Target, error){
			"network": func(c *engine.Call, n *Subnet) (policy.Target, error) { return s.networkTarget(c, n.NetworkID) },
		},
		Inherit: map[string]string{"shared": "network"},
		Scope: func(c *engine.Call, self string) store.Cond {
			return store.Where(self+".network_id IN (SELECT w.id FROM networks w WHERE w.project_id = ?)"+
				" OR "+self+".network_id IN (SELECT r.object_id FROM rbac_entries r WHERE r.object_type = 'network' AND r.action = ? AND r.target_project IN ('*', ?))",
				c.Caller.ProjectID, sharedAccess, c.Caller.ProjectID)
		},
		Filters: map[string]func(*engine.Call, []string, string) (store.Cond, error){
			"router:external": networkFilter(externalFilter),
			"shared":          networkFilter(engine.SharingFilter("network", sharedAccess)),
		},
		Loaders:   []engine.Loader[Subnet]{loadSubnetExternal, preload[Subnet](s, "subnets")},
		Prepare:   s.prepareSubnet,
		OnCreate:  s.createSubnet,
		OnCreated: s.subnetCreated,
		OnUpdate:  s.updateSubnet,
		OnUpdated: s.subnetUpdated,
		OnDelete:  s.deleteSubnet,
		OnDeleted: s.subnetDeleted,
	}
}

// loadSubnetExternal gives for each subnet whether its network is external to the caller.
func loadSubnetExternal(c *engine.Call, page engine.Page) (func(n *Subnet), error) {
	external, err := engine.TextSet(c, "SELECT DISTINCT r.object_id FROM rbac_entries r JOIN subnets s ON s.network_id = r.object_id"+
		page.Join("s.id")+"WHERE r.object_type = 'network' AND r.action = ?", append(slices.Clone(page.Args), externalAccess)...)
	return func(n *Subnet) { n.External = external[n.NetworkID] }, err
}

// networkFilter filters subnets by what their network is to the caller.
func networkFilter(of func(*engine.Call, []string, string) (store.Cond, error)) func(*engine.Call, []string, string) (store.Cond, error) {
	return func(c *engine.Call, values []string, self string) (store.Cond, error) {
		cond, err := of(c, values, "w")
		if err != nil || cond.IsZero() {
			return cond, err
		}
		return store.Where(self+".network_id IN (SELECT w.id FROM networks w WHERE "+cond.SQL+")", cond.Args...), nil
	}
}

func cidr() *resource.Attribute[Subnet] {
	a := resource.Text("cidr", "cidr", 64, func(*Subnet) *string { return new(string) }).Post().Sort()
	return a.Decoded(func(n *Subnet, v any) (err error) {
		if v == nil {
			n.CIDR = netip.Prefix{}
			return nil
		}
		n.CIDR, err = resource.PrefixValue("cidr", v)
		n.CIDR = n.CIDR.Masked()
		return err
	}).Encoded(func(b []byte, n *Subnet) []byte { return resource.AppendString(b, n.CIDR.String()) }).
		Valued(func(n *Subnet) any { return n.CIDR.String() }).
		Scanned(func(n *Subnet) any { return resource.TextDest(&n.CIDR) })
}

func gateway() *resource.Attribute[Subnet] {
	return resource.IP("gateway_ip", "gateway_ip", func(n *Subnet) *netip.Addr { return &n.Gateway }).Post().Put().Sort()
}

// decodePoolID takes a pool's id; the word prefix_delegation asks for something that no agent of ours does.
func decodePoolID(n *Subnet, v any) (err error) {
	switch v {
	case nil:
		return nil
	case "prefix_delegation":
		return fault.BadRequest("BadRequest", "Bad subnets request: IPv6 prefix delegation is not supported by this server; give a cidr or a subnet pool.")
	}
	n.PoolID, err = resource.UUIDValue("subnetpool_id", v)
	return err
}

func parseServiceTypes(v any) ([]string, error) {
	list, err := resource.ListValue("service_types", v)
	if err != nil {
		return nil, err
	}
	types := make([]string, 0, len(list))
	for _, item := range list {
		text, ok := item.(string)
		if !ok {
			return nil, fault.BadRequest("InvalidInputSubnetServiceType", "Subnet service type %v is not a string.", item)
		}
		if prefix, rest, found := strings.Cut(text, ":"); !found || prefix == "" || rest == "" && text != "compute:" {
			return nil, fault.BadRequest("InvalidSubnetServiceType", "Subnet service type %s does not correspond to a valid device owner.", text)
		}
		types = append(types, text)
	}
	if text, twice := resource.Twice(types); twice {
		return nil, fault.Invalid("Invalid input for service_types. Reason: Duplicate items in the list: '%s'.", text)
	}
	return types, nil
}
