package ovn

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"neutrino/address"
)

// metadataAddress is where instances ask for metadata.
const metadataAddress = "169.254.169.254/32"

// subnetOptions are what OVN answers to DHCP requests of a subnet's ports.
func (m *Model) subnetOptions(o *output, n *Network, s Subnet) *Row {
	r := o.row(tableDHCP, s.ID)
	r.One["cidr"] = s.CIDR.String()
	r.Many["external_ids"] = pairs("subnet_id", s.ID, "neutron:network_id", n.ID, "neutron:revision_number", number(s.Revision))
	if s.CIDR.Addr().Is4() {
		r.Many["options"] = m.options4(n, s)
	} else {
		r.Many["options"] = m.options6(s)
	}
	return r
}

func (m *Model) options4(n *Network, s Subnet) map[string]string {
	metadata := m.metadataIP(n.ID, s.ID)
	server := s.Gateway
	if !server.IsValid() {
		server = metadata
	}
	if !server.IsValid() {
		return map[string]string{} // OVN has no address to answer from
	}
	out := map[string]string{
		"server_id": server.String(), "server_mac": serverMAC(s.ID).String(), "lease_time": number(m.options.LeaseTime), "mtu": number(n.MTU),
	}
	domain := n.DNSDomain
	if domain == "" {
		domain = m.options.DNSDomain
	}
	if domain != "" {
		out["domain_name"] = quote(domain)
	}
	if s.Gateway.IsValid() {
		out["router"] = s.Gateway.String()
	}
	if list := m.nameservers(s); len(list) > 0 {
		out["dns_server"] = braces(list)
	}
	var routes []string
	if metadata.IsValid() {
		routes = append(routes, metadataAddress+","+metadata.String())
	}
	for _, r := range s.Routes {
		routes = append(routes, r.Destination.String()+","+r.NextHop.String())
	}
	if len(routes) > 0 {
		if s.Gateway.IsValid() { // with option 121 clients pass over option 3 (RFC 3442)
			routes = append(routes, "0.0.0.0/0,"+s.Gateway.String())
		}
		out["classless_static_route"] = braces(routes)
	}
	global(out, m.options.GlobalDHCPv4)
	return out
}

func (m *Model) options6(s Subnet) map[string]string {
	out := map[string]string{"server_id": serverMAC(s.ID).String()}
	if list := m.nameservers(s); len(list) > 0 {
		out["dns_server"] = braces(list)
	}
	if s.AddressMode == "dhcpv6-stateless" {
		out["dhcpv6_stateless"] = "true"
	}
	global(out, m.options.GlobalDHCPv6)
	return out
}

// global adds what ovn_dhcp4_global_options and ovn_dhcp6_global_options say; an empty value takes an option away.
func global(out, options map[string]string) {
	for name, value := range options {
		if value == "" {
			delete(out, name)
			continue
		}
		out[name] = value
	}
}

// nameservers are the servers that a subnet's ports are told; 0.0.0.0 or :: mean none at all.
func (m *Model) nameservers(s Subnet) []string {
	list := s.DNS
	if len(list) == 0 {
		list = m.options.DNSServers
	}
	var out []string
	for _, a := range list {
		if a.IsUnspecified() {
			return nil
		}
		if a.Is4() == s.CIDR.Addr().Is4() {
			out = append(out, a.String())
		}
	}
	return out
}

// metadataIP is the address of a network's metadata port on a subnet; zero when there is none.
func (m *Model) metadataIP(network, subnet string) netip.Addr {
	for _, id := range sorted(m.metadataPorts[network]) {
		for _, f := range m.ports[id].FixedIPs {
			if f.SubnetID == subnet {
				return f.IP
			}
		}
	}
	return netip.Addr{}
}

// serverMAC is the address that OVN answers DHCP from on a subnet: always the same one, in the range that
// Neutron's addresses have.
func serverMAC(subnet string) address.MAC {
	h := sha256.Sum256([]byte(subnet))
	return address.MAC{0xfa, 0x16, 0x3e, h[0], h[1], h[2]}
}

func braces(list []string) string {
	if len(list) == 1 && !strings.Contains(list[0], ",") {
		return list[0]
	}
	return "{" + strings.Join(list, ", ") + "}"
}

// quote makes a string of OVN's expression language (ovn-sb(5)), which has JSON's escapes.
func quote(text string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(text) != nil {
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// served is the subnet of a port's addresses of a family that has DHCP.
func served(n *Network, p *Port, ipv6 bool) (Subnet, bool) {
	for _, f := range p.FixedIPs {
		for _, s := range n.Subnets {
			if s.ID == f.SubnetID && s.EnableDHCP && s.CIDR.Addr().Is6() == ipv6 && (!ipv6 || s.AddressMode != "slaac" && s.AddressMode != "") {
				return s, true
			}
		}
	}
	return Subnet{}, false
}

// portOptions names the DHCP options of a port: its subnet's, or, when it has extra options, a row of its own.
func (m *Model) portOptions(o *output, lsp *Row, n *Network, p *Port) {
	for _, version := range []int{4, 6} {
		column := "dhcpv" + number(version) + "_options"
		lsp.Refs[column] = Key{}
		s, ok := served(n, p, version == 6)
		if !ok || isService(p) || m.options.NoBaremetalDHCP && p.VNICType == "baremetal" {
			continue
		}
		extra, off := m.extraOptions(o, p, version)
		switch {
		case off:
		case len(extra) == 0:
			lsp.Refs[column] = Key{tableDHCP, s.ID}
		default:
			own := m.subnetOptions(&output{}, n, s)
			own.Key.Name = s.ID + "/" + p.ID
			own.Many["external_ids"]["port_id"] = p.ID
			for name, value := range extra {
				own.Many["options"][name] = value
			}
			o.rows = append(o.rows, own)
			lsp.Refs[column] = own.Key
		}
	}
}

// extraOptions reads a port's extra DHCP options of a version; off says that it wants no DHCP at all.
func (m *Model) extraOptions(o *output, p *Port, version int) (out map[string]string, off bool) {
	out = map[string]string{}
	for _, option := range p.DHCP {
		if option.IPVersion != version {
			continue
		}
		if option.Name == "dhcp_disabled" && strings.EqualFold(option.Value, "true") {
			return nil, true
		}
		kind, known := dhcpNames[version][option.Name]
		if name := netboot[version][option.Name]; name != "" && p.VNICType == "baremetal" {
			kind, known = dhcpKind{name, "string"}, true
		}
		if !known {
			o.note("OVN knows no DHCPv" + number(version) + " option " + strconv.Quote(option.Name))
			continue
		}
		value, ok := kind.value(option.Value)
		if !ok {
			o.note("DHCPv" + number(version) + " option " + strconv.Quote(option.Name) + " can't have the value " + strconv.Quote(option.Value))
			continue
		}
		out[kind.name] = value
	}
	return out, false
}

// netboot are the options that are for machines with and without iPXE, as Ironic writes them, in OVN's words: who has it
// gets bootfile_name, others bootfile_name_alt.
var netboot = map[int]map[string]string{
	4: {"tag:ipxe,bootfile-name": "bootfile_name", "tag:ipxe,67": "bootfile_name", "tag:!ipxe,bootfile-name": "bootfile_name_alt", "tag:!ipxe,67": "bootfile_name_alt"},
	6: {"tag:ipxe6,bootfile-name": "bootfile_name", "tag:ipxe6,59": "bootfile_name", "tag:!ipxe6,bootfile-name": "bootfile_name_alt", "tag:!ipxe6,59": "bootfile_name_alt"},
}

// dhcpKind is an option as OVN knows it.
type dhcpKind struct{ name, form string }

// value writes a user's value in OVN's language; what does not have the option's form is refused, for it would
// become part of a flow's action.
func (k dhcpKind) value(text string) (string, bool) {
	text = strings.TrimSpace(text)
	list := func(good func(string) bool) (string, bool) {
		words := strings.FieldsFunc(strings.Trim(text, "{}"), func(r rune) bool { return r == ',' || r == ';' || r == ' ' })
		if len(words) == 0 || slices.ContainsFunc(words, func(w string) bool { return !good(w) }) {
			return "", false
		}
		return braces(words), true
	}
	switch k.form {
	case "string":
		return quote(strings.Trim(text, `"`)), text != ""
	case "ipv4":
		return list(func(w string) bool { a, err := netip.ParseAddr(w); return err == nil && a.Is4() })
	case "ipv6":
		return list(func(w string) bool { a, err := netip.ParseAddr(w); return err == nil && a.Is6() && a.Zone() == "" })
	case "host":
		if a, err := netip.ParseAddr(text); err == nil && a.Is4() {
			return a.String(), true
		}
		return quote(text), text != ""
	case "mac":
		mac, err := address.ParseMAC(text)
		return mac.String(), err == nil
	case "uint8", "uint16", "uint32":
		bits, _ := strconv.Atoi(k.form[4:])
		n, err := strconv.ParseUint(text, 10, bits)
		return strconv.FormatUint(n, 10), err == nil
	case "bool":
		if text == "0" || text == "1" {
			return text, true
		}
		on, err := strconv.ParseBool(text)
		if on {
			return "1", err == nil
		}
		return "0", err == nil
	case "routes":
		words := strings.FieldsFunc(strings.Trim(text, "{}"), func(r rune) bool { return r == ',' || r == ' ' })
		var out []string
		for i := 0; i+1 < len(words); i += 2 {
			to, err1 := netip.ParsePrefix(words[i])
			by, err2 := netip.ParseAddr(words[i+1])
			if err1 != nil || err2 != nil || !to.Addr().Is4() || !by.Is4() {
				return "", false
			}
			out = append(out, to.String()+","+by.String())
		}
		return braces(out), len(words) > 0 && len(words)%2 == 0
	}
	return "", false
}

// dhcpNames are the options by the names and numbers that users write (dnsmasq's, RFC 2132), and the forms that
// OVN gives them (ovn-nb(5), table DHCP_Options).
var dhcpNames = dhcpTable()

func dhcpTable() map[int]map[string]dhcpKind {
	out := map[int]map[string]dhcpKind{4: {}, 6: {}}
	type option struct {
		ovn, form string
		names     []string
	}
	for version, list := range map[int][]option{
		4: {
			{"netmask", "ipv4", []string{"netmask", "1"}},
			{"router", "ipv4", []string{"router", "3"}},
			{"dns_server", "ipv4", []string{"dns-server", "6"}},
			{"log_server", "ipv4", []string{"log-server", "7"}},
			{"lpr_server", "ipv4", []string{"lpr-server", "9"}},
			{"hostname", "string", []string{"hostname", "12"}},
			{"domain_name", "string", []string{"domain-name", "15"}},
			{"swap_server", "ipv4", []string{"swap-server", "16"}},
			{"ip_forward_enable", "bool", []string{"ip-forward-enable", "19"}},
			{"policy_filter", "ipv4", []string{"policy-filter", "21"}},
			{"default_ttl", "uint8", []string{"default-ttl", "23"}},
			{"mtu", "uint16", []string{"mtu", "26"}},
			{"router_discovery", "bool", []string{"router-discovery", "31"}},
			{"router_solicitation", "ipv4", []string{"router-solicitation", "32"}},
			{"arp_cache_timeout", "uint32", []string{"arp-timeout", "35"}},
			{"ethernet_encap", "bool", []string{"ethernet-encap", "36"}},
			{"tcp_ttl", "uint8", []string{"tcp-ttl", "37"}},
			{"tcp_keepalive_interval", "uint32", []string{"tcp-keepalive", "38"}},
			{"nis_server", "ipv4", []string{"nis-server", "41"}},
			{"ntp_server", "ipv4", []string{"ntp-server", "42"}},
			{"lease_time", "uint32", []string{"lease-time", "51"}},
			{"server_id", "ipv4", []string{"server-id", "54"}},
			{"T1", "uint32", []string{"T1", "58"}},
			{"T2", "uint32", []string{"T2", "59"}},
			{"tftp_server", "host", []string{"tftp-server", "66"}},
			{"bootfile_name", "string", []string{"bootfile-name", "67"}},
			{"domain_search_list", "string", []string{"domain-search", "119"}},
			{"classless_static_route", "routes", []string{"classless-static-route", "121"}},
			{"tftp_server_address", "ipv4", []string{"tftp-server-address", "150"}},
			{"path_prefix", "string", []string{"path-prefix", "210"}},
			{"ms_classless_static_route", "routes", []string{"ms-classless-static-route", "249"}},
			{"wpad", "string", []string{"wpad", "252"}},
			{"bootfile_name_alt", "string", []string{"bootfile-name-alt"}},
			{"next_server", "ipv4", []string{"server-ip-address", "255"}},
		},
		6: {
			{"server_id", "mac", []string{"server-id", "2"}},
			{"ia_addr", "ipv6", []string{"ia-addr", "5"}},
			{"dns_server", "ipv6", []string{"dns-server", "23"}},
			{"domain_search", "string", []string{"domain-search", "24"}},
		},
	} {
		for _, o := range list {
			for _, name := range o.names {
				out[version][name] = dhcpKind{o.ovn, o.form}
			}
		}
	}
	return out
}
