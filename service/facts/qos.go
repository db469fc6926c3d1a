package facts

import (
	"database/sql"

	"neutrino/desired"
	"neutrino/engine"
	"neutrino/store"
)

// qosOf is what the policies of ports or networks (the table) with ids say of traffic; nil asks for all. Who has no
// policy is not in it.
func qosOf(c *engine.Call, table string, ids []string) (map[string]*desired.QoS, error) {
	where := store.Where("t.qos_policy_id <> ''")
	if ids != nil {
		where = store.And(where, store.In("t.id", ids))
	}
	out := map[string]*desired.QoS{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var id string
		var kind, direction sql.NullString
		var amount, burst sql.NullInt64
		if err := rows.Scan(&id, &kind, &direction, &amount, &burst); err != nil {
			return err
		}
		q := out[id]
		if q == nil {
			q = &desired.QoS{}
			out[id] = q
		}
		limits := &q.Egress
		if direction.String == "ingress" {
			limits = &q.Ingress
		}
		switch kind.String { // minimum rules are promises that placement keeps: no host does anything for them
		case "bandwidth_limit":
			limits.Kbps, limits.BurstKbps = int(amount.Int64), int(burst.Int64)
		case "packet_rate_limit":
			limits.Kpps, limits.BurstKpps = int(amount.Int64), int(burst.Int64)
		case "dscp_marking":
			mark := int(amount.Int64)
			q.DSCP = &mark
		}
		return nil
	}, "SELECT t.id, q.rule_type, q.direction, q.amount, q.burst FROM "+table+" t LEFT JOIN qos_rules q ON q.policy_id = t.qos_policy_id"+where.Clause(), where.Args...)
	return out, err
}

// Bound gives the networks and ports that QoS policies are bound to.
func (r *Reader) Bound(c *engine.Call, policies []string) (networks, ports []string, err error) {
	for table, list := range map[string]*[]string{"networks": &networks, "ports": &ports} {
		where := store.In("t.qos_policy_id", policies)
		err := c.Tx.Each(func(rows *sql.Rows) error {
			var id string
			err := rows.Scan(&id)
			*list = append(*list, id)
			return err
		}, "SELECT t.id FROM "+table+" t"+where.Clause()+" ORDER BY t.id", where.Args...)
		if err != nil {
			return nil, nil, err
		}
	}
	return networks, ports, nil
}
