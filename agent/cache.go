package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"time"

	"neutrino/desired"
)

// cache is the file with the last complete state, so that an agent that starts while no server answers
// still knows what its host should look like. The first line says whose state it is; the others are a
// stream of Hello, Snapshot, items and Synced, without which the file is cut short.
type cache struct {
	file string
	host string
	boot string // of the host now
	log  *slog.Logger
}

// owner is the file's first line.
type owner struct {
	Host string `json:"host"`
	Boot string `json:"boot,omitempty"` // of the host when the file was written
}

// write replaces the file.
func (c *cache) write(k known) (err error) {
	temporary := c.file + ".new"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary))
		}
	}()
	out := bufio.NewWriter(file)
	encoder := json.NewEncoder(out)
	err = errors.Join(encoder.Encode(owner{c.host, c.boot}),
		encoder.Encode(desired.Message{Type: desired.Hello, Version: desired.Protocol, Epoch: k.epoch}),
		encoder.Encode(desired.Message{Type: desired.Snapshot}))
	for _, item := range k.items {
		if err != nil {
			break
		}
		err = encoder.Encode(desired.Message{Type: desired.Put, Item: item})
	}
	err = errors.Join(err, encoder.Encode(desired.Message{Type: desired.Synced, Revision: k.revision}), out.Flush(), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	return os.Rename(temporary, c.file)
}

// read gives what write wrote, and whether the host was booted since; fs.ErrNotExist when there is none. A file that is cut short, spoilt or of
// another host is an error.
func (c *cache) read() (have known, rebooted bool, err error) {
	file, err := os.Open(c.file)
	if err != nil {
		return known{}, false, err
	}
	defer func() { _ = file.Close() }()
	have, boot, err := decodeCache(file, c.host)
	return have, boot != "" && boot != c.boot, err
}

// decodeCache gives the state and the boot in which it was written.
func decodeCache(r io.Reader, host string) (have known, boot string, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	var whose owner
	if !lines.Scan() {
		return known{}, "", errors.Join(errors.New("it is empty"), lines.Err())
	}
	if err := json.Unmarshal(lines.Bytes(), &whose); err != nil {
		return known{}, "", err
	}
	if whose.Host != host {
		return known{}, "", fmt.Errorf("it is of host %q", whose.Host)
	}
	b := newBatch("")
	for lines.Scan() {
		var m desired.Message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			if errors.Is(err, desired.ErrUnknownKind) {
				return known{}, "", fmt.Errorf("it is of a newer release: %w", err) // what is left out could not be told from what is gone
			}
			return known{}, "", err
		}
		whole, err := b.add(m)
		if err != nil {
			return known{}, "", err
		}
		if m.Type == desired.Delete {
			return known{}, "", errors.New("it deletes")
		}
		if whole {
			if !b.snapshot {
				return known{}, "", errors.New("it is no snapshot")
			}
			return known{b.epoch, b.revision, b.items}, whose.Boot, nil
		}
	}
	return known{}, "", errors.Join(errors.New("it is cut short"), lines.Err())
}

// patience is how long an agent that starts waits for a server before it acts on the kept state. The
// kept state may be a second old: acting on it at once could unwire what came since.
const patience = 3 * time.Second

// restore reads the kept state, so that a server can go on from it.
func (f *follower) restore() {
	have, rebooted, err := f.cache.read()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		f.agent.log.Warn("the kept state is of no use; waiting for a server", "file", f.cache.file, "error", err)
		return
	}
	f.have = have
	f.agent.metrics.items.Set(float64(len(have.items)))
	f.held, f.withheld = true, rebooted
	f.agent.log.Info("kept state read", "rebooted", rebooted, "items", len(have.items), "revision", have.revision)
}

// fallBack acts on the kept state when no server has answered in time.
func (f *follower) fallBack(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(patience):
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.held {
		return
	}
	f.held = false
	f.agent.log.Warn("no server answers; going by the kept state", "revision", f.have.revision, "without_routers_and_dhcp", f.withheld)
	f.hand(maps.Clone(f.have.items))
}

// keepEvery is how often the state is written at most.
const keepEvery = time.Second

// keep writes the state soon after it has changed, and once more at the end.
func (f *follower) keep(ctx context.Context) {
	if f.cache == nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			f.save()
			return
		case <-f.news:
			f.save()
		}
		select {
		case <-ctx.Done():
		case <-time.After(keepEvery):
		}
	}
}

func (f *follower) save() {
	f.mu.Lock()
	have := f.have
	have.items = maps.Clone(have.items)
	f.mu.Unlock()
	if have.revision < 0 {
		return
	}
	if err := f.cache.write(have); err != nil {
		f.agent.log.Error("the state could not be kept", "file", f.cache.file, "error", err)
	}
}
