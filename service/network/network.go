// Package network has networks, subnets and ports: addresses, segments and bindings.
package network

import (
	"log/slog"
	"net/netip"
	"sync"

	"neutrino/address"
	"neutrino/driver/openvswitch"
	"neutrino/driver/segment"
	"neutrino/engine"
	"neutrino/resource"
)

// Config is what an operator decides about networks. The names in the comments are the original's
// options.
type Config struct {
	ProjectTypes   []string             // tenant_network_types: types tried, in order, for a network without provider attributes
	TunnelIDs      map[string]IDRange   // vni_ranges, tunnel_id_ranges: by type
	VLANs          map[string][]IDRange // network_vlan_ranges: by physical network; an empty list allows explicit ids only
	FlatNetworks   []string             // flat_networks; "*" allows any
	PhysicalMTU    int                  // global_physnet_mtu, bytes
	DNSDomain      string               // dns_domain, ends in a dot
	BaseMAC        address.MAC          // base_mac
	DHCPPerNetwork int                  // dhcp_agents_per_network
	MaxRoutes      int                  // max_subnet_host_routes
	MaxDNS         int                  // max_dns_nameservers
	MaxPairs       int                  // max_allowed_address_pair
}

// IDRange is an inclusive range of segmentation ids.
type IDRange struct{ First, Last int }

// Defaults are the original's defaults, with VXLAN for project networks.
func Defaults() Config {
	return Config{
		ProjectTypes:   []string{segment.VXLAN.Name},
		TunnelIDs:      map[string]IDRange{"vxlan": {1, 1 << 20}, "geneve": {1, 1 << 20}, "gre": {1, 1 << 20}},
		VLANs:          map[string][]IDRange{},
		FlatNetworks:   []string{"*"},
		PhysicalMTU:    1500,
		DNSDomain:      "openstacklocal.",
		BaseMAC:        address.MustParseMAC("fa:16:3e:00:00:00"),
		DHCPPerNetwork: 1,
		MaxRoutes:      20,
		MaxDNS:         5,
		MaxPairs:       10,
	}
}

// Hosts tells the service about hosts and their agents; the agent service is it.
type Hosts interface {
	// SwitchOn gives what the Open vSwitch driver needs of a host; nil when its agent never reported.
	SwitchOn(c *engine.Call, host string) (*openvswitch.Host, error)
	// DHCPHosts lists hosts with an alive DHCP agent that takes work, the least loaded first.
	DHCPHosts(c *engine.Call) ([]string, error)
}

// Service has the three resources. Other services add to it before Install.
type Service struct {
	Networks *engine.Resource[Network]
	Subnets  *engine.Resource[Subnet]
	Ports    *engine.Resource[Port]

	// PortRules are other services' rules for ports, run in order after the service's own.
	PortRules []PortRule
	// NetworkCreated is called for each new network.
	NetworkCreated []func(c *engine.Call, n *Network) error

	config Config
	hosts  Hosts
	log    *slog.Logger

	mu   sync.Mutex
	last map[string]netip.Addr // subnet id → last address given; a hint where to look, not a truth
}

// PortRule is what another service adds to the rules of ports; nil functions are left out.
type PortRule struct {
	Create  func(c *engine.Call, p *Port, n *Network, given resource.Given) error
	Created func(c *engine.Call, p *Port) error
	Update  func(c *engine.Call, old, p *Port, n *Network, given resource.Given) error
	Updated func(c *engine.Call, old, p *Port, given resource.Given) error
}

// New declares the resources.
func New(config Config, hosts Hosts, log *slog.Logger) *Service {
	s := &Service{config: config, hosts: hosts, log: log, last: map[string]netip.Addr{}}
	s.declareNetworks()
	s.declareSubnets()
	s.declarePorts()
	return s
}

// Install binds the resources to the engine, after other services have added to them.
func (s *Service) Install(e *engine.Engine) {
	s.Networks.Install(e)
	s.Subnets.Install(e)
	s.Ports.Install(e)
}

// Config is the configuration that the service runs with.
func (s *Service) Config() Config { return s.config }
