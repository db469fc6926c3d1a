package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"neutrino/desired"
)

// maxUnheard is how many beats in a row may find no server until the stream counts as dead, too. With the time
// that a beat may take it is found well before the stream's own silence is.
const maxUnheard = 3

// errUnheard is why a stream ends whose server takes no beats.
var errUnheard = errors.New("the server does not answer")

// beat tells the server of a stream that the host lives, until the stream ends. Nothing that the agent has to do
// keeps it from that. A server of a release without beats is left in peace.
func (f *follower) beat(ctx context.Context, end context.CancelCauseFunc, server, epoch string) {
	a := f.agent
	body, err := json.Marshal(desired.Beat{Host: a.options.Host, Epoch: epoch, Every: a.options.Beat.Seconds()})
	if err != nil {
		a.log.Error("no beats can be sent", "error", err)
		return
	}
	tick := time.NewTicker(a.options.Beat)
	defer tick.Stop()
	for unheard := 0; ; {
		status, err := a.sendBeat(ctx, server, body)
		if err == nil && status >= http.StatusInternalServerError { // it may be a proxy's, of a server that is dead
			err = fmt.Errorf("the answer is %d %s", status, http.StatusText(status))
		}
		switch {
		case ctx.Err() != nil, status == http.StatusNotFound:
			return
		case err != nil:
			a.log.Debug("a beat was not heard", "server", server, "error", err)
			if unheard++; unheard == maxUnheard {
				end(fmt.Errorf("%w: %v", errUnheard, err))
				return
			}
		default:
			unheard = 0
			f.hear()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sendBeat sends one, and gives the answer's status.
func (a *Agent) sendBeat(ctx context.Context, server string, body []byte) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*a.options.Beat)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server+"/agent/v1/beat", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+a.options.Secret)
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxComplaint))
	return resp.StatusCode, err
}

// leaveTime is how long a host that is shutting down tries to say so.
const leaveTime = 2 * time.Second

// leave tells the server that was followed that the machine is shutting down, if it is, so that nobody waits for it
// as for an agent that was only stopped.
func (a *Agent) leave() {
	server, epoch := a.reports.followed()
	if a.options.Leaving == nil || server == "" || !a.options.Leaving() {
		return
	}
	body, err := json.Marshal(desired.Beat{Host: a.options.Host, Epoch: epoch, Every: a.options.Beat.Seconds(), Leaving: true})
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	status, err := a.sendBeat(ctx, server, body)
	a.log.Info("the machine is shutting down", "server", server, "status", status, "error", err)
}
