package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Change names a row that a transaction changed.
type Change struct {
	Kind string // resource name
	ID   string
}

// Entry is a committed Change with its place in the journal. Revisions grow in commit order: who
// has read revision N has seen everything that was committed before it.
type Entry struct {
	Revision int64
	Change
	Request string // id of the API request that made it; "": none did
}

type requestKey struct{}

// maxRequest is how many bytes of a request's id the journal keeps.
const maxRequest = 64

// WithRequest gives a context whose transactions journal their changes as made by that request, for logs.
func WithRequest(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, id[:min(len(id), maxRequest)])
}

// RequestOf is the id that WithRequest gave; "" for none.
func RequestOf(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// journal tells readers in this program that there is something new.
type journal struct {
	mu      sync.Mutex
	changed chan struct{}
	seen    int64 // the newest revision that readers were told of

	polling bool // others' changes are followed, from the first reader on
	ctx     context.Context
	cancel  context.CancelFunc
	polls   sync.WaitGroup
}

// pollEvery is how often a database that others write to is asked for their changes.
const pollEvery = 75 * time.Millisecond

func (j *journal) start() {
	j.changed = make(chan struct{})
	j.ctx, j.cancel = context.WithCancel(context.Background())
}

func (j *journal) stop() {
	j.cancel()
	j.polls.Wait()
}

// wake tells readers of everything up to head.
func (j *journal) wake(head int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if head <= j.seen {
		return
	}
	j.seen = head
	close(j.changed)
	j.changed = make(chan struct{})
}

// Changed gives a channel that is closed after the next commit with journal entries, by this program
// or, on a database server, by another a moment later. Take it before reading the journal, so that
// nothing slips between.
func (db *DB) Changed() <-chan struct{} {
	j := &db.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	if db.dialect.shared && !j.polling && j.ctx.Err() == nil {
		j.polling = true
		j.polls.Go(db.follow)
	}
	return j.changed
}

// follow asks for the changes of other programs until the database is closed. While it can't be asked
// there is nothing to tell; what comes back is told.
func (db *DB) follow() {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-db.journal.ctx.Done():
			return
		case <-tick.C:
		}
		var head int64
		if err := db.reader.QueryRowContext(db.journal.ctx, "SELECT revision FROM journal_head WHERE id = 1").Scan(&head); err == nil {
			db.journal.wake(head)
		}
	}
}

// Change journals that a row of that kind was created, changed or deleted in this transaction. The
// same row is journaled once.
func (tx *Tx) Change(kind, id string) {
	c := Change{Kind: kind, ID: id}
	for _, have := range tx.changes {
		if have == c {
			return
		}
	}
	tx.changes = append(tx.changes, c)
}

// journalBatch is how many entries one statement writes.
const journalBatch = 20

// write runs fn and adds its journal entries as the last statements. With one writing transaction at a time the
// order of revisions is the order of commits. The head is moved once for all of the group.
func (tx *Tx) write(fn func(tx *Tx) error) error {
	if err := fn(tx); err != nil {
		return err
	}
	if len(tx.changes) == 0 {
		return nil
	}
	g := tx.group
	if !g.hasHead {
		head, err := tx.Head()
		if err != nil {
			return fmt.Errorf("read the journal's head: %w", err)
		}
		tx.head, g.head, g.was, g.hasHead = head, head, head, true
	}
	request := RequestOf(tx.ctx)
	for rest := tx.changes; len(rest) > 0; {
		batch := rest[:min(len(rest), journalBatch)]
		rest = rest[len(batch):]
		args := make([]any, 0, 4*len(batch))
		for _, c := range batch {
			tx.head++
			args = append(args, tx.head, c.Kind, c.ID, request)
		}
		if _, err := tx.Exec("INSERT INTO journal (revision, kind, id, request) VALUES (?, ?, ?, ?)"+strings.Repeat(", (?, ?, ?, ?)", len(batch)-1), args...); err != nil {
			return fmt.Errorf("journal %d changes: %w", len(batch), err)
		}
	}
	return nil
}

// Head is the newest revision; 0 for an empty journal.
func (db *DB) Head(ctx context.Context) (int64, error) {
	var head int64
	err := db.View(ctx, func(tx *Tx) error {
		var err error
		head, err = tx.Head()
		return err
	})
	return head, err
}

// Head is the newest revision that this transaction sees.
func (tx *Tx) Head() (int64, error) {
	if tx.group != nil && tx.group.hasHead {
		return tx.group.head, nil
	}
	var head int64
	_, err := tx.One([]any{&head}, "SELECT revision FROM journal_head WHERE id = 1")
	return head, err
}

// Read gives up to limit entries after a revision, oldest first.
func (db *DB) Read(ctx context.Context, after int64, limit int) ([]Entry, error) {
	var entries []Entry
	err := db.View(ctx, func(tx *Tx) error {
		return tx.Each(func(rows *sql.Rows) error {
			var e Entry
			if err := rows.Scan(&e.Revision, &e.Kind, &e.ID, &e.Request); err != nil {
				return err
			}
			entries = append(entries, e)
			return nil
		}, "SELECT revision, kind, id, request FROM journal WHERE revision > ? ORDER BY revision LIMIT ?", after, limit)
	})
	return entries, err
}

// Oldest is the oldest revision that is still kept; a reader that needs an older one rebuilds from
// a full listing. It is 0 for an empty journal.
func (db *DB) Oldest(ctx context.Context) (int64, error) {
	var oldest int64
	err := db.View(ctx, func(tx *Tx) error {
		_, err := tx.One([]any{&oldest}, "SELECT COALESCE(MIN(revision), 0) FROM journal")
		return err
	})
	return oldest, err
}

// Trim forgets entries but the newest keep ones. The last entry always stays.
func (db *DB) Trim(ctx context.Context, keep int64) error {
	return db.Update(ctx, func(tx *Tx) error {
		head, err := tx.Head()
		if err != nil {
			return err
		}
		_, err = tx.Exec("DELETE FROM journal WHERE revision <= ?", head-max(keep, 1))
		return err
	})
}
