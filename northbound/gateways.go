package northbound

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"neutrino/dataplane/ovndb"
	"neutrino/driver/ovn"
)

// GatewayHosts gives the chassis on which a router's gateways may be: those of the first gateway in the order of their
// priorities, of which the highest that lives has it, and then those of the others. It reads the copy of the northbound
// database, which every server has.
func (w *Writer) GatewayHosts(router string) []string {
	type place struct {
		group, chassis string
		priority       int
	}
	var places []place
	w.eachGroup(func(of, group, chassis string, priority int) {
		if of == router {
			places = append(places, place{group, chassis, priority})
		}
	})
	slices.SortFunc(places, func(a, b place) int { // the first gateway's group has the shortest name
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(b.priority, a.priority), cmp.Compare(a.chassis, b.chassis))
	})
	var hosts []string
	for _, p := range places {
		if !slices.Contains(hosts, p.chassis) {
			hosts = append(hosts, p.chassis)
		}
	}
	return hosts
}

// Priorities gives the chassis of a router's first gateway with their priorities, the highest first.
func (w *Writer) Priorities(router string) []ovn.ChassisPriority {
	var list []ovn.ChassisPriority
	w.eachGroup(func(_, group, chassis string, priority int) {
		if group == ovn.ChassisGroup(router) {
			list = append(list, ovn.ChassisPriority{Chassis: chassis, Priority: priority})
		}
	})
	slices.SortFunc(list, func(a, b ovn.ChassisPriority) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Chassis, b.Chassis))
	})
	return list
}

// RoutersOn lists the routers whose gateways may be on a chassis.
func (w *Writer) RoutersOn(chassis string) []string {
	routers := map[string]bool{}
	w.eachGroup(func(of, _, on string, _ int) {
		if on == chassis {
			routers[of] = true
		}
	})
	return slices.Sorted(maps.Keys(routers))
}

func (w *Writer) eachGroup(do func(router, group, chassis string, priority int)) {
	_ = w.client.View(func(db *ovndb.View) { // never connected: nothing is known
		for _, group := range db.Table("HA_Chassis_Group") {
			router := group.Many["external_ids"]["neutron:router_id"]
			if router == "" || group.Many["external_ids"]["neutron:network_id"] != "" { // who answers for external ports of a network behind it
				continue
			}
			for id := range group.Many["ha_chassis"] {
				if row := db.Row("HA_Chassis", id); row != nil {
					priority, _ := strconv.Atoi(row.One["priority"]) // an integer by the schema
					do(router, group.One["name"], row.One["chassis_name"], priority)
				}
			}
		}
	})
}
