package hub

import (
	"context"
	"strings"
	"time"

	"neutrino/desired"
)

// claim is what a report is about.
type claim struct {
	thing Thing
	layer string
}

// verdicts are what the API says of things, and what it should say.
type verdicts struct {
	statuses map[Thing]Status // as the facts say
	pending  map[Thing]Status // to be written
	waiting  map[Thing]bool   // nothing but the words of why it is not up would change: that has time

	served   map[string][]Served // by port: what servers tell one another, as the facts say
	telling  map[string][]Served // to be told
	unshared map[Thing]bool      // ports of which it is too early to tell

	made map[Thing]string // API requests that changed ports which have not been ACTIVE since
}

func newVerdicts() verdicts {
	return verdicts{
		statuses: map[Thing]Status{}, pending: map[Thing]Status{}, waiting: map[Thing]bool{},
		served: map[string][]Served{}, telling: map[string][]Served{}, unshared: map[Thing]bool{},
		made: map[Thing]string{},
	}
}

func (v *verdicts) reset() { *v = newVerdicts() }

func (v *verdicts) forget(thing Thing) {
	delete(v.statuses, thing)
	delete(v.pending, thing)
	delete(v.waiting, thing)
	delete(v.unshared, thing)
	delete(v.made, thing)
	if thing.Kind == desired.KindPort {
		delete(v.served, thing.ID)
		delete(v.telling, thing.ID)
	}
}

// report notes what a host says and finds the statuses that follow. It is false when the host does not
// follow this hub: it says everything again where it does.
func (h *Hub) report(r desired.Reports) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.hosts[r.Host]
	if r.Epoch != h.epoch || x == nil {
		return false
	}
	x.hear()
	judged := map[Thing]bool{}
	for _, layer := range r.Complete {
		x.complete[layer] = true
		for c := range x.reports { // what it no longer speaks of may have been up
			if c.layer == layer {
				delete(x.reports, c)
				judged[c.thing] = true
			}
		}
		h.concerned(r.Host, layer, judged)
	}
	for _, report := range r.Reports {
		c := claim{Thing{report.Kind, report.ID}, report.Layer}
		if report.Gone {
			delete(x.reports, c)
		} else {
			report.Reason = bounded(report.Reason)
			x.reports[c] = report
		}
		judged[c.thing] = true
		if report.Kind == desired.KindRouter {
			judged[Thing{desired.KindRouterMove, report.ID}] = true
		}
	}
	for thing := range judged {
		h.judge(thing)
	}
	return true
}

// maxReason is how many bytes of a host's reason are kept. A tool that refuses something may repeat all of it, and what a
// database refuses to keep would hold up all statuses that are written with it.
const maxReason = 1000

func bounded(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	return strings.ToValidUTF8(reason[:maxReason], "") + " …"
}

// concerned adds the things that a host has the say about in a layer.
func (h *Hub) concerned(host, layer string, things map[Thing]bool) {
	switch layer {
	case desired.LayerL2:
		for network := range h.index.hostNetworks[host] {
			for id := range h.index.portsOfNetwork[network] {
				if h.index.ports[id].Host == host {
					things[Thing{desired.KindPort, id}] = true
				}
			}
		}
	case desired.LayerL3:
		for id := range h.index.hostRouters[host] {
			things[Thing{desired.KindRouter, id}] = true
			things[Thing{desired.KindRouterMove, id}] = true
			for _, f := range h.index.routers[id].FloatingIPs {
				things[Thing{desired.KindFloatingIP, f.ID}] = true
			}
		}
	}
}

// judge compares a thing's status with what hosts report, and has a change written.
func (h *Hub) judge(thing Thing) {
	have, there := h.verdicts.statuses[thing]
	now, known := h.found(thing)
	delete(h.verdicts.pending, thing)
	delete(h.verdicts.waiting, thing)
	switch {
	case !there || !known || now.Status == have:
		// There is nothing to say.
	case now.away && have.Reason != "":
		// Whoever gave the reason knows more.
	case !now.sure && (have.Status == active || have.Reason != "" && !strings.HasPrefix(have.Reason, waitingFor)):
		// The host that knows has not spoken yet: what was true goes on, traffic too.
	case now.waiting && now.Status.Status == have.Status:
		h.verdicts.waiting[thing] = true
	default:
		h.want(thing, now.Status)
	}
	if thing.Kind == desired.KindPort {
		h.share(thing)
	}
}

// want has a status written.
func (h *Hub) want(thing Thing, status Status) {
	h.verdicts.pending[thing] = status
	select {
	case h.flush <- struct{}{}:
	default:
	}
}

// patience is how long a thing waits for its hosts before the API says so.
const patience = 2 * time.Second

// sayWaiting writes what waits.
func (h *Hub) sayWaiting() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for thing := range h.verdicts.waiting {
		have := h.verdicts.statuses[thing]
		if now, known := h.found(thing); known && now.Status != have && (!now.away || have.Reason == "") {
			h.want(thing, now.Status)
		}
	}
	clear(h.verdicts.waiting)
	h.shareAgain()
}

// maxStatuses bounds the statuses that are written at once.
const maxStatuses = 500

// writeStatuses writes changed statuses in batches, and tries again what could not be written. What was
// written comes back by the journal, in the order of the commits; nothing is taken for granted before.
func (h *Hub) writeStatuses(ctx context.Context) {
	tick := time.NewTicker(patience)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			h.sayWaiting()
			continue
		case <-h.flush:
		}
		told := h.takeTelling()
		batch := h.takePending()
		if len(batch) == 0 && len(told) == 0 {
			continue
		}
		changes := make([]StatusChange, 0, len(batch))
		for thing, status := range batch {
			changes = append(changes, StatusChange{Thing: thing, Status: status})
		}
		h.sign(changes)
		err := h.sink.SetStatus(ctx, changes, told)
		if err == nil || ctx.Err() != nil {
			continue
		}
		h.log.Error("statuses could not be written; trying again", "changes", len(changes), "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		h.putBack(batch, told)
	}
}

// sign names the requests because of which things change.
func (h *Hub) sign(changes []StatusChange) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, ch := range changes {
		changes[i].Request = h.verdicts.made[ch.Thing]
	}
}

// takePending takes some of what is to be written.
func (h *Hub) takePending() map[Thing]Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.verdicts.pending) <= maxStatuses {
		batch := h.verdicts.pending
		h.verdicts.pending = map[Thing]Status{}
		return batch
	}
	batch := map[Thing]Status{}
	for thing, status := range h.verdicts.pending {
		if len(batch) == maxStatuses {
			break
		}
		batch[thing] = status
		delete(h.verdicts.pending, thing)
	}
	select { // the rest
	case h.flush <- struct{}{}:
	default:
	}
	return batch
}

// putBack judges again what could not be written.
func (h *Hub) putBack(batch map[Thing]Status, told map[string][]Served) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for thing := range batch {
		h.judge(thing)
	}
	for id := range told {
		h.share(Thing{desired.KindPort, id})
	}
}
