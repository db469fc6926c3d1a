// Package localport makes on each host that OVN wires the place where a network's metadata port is: a namespace with
// the address that instances are told to ask at. OVN's localports are on every host; what is sent to one never leaves it.
// The metadata manager answers there.
package localport

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"neutrino/address"
	"neutrino/agent"
	"neutrino/agent/dhcp"
	"neutrino/agent/stray"
	"neutrino/desired"
)

// Prefix marks the namespaces, as the original's agent names them; the network's id follows.
const Prefix = "ovnmeta-"

// Where instances ask; the address of IPv6 is on networks with an IPv6 subnet.
var (
	metadataAddress  = netip.MustParsePrefix("169.254.169.254/32")
	metadataAddress6 = netip.MustParsePrefix("fe80::a9fe:a9fe/64")
)

// retryAfter is when a place that could not be made is tried again.
const retryAfter = time.Second

// Machine makes the places, and tells neighbours where they are.
type Machine interface {
	dhcp.Machine
	// Tell tells neighbours, and the switches on the way to them, where a place's addresses are.
	Tell(place dhcp.Place, neighbours []address.MAC)
}

// Manager implements agent.Manager. Make one with New.
type Manager struct {
	host    string
	machine Machine
	strays  *stray.List
	log     *slog.Logger
	made    map[string]dhcp.Place // namespace → as it was made
	told    map[string]bool       // ports that this host answers for, and that know where its place is
	wake    chan struct{}
	timer   *time.Timer
}

var _ agent.Manager = (*Manager)(nil)

// New makes a manager that has made nothing yet.
func New(host string, machine Machine, strays *stray.List, log *slog.Logger) *Manager {
	return &Manager{host: host, machine: machine, strays: strays, log: log, made: map[string]dhcp.Place{}, told: map[string]bool{}, wake: make(chan struct{}, 1)}
}

// Name implements agent.Manager.
func (m *Manager) Name() string { return "localport" }

// Wake fires when a place that could not be made is worth another try.
func (m *Manager) Wake() <-chan struct{} { return m.wake }

// Port is the metadata port of a network on a host that OVN wires ports of it on, or answers for some; nil when there is none.
func Port(state *desired.State, network, host string) *desired.Port {
	if state.Networks[network] == nil {
		return nil
	}
	var found *desired.Port
	wired := false
	for _, p := range state.PortsOf[network] {
		wired = wired || p.WiredBy == desired.WiredByOVN && p.Host == host || p.AnsweredBy == host
		if p.DeviceOwner == "network:distributed" && p.DeviceID == "ovnmeta-"+network && (found == nil || p.ID < found.ID) {
			found = p
		}
	}
	if !wired || found == nil || len(found.FixedIPs) == 0 && !SpeaksIPv6(state.Networks[network]) {
		return nil
	}
	return found
}

// SpeaksIPv6 says whether a network's instances may ask by IPv6.
func SpeaksIPv6(n *desired.Network) bool {
	return slices.ContainsFunc(n.Subnets, func(s desired.Subnet) bool { return s.CIDR.Addr().Is6() })
}

// wanted are the places that this host needs.
func (m *Manager) wanted(state *desired.State) map[string]dhcp.Place {
	out := map[string]dhcp.Place{}
	for id, n := range state.Networks {
		p := Port(state, id, m.host)
		if p == nil {
			continue
		}
		place := dhcp.Place{Namespace: Prefix + id, PortID: p.ID, Device: dhcp.Device(p.ID), MAC: p.MAC, MTU: n.MTU, Addresses: []netip.Prefix{metadataAddress}}
		if SpeaksIPv6(n) {
			place.Addresses = append(place.Addresses, metadataAddress6)
		}
		for _, f := range p.FixedIPs {
			for _, s := range n.Subnets {
				if s.ID == f.SubnetID {
					place.Addresses = append(place.Addresses, netip.PrefixFrom(f.IP, s.CIDR.Bits()))
				}
			}
		}
		place.Neighbours = m.neighbours(state, id)
		out[place.Namespace] = place
	}
	return out
}

// neighbours are those ports of a network that this host answers for: they are beside OVN, which lets no question to all
// get out to them.
func (m *Manager) neighbours(state *desired.State, network string) map[netip.Addr]address.MAC {
	var out map[netip.Addr]address.MAC
	for _, p := range state.PortsOf[network] {
		if p.AnsweredBy != m.host {
			continue
		}
		if out == nil {
			out = map[netip.Addr]address.MAC{}
		}
		out[p.MAC.LinkLocal()] = p.MAC
		for _, f := range p.FixedIPs {
			out[f.IP] = p.MAC
		}
	}
	return out
}

// Apply implements agent.Manager. Nothing is reported: metadata is no condition for a port to be up.
func (m *Manager) Apply(ctx context.Context, state *desired.State, change agent.Change) ([]desired.Report, error) {
	wanted := m.wanted(state)
	var errs []error
	for name, place := range wanted {
		if have, made := m.made[name]; made && !change.Full && reflect.DeepEqual(have, place) {
			continue
		}
		if err := m.machine.Ensure(ctx, place); err != nil {
			delete(m.made, name)
			errs = append(errs, err)
			continue
		}
		m.made[name] = place
	}
	for name := range m.made {
		if _, still := wanted[name]; still {
			continue
		}
		if err := m.machine.Remove(ctx, name); err != nil {
			errs = append(errs, err)
			continue
		}
		delete(m.made, name)
	}
	m.tell(state)
	if change.Full {
		errs = append(errs, m.removeStrays(ctx, wanted))
	}
	if err := errors.Join(errs...); err != nil {
		m.log.Warn("metadata ports are not all there; trying again", "error", err)
		m.retry()
	}
	return nil, nil
}

// tell tells the ports that this host answers for, as others did before, where the metadata are now. They are beside OVN:
// switches on the way to them have learnt the address at the host before, and OVN lets nothing else from here to them by itself.
func (m *Manager) tell(state *desired.State) {
	answered := map[string]bool{}
	news := map[string][]address.MAC{}
	for id, p := range state.Ports {
		if p.AnsweredBy != m.host {
			continue
		}
		name := Prefix + p.NetworkID
		if _, made := m.made[name]; !made {
			continue
		}
		answered[id] = true
		if !m.told[id] {
			news[name] = append(news[name], p.MAC)
		}
	}
	for name, neighbours := range news {
		m.machine.Tell(m.made[name], neighbours)
	}
	m.told = answered
}

// removeStrays removes namespaces of ours that nothing wants, when their time is over.
func (m *Manager) removeStrays(ctx context.Context, wanted map[string]dhcp.Place) error {
	found, err := m.machine.Strays(ctx, Prefix, func(name string) bool { _, is := wanted[name]; return is })
	if err != nil {
		return err
	}
	for _, t := range m.strays.Found(m.Name(), found) {
		failed := m.machine.RemoveStray(ctx, t)
		m.strays.Removed(m.Name(), t, failed)
		err = errors.Join(err, failed)
	}
	return err
}

func (m *Manager) retry() {
	if m.timer != nil {
		m.timer.Stop()
	}
	m.timer = time.AfterFunc(retryAfter, func() {
		select {
		case m.wake <- struct{}{}:
		default:
		}
	})
}

// Close ends what was to be tried again. The places stay.
func (m *Manager) Close() {
	if m.timer != nil {
		m.timer.Stop()
	}
}
