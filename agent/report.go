package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"neutrino/desired"
)

// reports are the newest reports of all managers, and which of them the server has not got yet.
type reports struct {
	mu     sync.Mutex
	all    map[reportKey]desired.Report
	dirty  map[reportKey]bool
	server string
	epoch  string
	full   bool // the server must get all of them
	fresh  bool // the server has just been met: it gets a heartbeat
	wait   int  // managers that have not looked at the host yet: till then nothing is known to be true
	wake   chan struct{}
}

type reportKey struct {
	kind  desired.Kind
	id    string
	layer string
}

func newReports(managers int) *reports {
	return &reports{wait: managers, all: map[reportKey]desired.Report{}, dirty: map[reportKey]bool{}, wake: make(chan struct{}, 1)}
}

func (r *reports) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// put notes reports; those that say nothing new are not sent again.
func (r *reports) put(list []desired.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, report := range list {
		key := reportKey{report.Kind, report.ID, report.Layer}
		have, there := r.all[key]
		switch {
		case report.Gone && !there:
			continue
		case report.Gone:
			delete(r.all, key)
		case there && have == report:
			continue
		default:
			r.all[key] = report
		}
		r.dirty[key] = true
	}
	if len(r.dirty) > 0 {
		r.poke()
	}
}

// greet notes which server is followed: it gets all reports and a heartbeat at once.
func (r *reports) greet(server, epoch string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.server, r.epoch, r.full, r.fresh = server, epoch, true, true
	r.poke()
}

// looked notes that one more manager has looked at the host.
func (r *reports) looked() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wait--
	r.poke()
}

// take gives what to send, and whether a heartbeat is due. The first reports go out when every
// manager has looked: a host that has only begun must not seem to have nothing.
func (r *reports) take() (server string, out desired.Reports, heartbeat bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	heartbeat, r.fresh = r.fresh, false
	out.Epoch = r.epoch
	if r.wait > 0 {
		return r.server, out, heartbeat
	}
	out.Full = r.full
	if r.full {
		for _, report := range r.all {
			out.Reports = append(out.Reports, report)
		}
	} else {
		for key := range r.dirty {
			report, there := r.all[key]
			if !there {
				report = desired.Report{Kind: key.kind, ID: key.id, Layer: key.layer, Gone: true}
			}
			out.Reports = append(out.Reports, report)
		}
	}
	r.full, r.dirty = false, map[reportKey]bool{}
	return r.server, out, heartbeat
}

// lost notes that the server did not get what was taken.
func (r *reports) lost() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.full, r.fresh = true, true
}

// coalesce is how long reports are collected before they are sent.
const coalesce = 5 * time.Millisecond

// tell sends reports when there are new ones, and heartbeats.
func (a *Agent) tell(ctx context.Context) {
	beat := time.NewTicker(a.options.Heartbeat)
	defer beat.Stop()
	for {
		heartbeat := false
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			heartbeat = true
		case <-a.reports.wake:
			time.Sleep(coalesce)
		}
		server, out, fresh := a.reports.take()
		if server == "" {
			a.reports.lost()
			continue
		}
		out.Host = a.options.Host
		if (heartbeat || fresh) && a.options.Describe != nil {
			out.Agents = a.options.Describe()
		}
		if len(out.Agents) == 0 && len(out.Reports) == 0 && !out.Full {
			continue
		}
		if err := a.send(ctx, server, out); err != nil && ctx.Err() == nil {
			a.log.Warn("reports could not be sent", "server", server, "error", err)
			a.reports.lost()
			time.AfterFunc(time.Second, a.reports.poke)
		}
	}
}

func (a *Agent) send(ctx context.Context, server string, out desired.Reports) error {
	body, err := json.Marshal(out)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server+"/agent/v1/reports", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.options.Secret)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the server answers %s", resp.Status)
	}
	return nil
}
