package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"neutrino/desired"
)

// Options say who the agent is and whom it follows.
type Options struct {
	Servers    []string // base URLs, tried in turn
	Secret     string
	Host       string
	StateDir   string                      // where the last known state is kept; "": nowhere
	Heartbeat  time.Duration               // 0: 10 s
	Beat       time.Duration               // how often the server hears that the host lives; 0: 2 s
	Leaving    func() bool                 // at the end: whether the machine is shutting down; nil: it is not
	StandDown  time.Duration               // after so long without any server routers and DHCP are given up; 0: never
	Check      time.Duration               // how often everything is checked; 0: 60 s
	Metrics    string                      // HOST:PORT where Prometheus may look at /metrics; "": nowhere
	Collectors []prometheus.Collector      // shown beside the agent's own metrics
	Describe   func() []desired.AgentState // what heartbeats say
	TLS        *tls.Config                 // for https servers; nil: the system's authorities

	// Local makes what is served to the host's own tools, on the socket agent.sock in StateDir; nil: nothing is.
	Local func(*Agent) http.Handler
}

// Agent follows a server and runs the managers.
type Agent struct {
	options  Options
	managers []Manager
	log      *slog.Logger
	client   *http.Client
	metrics  *metrics

	boxes    []*mailbox
	reports  *reports
	follower *follower
}

// New makes an agent of managers.
func New(o Options, log *slog.Logger, managers ...Manager) *Agent {
	if o.Heartbeat == 0 {
		o.Heartbeat = 10 * time.Second
	}
	if o.Beat == 0 {
		o.Beat = 2 * time.Second
	}
	if o.Check == 0 {
		o.Check = time.Minute
	}
	a := &Agent{options: o, managers: managers, log: log, client: newClient(o.TLS), metrics: newMetrics(o.Collectors), reports: newReports()}
	for range managers {
		a.boxes = append(a.boxes, newMailbox())
	}
	a.follower = newFollower(a)
	return a
}

// newClient makes a client for streams without an end: only the ways to them are timed. The watchdog
// looks after the rest.
func newClient(secure *tls.Config) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 10 * time.Second}
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext,
		TLSClientConfig: secure, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 15 * time.Second, IdleConnTimeout: time.Minute,
	}}
}

// Run works until the context ends. The host goes on as it is then.
func (a *Agent) Run(ctx context.Context) error {
	if len(a.options.Servers) == 0 {
		return errors.New("no server is given")
	}
	if a.options.Host == "" {
		return errors.New("the host has no name")
	}
	defer a.client.CloseIdleConnections()
	stop, err := a.serveMetrics()
	if err != nil {
		return err
	}
	defer stop()
	shut, err := a.serveLocal()
	if err != nil {
		return err
	}
	defer shut()
	f := a.follower
	if a.options.StateDir != "" {
		f.cache = &cache{file: filepath.Join(a.options.StateDir, "desired.json"), host: a.options.Host, boot: thisBoot(), log: a.log}
		f.restore()
	}
	var group sync.WaitGroup
	for i, m := range a.managers {
		group.Go(func() { a.manage(ctx, m, a.boxes[i]) })
	}
	group.Go(func() { a.tell(ctx) })
	group.Go(func() { f.keep(ctx) })
	group.Go(func() { f.fallBack(ctx) })
	group.Go(func() { f.standDown(ctx) })
	f.run(ctx)
	group.Wait()
	a.leave()
	return ctx.Err()
}

// Announce sends a heartbeat at once: what Describe says has changed.
func (a *Agent) Announce() { a.reports.beat() }

// deliver hands a batch of items, and the requests that made them so, to all managers; the items are shared and
// never changed.
func (a *Agent) deliver(items map[desired.Key]desired.Item, requests map[desired.Key]string) {
	for _, box := range a.boxes {
		box.put(items, requests)
	}
}
