package ovsdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// conn is one JSON-RPC connection to an OVSDB server with a copy of what it monitors (RFC 7047).
type conn struct {
	nc      net.Conn
	changed func()

	mu      sync.Mutex
	next    int
	waiting map[int]chan answer
	err     error
	config  map[string]string // the switch's other_config
	root    string            // UUID of the Open_vSwitch row
	bridges map[string]*bridgeRow
	ports   map[string]*portRow
	inter   map[string]*interfaceRow
}

type answer struct {
	result json.RawMessage
	err    error
}

// message is any JSON-RPC message.
type message struct {
	ID     json.RawMessage   `json:"id"`
	Method string            `json:"method,omitempty"`
	Params []json.RawMessage `json:"params,omitempty"`
	Result json.RawMessage   `json:"result,omitempty"`
	Error  json.RawMessage   `json:"error,omitempty"`
}

const database = "Open_vSwitch"

// dial connects to unix:PATH or tcp:HOST:PORT and reads everything once.
func dial(ctx context.Context, endpoint string, changed func()) (*conn, error) {
	network, addr, ok := strings.Cut(endpoint, ":")
	if !ok || network != "unix" && network != "tcp" {
		return nil, fmt.Errorf("%q is no endpoint: give unix:PATH or tcp:HOST:PORT", endpoint)
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("connect to the switch's database: %w", err)
	}
	c := &conn{
		nc: nc, changed: changed, waiting: map[int]chan answer{},
		bridges: map[string]*bridgeRow{}, ports: map[string]*portRow{}, inter: map[string]*interfaceRow{},
	}
	go c.read()
	tables := map[string]any{}
	for table, list := range columns {
		tables[table] = map[string]any{"columns": list}
	}
	result, err := c.call(ctx, "monitor", database, "neutrino", tables)
	if err == nil {
		err = c.update(result)
	}
	if err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("watch the switch's database: %w", err)
	}
	return c, nil
}

func (c *conn) alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil
}

// call makes a request and waits for its answer.
func (c *conn) call(ctx context.Context, method string, params ...any) (json.RawMessage, error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil, c.err
	}
	c.next++
	id := c.next
	wait := make(chan answer, 1)
	c.waiting[id] = wait
	c.mu.Unlock()
	if err := c.send(map[string]any{"id": id, "method": method, "params": params}); err != nil {
		return nil, err
	}
	select {
	case a := <-wait:
		return a.result, a.err
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.waiting, id)
		c.mu.Unlock()
		return nil, ctx.Err()
	}
}

func (c *conn) send(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err = c.nc.SetWriteDeadline(time.Now().Add(timeout)); err == nil {
		_, err = c.nc.Write(b)
	}
	if err != nil {
		_ = c.nc.Close() // half a message may be out: the reader ends the connection
	}
	return err
}

// read takes messages until the connection ends.
func (c *conn) read() {
	d := json.NewDecoder(c.nc)
	for {
		var m message
		err := d.Decode(&m)
		if err == nil {
			err = c.handle(m)
		}
		if err != nil {
			c.end(fmt.Errorf("connection to the switch's database lost: %w", err))
			return
		}
	}
}

func (c *conn) end(err error) {
	_ = c.nc.Close()
	c.mu.Lock()
	c.err = err
	for id, wait := range c.waiting {
		wait <- answer{err: err}
		delete(c.waiting, id)
	}
	c.mu.Unlock()
	c.changed()
}

// handle does what one message asks for. Methods that we don't know are passed over.
func (c *conn) handle(m message) error {
	switch m.Method {
	case "echo":
		return c.send(map[string]any{"id": m.ID, "result": m.Params, "error": nil})
	case "update":
		if len(m.Params) != 2 {
			return errors.New("an update without its parameters")
		}
		if err := c.update(m.Params[1]); err != nil {
			return err
		}
		c.changed()
		return nil
	case "":
	default:
		return nil
	}
	var id int
	if err := json.Unmarshal(m.ID, &id); err != nil {
		return nil // not the answer to anything of ours
	}
	a := answer{result: m.Result}
	if len(m.Error) > 0 && string(m.Error) != "null" {
		a.err = fmt.Errorf("the switch's database answers %s", m.Error)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if wait := c.waiting[id]; wait != nil {
		wait <- a
		delete(c.waiting, id)
	}
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
	result, err := c.call(ctx, "transact", params...)
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
