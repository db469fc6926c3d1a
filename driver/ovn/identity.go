package ovn

import "strings"

// Children says for tables whose rows live in another row's set which column of which table that is.
var Children = map[string]struct{ Table, Column string }{
	tableSwitchPort:  {tableSwitch, "ports"},
	tableQoS:         {tableSwitch, "qos_rules"},
	tableACL:         {tableGroup, "acls"},
	tableRouterPort:  {tableRouter, "ports"},
	tableRoute:       {tableRouter, "static_routes"},
	tableNAT:         {tableRouter, "nat"},
	tableRoutePolicy: {tableRouter, "policies"},
	tableChassis:     {tableChassisGroup, "ha_chassis"},
}

// Sets lists by table the columns that Entries fill. What is in them and should not be leaves, if it is ours.
var Sets = map[string][]string{
	tableSwitch:       {"ports", "qos_rules", "load_balancer", "dns_records"},
	tableDNS:          {"records"},
	tableGroup:        {"acls", "ports"},
	tableAddressSet:   {"addresses"},
	tableRouter:       {"ports", "static_routes", "policies", "nat", "load_balancer"},
	tableChassisGroup: {"ha_chassis"},
}

// Gradual says of a column that Entries fill that its entries may come in later transactions than the row, each with the
// row that it names: such sets have no bound. All others are whole when their row comes.
func Gradual(table, column string) bool {
	return column == "ports" && table != tableRouter || column == "qos_rules"
}

// Tables lists the tables that have rows of ours, in the order in which they come when there are too many for one
// transaction: a port's groups, with all that they let pass, are there before it.
var Tables = []string{
	tableAddressSet, tableDHCP, tableGroup, tableACL, tableDNS, tableChassisGroup, tableChassis, tableRouter, tableRouterPort, tableBFD, tableRoute,
	tableRoutePolicy, tableNAT, tableBalancer, tableSwitch, tableSwitchPort, tableQoS,
}

// Shared says for maps that others write to as well which keys are ours; of other maps and sets all is.
func Shared(table, column, key string) (shared, ours bool) {
	switch {
	case column == "external_ids":
		switch key {
		case "subnet_id", "port_id", "ls_name":
			return true, true
		case "neutron:liveness_check_at", "neutron:port_capabilities", "neutron:subnet_pool_addr_scope4", "neutron:subnet_pool_addr_scope6",
			"neutron:pvlan_type": // the original's, with nothing behind them here
			return true, false
		}
		return true, strings.HasPrefix(key, "neutron:")
	case column == "other_config" && table == tableSwitch:
		switch key {
		case "mcast_snoop", "mcast_flood_unregistered", "vlan-passthru", "fdb_age_threshold", "broadcast-arps-to-all-routers":
			return true, true
		}
		return true, false
	case column == "options" && table == tableACL:
		return true, key != "log-related"
	case column == "options" && table == tableSwitchPort:
		switch key {
		case "requested-chassis", "activation-strategy", "router-port", "nat-addresses", "exclude-lb-vips-from-garp", "network_name", "ethtype",
			"mcast_flood_reports", "mcast_flood", "localnet_learn_fdb", "virtual-ip", "virtual-parents", "qos_max_rate", "qos_min_rate", "qos_burst":
			return true, true
		}
		return true, false
	case column == "options" && table == tableRouterPort:
		switch key {
		case "reside-on-redirect-chassis", "redirect-type", "gateway_mtu":
			return true, true
		}
		return true, false
	case column == "options" && (table == tableRouter || table == tableNAT):
		switch key {
		case "always_learn_from_arp_request", "dynamic_neigh_routers", "mac_binding_age_threshold", "stateless":
			return true, true
		}
		return true, false
	}
	return false, false
}

// Identify gives the name of the Key of a row that is in the database, and whether the row carries our mark, so that
// it goes when it should not be there. parent is the name of the row that holds it. A row without a name is not
// one that we could want.
func Identify(table, parent string, one map[string]string, many map[string]map[string]string) (name string, ours bool) {
	ids := many["external_ids"]
	marked := false
	for key := range ids {
		marked = marked || strings.HasPrefix(key, "neutron:")
	}
	switch table {
	case tableSwitch, tableRouter, tableChassisGroup:
		return one["name"], marked || strings.HasPrefix(one["name"], "neutron-")
	case tableSwitchPort, tableRouterPort:
		return one["name"], marked
	case tableGroup:
		return one["name"], ids["neutron:security_group_id"] != "" || one["name"] == dropGroup
	case tableAddressSet:
		return one["name"], ids["neutron:address_group_id"] != "" || ids["neutron:security_group_id"] != ""
	case tableBalancer:
		return one["name"], ids["neutron:device_owner"] == "port_forwarding_plugin"
	case tableDHCP:
		if id := ids["subnet_id"]; id != "" {
			if port := ids["port_id"]; port != "" {
				return id + "/" + port, true
			}
			return id, true
		}
	case tableDNS:
		return ids["ls_name"], ids["ls_name"] != ""
	case tableACL:
		if id := ids["neutron:security_group_rule_id"]; id != "" {
			return id, true
		}
		if parent == dropGroup {
			return dropGroup + "/" + dropName(one), true
		}
	case tableQoS:
		for _, owner := range []string{"port_id", "fip_id", "router_id"} {
			if id := ids["neutron:"+owner]; id != "" {
				return qosOwner{owner, id, ids["neutron:gateway_port"]}.row(one["direction"]), true
			}
		}
	case tableNAT:
		if id := ids["neutron:fip_id"]; id != "" {
			return "fip/" + id, true
		}
		if one["type"] == "snat" {
			return parent + "/snat/" + one["logical_ip"] + "/" + one["external_ip"], marked
		}
	case tableRoute:
		return routeName(parent, one["ip_prefix"], one["nexthop"], ids["neutron:subnet_id"]), marked
	case tableBFD:
		return bfdName(one["logical_port"], one["dst_ip"]), marked
	case tableRoutePolicy:
		if id := ids["neutron:fip_id"]; id != "" {
			return "fip/" + id, true
		}
		if ip := ids["neutron:gateway_ip"]; ip != "" {
			return gatewayPolicy(parent, ip), true
		}
	case tableChassis:
		return parent + "/" + one["chassis_name"], strings.HasPrefix(parent, "neutron-")
	}
	return "", marked
}

// dropName tells the rules of the drop group apart.
func dropName(one map[string]string) string {
	switch {
	case one["action"] == "drop":
		return one["direction"]
	case strings.Contains(one["match"], "udp.src == 68"):
		return "dhcp4"
	case strings.Contains(one["match"], "udp.src == 546"):
		return "dhcp6"
	}
	return one["direction"] + " " + one["match"]
}
