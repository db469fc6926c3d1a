package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"sync"
	"time"

	"neutrino/desired"
)

const (
	silence      = 30 * time.Second // how long a stream may be silent before it is taken for dead: thrice the server's ping
	maxLine      = 16 << 20         // bytes of one message of the stream
	minDial      = minBackoff       // between two attempts to reach a server
	maxDial      = 2 * time.Second
	maxComplaint = 200 // bytes of a server's error that are logged
)

// follower follows the stream of one server after another.
type follower struct {
	agent   *Agent
	silence time.Duration
	cache   *cache // nil: the state is not kept

	mu     sync.Mutex
	have   known
	server string        // that is followed now; "": none
	held   bool          // have is the kept state, and the managers have not got it
	news   chan struct{} // the state is another than the kept one

	withheld bool      // the managers have not got, or have given up, what may be on other hosts
	heard    time.Time // when a server has said something last
}

// known is a complete state, and where it is from.
type known struct {
	epoch    string
	revision int64 // -1: nothing is known
	items    map[desired.Key]desired.Item
}

func newFollower(a *Agent) *follower {
	return &follower{agent: a, silence: silence, heard: time.Now(), have: known{revision: -1, items: map[desired.Key]desired.Item{}}, news: make(chan struct{}, 1)}
}

// run follows until the context ends.
func (f *follower) run(ctx context.Context) {
	backoff := minDial
	for i := 0; ctx.Err() == nil; i++ {
		server := f.agent.options.Servers[i%len(f.agent.options.Servers)]
		synced, err := f.follow(ctx, server)
		f.follows("")
		f.agent.metrics.connected.Set(0)
		if ctx.Err() != nil {
			return
		}
		if synced {
			backoff = minDial
		}
		f.agent.log.Warn("stream lost; dialling again", "server", server, "after", backoff.String(), "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(jitter(backoff)):
		}
		backoff = min(2*backoff, maxDial)
	}
}

func (f *follower) follows(server string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.server = server
}

// errSilent is why a stream without pings ends.
var errSilent = errors.New("the server is silent")

// follow reads one stream to its end, and says whether it brought a complete state.
func (f *follower) follow(ctx context.Context, server string) (synced bool, err error) {
	var beats sync.WaitGroup
	defer beats.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(f.silence, func() { cancel(errSilent) })
	defer watchdog.Stop()
	body, err := f.dial(ctx, server)
	if err != nil {
		return false, reason(ctx, err)
	}
	defer func() { _ = body.Close() }()
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	b := newBatch("")
	for lines.Scan() {
		watchdog.Reset(f.silence)
		f.hear()
		var m desired.Message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			if errors.Is(err, desired.ErrUnknownKind) {
				f.agent.metrics.unknown.Inc()
				f.agent.log.Debug("message passed over", "error", err)
				continue
			}
			return synced, fmt.Errorf("the server's stream makes no sense: %w", err)
		}
		done, err := b.add(m)
		if err != nil {
			return synced, err
		}
		if m.Type == desired.Hello {
			f.agent.metrics.connected.Set(1)
			f.follows(server)
			f.agent.reports.greet(server, m.Epoch)
			beats.Go(func() { f.beat(ctx, cancel, server, m.Epoch) })
			f.agent.log.Info("following", "server", server, "epoch", m.Epoch)
		}
		if done {
			if err := f.synced(b); err != nil {
				return synced, err
			}
			synced = true
			b = newBatch(b.epoch)
		}
	}
	return synced, reason(ctx, errors.Join(lines.Err(), io.ErrUnexpectedEOF))
}

// reason is why a context ended, when it did.
func reason(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// dial asks a server for the host's stream.
func (f *follower) dial(ctx context.Context, server string) (io.ReadCloser, error) {
	f.mu.Lock()
	query := url.Values{"host": {f.agent.options.Host}, "epoch": {f.have.epoch}, "revision": {strconv.FormatInt(f.have.revision, 10)}}
	f.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/agent/v1/stream?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+f.agent.options.Secret)
	resp, err := f.agent.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxComplaint))
		_ = resp.Body.Close()
		return nil, fmt.Errorf("the server answers %s: %q", resp.Status, text)
	}
	return resp.Body, nil
}

// batch is what has come since the last Synced.
type batch struct {
	epoch    string // of this stream
	revision int64
	snapshot bool
	items    map[desired.Key]desired.Item // nil: deleted
	requests map[desired.Key]string       // what made the changes, where known
}

func newBatch(epoch string) batch {
	return batch{epoch: epoch, items: map[desired.Key]desired.Item{}, requests: map[desired.Key]string{}}
}

// add takes a message, and says whether the batch is whole.
func (b *batch) add(m desired.Message) (whole bool, err error) {
	if (m.Type == desired.Hello) != (b.epoch == "") {
		return false, fmt.Errorf("the server's stream has a %s at the wrong place", m.Type)
	}
	switch m.Type {
	case desired.Hello:
		if m.Version > desired.Protocol+1 {
			return false, fmt.Errorf("the server speaks version %d of the protocol, this agent %d: update the agent", m.Version, desired.Protocol)
		}
		b.epoch = m.Epoch
	case desired.Snapshot:
		b.snapshot, b.items, b.requests = true, map[desired.Key]desired.Item{}, map[desired.Key]string{}
	case desired.Put:
		b.note(m.Item.Key(), m.Item, m.Request)
	case desired.Delete:
		b.note(*m.Key, nil, m.Request)
	case desired.Synced:
		b.revision = m.Revision
		return true, nil
	}
	return false, nil
}

func (b *batch) note(key desired.Key, item desired.Item, request string) {
	b.items[key] = item
	if request != "" {
		b.requests[key] = request
	}
}

// synced takes a whole batch over and hands on what it changes. A snapshot ends what is not in it.
func (f *follower) synced(b batch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !b.snapshot && (f.have.revision < 0 || f.have.epoch != b.epoch) {
		return errors.New("the server goes on from a state that this host does not have")
	}
	if b.snapshot {
		for key := range f.have.items {
			if _, still := b.items[key]; !still {
				b.items[key] = nil
			}
		}
	}
	changes := map[desired.Key]desired.Item{}
	for key, item := range b.items {
		if before, there := f.have.items[key]; there && reflect.DeepEqual(before, item) || !there && item == nil {
			continue
		}
		changes[key] = item
		if item == nil {
			delete(f.have.items, key)
		} else {
			f.have.items[key] = item
		}
	}
	f.have.epoch, f.have.revision = b.epoch, b.revision
	f.agent.metrics.items.Set(float64(len(f.have.items)))
	if f.held || f.withheld {
		f.held, f.withheld = false, false
		all := maps.Clone(f.have.items)
		for key, item := range changes {
			if item == nil {
				all[key] = nil
			}
		}
		changes = all
	}
	f.agent.deliver(changes, b.requests)
	select {
	case f.news <- struct{}{}:
	default:
	}
	return nil
}
