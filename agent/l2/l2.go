// Package l2 wires ports: it recognises them on br-int by external_ids:iface-id, gives each network
// a local VLAN, and keeps the flows of br-int, br-tun and the bridges of physical networks. What
// flows there should be is computed purely (flows.go, and the firewall room); the manager compares and
// writes.
package l2

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"

	"neutrino/agent"
	"neutrino/agent/firewall"
	"neutrino/agent/stray"
	"neutrino/dataplane/openflow"
	"neutrino/dataplane/ovsdb"
	"neutrino/desired"
)

// Options say how the host's switch is laid out.
type Options struct {
	Host     string
	TunnelIP netip.Addr        // of either IP version, the same on all hosts; zero: no tunnels
	Mappings map[string]string // physical network → bridge
	Datapath string            // datapath type of the bridges that we make: system or netdev
	RunDir   string            // where the bridges' management sockets are; "" is /run/openvswitch
	Database string            // the switch's database, unix:PATH or tcp:HOST:PORT; "" is db.sock in RunDir

	TunnelTypes []string // of vxlan, geneve and gre; nil: all
	VXLANPort   int      // UDP port of VXLAN; 0: 4789
	Fragment    bool     // routers on the way may fragment tunnel packets
	Checksum    bool     // tunnel packets bear checksums of their outer headers

	Filter   Filter // sees to port security and groups before br-int, for ports that are plugged so; nil: none does
	NoFilter bool   // nobody does: ports may send and get what they like

	// Alone is called once, when br-int keeps the ports of this host to their rules by itself: what another firewall
	// driver left may go then. nil: nothing is called.
	Alone func(ctx context.Context) error

	Strays *stray.List // gives strays their time of grace; nil: none
}

// The bridges and the ports between them, by the names that operators know.
const (
	brInt    = "br-int"
	brTun    = "br-tun"
	patchTun = "patch-tun"
	patchInt = "patch-int"

	networkKey = "net_uuid" // other_config of a port: the network whose local VLAN its tag is
)

// Manager is the l2 manager.
type Manager struct {
	options Options
	switchd *ovsdb.Client
	log     *slog.Logger

	bridges map[string]*openflow.Bridge // by name
	plans   map[string]plan             // the same bridges, as the computation sees them
	missing map[string]bool             // bridges of physical networks that are not there
	broken  map[string]error            // those that are there and take no flows
	told    map[string]bool             // ports that we have reported
	vlans   map[string]uint16           // network id → local VLAN
	numbers *numbers
	meters  *meters
	facts   facts
	ready   bool                              // bridges and patches have been made
	next    atomic.Pointer[map[string]string] // mappings to take over; nil: none
	gap     *gap

	unfiltered map[string]error // ports of this host that Filter should see to, and does not
	alone      bool             // Alone has been called

	seen    map[string]map[string]bool                  // network → its ports as of the last computation
	uses    map[firewall.Use]bool                       // remote groups that rules name
	held    map[netip.Prefix]map[string]map[string]bool // address → remote group → ports that bring it
	brought map[string][]netip.Prefix                   // group/port → the addresses that it brings
}

// plan takes the flows that a bridge should have, by key.
type plan interface {
	Set(key string, flows []openflow.Flow)
	Keys() []string
}

// New makes the manager; it does nothing before Apply.
func New(o Options, log *slog.Logger) *Manager {
	if o.RunDir == "" {
		o.RunDir = "/run/openvswitch"
	}
	if o.Database == "" {
		o.Database = "unix:" + o.RunDir + "/db.sock"
	}
	o.TunnelIP = o.TunnelIP.Unmap()
	switchd := ovsdb.New(o.Database)
	return &Manager{
		options: o, switchd: switchd, log: log, gap: &gap{switchd: switchd, log: log, closing: make(chan struct{})},
		bridges: map[string]*openflow.Bridge{}, plans: map[string]plan{}, missing: map[string]bool{}, broken: map[string]error{}, told: map[string]bool{}, vlans: map[string]uint16{}, numbers: newNumbers(), meters: newMeters(),
		seen: map[string]map[string]bool{}, uses: map[firewall.Use]bool{},
		held: map[netip.Prefix]map[string]map[string]bool{}, brought: map[string][]netip.Prefix{},
	}
}

// Name implements agent.Manager.
func (m *Manager) Name() string { return "l2" }

// Wake implements agent.Manager: it fires when the switch's database changes.
func (m *Manager) Wake() <-chan struct{} { return m.switchd.Wake() }

// Close lets the switch go on by itself.
func (m *Manager) Close() {
	m.gap.close()
	for _, b := range m.bridges {
		b.Close()
	}
	m.switchd.Close()
}

// Apply implements agent.Manager.
func (m *Manager) Apply(ctx context.Context, state *desired.State, change agent.Change) ([]desired.Report, error) {
	state = m.here(state)
	remapped, err := m.remap(ctx)
	if err != nil {
		return nil, err
	}
	broken, err := m.lacksJoint(ctx)
	if err != nil {
		return nil, err
	}
	if !m.ready || remapped || change.Full || broken || m.lost() || m.lacksTunnel(state) {
		if err := m.prepare(ctx, state); err != nil {
			return nil, err
		}
		change.Full = true
	}
	now, err := m.look(ctx, state)
	if err != nil {
		return nil, err
	}
	everything := change.Full || !maps.Equal(now.patch, m.facts.patch) || !maps.Equal(now.phys, m.facts.phys)
	replugged := now.replugged(m.facts)
	m.facts = now
	m.meters.keep(now.numbers())
	differ, err := m.filter(ctx, state, change)
	if err != nil {
		return nil, err
	}
	replugged = append(replugged, differ...)
	touched := m.compute(state, change, replugged, everything)
	refused := map[string]error{}
	for _, name := range m.order() {
		if change.Full {
			m.bridges[name].Resync()
		}
		bad, err := m.bridges[name].Flush(ctx)
		if err != nil {
			return nil, fmt.Errorf("bridge %s: %w", name, err)
		}
		maps.Copy(refused, bad)
	}
	m.gap.watch(m.bridges[brInt].Lost())
	m.gap.done()
	// After the flows: a switch looks at all its ports when one of them changes, and takes no flows meanwhile.
	if err := m.tag(ctx, state); err != nil {
		return nil, err
	}
	for key, err := range refused {
		m.log.Error("flows refused", "key", key, "error", err)
	}
	if change.Full {
		if err := m.removeStrays(ctx, state); err != nil {
			return nil, err
		}
		m.standAlone(ctx)
	}
	return m.reports(state, touched, refused), nil
}

// lost says whether a bridge's connection has ended: its switch was restarted.
func (m *Manager) lost() bool {
	for _, b := range m.bridges {
		if !b.Connected() {
			return true
		}
	}
	return false
}

// order is the order in which bridges are written: those that packets reach last come first.
func (m *Manager) order() []string {
	names := slices.Sorted(maps.Keys(m.bridges))
	slices.SortStableFunc(names, func(a, b string) int {
		if a == brInt {
			return 1
		}
		if b == brInt {
			return -1
		}
		return 0
	})
	return names
}

// local gives a port that is bound here; nil when it is not.
func (m *Manager) local(state *desired.State, id string) *desired.Port {
	if p := state.Ports[id]; p != nil && p.Wired(m.options.Host) {
		return p
	}
	return nil
}
