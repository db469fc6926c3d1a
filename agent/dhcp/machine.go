package dhcp

import (
	"context"
	"net/netip"

	"neutrino/address"
	"neutrino/agent/stray"
	"neutrino/desired"
)

// Machine is what the manager needs of the host.
type Machine interface {
	// Ensure makes the namespace and in it exactly this device, plugged into the integration bridge
	// as the port, up, with exactly these addresses and default routes. What is right is left alone.
	Ensure(ctx context.Context, place Place) error
	// Remove removes a namespace with its devices and their ports on the bridge; one that is not
	// there is no error.
	Remove(ctx context.Context, namespace string) error
	// Strays finds places of ours, whose namespaces' names begin with a prefix, that are not wanted.
	Strays(ctx context.Context, prefix string, wanted func(namespace string) bool) ([]stray.Thing, error)
	// RemoveStray removes what Strays has found.
	RemoveStray(ctx context.Context, t stray.Thing) error
	// Identity tells one incarnation of a namespace from the next.
	Identity(namespace string) (uint64, error)
	// Do runs f on a thread inside the namespace; sockets that f opens stay in it.
	Do(namespace string, f func() error) error
}

// Place is where a network is served from.
type Place struct {
	Namespace string
	PortID    string
	Device    string // inside the namespace
	MAC       address.MAC
	MTU       int            // bytes
	Addresses []netip.Prefix // sorted; no duplicate address detection for link-local ones
	Gateways  []netip.Addr   // default routes, at most one of each family

	Neighbours map[netip.Addr]address.MAC // who has an address is known without asking; nil: of none
}

// PlaceOf computes the place of a network that is served by a port.
func PlaceOf(state *desired.State, n *desired.Network, p *desired.Port, m Metadata) Place {
	place := Place{Namespace: prefix + n.ID, PortID: p.ID, Device: Device(p.ID), MAC: p.MAC, MTU: n.MTU}
	for _, f := range p.FixedIPs {
		for _, s := range n.Subnets {
			if s.ID != f.SubnetID {
				continue
			}
			place.Addresses = append(place.Addresses, netip.PrefixFrom(f.IP, s.CIDR.Bits()))
			taken := false
			for _, g := range place.Gateways {
				taken = taken || g.Is4() == s.Gateway.Is4()
			}
			if s.Gateway.IsValid() && !taken {
				place.Gateways = append(place.Gateways, s.Gateway)
			}
		}
	}
	v4, v6 := NeedsMetadata(state, p, m)
	if v4 {
		place.Addresses = append(place.Addresses, netip.PrefixFrom(metadataAddr, 32))
	}
	if v6 {
		place.Addresses = append(place.Addresses, netip.PrefixFrom(metadataAddr6, 64))
	}
	return place
}

// SelfAddress is the address at which a network's DHCP port serves DHCPv4, with its subnet's length; ok is false when
// it serves none.
func SelfAddress(n *desired.Network, p *desired.Port) (own netip.Prefix, ok bool) {
	for _, f := range p.FixedIPs {
		for _, s := range n.Subnets {
			if s.ID == f.SubnetID && s.EnableDHCP && f.IP.Is4() {
				return netip.PrefixFrom(f.IP, s.CIDR.Bits()), true
			}
		}
	}
	return own, false
}
