package facts

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"neutrino/desired"
	"neutrino/engine"
	"neutrino/service/compute"
	"neutrino/store"
)

// StatusChange is what hosts find true of a thing.
type StatusChange struct {
	Kind   desired.Kind // port, router, router_move or floating_ip
	ID     string
	Status string // ACTIVE or DOWN
	Reason string // why it is not ACTIVE

	Request string // the API request because of which it changes, for logs; "" for none
}

// tables says where the status of a kind is kept, the kind's name in the journal, and of which things hosts have a say: they
// may speak of what a thing was a moment ago, and would never take it back.
var tables = map[desired.Kind]struct{ table, name, status, reason, while string }{
	desired.KindPort:       {"ports", "port", "status", "status_reason", ""},
	desired.KindRouter:     {"routers", "router", "status", "status_reason", ""},
	desired.KindRouterMove: {"routers", "router", "next_status", "next_reason", ""},
	desired.KindFloatingIP: {"floatingips", "floatingip", "status", "status_reason", " AND router_id <> ''"},
}

// maxNextReason is how many bytes of a reason the column takes.
const maxNextReason = 2000

// Served is what a host says of a port in the DHCP layer, for servers that the host does not follow.
type Served struct {
	Port, Host string
	Up         bool
	Reason     string // why not
}

// Served reads what was told of ports; nil asks for all.
func (r *Reader) Served(c *engine.Call, ports []string) ([]Served, error) {
	where := store.Cond{}
	if ports != nil {
		where = store.In("port_id", ports)
	}
	var list []Served
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var s Served
		err := rows.Scan(&s.Port, &s.Host, &s.Up, &s.Reason)
		list = append(list, s)
		return err
	}, "SELECT port_id, host, up, reason FROM dhcp_reports"+where.Clause(), where.Args...)
	return list, err
}

// SetStatus writes statuses that have changed, and what servers tell one another. A thing that is gone meanwhile is passed over. The
// revision does not grow: nobody has changed the thing, and a client's If-Match must not fail for it.
func (r *Reader) SetStatus(ctx context.Context, changes []StatusChange, told []Served) error {
	return r.Engine.Update(ctx, nil, func(c *engine.Call) error {
		ports, err := r.portsOf(c, changes)
		if err != nil {
			return fmt.Errorf("read ports whose status changes: %w", err)
		}
		for _, ch := range changes {
			t, known := tables[ch.Kind]
			if !known {
				return fmt.Errorf("no status is kept for %q", ch.Kind)
			}
			if ch.Kind == desired.KindRouterMove && len(ch.Reason) > maxNextReason {
				ch.Reason = strings.ToValidUTF8(ch.Reason[:maxNextReason], "")
			}
			n, err := c.Tx.Exec("UPDATE "+t.table+" SET "+t.status+" = ?, "+t.reason+" = ? WHERE id = ? AND ("+t.status+" <> ? OR "+t.reason+" <> ?)"+t.while,
				ch.Status, ch.Reason, ch.ID, ch.Status, ch.Reason)
			if err != nil {
				return fmt.Errorf("set status of %s %s: %w", t.name, ch.ID, err)
			}
			if n == 0 {
				continue
			}
			c.Tx.Change(t.name, ch.ID)
			if p, told := ports[ch.ID]; told && ch.Kind == desired.KindPort {
				if err := r.Compute.StatusChanged(c, p.Port, p.status, ch.Status, ch.Request); err != nil {
					return err
				}
			}
		}
		for _, s := range told {
			if err := tell(c, s); err != nil {
				return fmt.Errorf("tell that %s serves port %s: %w", s.Host, s.Port, err)
			}
		}
		return nil
	})
}

// statusOf is a port with the status that it has.
type statusOf struct {
	compute.Port
	status string
}

// portsOf reads the ports among changes; none when nobody is told of their statuses.
func (r *Reader) portsOf(c *engine.Call, changes []StatusChange) (map[string]statusOf, error) {
	var ids []string
	for _, ch := range changes {
		if ch.Kind == desired.KindPort {
			ids = append(ids, ch.ID)
		}
	}
	if len(ids) == 0 || r.Compute == nil || !r.Compute.Concerned() {
		return nil, nil
	}
	in := store.In("id", ids)
	ports := map[string]statusOf{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var p statusOf
		err := rows.Scan(&p.ID, &p.DeviceID, &p.DeviceOwner, &p.status)
		ports[p.ID] = p
		return err
	}, "SELECT id, device_id, device_owner, status FROM ports"+in.Clause(), in.Args...)
	return ports, err
}

func tell(c *engine.Call, s Served) error {
	if _, err := c.Tx.Exec("DELETE FROM dhcp_reports WHERE port_id = ? AND host = ?", s.Port, s.Host); err != nil {
		return err
	}
	n, err := c.Tx.Exec("INSERT INTO dhcp_reports (port_id, host, up, reason) SELECT p.id, ?, ?, ? FROM ports p WHERE p.id = ?", s.Host, s.Up, s.Reason, s.Port)
	if err == nil && n > 0 {
		c.Tx.Change("port", s.Port)
	}
	return err
}
