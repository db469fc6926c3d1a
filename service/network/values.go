package network

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"

	"neutrino/address"
	"neutrino/fault"
	"neutrino/resource"
)

// Route is a static route in the API's form.
type Route struct {
	Destination netip.Prefix `json:"destination"`
	NextHop     netip.Addr   `json:"nexthop"`
}

// Pool is an allocation pool in the API's form.
type Pool struct {
	Start netip.Addr `json:"start"`
	End   netip.Addr `json:"end"`
}

// ParseRoutes reads a list of distinct {destination, nexthop}.
func ParseRoutes(name string, v any) ([]Route, error) {
	list, err := resource.ListValue(name, v)
	if err != nil {
		return nil, err
	}
	routes := make([]Route, 0, len(list))
	for _, item := range list {
		m, err := resource.MapValue(name, item, "destination", "nexthop")
		if err != nil {
			return nil, err
		}
		destination, err := resource.PrefixValue(name, m["destination"])
		if err != nil {
			return nil, err
		}
		hop, err := resource.IPValue(name, m["nexthop"])
		if err != nil {
			return nil, err
		}
		switch {
		case destination != destination.Masked():
			return nil, fault.Invalid("Invalid input for %s. Reason: '%s' is not a valid destination: it has host bits; write %s.", name, destination, destination.Masked())
		case destination.Addr().IsLoopback():
			return nil, fault.Invalid("Invalid input for %s. Reason: '%s' is a loopback destination.", name, destination)
		case destination.Addr().Is4() != hop.Is4():
			return nil, fault.Invalid("Invalid input for %s. Reason: destination %s and nexthop %s are of different IP versions.", name, destination, hop)
		}
		routes = append(routes, Route{destination, hop})
	}
	if r, twice := resource.Twice(routes); twice {
		return nil, fault.Invalid("Invalid input for %s. Reason: Duplicate hostroute '%s via %s'.", name, r.Destination, r.NextHop)
	}
	return routes, nil
}

func parseNameservers(v any) ([]netip.Addr, error) {
	list, err := resource.ListValue("dns_nameservers", v)
	if err != nil {
		return nil, err
	}
	ips := make([]netip.Addr, 0, len(list))
	for _, item := range list {
		ip, err := resource.IPValue("dns_nameservers", item)
		if err != nil {
			return nil, err
		}
		ips = append(ips, ip)
	}
	if ip, twice := resource.Twice(ips); twice {
		return nil, fault.Invalid("Invalid input for dns_nameservers. Reason: Duplicate nameserver '%s'.", ip)
	}
	return ips, nil
}

func parsePools(v any) ([]Pool, error) {
	list, err := resource.ListValue("allocation_pools", v)
	if err != nil {
		return nil, err
	}
	pools := make([]Pool, 0, len(list))
	for _, item := range list {
		m, err := resource.MapValue("allocation_pools", item, "start", "end")
		if err != nil {
			return nil, err
		}
		start, err := resource.IPValue("allocation_pools", m["start"])
		if err != nil {
			return nil, err
		}
		end, err := resource.IPValue("allocation_pools", m["end"])
		if err != nil {
			return nil, err
		}
		pools = append(pools, Pool{start, end})
	}
	return pools, nil
}

// AddressPair lets a port use a further source address: an address or a CIDR as the client wrote it.
type AddressPair struct {
	IP  string      `json:"ip_address"`
	MAC address.MAC `json:"mac_address"`
}

// Prefix is the pair's address as a prefix.
func (p AddressPair) Prefix() netip.Prefix {
	if ip, err := netip.ParseAddr(p.IP); err == nil {
		return netip.PrefixFrom(ip, ip.BitLen())
	}
	prefix, _ := netip.ParsePrefix(p.IP)
	return prefix.Masked()
}

func parsePairs(v any) ([]AddressPair, error) {
	list, err := resource.ListValue("allowed_address_pairs", v)
	if err != nil {
		return nil, err
	}
	pairs := make([]AddressPair, 0, len(list))
	for _, item := range list {
		m, err := resource.MapValue("allowed_address_pairs", item, "ip_address", "mac_address")
		if err != nil {
			return nil, err
		}
		text, ok := m["ip_address"].(string)
		if !ok {
			return nil, fault.BadRequest("AllowedAddressPairsMissingIP", "AllowedAddressPair must contain ip_address")
		}
		var pair AddressPair
		if prefix, err := resource.PrefixValue("allowed_address_pairs", text); err == nil {
			pair.IP = prefix.String()
		} else {
			ip, err := resource.IPValue("allowed_address_pairs", text)
			if err != nil {
				return nil, err
			}
			pair.IP = ip.String()
		}
		if pair.Prefix().Addr().IsMulticast() {
			return nil, fault.Invalid("Invalid input for allowed_address_pairs. Reason: '%s' is a multicast address.", text)
		}
		if mac := m["mac_address"]; mac != nil {
			if pair.MAC, err = resource.MACValue("allowed_address_pairs", mac); err != nil {
				return nil, err
			}
			if pair.MAC.IsMulticast() {
				return nil, fault.Invalid("Invalid input for allowed_address_pairs. Reason: '%s' is a multicast address.", pair.MAC)
			}
		}
		pairs = append(pairs, pair)
	}
	if pair, twice := resource.Twice(pairs); twice {
		return nil, fault.BadRequest("DuplicateAddressPairInRequest", "Request contains duplicate address pair: mac_address %s ip_address %s.", pair.MAC, pair.IP)
	}
	return pairs, nil
}

// DHCPOption is an extra DHCP option of a port in the API's form.
type DHCPOption struct {
	Name      string  `json:"opt_name"`
	Value     *string `json:"opt_value"` // null in an update deletes the option
	IPVersion int     `json:"ip_version"`
}

// optionKey is what an option is known by.
type optionKey struct {
	name    string
	version int
}

func (o DHCPOption) key() optionKey { return optionKey{o.Name, o.IPVersion} }

// optionName is dnsmasq's name of an option or its number, with the tags of those that get it, as Ironic writes them: tag:!ipxe,67.
var optionName = regexp.MustCompile(`^(tag:!?[A-Za-z0-9_-]+,)*[A-Za-z0-9:_-]+$`)

func parseOptions(v any) ([]DHCPOption, error) {
	list, err := resource.ListValue("extra_dhcp_opts", v)
	if err != nil {
		return nil, err
	}
	options := make([]DHCPOption, 0, len(list))
	given := map[optionKey]bool{}
	for _, item := range list {
		m, err := resource.MapValue("extra_dhcp_opts", item, "opt_name", "opt_value", "ip_version")
		if err != nil {
			return nil, err
		}
		o := DHCPOption{IPVersion: 4}
		if o.Name, err = resource.OneLineValue("extra_dhcp_opts", m["opt_name"], 64); err != nil {
			return nil, err
		}
		if !optionName.MatchString(o.Name) {
			return nil, fault.Invalid("Invalid input for extra_dhcp_opts. Reason: '%s' is not an option name.", o.Name)
		}
		value, sent := m["opt_value"]
		if !sent {
			return nil, fault.Invalid("Invalid input for extra_dhcp_opts. Reason: opt_value of '%s' is missing.", o.Name)
		}
		if value != nil {
			text, err := resource.OneLineValue("extra_dhcp_opts", value, 255)
			if err != nil {
				return nil, err
			}
			if text == "" && o.Name != "router" && o.Name != "classless-static-route" {
				return nil, fault.Invalid("Invalid input for extra_dhcp_opts. Reason: opt_value of '%s' is empty.", o.Name)
			}
			o.Value = &text
		}
		if version, sent := m["ip_version"]; sent {
			if o.IPVersion, err = resource.IntValue(version); err != nil {
				return nil, err
			}
			if o.IPVersion != 4 && o.IPVersion != 6 {
				return nil, fault.Invalid("Invalid input for extra_dhcp_opts. Reason: '%d' is not an IP version.", o.IPVersion)
			}
		}
		if given[o.key()] {
			return nil, fault.Invalid("Invalid input for extra_dhcp_opts. Reason: '%s' is given twice for IPv%d.", o.Name, o.IPVersion)
		}
		given[o.key()] = true
		options = append(options, o)
	}
	return options, nil
}

// mergeOptions is what an update with changes leaves of options: merged by name and IP version, a
// null value deletes.
func mergeOptions(options, changes []DHCPOption) []DHCPOption {
	merged := make([]DHCPOption, 0, len(options)+len(changes))
	changed := make(map[optionKey]bool, len(changes))
	for _, ch := range changes {
		changed[ch.key()] = true
	}
	for _, o := range options {
		if !changed[o.key()] {
			merged = append(merged, o)
		}
	}
	for _, ch := range changes {
		if ch.Value != nil {
			merged = append(merged, ch)
		}
	}
	return merged
}

var (
	// dnsKeyword stands in a dns_domain for what a DNS service puts there.
	dnsKeyword = `<(project_id|project_name|user_id|user_name)>`

	dnsLabel = `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`
	dnsName  = regexp.MustCompile(`^` + dnsLabel + `(\.` + dnsLabel + `)*$`)
	dnsFull  = regexp.MustCompile(`^((` + dnsLabel + `|` + dnsKeyword + `)\.)+$`)
)

// dnsDomain declares dns_domain: a full name that ends in a dot, or nothing.
func dnsDomain[T any](field func(t *T) *string) *resource.Attribute[T] {
	return resource.Text("dns_domain", "dns_domain", 255, field).Post().Put().Decoded(func(t *T, v any) error {
		text, err := ParseDNSDomain(v)
		if err == nil {
			*field(t) = text
		}
		return err
	})
}

// ParseDNSDomain reads a dns_domain: a full name that ends in a dot, or nothing.
func ParseDNSDomain(v any) (string, error) {
	text, err := resource.StringValue("dns_domain", v, 255)
	if err != nil {
		return "", err
	}
	text = strings.ToLower(text)
	if text != "" && !dnsFull.MatchString(text) {
		return "", fault.Invalid("Invalid input for dns_domain. Reason: '%s' is not a valid DNS domain that ends in a dot.", text)
	}
	return text, nil
}

// ParseDNSName reads a dns_name: labels with dots between them, or nothing.
func ParseDNSName(v any) (string, error) {
	text, err := resource.StringValue("dns_name", v, 255)
	if err != nil {
		return "", err
	}
	text = strings.ToLower(strings.TrimSuffix(text, "."))
	if text != "" && !dnsName.MatchString(text) {
		return "", fault.Invalid("Invalid input for dns_name. Reason: '%s' is not a valid DNS host name.", text)
	}
	return text, nil
}

// parseProfile takes a map whose JSON is at most 4095 characters.
func parseProfile(v any) (map[string]any, error) {
	if v == nil {
		return map[string]any{}, nil
	}
	m, err := resource.MapValue("binding:profile", v)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fault.Invalid("Invalid input for binding:profile. Reason: %s.", err)
	}
	if len(text) > 4095 {
		return nil, fault.InvalidInput("binding:profile value too large")
	}
	return m, nil
}
