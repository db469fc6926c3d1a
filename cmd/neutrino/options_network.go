package main

import (
	"strings"

	"neutrino/config"
)

// networkOptions are what an operator decides about networks, subnets and ports.
func (s *serverSettings) networkOptions(o *config.Set) {
	net := &s.Services.Network
	o.Int(&net.PhysicalMTU, 68, "DEFAULT", "global_physnet_mtu", "MTU of the physical networks, in bytes.").Deprecated("segment_mtu")
	o.Parsed(func(text string) error { net.DNSDomain = strings.TrimSuffix(text, ".") + "."; return nil },
		"DEFAULT", "dns_domain", "string", strings.TrimSuffix(net.DNSDomain, "."), "Domain of instances' names.").Deprecated("dhcp_domain")
	o.Parsed(func(text string) error { return net.BaseMAC.UnmarshalText([]byte(text)) },
		"DEFAULT", "base_mac", "string", net.BaseMAC.String(), "What MAC addresses of ports begin with.")
	o.Int(&net.MaxDNS, 0, "DEFAULT", "max_dns_nameservers", "How many DNS servers a subnet may name.")
	o.Int(&net.MaxRoutes, 0, "DEFAULT", "max_subnet_host_routes", "How many host routes a subnet may have.")
	o.Int(&net.MaxPairs, 0, "DEFAULT", "max_allowed_address_pair", "How many allowed address pairs a port may have.")
	o.Only("addresses are given by the database", "DEFAULT", "ipam_driver", "internal", "")
	o.Only("hosts are always told", "DEFAULT", "dhcp_agent_notification", "true", "1", "yes", "on")
	o.Only("DHCP is served by our agents", "DEFAULT", "enable_traditional_dhcp", "true", "1", "yes", "on")
	o.Bool(&net.VLANTransparent, "DEFAULT", "vlan_transparent", "Networks may carry their instances' VLAN tags (vlan_transparent). Of the mechanism drivers, ovn can.")
	o.Bool(&net.QinQ, "DEFAULT", "vlan_qinq", "VLAN networks may carry them below an IEEE 802.1ad tag (qinq). Of the mechanism drivers, ovn can.")
	o.Unsupported("prefixes are not delegated", "DEFAULT", "ipv6_pd_enabled", "false")
	o.Unsupported("names are not published outside", "DEFAULT", "external_dns_driver", "")
	o.Unsupported("gateways translate addresses unless the router says otherwise", "DEFAULT", "enable_snat_by_default", "true")
	o.Unsupported("a router is distributed when it says so", "DEFAULT", "router_distributed", "false")
	o.Unsupported("a router is highly available when it says so", "DEFAULT", "l3_ha", "false")
	o.Unsupported("NDP proxies are allowed when the router says so", "DEFAULT", "enable_ndp_proxy_by_default", "false")
	o.Unsupported("routers say so themselves", "DEFAULT", "enable_default_route_ecmp", "false")
	o.Unsupported("routers say so themselves", "DEFAULT", "enable_default_route_bfd", "false")
	o.Unsupported("the original's list holds", "DEFAULT", "allowed_conntrack_helpers", "tftp:udp,ftp:tcp,sip:tcp,sip:udp")
	o.NotNeeded("one host realises a router", "DEFAULT", "enable_dvr", "dvr_base_mac", "host_dvr_for_dhcp", "max_l3_agents_per_router", "min_l3_agents_per_router", "l3_ha_net_cidr", "l3_ha_network_type",
		"l3_ha_network_physical_name", "allow_duplicate_networks")
}

// schedulingOptions are about who serves what.
func (s *serverSettings) schedulingOptions(o *config.Set) {
	net := &s.Services.Network
	o.Int(&net.DHCPPerNetwork, 1, "DEFAULT", "dhcp_agents_per_network", "How many hosts serve DHCP to a network.")
	o.Seconds(&s.Services.AgentDownTime, "DEFAULT", "agent_down_time", "How old an agent's last report may be while it counts as alive.")
	o.Bool(&s.Services.Failover.Routers, "DEFAULT", "allow_automatic_l3agent_failover", "Routers of a host that is lost move to others. The original's default is false.")
	o.Bool(&s.Services.Failover.DHCP, "DEFAULT", "allow_automatic_dhcp_failover", "So does DHCP of networks.")
	o.Seconds(&s.Services.Failover.LostAfter, neutrinoSection, "host_lost_time", "How long nothing may be heard of a host until it counts as lost; 0: never. One whose agent was stopped, its machine living on, is lost after agent_down_time.")
	o.NotNeeded("the host with the least work is chosen", "DEFAULT", "network_scheduler_driver", "router_scheduler_driver", "dhcp_load_type", "rpc_resources_processing_step")
	o.NotNeeded("what an agent does goes on while its admin_state_up is false", "DEFAULT", "enable_services_on_agents_with_admin_state_down")
	o.Bool(&s.Services.Assign.Networks, "DEFAULT", "network_auto_schedule", "A host that comes serves DHCP to networks that have too few servers; else they are given to it by the API, or when their subnets change.")
	o.Bool(&s.Services.Assign.Routers, "DEFAULT", "router_auto_schedule", "A host that comes gets the routers that wait for one; else they are given to it by the API.")
	o.List(&net.DefaultZones, "DEFAULT", "default_availability_zones", "Zones in which networks and routers without hints are served; empty: any.")
}
