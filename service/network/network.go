// Package network has networks, subnets and ports: addresses, segments and bindings.
package network

import (
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"neutrino/address"
	"neutrino/driver/ovn"
	"neutrino/driver/segment"
	"neutrino/engine"
	"neutrino/resource"
)

// Config is what an operator decides about networks. The names in the comments are the original's
// options.
type Config struct {
	Types           []string             // type_drivers: the types that new segments may have
	ProjectTypes    []string             // tenant_network_types: types tried, in order, for a network without provider attributes
	ExternalType    string               // external_network_type: the same for external networks; "" is as for others
	TunnelIDs       map[string][]IDRange // vni_ranges, tunnel_id_ranges: by type
	VLANs           map[string][]IDRange // network_vlan_ranges: by physical network; an empty list allows explicit ids only
	FlatNetworks    []string             // flat_networks; "*" allows any
	PhysicalMTU     int                  // global_physnet_mtu, bytes
	PhysicalMTUs    map[string]int       // physical_network_mtus: less than PhysicalMTU, by physical network
	PathMTU         int                  // path_mtu: what tunnels' own packets may have; 0: as PhysicalMTU
	OverlayIPv6     bool                 // overlay_ip_version is 6
	GeneveHeader    int                  // max_header_size of Geneve, bytes with UDP's and Ethernet's
	DNSDomain       string               // dns_domain, ends in a dot
	BaseMAC         address.MAC          // base_mac
	DHCPPerNetwork  int                  // dhcp_agents_per_network
	DefaultZones    []string             // default_availability_zones: where networks and routers without hints are served; none: anywhere
	MaxRoutes       int                  // max_subnet_host_routes
	MaxDNS          int                  // max_dns_nameservers
	MaxPairs        int                  // max_allowed_address_pair
	Mechanisms      []string             // mechanism_drivers, names of Mechanisms; the first that can binds a port
	Prohibited      map[string][]string  // vnic_type_prohibit_list: by mechanism driver
	VLANTransparent bool                 // vlan_transparent: networks may carry their instances' VLAN tags
	QinQ            bool                 // vlan_qinq: VLAN networks may, below an IEEE 802.1ad tag
	MetadataPorts   bool                 // every network has a port for metadata, as ovn_metadata_enabled says
	Extensions      []string             // aliases that the mechanism drivers bring; nil: what they say themselves
}

// Zones are those in which a network or router with these hints is served; none: anywhere.
func (c Config) Zones(hints []string) []string {
	if len(hints) == 0 {
		return c.DefaultZones
	}
	return hints
}

// IDRange is an inclusive range of segmentation ids.
type IDRange struct{ First, Last int }

// Defaults are the original's defaults, with VXLAN for project networks.
func Defaults() Config {
	return Config{
		Types:          slices.Sorted(maps.Keys(segment.Types)),
		ProjectTypes:   []string{segment.VXLAN.Name},
		TunnelIDs:      map[string][]IDRange{"vxlan": {{1, 1 << 20}}, "geneve": {{1, 1 << 20}}, "gre": {{1, 1 << 20}}},
		VLANs:          map[string][]IDRange{},
		FlatNetworks:   []string{"*"},
		PhysicalMTU:    1500,
		PhysicalMTUs:   map[string]int{},
		GeneveHeader:   segment.GeneveHeader,
		DNSDomain:      "openstacklocal.",
		BaseMAC:        address.MustParseMAC("fa:16:3e:00:00:00"),
		DHCPPerNetwork: 1,
		MaxRoutes:      20,
		MaxDNS:         5,
		MaxPairs:       10,
		Mechanisms:     []string{Openvswitch},
	}
}

// Service has the resources. Other services add to it before Install.
type Service struct {
	Networks *engine.Resource[Network]
	Subnets  *engine.Resource[Subnet]
	Ports    *engine.Resource[Port]

	Segments *engine.Resource[Segment]
	Ranges   *engine.Resource[SegmentRange]
	Bindings *engine.Resource[Binding]

	SubnetPools   *engine.Resource[SubnetPool]
	AddressScopes *engine.Resource[AddressScope]

	Availabilities *engine.Resource[Availability]

	// PortRules are other services' rules for ports, run in order after the service's own.
	PortRules []PortRule
	// NetworkDeleting is called before a network's ports are counted: who has something on it that goes
	// with it takes it away.
	NetworkDeleting []func(c *engine.Call, n *Network) error
	// NetworkCreated is called for each new network.
	NetworkCreated []func(c *engine.Call, n *Network) error

	// QoS knows the policies that networks and ports may have; nil when there are none.
	QoS QoS

	config Config
	hosts  Hosts
	log    *slog.Logger

	mu   sync.Mutex
	last map[string]netip.Addr // subnet id → last address given; a hint where to look, not a truth
}

// QoS is what networks and ports ask about QoS policies.
type QoS interface {
	// Check refuses a policy that the caller may not use.
	Check(c *engine.Call, policy string) error
	// Change is Check for a policy in place of an old one, which the caller must be allowed to take away;
	// "" is none.
	Change(c *engine.Call, old, policy string) error
	// CheckPort refuses a bound port whose driver does not enforce the rules of the policy that it has,
	// or takes from its network.
	CheckPort(c *engine.Call, p *Port, n *NetworkRow) error
	// CheckNetwork refuses a network's policy that a bound port of it would take and could not keep.
	CheckNetwork(c *engine.Call, n *Network) error
	// Default is the policy that a project's new networks take; "" for none.
	Default(c *engine.Call, project string) (string, error)
}

// PortRule is what another service adds to the rules of ports; nil functions are left out.
type PortRule struct {
	Create  func(c *engine.Call, p *Port, n *NetworkRow, given resource.Given) error
	Created func(c *engine.Call, p *Port) error
	Update  func(c *engine.Call, old, p *Port, n *NetworkRow, given resource.Given) error
	Updated func(c *engine.Call, old, p *Port, given resource.Given) error
}

// New declares the resources.
func New(config Config, hosts Hosts, log *slog.Logger) *Service {
	s := &Service{config: config, hosts: hosts, log: log, last: map[string]netip.Addr{}}
	s.declareNetworks()
	s.declareSubnets()
	s.declarePorts()
	s.declareBindings()
	s.declareSegments()
	s.declareRanges()
	s.declareSubnetPools()
	s.declareAddressScopes()
	s.declareAvailabilities()
	return s
}

// Install binds the resources to the engine, after other services have added to them.
func (s *Service) Install(e *engine.Engine) {
	s.Networks.Install(e)
	s.Subnets.Install(e)
	s.Ports.Install(e)
	s.Bindings.Install(e)
	s.Segments.Install(e)
	s.Ranges.Install(e)
	s.SubnetPools.Install(e)
	s.AddressScopes.Install(e)
	s.Availabilities.Install(e)
}

// carried are those of which all must bring each: by them networks carry their instances' VLAN tags.
var carried = map[string][]string{OVN: ovn.TagExtensions}

// Extensions are the aliases that the mechanism drivers in use bring of those extensions that only some have.
func (s *Service) Extensions() []string {
	if s.config.Extensions != nil {
		return s.config.Extensions
	}
	var aliases []string
	for _, name := range s.config.Mechanisms {
		aliases = append(aliases, mechanismOf(name).Extensions...)
	}
	for alias, wanted := range map[string]bool{"vlan-transparent": s.config.VLANTransparent, "qinq": s.config.QinQ} {
		if wanted && !slices.ContainsFunc(s.config.Mechanisms, func(m string) bool { return !slices.Contains(carried[m], alias) }) {
			aliases = append(aliases, alias)
		}
	}
	return aliases
}

// Supports says whether a mechanism driver in use brings an extension that only some have.
func (s *Service) Supports(alias string) bool { return slices.Contains(s.Extensions(), alias) }

// Config is the configuration that the service runs with.
func (s *Service) Config() Config { return s.config }
