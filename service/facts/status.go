package facts

import (
	"context"
	"fmt"

	"neutrino/desired"
	"neutrino/engine"
)

// StatusChange is what hosts find true of a thing.
type StatusChange struct {
	Kind   desired.Kind // port, router or floating_ip
	ID     string
	Status string // ACTIVE or DOWN
	Reason string // why it is not ACTIVE
}

// tables says where the status of a kind is kept, and the kind's name in the journal.
var tables = map[desired.Kind]struct{ table, name string }{
	desired.KindPort:       {"ports", "port"},
	desired.KindRouter:     {"routers", "router"},
	desired.KindFloatingIP: {"floatingips", "floatingip"},
}

// SetStatus writes statuses that have changed. A thing that is gone meanwhile is passed over. The
// revision does not grow: nobody has changed the thing, and a client's If-Match must not fail for it.
func (r *Reader) SetStatus(ctx context.Context, changes []StatusChange) error {
	return r.Engine.Update(ctx, nil, func(c *engine.Call) error {
		for _, ch := range changes {
			t, known := tables[ch.Kind]
			if !known {
				return fmt.Errorf("no status is kept for %q", ch.Kind)
			}
			n, err := c.Tx.Exec("UPDATE "+t.table+" SET status = ?, status_reason = ? WHERE id = ? AND (status <> ? OR status_reason <> ?)",
				ch.Status, ch.Reason, ch.ID, ch.Status, ch.Reason)
			if err != nil {
				return fmt.Errorf("set status of %s %s: %w", t.name, ch.ID, err)
			}
			if n > 0 {
				c.Tx.Change(t.name, ch.ID)
			}
		}
		return nil
	})
}
