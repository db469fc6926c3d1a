package dhcp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"neutrino/agent/plug"
	"neutrino/dataplane/link"
	"neutrino/dataplane/netns"
)

// Host is this machine as a Machine: namespaces of the kernel, devices plugged into the integration
// bridge.
type Host struct {
	Plugger *plug.Plugger
}

// Ensure implements Machine.
func (h Host) Ensure(ctx context.Context, place Place) error {
	if err := netns.Create(place.Namespace); err != nil {
		return err
	}
	view, err := h.Plugger.Look(ctx)
	if err != nil {
		return err
	}
	space, err := link.In(place.Namespace)
	if err != nil {
		return err
	}
	defer space.Close()
	if err := space.SetSysctls(settings); err != nil {
		return err
	}
	if err := space.Set("lo", [6]byte{}, 0); err != nil {
		return err
	}
	device := plug.Device{Prefix: "ns-", PortID: place.PortID, Namespace: place.Namespace, MAC: place.MAC, MTU: place.MTU}
	if _, err := h.Plugger.Plug(ctx, view, device); err != nil {
		return err
	}
	if err := h.removeOthers(ctx, view, place.Namespace, device.Outer()); err != nil {
		return err
	}
	if _, err := space.SetAddresses(place.Device, place.Addresses); err != nil {
		return err
	}
	return space.SetRoutes(routes(place))
}

// settings make the namespace a host, not a router, whose addresses are its own at once.
var settings = map[string]string{
	"net/ipv4/ip_forward":                 "0",
	"net/ipv6/conf/all/forwarding":        "0",
	"net/ipv6/conf/all/accept_ra":         "0",
	"net/ipv6/conf/default/accept_ra":     "0",
	"net/ipv6/conf/default/accept_dad":    "0",
	"net/ipv6/conf/default/dad_transmits": "0",
}

func routes(place Place) []link.Route {
	var out []link.Route
	for _, g := range place.Gateways {
		everywhere := netip.MustParsePrefix("0.0.0.0/0")
		if g.Is6() {
			everywhere = netip.MustParsePrefix("::/0")
		}
		onLink := true
		for _, a := range place.Addresses {
			if a.Addr() == g {
				onLink = false // the gateway is ourselves: no way out
			}
		}
		if onLink {
			out = append(out, link.Route{Destination: everywhere, NextHop: g, Device: place.Device, OnLink: true})
		}
	}
	return out
}

// removeOthers unplugs ports of ours in the namespace that are not the one that should be there.
func (h Host) removeOthers(ctx context.Context, view *plug.View, namespace, outer string) error {
	var failed error
	for _, p := range h.Plugger.Plugged(view) {
		if p.Namespace == namespace && p.Outer != outer {
			failed = errors.Join(failed, h.Plugger.Unplug(ctx, view, p))
		}
	}
	return failed
}

// Remove implements Machine.
func (h Host) Remove(ctx context.Context, namespace string) error {
	view, err := h.Plugger.Look(ctx)
	if err != nil {
		return err
	}
	if err := h.removeOthers(ctx, view, namespace, ""); err != nil {
		return fmt.Errorf("unplug %s: %w", namespace, err)
	}
	if err := netns.Delete(namespace); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// List implements Machine.
func (Host) List(prefix string) ([]string, error) { return netns.List(prefix) }

// Identity implements Machine.
func (Host) Identity(namespace string) (uint64, error) { return netns.Identity(namespace) }

// Do implements Machine.
func (Host) Do(namespace string, f func() error) error { return netns.Do(namespace, f) }
