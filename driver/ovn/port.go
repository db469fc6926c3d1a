package ovn

import (
	"net/netip"
	"slices"
	"strings"

	"neutrino/address"
)

// Owners of ports that mean something here.
const (
	ownerMetadata  = "network:distributed"
	ownerGateway   = "network:router_gateway"
	ownerFloating  = "network:floatingip"
	servicePrefix  = "network:"
	computePrefix  = "compute:"
	metadataDevice = "ovnmeta-"
)

// routerOwners own ports by which routers are on networks.
var routerOwners = []string{
	"network:router_interface", "network:router_interface_distributed", "network:ha_router_replicated_interface", ownerGateway,
}

func isRouterPort(p *Port) bool { return slices.Contains(routerOwners, p.DeviceOwner) }
func isMetadataPort(p *Port) bool {
	return p.DeviceOwner == ownerMetadata && strings.HasPrefix(p.DeviceID, metadataDevice)
}

// isService says whether the port belongs to the network itself: it is trusted, and gets no DHCP.
func isService(p *Port) bool { return strings.HasPrefix(p.DeviceOwner, servicePrefix) }

// portRows are the rows of a port. Ports that only hold an address have none.
func (m *Model) portRows(p *Port) *output {
	o := &output{}
	n := m.networks[p.NetworkID]
	if n == nil || p.DeviceOwner == ownerFloating {
		return o
	}
	lsp := o.row(tableSwitchPort, p.ID)
	lsp.One["name"], lsp.One["type"] = p.ID, ""
	lsp.One["parent_name"], lsp.One["tag_request"] = "", ""
	lsp.One["enabled"] = flag(p.AdminStateUp && n.AdminStateUp)
	lsp.Many["options"] = map[string]string{}
	lsp.Many["external_ids"] = m.portIDs(n, p)
	m.addresses(lsp, p)
	m.portOptions(o, lsp, n, p)
	if p.Parent != "" {
		lsp.One["parent_name"], lsp.One["tag_request"] = p.Parent, number(p.Tag)
	}
	switch {
	case isRouterPort(p):
		lsp.One["type"] = "router"
		lsp.Many["addresses"], lsp.Many["port_security"] = set("router"), set()
		lsp.Many["options"]["router-port"] = routerPort(p.ID)
		if p.DeviceOwner == ownerGateway {
			lsp.Many["options"]["nat-addresses"] = "router"
			lsp.Many["options"]["exclude-lb-vips-from-garp"] = "true"
		}
	case isMetadataPort(p):
		lsp.One["type"] = "localport"
		lsp.Many["external_ids"]["neutron:mtu"] = number(n.MTU)
	case p.External:
		m.answered(o, lsp, n, p)
	default:
		m.placed(lsp, p)
	}
	o.in(Key{tableSwitch, switchName(n.ID)}, "ports", lsp.Key)
	if !isService(p) {
		m.guarded(o, lsp, p)
		m.names(o, n, p)
		if !p.External {
			m.portQoS(o, n, p)
		}
	}
	return o
}

// portIDs are the original's marks of a port.
func (m *Model) portIDs(n *Network, p *Port) map[string]string {
	var cidrs, floating []string
	for _, f := range p.FixedIPs {
		for _, s := range n.Subnets {
			if s.ID == f.SubnetID {
				cidrs = append(cidrs, netip.PrefixFrom(f.IP, s.CIDR.Bits()).String())
			}
		}
	}
	for _, id := range sorted(m.floatingOfPort[p.ID]) {
		floating = append(floating, m.floating[id].IP.String())
	}
	ids := pairs("neutron:port_name", p.Name, "neutron:device_id", p.DeviceID, "neutron:project_id", p.ProjectID,
		"neutron:cidrs", strings.Join(cidrs, " "), "neutron:device_owner", p.DeviceOwner, "neutron:network_name", switchName(n.ID),
		"neutron:security_group_ids", strings.Join(p.Groups, " "), "neutron:revision_number", number(p.Revision),
		"neutron:vnic_type", p.VNICType, "neutron:host_id", p.Host, "neutron:port_fip", strings.Join(floating, " "))
	ids["neutron:revision_number"] = number(p.Revision)
	return ids
}

// addresses are where a port is reached, and what it may send from.
func (m *Model) addresses(lsp *Row, p *Port) {
	words := []string{p.MAC.String()}
	for _, f := range p.FixedIPs {
		words = append(words, f.IP.String())
	}
	known := strings.Join(words, " ")
	lsp.Many["addresses"], lsp.Many["port_security"] = set(known), set()
	if isService(p) {
		return
	}
	switch {
	case p.PortSecurity:
	case p.External: // OVN answers for the addresses that it knows
		return
	default:
		lsp.Many["addresses"]["unknown"] = "" // it may have any address
		return
	}
	byMAC := map[address.MAC][]string{p.MAC: slices.Clone(words[1:])}
	for _, pair := range p.Pairs {
		byMAC[pair.MAC] = append(byMAC[pair.MAC], prefixText(pair.IP))
		if pair.MAC != p.MAC {
			lsp.Many["addresses"][pair.MAC.String()] = ""
		}
	}
	if len(byMAC[p.MAC]) == 0 {
		// A MAC address alone would be one with any IP address. From this one it may ask for one by DHCP, no more.
		byMAC[p.MAC] = []string{netip.IPv4Unspecified().String()}
	}
	for mac, list := range byMAC {
		if slices.ContainsFunc(list, func(ip string) bool { return strings.Contains(ip, ":") }) {
			// OVN lets these pass unnamed, but 23.03 has neighbour advertisements of them with a hop limit of 225 only.
			list = append(list, mac.LinkLocal().String())
		}
		lsp.Many["port_security"][strings.Join(append([]string{mac.String()}, list...), " ")] = ""
	}
}

// prefixText writes a single address without its length.
func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// placed says where a port of an instance is: on the hosts that its bindings name; or, when its address is one that
// other ports may use too, where that address speaks (a virtual port).
func (m *Model) placed(lsp *Row, p *Port) {
	for _, f := range p.FixedIPs {
		if p.Bound {
			break
		}
		parents := sorted(m.pairsAt[place{p.NetworkID, f.IP}])
		parents = slices.DeleteFunc(parents, func(id string) bool { return id == p.ID })
		if len(parents) > 0 {
			lsp.One["type"] = "virtual"
			lsp.Many["options"]["virtual-ip"] = f.IP.String()
			lsp.Many["options"]["virtual-parents"] = strings.Join(parents, ",")
			return
		}
	}
	if p.Host == "" {
		return
	}
	hosts := p.Host
	if p.MigratingTo != "" && p.MigratingTo != p.Host {
		hosts += "," + p.MigratingTo
		if m.options.ActivationStrategy != "" {
			lsp.Many["options"]["activation-strategy"] = m.options.ActivationStrategy
		}
	}
	lsp.Many["options"]["requested-chassis"] = hosts
}

// guarded puts a port into its security groups, and into the group whose ports pass nothing else. What its allowed
// address pairs add to its addresses OVN does not count among a group's.
func (m *Model) guarded(o *output, lsp *Row, p *Port) {
	if !p.PortSecurity {
		return
	}
	o.in(Key{tableGroup, dropGroup}, "ports", lsp.Key)
	for _, g := range p.Groups {
		o.in(Key{tableGroup, groupName(g)}, "ports", lsp.Key)
		for _, pair := range p.Pairs {
			o.elements = append(o.elements, Element{Row: Key{tableAddressSet, pairSet(g, pair.IP.Addr().Is6())}, Column: "addresses", Text: prefixText(pair.IP)})
		}
	}
}

// names are a port's DNS records: its name, its name in the network's domain, and back.
func (m *Model) names(o *output, n *Network, p *Port) {
	if p.Hostname == "" || p.DeviceID == "" {
		return
	}
	domain := n.DNSDomain
	if domain == "" {
		domain = m.options.DNSDomain
	}
	dns := Key{tableDNS, switchName(n.ID)}
	name := strings.ToLower(p.Hostname)
	full := name
	if domain != "" {
		full = name + "." + strings.ToLower(domain)
	}
	for _, f := range p.FixedIPs {
		o.elements = append(o.elements, Element{Row: dns, Column: "records", Text: name, Value: f.IP.String()})
		if full != name {
			o.elements = append(o.elements, Element{Row: dns, Column: "records", Text: full, Value: f.IP.String()})
		}
		o.elements = append(o.elements, Element{Row: dns, Column: "records", Text: reverse(f.IP), Value: full})
	}
}

// reverse is the name that leads back from an address (RFC 1035, 3.5; RFC 3596, 2.5).
func reverse(a netip.Addr) string {
	b := a.AsSlice()
	slices.Reverse(b)
	var words []string
	for _, x := range b {
		if a.Is4() {
			words = append(words, number(int(x)))
			continue
		}
		const digits = "0123456789abcdef"
		words = append(words, digits[x&15:x&15+1], digits[x>>4:x>>4+1])
	}
	if a.Is4() {
		return strings.Join(words, ".") + ".in-addr.arpa"
	}
	return strings.Join(words, ".") + ".ip6.arpa"
}
