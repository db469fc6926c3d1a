package jsonrpc

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// peer is the other end of a connection, a server whose words the test chooses.
type peer struct {
	t  *testing.T
	nc net.Conn
	in *json.Decoder
}

// meet connects to a peer; notes collects the methods of what it says by itself.
func meet(t *testing.T, note Note) (*Conn, *peer) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := Dial(t.Context(), "unix:"+path, nil, note)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.End(errors.New("the test is over"))
		_ = nc.Close()
	})
	return c, &peer{t: t, nc: nc, in: json.NewDecoder(nc)}
}

// hears is the next message from us.
func (p *peer) hears() (m message) {
	p.t.Helper()
	if err := p.in.Decode(&m); err != nil {
		p.t.Fatal(err)
	}
	return m
}

func (p *peer) says(text string) {
	p.t.Helper()
	if _, err := p.nc.Write([]byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// What is in a result comes before what the server says after it, and what it says before before.
func TestOrder(t *testing.T) {
	var mu sync.Mutex
	var order []string
	add := func(what string) error {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, what)
		return nil
	}
	c, p := meet(t, func(method string, _ []json.RawMessage) error { return add(method) })
	go func() {
		if m := p.hears(); m.Method != "monitor" || string(m.ID) != "1" || len(m.Params) != 1 {
			t.Errorf("%+v", m)
		}
		p.says(`{"id": null, "method": "before", "params": []} {"id": 7, "result": 0} {"id": 1, "result": {"all": 1}, "error": null}` +
			`{"id": null, "method": "after", "params": []} {"id": "x", "method": "echo", "params": ["are", "you"]}`)
	}()
	result, err := c.Call(t.Context(), func(json.RawMessage) error { return add("result") }, "monitor", "db")
	if err != nil || string(result) != `{"all": 1}` {
		t.Fatal(string(result), err)
	}
	if m := p.hears(); string(m.ID) != `"x"` || string(m.Result) != `["are","you"]` { // it is answered after what came before
		t.Errorf("%+v", m)
	}
	if want := []string{"before", "result", "after"}; !slices.Equal(order, want) {
		t.Errorf("%v", order)
	}
}

// A refusal leaves the connection as it is; what can't be used, or waited for, ends it for all who wait.
func TestEnds(t *testing.T) {
	bad := errors.New("no use")
	for name, end := range map[string]func(c *Conn, p *peer) error{
		"note":   func(_ *Conn, p *peer) error { p.says(`{"method": "bad", "params": []}`); return bad },
		"result": func(_ *Conn, p *peer) error { p.says(`{"id": 2, "result": 5}`); return bad },
		"noise":  func(_ *Conn, p *peer) error { p.says(`]`); return nil },
		"gone":   func(_ *Conn, p *peer) error { _ = p.nc.Close(); return nil },
		"ended":  func(c *Conn, _ *peer) error { c.End(bad); return bad },
	} {
		t.Run(name, func(t *testing.T) {
			c, p := meet(t, func(string, []json.RawMessage) error { return bad })
			go func() { p.hears(); p.says(`{"id": 1, "result": null, "error": "no such thing"}`) }()
			if _, err := c.Call(t.Context(), nil, "get_schema", "db"); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "no such thing") {
				t.Fatal(err)
			}
			if c.Err() != nil {
				t.Fatal(c.Err())
			}
			why := make(chan error, 1)
			go func() { p.hears(); why <- end(c, p) }()
			_, err := c.Call(t.Context(), func(json.RawMessage) error { return bad }, "transact", "db")
			if want := <-why; err == nil || want != nil && !errors.Is(err, want) {
				t.Errorf("the call ends with %v", err)
			}
			<-c.Done()
			if c.Err() == nil {
				t.Error("it has ended and does not say why")
			}
			if _, err := c.Call(t.Context(), nil, "echo"); err == nil {
				t.Error("a call on what has ended is answered")
			}
		})
	}
	c, p := meet(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { p.hears(); cancel() }()
	if _, err := c.Call(ctx, nil, "transact", "db"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-c.Done()
}

func TestEndpoints(t *testing.T) {
	for _, bad := range []string{"", "unix", "unix:/nowhere/at/all", "udp:127.0.0.1:1", "tcp:127.0.0.1:none"} {
		if c, err := Dial(t.Context(), bad, nil, nil); err == nil {
			c.End(errors.New("not wanted"))
			t.Errorf("%q is connected", bad)
		}
	}
}

// Whatever the server says, the reader neither panics nor answers what was not asked.
func FuzzHandle(f *testing.F) {
	f.Add(`{"id": 1, "result": [], "error": null}`)
	f.Add(`{"id": null, "method": "update", "params": ["neutrino", {}]}`)
	f.Add(`{"id": "x", "method": "stolen", "params": []}`)
	f.Add(`{"id": 7, "result": null, "error": "no"}`)
	f.Fuzz(func(t *testing.T, text string) {
		var m message
		if json.Unmarshal([]byte(text), &m) != nil || m.Method == "echo" { // an echo is answered over the socket
			return
		}
		out := make(chan answer, 1)
		c := &Conn{note: func(string, []json.RawMessage) error { return nil }, waiting: map[int]waiting{1: {out: out}}}
		_ = c.handle(m)
		var id any
		if err := json.Unmarshal(m.ID, &id); len(out) == 1 && (err != nil || m.Method != "" || id != 1.0) {
			t.Errorf("request 1 was answered by %s", text)
		}
	})
}
