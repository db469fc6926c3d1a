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
	if err := r.compact(now); err != nil {
		return nil, err
	}
	return r, nil
}

// compact drops what has expired, here and in the file.
func (r *revocations) compact(now time.Time) error {
	err := locked(r.stateDir, func() error {
		if err := r.reload(); err != nil {
			return err
		}
		return writeFile(r.path, r.prune(now))
	})
	if err != nil {
		return fmt.Errorf("keep revoked tokens: %w", err)
	}
	return nil
}

// reload reads the file again, for another server may have written to it.
func (r *revocations) reload() error {
	data, err := os.ReadFile(r.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	data = data[:wholeLines(data)]
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
		data, err := os.ReadFile(r.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if whole := wholeLines(data); whole < len(data) {
			if err := os.Truncate(r.path, int64(whole)); err != nil {
				return err
			}
		}
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

// wholeLines is the length of data without an unfinished last line: one that a crash cut short was
// never promised to anybody, and one that is being written comes with the next reading.
func wholeLines(data []byte) int { return bytes.LastIndexByte(data, '\n') + 1 }

func (r *revocations) has(auditID string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.until[auditID]
	return ok
}

// prune forgets what has expired and gives the rest as lines of the file.
func (r *revocations) prune(now time.Time) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []byte
	for id, expires := range r.until {
		if expires <= now.Unix() {
			delete(r.until, id)
			continue
		}
		lines = fmt.Appendf(lines, "%s %d\n", id, expires)
	}
	return lines
}
