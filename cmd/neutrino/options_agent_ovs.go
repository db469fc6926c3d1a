package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"neutrino/config"
)

// tunnelTypes are the types of networks that run in tunnels.
var tunnelTypes = []string{"vxlan", "geneve", "gre"}

// switchOptions are openvswitch_agent.ini's: how the host's switch is laid out.
func (s *agentSettings) switchOptions(o *config.Set) {
	o.Parsed(func(text string) (err error) { s.mappings, err = parseMappings(config.Split(text)); return err },
		"ovs", "bridge_mappings", "list", "", "Bridges of physical networks: physnet1:br-ex,physnet2:br-ex2. They must be there, with the network's interface in them.")
	o.Parsed(func(text string) (err error) { s.tunnelIP, err = parseTunnelIP(text); return err },
		"ovs", "local_ip", "string", "", "This host's address for tunnels, IPv4 or IPv6 as on all hosts; without it there are none.")
	o.Parsed(func(text string) error {
		s.tunnels = append([]string{}, config.Split(text)...) // none is not the same as nothing said
		for _, name := range s.tunnels {
			if !slices.Contains(tunnelTypes, name) {
				return fmt.Errorf("%q is none of %s", name, strings.Join(tunnelTypes, ", "))
			}
		}
		return nil
	}, "agent", "tunnel_types", "list", strings.Join(s.tunnels, ","), "Types of networks that the host has tunnels for (the original's default is none).")
	o.Port(&s.vxlanPort, "agent", "vxlan_udp_port", "UDP port of VXLAN tunnels, the same on all hosts.")
	o.Bool(&s.dontFragment, "agent", "dont_fragment", "Packets of tunnels may not be fragmented.")
	o.Bool(&s.checksum, "agent", "tunnel_csum", "Packets of tunnels have checksums.")
	o.String(&s.datapath, "ovs", "datapath_type", "Datapath of the bridges that the agent makes.").Choices("system", "netdev")
	o.Parsed(func(text string) error {
		s.connection = text
		if !strings.HasPrefix(text, "unix:") && !strings.HasPrefix(text, "tcp:") {
			return errors.New("give unix:PATH or tcp:HOST:PORT")
		}
		return nil
	}, "ovs", "ovsdb_connection", "string", "", "Open vSwitch's database: unix:PATH or tcp:HOST:PORT (default: db.sock in [neutrino] ovs_rundir; the original's is tcp:127.0.0.1:6640).")
	const names = "bridges and the ports between them have the names that all tools know"
	o.Only(names, "ovs", "integration_bridge", "br-int").Deprecated("ovs_integration_bridge", "DEFAULT/ovs_integration_bridge")
	o.Only(names, "ovs", "tunnel_bridge", "br-tun")
	o.Only(names, "ovs", "int_peer_patch_port", "patch-tun")
	o.Only(names, "ovs", "tun_peer_patch_port", "patch-int")
	o.Only("routers are not distributed over hosts", "agent", "enable_distributed_routing", "false", "0", "no", "off")
	o.Unsupported("flows are compared and never dropped as a whole", "agent", "drop_flows_on_start", "false")
	o.Unsupported("ports of Smart NICs are not wired", "agent", "baremetal_smartnic", "false")
	o.Unsupported("groups are not learnt: multicast is flooded", "ovs", "igmp_snooping_enable", "false")
	o.Unsupported("tunnels' packets have the TOS of what they carry or none", "agent", "dscp", "")
	o.Unsupported("tunnels' packets have the TOS of what they carry or none", "agent", "dscp_inherit", "false")
	o.NotNeeded("every host knows its peers: it floods to those that have the network, and answers ARP for their ports", "agent", "l2_population", "arp_responder", "explicitly_egress_direct")
	o.NotNeeded("bandwidth and packet rates are not reported to the placement service", "ovs", "resource_provider_bandwidths", "resource_provider_hypervisors",
		"resource_provider_packet_processing_without_direction", "resource_provider_packet_processing_with_direction", "resource_provider_default_hypervisor",
		"resource_provider_inventory_defaults", "resource_provider_packet_processing_inventory_defaults")
	o.NotNeeded("bridges are reached by their own sockets in [neutrino] ovs_rundir", "ovs", "of_interface", "of_listen_address", "of_listen_port", "of_connect_timeout", "of_request_timeout", "of_inactivity_probe",
		"openflow_processed_per_port", "ovsdb_timeout", "ovsdb_interface", "ovsdb_debug", "ssl_key_file", "ssl_cert_file", "ssl_ca_cert_file")
	o.NotNeeded("br-int learns no addresses", "ovs", "bridge_mac_table_size", "igmp_flood", "igmp_flood_reports", "igmp_flood_unregistered")
	o.NotNeeded("compute services make vhost-user sockets", "ovs", "vhostuser_socket_dir")
	o.NotNeeded("the agent hears of changes of the switch at once", "agent", "polling_interval", "minimize_polling", "ovsdb_monitor_respawn_interval", "quitting_rpc_timeout", "veth_mtu")
	o.NotNeeded("patch ports join the bridges", "ovs", "use_veth_interconnection")
	o.Unsupported("bandwidth is not limited by meters", "ovs", "qos_meter_bandwidth", "false")
	o.NotNeeded("what is built in is always on", "agent", "extensions")
	o.NotNeeded("br-int carries trunks", "ovs", "trunk_enabled")
	o.NotNeeded("hosts do not log by rules", "network_log", "rate_limit", "burst_limit", "local_output_log_base")
	o.NotNeeded("DHCP is served in the network's namespace", "dhcp", "enable_ipv6", "dhcp_renewal_time", "dhcp_rebinding_time")
	o.NotNeeded("metadata is served in namespaces", "metadata", "provider_cidr", "provider_vlan_id", "provider_base_mac", "host_proxy_listen_port")
	o.NotNeeded("local IPs are not translated", "local_ip", "static_nat")
	o.NotNeeded("there is no SR-IOV agent", "FDB", "shared_physical_device_mappings")
	o.NotNeeded("the program has the privileges that it needs, and starts no others", "agent", "root_helper", "root_helper_daemon", "use_helper_for_ns_read", "kill_scripts_path", "check_child_processes_action",
		"check_child_processes_interval", "log_agent_heartbeats", "comment_iptables_rules", "debug_iptables_rules", "use_random_fully")
	o.Parsed(func(text string) error { return s.parseHeartbeat(text) }, "agent", "report_interval", "seconds", "",
		"How often the agent says that it lives; at most half of the server's agent_down_time (the original's default is 30; ours is shorter, so that a host's end is noticed soon).")
}

// firewallOptions are about security groups.
func (s *agentSettings) firewallOptions(o *config.Set) {
	o.Parsed(func(text string) error {
		name, known := firewallDrivers[text]
		if !known {
			return fmt.Errorf("%q is none of openvswitch, iptables_hybrid and noop", text)
		}
		s.firewall = name
		return nil
	}, "securitygroup", "firewall_driver", "string", s.firewall, "What enforces security groups: openvswitch (flows of br-int), iptables_hybrid (nftables on a bridge that the compute service puts between each instance and br-int), or noop: nothing, and instances may send under any address.")
	o.Only("security groups are always on; a port opts out by port_security_enabled", "securitygroup", "enable_security_group", "true", "1", "yes", "on")
	o.Unsupported("ports with port security send IPv4, IPv6 and ARP only", "securitygroup", "permitted_ethertypes", "")
	o.NotNeeded("sets of addresses are flows", "securitygroup", "enable_ipset")
}

// firewallDrivers are the names of those that are there.
var firewallDrivers = map[string]string{
	"openvswitch":     firewallOpenFlow,
	"iptables_hybrid": firewallHybrid,
	"noop":            firewallNone,
	"neutron.agent.linux.openvswitch_firewall.OVSFirewallDriver":            firewallOpenFlow,
	"neutron.agent.linux.iptables_firewall.OVSHybridIptablesFirewallDriver": firewallHybrid,
	"neutron.agent.firewall.NoopFirewallDriver":                             firewallNone,
}
