// Package probe has a host try what it serves: whether DHCP and metadata answer on each of its networks, and whether
// packets of the size of a tunnel's reach each of the hosts that it shares networks with. It changes nothing, and sends
// nothing that an instance could see.
package probe

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"neutrino/address"
	"neutrino/agent"
	"neutrino/agent/dhcp"
	"neutrino/dataplane/ovsdb"
	"neutrino/desired"
)

const (
	every    = 30 * time.Second // between two rounds
	first    = 5 * time.Second  // from the first complete state to the first round
	patience = 2 * time.Second  // with one answer
	parallel = 8                // probes of services at once
)

// The subjects of probes.
const (
	DHCP     = "dhcp"
	Metadata = "metadata"
	Tunnel   = "tunnel"
)

// Result is what became of one probe.
type Result struct {
	Probe  string        `json:"probe"`
	Target string        `json:"target"` // network of DHCP and metadata, "router ID" of a router's metadata, host of a tunnel
	OK     bool          `json:"ok"`
	Reason string        `json:"reason,omitempty"` // why not
	Took   time.Duration `json:"took"`
	Since  time.Time     `json:"since"` // it has been so, in every round
}

// Options of the manager.
type Options struct {
	Host     string
	TunnelIP netip.Addr // zero: no tunnels
	RunDir   string     // where Open vSwitch has its sockets
	Roles    []string   // what the host serves

	Networks  dhcp.Metadata // which networks' own namespaces answer for metadata
	NoRouters bool          // routers do not
}

// Manager implements agent.Manager. Make one with New.
type Manager struct {
	options Options
	log     *slog.Logger
	switchd *ovsdb.Client

	round   sync.Mutex // one at a time
	mu      sync.Mutex
	targets targets
	results map[key]Result

	began  chan struct{} // the first complete state has come
	start  sync.Once
	cancel context.CancelFunc
	done   chan struct{}
}

type key struct{ probe, target string }

// targets are what is probed.
type targets struct {
	dhcp     []server
	metadata []place
	peers    []peer
	size     int // bytes of the largest tunnel packet, with its outer IP header; 0: there are no tunnels
}

// server is the DHCP service of a network.
type server struct {
	network   string
	port      string // id of the DHCP port
	namespace string
	device    string
	mac       address.MAC
	own       netip.Addr
}

// place is where metadata is served.
type place struct{ target, namespace string }

// peer is another host that tunnels end on.
type peer struct {
	host string
	ip   netip.Addr
}

var _ agent.Manager = (*Manager)(nil)

// New makes a manager, which begins when it has a complete state.
func New(o Options, log *slog.Logger) *Manager {
	ctx, cancel := context.WithCancel(context.Background())
	m := &Manager{options: o, log: log, switchd: ovsdb.New("unix:" + o.RunDir + "/db.sock"), results: map[key]Result{}, began: make(chan struct{}), cancel: cancel, done: make(chan struct{})}
	go m.run(ctx)
	return m
}

// Name implements agent.Manager.
func (m *Manager) Name() string { return "probe" }

// Wake implements agent.Manager: there is nothing to apply but what the state says.
func (m *Manager) Wake() <-chan struct{} { return nil }

// Close ends the probes.
func (m *Manager) Close() {
	m.cancel()
	<-m.done
	m.switchd.Close()
}

// Apply implements agent.Manager: it notes what there is to probe.
func (m *Manager) Apply(_ context.Context, state *desired.State, _ agent.Change) ([]desired.Report, error) {
	now := m.options.targets(state)
	m.mu.Lock()
	m.targets = now
	m.mu.Unlock()
	m.start.Do(func() { close(m.began) })
	return nil, nil
}

func (m *Manager) run(ctx context.Context) {
	defer close(m.done)
	select {
	case <-ctx.Done():
		return
	case <-m.began:
	}
	for wait := first; ; wait = every {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		m.Round(ctx)
	}
}

// Round probes everything once. When the context ends before it does, the results are those of the round before.
func (m *Manager) Round(ctx context.Context) {
	m.round.Lock()
	defer m.round.Unlock()
	m.mu.Lock()
	t := m.targets
	m.mu.Unlock()
	var mu sync.Mutex
	found := map[key]Result{}
	note := func(probe, target string, took time.Duration, err error) {
		r := Result{Probe: probe, Target: target, OK: err == nil, Took: took}
		if err != nil {
			r.Reason = err.Error()
		}
		mu.Lock()
		found[key{probe, target}] = r
		mu.Unlock()
	}
	var group errgroup.Group
	group.SetLimit(parallel)
	group.Go(func() error {
		for host, err := range reach(ctx, m.options.TunnelIP, t.peers, t.size) {
			note(Tunnel, host, 0, err)
		}
		return nil
	})
	var through *way
	var noWay error
	if len(t.dhcp) > 0 {
		if through, noWay = m.openWay(ctx); noWay == nil {
			defer through.close()
		}
	}
	for _, s := range t.dhcp {
		group.Go(func() error {
			began, err := time.Now(), noWay
			if err == nil {
				err = through.discover(ctx, s)
			}
			note(DHCP, s.network, time.Since(began), err)
			return nil
		})
	}
	for _, p := range t.metadata {
		group.Go(func() error {
			began := time.Now()
			err := ask(ctx, p)
			note(Metadata, p.target, time.Since(began), err)
			return nil
		})
	}
	_ = group.Wait() // each has noted how it went
	if ctx.Err() == nil {
		m.keep(found)
	}
}

// keep takes a round's results over, and logs what is another than before.
func (m *Manager) keep(found map[key]Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for k, r := range found {
		before, known := m.results[k]
		r.Since = now
		if known && before.OK == r.OK {
			r.Since = before.Since
		}
		switch {
		case !r.OK && (!known || before.OK):
			m.log.Warn("probe failed", "probe", r.Probe, "target", r.Target, "reason", r.Reason)
		case r.OK && known && !before.OK:
			m.log.Info("probe succeeds again", "probe", r.Probe, "target", r.Target, "failed_for", now.Sub(before.Since).String())
		}
		found[k] = r
	}
	m.results = found
}

// Results are those of the last round, failures first.
func (m *Manager) Results() []Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Result, 0, len(m.results))
	for _, r := range m.results {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Result) int {
		if a.OK != b.OK {
			if a.OK {
				return 1
			}
			return -1
		}
		return cmp.Or(strings.Compare(a.Probe, b.Probe), strings.Compare(a.Target, b.Target))
	})
	return out
}

// maxTold bounds what a report tells of failures.
const maxTold = 10

// Summary is what the host's agent report tells of some probes: how many succeed, and the failures with their reasons.
func (m *Manager) Summary(probe string) map[string]any {
	succeed, failing := 0, []string{}
	for _, r := range m.Results() {
		switch {
		case r.Probe != probe:
		case r.OK:
			succeed++
		case len(failing) < maxTold:
			failing = append(failing, r.Target+": "+r.Reason)
		}
	}
	return map[string]any{"succeeding": succeed, "failing": failing}
}
