package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"neutrino/desired"
)

// Socket is where in its state directory an agent serves the host's own tools.
const Socket = "agent.sock"

// serveLocal listens on the socket. The state directory, which only the agent's user may enter, keeps others away.
func (a *Agent) serveLocal() (stop func(), err error) {
	if a.options.Local == nil || a.options.StateDir == "" {
		return func() {}, nil
	}
	path := filepath.Join(a.options.StateDir, Socket)
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("another agent serves %s: two agents with one state directory would fight", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the socket of an agent before: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for the host's own tools: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close()
		return nil, err
	}
	web := &http.Server{
		Handler: a.options.Local(a), ReadHeaderTimeout: 5 * time.Second,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("the host's own tools are not served any more", "error", err)
		}
	}()
	return func() {
		_ = web.Close()
		<-done
	}, nil
}

// Kept reads the state that an agent keeps in its state directory, for when it does not run. The error is
// fs.ErrNotExist when it never had any.
func Kept(stateDir, host string) (items map[desired.Key]desired.Item, revision int64, err error) {
	c := cache{file: filepath.Join(stateDir, "desired.json"), host: host}
	have, _, err := c.read()
	return have.items, have.revision, err
}

// Desired is what the server wants of this host, as far as the agent has heard, and the revision that it is of; -1
// when it has heard nothing yet. While routers and DHCP are withheld, for they may be on other hosts by now, they are
// left out. The items are shared and never changed.
func (a *Agent) Desired() (items map[desired.Key]desired.Item, revision int64, withheld bool) {
	f := a.follower
	f.mu.Lock()
	defer f.mu.Unlock()
	items = maps.Clone(f.have.items)
	if f.withheld {
		maps.DeleteFunc(items, func(_ desired.Key, item desired.Item) bool { return movable(item, a.options.Host) })
	}
	return items, f.have.revision, f.withheld
}

// Following names the server that the agent follows; "" while there is none.
func (a *Agent) Following() string {
	a.follower.mu.Lock()
	defer a.follower.mu.Unlock()
	return a.follower.server
}

// Told is a report with the time since when it says that.
type Told struct {
	desired.Report
	Since time.Time `json:"since"`
}

// Told lists what the managers report now.
func (a *Agent) Told() []Told {
	r := a.reports
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Told, 0, len(r.all))
	for key, report := range r.all {
		out = append(out, Told{report, r.since[key]})
	}
	return out
}

// Look has every manager look at everything now, and returns when all have. The errors are those of managers that
// could not; they try again by themselves.
func (a *Agent) Look(ctx context.Context) error {
	done := make(chan error, len(a.boxes))
	for i, box := range a.boxes {
		select {
		case box.looks <- done:
		case <-ctx.Done():
			return fmt.Errorf("manager %s is busy: %w", a.managers[i].Name(), ctx.Err())
		}
	}
	var failed error
	for range a.boxes {
		select {
		case err := <-done:
			failed = errors.Join(failed, err)
		case <-ctx.Done():
			return errors.Join(failed, ctx.Err())
		}
	}
	return failed
}
