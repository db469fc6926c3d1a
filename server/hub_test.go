package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"neutrino/agent"
	"neutrino/desired"
	"neutrino/engine"
	"neutrino/hub"
)

// eager is a manager that finds every port of its host wired, unless told otherwise.
type eager struct {
	host string
	mu   sync.Mutex
	have map[string]*desired.Port
	why  string
	wake chan struct{}
}

func (m *eager) Name() string          { return "l2" }
func (m *eager) Wake() <-chan struct{} { return m.wake }

func (m *eager) Apply(_ context.Context, state *desired.State, _ agent.Change) (out []desired.Report, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.have {
		if state.Ports[id] == nil {
			out = append(out, desired.Report{Kind: desired.KindPort, ID: id, Layer: desired.LayerL2, Gone: true})
		}
	}
	m.have = map[string]*desired.Port{}
	for id, p := range state.Ports {
		m.have[id] = p
		if p.Host == m.host {
			out = append(out, desired.Report{Kind: desired.KindPort, ID: id, Layer: desired.LayerL2, Revision: p.Revision, Up: m.why == "", Reason: m.why})
		}
	}
	return out, nil
}

func (m *eager) say(why string) {
	m.mu.Lock()
	m.why = why
	m.mu.Unlock()
	m.wake <- struct{}{}
}

func (m *eager) knows(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.have[id] != nil
}

// eventually waits for what must come.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 1000 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it never came to be that %s", what)
}

// TestRoundTheRing goes once round: a port is created, its host learns of it and reports it wired,
// and it is ACTIVE; and again after the hub has died.
func TestRoundTheRing(t *testing.T) {
	s := open(t)
	src := newSource(s)
	log := slog.New(slog.DiscardHandler)
	var mu sync.Mutex
	var handler http.Handler
	start := func() (stop func()) {
		ctx, cancel := context.WithCancel(context.Background())
		h := hub.New(journal{s.Engine.DB}, src, src, "a secret of hosts", log)
		done := make(chan struct{})
		go func() { _ = h.Run(ctx); close(done) }()
		mu.Lock()
		handler = h.Handler()
		mu.Unlock()
		return func() { cancel(); <-done }
	}
	stop := start()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := handler
		mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	defer web.Close()
	defer web.CloseClientConnections()

	ctx, cancel := context.WithCancel(context.Background())
	managers := map[string]*eager{}
	var agents sync.WaitGroup
	for _, name := range []string{"h1", "h2"} {
		m := &eager{host: name, wake: make(chan struct{}, 8)}
		managers[name] = m
		a := agent.New(agent.Options{
			Servers: []string{web.URL}, Secret: "a secret of hosts", Host: name, StateDir: t.TempDir(),
			Describe: func() []desired.AgentState {
				return []desired.AgentState{{Type: "Open vSwitch agent", Binary: "x", Started: time.Now().Format(time.RFC3339), Configurations: map[string]any{"tunnel_types": []string{"vxlan"}}}}
			},
		}, log, m)
		agents.Go(func() { _ = a.Run(ctx) })
	}
	defer agents.Wait()
	defer cancel()
	count := func() int {
		n := 0
		if err := s.Engine.View(ctx, nil, func(c *engine.Call) (err error) {
			n, err = c.Tx.Count("SELECT COUNT(*) FROM agents")
			return err
		}); err != nil {
			t.Error(err)
		}
		return n
	}
	eventually(t, "both hosts have reported", func() bool { return count() == 2 })

	n := create(t, s.Network.Networks, admin, `{"network": {}}`)["id"].(string)
	create(t, s.Network.Subnets, admin, `{"subnet": {"network_id": "`+n+`", "ip_version": 4, "cidr": "10.0.0.0/24", "enable_dhcp": false}}`)
	port := func(host string) string {
		return create(t, s.Network.Ports, admin, `{"port": {"network_id": "`+n+`", "binding:host_id": "`+host+`"}}`)["id"].(string)
	}
	status := func(id string) (string, string) {
		b, err := s.Network.Ports.Show(ctx, admin, id, engine.Query{})
		if err != nil {
			t.Fatal(err)
		}
		p := inner(t, b)
		return p["status"].(string), p["status_reason"].(string)
	}
	p1 := port("h1")
	eventually(t, "h1 knows its port", func() bool { return managers["h1"].knows(p1) })
	eventually(t, "the port is ACTIVE", func() bool { st, _ := status(p1); return st == "ACTIVE" })
	if managers["h2"].knows(p1) {
		t.Error("h2 knows a port of a network that it does not have")
	}
	p2 := port("h2")
	eventually(t, "h2 knows both ports", func() bool { return managers["h2"].knows(p1) && managers["h2"].knows(p2) })

	managers["h1"].say("the cable is out")
	eventually(t, "the port is DOWN with the host's reason", func() bool {
		st, why := status(p1)
		return st == "DOWN" && why == "host h1: the cable is out"
	})

	stop() // the hub dies, and another comes; nothing was said meanwhile
	managers["h1"].say("")
	stop = start()
	web.CloseClientConnections()
	eventually(t, "the port is ACTIVE again", func() bool { st, _ := status(p1); return st == "ACTIVE" })

	if err := s.Network.Ports.Delete(ctx, admin, p2, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "h2 has forgotten the network", func() bool { return !managers["h2"].knows(p1) && !managers["h2"].knows(p2) })
	stop()
}
