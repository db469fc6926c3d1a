package ovsdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"neutrino/dataplane/jsonrpc"
)

// conn is one connection to the switch's database with a copy of what it monitors (RFC 7047, 4.1.5 and 4.1.6).
type conn struct {
	rpc     *jsonrpc.Conn
	changed func()

	mu      sync.Mutex
	config  map[string]string // the switch's other_config
	root    string            // UUID of the Open_vSwitch row
	bridges map[string]*bridgeRow
	ports   map[string]*portRow
	inter   map[string]*interfaceRow
}

const database = "Open_vSwitch"

// dial connects to an endpoint and reads everything once. changed is called at each change from then on, and at the end.
func dial(ctx context.Context, endpoint string, changed func()) (*conn, error) {
	c := &conn{changed: changed, bridges: map[string]*bridgeRow{}, ports: map[string]*portRow{}, inter: map[string]*interfaceRow{}}
	rpc, err := jsonrpc.Dial(ctx, endpoint, nil, c.note)
	if err != nil {
		return nil, fmt.Errorf("the switch's database: %w", err)
	}
	c.rpc = rpc
	tables := map[string]any{}
	for table, list := range columns {
		tables[table] = map[string]any{"columns": list}
	}
	if _, err := rpc.Call(ctx, c.update, "monitor", database, "neutrino", tables); err != nil {
		rpc.End(err)
		return nil, fmt.Errorf("watch the switch's database: %w", err)
	}
	go func() {
		<-rpc.Done()
		changed()
	}()
	return c, nil
}

func (c *conn) alive() bool { return c.rpc.Err() == nil }

// note takes what the server says by itself. Methods that we don't know are passed over.
func (c *conn) note(method string, params []json.RawMessage) error {
	if method != "update" {
		return nil
	}
	if len(params) != 2 {
		return errors.New("an update without its parameters")
	}
	if err := c.update(params[1]); err != nil {
		return err
	}
	c.changed()
	return nil
}

// update takes over changed rows: each comes whole, or is gone.
func (c *conn) update(b json.RawMessage) error {
	var tables map[string]map[string]struct {
		New raw `json:"new"`
	}
	if err := json.Unmarshal(b, &tables); err != nil {
		return fmt.Errorf("an update makes no sense: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, row := range tables["Open_vSwitch"] {
		if row.New == nil {
			continue
		}
		c.root = id
		if _, said := row.New["other_config"]; said {
			config, err := row.New.pairs("other_config")
			if err != nil {
				return err
			}
			c.config = config
		}
	}
	for id, row := range tables["Bridge"] {
		if err := take(c.bridges, id, row.New, readBridge); err != nil {
			return err
		}
	}
	for id, row := range tables["Port"] {
		if err := take(c.ports, id, row.New, readPort); err != nil {
			return err
		}
	}
	for id, row := range tables["Interface"] {
		if err := take(c.inter, id, row.New, readInterface); err != nil {
			return err
		}
	}
	return nil
}

func take[T any](rows map[string]*T, id string, row raw, read func(string, raw) (*T, error)) error {
	if row == nil {
		delete(rows, id)
		return nil
	}
	v, err := read(id, row)
	if err == nil {
		rows[id] = v
	}
	return err
}

// transact has operations done, all or none.
func (c *conn) transact(ctx context.Context, ops []operation) error {
	params := []any{database}
	for _, op := range ops {
		params = append(params, op)
	}
	result, err := c.rpc.Call(ctx, nil, "transact", params...)
	if err != nil {
		return err
	}
	var results []struct {
		Error   string `json:"error"`
		Details string `json:"details"`
	}
	if err := json.Unmarshal(result, &results); err != nil {
		return fmt.Errorf("the answer makes no sense: %w", err)
	}
	for _, r := range results {
		if r.Error != "" {
			return fmt.Errorf("%s: %s", r.Error, r.Details)
		}
	}
	return nil
}

// operation is one operation of a transaction, as JSON.
type operation map[string]any

func insert(table, name string, row map[string]any) operation {
	return operation{"op": "insert", "table": table, "uuid-name": name, "row": row}
}

func update(table, id string, row map[string]any) operation {
	return operation{"op": "update", "table": table, "where": where(id), "row": row}
}

func mutate(table, id, column, how string, value any) operation {
	return operation{"op": "mutate", "table": table, "where": where(id), "mutations": []any{[]any{column, how, value}}}
}

func where(id string) []any { return []any{[]any{"_uuid", "==", []any{"uuid", id}}} }

func named(name string) []any { return []any{"named-uuid", name} }

func pairsValue(m map[string]string) []any {
	list := make([]any, 0, len(m))
	for k, v := range m {
		list = append(list, []any{k, v})
	}
	return []any{"map", list}
}
