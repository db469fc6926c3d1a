package router

import (
	"cmp"
	"database/sql"
	"slices"
	"strings"

	"neutrino/driver/ovn"
	"neutrino/engine"
	"neutrino/store"
)

// Chassis gives by router what administrators have said of its chassis, the highest priority first; of all routers when ids
// is nil. Routers of which nobody has said anything are left out: theirs are chosen.
func (s *Service) Chassis(c *engine.Call, ids []string) (map[string][]ovn.ChassisPriority, error) {
	cond := store.Cond{}
	if ids != nil {
		cond = store.In("router_id", ids)
	}
	out := map[string][]ovn.ChassisPriority{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var router string
		var p ovn.ChassisPriority
		err := rows.Scan(&router, &p.Chassis, &p.Priority)
		out[router] = append(out[router], p)
		return err
	}, "SELECT router_id, chassis, priority FROM router_chassis"+cond.Clause(), cond.Args...)
	for _, list := range out {
		slices.SortFunc(list, func(a, b ovn.ChassisPriority) int {
			return cmp.Or(cmp.Compare(b.Priority, a.Priority), strings.Compare(a.Chassis, b.Chassis))
		})
	}
	return out, err
}

// SetChassis says it for a router; with an empty list they are chosen again.
func (s *Service) SetChassis(c *engine.Call, router string, list []ovn.ChassisPriority) error {
	if err := dropChassis(c, router); err != nil {
		return err
	}
	for _, p := range list {
		if _, err := c.Tx.Exec("INSERT INTO router_chassis (router_id, chassis, priority) VALUES (?, ?, ?)", router, p.Chassis, p.Priority); err != nil {
			return err
		}
	}
	c.Tx.Change("router", router)
	return nil
}

func dropChassis(c *engine.Call, router string) error {
	_, err := c.Tx.Exec("DELETE FROM router_chassis WHERE router_id = ?", router)
	return err
}
