package security

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/policy"
	"neutrino/resource"
	"neutrino/store"
)

// Rule lets packets of a group's ports pass.
type Rule struct {
	resource.Standard
	GroupID       string
	Direction     string // ingress or egress
	Ethertype     string // IPv4 or IPv6
	Protocol      string // as the client wrote it, lower case; "": any
	PortMin       int    // first port or ICMP type; none: any
	PortMax       int    // last port or ICMP code; none: any
	Prefix        string // remote_ip_prefix with its host bits; "": any
	RemoteGroupID string // "": any
	defaultGroup  bool
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
var onlyIPv6 = []string{"ipv6-encap", "ipv6-frag", "ipv6-icmp", "ipv6-nonxt", "ipv6-opts", "ipv6-route"}

// withPorts are the protocols whose rules may name ports.
var withPorts = []int{6, 17, 33, 132, 136}

// Number is the rule's IP protocol number; -1 is any.
func (r *Rule) Number() int {
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
func (r *Rule) Normalized() netip.Prefix {
	p, err := netip.ParsePrefix(r.Prefix)
	if err != nil {
		return netip.Prefix{}
	}
	return p.Masked()
}

func (s *Service) declareRules() {
	std := func(r *Rule) *resource.Standard { return &r.Standard }
	s.Rules = &engine.Resource[Rule]{
		Name: "security_group_rule", Plural: "security_group_rules", Extension: "security-group",
		Standard: std, Counted: true, NoUpdate: true,
		NotFound: func(id string) error {
			return fault.NotFound("SecurityGroupRuleNotFound", "Security group rule %s does not exist", id)
		},
		Attributes: slices.Concat(
			[]*resource.Attribute[Rule]{resource.ID(func(r *Rule) *string { return &r.ID })},
			resource.Project(func(r *Rule) *string { return &r.ProjectID }),
			resource.Stamps(std),
			[]*resource.Attribute[Rule]{
				resource.UUID("security_group_id", "security_group_id", func(r *Rule) *string { return &r.GroupID }).Required().Sort(),
				resource.Enum("direction", "direction", []string{ingress, egress}, false, func(r *Rule) *string { return &r.Direction }).Required().Sort(),
				resource.Text("ethertype", "ethertype", 0, func(r *Rule) *string { return &r.Ethertype }).Post().Sort().
					Default(func(r *Rule) { r.Ethertype = IPv4 }).Decoded(decodeEthertype),
				resource.OptionalText("protocol", "protocol", 0, func(r *Rule) *string { return &r.Protocol }).Post().Sort().Decoded(decodeProtocol),
				port("port_range_min", func(r *Rule) *int { return &r.PortMin }),
				port("port_range_max", func(r *Rule) *int { return &r.PortMax }),
				resource.OptionalText("remote_ip_prefix", "remote_ip_prefix", 64, func(r *Rule) *string { return &r.Prefix }).Post().Sort().Decoded(decodePrefix),
				resource.OptionalUUID("remote_group_id", "remote_group_id", func(r *Rule) *string { return &r.RemoteGroupID }).Post().Sort(),
				resource.Computed("remote_address_group_id", func(b []byte, _ *Rule) []byte { return append(b, "null"...) }, nil).
					Post().Decoded(func(_ *Rule, v any) error {
					if v == nil {
						return nil
					}
					return fault.BadRequest("BadRequest", "Bad security_group_rules request: address groups are not supported by this server.")
				}),
				resource.Computed("normalized_cidr", func(b []byte, r *Rule) []byte {
					if p := r.Normalized(); p.IsValid() {
						return resource.AppendString(b, p.String())
					}
					return append(b, "null"...)
				}, nil),
				resource.Computed("belongs_to_default_sg", func(b []byte, r *Rule) []byte { return resource.AppendBool(b, r.defaultGroup) }, nil).AdminOnly(),
			}),
		Parents: map[string]func(*engine.Call, *Rule) (policy.Target, error){
			"security_group": s.groupTarget,
			"ext_parent":     s.groupTarget,
		},
		Scope: func(c *engine.Call, self string) store.Cond {
			return store.Where(self+".security_group_id IN (SELECT g.id FROM security_groups g WHERE g.project_id = ?)", c.Caller.ProjectID)
		},
		Loaders: []engine.Loader[Rule]{loadDefaults, s.preloadGroups},
		Prepare: func(c *engine.Call, r *Rule, _ resource.Given) error {
			_, err := s.groupTarget(c, r)
			return err
		},
		OnCreate:  s.createRule,
		OnCreated: func(c *engine.Call, r *Rule) error { return s.Groups.Touch(c, r.GroupID) },
		OnDeleted: func(c *engine.Call, r *Rule) error { return s.Groups.Touch(c, r.GroupID) },
	}
}

// loadDefaults says which rules of a page are of a default group.
func loadDefaults(c *engine.Call, page engine.Page) (func(r *Rule), error) {
	defaults, err := engine.TextSet(c, "SELECT d.security_group_id FROM default_security_groups d JOIN security_group_rules x ON x.security_group_id = d.security_group_id"+
		page.Join("x.id"), page.Args...)
	return func(r *Rule) { r.defaultGroup = defaults[r.GroupID] }, err
}

// preloadGroups reads the groups of a page of rules at once, for the policy rules that ask who owns
// them. Administrators' rules don't.
func (s *Service) preloadGroups(c *engine.Call, page engine.Page) (func(r *Rule), error) {
	nothing := func(*Rule) {}
	if c.Admin() {
		return nothing, nil
	}
	groups, err := s.Groups.Rows(c, store.Where("t.id IN (SELECT x.security_group_id FROM security_group_rules x"+page.Join("x.id")+")", page.Args...))
	for _, g := range groups {
		engine.Remember(c, groupKey{g.ID}, g)
	}
	return nothing, err
}

type groupKey struct{ id string }

func (s *Service) group(c *engine.Call, id string) (*Group, error) {
	return engine.Once(c, groupKey{id}, func() (*Group, error) { return s.Groups.Row(c, id) })
}

func (s *Service) groupTarget(c *engine.Call, r *Rule) (policy.Target, error) {
	g, err := s.group(c, r.GroupID)
	if err != nil {
		return nil, err
	}
	return s.Groups.Target(c, g), nil
}

func decodeEthertype(r *Rule, v any) error {
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

func decodeProtocol(r *Rule, v any) error {
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

func port(name string, field func(r *Rule) *int) *resource.Attribute[Rule] {
	return resource.OptionalInt(name, name, 0, 65535, none, field).Post().Sort().Decoded(func(r *Rule, v any) error {
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

func decodePrefix(r *Rule, v any) error {
	text, _ := v.(string)
	if v == nil || text == "" {
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

func (s *Service) createRule(c *engine.Call, r *Rule, _ resource.Given) error {
	if r.Ethertype == IPv6 && (r.Protocol == "icmp" || r.Protocol == "icmpv6") || r.Protocol == "icmpv6" {
		r.Protocol = "ipv6-icmp"
	}
	if err := checkRule(r); err != nil {
		return err
	}
	if r.RemoteGroupID != "" && r.RemoteGroupID != r.GroupID {
		g, err := s.Groups.Get(c, r.RemoteGroupID)
		if err != nil {
			return err
		}
		if !c.Global() && g.ProjectID != c.Caller.ProjectID && !g.Shared {
			return s.Groups.NotFound(r.RemoteGroupID)
		}
	}
	if r.ProjectID == "" || c.Global() {
		g, err := s.group(c, r.GroupID)
		if err != nil {
			return err
		}
		r.ProjectID = g.ProjectID
	}
	return s.refuseTwin(c, r)
}

// checkRule holds a rule's parts against each other.
func checkRule(r *Rule) error {
	if r.Prefix != "" && r.RemoteGroupID != "" {
		return fault.BadRequest("SecurityGroupMultipleRemoteEntites", "Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.")
	}
	if slices.Contains(onlyIPv6, r.Protocol) && r.Ethertype != IPv6 {
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
		}{{"port_range_min", "type", r.PortMin}, {"port_range_max", "code", r.PortMax}} {
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

// refuseTwin refuses a rule that lets the same packets pass as another of the group.
func (s *Service) refuseTwin(c *engine.Call, r *Rule) error {
	others, err := s.Rules.Find(c, store.Where("t.security_group_id = ? AND t.direction = ? AND t.ethertype = ? AND t.remote_group_id = ? AND t.port_range_min = ? AND t.port_range_max = ?",
		r.GroupID, r.Direction, r.Ethertype, r.RemoteGroupID, r.PortMin, r.PortMax))
	if err != nil {
		return err
	}
	for _, other := range others {
		if other.Number() == r.Number() && (other.Protocol == "") == (r.Protocol == "") && remote(other) == remote(r) {
			return fault.Conflict("SecurityGroupRuleExists", "Security group rule already exists. Rule id is %s.", other.ID)
		}
	}
	return nil
}

// remote is a rule's remote prefix for comparison: the whole Internet is the same as none.
func remote(r *Rule) netip.Prefix {
	p := r.Normalized()
	if p.IsValid() && p.Bits() == 0 {
		return netip.Prefix{}
	}
	return p
}

// Ingress says whether the rule is about packets towards the port.
func (r *Rule) Ingress() bool { return r.Direction == ingress }
