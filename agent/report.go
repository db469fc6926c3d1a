package agent

import (
	"slices"
	"sync"

	"neutrino/desired"
)

// reports are the newest reports of all managers, and which of them the server has not got yet.
type reports struct {
	mu     sync.Mutex
	all    map[reportKey]desired.Report
	dirty  map[reportKey]bool
	looked map[string]bool // managers that have looked at the host: what they have not reported is not there
	told   map[string]bool // those of which the server has got everything
	server string
	epoch  string
	fresh  bool // the server has just been met: it gets a heartbeat
	wake   chan struct{}
}

type reportKey struct {
	kind  desired.Kind
	id    string
	layer string
}

func newReports() *reports {
	return &reports{
		all: map[reportKey]desired.Report{}, dirty: map[reportKey]bool{},
		looked: map[string]bool{}, told: map[string]bool{}, wake: make(chan struct{}, 1),
	}
}

func (r *reports) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// put notes what a manager reports after it has looked; what says nothing new is not sent again.
func (r *reports) put(manager string, list []desired.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, report := range list {
		key := reportKey{report.Kind, report.ID, report.Layer}
		have, there := r.all[key]
		switch {
		case report.Gone && !there, !report.Gone && there && have == report:
			continue
		case report.Gone:
			delete(r.all, key)
		default:
			r.all[key] = report
		}
		r.dirty[key] = true
	}
	if len(r.dirty) > 0 || !r.looked[manager] {
		r.looked[manager] = true
		r.poke()
	}
}

// greet notes which server is followed: it gets all reports and a heartbeat at once.
func (r *reports) greet(server, epoch string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.server, r.epoch = server, epoch
	r.again()
}

// lost notes that the server did not get what was taken.
func (r *reports) lost() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.again()
}

func (r *reports) again() {
	r.fresh, r.told = true, map[string]bool{}
	for key := range r.all {
		r.dirty[key] = true
	}
	r.poke()
}

// take gives what to send, and whether a heartbeat is due; the server is "" while there is none. A
// layer is told completely when its manager has looked for the first time: a host that has only begun
// must not seem to have nothing, and no manager waits for another.
func (r *reports) take() (server string, out desired.Reports, heartbeat bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server == "" {
		return "", out, false
	}
	out.Epoch = r.epoch
	heartbeat, r.fresh = r.fresh, false
	for manager := range r.looked {
		if !r.told[manager] {
			r.told[manager] = true
			out.Complete = append(out.Complete, manager)
		}
	}
	slices.Sort(out.Complete)
	for key, report := range r.all {
		if slices.Contains(out.Complete, key.layer) {
			out.Reports = append(out.Reports, report)
		}
	}
	for key := range r.dirty {
		if slices.Contains(out.Complete, key.layer) {
			continue
		}
		report, there := r.all[key]
		if !there {
			report = desired.Report{Kind: key.kind, ID: key.id, Layer: key.layer, Gone: true}
		}
		out.Reports = append(out.Reports, report)
	}
	clear(r.dirty)
	return r.server, out, heartbeat
}
