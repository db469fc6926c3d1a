package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"neutrino/desired"
)

const (
	coalesce = 5 * time.Millisecond // how long reports are collected before they are sent
	minAgain = time.Second          // after reports were not taken
	maxAgain = 10 * time.Second     // all of a cloud's hosts tell all they know then
)

// tell sends reports when there are new ones, and heartbeats.
func (a *Agent) tell(ctx context.Context) {
	beat := time.NewTicker(a.options.Heartbeat)
	defer beat.Stop()
	for backoff := minAgain; ; {
		heartbeat := false
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			heartbeat = true
		case <-a.reports.wake:
			pause(ctx, coalesce)
		}
		if a.tellOnce(ctx, heartbeat, backoff) {
			backoff = minAgain
		} else {
			backoff = min(2*backoff, maxAgain)
		}
	}
}

// tellOnce sends what there is to send. When the server did not take it, it waits and says so; but not for a server that
// is followed no more.
func (a *Agent) tellOnce(ctx context.Context, heartbeat bool, backoff time.Duration) (taken bool) {
	ctx, leave := a.reports.staying(ctx)
	defer leave()
	server, out, fresh := a.reports.take()
	if server == "" {
		return true // it is greeted when there is one
	}
	out.Host = a.options.Host
	if (heartbeat || fresh) && a.options.Describe != nil {
		out.Agents = a.describe()
	}
	if len(out.Agents) == 0 && len(out.Reports) == 0 && len(out.Complete) == 0 {
		return true
	}
	err := a.send(ctx, server, out)
	if err == nil {
		a.metrics.sent.Add(float64(len(out.Reports)))
		return true
	}
	if ctx.Err() == nil {
		a.log.Warn("reports could not be sent; trying again", "server", server, "reports", len(out.Reports), "after", backoff.String(), "error", err)
		pause(ctx, jitter(backoff))
	}
	a.reports.lost()
	return ctx.Err() != nil
}

// pause waits, but not beyond the context's end.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
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
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxComplaint))
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the server answers %s: %q", resp.Status, text)
	}
	return nil
}
