// Package jsonrpc speaks JSON-RPC as OVSDB servers do (RFC 7047, 4): one connection, requests and notes in both directions.
package jsonrpc

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is one connection. It does not come back by itself. It is safe for concurrent use.
type Conn struct {
	nc   net.Conn
	note Note
	done chan struct{} // closed at the end

	reason  atomic.Pointer[error] // of the end, from when it begins
	mu      sync.Mutex
	next    int
	waiting map[int]waiting
	err     error
	heard   time.Time
	busy    int // transactions that were asked for and not answered
}

// Note takes what the server says by itself, in the order in which it does. An error ends the connection.
type Note func(method string, params []json.RawMessage) error

// waiting is a request without its answer.
type waiting struct {
	took func(result json.RawMessage) error
	out  chan answer
}

type answer struct {
	result json.RawMessage
	err    error
}

type message struct {
	ID     json.RawMessage   `json:"id"`
	Method string            `json:"method,omitempty"`
	Params []json.RawMessage `json:"params,omitempty"`
	Result json.RawMessage   `json:"result,omitempty"`
	Error  json.RawMessage   `json:"error,omitempty"`
}

// DialTimeout is how long Dial tries.
const DialTimeout = 5 * time.Second

const (
	// probe is how long a server may be silent before it is asked whether it lives; three times that, and it is given up.
	probe = 5 * time.Second
	// patience is how long a server may be silent while it has a transaction of ours to do: a large one keeps it from
	// all else.
	patience = 2 * time.Minute
)

// ErrRefused is an answer that is an error: the connection is good.
var ErrRefused = errors.New("the database server answers")

// Dial connects to tcp:HOST:PORT, ssl:HOST:PORT or unix:PATH. secure is for ssl only.
func Dial(ctx context.Context, endpoint string, secure *tls.Config, note Note) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, DialTimeout)
	defer cancel()
	kind, addr, _ := strings.Cut(endpoint, ":")
	var d net.Dialer
	var nc net.Conn
	var err error
	switch kind {
	case "unix", "tcp":
		nc, err = d.DialContext(ctx, kind, addr)
	case "ssl":
		nc, err = (&tls.Dialer{Config: secure}).DialContext(ctx, "tcp", addr)
	default:
		err = errors.New("give tcp:HOST:PORT, ssl:HOST:PORT or unix:PATH")
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", endpoint, err)
	}
	c := &Conn{nc: nc, note: note, done: make(chan struct{}), waiting: map[int]waiting{}, heard: time.Now()}
	go c.read()
	go c.watch()
	return c, nil
}

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is why the connection has ended; nil while it has not.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Call makes a request and waits for its answer. took, which may be nil, gets the result before any note that comes after
// it. When the context ends first the connection ends too, for what the server did is not known.
func (c *Conn) Call(ctx context.Context, took func(json.RawMessage) error, method string, params ...any) (json.RawMessage, error) {
	if params == nil {
		params = []any{} // null is no list, and ends the connection
	}
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil, c.err
	}
	c.next++
	id := c.next
	out := make(chan answer, 1)
	c.waiting[id] = waiting{took, out}
	if method == "transact" {
		c.busy++
		defer func() { c.mu.Lock(); c.busy--; c.mu.Unlock() }()
	}
	c.mu.Unlock()
	if err := c.send(map[string]any{"id": id, "method": method, "params": params}); err != nil {
		return nil, err
	}
	select {
	case a := <-out:
		return a.result, a.err
	case <-ctx.Done():
		c.End(ctx.Err())
		return nil, ctx.Err()
	}
}

func (c *Conn) send(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.mu.Lock()
	if err = c.nc.SetWriteDeadline(time.Now().Add(patience)); err == nil {
		_, err = c.nc.Write(b)
	}
	c.mu.Unlock()
	if err != nil {
		c.End(err)
	}
	return err
}

func (c *Conn) read() {
	d := json.NewDecoder(c.nc)
	for {
		var m message
		err := d.Decode(&m)
		if err == nil {
			err = c.handle(m)
		}
		if err != nil {
			c.End(fmt.Errorf("connection lost: %w", err))
			return
		}
	}
}

// watch asks a silent server whether it lives.
func (c *Conn) watch() {
	tick := time.NewTicker(probe)
	defer tick.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-tick.C:
		}
		c.mu.Lock()
		silent, limit := time.Since(c.heard), 3*probe
		busy := c.busy > 0
		if busy {
			limit = patience
		}
		c.mu.Unlock()
		switch {
		case silent > limit:
			c.End(errors.New("the server is silent"))
		case silent >= probe && !busy:
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), 2*probe)
				defer cancel()
				_, _ = c.Call(ctx, nil, "echo")
			}()
		}
	}
}

// End ends the connection; the first reason counts. A writer that is stuck has the lock: the connection is closed before it
// is taken.
func (c *Conn) End(err error) {
	c.reason.CompareAndSwap(nil, &err)
	_ = c.nc.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = *c.reason.Load()
	for id, w := range c.waiting {
		w.out <- answer{err: c.err}
		delete(c.waiting, id)
	}
	close(c.done)
}

func (c *Conn) handle(m message) error {
	c.mu.Lock()
	c.heard = time.Now()
	c.mu.Unlock()
	switch m.Method {
	case "echo":
		return c.send(map[string]any{"id": m.ID, "result": m.Params, "error": nil})
	case "":
	default:
		return c.note(m.Method, m.Params)
	}
	var id int
	if json.Unmarshal(m.ID, &id) != nil {
		return nil // not the answer to anything of ours
	}
	c.mu.Lock()
	w, known := c.waiting[id]
	delete(c.waiting, id)
	c.mu.Unlock()
	if !known {
		return nil
	}
	a := answer{result: m.Result}
	var err error
	if len(m.Error) > 0 && string(m.Error) != "null" {
		a.err = fmt.Errorf("%w %s", ErrRefused, m.Error)
	} else if w.took != nil {
		if err = w.took(m.Result); err != nil {
			a.err = err
		}
	}
	w.out <- a
	return err
}
