package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"neutrino/agent"
	"neutrino/agent/probe"
	"neutrino/agent/stray"
	"neutrino/desired"
)

// probeTime is how long a check waits for fresh results of the host's probes; on a host where many fail it goes by the
// last ones.
const probeTime = 20 * time.Second

// lookTime is how long the managers may take to look at everything.
const lookTime = time.Minute

// Handler serves what an agent knows to the host's own tools, over the socket in its state directory:
//
//	GET /host            what is wanted, what is there, what differs (Host)
//	GET /desired         the items that the server wants here ([]desired.Message)
//	GET /actual          what was found on the machine (Facts)
//	GET /diff            the objects that are not as they should be ([]Object)
//	GET /check?network=  what is broken, and how it is mended ([]Finding)
//	GET /strays          strays with their age ([]stray.Seen); they are looked for anew
//	POST /strays/remove  ends their time of grace; answers with what is left
//	GET /metrics         for Prometheus
func Handler(layout func() Layout, secret string, a *agent.Agent, strays *stray.List, probes *probe.Manager) http.Handler {
	known := func() Known { return FromAgent(layout(), secret, a, strays, probes) }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /host", func(w http.ResponseWriter, r *http.Request) { answer(w, known().Host(r.Context())) })
	mux.HandleFunc("GET /actual", func(w http.ResponseWriter, r *http.Request) {
		k := known()
		answer(w, Look(r.Context(), k.Layout, k.State))
	})
	mux.HandleFunc("GET /check", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), probeTime)
		probes.Round(ctx)
		cancel()
		answer(w, known().Check(r.Context(), r.URL.Query().Get("network")))
	})
	mux.HandleFunc("GET /desired", func(w http.ResponseWriter, _ *http.Request) {
		messages := []desired.Message{}
		items, _, _ := a.Desired()
		for _, item := range items {
			messages = append(messages, desired.Message{Type: desired.Put, Item: item})
		}
		answer(w, messages)
	})
	mux.HandleFunc("GET /diff", func(w http.ResponseWriter, r *http.Request) {
		different := []Object{}
		for _, o := range known().Host(r.Context()).Objects {
			if len(o.Differs) > 0 {
				different = append(different, o)
			}
		}
		answer(w, different)
	})
	look := func(w http.ResponseWriter, r *http.Request) bool {
		ctx, cancel := context.WithTimeout(r.Context(), lookTime)
		defer cancel()
		if err := a.Look(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return false
		}
		return true
	}
	mux.HandleFunc("GET /strays", func(w http.ResponseWriter, r *http.Request) {
		if look(w, r) {
			answer(w, strays.All())
		}
	})
	mux.HandleFunc("POST /strays/remove", func(w http.ResponseWriter, r *http.Request) {
		if !look(w, r) { // so that all are known
			return
		}
		strays.Expire()
		if look(w, r) {
			answer(w, strays.All())
		}
	})
	mux.Handle("GET /metrics", a.Metrics())
	return mux
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who asked may be gone
}

// Client asks a running agent.
type Client struct{ web *http.Client }

// Dial finds the agent that has the state directory. The error is that of the connection when none runs.
func Dial(ctx context.Context, stateDir string) (*Client, error) {
	path := filepath.Join(stateDir, agent.Socket)
	dial := func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	c, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	_ = c.Close()
	return &Client{&http.Client{Timeout: 3 * lookTime, Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}}}, nil
}

// Host asks for the comparison of the whole host.
func (c *Client) Host(ctx context.Context) (h Host, err error) {
	err = c.ask(ctx, http.MethodGet, "/host", &h)
	return h, err
}

// Check asks what is broken; network "" is all.
func (c *Client) Check(ctx context.Context, network string) (found []Finding, err error) {
	err = c.ask(ctx, http.MethodGet, "/check?"+url.Values{"network": {network}}.Encode(), &found)
	return found, err
}

// Strays has strays looked for, or with remove removed, and lists them.
func (c *Client) Strays(ctx context.Context, remove bool) (list []stray.Seen, err error) {
	if remove {
		err = c.ask(ctx, http.MethodPost, "/strays/remove", &list)
		return list, err
	}
	err = c.ask(ctx, http.MethodGet, "/strays", &list)
	return list, err
}

func (c *Client) ask(ctx context.Context, method, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, nil)
	if err != nil {
		return err
	}
	resp, err := c.web.Do(req)
	if err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("the agent answers %s: %s", resp.Status, text)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("read the agent's answer: %w", err)
	}
	return nil
}
