// Package l3 keeps the routers of this host: for each a namespace with the router's ports, addresses,
// routes and nftables, and advertisements to its IPv6 networks. What there should be is computed
// purely (plan.go, rules.go); the manager compares and writes (router.go).
package l3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"neutrino/agent"
	"neutrino/agent/plug"
	"neutrino/agent/stray"
	"neutrino/dataplane/link"
	"neutrino/dataplane/ovsdb"
	"neutrino/desired"
)

const (
	parallel   = 4               // routers that are worked on at once
	retryAfter = 2 * time.Second // when a router that failed is tried again
)

// Manager implements agent.Manager. Make one with New.
type Manager struct {
	Strays *stray.List // gives strays their time of grace; nil: none

	plugger *plug.Plugger
	log     *slog.Logger
	wake    chan struct{}

	routers map[string]*router // by id
	timer   *time.Timer

	ctx    context.Context // ends with the manager: for announcements that are repeated
	cancel context.CancelFunc
	work   sync.WaitGroup
}

var _ agent.Manager = (*Manager)(nil)

// New makes a manager that plugs into the bridge; it does nothing before Apply.
func New(switchd *ovsdb.Client, bridge string, log *slog.Logger) *Manager {
	m := &Manager{
		plugger: plug.New(switchd, bridge, "l3"), log: log, wake: make(chan struct{}, 1), routers: map[string]*router{},
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// Name implements agent.Manager.
func (m *Manager) Name() string { return "l3" }

// Wake implements agent.Manager: it fires when a router that failed is worth another try.
func (m *Manager) Wake() <-chan struct{} { return m.wake }

// Close lets the routers go on by themselves, for the next start to adopt. Hosts keep what was
// advertised to them.
func (m *Manager) Close() {
	m.cancel()
	if m.timer != nil {
		m.timer.Stop()
	}
	for _, r := range m.routers {
		r.closeSenders()
	}
	m.work.Wait()
}

// Apply implements agent.Manager. A router that can't be made says so in its report, and is tried
// again; an error is returned only when the bridge or the namespaces can't be read.
func (m *Manager) Apply(ctx context.Context, state *desired.State, change agent.Change) ([]desired.Report, error) {
	ids := m.touched(state, change)
	if len(ids) == 0 && !change.Full {
		return nil, nil
	}
	view, err := m.plugger.Look(ctx)
	if err != nil {
		return nil, err
	}
	if change.Full {
		if err := m.dueStrays(ctx, view, state, ids); err != nil {
			return nil, err
		}
	}
	plugged := map[string][]plug.Plugged{} // namespace → ports
	for _, p := range m.plugger.Plugged(view) {
		plugged[p.Namespace] = append(plugged[p.Namespace], p)
	}
	var (
		mu      sync.Mutex
		reports []desired.Report
		group   errgroup.Group
	)
	group.SetLimit(parallel)
	for id := range ids {
		want, r := state.Routers[id], m.router(id)
		group.Go(func() error {
			var said []desired.Report
			if want == nil {
				said = r.remove(ctx, view, plugged[prefix+id], elsewhere(state, plugged[prefix+id]))
			} else {
				said = r.apply(ctx, view, plugged[prefix+id], want, change.Full)
			}
			mu.Lock()
			defer mu.Unlock()
			reports = append(reports, said...)
			return nil
		})
	}
	_ = group.Wait() // each router has said in its reports how it went
	m.retryLater(state)
	return reports, nil
}

// elsewhere says whether ports of a router that is none of this host's are still bound: then another host has it, under the
// same addresses.
func elsewhere(state *desired.State, plugged []plug.Plugged) bool {
	return slices.ContainsFunc(plugged, func(p plug.Plugged) bool {
		port := state.Ports[p.PortID]
		return port != nil && port.Host != ""
	})
}

// touched are the ids of the routers to look at: those that changed, those that failed, and with
// Full all that are wanted or known.
func (m *Manager) touched(state *desired.State, change agent.Change) map[string]bool {
	ids := map[string]bool{}
	for key := range change.Keys {
		if key.Kind == desired.KindRouter && (state.Routers[key.ID] != nil || m.routers[key.ID] != nil) {
			ids[key.ID] = true
		}
	}
	for id, r := range m.routers {
		if r.failed != nil || r.mute() {
			ids[id] = true
		}
	}
	if !change.Full {
		return ids
	}
	for id := range state.Routers {
		ids[id] = true
	}
	for id := range m.routers {
		ids[id] = true
	}
	return ids
}

// FindStrays implements agent.Tidier: namespaces and ports of routers that are not on this host.
func (m *Manager) FindStrays(ctx context.Context, state *desired.State) ([]stray.Thing, error) {
	view, err := m.plugger.Look(ctx)
	if err != nil {
		return nil, err
	}
	return m.strays(view, state)
}

func (m *Manager) strays(view *plug.View, state *desired.State) ([]stray.Thing, error) {
	return m.plugger.Strays(view, prefix, func(namespace string) bool {
		id := strings.TrimPrefix(namespace, prefix)
		return state.Routers[id] != nil || m.routers[id] != nil
	})
}

// dueStrays removes stray ports whose time is over, and adds to the ids those of routers whose namespaces' time is.
func (m *Manager) dueStrays(ctx context.Context, view *plug.View, state *desired.State, ids map[string]bool) error {
	found, err := m.strays(view, state)
	if err != nil {
		return err
	}
	for _, t := range m.Strays.Found(m.Name(), found) {
		if t.Kind == stray.Namespace {
			ids[strings.TrimPrefix(t.Name, prefix)] = true
			m.log.Info("stray is removed", "kind", t.Kind, "name", t.Name, "why", t.Why)
			continue
		}
		err := m.plugger.RemovePort(ctx, view, t)
		m.Strays.Removed(m.Name(), t, err)
		if err != nil {
			m.log.Error("stray is not removed", "kind", t.Kind, "name", t.Name, "error", err)
			continue
		}
		m.log.Info("stray is removed", "kind", t.Kind, "name", t.Name, "why", t.Why)
	}
	return nil
}

// router finds or begins what is remembered of a router.
func (m *Manager) router(id string) *router {
	r := m.routers[id]
	if r == nil {
		r = &router{id: id, manager: m, log: m.log.With("router", id), senders: map[string]*sender{}}
		m.routers[id] = r
	}
	return r
}

// retryLater forgets routers that are gone and asks for another Apply when some have failed.
func (m *Manager) retryLater(state *desired.State) {
	if m.timer != nil {
		m.timer.Stop()
		m.timer = nil
	}
	failed := false
	for id, r := range m.routers {
		if state.Routers[id] == nil && r.failed == nil {
			delete(m.routers, id)
		}
		failed = failed || r.failed != nil
	}
	if failed {
		m.timer = time.AfterFunc(retryAfter, m.poke)
	}
}

func (m *Manager) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// announce tells the neighbours of a device where addresses are, now and twice more.
func (m *Manager) announce(d device) { m.announceOften(d, 3, time.Second) }

// announceOften does so a number of times.
func (m *Manager) announceOften(d device, times int, every time.Duration) {
	addrs := d.announced()
	if len(addrs) == 0 {
		return
	}
	m.work.Go(func() {
		err := link.Announce(m.ctx, d.Namespace, d.Name(), d.MAC, addrs, times, every)
		if err != nil {
			m.log.Warn("addresses were not announced", "namespace", d.Namespace, "device", d.Name(), "error", err)
		}
	})
}

// isolate turns a panic, which one bad router may cause, into an error of that router.
func isolate(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.Join(err, fmt.Errorf("internal error: %v", p))
		}
	}()
	return f()
}
