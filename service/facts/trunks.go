package facts

import (
	"database/sql"

	"neutrino/desired"
	"neutrino/engine"
	"neutrino/store"
)

// subPorts reads how trunks carry ports, by port id; nil asks for all.
func subPorts(c *engine.Call, ids []string) (map[string]*desired.SubPort, error) {
	where := store.Cond{}
	if ids != nil {
		where = store.In("s.port_id", ids)
	}
	out := map[string]*desired.SubPort{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var id string
		var p desired.SubPort
		err := rows.Scan(&id, &p.Parent, &p.VLAN)
		out[id] = &p
		return err
	}, "SELECT s.port_id, t.port_id, s.segmentation_id FROM subports s JOIN trunks t ON t.id = s.trunk_id"+where.Clause(), where.Args...)
	return out, err
}
