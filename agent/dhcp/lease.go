package dhcp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"neutrino/dataplane/dhcp"
	"neutrino/desired"
)

const ownerDHCP = "network:dhcp"

// metadataAddr is where instances ask who they are.
var metadataAddr = netip.MustParseAddr("169.254.169.254")

// metadataAddr6 is the same for IPv6.
var metadataAddr6 = netip.MustParseAddr("fe80::a9fe:a9fe")

// Device is the name of the DHCP port's device inside the namespace.
func Device(portID string) string { return "ns-" + portID[:min(11, len(portID))] }

// ServedBy is the DHCP port by which this host serves a network; nil when it does not. Of several
// the one with the lowest id counts.
func ServedBy(state *desired.State, network, host string) *desired.Port {
	if state.Networks[network] == nil {
		return nil
	}
	var found *desired.Port
	for _, p := range state.PortsOf[network] {
		if p.DeviceOwner == ownerDHCP && p.Host == host && p.AdminStateUp && (found == nil || p.ID < found.ID) {
			found = p
		}
	}
	return found
}

// Metadata says which networks' own namespaces answer for metadata.
type Metadata int

// Those where no router does (enable_isolated_metadata), none, or all (force_metadata).
const (
	MetadataIsolated Metadata = iota
	MetadataNever
	MetadataAlways
)

// leads says whether DHCP leads the clients of an IPv4 subnet to metadata.
func (m Metadata) leads(s desired.Subnet, hops map[netip.Addr]bool) bool {
	return m == MetadataAlways || m == MetadataIsolated && isolated(s, hops)
}

// NeedsMetadata says for which families the namespace of a network's DHCP port must answer for metadata: for
// IPv4 when some subnet with DHCP has no router at its gateway address, for IPv6 when there is no
// router at all. Guests find the address of IPv6 on their own network, where it can be only once: a router's interface
// has it, or else the first of the network's DHCP ports.
func NeedsMetadata(state *desired.State, server *desired.Port, m Metadata) (v4, v6 bool) {
	n := state.Networks[server.NetworkID]
	if n == nil || m == MetadataNever {
		return false, false
	}
	hops, routed := routers(state, n.ID)
	for _, s := range n.Subnets {
		if s.CIDR.Addr().Is4() {
			v4 = v4 || s.EnableDHCP && m.leads(s, hops)
		} else {
			v6 = v6 || !routed && first(state, server)
		}
	}
	return v4, v6
}

// first says whether a DHCP port is the first of its network's.
func first(state *desired.State, server *desired.Port) bool {
	for _, p := range state.PortsOf[server.NetworkID] {
		if p.DeviceOwner == ownerDHCP && p.Host != "" && p.AdminStateUp && p.ID < server.ID {
			return false
		}
	}
	return true
}

// routers are the addresses of router interfaces on a network.
func routers(state *desired.State, network string) (hops map[netip.Addr]bool, any bool) {
	hops = map[netip.Addr]bool{}
	for _, p := range state.PortsOf[network] {
		switch p.DeviceOwner {
		case "network:router_interface", "network:router_interface_distributed", "network:ha_router_replicated_interface":
			any = true
			for _, f := range p.FixedIPs {
				hops[f.IP] = true
			}
		}
	}
	return hops, any
}

func isolated(s desired.Subnet, hops map[netip.Addr]bool) bool {
	return !s.Gateway.IsValid() || !hops[s.Gateway]
}

// setting is what all leases of a network have in common.
type setting struct {
	network *desired.Network
	server  *desired.Port
	hops    map[netip.Addr]bool     // router interfaces
	servers map[string][]netip.Addr // subnet id → addresses of all that serve the network, sorted
	domain  string                  // without the last dot
	lease   time.Duration

	metadata Metadata
}

// serversOf are the addresses of all DHCP ports of a network by subnet: all answer for DNS, and all lease alike.
func serversOf(state *desired.State, network string) map[string][]netip.Addr {
	servers := map[string][]netip.Addr{}
	for _, p := range state.PortsOf[network] {
		if p.DeviceOwner != ownerDHCP || p.Host == "" || !p.AdminStateUp {
			continue
		}
		for _, f := range p.FixedIPs {
			servers[f.SubnetID] = append(servers[f.SubnetID], f.IP)
		}
	}
	for _, list := range servers {
		slices.SortFunc(list, netip.Addr.Compare)
	}
	return servers
}

// client computes what a port gets. With an error the port is served, but not with all it should get.
func (s *setting) client(p *desired.Port) (*dhcp.Client, error) {
	v4, err4 := s.lease4(p)
	v6, err6 := s.lease6(p)
	return &dhcp.Client{V4: v4, V6: v6}, errors.Join(err4, err6)
}

func (s *setting) subnet(id string) (desired.Subnet, bool) {
	i := slices.IndexFunc(s.network.Subnets, func(n desired.Subnet) bool { return n.ID == id })
	if i < 0 {
		return desired.Subnet{}, false
	}
	return s.network.Subnets[i], true
}

// own is the DHCP port's address on a subnet.
func (s *setting) own(subnet string) netip.Addr {
	for _, f := range s.server.FixedIPs {
		if f.SubnetID == subnet {
			return f.IP
		}
	}
	return netip.Addr{}
}

func (s *setting) lease4(p *desired.Port) (*dhcp.Lease4, error) {
	for _, f := range p.FixedIPs {
		subnet, ok := s.subnet(f.SubnetID)
		if !f.IP.Is4() || ok && !subnet.EnableDHCP {
			continue
		}
		if !ok {
			return nil, fmt.Errorf("subnet %s of address %s is not known yet", f.SubnetID, f.IP)
		}
		server := s.own(subnet.ID)
		if !server.IsValid() {
			return nil, fmt.Errorf("the DHCP port has no address on subnet %s", subnet.ID)
		}
		extra, err := extras(p, 4)
		l := &dhcp.Lease4{
			Address: netip.PrefixFrom(f.IP, subnet.CIDR.Bits()), Server: server, Router: subnet.Gateway,
			DNS: subnet.DNS, Domain: s.domain, Search: search(s.domain), Hostname: p.Hostname, MTU: s.network.MTU,
			Duration: s.lease, Extra: extra,
		}
		if len(l.DNS) == 0 {
			l.DNS = s.servers[subnet.ID]
		}
		l.Routes = s.routes(subnet, server, &l.Router)
		return l, err
	}
	return nil, nil
}

// routes are the classless routes of a subnet's clients: the network's other subnets on the link, the
// subnet's own routes, metadata where no router leads there, and the default route. A default route
// among the subnet's routes takes the place of the gateway.
func (s *setting) routes(subnet desired.Subnet, server netip.Addr, router *netip.Addr) []dhcp.Route {
	var list []dhcp.Route
	for _, other := range s.network.Subnets {
		if other.CIDR.Addr().Is4() && other.ID != subnet.ID {
			list = append(list, dhcp.Route{Destination: other.CIDR, NextHop: netip.IPv4Unspecified()})
		}
	}
	ownMetadata := false
	for _, r := range subnet.Routes {
		if r.Destination.Bits() == 0 {
			*router = r.NextHop
			continue
		}
		ownMetadata = ownMetadata || r.Destination == netip.PrefixFrom(metadataAddr, 32)
		list = append(list, dhcp.Route{Destination: r.Destination, NextHop: r.NextHop})
	}
	if s.metadata.leads(subnet, s.hops) && !ownMetadata {
		list = append(list, dhcp.Route{Destination: netip.PrefixFrom(metadataAddr, 32), NextHop: server})
	}
	if router.IsValid() && len(list) > 0 {
		list = append(list, dhcp.Route{Destination: netip.PrefixFrom(netip.IPv4Unspecified(), 0), NextHop: *router})
	}
	return list
}

func (s *setting) lease6(p *desired.Port) (*dhcp.Lease6, error) {
	var l *dhcp.Lease6
	var problem error
	for _, subnet := range s.network.Subnets {
		if subnet.CIDR.Addr().Is4() || !subnet.EnableDHCP {
			continue
		}
		if l == nil {
			l = &dhcp.Lease6{Search: search(s.domain), Duration: s.lease}
			l.Extra, problem = extras(p, 6)
		}
		for _, f := range p.FixedIPs {
			if f.SubnetID == subnet.ID && stateful(subnet) {
				l.Addresses = append(l.Addresses, f.IP)
			}
		}
		servers := subnet.DNS
		if len(servers) == 0 {
			servers = s.servers[subnet.ID]
		}
		for _, a := range servers {
			if a.Is6() && !slices.Contains(l.DNS, a) {
				l.DNS = append(l.DNS, a)
			}
		}
	}
	return l, problem
}

// stateful says whether addresses of an IPv6 subnet are given by DHCP: also when no mode is set at
// all, as the original does.
func stateful(s desired.Subnet) bool {
	return s.AddressMode == "dhcpv6-stateful" || s.AddressMode == "" && s.RAMode == ""
}

// extras encodes a port's extra options; the error names those that can't be sent.
func extras(p *desired.Port, version int) ([]dhcp.Option, error) {
	var list []dhcp.Option
	var problems []error
	for _, o := range p.DHCP {
		if o.IPVersion != version {
			continue
		}
		encoded, err := dhcp.ParseOption(version, o.Name, o.Value)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		list = append(list, encoded)
	}
	return list, errors.Join(problems...)
}

func search(domain string) []string {
	if domain == "" {
		return nil
	}
	return []string{domain}
}

// served says whether a port is one of the clients: the network's own ports configure themselves.
func served(p *desired.Port) bool { return !strings.HasPrefix(p.DeviceOwner, "network:") }
