package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"neutrino/desired"
)

// silence is how long a stream may be silent before it is taken for dead: thrice the server's ping.
const silence = 30 * time.Second

// maxLine bounds one message of the stream.
const maxLine = 16 << 20

// follower follows the stream of one server after another.
type follower struct {
	agent    *Agent
	cache    string
	epoch    string
	revision int64
	have     map[desired.Key]desired.Item
	saved    time.Time
}

// run follows until the context ends.
func (f *follower) run(ctx context.Context) {
	if f.have == nil {
		f.have = map[desired.Key]desired.Item{}
		f.revision = -1
	}
	backoff := minBackoff
	for i := 0; ctx.Err() == nil; i++ {
		server := f.agent.options.Servers[i%len(f.agent.options.Servers)]
		began := time.Now()
		err := f.follow(ctx, server)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > time.Minute {
			backoff = minBackoff
		}
		f.agent.log.Warn("stream lost; dialling again", "server", server, "after", backoff.String(), "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(jitter(backoff)):
		}
		backoff = min(2*backoff, 2*time.Second)
	}
	f.save()
}

// follow reads one stream to its end.
func (f *follower) follow(ctx context.Context, server string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	query := url.Values{"host": {f.agent.options.Host}, "epoch": {f.epoch}, "revision": {strconv.FormatInt(f.revision, 10)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/agent/v1/stream?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+f.agent.options.Secret)
	watchdog := time.AfterFunc(silence, cancel)
	defer watchdog.Stop()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return fmt.Errorf("the server answers %s: %s", resp.Status, text)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	batch := map[desired.Key]desired.Item{}
	snapshot := false
	for lines.Scan() {
		watchdog.Reset(silence)
		var m desired.Message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			if errors.Is(err, desired.ErrUnknownKind) {
				f.agent.log.Debug("item passed over", "error", err)
				continue
			}
			return fmt.Errorf("the server's stream makes no sense: %w", err)
		}
		switch m.Type {
		case desired.Hello:
			f.epoch = m.Epoch
			f.agent.reports.greet(server, m.Epoch)
			f.agent.log.Info("following", "server", server, "epoch", m.Epoch)
		case desired.Snapshot:
			snapshot = true
		case desired.Put:
			batch[m.Item.Key()] = m.Item
		case desired.Delete:
			batch[*m.Key] = nil
		case desired.Synced:
			f.synced(batch, snapshot, m.Revision)
			batch, snapshot = map[desired.Key]desired.Item{}, false
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// synced takes a whole batch over. A snapshot ends what is not in it.
func (f *follower) synced(batch map[desired.Key]desired.Item, snapshot bool, revision int64) {
	if snapshot {
		for key := range f.have {
			if _, still := batch[key]; !still {
				batch[key] = nil
			}
		}
	}
	for key, item := range batch {
		if item == nil {
			delete(f.have, key)
		} else {
			f.have[key] = item
		}
	}
	f.revision = revision
	f.agent.deliver(batch)
	if time.Since(f.saved) > 5*time.Second {
		f.save()
	}
}

// save writes the last known state, so that an agent that starts while no server answers still
// knows what its host should look like.
func (f *follower) save() {
	if f.revision < 0 || f.agent.options.StateDir == "" {
		return
	}
	f.saved = time.Now()
	temporary := f.cache + ".new"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		f.agent.log.Warn("the state could not be kept", "error", err)
		return
	}
	out := bufio.NewWriter(file)
	encoder := json.NewEncoder(out)
	for _, item := range f.have {
		err = errors.Join(err, encoder.Encode(desired.Message{Type: desired.Put, Item: item}))
	}
	err = errors.Join(err, encoder.Encode(desired.Message{Type: desired.Synced, Epoch: f.epoch, Revision: f.revision}), out.Flush(), file.Close())
	if err == nil {
		err = os.Rename(temporary, f.cache)
	}
	if err != nil {
		f.agent.log.Warn("the state could not be kept", "error", err)
	}
}

// restore reads what save wrote. A file that is cut short or spoilt is as good as none.
func (f *follower) restore() {
	file, err := os.Open(f.cache)
	if err != nil {
		return
	}
	defer func() { _ = file.Close() }()
	have := map[desired.Key]desired.Item{}
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for lines.Scan() {
		var m desired.Message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			if errors.Is(err, desired.ErrUnknownKind) {
				continue
			}
			f.agent.log.Warn("the kept state is spoilt; waiting for a server", "file", f.cache, "error", err)
			return
		}
		switch m.Type {
		case desired.Put:
			have[m.Item.Key()] = m.Item
		case desired.Synced:
			f.have, f.epoch, f.revision = have, m.Epoch, m.Revision
			f.agent.log.Info("kept state read", "items", len(have), "revision", m.Revision)
			f.agent.deliver(have)
			return
		}
	}
}
