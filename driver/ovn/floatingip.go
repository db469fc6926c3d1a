package ovn

import (
	"net/netip"
	"slices"
)

// floatingRows translate an external address wholly, or by ports, when a router leads to it.
func (m *Model) floatingRows(f *FloatingIP) *output {
	o := &output{}
	ports, gateways := m.portsOfRouter(f.RouterID)
	at := slices.IndexFunc(gateways, func(p *Port) bool { return p.NetworkID == f.NetworkID })
	if m.routers[f.RouterID] == nil || at < 0 {
		return o
	}
	gateway := gateways[at]
	router := Key{tableRouter, routerName(f.RouterID)}
	m.forwardings(o, router, ports, f, len(gateways))
	if !f.FixedIP.IsValid() {
		return o
	}
	if other := m.sharer(f, gateways); other != "" {
		o.note("with several gateways OVN has one floating IP of an address: " + f.FixedIP.String() + " has " + other)
		return o
	}
	nat := o.row(tableNAT, "fip/"+f.ID)
	nat.One["type"], nat.One["logical_ip"], nat.One["external_ip"] = "dnat_and_snat", f.FixedIP.String(), f.IP.String()
	nat.One["logical_port"] = f.PortID
	nat.Many["options"] = pairs("stateless", flag(m.options.StatelessNAT))
	nat.Many["external_ids"] = pairs("neutron:fip_id", f.ID, "neutron:revision_number", number(f.Revision), "neutron:fip_port_id", f.PortID,
		"neutron:router_name", router.Name, "neutron:fip_external_mac", f.MAC.String(), "neutron:fip_network_id", f.NetworkID)
	nat.One["external_mac"], nat.Refs["gateway_port"] = "", Key{}
	if p := m.ports[f.PortID]; m.options.DistributedFloating && p != nil && p.Bound && !p.External {
		nat.One["external_mac"] = f.MAC.String()
	}
	if nat.One["external_mac"] != "" || len(gateways) > 1 {
		nat.Refs["gateway_port"] = Key{tableRouterPort, routerPort(gateway.ID)}
	}
	o.in(router, "nat", nat.Key)
	m.sendBy(o, router, nat.Key.Name, f.FixedIP, gateway, gateways, pairs("neutron:fip_id", f.ID, "neutron:router_name", router.Name))
	m.floatingQoS(o, gateway, f, nat.One["external_mac"] != "")
	return o
}

// sharer is the floating IP that goes before f for f's fixed address, on a router with several gateways: OVN can't tell
// by which of them a packet came that is answered from that address. "": there is none.
func (m *Model) sharer(f *FloatingIP, gateways []*Port) string {
	if len(gateways) < 2 {
		return ""
	}
	for _, id := range sorted(m.floatingOfPort[f.PortID]) {
		if id == f.ID {
			break
		}
		if other := m.floating[id]; other.FixedIP == f.FixedIP && other.RouterID == f.RouterID {
			return other.IP.String()
		}
	}
	return ""
}

// MostForwarded is how many ports a floating IP may forward. ovn-northd makes four logical flows of each, which every host that
// has the router reads: 20,000 ports took it 49 s.
const MostForwarded = 256

// forwardings are a balancer for each protocol of a floating IP's port forwardings, on the router and on the
// switches behind it.
func (m *Model) forwardings(o *output, router Key, ports []*Port, f *FloatingIP, gateways int) {
	if gateways > 1 && len(f.Forwardings) > 0 {
		o.note("OVN can't forward ports on a router with several gateways") // balancers answer on one that chance names
		return
	}
	rows, left := map[string]*Row{}, MostForwarded
	for _, w := range f.Forwardings {
		if w.Protocol != "tcp" && w.Protocol != "udp" && w.Protocol != "sctp" {
			o.note("OVN can't forward ports of protocol " + w.Protocol)
			continue
		}
		if left -= w.ExternalLast - w.ExternalFirst + 1; left < 0 {
			o.note("OVN forwards " + number(MostForwarded) + " ports of a floating IP, no more")
			return
		}
		r := rows[w.Protocol]
		if r == nil {
			r = o.row(tableBalancer, "pf-floatingip-"+f.ID+"-"+w.Protocol)
			rows[w.Protocol] = r
			r.One["name"], r.One["protocol"] = r.Key.Name, w.Protocol
			r.Many["vips"] = map[string]string{}
			r.Many["external_ids"] = pairs("neutron:device_owner", "port_forwarding_plugin", "neutron:fip_id", f.ID,
				"neutron:router_name", router.Name, "neutron:revision_number", number(f.Revision))
			o.in(router, "load_balancer", r.Key)
			for _, network := range inside(ports) {
				o.in(Key{tableSwitch, switchName(network)}, "load_balancer", r.Key)
			}
		}
		for i := 0; w.ExternalFirst+i <= w.ExternalLast; i++ {
			to := w.InternalFirst
			if w.InternalLast > w.InternalFirst {
				to += i
			}
			r.Many["vips"][netip.AddrPortFrom(f.IP, uint16(w.ExternalFirst+i)).String()] = netip.AddrPortFrom(w.InternalIP, uint16(to)).String()
		}
	}
}

// inside are the networks that a router joins, without the external ones.
func inside(ports []*Port) []string {
	var out []string
	for _, p := range ports {
		if p.DeviceOwner != ownerGateway && !slices.Contains(out, p.NetworkID) {
			out = append(out, p.NetworkID)
		}
	}
	return out
}
