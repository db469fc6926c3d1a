package facts

import (
	"database/sql"
	"slices"

	"neutrino/desired"
	"neutrino/engine"
	"neutrino/service/router"
	"neutrino/store"
)

// The columns of the tables of networks, ports, floating IPs and routers that name a QoS policy.
const (
	ownPolicy     = "t.qos_policy_id"
	gatewayPolicy = "t.gateway_qos_policy_id"
)

// qosOf is what the policies that a column of a table names say of the traffic of those with ids; nil asks for all. Who
// has no policy is not in it.
func qosOf(c *engine.Call, table, column string, ids []string) (map[string]*desired.QoS, error) {
	where := store.Where(column + " <> ''")
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
	}, "SELECT t.id, q.rule_type, q.direction, q.amount, q.burst FROM "+table+" t LEFT JOIN qos_rules q ON q.policy_id = "+column+where.Clause(), where.Args...)
	return out, err
}

// Bound gives the networks and ports that QoS policies are bound to, and the routers whose gateways or floating IPs they
// are for, by themselves or by their external networks.
func (r *Reader) Bound(c *engine.Call, policies []string) (networks, ports, routers []string, err error) {
	if networks, err = idsOf(c, "id", "networks", store.In(ownPolicy, policies)); err != nil {
		return nil, nil, nil, err
	}
	if ports, err = idsOf(c, "id", "ports", store.In(ownPolicy, policies)); err != nil {
		return nil, nil, nil, err
	}
	for _, q := range []struct {
		column, table string
		where         store.Cond
	}{
		{"id", "routers", store.In(gatewayPolicy, policies)},
		{"router_id", "floatingips", store.In(ownPolicy, policies)},
		{"device_id", "ports", store.And(store.Where("t.device_owner = ?", router.OwnerGateway), store.In("t.network_id", networks))},
	} {
		found, err := idsOf(c, q.column, q.table, q.where)
		if err != nil {
			return nil, nil, nil, err
		}
		routers = append(routers, found...)
	}
	slices.Sort(routers)
	routers = slices.DeleteFunc(slices.Compact(routers), func(id string) bool { return id == "" }) // "": of a floating IP that leads nowhere
	return networks, ports, routers, nil
}

// idsOf reads a column of a table.
func idsOf(c *engine.Call, column, table string, where store.Cond) (ids []string, err error) {
	err = c.Tx.Each(func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}, "SELECT t."+column+" FROM "+table+" t"+where.Clause()+" ORDER BY t."+column, where.Args...)
	return ids, err
}
