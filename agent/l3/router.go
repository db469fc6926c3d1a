package l3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"neutrino/agent/plug"
	"neutrino/agent/stray"
	"neutrino/dataplane/link"
	"neutrino/dataplane/netns"
	"neutrino/dataplane/nft"
	"neutrino/dataplane/ra"
	"neutrino/desired"
)

// router is what the manager remembers of a router. All of it can be found out anew.
type router struct {
	id      string
	manager *Manager
	log     *slog.Logger

	failed   error // of the last attempt
	identity uint64
	rules    string // the body that was loaded last
	listing  string // how nft prints it
	swept    bool   // no flow is left that the rules would have go otherwise
	senders  map[string]*sender
	standby  bool     // it is about to move here: nothing is said to neighbours
	reported []string // ids of the floating IPs that were reported
}

// sender advertises on a device; it ends with the incarnation of the device.
type sender struct {
	*ra.Sender
	index int
	mac   [6]byte
}

// apply brings the router to its desired state and reports it.
func (r *router) apply(ctx context.Context, view *plug.View, plugged []plug.Plugged, want *desired.Router, full bool) []desired.Report {
	p, err := planOf(want)
	arrives := r.standby && !want.Standby
	r.standby = want.Standby
	if err == nil {
		err = isolate(func() error { return r.bring(ctx, view, plugged, p, full) })
	}
	if arrives && p != nil {
		for _, d := range p.devices { // its ports are being wired: the first to get out is the one that counts
			r.manager.announceOften(d, arrivalCalls, arrivalEvery)
		}
	}
	if err != nil {
		r.log.Error("router is not as it should be", "error", err)
	}
	r.failed = err
	return r.reports(want, p)
}

// A router that has moved here tells its neighbours so for as long as it may take until its ports are wired.
const (
	arrivalCalls = 12
	arrivalEvery = 250 * time.Millisecond
)

// bring does the steps in the order in which no packet passes that should not: rules before devices,
// forwarding when all is there; what is left over goes last.
func (r *router) bring(ctx context.Context, view *plug.View, plugged []plug.Plugged, p *plan, full bool) error {
	if err := netns.Create(p.namespace, stray.Mark); err != nil {
		return err
	}
	identity, err := netns.Identity(p.namespace)
	if err != nil {
		return err
	}
	if identity != r.identity {
		r.closeSenders()
		r.identity, r.rules, r.swept = identity, "", false
	}
	if err := r.load(ctx, p, full); err != nil {
		return err
	}
	space, err := link.In(p.namespace)
	if err != nil {
		return err
	}
	defer space.Close()
	if err := space.SetSysctls(p.sysctls()); err != nil {
		return err
	}
	if err := space.SetAlias("lo", stray.Mark); err != nil { // it may be another's that is ours from now on
		return err
	}
	if err := space.Set("lo", [6]byte{}, 0); err != nil {
		return err
	}
	if _, err := space.SetAddresses("lo", []netip.Prefix{netip.PrefixFrom(metadata4, 32)}); err != nil {
		return err
	}
	var failed error
	for _, d := range p.devices { // one port that can't be made does not keep the others away
		if err := r.device(ctx, view, space, d); err != nil {
			failed = errors.Join(failed, fmt.Errorf("port %s: %w", d.PortID, err))
		}
	}
	for _, old := range plugged {
		if !slices.ContainsFunc(p.devices, func(d device) bool { return d.Outer() == old.Outer }) {
			failed = errors.Join(failed, r.manager.plugger.Unplug(ctx, view, old))
		}
	}
	failed = errors.Join(failed, r.removeDevices(space, p))
	failed = errors.Join(failed, space.SetRoutes(p.routes))
	failed = errors.Join(failed, space.SetRules(p.policy))
	return errors.Join(failed, r.advertise(space, p))
}

// device plugs a port and gives it its addresses; neighbours hear of those that are new.
func (r *router) device(ctx context.Context, view *plug.View, space *link.Space, d device) error {
	before, _, err := space.Find(d.Name())
	if err != nil {
		return err
	}
	fresh, err := r.manager.plugger.Plug(ctx, view, d.Device)
	if err != nil {
		return err
	}
	added, err := space.SetAddresses(d.Name(), d.addresses)
	if err != nil {
		return err
	}
	if strings.HasPrefix(d.Name(), "qg-") {
		if err := space.SetProxied(d.Name(), d.proxied); err != nil {
			return err
		}
	}
	if r.standby {
		return nil
	}
	if fresh || before.MAC != d.MAC {
		r.manager.announce(d)
	} else if len(added) > 0 {
		d.addresses = added
		r.manager.announce(d)
	}
	return nil
}

// removeDevices removes ports of ours that the router has no more and the bridge does not know.
func (r *router) removeDevices(space *link.Space, p *plan) error {
	devices, err := space.Devices()
	if err != nil {
		return err
	}
	var failed error
	for _, have := range devices {
		ours := strings.HasPrefix(have.Name, "qr-") || strings.HasPrefix(have.Name, "qg-")
		if ours && !slices.ContainsFunc(p.devices, func(d device) bool { return d.Name() == have.Name }) {
			failed = errors.Join(failed, space.Delete(have.Name))
		}
	}
	return failed
}

// load makes the nftables of the namespace the plan's. Flows that began under other rules and would
// have gone otherwise under these are forgotten once these hold; also once for each start, as the one
// before may have ended in between.
func (r *router) load(ctx context.Context, p *plan, full bool) error {
	if p.rules == r.rules && r.swept && !full {
		return nil
	}
	if p.rules != r.rules {
		listing, err := nft.Canonical(ctx, table, p.rules)
		if err != nil {
			return fmt.Errorf("rules: %w", err)
		}
		r.rules, r.listing = p.rules, listing
	}
	have, err := nft.List(ctx, p.namespace, table)
	if err == nil && have != r.listing {
		r.swept = false
		err = nft.Replace(ctx, p.namespace, table, p.rules)
	}
	if err != nil {
		r.rules = "" // look again next time
		return err
	}
	if r.swept {
		return nil
	}
	if err := link.ForgetFlows(p.namespace, p.stale); err != nil {
		return err
	}
	r.swept = true
	return nil
}

// advertise starts, changes and ends the senders of router advertisements.
func (r *router) advertise(space *link.Space, p *plan) error {
	var failed error
	wanted := map[string]bool{}
	for _, d := range p.devices {
		if d.advertise == nil || r.standby {
			continue
		}
		name := d.Name()
		wanted[name] = true
		now, found, err := space.Find(name)
		if err != nil || !found || !now.Up {
			failed = errors.Join(failed, err) // that it is missing was said when it was plugged
			continue
		}
		if s := r.senders[name]; s != nil {
			if s.index == now.Index && s.mac == d.MAC && !ended(s.Done()) {
				s.Set(*d.advertise)
				continue
			}
			s.Close()
			delete(r.senders, name)
		}
		s, err := ra.Start(p.namespace, name, d.MAC, *d.advertise, r.log)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		r.senders[name] = &sender{Sender: s, index: now.Index, mac: d.MAC}
	}
	r.retire(wanted)
	return failed
}

// retire ends the senders that are not wanted, all at once.
func (r *router) retire(wanted map[string]bool) {
	var work sync.WaitGroup
	for name, s := range r.senders {
		if !wanted[name] {
			work.Go(s.Retire)
			delete(r.senders, name)
		}
	}
	work.Wait()
}

// mute says whether a sender has ended by itself.
func (r *router) mute() bool {
	for _, s := range r.senders {
		if ended(s.Done()) {
			return true
		}
	}
	return false
}

func (r *router) closeSenders() {
	for name, s := range r.senders {
		s.Close()
		delete(r.senders, name)
	}
}

// remove takes away the router's ports, devices and namespace. Of one that has moved nobody is told that it is gone: hosts
// would not hear what the other one says of the same router first.
func (r *router) remove(ctx context.Context, view *plug.View, plugged []plug.Plugged, moved bool) []desired.Report {
	if moved {
		r.closeSenders()
	}
	r.retire(nil)
	r.failed = isolate(func() error {
		var failed error
		for _, old := range plugged {
			failed = errors.Join(failed, r.manager.plugger.Unplug(ctx, view, old))
		}
		if _, err := netns.Identity(prefix + r.id); err == nil {
			space, err := link.In(prefix + r.id)
			if err != nil {
				return errors.Join(failed, err)
			}
			failed = errors.Join(failed, r.removeDevices(space, &plan{}))
			space.Close()
		}
		if failed != nil {
			return failed // the namespace is how it is found again
		}
		return netns.Delete(prefix + r.id)
	})
	r.manager.Strays.Removed(r.manager.Name(), stray.Thing{Kind: stray.Namespace, Name: prefix + r.id}, r.failed)
	if r.failed != nil {
		r.log.Error("router is not removed", "error", r.failed)
		return nil
	}
	reports := []desired.Report{{Kind: desired.KindRouter, ID: r.id, Layer: desired.LayerL3, Gone: true}}
	for _, id := range r.reported {
		reports = append(reports, goneFloating(id))
	}
	return reports
}

// reports says what is true of the router and its floating IPs. The plan is nil when there is none.
func (r *router) reports(want *desired.Router, p *plan) []desired.Report {
	said := desired.Report{Kind: desired.KindRouter, ID: r.id, Layer: desired.LayerL3, Revision: want.Revision}
	var reasons []string
	if r.failed != nil {
		reasons = append(reasons, r.failed.Error())
	}
	if p != nil {
		reasons = append(reasons, p.problems...)
	}
	said.Up, said.Reason = len(reasons) == 0, strings.Join(reasons, "; ")
	out := []desired.Report{said}

	before := r.reported
	r.reported = nil
	for _, f := range want.FloatingIPs {
		r.reported = append(r.reported, f.ID)
		one := desired.Report{Kind: desired.KindFloatingIP, ID: f.ID, Layer: desired.LayerL3, Revision: f.Revision}
		switch {
		case r.failed != nil:
			one.Reason = "router: " + r.failed.Error()
		case p.refused[f.ID] != "":
			one.Reason = p.refused[f.ID]
		case !want.AdminStateUp:
			one.Reason = "the router is administratively down"
		default:
			one.Up = true
		}
		out = append(out, one)
	}
	for _, id := range before {
		if !slices.Contains(r.reported, id) {
			out = append(out, goneFloating(id))
		}
	}
	return out
}

func goneFloating(id string) desired.Report {
	return desired.Report{Kind: desired.KindFloatingIP, ID: id, Layer: desired.LayerL3, Gone: true}
}

func ended(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
