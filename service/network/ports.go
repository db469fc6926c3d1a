package network

import (
	"cmp"
	"database/sql"
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

// Port is a connection point on a network.
type Port struct {
	resource.Standard
	NetworkID    string
	AdminStateUp bool
	MAC          address.MAC
	FixedIPs     []FixedIP
	DeviceID     string
	DeviceOwner  string
	Status       string // ACTIVE, DOWN, N/A: what hosts report
	StatusReason string // why it is not ACTIVE yet
	PortSecurity bool
	Pairs        []AddressPair
	Options      []DHCPOption
	DNSName      string
	IPAllocation string // immediate or none

	SecurityGroups []string // filled and written by the security service

	Host       string // binding:host_id
	VNICType   string // binding:vnic_type
	VIFType    string // binding:vif_type
	VIFDetails map[string]any
	Profile    map[string]any

	AnsweredBy   string // host where OVN answers for a port that is on none of its switches; "" for others
	BoundSegment string // segment that it is bound on; "" while unbound

	TrunkDetails []byte // JSON, filled by the trunk service; nil when the port is no trunk's parent

	QoSPolicyID        string
	QoSNetworkPolicyID string // its network's
	ResourceRequest    []byte // JSON of what its QoS rules ask of a host, filled by the qos service; nil for nothing

	Extras

	wanted []addressRequest // what a client asked for as fixed_ips
}

// FixedIP is an address of a port.
type FixedIP struct {
	SubnetID string
	IP       netip.Addr
}

// addressRequest is one item of a client's fixed_ips.
type addressRequest struct {
	subnet string
	ip     netip.Addr
}

// Owners of ports that the service itself knows.
const (
	ownerDHCP       = "network:dhcp"
	ownerFloatingIP = "network:floatingip"
)

// Values of binding:vif_type that the service itself gives.
const (
	vifUnbound = "unbound"
	vifFailed  = "binding_failed"
	vifNone    = "" // its active binding was deleted; clients see unbound
)

var vnicTypes = []string{
	"normal", "direct", "macvtap", "baremetal", "direct-physical", "virtio-forwarder", "smart-nic", "vdpa",
	"accelerator-direct", "accelerator-direct-physical", "remote-managed",
}

func (s *Service) declarePorts() {
	std := func(p *Port) *resource.Standard { return &p.Standard }
	s.Ports = &engine.Resource[Port]{
		Name: "port", Plural: "ports", Standard: std, Taggable: true, TagsOnCreate: true, Counted: true,
		Attributes: append(resource.Standards(std),
			resource.UUID("network_id", "network_id", func(p *Port) *string { return &p.NetworkID }).Required().Sort(),
			resource.Bool("admin_state_up", "admin_state_up", func(p *Port) *bool { return &p.AdminStateUp }).
				Post().Put().Sort().Default(func(p *Port) { p.AdminStateUp = true }),
			resource.MAC("mac_address", "mac_address", func(p *Port) *address.MAC { return &p.MAC }).Post().Put().Sort().Policed().
				Decoded(func(p *Port, v any) (err error) {
					if v == nil {
						p.MAC = address.MAC{} // the rules make a new one
						return nil
					}
					p.MAC, err = resource.MACValue("mac_address", v)
					return err
				}),
			resource.Computed("fixed_ips", func(b []byte, p *Port) []byte { return appendFixedIPs(b, p.FixedIPs) }, nil).
				Post().Put().SubKeys().Decoded(decodeFixedIPs).Where(whereFixedIPs),
			resource.Text("device_id", "device_id", 255, func(p *Port) *string { return &p.DeviceID }).Post().Put().Sort().Policed(),
			resource.Text("device_owner", "device_owner", 255, func(p *Port) *string { return &p.DeviceOwner }).Post().Put().Sort().Policed(),
			resource.Text("status", "status", 16, func(p *Port) *string { return &p.Status }).Sort(),
			resource.Text("status_reason", "status_reason", 0, func(p *Port) *string { return &p.StatusReason }).AdminOnly(),
			resource.Bool("port_security_enabled", "port_security_enabled", func(p *Port) *bool { return &p.PortSecurity }).Post().Put().Policed().
				Default(func(p *Port) { p.PortSecurity = true }), // the rules take the network's
			resource.JSON("allowed_address_pairs", "allowed_address_pairs", func(p *Port) *[]AddressPair { return &p.Pairs }, parsePairs).
				Post().Put().SubKeys().Default(func(p *Port) { p.Pairs = []AddressPair{} }),
			extraOptions(),
			resource.OptionalText("binding:host_id", "host", 255, func(p *Port) *string { return &p.Host }).Post().Put().Filter().Policed().
				Encoded(func(b []byte, p *Port) []byte { return resource.AppendString(b, p.Host) }),
			resource.Enum("binding:vnic_type", "vnic_type", vnicTypes, false, func(p *Port) *string { return &p.VNICType }).
				Post().Put().Policed().Default(func(p *Port) { p.VNICType = "normal" }),
			resource.Text("binding:vif_type", "vif_type", 64, func(p *Port) *string { return &p.VIFType }).
				Encoded(func(b []byte, p *Port) []byte { return resource.AppendString(b, cmp.Or(p.VIFType, vifUnbound)) }),
			resource.JSON("binding:vif_details", "vif_details", func(p *Port) *map[string]any { return &p.VIFDetails }, noMap),
			resource.JSON("binding:profile", "profile", func(p *Port) *map[string]any { return &p.Profile }, parseProfile).
				Post().Put().Policed().Default(func(p *Port) { p.Profile = map[string]any{} }).
				Encoded(func(b []byte, p *Port) []byte { return resource.AppendJSON(b, p.withTrust(p.Profile)) }),
			resource.Text("bound_segment", "bound_segment", 36, func(p *Port) *string { return &p.BoundSegment }).Hidden(),
			resource.Text("answered_by", "answered_by", 255, func(p *Port) *string { return &p.AnsweredBy }).Hidden(),
			resource.Text("ip_allocation", "ip_allocation", 16, func(p *Port) *string { return &p.IPAllocation }).Sort(),
			resource.Text("dns_name", "dns_name", 255, func(p *Port) *string { return &p.DNSName }).Post().Put().
				Decoded(func(p *Port, v any) (err error) { p.DNSName, err = ParseDNSName(v); return err }),
			resource.Computed("dns_assignment", s.appendAssignment, nil),
			resource.Computed("resource_request", appendRequest, nil).AdminOnly().Described(resource.Schema{Type: "object", Nullable: true}),
			resource.OptionalUUID("qos_policy_id", "qos_policy_id", func(p *Port) *string { return &p.QoSPolicyID }).Post().Put().Filter().Policed(),
			resource.OptionalUUID("qos_network_policy_id", "", func(p *Port) *string { return &p.QoSNetworkPolicyID }).Where(whereNetworkPolicy),
		),
		Parents: map[string]func(*engine.Call, *Port) (policy.Target, error){
			"network": func(c *engine.Call, p *Port) (policy.Target, error) { return s.networkTarget(c, p.NetworkID) },
		},
		Inherit: map[string]string{"shared": "network", "router:external": "network"},
		Scope: func(c *engine.Call, self string) store.Cond {
			return store.Where(self+".network_id IN (SELECT w.id FROM networks w WHERE w.project_id = ?)", c.Caller.ProjectID)
		},
		Loaders:   []engine.Loader[Port]{loadFixedIPs, loadNetworkPolicies, preload[Port](s, "ports")},
		Prepare:   s.preparePort,
		OnCreate:  s.createPort,
		OnCreated: s.portCreated,
		OnUpdate:  s.updatePort,
		OnUpdated: s.portUpdated,
	}
	s.Ports.Attributes = append(s.Ports.Attributes, extraAttributes()...)
}

// loadFixedIPs reads the addresses of a page of ports. Sorting the few that a port has costs less than
// having the database sort them all.
func loadFixedIPs(c *engine.Call, page engine.Page) (func(p *Port), error) {
	type placed struct {
		FixedIP
		position int
	}
	ips := map[string][]placed{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var port, text string
		var f placed
		if err := rows.Scan(&port, &f.SubnetID, &text, &f.position); err != nil {
			return err
		}
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return err
		}
		f.IP = ip
		ips[port] = append(ips[port], f)
		return nil
	}, "SELECT a.port_id, a.subnet_id, a.ip_address, a.position FROM ip_allocations a"+page.Join("a.port_id"), page.Args...)
	return func(p *Port) {
		list := ips[p.ID]
		slices.SortFunc(list, func(a, b placed) int { return a.position - b.position })
		p.FixedIPs = make([]FixedIP, len(list))
		for i, f := range list {
			p.FixedIPs[i] = f.FixedIP
		}
	}, err
}

// loadNetworkPolicies gives for each port the QoS policy of its network.
func loadNetworkPolicies(c *engine.Call, _ engine.Page) (func(p *Port), error) {
	policies := map[string]string{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var network, policy string
		err := rows.Scan(&network, &policy)
		policies[network] = policy
		return err
	}, "SELECT id, qos_policy_id FROM networks WHERE qos_policy_id <> ''")
	return func(p *Port) { p.QoSNetworkPolicyID = policies[p.NetworkID] }, err
}

func whereNetworkPolicy(values []string, self string) (store.Cond, error) {
	in := store.In("w.qos_policy_id", values)
	return store.Where(self+".network_id IN (SELECT w.id FROM networks w WHERE "+in.SQL+")", in.Args...), nil
}

func appendFixedIPs(b []byte, ips []FixedIP) []byte {
	b = append(b, '[')
	for i, f := range ips {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, `{"subnet_id": `...)
		b = resource.AppendString(b, f.SubnetID)
		b = append(b, `, "ip_address": `...)
		b = resource.AppendIP(b, f.IP)
		b = append(b, '}')
	}
	return append(b, ']')
}

// decodeFixedIPs reads what addresses a client asks for.
func decodeFixedIPs(p *Port, v any) error {
	list, err := resource.ListValue("fixed_ips", v)
	if err != nil {
		return err
	}
	p.wanted = []addressRequest{}
	seen := map[netip.Addr]bool{}
	for _, item := range list {
		m, err := resource.MapValue("fixed_ips", item, "subnet_id", "ip_address")
		if err != nil {
			return err
		}
		var r addressRequest
		if text := m["subnet_id"]; text != nil {
			if r.subnet, err = resource.UUIDValue("fixed_ips", text); err != nil {
				return err
			}
		}
		if text := m["ip_address"]; text != nil {
			if r.ip, err = resource.IPValue("fixed_ips", text); err != nil {
				return err
			}
			if seen[r.ip] {
				return fault.Invalid("Invalid input for fixed_ips. Reason: Duplicate IP address '%s'.", r.ip)
			}
			seen[r.ip] = true
		}
		if r == (addressRequest{}) {
			return fault.InvalidInput("IP allocation requires subnet_id or ip_address")
		}
		p.wanted = append(p.wanted, r)
	}
	return nil
}

// whereFixedIPs filters by key=value texts: conditions of different keys must hold for one
// allocation, values of one key are alternatives.
func whereFixedIPs(values []string, self string) (store.Cond, error) {
	byKey := map[string][]string{}
	for _, text := range values {
		key, value, found := strings.Cut(text, "=")
		if !found {
			return store.Cond{}, fault.InvalidInput("'%s' is not of the form <key>=[value]", text)
		}
		byKey[key] = append(byKey[key], value)
	}
	conds := []store.Cond{store.Where("a.port_id = " + self + ".id")}
	for key, texts := range byKey {
		switch key {
		case "subnet_id":
			conds = append(conds, store.In("a.subnet_id", texts))
		case "ip_address":
			for i, text := range texts {
				if ip, err := netip.ParseAddr(text); err == nil {
					texts[i] = ip.String()
				}
			}
			conds = append(conds, store.In("a.ip_address", texts))
		case "ip_address_substr":
			var any []store.Cond
			for _, text := range texts {
				any = append(any, store.Contains("a.ip_address", text))
			}
			conds = append(conds, store.Or(any...))
		default:
			return store.Cond{}, fault.InvalidInput("'%s' is not a key of fixed_ips; use subnet_id, ip_address or ip_address_substr", key)
		}
	}
	cond := store.And(conds...)
	return store.Where("EXISTS (SELECT 1 FROM ip_allocations a WHERE "+cond.SQL+")", cond.Args...), nil
}

func extraOptions() *resource.Attribute[Port] {
	return resource.JSON("extra_dhcp_opts", "extra_dhcp_opts", func(p *Port) *[]DHCPOption { return &p.Options }, parseOptions).
		Post().Put().Default(func(p *Port) { p.Options = []DHCPOption{} }).
		Decoded(func(p *Port, v any) error {
			changes, err := parseOptions(v)
			if err == nil {
				p.Options = mergeOptions(p.Options, changes)
			}
			return err
		})
}

func appendRequest(b []byte, p *Port) []byte {
	if p.ResourceRequest == nil {
		return append(b, "null"...)
	}
	return append(b, p.ResourceRequest...)
}

func noMap(any) (map[string]any, error) { return map[string]any{}, nil }

// Hostname is the port's DNS name without a domain: its dns_name, or one made from its first
// address; "" without either.
func (p *Port) Hostname() string {
	if p.DNSName != "" {
		name, _, _ := strings.Cut(p.DNSName, ".")
		return name
	}
	if len(p.FixedIPs) == 0 {
		return ""
	}
	return hostOf(p.FixedIPs[0].IP)
}

func hostOf(ip netip.Addr) string {
	return "host-" + strings.NewReplacer(".", "-", ":", "-").Replace(ip.StringExpanded())
}

func (s *Service) appendAssignment(b []byte, p *Port) []byte {
	b = append(b, '[')
	for i, f := range p.FixedIPs {
		if i > 0 {
			b = append(b, ", "...)
		}
		host := p.DNSName
		if host == "" {
			host = hostOf(f.IP)
		}
		b = append(b, `{"ip_address": `...)
		b = resource.AppendIP(b, f.IP)
		b = append(b, `, "hostname": `...)
		b = resource.AppendString(b, host)
		b = append(b, `, "fqdn": `...)
		b = resource.AppendString(b, host+"."+s.config.DNSDomain)
		b = append(b, '}')
	}
	return append(b, ']')
}

func isRouterOwner(owner string) bool {
	switch owner {
	case "network:router_interface", "network:router_interface_distributed", "network:ha_router_replicated_interface",
		"network:router_gateway", "network:router_centralized_snat":
		return true
	}
	return false
}

func isComputeOwner(owner string) bool { return strings.HasPrefix(owner, "compute:") }

// isNetworkOwner says whether the port belongs to the network service itself.
func isNetworkOwner(owner string) bool { return strings.HasPrefix(owner, "network:") }

// Want asks for addresses on subnets: an address of "" (the zero netip.Addr) is any free one. It is
// for services that make ports.
func (p *Port) Want(addresses ...FixedIP) {
	p.wanted = make([]addressRequest, len(addresses))
	for i, f := range addresses {
		p.wanted[i] = addressRequest{subnet: f.SubnetID, ip: f.IP}
	}
}

// Bound says whether the port is bound to its host.
func (p *Port) Bound() bool { return p.Host != "" && p.VIFType != vifFailed && p.VIFType != vifUnbound }

// Driver names the mechanism driver that the port is bound by; "": none.
func (p *Port) Driver() string {
	if !p.Bound() {
		return ""
	}
	switch drivers := p.VIFDetails["bound_drivers"].(type) {
	case map[string]string: // bound just now
		return drivers["0"]
	case map[string]any: // as it was stored
		name, _ := drivers["0"].(string)
		return name
	}
	return ""
}
