package ovn

// Blank lists by table the columns that are empty in our rows, or their type's default, unless a row says otherwise:
// what others write there would change what packets meet. Older schemas lack some. Columns in neither this list nor
// Sets nor our rows are others' (docs/rooms/ovn.md).
var Blank = map[string][]string{
	tableGroup:       {"external_ids"},
	tableACL:         {"external_ids", "options", "tier", "network_function_group"},
	tableDNS:         {"options"},
	tableRouterPort:  {"enabled", "peer", "gateway_chassis", "dhcp_relay"},
	tableRoute:       {"policy", "route_table", "options"},
	tableRoutePolicy: {"nexthop", "options", "bfd_sessions", "chain", "jump_chain", "output_port"},
	tableNAT: {
		"external_mac", "external_port_range", "allowed_ext_ips", "exempted_ext_ips", "logical_port", "options", "match", "priority",
	},
	tableBalancer:   {"health_check", "ip_port_mappings", "options", "selection_fields"},
	tableSwitchPort: {"ha_chassis_group", "peer"},
}

// Names says whether a row gives a column a value of its own.
func (r *Row) Names(column string) bool {
	_, one := r.One[column]
	_, many := r.Many[column]
	_, ref := r.Refs[column]
	return one || many || ref
}
