package compute

import (
	"cmp"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"

	"neutrino/engine"
	"neutrino/store"
)

// Event is one that a compute service has still to be told.
type Event struct {
	ID      string
	Name    string
	Server  string // uuid of the instance
	Tag     string // the port's id
	Status  string // completed or failed; "" for events without
	Request string // id of the API request that made it, for logs; "" for none
	Created time.Time
}

// add puts an event at the end of the queue, in place of one that says the same and has not been sent: what an
// instance's port has been through meanwhile is of no use to anybody, and the queue never has more than a few events
// of a port, however long nobody takes them. An event without a server is passed over.
func add(c *engine.Call, e Event) error {
	if e.Server == "" {
		return nil
	}
	if _, err := c.Tx.Exec("DELETE FROM nova_events WHERE tag = ? AND name = ? AND server_uuid = ?", e.Tag, e.Name, e.Server); err != nil {
		return fmt.Errorf("note %s of port %s: %w", e.Name, e.Tag, err)
	}
	// Positions may come again when the queue was empty; ids do not, and by them events are removed.
	var last int64
	if _, err := c.Tx.One([]any{&last}, "SELECT COALESCE(MAX(position), 0) FROM nova_events"); err != nil {
		return fmt.Errorf("note %s of port %s: %w", e.Name, e.Tag, err)
	}
	_, err := c.Tx.Exec("INSERT INTO nova_events (id, position, name, server_uuid, tag, status, request, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		uuid.NewString(), last+1, e.Name, e.Server, e.Tag, e.Status, cmp.Or(e.Request, store.RequestOf(c)), c.Now().Format(time.RFC3339))
	if err != nil {
		return fmt.Errorf("note %s of port %s: %w", e.Name, e.Tag, err)
	}
	return nil
}

// drop takes events of a port back.
func drop(c *engine.Call, name, tag string) error {
	_, err := c.Tx.Exec("DELETE FROM nova_events WHERE tag = ? AND name = ?", tag, name)
	return err
}

// Waiting reads the events that have not been sent, the oldest first, no more than limit, and how many there are.
func (s *Service) Waiting(c *engine.Call, limit int) (list []Event, all int, err error) {
	err = c.Tx.Each(func(rows *sql.Rows) error {
		var e Event
		var created string
		if err := rows.Scan(&e.ID, &e.Name, &e.Server, &e.Tag, &e.Status, &e.Request, &created); err != nil {
			return err
		}
		e.Created, _ = time.Parse(time.RFC3339, created)
		list = append(list, e)
		return nil
	}, "SELECT id, name, server_uuid, tag, status, request, created_at FROM nova_events ORDER BY position LIMIT ?", limit)
	if err != nil || len(list) < limit {
		return list, len(list), err
	}
	all, err = c.Tx.Count("SELECT COUNT(*) FROM nova_events")
	return list, all, err
}

// Sent removes events.
func (s *Service) Sent(c *engine.Call, ids []string) error {
	in := store.In("id", ids)
	_, err := c.Tx.Exec("DELETE FROM nova_events"+in.Clause(), in.Args...)
	return err
}
