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
	"strings"
	"time"

	"neutrino/agent"
	"neutrino/agent/firewall"
	"neutrino/dataplane/openflow"
	"neutrino/dataplane/ovsdb"
	"neutrino/desired"
)

// Options say how the host's switch is laid out.
type Options struct {
	Host     string
	TunnelIP netip.Addr        // IPv4; zero: no tunnels
	Mappings map[string]string // physical network → bridge
	Datapath string            // datapath type of the bridges that we make: system or netdev
	RunDir   string            // where the bridges' management sockets are; "" is /run/openvswitch
}

// The bridges and the ports between them, by the names that operators know.
const (
	brInt    = "br-int"
	brTun    = "br-tun"
	patchTun = "patch-tun"
	patchInt = "patch-int"

	networkKey = "net_uuid" // other_config of a port: the network whose local VLAN its tag is
)

// bridgeTimeout is how long the switch may take to make our bridges.
const bridgeTimeout = 5 * time.Second

// tunnelTypes are the network types that run in tunnels, with the port of br-tun that they use.
var tunnelTypes = map[string]string{"vxlan": "vxlan-sys", "geneve": "geneve-sys", "gre": "gre-sys"}

// Manager is the l2 manager.
type Manager struct {
	options Options
	switchd *ovsdb.Client
	log     *slog.Logger

	bridges map[string]*openflow.Bridge // by name
	plans   map[string]plan             // the same bridges, as the computation sees them
	missing map[string]bool             // bridges of physical networks that are not there
	told    map[string]bool             // ports that we have reported
	vlans   map[string]uint16           // network id → local VLAN
	numbers *numbers
	facts   facts
	ready   bool // bridges and patches have been made

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
	return &Manager{
		options: o, switchd: ovsdb.New("unix:" + o.RunDir + "/db.sock"), log: log,
		bridges: map[string]*openflow.Bridge{}, plans: map[string]plan{}, missing: map[string]bool{}, told: map[string]bool{}, vlans: map[string]uint16{}, numbers: newNumbers(),
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
	for _, b := range m.bridges {
		b.Close()
	}
	m.switchd.Close()
}

// facts are what the switch says of itself.
type facts struct {
	ports map[string]ovsdb.Port // port id → interface on br-int with that iface-id
	patch map[string]uint32     // name of a patch or tunnel port of br-int or br-tun → OpenFlow port
	phys  map[string]uint32     // bridge → OpenFlow port of its patch to br-int
}

// replugged lists the ports whose interface differs between f and o.
func (f facts) replugged(o facts) []string {
	var ids []string
	for id, a := range f.ports {
		if b, there := o.ports[id]; !there || a.Name != b.Name || a.OFPort != b.OFPort || a.Error != b.Error {
			ids = append(ids, id)
		}
	}
	for id := range o.ports {
		if _, there := f.ports[id]; !there {
			ids = append(ids, id)
		}
	}
	return ids
}

// Apply implements agent.Manager.
func (m *Manager) Apply(ctx context.Context, state *desired.State, change agent.Change) ([]desired.Report, error) {
	if !m.ready || change.Full || m.lost() || m.lacksTunnel(state) {
		if err := m.prepare(ctx, state); err != nil {
			return nil, err
		}
		change.Full = true
	}
	now, err := m.look(ctx)
	if err != nil {
		return nil, err
	}
	everything := change.Full || !maps.Equal(now.patch, m.facts.patch) || !maps.Equal(now.phys, m.facts.phys)
	replugged := now.replugged(m.facts)
	m.facts = now
	touched := m.compute(state, change, replugged, everything)
	if err := m.tag(ctx, state); err != nil {
		return nil, err
	}
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
	for key, err := range refused {
		m.log.Error("flows refused", "key", key, "error", err)
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

// prepare makes the bridges and the ports between them.
func (m *Manager) prepare(ctx context.Context, state *desired.State) error {
	secure := func(name string) ovsdb.Bridge {
		return ovsdb.Bridge{Name: name, DatapathType: m.options.Datapath, FailMode: "secure",
			OtherConfig: map[string]string{"disable-in-band": "true"}, ExternalIDs: map[string]string{"neutrino": "agent"}}
	}
	if err := m.switchd.EnsureBridge(ctx, secure(brInt)); err != nil {
		return err
	}
	m.keep(brInt)
	if m.options.TunnelIP.Is4() {
		if err := m.switchd.EnsureBridge(ctx, secure(brTun)); err != nil {
			return err
		}
		m.keep(brTun)
		if err := m.patch(ctx, brInt, patchTun, brTun, patchInt); err != nil {
			return err
		}
		for kind, port := range m.tunnels(state) {
			if err := m.switchd.EnsurePort(ctx, brTun, ovsdb.Port{Name: port, Type: kind, Options: map[string]string{
				"remote_ip": "flow", "key": "flow", "local_ip": m.options.TunnelIP.String(), "df_default": "true",
			}}); err != nil {
				return err
			}
		}
	}
	bridges, err := m.switchd.Bridges(ctx)
	if err != nil {
		return err
	}
	for physical, bridge := range m.options.Mappings {
		_, there := bridges[bridge]
		if m.missing[bridge] = !there; !there {
			m.log.Error("the bridge of a physical network is not there: make it, with the network's interface in it", "bridge", bridge, "physical_network", physical)
			m.forget(bridge)
			continue
		}
		if err := m.patch(ctx, brInt, "int-"+bridge, bridge, "phy-"+bridge); err != nil {
			return err
		}
		m.keep(bridge)
	}
	ctx, cancel := context.WithTimeout(ctx, bridgeTimeout)
	defer cancel()
	for name := range m.bridges { // a bridge takes flows from when its own port has a number
		if _, err := m.switchd.WaitPort(ctx, name, name); err != nil {
			return fmt.Errorf("bridge %s is not ready: %w", name, err)
		}
	}
	m.ready = true
	return nil
}

// tunnels are the tunnel types in use; VXLAN always is, so that its first network need not wait.
func (m *Manager) tunnels(state *desired.State) map[string]string {
	out := map[string]string{"vxlan": tunnelTypes["vxlan"]}
	for _, n := range state.Networks {
		if port := tunnelTypes[n.Type]; port != "" {
			out[n.Type] = port
		}
	}
	return out
}

// forget lets go of a bridge that is no longer there.
func (m *Manager) forget(bridge string) {
	if b := m.bridges[bridge]; b != nil {
		b.Close()
		delete(m.bridges, bridge)
		delete(m.plans, bridge)
	}
}

// lacksTunnel says whether a network has come of a type that has no tunnel port yet.
func (m *Manager) lacksTunnel(state *desired.State) bool {
	if !m.options.TunnelIP.Is4() {
		return false
	}
	for _, port := range m.tunnels(state) {
		if _, there := m.facts.patch[port]; !there {
			return true
		}
	}
	return false
}

func (m *Manager) keep(bridge string) {
	if m.bridges[bridge] == nil {
		m.bridges[bridge] = openflow.NewBridge("unix", m.options.RunDir+"/"+bridge+".mgmt")
		m.plans[bridge] = m.bridges[bridge]
	}
}

// patch joins two bridges.
func (m *Manager) patch(ctx context.Context, a, aPort, b, bPort string) error {
	if err := m.switchd.EnsurePort(ctx, a, ovsdb.Port{Name: aPort, Type: "patch", Options: map[string]string{"peer": bPort}}); err != nil {
		return err
	}
	return m.switchd.EnsurePort(ctx, b, ovsdb.Port{Name: bPort, Type: "patch", Options: map[string]string{"peer": aPort}})
}

// look reads the facts, and adopts local VLANs that ports already have.
func (m *Manager) look(ctx context.Context) (facts, error) {
	f := facts{ports: map[string]ovsdb.Port{}, patch: map[string]uint32{}, phys: map[string]uint32{}}
	ports, err := m.switchd.Ports(ctx, brInt)
	if err != nil {
		return f, err
	}
	for _, p := range ports {
		if id := p.ExternalIDs["iface-id"]; id != "" {
			if have, twice := f.ports[id]; !twice || have.OFPort == 0 {
				f.ports[id] = p
			}
		}
		if p.Type == "patch" {
			f.patch[p.Name] = uint32(p.OFPort)
		}
		if network := p.OtherConfig[networkKey]; network != "" && p.Tag > 0 && m.vlans[network] == 0 && !m.taken(uint16(p.Tag)) {
			m.vlans[network] = uint16(p.Tag)
		}
	}
	for name := range m.bridges {
		if name == brInt {
			continue
		}
		ports, err := m.switchd.Ports(ctx, name)
		if err != nil {
			return f, err
		}
		for _, p := range ports {
			switch {
			case name == brTun:
				f.patch[p.Name] = uint32(p.OFPort)
			case p.Name == "phy-"+name:
				f.phys[name] = uint32(p.OFPort)
			}
		}
	}
	return f, nil
}

func (m *Manager) taken(vlan uint16) bool {
	for _, v := range m.vlans {
		if v == vlan {
			return true
		}
	}
	return false
}

// vlan gives the network's local VLAN, choosing the lowest free one for a new network; 0 when all
// are in use.
func (m *Manager) vlan(network string) uint16 {
	if v := m.vlans[network]; v != 0 {
		return v
	}
	used := map[uint16]bool{}
	for _, v := range m.vlans {
		used[v] = true
	}
	for v := uint16(1); v < 4095; v++ {
		if !used[v] {
			m.vlans[network] = v
			return v
		}
	}
	return 0
}

// tag writes the local VLANs to the ports, for people to see and for us to adopt after a restart.
func (m *Manager) tag(ctx context.Context, state *desired.State) error {
	var changes []ovsdb.Port
	for id, have := range m.facts.ports {
		p := m.local(state, id)
		if p == nil {
			continue
		}
		if vlan := m.vlans[p.NetworkID]; vlan != 0 && (have.Tag != int(vlan) || have.OtherConfig[networkKey] != p.NetworkID) {
			changes = append(changes, ovsdb.Port{Name: have.Name, Tag: int(vlan), OtherConfig: map[string]string{networkKey: p.NetworkID}})
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return m.switchd.SetPorts(ctx, brInt, changes)
}

// local gives a port that is bound here; nil when it is not.
func (m *Manager) local(state *desired.State, id string) *desired.Port {
	if p := state.Ports[id]; p != nil && p.Host == m.options.Host {
		return p
	}
	return nil
}

// reports says of each touched port of this host whether it is wired, and if not, why.
func (m *Manager) reports(state *desired.State, touched map[string]bool, refused map[string]error) []desired.Report {
	var out []desired.Report
	for id := range touched {
		p := m.local(state, id)
		if p == nil {
			out = append(out, desired.Report{Kind: desired.KindPort, ID: id, Layer: desired.LayerL2, Gone: true})
			delete(m.told, id)
			continue
		}
		m.told[id] = true
		why := m.why(state, p)
		if why == "" {
			why = m.noWay(state.Networks[p.NetworkID])
		}
		if err := refused["port/"+id]; err != nil && why == "" {
			why = err.Error()
		}
		out = append(out, desired.Report{Kind: desired.KindPort, ID: id, Layer: desired.LayerL2, Revision: p.Revision, Up: why == "", Reason: why})
	}
	return out
}

// why says what keeps a local port from being wired; "" when nothing does.
func (m *Manager) why(state *desired.State, p *desired.Port) string {
	n := state.Networks[p.NetworkID]
	iface, plugged := m.facts.ports[p.ID]
	switch {
	case n == nil:
		return "network " + p.NetworkID + " is not known to the host yet"
	case !n.AdminStateUp:
		return "the network is administratively down"
	case !p.AdminStateUp:
		return "the port is administratively down"
	case !plugged:
		return "no interface with external_ids:iface-id=" + p.ID + " is on br-int yet"
	case iface.Error != "":
		return "interface " + iface.Name + " does not work: " + iface.Error
	case iface.OFPort == 0:
		return "interface " + iface.Name + " has no OpenFlow port yet"
	case m.vlans[p.NetworkID] == 0:
		return "all local VLANs of the host are in use"
	}
	if n.Type == "flat" || n.Type == "vlan" {
		bridge, mapped := m.options.Mappings[n.Physical]
		if !mapped {
			return fmt.Sprintf("physical network %q is not in this host's bridge mappings", n.Physical)
		}
		if m.missing[bridge] {
			return fmt.Sprintf("bridge %s of physical network %q is not there", bridge, n.Physical)
		}
	}
	if tunnelTypes[n.Type] != "" && !m.options.TunnelIP.Is4() {
		return "the host has no IPv4 tunnel address"
	}
	if p.PortSecurity {
		_, missing := groupsOf(state, p)
		if len(missing) > 0 {
			return "security group " + strings.Join(missing, ", ") + " is not known to the host yet"
		}
	}
	return ""
}

// noWay says what keeps a network from leaving the host; "" when nothing does. Its ports are wired all
// the same, and reach each other.
func (m *Manager) noWay(n *desired.Network) string {
	bridge := m.options.Mappings[n.Physical]
	switch {
	case tunnelTypes[n.Type] != "":
		for _, port := range []string{patchTun, patchInt, tunnelTypes[n.Type]} {
			if m.facts.patch[port] == 0 {
				return "port " + port + " to the tunnels has no OpenFlow port yet"
			}
		}
	case n.Type == "flat" || n.Type == "vlan":
		if m.facts.patch["int-"+bridge] == 0 || m.facts.phys[bridge] == 0 {
			return "the ports between br-int and " + bridge + " have no OpenFlow port yet"
		}
	}
	return ""
}

func groupsOf(state *desired.State, p *desired.Port) (groups []*desired.SecurityGroup, missing []string) {
	for _, id := range p.SecurityGroups {
		if g := state.SecurityGroups[id]; g != nil {
			groups = append(groups, g)
		} else {
			missing = append(missing, id)
		}
	}
	return groups, missing
}
