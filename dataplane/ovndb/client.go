package ovndb

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"neutrino/dataplane/jsonrpc"
)

// Options say which database is followed.
type Options struct {
	Endpoints []string    // tcp:HOST:PORT, ssl:HOST:PORT or unix:PATH: the servers of a cluster
	TLS       *tls.Config // for ssl
	Database  string
	// Tables are watched, with those columns, or with none named all. Columns and tables that the server's
	// schema does not have are passed over.
	Tables map[string][]string
	// AnyServer lets a cluster's follower do: what is read may then be a moment old.
	AnyServer bool
	// Lock names a lock of the server. Only who has it may transact.
	Lock string
	Log  *slog.Logger

	// Changed is told what has changed in the copy, while nobody reads it. After a lost connection it is told
	// the difference only. It must not call the client.
	Changed func(*View, []Change)
	// State is told when the client becomes ready or is so no longer. It must not call the client.
	State func(ready bool)
}

// Client keeps a copy of a database. Make it by New, let it Run.
type Client struct {
	o Options

	mu    sync.Mutex
	conn  *jsonrpc.Conn
	copy  *copied
	last  string // id of the last transaction that is in the copy
	owns  bool   // the lock
	ready bool   // as State was told
	news  chan struct{}
	err   error // why there is no connection
}

// ErrNotReady is the error for transactions while there is no connection, or another client has the lock.
var ErrNotReady = errors.New("the database can't be written now")

// Refusal is the error for a transaction that is against the rules of the database: made again, it is refused again.
type Refusal struct {
	Operation int // place of the operation that can't be; -1: that is not known, or it is all of them together
	Reason    string
}

func (r *Refusal) Error() string { return r.Reason }

// refusals are the errors (RFC 7047, 3.1 and 5.2) by which a server says that.
var refusals = []string{
	"constraint violation", "domain error", "duplicate uuid-name", "range error", "referential integrity violation", "syntax error", "unknown column", "unknown table",
}

// New makes a client.
func New(o Options) *Client {
	if o.Changed == nil {
		o.Changed = func(*View, []Change) {}
	}
	if o.State == nil {
		o.State = func(bool) {}
	}
	return &Client{o: o, news: make(chan struct{}), err: errors.New("not connected yet")}
}

const (
	zeroID   = "00000000-0000-0000-0000-000000000000"
	monitor  = "neutrino"
	servers  = "neutrino-server"
	minPause = 50 * time.Millisecond
	maxPause = 2 * time.Second
)

// Run keeps a connection until the context ends.
func (c *Client) Run(ctx context.Context) error {
	pause := minPause
	for i := 0; ; i++ {
		endpoint := c.o.Endpoints[i%len(c.o.Endpoints)]
		began := time.Now()
		err := c.serve(ctx, endpoint)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.mu.Lock()
		c.conn, c.owns, c.err = nil, false, err
		c.tell()
		c.mu.Unlock()
		level := slog.LevelWarn
		if errors.Is(err, errNotLeader) {
			level = slog.LevelDebug
		}
		c.o.Log.Log(ctx, level, "no connection to the database", "database", c.o.Database, "server", endpoint, "error", err)
		if time.Since(began) > 10*time.Second {
			pause = minPause
		}
		if (i+1)%len(c.o.Endpoints) != 0 && time.Since(began) < jsonrpc.DialTimeout {
			continue // the cluster's others first
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

var errNotLeader = errors.New("the server does not lead its cluster")

// serve follows one server until the connection ends.
func (c *Client) serve(ctx context.Context, endpoint string) error {
	nc, err := jsonrpc.Dial(ctx, endpoint, c.o.TLS, c.note)
	if err != nil {
		return err
	}
	defer nc.End(errors.New("closed"))
	stop := context.AfterFunc(ctx, func() { nc.End(ctx.Err()) })
	defer stop()
	start, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := c.checkServer(start, nc); err != nil {
		return err
	}
	text, err := nc.Call(start, nil, "get_schema", c.o.Database)
	if err != nil {
		return err
	}
	schema, err := ParseSchema(text)
	if err != nil {
		return err
	}
	asked := map[string]any{}
	var tables []string
	for table, columns := range c.o.Tables {
		t, known := schema.Tables[table]
		if !known {
			continue
		}
		tables = append(tables, table)
		if columns == nil {
			columns = slices.Sorted(maps.Keys(t.Columns))
		}
		columns = slices.DeleteFunc(slices.Clone(columns), func(name string) bool { _, known := t.Columns[name]; return !known })
		asked[table] = []any{map[string]any{"columns": columns}}
	}
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	if last == "" {
		last = zeroID
	}
	first := func(b json.RawMessage) error { return c.first(b, schema, tables, nc) }
	if _, err := nc.Call(start, first, "monitor_cond_since", c.o.Database, monitor, asked, last); err != nil {
		return fmt.Errorf("watch the database: %w", err)
	}
	if c.o.Lock != "" {
		got := func(b json.RawMessage) error {
			var in struct {
				Locked bool `json:"locked"`
			}
			err := json.Unmarshal(b, &in)
			c.own(in.Locked)
			return err
		}
		if _, err := nc.Call(start, got, "lock", c.o.Lock); err != nil {
			return fmt.Errorf("ask for the lock: %w", err)
		}
	}
	<-nc.Done()
	return nc.Err()
}

// checkServer sees whether the server is one that we may follow, and has it tell when it is so no longer.
func (c *Client) checkServer(ctx context.Context, nc *jsonrpc.Conn) error {
	asked := map[string]any{"Database": []any{map[string]any{"columns": []string{"name", "model", "connected", "leader"}}}}
	result, err := nc.Call(ctx, nil, "monitor", "_Server", servers, asked)
	if err != nil {
		return fmt.Errorf("ask about the server: %w", err)
	}
	return c.judge(result)
}

// judge reads what a server says of its databases (ovsdb-server(7), 1.1).
func (c *Client) judge(b json.RawMessage) error {
	var in map[string]map[string]struct {
		New *struct {
			Name      string `json:"name"`
			Model     string `json:"model"`
			Connected bool   `json:"connected"`
			Leader    bool   `json:"leader"`
		} `json:"new"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("what the server says of itself makes no sense: %w", err)
	}
	for _, row := range in["Database"] {
		if row.New == nil || row.New.Name != c.o.Database || row.New.Model != "clustered" {
			continue
		}
		if !row.New.Connected {
			return errors.New("the server has lost its cluster")
		}
		if !row.New.Leader && !c.o.AnyServer {
			return errNotLeader
		}
	}
	return nil
}

// first takes over the first state of a connection: all rows, or what has changed since the connection before.
func (c *Client) first(b json.RawMessage, schema *Schema, tables []string, nc *jsonrpc.Conn) error {
	var parts []json.RawMessage
	var found bool
	var last string
	if err := json.Unmarshal(b, &parts); err != nil || len(parts) != 3 {
		return errors.New("the server's first state makes no sense")
	}
	if err := errors.Join(json.Unmarshal(parts[0], &found), json.Unmarshal(parts[1], &last)); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var changes []Change
	var err error
	if found && c.copy != nil && c.copy.schema.Version == schema.Version {
		changes, err = c.copy.apply(parts[2])
	} else {
		fresh := newCopied(schema, tables)
		if _, err = fresh.apply(parts[2]); err == nil {
			if c.copy == nil {
				c.copy = newCopied(schema, tables)
			}
			changes = c.copy.replace(fresh)
		}
	}
	if err != nil {
		c.last = ""
		return err
	}
	c.last, c.conn, c.err = last, nc, nil
	c.o.Changed(&View{c.copy}, changes)
	c.tell()
	return nil
}

// own notes whether we have the lock.
func (c *Client) own(has bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owns = has
	c.tell()
}

// tell tells State, and whoever waits, what has changed.
func (c *Client) tell() {
	ready := c.conn != nil && (c.owns || c.o.Lock == "")
	if ready != c.ready {
		c.ready = ready
		c.o.State(ready)
	}
	close(c.news)
	c.news = make(chan struct{})
}

// note takes what the server says by itself.
func (c *Client) note(method string, params []json.RawMessage) error {
	switch {
	case method == "update3" && len(params) == 3:
		var last string
		if err := json.Unmarshal(params[1], &last); err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.copy == nil {
			return errors.New("an update before the first state")
		}
		changes, err := c.copy.apply(params[2])
		if err != nil {
			c.last = "" // read everything anew
			return err
		}
		c.last = last
		c.o.Changed(&View{c.copy}, changes)
		c.tell()
	case method == "update" && len(params) == 2:
		return c.judge(params[1])
	case method == "locked":
		c.own(true)
	case method == "stolen":
		c.own(false)
	case method == "monitor_canceled":
		return errors.New("the server does not let us watch any more")
	}
	return nil
}

// View reads the copy; row maps must not be kept or changed. It gives why there is nothing to read while no server
// was ever reached; afterwards the copy may be old while the connection is lost.
func (c *Client) View(read func(db *View)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.copy == nil {
		return c.err
	}
	read(&View{c.copy})
	return nil
}

// View is the copy while it is read.
type View struct{ c *copied }

// Schema is the form of the database.
func (v *View) Schema() *Schema { return v.c.schema }

// Table gives the rows of a table by UUID.
func (v *View) Table(name string) map[string]*Row { return v.c.tables[name] }

// Row gives a row; nil when there is none.
func (v *View) Row(table, id string) *Row { return v.c.tables[table][id] }

// Ready says whether transactions can be made; if not, why.
func (c *Client) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.conn == nil:
		return fmt.Errorf("%w: %w", ErrNotReady, c.err)
	case c.o.Lock != "" && !c.owns:
		return fmt.Errorf("%w: another server writes", ErrNotReady)
	}
	return nil
}

// Transact has operations done, all or none, and returns when the copy has what was inserted. Whether they were
// done is not known when the connection is lost; the copy will show it. A *Refusal says that they can't be done.
func (c *Client) Transact(ctx context.Context, ops []Operation) error {
	if err := c.Ready(); err != nil {
		return err
	}
	params := []any{c.o.Database}
	asserts := 0
	if c.o.Lock != "" {
		ops, asserts = append([]Operation{assertLock(c.o.Lock)}, ops...), 1
	}
	for i, op := range ops {
		if op.err != nil {
			return &Refusal{i - asserts, op.err.Error()}
		}
		params = append(params, op.body)
	}
	c.mu.Lock()
	nc := c.conn
	c.mu.Unlock()
	if nc == nil {
		return ErrNotReady
	}
	result, err := nc.Call(ctx, nil, "transact", params...)
	if err != nil {
		return err
	}
	var results []*struct {
		UUID    []string `json:"uuid"`
		Error   string   `json:"error"`
		Details string   `json:"details"`
	}
	if err := json.Unmarshal(result, &results); err != nil {
		return fmt.Errorf("the answer makes no sense: %w", err)
	}
	for i, r := range results {
		if r == nil || r.Error == "" {
			continue
		}
		reason, at := r.Error+": "+r.Details, -1
		if i < len(ops) {
			reason, at = fmt.Sprintf("%s (in %v of %v)", reason, ops[i].body["op"], ops[i].body["table"]), i-asserts
		}
		if slices.Contains(refusals, r.Error) {
			return &Refusal{at, reason}
		}
		return errors.New(reason)
	}
	for i, r := range results {
		if i < len(ops) && ops[i].body["op"] == "insert" && r != nil && len(r.UUID) == 2 {
			if err := c.await(ctx, nc, ops[i].body["table"].(string), r.UUID[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Ping asks the server whether it lives.
func (c *Client) Ping(ctx context.Context) error {
	c.mu.Lock()
	nc := c.conn
	c.mu.Unlock()
	if nc == nil {
		return ErrNotReady
	}
	_, err := nc.Call(ctx, nil, "echo")
	return err
}

// await waits until a row of a watched table is in the copy. Rows that nothing refers to never come; they are not
// waited for long.
func (c *Client) await(ctx context.Context, nc *jsonrpc.Conn, table, id string) error {
	limit := time.After(time.Second)
	for {
		c.mu.Lock()
		_, watched := c.copy.tables[table]
		there, news := c.copy.tables[table][id] != nil, c.news
		c.mu.Unlock()
		if there || !watched {
			return nil
		}
		select {
		case <-news:
		case <-limit:
			return nil
		case <-nc.Done():
			return nc.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
