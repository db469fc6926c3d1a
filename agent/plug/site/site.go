// Package site makes the places from which the dhcp manager serves networks, and lets it and the
// metadata manager into namespaces: it implements dhcp.Machine and metadata.Namespaces.
package site

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"neutrino/address"
	"neutrino/agent/dhcp"
	"neutrino/agent/plug"
	"neutrino/agent/stray"
	"neutrino/dataplane/link"
	"neutrino/dataplane/netns"
	"neutrino/dataplane/ovsdb"
)

// devicePrefix begins the names of the devices in the places.
const devicePrefix = "ns-"

// Machine is this host. Make one with New.
type Machine struct {
	plugger *plug.Plugger
	log     *slog.Logger

	ctx    context.Context // for announcements that are repeated
	cancel context.CancelFunc
	work   sync.WaitGroup
}

var _ dhcp.Machine = (*Machine)(nil)

// New makes a machine that plugs into a bridge.
func New(switchd *ovsdb.Client, bridge string, log *slog.Logger) *Machine {
	m := &Machine{plugger: plug.New(switchd, bridge, "dhcp"), log: log}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// Close ends what goes on in the background. The places stay.
func (m *Machine) Close() {
	m.cancel()
	m.work.Wait()
}

// settings of a place's namespace: nothing passes through, and no router may configure it.
var settings = map[string]string{
	"net/ipv4/ip_forward":                   "0",
	"net/ipv6/conf/all/forwarding":          "0",
	"net/ipv4/conf/all/arp_ignore":          "1",
	"net/ipv4/conf/all/arp_announce":        "2",
	"net/ipv4/conf/all/promote_secondaries": "1",
	"net/ipv6/conf/all/accept_ra":           "0",
	"net/ipv6/conf/default/accept_ra":       "0",
	"net/ipv6/conf/default/accept_dad":      "0",
	"net/ipv6/conf/default/dad_transmits":   "0",
	"net/ipv6/conf/default/addr_gen_mode":   "0", // link-local addresses are made from MACs
}

// Ensure implements dhcp.Machine.
func (m *Machine) Ensure(ctx context.Context, p dhcp.Place) error {
	if err := netns.Create(p.Namespace, stray.Mark); err != nil {
		return err
	}
	view, err := m.plugger.Look(ctx)
	if err != nil {
		return err
	}
	space, err := link.In(p.Namespace)
	if err != nil {
		return err
	}
	defer space.Close()
	if err := space.SetAlias("lo", stray.Mark); err != nil { // it may be another's that is ours from now on
		return err
	}
	if err := space.SetSysctls(settings); err != nil {
		return err
	}
	if err := space.Set("lo", address.MAC{}, 0); err != nil {
		return err
	}
	device := plug.Device{Prefix: devicePrefix, PortID: p.PortID, Namespace: p.Namespace, MAC: p.MAC, MTU: p.MTU}
	before, _, err := space.Find(device.Name())
	if err != nil {
		return err
	}
	fresh, err := m.plugger.Plug(ctx, view, device)
	if err != nil {
		return err
	}
	added, err := space.SetAddresses(device.Name(), p.Addresses)
	if err != nil {
		return err
	}
	if fresh || before.MAC != p.MAC || len(added) > 0 {
		m.announce(device, p.Addresses)
	}
	failed := m.clear(ctx, view, p.Namespace, device.Outer())
	return errors.Join(failed, space.SetRoutes(routes(p, device.Name())), space.SetNeighbours(device.Name(), p.Neighbours))
}

// routes are the default routes of a place.
func routes(p dhcp.Place, device string) []link.Route {
	var out []link.Route
	for _, g := range p.Gateways {
		all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if g.Is6() {
			all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		near := g.IsLinkLocalUnicast() || slices.ContainsFunc(p.Addresses, func(a netip.Prefix) bool { return a.Contains(g) })
		out = append(out, link.Route{Destination: all, NextHop: g, Device: device, OnLink: !near})
	}
	return out
}

// announce tells the neighbours of a place's addresses, except those that other places have too.
func (m *Machine) announce(d plug.Device, addresses []netip.Prefix) {
	var addrs []netip.Addr
	for _, a := range addresses {
		if !a.Addr().IsLinkLocalUnicast() {
			addrs = append(addrs, a.Addr())
		}
	}
	m.work.Go(func() {
		if err := link.Announce(m.ctx, d.Namespace, d.Name(), d.MAC, addrs, 3, time.Second); err != nil {
			m.log.Warn("addresses were not announced", "namespace", d.Namespace, "error", err)
		}
	})
}

// Tell tells neighbours, and the switches on the way to them, where a place's addresses are.
func (m *Machine) Tell(p dhcp.Place, neighbours []address.MAC) {
	device := plug.Device{Prefix: devicePrefix, PortID: p.PortID, Namespace: p.Namespace}
	var addrs []netip.Addr
	for _, a := range p.Addresses {
		addrs = append(addrs, a.Addr())
	}
	m.work.Go(func() {
		if err := link.AnnounceTo(m.ctx, p.Namespace, device.Name(), p.MAC, addrs, neighbours, 5, time.Second); err != nil {
			m.log.Warn("neighbours were not told of addresses", "namespace", p.Namespace, "error", err)
		}
	})
}

// clear unplugs what is plugged into a namespace, except the one to keep, and deletes devices that
// nothing plugs any more.
func (m *Machine) clear(ctx context.Context, view *plug.View, namespace, keep string) error {
	var failed error
	for _, old := range m.plugger.Plugged(view) {
		if old.Namespace == namespace && old.Outer != keep {
			failed = errors.Join(failed, m.plugger.Unplug(ctx, view, old))
		}
	}
	space, err := link.In(namespace)
	if err != nil {
		return errors.Join(failed, err)
	}
	defer space.Close()
	devices, err := space.Devices()
	if err != nil {
		return errors.Join(failed, err)
	}
	for _, d := range devices {
		id, ours := strings.CutPrefix(d.Name, devicePrefix)
		if ours && "tap"+id != keep {
			failed = errors.Join(failed, space.Delete(d.Name))
		}
	}
	return failed
}

// Remove implements dhcp.Machine.
func (m *Machine) Remove(ctx context.Context, namespace string) error {
	if _, err := netns.Identity(namespace); err != nil {
		return netns.Delete(namespace)
	}
	view, err := m.plugger.Look(ctx)
	if err != nil {
		return err
	}
	if err := m.clear(ctx, view, namespace, ""); err != nil {
		return err
	}
	return netns.Delete(namespace)
}

// Strays implements dhcp.Machine.
func (m *Machine) Strays(ctx context.Context, prefix string, wanted func(namespace string) bool) ([]stray.Thing, error) {
	view, err := m.plugger.Look(ctx)
	if err != nil {
		return nil, err
	}
	return m.plugger.Strays(view, prefix, wanted)
}

// RemoveStray implements dhcp.Machine.
func (m *Machine) RemoveStray(ctx context.Context, t stray.Thing) error {
	if t.Kind == stray.Namespace {
		return m.Remove(ctx, t.Name)
	}
	view, err := m.plugger.Look(ctx)
	if err != nil {
		return err
	}
	return m.plugger.RemovePort(ctx, view, t)
}

// Identity implements dhcp.Machine.
func (m *Machine) Identity(namespace string) (uint64, error) { return netns.Identity(namespace) }

// Do implements dhcp.Machine.
func (m *Machine) Do(namespace string, f func() error) error { return netns.Do(namespace, f) }
