// Package dhcp serves the networks that have a DHCP port on this host: a namespace and a device for
// each, and in it DHCPv4, DHCPv6 and DNS, all answered by this process out of tables that are
// computed from the ports.
package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"neutrino/address"
	"neutrino/agent"
	"neutrino/agent/stray"
	"neutrino/dataplane/dhcp"
	"neutrino/dataplane/dns"
	"neutrino/desired"
)

// prefix marks our namespaces; the network's id follows.
const prefix = "qdhcp-"

// retryAfter is when a network that could not be served is looked at again.
const retryAfter = 2 * time.Second

// Options of the manager.
type Options struct {
	Host    string         // this host's name
	Domain  string         // of networks without one; "" means openstacklocal
	Lease   time.Duration  // 0 means 24 hours, negative for ever
	Forward *dns.Forwarder // for names that are not the networks' own
	Strays  *stray.List    // gives strays their time of grace; nil: none

	Metadata Metadata // which networks lead to metadata
}

// Manager implements agent.Manager. Make one with New.
type Manager struct {
	options  Options
	machine  Machine
	log      *slog.Logger
	services map[string]*service // network id → service
	where    map[string]string   // port id → network id, of ports that were reported
	wake     chan struct{}
	timer    *time.Timer
}

var _ agent.Manager = (*Manager)(nil)

// service is a network that is served, or should be.
type service struct {
	problem  error // why it is not served; nil: it is
	place    Place
	identity uint64
	index    int // of the place's device: another one when it was made anew
	common   setting
	own      map[string]bool     // ids of the network's own ports: routers', and those of DHCP
	ports    map[string]*binding // port id → binding
	dhcp     *dhcp.Server
	dns      *dns.Server
	dnsAt    []netip.AddrPort
}

// binding is what a port gets, computed once a change.
type binding struct {
	port    *desired.Port
	client  *dhcp.Client
	problem error
}

// New makes a manager that serves nothing yet.
func New(options Options, machine Machine, log *slog.Logger) (*Manager, error) {
	if options.Host == "" {
		return nil, errors.New("dhcp: the host has no name")
	}
	if options.Domain == "" {
		options.Domain = "openstacklocal"
	}
	if options.Lease == 0 {
		options.Lease = 24 * time.Hour
	}
	if options.Forward == nil {
		options.Forward = dns.NewForwarder(nil)
	}
	return &Manager{
		options: options, machine: machine, log: log, services: map[string]*service{},
		where: map[string]string{}, wake: make(chan struct{}, 1),
	}, nil
}

// Name implements agent.Manager.
func (m *Manager) Name() string { return "dhcp" }

// Wake fires when a network that could not be served is worth another try.
func (m *Manager) Wake() <-chan struct{} { return m.wake }

// Apply implements agent.Manager. A failure of one network is said in the reports of its ports and
// tried again; an error is returned only when the namespaces can't even be listed.
func (m *Manager) Apply(ctx context.Context, state *desired.State, change agent.Change) ([]desired.Report, error) {
	var reports []desired.Report
	for id, ports := range m.touched(state, change) {
		reports = append(reports, m.network(ctx, state, id, ports)...)
	}
	var err error
	if change.Full {
		err = m.removeStrays(ctx, state)
	}
	m.retryLater()
	return reports, err
}

// touched are the networks to look at, each with the ports that changed; nil means all its ports.
func (m *Manager) touched(state *desired.State, change agent.Change) map[string]map[string]bool {
	networks := map[string]map[string]bool{}
	if change.Full {
		for id := range state.Networks {
			networks[id] = nil
		}
		for id := range m.services {
			networks[id] = nil
		}
		for _, id := range m.where {
			networks[id] = nil
		}
		return networks
	}
	port := func(network, id string) {
		ports, seen := networks[network]
		if seen && ports == nil {
			return
		}
		if !seen {
			ports = map[string]bool{}
			networks[network] = ports
		}
		ports[id] = true
	}
	for key := range change.Keys {
		switch key.Kind {
		case desired.KindNetwork:
			networks[key.ID] = nil
		case desired.KindPort:
			p := state.Ports[key.ID]
			if p != nil {
				port(p.NetworkID, key.ID)
				if strings.HasPrefix(p.DeviceOwner, "network:") {
					networks[p.NetworkID] = nil // the service itself, or a router that ends isolation
				}
			}
			if old, known := m.where[key.ID]; known {
				port(old, key.ID)
			} else if p == nil {
				for id, s := range m.services {
					if s.own[key.ID] {
						networks[id] = nil
					}
				}
			}
		}
	}
	for id, s := range m.services {
		if s.problem != nil || s.dhcp != nil && ended(s.dhcp.Done()) {
			networks[id] = nil
		}
	}
	return networks
}

// network brings one network to its desired state and reports its ports.
func (m *Manager) network(ctx context.Context, state *desired.State, id string, ports map[string]bool) []desired.Report {
	server := ServedBy(state, id, m.options.Host)
	if server == nil {
		return m.stop(ctx, id)
	}
	s := m.services[id]
	if s == nil {
		s = &service{}
		m.services[id] = s
		ports = nil
	}
	before := s.problem
	n := state.Networks[id]
	hops, _ := routers(state, id)
	common := setting{network: n, server: server, hops: hops, servers: serversOf(state, id), domain: m.domain(n), lease: m.options.Lease, metadata: m.options.Metadata}
	if ports == nil || !reflect.DeepEqual(common, s.common) {
		s.common, s.ports, s.own, ports = common, map[string]*binding{}, map[string]bool{}, nil
		for _, p := range state.PortsOf[id] {
			if served(p) {
				s.bind(p)
			} else {
				s.own[p.ID] = true
			}
		}
	} else {
		for portID := range ports {
			delete(s.ports, portID)
			if p := state.Ports[portID]; p != nil && p.NetworkID == id && served(p) {
				s.bind(p)
			}
		}
	}
	if ports == nil {
		s.problem = m.ensure(ctx, s, PlaceOf(state, n, server, m.options.Metadata))
	} else if s.problem == nil {
		s.dhcp.SetTable(s.table())
		s.dns.SetZone(s.zone())
	}
	if s.problem != nil {
		m.log.Error("network is not served", "network", id, "error", s.problem)
	}
	if (before == nil) != (s.problem == nil) {
		ports = nil
	}
	return m.report(id, s, ports)
}

func (s *service) bind(p *desired.Port) {
	b := &binding{port: p}
	b.client, b.problem = s.common.client(p)
	s.ports[p.ID] = b
}

// ensure makes the place and the sockets in it.
func (m *Manager) ensure(ctx context.Context, s *service, place Place) error {
	if err := m.machine.Ensure(ctx, place); err != nil {
		return err
	}
	identity, err := m.machine.Identity(place.Namespace)
	if err != nil {
		return err
	}
	index, err := m.indexOf(place)
	if err != nil {
		return err
	}
	if identity != s.identity || index != s.index || place.MAC != s.place.MAC || s.dhcp != nil && ended(s.dhcp.Done()) {
		s.closeSockets()
	}
	s.place, s.identity, s.index = place, identity, index
	var at []netip.AddrPort
	for _, f := range s.common.server.FixedIPs {
		at = append(at, netip.AddrPortFrom(f.IP, 53))
	}
	if s.dns != nil && !slices.Equal(at, s.dnsAt) {
		s.dns.Close()
		s.dns = nil
	}
	log := m.log.With("network", s.common.network.ID)
	if s.dhcp == nil || s.dns == nil {
		err := m.machine.Do(place.Namespace, func() (err error) {
			if s.dhcp == nil {
				if s.dhcp, err = dhcp.Listen(place.Device, s.table(), log); err != nil {
					s.dhcp = nil
					return err
				}
			}
			if s.dns == nil {
				if s.dns, err = dns.Listen(at, s.zone(), m.options.Forward, log); err != nil {
					s.dns = nil
				}
			}
			return err
		})
		if err != nil {
			return err
		}
		s.dnsAt = at
	}
	s.dhcp.SetTable(s.table())
	s.dns.SetZone(s.zone())
	return nil
}

// indexOf is the number of a place's device: sockets stay with the device that they were opened on.
func (m *Manager) indexOf(place Place) (index int, err error) {
	err = m.machine.Do(place.Namespace, func() error {
		device, err := net.InterfaceByName(place.Device)
		if err == nil {
			index = device.Index
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("find device %s in %s: %w", place.Device, place.Namespace, err)
	}
	return index, nil
}

func (s *service) closeSockets() {
	if s.dhcp != nil {
		s.dhcp.Close()
		s.dhcp = nil
	}
	if s.dns != nil {
		s.dns.Close()
		s.dns = nil
	}
}

// table collects the bindings.
func (s *service) table() *dhcp.Table {
	clients := make(map[address.MAC]*dhcp.Client, len(s.ports))
	for _, b := range s.ports {
		clients[b.port.MAC] = b.client
	}
	if own, ok := SelfAddress(s.common.network, s.common.server); ok && clients[s.common.server.MAC] == nil {
		clients[s.common.server.MAC] = dhcp.SelfLease(own) // for agent/probe
	}
	return &dhcp.Table{Clients: clients, DUID: dhcp.DUID(s.common.network.ID)}
}

// zone collects the names.
func (s *service) zone() *dns.Zone {
	z := &dns.Zone{Domain: s.common.domain, Hosts: map[string][]netip.Addr{}, Names: map[netip.Addr]string{}}
	for _, subnet := range s.common.network.Subnets {
		z.Clients = append(z.Clients, subnet.CIDR)
	}
	for _, b := range s.ports {
		name := strings.ToLower(b.port.Hostname)
		if name == "" {
			continue
		}
		for _, f := range b.port.FixedIPs {
			z.Hosts[name] = append(z.Hosts[name], f.IP)
			z.Names[f.IP] = name
		}
	}
	for _, list := range z.Hosts {
		slices.SortFunc(list, netip.Addr.Compare)
	}
	return z
}

func (m *Manager) domain(n *desired.Network) string {
	if n.DNSDomain != "" {
		return strings.TrimSuffix(n.DNSDomain, ".")
	}
	return strings.TrimSuffix(m.options.Domain, ".")
}

// report says what is true of a network's ports; ports nil means of all.
func (m *Manager) report(id string, s *service, ports map[string]bool) []desired.Report {
	var reports []desired.Report
	for portID, b := range s.ports {
		m.where[portID] = id
		if ports != nil && !ports[portID] {
			continue
		}
		r := desired.Report{Kind: desired.KindPort, ID: portID, Layer: desired.LayerDHCP, Revision: b.port.Revision}
		problem := errors.Join(s.problem, b.problem)
		if r.Up = problem == nil; problem != nil {
			r.Reason = problem.Error()
		}
		reports = append(reports, r)
	}
	for portID, network := range m.where {
		if network == id && s.ports[portID] == nil {
			delete(m.where, portID)
			reports = append(reports, gone(portID))
		}
	}
	return reports
}

// stop ends the service of a network. Its namespace is removed.
func (m *Manager) stop(ctx context.Context, id string) []desired.Report {
	if s := m.services[id]; s != nil {
		s.closeSockets()
		if err := m.machine.Remove(ctx, prefix+id); err != nil {
			m.log.Error("namespace is not removed", "network", id, "error", err) // a stray: tried again with Full
		}
		delete(m.services, id)
	}
	var reports []desired.Report
	for portID, network := range m.where {
		if network == id {
			delete(m.where, portID)
			reports = append(reports, gone(portID))
		}
	}
	return reports
}

func gone(portID string) desired.Report {
	return desired.Report{Kind: desired.KindPort, ID: portID, Layer: desired.LayerDHCP, Gone: true}
}

// FindStrays implements agent.Tidier: places of networks that are not served here.
func (m *Manager) FindStrays(ctx context.Context, state *desired.State) ([]stray.Thing, error) {
	return m.machine.Strays(ctx, prefix, func(namespace string) bool {
		id := strings.TrimPrefix(namespace, prefix)
		return m.services[id] != nil || ServedBy(state, id, m.options.Host) != nil
	})
}

// removeStrays removes strays whose time is over.
func (m *Manager) removeStrays(ctx context.Context, state *desired.State) error {
	found, err := m.FindStrays(ctx, state)
	if err != nil {
		return err
	}
	for _, t := range m.options.Strays.Found(m.Name(), found) {
		err := m.machine.RemoveStray(ctx, t)
		m.options.Strays.Removed(m.Name(), t, err)
		if err != nil {
			m.log.Error("stray is not removed", "kind", t.Kind, "name", t.Name, "error", err)
			continue
		}
		m.log.Info("stray removed", "kind", t.Kind, "name", t.Name, "why", t.Why)
	}
	return nil
}

func (m *Manager) retryLater() {
	if m.timer != nil {
		m.timer.Stop()
		m.timer = nil
	}
	for _, s := range m.services {
		if s.problem != nil {
			m.timer = time.AfterFunc(retryAfter, func() {
				select {
				case m.wake <- struct{}{}:
				default:
				}
			})
			return
		}
	}
}

// Close ends the service and leaves the namespaces, for the next start to adopt.
func (m *Manager) Close() {
	if m.timer != nil {
		m.timer.Stop()
	}
	for _, s := range m.services {
		s.closeSockets()
	}
}

func ended(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
