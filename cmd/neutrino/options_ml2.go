package main

import (
	"fmt"
	"slices"
	"strings"

	"neutrino/config"
	"neutrino/driver/segment"
	"neutrino/service/network"
)

// extensionDrivers are the original's names for what ports and networks have anyway.
var extensionDrivers = []string{
	"port_security", "qos", "dns", "dns_domain_ports", "dns_domain_keywords", "subnet_dns_publish_fixed_ip", "data_plane_status", "uplink_status_propagation",
	"uplink_status_propagation_updatable", "tag_ports_during_bulk_creation", "port_device_profile", "port_numa_affinity_policy", "port_hints", "port_hint_ovs_tx_steering",
	"port_hardware_offload_type", "port_trusted", "tag_creation",
}

// ml2Options are about the types of networks and what carries them.
func (s *serverSettings) ml2Options(o *config.Set) {
	net := &s.Services.Network
	o.Parsed(func(text string) error {
		net.Mechanisms = nil
		for _, name := range config.Split(text) {
			switch {
			case slices.Contains(net.Mechanisms, name):
				return fmt.Errorf("%s is named twice", name)
			case slices.ContainsFunc(network.Mechanisms, func(m *network.Mechanism) bool { return m.Name == name }):
				net.Mechanisms = append(net.Mechanisms, name)
			case name == "l2population": // with us every host knows its peers
			default:
				return fmt.Errorf("%q is not there; openvswitch, ovn, sriovnicswitch and baremetal are", name)
			}
		}
		return nil
	}, "ml2", "mechanism_drivers", "list", strings.Join(net.Mechanisms, ","), "What plugs ports: openvswitch or ovn, and beside them sriovnicswitch, baremetal. The first that can takes a port.")
	o.Parsed(func(text string) (err error) { net.Types, err = typesOf(text); return err },
		"ml2", "type_drivers", "list", strings.Join(net.Types, ","), "Types that networks may have: local, flat, vlan, gre, vxlan, geneve.")
	o.Parsed(func(text string) (err error) { net.ProjectTypes, err = typesOf(text); return err },
		"ml2", "tenant_network_types", "list", strings.Join(net.ProjectTypes, ","), "Types tried, in order, for networks that name none (the original's default is local).").Deprecated("project_network_types")
	o.Parsed(func(text string) error {
		types, err := typesOf(text)
		if err != nil || len(types) > 1 {
			return fmt.Errorf("%q is not one type of networks", text)
		}
		net.ExternalType = strings.Join(types, "")
		return nil
	}, "ml2", "external_network_type", "string", "", "The same for external networks (default: as for others).")
	o.Parsed(func(text string) error {
		var missing []string
		for _, name := range config.Split(text) {
			if !slices.Contains(extensionDrivers, name) {
				missing = append(missing, name)
			}
		}
		if len(missing) > 0 {
			return config.Warning("there is no extension driver " + strings.Join(missing, ", "))
		}
		return nil
	}, "ml2", "extension_drivers", "list", "", "All are always there; a name of one that is not gives a warning.")
	o.Int(&net.PathMTU, 0, "ml2", "path_mtu", "MTU for the packets of tunnels, in bytes; 0: as global_physnet_mtu.")
	o.Parsed(func(text string) (err error) {
		net.PhysicalMTUs, err = network.ParseMTUs(config.Split(text))
		return err
	},
		"ml2", "physical_network_mtus", "list", "", "MTUs of physical networks with a smaller one: physnet1:1400.")
	o.Parsed(func(text string) error {
		if net.OverlayIPv6 = text == "6"; text != "4" && text != "6" {
			return fmt.Errorf("%q is neither 4 nor 6", text)
		}
		return nil
	}, "ml2", "overlay_ip_version", "integer", "4", "IP version of tunnels (local_ip on hosts): over IPv6 networks have 20 bytes less.")
	o.Unsupported("bandwidth is not reported to the placement service", "ml2", "tunnelled_network_rp_name", "rp_tunnelled")

	o.Parsed(func(text string) error {
		clear(net.VLANs)
		return network.ParseVLANRanges(config.Split(text), net.VLANs)
	}, "ml2_type_vlan", "network_vlan_ranges", "list", "",
		"Physical networks with VLANs, and the VLAN ids that networks get by themselves: physnet1:100:199,physnet2 (all ids of physnet2).")
	o.List(&net.FlatNetworks, "ml2_type_flat", "flat_networks", "Physical networks that may be used untagged; *: all; empty: none.")
	tunnels := func(t segment.Type, section, name string) {
		have := net.TunnelIDs[t.Name]
		o.Parsed(func(text string) (err error) {
			net.TunnelIDs[t.Name], err = network.ParseTunnelRanges(config.Split(text), t.MaxID)
			return err
		}, section, name, "list", fmt.Sprintf("%d:%d", have[0].First, have[0].Last), "Ids that "+t.Name+" networks get by themselves: FIRST:LAST,… (the original's default is none).")
	}
	tunnels(segment.VXLAN, "ml2_type_vxlan", "vni_ranges")
	tunnels(segment.GRE, "ml2_type_gre", "tunnel_id_ranges")
	tunnels(segment.Geneve, "ml2_type_geneve", "vni_ranges")
	o.Int(&net.GeneveHeader, segment.GeneveHeader, "ml2_type_geneve", "max_header_size", "Bytes of a Geneve packet besides the outer IP header; OVN needs 38.")
	o.NotNeeded("tunnels go from host to host", "ml2_type_vxlan", "vxlan_group")
	net.Prohibited = map[string][]string{}
	s.prohibit(o, "ovs_driver", network.Openvswitch)
	s.prohibit(o, "sriov_driver", network.SRIOVNICSwitch)
	o.NotNeeded("compute services plug the ports", "ovs_driver", "ovs_create_tap")
	o.Only("security groups are always on; a port opts out by port_security_enabled", "securitygroup", "enable_security_group", "true", "1", "yes", "on")
}

// prohibit declares which of a driver's types of vNICs it may not bind.
func (s *serverSettings) prohibit(o *config.Set, section, driver string) {
	o.Parsed(func(text string) error {
		types := config.Split(text)
		for _, m := range network.Mechanisms {
			if m.Name != driver {
				continue
			}
			for _, name := range types {
				if !slices.Contains(m.VNICTypes, name) {
					return fmt.Errorf("%q is none of %s", name, strings.Join(m.VNICTypes, ", "))
				}
			}
			if len(types) >= len(m.VNICTypes) {
				return fmt.Errorf("nothing is left that %s binds", driver)
			}
		}
		s.Services.Network.Prohibited[driver] = types
		return nil
	}, section, "vnic_type_prohibit_list", "list", "", "Types of vNICs that "+driver+" does not bind.")
}

// typesOf reads a list of types of networks.
func typesOf(text string) ([]string, error) {
	types := config.Split(text)
	for _, name := range types {
		if _, known := segment.Types[name]; !known {
			return nil, fmt.Errorf("%q is no type of networks", name)
		}
	}
	return types, nil
}

// finishML2 holds the options against one another.
func (s *serverSettings) finishML2() (err error) {
	net := &s.Services.Network
	if s.OVN, err = s.ovn.finish(net); err != nil {
		return err
	}
	if i := slices.IndexFunc(net.Mechanisms, func(m string) bool { return m != network.OVN }); i >= 0 && (net.VLANTransparent || net.QinQ) {
		return fmt.Errorf("[DEFAULT] vlan_transparent, vlan_qinq: the mechanism driver %s carries no tags of instances", net.Mechanisms[i])
	}
	for _, name := range net.ProjectTypes {
		if !slices.Contains(net.Types, name) {
			return fmt.Errorf("[ml2] tenant_network_types: %s is not among type_drivers", name)
		}
	}
	if name := net.ExternalType; name != "" && !slices.Contains(net.Types, name) {
		return fmt.Errorf("[ml2] external_network_type: %s is not among type_drivers", name)
	}
	return nil
}
