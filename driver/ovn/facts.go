// Package ovn is the mechanism driver for hosts with OVN's controller: it says how a port is bound there, and which
// rows OVN's northbound database has for what users asked for. Pure: facts go in, rows come out.
//
// A Model holds the facts and the rows that follow from them; a change costs what depends on it. The names, marks
// and priorities are those of the original's OVN driver (docs/rooms/ovn.md lists them), so that tools know the
// rows and a deployment's own are taken over.
package ovn

import (
	"net/netip"

	"neutrino/address"
)

// Options are what an operator decides (section [ovn] of the original's files).
type Options struct {
	DNSServers            []netip.Addr // dns_servers: told by DHCP where a subnet names none
	DNSDomain             string       // dns_domain, without a dot at its end; "" is none
	LeaseTime             int          // dhcp_default_lease_time, seconds
	GlobalDHCPv4          map[string]string
	GlobalDHCPv6          map[string]string
	DistributedFloating   bool   // enable_distributed_floating_ip
	Metadata              bool   // ovn_metadata_enabled
	FragmentationNeeded   bool   // ovn_emit_need_to_frag
	StatelessNAT          bool   // stateless_nat_enabled
	ActivationStrategy    string // live_migration_activation_strategy: "rarp" or ""
	NoBaremetalDHCP       bool   // disable_ovn_dhcp_for_baremetal_ports
	BroadcastARPToRouters bool   // broadcast_arps_to_all_routers
	LocalnetLearnFDB      bool   // localnet_learn_fdb
	MACAge                int    // mac_binding_age_threshold, seconds; 0: never
	FDBAge                int    // fdb_age_threshold, seconds; 0: never
	IGMPSnooping          bool   // [ovs] igmp_snooping_enable
	IGMPFlood             bool   // [ovs] igmp_flood
	IGMPFloodReports      bool   // [ovs] igmp_flood_reports
	IGMPFloodUnregistered bool   // [ovs] igmp_flood_unregistered
}

// DefaultOptions are the original's.
func DefaultOptions() Options {
	return Options{LeaseTime: 43200, FragmentationNeeded: true, ActivationStrategy: "rarp", BroadcastARPToRouters: true, IGMPFloodReports: true}
}

// Network is a layer-2 network with its subnets.
type Network struct {
	ID, Name, ProjectID string
	Revision            int64
	AdminStateUp        bool // false: no port of it passes anything
	MTU                 int  // bytes
	External            bool
	Transparent         bool   // frames keep the VLAN tags that instances give them
	QinQ                bool   // they do, and a VLAN network's own tag is a service tag (IEEE 802.1ad)
	DNSDomain           string // of its ports' names, without a dot at its end; "": none
	ZoneHints           []string
	QoSPolicyID         string
	Segments            []Segment
	Subnets             []Subnet // in order of their ids
}

// Segment is a piece of layer 2 that a network lies on.
type Segment struct {
	ID       string
	Type     string // flat, vlan, geneve, vxlan, local
	Physical string // of flat and vlan
	VLAN     int    // of vlan
}

// Subnet is a block of addresses of a network.
type Subnet struct {
	ID          string
	Revision    int64
	CIDR        netip.Prefix
	Gateway     netip.Addr // zero: none
	EnableDHCP  bool
	RAMode      string // "", slaac, dhcpv6-stateful, dhcpv6-stateless
	AddressMode string // the same words
	DNS         []netip.Addr
	Routes      []Route
}

// Route is a static route of a subnet or of a router.
type Route struct {
	Destination netip.Prefix
	NextHop     netip.Addr
}

// Port is a port of a network.
type Port struct {
	ID, Name, ProjectID, NetworkID string
	Revision                       int64
	AdminStateUp                   bool
	MAC                            address.MAC
	FixedIPs                       []FixedIP
	DeviceID, DeviceOwner          string
	PortSecurity                   bool
	Groups                         []string // security groups, sorted
	Pairs                          []AddressPair
	DHCP                           []DHCPOption
	Hostname                       string // "" for a port without an address
	VNICType                       string
	External                       bool   // on none of OVN's switches: see External
	Host                           string // binding:host_id; "" while it has none
	Bound                          bool   // Host can take it
	MigratingTo                    string // host of a second binding, while an instance moves there
	QoSPolicyID                    string
	Parent                         string // port of the trunk that this is a subport of; "": none
	Tag                            int    // its VLAN there
}

// FixedIP is an address of a port.
type FixedIP struct {
	SubnetID string
	IP       netip.Addr
}

// AddressPair lets a port use a further address.
type AddressPair struct {
	MAC address.MAC
	IP  netip.Prefix
}

// DHCPOption is an extra DHCP option of a port.
type DHCPOption struct {
	Name, Value string
	IPVersion   int // 4 or 6
}

// Group is a security group.
type Group struct {
	ID       string
	Revision int64
	Stateful bool
	Rules    []Rule
}

// Rule lets packets of a group's ports pass.
type Rule struct {
	ID              string
	Ingress         bool // towards the instance
	IPv6            bool
	Protocol        int          // IP protocol number; -1: any
	PortMin         int          // destination port or ICMP type; -1: any
	PortMax         int          // last port or ICMP code; -1: any
	RemotePrefix    netip.Prefix // zero: any
	RemoteGroup     string       // security group id; "": any
	RemoteAddresses string       // address group id; "": any
}

// AddressGroup is a named set of prefixes.
type AddressGroup struct {
	ID        string
	Revision  int64
	Addresses []netip.Prefix
}

// Router is a router without its ports, which come as ports.
type Router struct {
	ID, Name     string
	Revision     int64
	AdminStateUp bool
	EnableSNAT   bool
	ZoneHints    []string
	Routes       []Route
	QoSPolicyID  string            // of its gateways
	Gateways     []string          // ids of their ports, the first first
	ECMP         bool              // new flows share the default routes of all gateways
	Chassis      []ChassisPriority // that its gateways may be on, the highest priority first; none: they are chosen
	BFD          bool              // a default route is there only while its next hop answers by BFD (RFC 5880)
}

// ChassisPriority is a chassis that a router's gateways may be on.
type ChassisPriority struct {
	Chassis  string // its name
	Priority int    // 0 to 32767; the highest that lives has the gateway
}

// FloatingIP maps an external address on an internal one, wholly or by ports.
type FloatingIP struct {
	ID          string
	Revision    int64
	NetworkID   string // external network
	RouterID    string // "" while nothing leads to it
	IP          netip.Addr
	FixedIP     netip.Addr  // zero: only by ports
	PortID      string      // of FixedIP
	MAC         address.MAC // of the port that holds IP
	QoSPolicyID string
	Forwardings []Forwarding
}

// Forwarding leads ports of a floating IP to ports of an internal address.
type Forwarding struct {
	ID                          string
	Protocol                    string // tcp, udp, …
	ExternalFirst, ExternalLast int
	InternalIP                  netip.Addr
	InternalFirst, InternalLast int
}

// Policy is a QoS policy.
type Policy struct {
	ID    string
	Rules []QoSRule
}

// QoSRule is a rule of a policy.
type QoSRule struct {
	Type      string // bandwidth_limit, dscp_marking, minimum_bandwidth, …
	Direction string // egress: from the instance; ingress; "" where the type has none
	Amount    int    // kbit/s, or the mark
	Burst     int    // kbit; 0: as OVN likes
}

// Chassis is a host that OVN's controller runs on.
type Chassis struct {
	Name           string // OVN's name of it
	Hostname       string
	Gateway        bool              // enable-chassis-as-gw
	External       bool              // enable-chassis-as-extport-host
	BridgeMappings map[string]string // physical network → bridge
	Zones          []string          // availability-zones
	EncapTypes     []string          // geneve, vxlan
	Datapath       string            // system or netdev
	Bridge         string            // integration bridge
}

// Kind names a kind of facts.
type Kind string

// The kinds of facts.
const (
	KindNetwork      Kind = "network"
	KindPort         Kind = "port"
	KindGroup        Kind = "security_group"
	KindAddressGroup Kind = "address_group"
	KindRouter       Kind = "router"
	KindFloatingIP   Kind = "floatingip"
	KindPolicy       Kind = "policy"
	KindChassis      Kind = "chassis"
)
