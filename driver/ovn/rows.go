package ovn

import (
	"maps"
	"strconv"
	"strings"
)

// Key identifies a row that we want: the table and a name that is unique in it. docs/rooms/ovn.md says how the name
// follows from a row of each table.
type Key struct{ Table, Name string }

func (k Key) String() string { return k.Table + " " + k.Name }

// Row is a row that should be there, with the columns that are ours. Atoms are text.
type Row struct {
	Key  Key
	One  map[string]string            // columns of at most one atom; "": none, or the column's default
	Many map[string]map[string]string // maps, and sets as keys to ""
	Refs map[string]Key               // columns that name one other row; the zero Key for none
}

// Element is one thing in a set or map of a row that several objects put something into: a switch's ports, a group's
// ports, a network's DNS records.
type Element struct {
	Row    Key
	Column string
	Ref    Key    // names a row; or
	Text   string // a map's key
	Value  string // of the map
}

// output is what follows from one object.
type output struct {
	rows     []*Row
	elements []Element
	notes    []string // what OVN can't do for it
}

func (o *output) row(table, name string) *Row {
	r := &Row{Key: Key{table, name}, One: map[string]string{}, Many: map[string]map[string]string{}, Refs: map[string]Key{}}
	o.rows = append(o.rows, r)
	return r
}

// in puts a row into a set of another.
func (o *output) in(row Key, column string, ref Key) {
	o.elements = append(o.elements, Element{Row: row, Column: column, Ref: ref})
}

func (o *output) note(text string) { o.notes = append(o.notes, text) }

func (r *Row) same(other *Row) bool {
	return r.Key == other.Key && maps.Equal(r.One, other.One) && maps.EqualFunc(r.Many, other.Many, maps.Equal[map[string]string, map[string]string]) &&
		maps.Equal(r.Refs, other.Refs)
}

func set(list ...string) map[string]string {
	m := make(map[string]string, len(list))
	for _, x := range list {
		m[x] = ""
	}
	return m
}

// pairs makes a map of keys and values that take turns; pairs with an empty value are left out.
func pairs(words ...string) map[string]string {
	m := make(map[string]string, len(words)/2)
	for i := 0; i < len(words); i += 2 {
		if words[i+1] != "" {
			m[words[i]] = words[i+1]
		}
	}
	return m
}

func number[T int | int64](n T) string { return strconv.FormatInt(int64(n), 10) }

func flag(on bool) string { return strconv.FormatBool(on) }

// Names of rows, the original's.

func switchName(network string) string   { return "neutron-" + network }
func routerName(router string) string    { return "neutron-" + router }
func routerPort(port string) string      { return "lrp-" + port }
func localnetName(segment string) string { return "provnet-" + segment }
func groupName(group string) string      { return "pg_" + strings.ReplaceAll(group, "-", "_") }
func externalGroup(port string) string   { return "neutron-extport-" + port }

// ChassisGroup is the name of the group of the chassis of a router's first gateway; or of those that answer for the external
// ports of a network.
func ChassisGroup(of string) string { return "neutron-" + of }

// routeName is that of a route of a router; subnet is that of the gateway of a default route, of others "".
func routeName(router, to, by, subnet string) string {
	name := router + "/" + to + "/" + by
	if subnet != "" {
		name += "/" + subnet
	}
	return name
}

// bfdName is that of the session between a router's port and a next hop.
func bfdName(port, hop string) string { return port + "/" + hop }

// gatewayPolicy is the name of the policy of a gateway's own address.
func gatewayPolicy(router, address string) string { return router + "/" + address }

// pairSet is the set of what the allowed address pairs of a group's ports add to them.
func pairSet(group string, ipv6 bool) string {
	return "pairs_" + strings.ReplaceAll(group, "-", "_") + "_" + family(ipv6)
}

// groupSet is the set of the addresses of a group's ports, which OVN makes itself.
func groupSet(group string, ipv6 bool) string { return groupName(group) + "_" + family(ipv6) }

func addressSet(group string, ipv6 bool) string {
	return "ag_" + strings.ReplaceAll(group, "-", "_") + "_" + family(ipv6)
}

func family(ipv6 bool) string {
	if ipv6 {
		return "ip6"
	}
	return "ip4"
}

// dropGroup is the port group of all ports with port security: what no rule lets pass does not.
const dropGroup = "neutron_pg_drop"

// Guard is the row without which no port may come.
var Guard = Key{tableGroup, dropGroup}

// The tables.
const (
	tableSwitch       = "Logical_Switch"
	tableSwitchPort   = "Logical_Switch_Port"
	tableDHCP         = "DHCP_Options"
	tableDNS          = "DNS"
	tableGroup        = "Port_Group"
	tableACL          = "ACL"
	tableAddressSet   = "Address_Set"
	tableRouter       = "Logical_Router"
	tableRouterPort   = "Logical_Router_Port"
	tableRoute        = "Logical_Router_Static_Route"
	tableRoutePolicy  = "Logical_Router_Policy"
	tableBFD          = "BFD"
	tableNAT          = "NAT"
	tableBalancer     = "Load_Balancer"
	tableQoS          = "QoS"
	tableChassisGroup = "HA_Chassis_Group"
	tableChassis      = "HA_Chassis"
)
