package security

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"neutrino/fault"
	"neutrino/resource"
)

// Match says which packets a rule is about.
type Match struct {
	Direction      string // ingress or egress
	Ethertype      string // IPv4 or IPv6
	Protocol       string // as the client wrote it, lower case; "": any
	PortMin        int    // first port or ICMP type; none: any
	PortMax        int    // last port or ICMP code; none: any
	Prefix         string // remote_ip_prefix with its host bits; "": any
	RemoteGroupID  string // "": any
	AddressGroupID string // remote_address_group_id; "": any
}

// Words of rules.
const (
	ingress = "ingress"
	egress  = "egress"
	IPv4    = "IPv4"
	IPv6    = "IPv6"

	none = -1 // an absent port
)

// protocols are the names that rules take, with their IP protocol numbers (IANA).
var protocols = map[string]int{
	"ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "hopopt": 0, "icmp": 1, "icmpv6": 58, "igmp": 2, "ip": 0, "ipip": 4,
	"ipv6-encap": 41, "ipv6-frag": 44, "ipv6-icmp": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "ipv6-route": 43,
	"ospf": 89, "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6, "udp": 17, "udplite": 136, "vrrp": 112,
}

// onlyIPv6 are the protocols that exist in IPv6 packets only.
var onlyIPv6 = []int{41, 43, 44, 58, 59, 60}

// withPorts are the protocols whose rules may name ports.
var withPorts = []int{6, 17, 33, 132, 136}

// Number is the rule's IP protocol number; -1 is any.
func (r *Match) Number() int {
	if r.Protocol == "" {
		return -1
	}
	if n, known := protocols[r.Protocol]; known {
		if r.Protocol == "ip" {
			return -1
		}
		return n
	}
	n, err := strconv.Atoi(r.Protocol)
	if err != nil {
		return -1
	}
	return n
}

// Normalized is the remote prefix without host bits; invalid when the rule has none.
func (r *Match) Normalized() netip.Prefix {
	p, err := netip.ParsePrefix(r.Prefix)
	if err != nil {
		return netip.Prefix{}
	}
	return p.Masked()
}

// matchAttributes declares what rules and the templates of rules have alike.
func matchAttributes[T any](of func(t *T) *Match) []*resource.Attribute[T] {
	decoded := func(decode func(m *Match, v any) error) func(t *T, v any) error {
		return func(t *T, v any) error { return decode(of(t), v) }
	}
	return []*resource.Attribute[T]{
		resource.Enum("direction", "direction", []string{ingress, egress}, false, func(t *T) *string { return &of(t).Direction }).Required().Sort(),
		resource.Text("ethertype", "ethertype", 0, func(t *T) *string { return &of(t).Ethertype }).Post().Sort().
			Default(func(t *T) { of(t).Ethertype = IPv4 }).Decoded(decoded(decodeEthertype)),
		resource.OptionalText("protocol", "protocol", 0, func(t *T) *string { return &of(t).Protocol }).Post().Sort().Decoded(decoded(decodeProtocol)),
		port("port_range_min", func(t *T) *int { return &of(t).PortMin }),
		port("port_range_max", func(t *T) *int { return &of(t).PortMax }),
		resource.OptionalText("remote_ip_prefix", "remote_ip_prefix", 64, func(t *T) *string { return &of(t).Prefix }).Post().Sort().Decoded(decoded(decodePrefix)),
		resource.OptionalUUID("remote_address_group_id", "remote_address_group_id", func(t *T) *string { return &of(t).AddressGroupID }).Post().Sort(),
	}
}

func decodeEthertype(r *Match, v any) error {
	text, _ := v.(string)
	switch strings.ToLower(text) {
	case "ipv4":
		r.Ethertype = IPv4
	case "ipv6":
		r.Ethertype = IPv6
	default:
		return fault.BadRequest("SecurityGroupRuleInvalidEtherType", "Security group rule for ethertype '%v' not supported. Allowed values are ['IPv4', 'IPv6'].", v)
	}
	return nil
}

func decodeProtocol(r *Match, v any) error {
	if v == nil {
		r.Protocol = ""
		return nil
	}
	text := strings.ToLower(fmt.Sprint(v))
	if text == "any" {
		r.Protocol = ""
		return nil
	}
	if n, err := strconv.Atoi(text); err == nil && n >= 0 && n <= 255 {
		r.Protocol = strconv.Itoa(n)
		return nil
	}
	if _, known := protocols[text]; !known {
		return fault.BadRequest("SecurityGroupRuleInvalidProtocol", "Security group rule protocol %v not supported. Only protocol values [%s] and integer representations [0 to 255] are supported.", v, strings.Join(names(), ", "))
	}
	r.Protocol = text
	return nil
}

func names() []string {
	out := make([]string, 0, len(protocols))
	for name := range protocols {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func port[T any](name string, field func(t *T) *int) *resource.Attribute[T] {
	return resource.OptionalInt(name, name, 0, 65535, none, field).Post().Sort().Decoded(func(r *T, v any) error {
		if v == nil {
			*field(r) = none
			return nil
		}
		n, err := resource.IntValue(v)
		if err != nil || n < 0 || n > 65535 {
			return fault.BadRequest("SecurityGroupInvalidPortValue", "Invalid value for port %v", v)
		}
		*field(r) = n
		return nil
	})
}

func decodePrefix(r *Match, v any) error {
	text, is := v.(string)
	if v != nil && !is {
		return fault.BadRequest("InvalidCIDR", "Invalid CIDR %v given as IP prefix.", v)
	}
	if text == "" {
		r.Prefix = ""
		return nil
	}
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" && !ip.Is4In6() {
		r.Prefix = netip.PrefixFrom(ip, ip.BitLen()).String()
		return nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return fault.BadRequest("InvalidCIDR", "Invalid CIDR %s given as IP prefix.", text)
	}
	r.Prefix = p.String()
	return nil
}

// canonical gives ICMPv6 the one name that it is kept under.
func (r *Match) canonical() {
	if r.Ethertype == IPv6 && r.Protocol == "icmp" || r.Protocol == "icmpv6" {
		r.Protocol = "ipv6-icmp"
	}
}

// check holds a rule's parts against each other.
func (r *Match) check() error {
	if len(slices.DeleteFunc([]string{r.Prefix, r.RemoteGroupID, r.AddressGroupID}, func(text string) bool { return text == "" })) > 1 {
		return fault.BadRequest("SecurityGroupMultipleRemoteEntites", "Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.")
	}
	if slices.Contains(onlyIPv6, r.Number()) && r.Ethertype != IPv6 {
		return fault.BadRequest("SecurityGroupEthertypeConflictWithProtocol", "Invalid ethertype %s for protocol %s.", r.Ethertype, r.Protocol)
	}
	if p := r.Normalized(); p.IsValid() && p.Addr().Is4() != (r.Ethertype == IPv4) {
		return fault.BadRequest("SecurityGroupRuleParameterConflict", "Conflicting value ethertype %s for CIDR %s", r.Ethertype, r.Prefix)
	}
	if r.PortMin == none && r.PortMax == none {
		return nil
	}
	switch number := r.Number(); {
	case r.Protocol == "":
		return fault.BadRequest("SecurityGroupProtocolRequiredWithPorts", "Must also specify protocol if port range is given.")
	case number == 1 || number == 58:
		for _, v := range []struct {
			field, attr string
			value       int
		}{{"type", "port_range_min", r.PortMin}, {"code", "port_range_max", r.PortMax}} {
			if v.value > 255 {
				return fault.BadRequest("SecurityGroupInvalidIcmpValue", "Invalid value for ICMP %s (%s) %d. It must be 0 to 255.", v.field, v.attr, v.value)
			}
		}
		if r.PortMin == none {
			return fault.BadRequest("SecurityGroupMissingIcmpType", "ICMP code (port-range-max) %d is provided but ICMP type (port-range-min) is missing.", r.PortMax)
		}
	case slices.Contains(withPorts, number):
		if r.PortMin == 0 || r.PortMax == 0 {
			return fault.BadRequest("SecurityGroupInvalidPortValue", "Invalid value for port 0")
		}
		if r.PortMin == none || r.PortMax == none || r.PortMin > r.PortMax {
			return fault.BadRequest("SecurityGroupInvalidPortRange", "For TCP/UDP protocols, port_range_min must be <= port_range_max")
		}
	default:
		return fault.BadRequest("SecurityGroupInvalidProtocolForPort", "Ports cannot be specified for protocol %s. Ports are only supported for dccp, sctp, tcp, udp, udplite.", r.Protocol)
	}
	return nil
}

// same says whether two matches are about the same packets: tcp is 6, the whole Internet is any.
func (r *Match) same(other *Match) bool {
	return r.Direction == other.Direction && r.Ethertype == other.Ethertype &&
		r.Number() == other.Number() && (r.Protocol == "") == (other.Protocol == "") &&
		r.PortMin == other.PortMin && r.PortMax == other.PortMax && r.remote() == other.remote() &&
		r.RemoteGroupID == other.RemoteGroupID && r.AddressGroupID == other.AddressGroupID
}

// remote is the remote prefix for comparison: the whole Internet is the same as none.
func (r *Match) remote() netip.Prefix {
	p := r.Normalized()
	if p.IsValid() && p.Bits() == 0 {
		return netip.Prefix{}
	}
	return p
}

// Ingress says whether the rule is about packets towards the port.
func (r *Match) Ingress() bool { return r.Direction == ingress }

func appendPrefix(b []byte, p netip.Prefix) []byte {
	if !p.IsValid() {
		return append(b, "null"...)
	}
	return resource.AppendString(b, p.String())
}
