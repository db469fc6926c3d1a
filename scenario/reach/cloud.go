// Package reach says who may reach whom: a small pure model of what the networking API promises about packets. It is
// written from the API's words (port security, allowed address pairs, security groups, routers) and knows nothing of
// how a driver keeps them. Generator makes random clouds and packets for it; the scenario package asks real ones.
package reach

import (
	"net/netip"

	"neutrino/address"
)

// Cloud is what users asked for. Everything has a name of its own; who refers to it uses the name.
type Cloud struct {
	Networks      map[string]*Network
	Routers       map[string]*Router
	Ports         map[string]*Port
	Groups        map[string]*Group
	AddressGroups map[string][]netip.Prefix
	FloatingIPs   map[string]*FloatingIP
}

// Network is one piece of layer 2.
type Network struct {
	Down     bool // admin_state_up is false
	External bool // has one port, an uplink, which is the gateway of all its subnets
	Subnets  []*Subnet
}

// Subnet is a block of a network's addresses.
type Subnet struct {
	Name string
	CIDR netip.Prefix
}

// Router joins subnets.
type Router struct {
	Down       bool
	Interfaces []*Interface
	Gateways   []*Gateway // on different networks; the first first
	ECMP       bool       // enable_default_route_ecmp
	Bare       bool       // enable_snat is false
}

// Gateway is a router's port on an external network. Its MAC address is each cloud's own: a packet names it by Via.
type Gateway struct {
	Name, Network string
	IPs           []netip.Addr // of each of the network's subnets
}

// FloatingIP is the address by which a port is known on an external network.
type FloatingIP struct {
	Router, Network string
	IP              netip.Addr
	Port            string
	Fixed           netip.Addr // of the port
}

// Interface is a router's port on a subnet; nothing guards it.
type Interface struct {
	Name, Network string
	Subnet        *Subnet
	MAC           address.MAC
	IP            netip.Addr
}

// Port is a port that an instance has.
type Port struct {
	Name, Network, Host string
	MAC                 address.MAC
	IPs                 []netip.Addr // fixed_ips
	Extra               []netip.Addr // what its instance answers to besides, whether the port allows it or not
	Down                bool         // admin_state_up is false
	Insecure            bool         // port_security_enabled is false
	Uplink              bool         // stands for what is behind an external network: next hop of all gateways on it
	Groups              []string     // security groups
	Pairs               []Pair       // allowed_address_pairs
}

// Pair is one of a port's allowed_address_pairs.
type Pair struct {
	MAC address.MAC
	IP  netip.Prefix
}

// Group is a security group.
type Group struct {
	Stateless bool
	Rules     []*Rule
}

// Rule is one of a group's rules. It lets packets pass.
type Rule struct {
	Name         string
	Ingress      bool // towards the instance
	IPv6         bool
	Protocol     int          // IP protocol number; Any
	Min, Max     int          // destination ports, or ICMP type and code; Any
	Prefix       netip.Prefix // remote_ip_prefix; zero: any
	Group        string       // remote_group_id
	AddressGroup string       // remote_address_group_id
}

// Any is a protocol, port, type or code that a rule does not name.
const Any = -1

// Packet is what an instance sends. It may lie about its source.
type Packet struct {
	From             string // the port
	SrcMAC, DstMAC   address.MAC
	Via              string // the gateway that it goes to, in the place of DstMAC
	Src, Dst         netip.Addr
	Protocol         int // IP protocol number
	SrcPort, DstPort int // of TCP, UDP and SCTP; of ICMP the identifier and the type; its code is 0
}

// Protocols that rules look into.
const (
	ICMP   = 1
	TCP    = 6
	UDP    = 17
	ICMPv6 = 58
	SCTP   = 132
)
