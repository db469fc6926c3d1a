package identity

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// revocations are the tokens that ended before their time, by audit id. They are in a file of lines
// "AUDIT-ID EXPIRES" so that a restart forgets none and several servers on one directory know them all.
type revocations struct {
	stateDir, path string
	mu             sync.RWMutex
	until          map[string]int64
}

// openRevocations reads the file, if any, and drops what has expired from it.
func openRevocations(stateDir, path string, now time.Time) (*revocations, error) {
	r := &revocations{stateDir: stateDir, path: path}
	err := locked(stateDir, func() error {
		if err := r.reload(); err != nil {
			return err
		}
		var b bytes.Buffer
		for id, expires := range r.until {
			if expires > now.Unix() {
				fmt.Fprintf(&b, "%s %d\n", id, expires)
			} else {
				delete(r.until, id)
			}
		}
		return writeFile(path, b.Bytes())
	})
	if err != nil {
		return nil, fmt.Errorf("read revoked tokens: %w", err)
	}
	return r, nil
}

// reload reads the file again, for another server may have written to it.
func (r *revocations) reload() error {
	data, err := os.ReadFile(r.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	until := map[string]int64{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		id, text, _ := strings.Cut(lines.Text(), " ")
		expires, err := strconv.ParseInt(text, 10, 64)
		if err != nil || id == "" {
			return fmt.Errorf("%s: the line %q is not understood", r.path, lines.Text())
		}
		until[id] = expires
	}
	if err := lines.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, expires := range r.until { // revoked here while the file was read
		if _, ok := until[id]; !ok {
			until[id] = expires
		}
	}
	r.until = until
	return nil
}

// add revokes a token, safe on disk when it returns.
func (r *revocations) add(auditID string, expires int64) error {
	err := locked(r.stateDir, func() error {
		f, err := os.OpenFile(r.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(f, "%s %d\n", auditID, expires)
		return errors.Join(err, f.Sync(), f.Close())
	})
	if err != nil {
		return fmt.Errorf("revoke a token: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.until[auditID] = expires
	return nil
}

func (r *revocations) has(auditID string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.until[auditID]
	return ok
}

// prune forgets what has expired.
func (r *revocations) prune(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, expires := range r.until {
		if expires <= now.Unix() {
			delete(r.until, id)
		}
	}
}
