package agent

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"neutrino/desired"
)

// reports are the newest reports of all managers, and which of them the server has not got yet.
type reports struct {
	mu     sync.Mutex
	all    map[reportKey]desired.Report
	since  map[reportKey]time.Time // when they began to say so
	dirty  map[reportKey]bool
	looked map[string]bool // managers that have looked at the host: what they have not reported is not there
	told   map[string]bool // those of which the server has got everything
	server string
	epoch  string
	fresh  bool            // the server has just been met: it gets a heartbeat
	stay   context.Context // ends when another server is greeted
	leave  context.CancelFunc
	wake   chan struct{}
}

type reportKey struct {
	kind  desired.Kind
	id    string
	layer string
}

func newReports() *reports {
	return &reports{
		all: map[reportKey]desired.Report{}, since: map[reportKey]time.Time{}, dirty: map[reportKey]bool{},
		looked: map[string]bool{}, told: map[string]bool{}, wake: make(chan struct{}, 1),
	}
}

func (r *reports) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// put notes what a manager reports after it has looked, and gives what is new; what says nothing new is not sent
// again.
func (r *reports) put(manager string, list []desired.Report) (news []desired.Report) {
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
			delete(r.since, key)
		default:
			if !there || have.Up != report.Up || have.Reason != report.Reason {
				r.since[key] = time.Now()
			}
			r.all[key] = report
		}
		r.dirty[key] = true
		news = append(news, report)
	}
	if len(r.dirty) > 0 || !r.looked[manager] {
		r.looked[manager] = true
		r.poke()
	}
	return news
}

// waits says whether a layer has something that is not up yet.
func (r *reports) waits(layer string, key desired.Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	report, there := r.all[reportKey{key.Kind, key.ID, layer}]
	return there && !report.Up
}

// greet notes which server is followed: it gets all reports and a heartbeat at once.
func (r *reports) greet(server, epoch string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leave != nil {
		r.leave()
	}
	r.server, r.epoch = server, epoch
	r.stay, r.leave = context.WithCancel(context.Background())
	r.again()
}

// staying is a context that ends with ctx, and when another server is greeted: nothing on its way to the one before keeps
// the new one waiting.
func (r *reports) staying(ctx context.Context) (context.Context, context.CancelFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	if r.stay == nil {
		return ctx, cancel
	}
	stop := context.AfterFunc(r.stay, cancel)
	return ctx, func() { stop(); cancel() }
}

// followed is the server that was greeted last; "" is none.
func (r *reports) followed() (server, epoch string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.server, r.epoch
}

// beat makes a heartbeat due.
func (r *reports) beat() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fresh = true
	r.poke()
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

// say logs what became of things. With the id of the API request one search of all logs shows the way of a change
// from the call to the host; what nobody asked for just now (a restart finds a thousand ports) is only said with
// --verbose, unless it does not work.
func (a *Agent) say(layer string, news []desired.Report, made map[desired.Key]string) {
	for _, r := range news {
		request := made[desired.Key{Kind: r.Kind, ID: r.ID}]
		if r.Kind == desired.KindFloatingIP { // it came inside of its router's item
			request = sole(made)
		}
		text, level, words := string(r.Kind)+" is up", slog.LevelInfo, []any{"id", r.ID, "layer", layer}
		switch {
		case r.Gone:
			text = string(r.Kind) + " is gone"
		case !r.Up:
			text, words = string(r.Kind)+" is not up", append(words, "reason", r.Reason)
		}
		if request == "" && (r.Up || r.Gone) {
			level = slog.LevelDebug
		}
		if request != "" {
			words = append(words, "request_id", request)
		}
		a.log.Log(context.Background(), level, text, words...)
	}
}

// sole is the request that made all of the changes; "" when there were several.
func sole(made map[desired.Key]string) string {
	found := ""
	for _, request := range made {
		if found != "" && found != request {
			return ""
		}
		found = request
	}
	return found
}
