package main

import (
	"fmt"

	"neutrino/config"
)

// routerOptions are l3_agent.ini's.
func (s *agentSettings) routerOptions(o *config.Set) {
	o.Only("routers are not distributed over hosts: each is whole on one", "DEFAULT", "agent_mode", "legacy")
	o.Only("external networks are provider networks, reached by bridge_mappings", "DEFAULT", "external_network_bridge", "")
	o.Only("routers of all external networks are taken", "DEFAULT", "gateway_external_network_id", "")
	o.Only("routers without a gateway are taken too", "DEFAULT", "handle_internal_only_routers", "true", "1", "yes", "on")
	o.Only("ports are plugged into Open vSwitch", "DEFAULT", "interface_driver", "openvswitch", "neutron.agent.linux.interface.OVSInterfaceDriver", "")
	o.Bool(&s.routerMetadata, "DEFAULT", "enable_metadata_proxy", "Routers lead to metadata.")
	o.Unsupported("the subnet's gateway leads out", "DEFAULT", "ipv6_gateway", "")
	o.Unsupported("an agent that stops leaves routers running", "DEFAULT", "cleanup_on_shutdown", "false")
	o.NotNeeded("prefixes are not delegated", "DEFAULT", "prefix_delegation_driver", "pd_confs", "vendor_pen")
	o.NotNeeded("the agent itself answers for metadata and advertises routers; there are no other processes", "DEFAULT", "metadata_port", "metadata_access_mark", "external_ingress_mark",
		"radvd_user", "ra_confs", "external_pids", "ovs_use_veth", "network_device_mtu", "router_delete_namespaces", "use_namespaces", "send_arp_for_ha", "per_router_log_files", "router_log_files_in_ha_confs")
	o.Unsupported("routers are advertised every 30 to 100 seconds", "DEFAULT", "min_rtr_adv_interval", "30")
	o.Unsupported("routers are advertised every 30 to 100 seconds", "DEFAULT", "max_rtr_adv_interval", "100")
	o.NotNeeded("a router moves when the server says so", "DEFAULT", "ha_confs_path", "ha_vrrp_auth_type", "ha_vrrp_auth_password", "ha_vrrp_advert_int", "ha_keepalived_state_change_server_threads",
		"ha_vrrp_health_check_interval", "keepalived_use_no_track", "ha_conntrackd_enabled", "ha_conntrackd_hashsize", "ha_conntrackd_hashlimit", "ha_conntrackd_unix_backlog",
		"ha_conntrackd_socketbuffersize", "ha_conntrackd_socketbuffersize_max_grown", "ha_conntrackd_ipv4_mcast_addr", "ha_conntrackd_group", "ha_conntrackd_sndsocketbuffer", "ha_conntrackd_rcvsocketbuffer")
}

// parseHeartbeat reads report_interval.
func (s *agentSettings) parseHeartbeat(text string) error {
	d, err := config.ParseSeconds(text)
	if err == nil && d <= 0 {
		err = fmt.Errorf("%q is no time between reports", text)
	}
	s.heartbeat = d
	return err
}
