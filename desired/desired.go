// Package desired is what one host should look like: the only vocabulary that the server half and
// the host half share. A host that has its items can be brought from blank to the same end,
// whatever the order in which the items came.
//
// An Item is immutable once handed over; a change is a new value under the same key. References
// between items are ids and may dangle for a while: whoever reads them waits for the other item.
package desired

import (
	"math"
	"net/netip"
	"slices"
	"strings"

	"neutrino/address"
)

// Kind names a kind of item; it is the first part of its key.
type Kind string

// The kinds of items.
const (
	KindHost          Kind = "host"
	KindNetwork       Kind = "network"
	KindPort          Kind = "port"
	KindSecurityGroup Kind = "security_group"
	KindMember        Kind = "member"
	KindRouter        Kind = "router"
)

// Key identifies an item on every host: the kind, and an id that is unique in the kind.
type Key struct {
	Kind Kind   `json:"kind"`
	ID   string `json:"id"`
}

func (k Key) String() string { return string(k.Kind) + "/" + k.ID }

// Item is one thing a host should know: *Host, *Network, *Port, *SecurityGroup, *Member or *Router.
type Item interface {
	Key() Key
}

// Host is a machine that tunnels end on. A host gets the Host items of all hosts that share a
// network with it, and its own.
type Host struct {
	Name     string     `json:"name"`
	TunnelIP netip.Addr `json:"tunnel_ip"` // zero: the host has no tunnels
}

// Network is a layer-2 network with its subnets, sent to the hosts that have a port on it.
type Network struct {
	ID             string   `json:"id"`
	ProjectID      string   `json:"project_id"`
	MTU            int      `json:"mtu"`               // what instances may send, bytes
	Type           string   `json:"type"`              // vxlan, flat, vlan, gre, geneve, local
	Physical       string   `json:"physical"`          // physical network of flat and vlan
	SegmentationID int      `json:"segmentation_id"`   // VNI, VLAN id or GRE key
	AdminStateUp   bool     `json:"admin_state_up"`    // false: no port of it is wired
	External       bool     `json:"external"`          // router:external
	DNSDomain      string   `json:"dns_domain"`        // ends in a dot, or empty
	Subnets        []Subnet `json:"subnets,omitempty"` // sorted by id

	// Segments are all of a network that has several, in their order; Type, Physical and SegmentationID are the
	// first one's. A host is on the first that reaches it.
	Segments []Segment `json:"segments,omitempty"`

	QoS *QoS `json:"qos,omitempty"` // of its policy; nil: it has none
}

// Segment is a piece of layer 2 that a network lies on.
type Segment struct {
	Type           string `json:"type"`
	Physical       string `json:"physical"`
	SegmentationID int    `json:"segmentation_id"`
}

// Subnet is a layer-3 block of a network.
type Subnet struct {
	ID          string       `json:"id"`
	CIDR        netip.Prefix `json:"cidr"`
	Gateway     netip.Addr   `json:"gateway"` // zero: none
	EnableDHCP  bool         `json:"enable_dhcp"`
	RAMode      string       `json:"ra_mode"`      // "", slaac, dhcpv6-stateful, dhcpv6-stateless: what our routers announce
	AddressMode string       `json:"address_mode"` // the same words: how instances get their address
	DNS         []netip.Addr `json:"dns,omitempty"`
	Routes      []Route      `json:"routes,omitempty"`
}

// Route is a static route: of a subnet (told by DHCP) or of a router.
type Route struct {
	Destination netip.Prefix `json:"destination"`
	NextHop     netip.Addr   `json:"next_hop"`
}

// Port is a port of a network that the host has. Every host with the network gets every port of it,
// for the addresses must be known everywhere; what only the bound host needs is left zero elsewhere.
type Port struct {
	ID           string      `json:"id"`
	Revision     int64       `json:"revision"` // of the port, for reports
	NetworkID    string      `json:"network_id"`
	ProjectID    string      `json:"project_id"`
	Host         string      `json:"host"` // bound host; "" while unbound
	MAC          address.MAC `json:"mac"`
	FixedIPs     []FixedIP   `json:"fixed_ips,omitempty"`
	DeviceID     string      `json:"device_id"`    // the instance, router or network it serves
	DeviceOwner  string      `json:"device_owner"` // compute:…, network:dhcp, network:router_interface, network:router_gateway, …
	AdminStateUp bool        `json:"admin_state_up"`
	VNICType     string      `json:"vnic_type"`

	Hostname string       `json:"hostname"` // DNS name without a domain, never empty for a port with an address
	DHCP     []DHCPOption `json:"dhcp,omitempty"`
	Metadata *Metadata    `json:"metadata,omitempty"` // known wherever the network is: its router may be on another host

	AddressPairs []AddressPair `json:"address_pairs,omitempty"`

	SubPort *SubPort `json:"sub_port,omitempty"` // how a trunk carries the port; nil: it has an interface of its own

	// WiredBy names who wires the port when the switch of the host's agent does not: a mechanism driver.
	WiredBy string `json:"wired_by,omitempty"`

	// AnsweredBy is the host that answers for a port which is on none of OVN's switches: with DHCP, metadata, and as its
	// router. "": none.
	AnsweredBy string `json:"answered_by,omitempty"`

	// On the bound host only.
	PortSecurity   bool     `json:"port_security"`
	SecurityGroups []string `json:"security_groups,omitempty"` // sorted
	QoS            *QoS     `json:"qos,omitempty"`             // of its own policy; nil: what its network's says holds
}

// SubPort is the place of a trunk's subport: its packets have the VLAN on the parent port's interface.
type SubPort struct {
	Parent string `json:"parent"` // port id
	VLAN   uint16 `json:"vlan"`   // 1 to 4094
}

// Who wires ports when the switch of the host's agent does not.
const (
	WiredByOVN   = "ovn"
	WiredBySRIOV = "sriovnicswitch"
)

// Wired says whether the switch of a host's agent is to have the port.
func (p *Port) Wired(host string) bool { return p.Host == host && p.WiredBy == "" }

// Function says whether the port is a virtual function of a host's NIC, which the host's agent sets.
func (p *Port) Function() bool { return p.WiredBy == WiredBySRIOV && p.VNICType != "direct-physical" }

// Places are the hosts on which the port's network is to be known for it.
func (p *Port) Places() []string {
	var hosts []string
	for _, host := range []string{p.Host, p.AnsweredBy} {
		if host != "" && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// QoS is what a policy says of the traffic of a port or an external address, as far as a host enforces it. A policy without such rules is an
// empty one.
type QoS struct {
	Egress  Limits `json:"egress"`         // of what the port sends
	Ingress Limits `json:"ingress"`        // of what it gets
	DSCP    *int   `json:"dscp,omitempty"` // the mark of what it sends, 0 to 63; nil: its own
}

// Limits are those of one direction. A rate of 0 limits nothing, a burst of 0 leaves it to the host.
type Limits struct {
	Kbps      int `json:"kbps,omitempty"`
	BurstKbps int `json:"burst_kbps,omitempty"` // kilobits at once
	Kpps      int `json:"kpps,omitempty"`       // thousands of packets a second
	BurstKpps int `json:"burst_kpps,omitempty"` // thousands of packets at once
}

// Burst is what may pass at once where a rate of this direction holds, in units of the rate times scale: what was said or,
// where it is 0, four fifths of the rate, as the original has it. Switches and kernels take 32 bits of it.
func Burst(rate, said int, scale uint64) uint32 {
	n := scale * uint64(said)
	if said <= 0 {
		n = max(1, scale*uint64(rate)*4/5)
	}
	return uint32(min(n, math.MaxUint32))
}

// QoSOf is what holds for a port on a network (nil: not known yet): its own policy's, or its network's, which is not
// for ports of the network service itself. nil: none.
func QoSOf(p *Port, n *Network) *QoS {
	if p.QoS != nil || n == nil || strings.HasPrefix(p.DeviceOwner, "network:") {
		return p.QoS
	}
	return n.QoS
}

// FixedIP is an address of a port.
type FixedIP struct {
	SubnetID string     `json:"subnet_id"`
	IP       netip.Addr `json:"ip"`
}

// DHCPOption is an extra DHCP option of a port.
type DHCPOption struct {
	Name      string `json:"name"` // option name as dnsmasq spells it, or a number in decimal
	Value     string `json:"value"`
	IPVersion int    `json:"ip_version"` // 4 or 6
}

// AddressPair lets a port use a further source address.
type AddressPair struct {
	MAC address.MAC  `json:"mac"`
	IP  netip.Prefix `json:"ip"`
}

// Metadata is what we answer at 169.254.169.254 for an instance when no Nova is configured.
type Metadata struct {
	Name       string            `json:"name,omitempty"`
	UserData   []byte            `json:"user_data,omitempty"`
	PublicKeys map[string]string `json:"public_keys,omitempty"` // key name → OpenSSH public key
}

// SecurityGroup is a set of rules, sent to the hosts that have a port in it.
type SecurityGroup struct {
	ID       string `json:"id"`
	Stateful bool   `json:"stateful"`
	Rules    []Rule `json:"rules,omitempty"` // sorted by id
}

// Rule lets packets pass: all its conditions must hold.
type Rule struct {
	ID           string       `json:"id"`
	Ingress      bool         `json:"ingress"` // towards the instance; false: egress
	IPv6         bool         `json:"ipv6"`
	Protocol     int          `json:"protocol"`      // IP protocol number; -1: any
	PortMin      int          `json:"port_min"`      // TCP/UDP/SCTP/DCCP/UDPlite destination port, or ICMP type; -1: any
	PortMax      int          `json:"port_max"`      // last port, or ICMP code; -1: any
	RemotePrefix netip.Prefix `json:"remote_prefix"` // zero: any
	RemoteGroup  string       `json:"remote_group"`  // security group id; "": any
}

// Member is a port's membership in a security group that some rule on this host names as its remote
// group. A member's coming or going is one item, whatever the number of rules.
type Member struct {
	GroupID   string         `json:"group_id"`
	PortID    string         `json:"port_id"`
	Addresses []netip.Prefix `json:"addresses,omitempty"` // fixed IPs (as /32, /128) and allowed address pairs
}

// Router is a router that this host realises.
type Router struct {
	ID           string       `json:"id"`
	Revision     int64        `json:"revision"`
	ProjectID    string       `json:"project_id"`
	Host         string       `json:"host"` // the host it is scheduled on: the receiver
	AdminStateUp bool         `json:"admin_state_up"`
	Interfaces   []RouterPort `json:"interfaces,omitempty"`       // sorted by port id
	Gateway      *Gateway     `json:"gateway,omitempty"`          // the first, by which the default routes go
	Further      []Gateway    `json:"further_gateways,omitempty"` // the others; only with a first
	ECMP         bool         `json:"ecmp,omitempty"`             // new flows share the default routes of all gateways
	Routes       []Route      `json:"routes,omitempty"`
	FloatingIPs  []FloatingIP `json:"floating_ips,omitempty"` // sorted by id
	Proxied      *Proxied     `json:"proxied,omitempty"`      // nil: all internal IPv6 addresses are reached from outside

	// Standby is for a host that the router is about to move to: it makes all of it, says nothing to neighbours,
	// and has none of its ports yet. The server tells the two hosts apart; Next is not for them.
	Standby bool   `json:"standby,omitempty"`
	Next    string `json:"-"`
}

// Gateways are all gateways of the router, the first one first.
func (r *Router) Gateways() []Gateway {
	if r.Gateway == nil {
		return nil
	}
	return append([]Gateway{*r.Gateway}, r.Further...)
}

// RouterPort is a port that a router has on a network, with all the subnets' data that the router needs,
// so that a router can be built from its one item.
type RouterPort struct {
	PortID    string         `json:"port_id"`
	NetworkID string         `json:"network_id"`
	MAC       address.MAC    `json:"mac"`
	MTU       int            `json:"mtu"`
	Addresses []netip.Prefix `json:"addresses,omitempty"` // address with its subnet's length
	Subnets   []Subnet       `json:"subnets,omitempty"`   // of these addresses, for router advertisements
}

// Gateway is a router's way out.
type Gateway struct {
	RouterPort
	NextHops   []netip.Addr `json:"next_hops,omitempty"` // the subnets' gateways: at most one of each family
	EnableSNAT bool         `json:"enable_snat"`
	QoS        *QoS         `json:"qos,omitempty"` // limits of what has the router's own IPv4 addresses there; nil: none
}

// FloatingIP maps an external address one to one on an internal one, or single ports of it on several.
type FloatingIP struct {
	ID       string     `json:"id"`
	Revision int64      `json:"revision"`
	Floating netip.Addr `json:"floating"`
	Fixed    netip.Addr `json:"fixed"`              // zero: Forwards say where it leads
	Gateway  string     `json:"gateway,omitempty"`  // port id of the gateway that it is on; "": the first
	Forwards []Forward  `json:"forwards,omitempty"` // sorted by id; only without Fixed
	QoS      *QoS       `json:"qos,omitempty"`      // limits of what has the address outside; nil: none
}

// Proxied are the internal IPv6 addresses that a router with enable_ndp_proxy answers neighbour solicitations for outside.
// No other ones are reached from there.
type Proxied struct {
	Addresses []netip.Addr `json:"addresses,omitempty"` // sorted
}

// Forward leads ports of a floating IP to ports of an internal address. The internal range is as wide as the external
// one, port by port, or is one port.
type Forward struct {
	ID       string     `json:"id"`
	Protocol string     `json:"protocol"` // "tcp", "udp", "sctp", "dccp"; others have no ports and are refused by hosts
	First    uint16     `json:"first"`    // external ports
	Last     uint16     `json:"last"`
	To       netip.Addr `json:"to"`
	ToFirst  uint16     `json:"to_first"` // internal ports
	ToLast   uint16     `json:"to_last"`
}

// Key implements Item.
func (h *Host) Key() Key { return Key{KindHost, h.Name} }

// Key implements Item.
func (n *Network) Key() Key { return Key{KindNetwork, n.ID} }

// Key implements Item.
func (p *Port) Key() Key { return Key{KindPort, p.ID} }

// Key implements Item.
func (g *SecurityGroup) Key() Key { return Key{KindSecurityGroup, g.ID} }

// Key implements Item.
func (m *Member) Key() Key { return MemberKey(m.GroupID, m.PortID) }

// Key implements Item.
func (r *Router) Key() Key { return Key{KindRouter, r.ID} }

// MemberKey is the key of a Member.
func MemberKey(group, port string) Key { return Key{KindMember, group + "/" + port} }
