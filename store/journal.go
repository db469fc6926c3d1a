package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
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
}

// journal tells readers in this process that there is something new; readers in others poll.
type journal struct {
	mu      sync.Mutex
	changed chan struct{}
}

func (j *journal) wake() {
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.changed)
	j.changed = make(chan struct{})
}

// Changed gives a channel that is closed at the next commit with journal entries by this process.
// Take it before reading the journal, so that nothing slips between.
func (db *DB) Changed() <-chan struct{} {
	db.journal.mu.Lock()
	defer db.journal.mu.Unlock()
	return db.journal.changed
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

// writeJournal adds the entries as the transaction's last statements. With SQLite's single writer
// the order of revisions is the order of commits.
func (tx *Tx) writeJournal() error {
	for _, c := range tx.changes {
		if _, err := tx.Exec("INSERT INTO journal (kind, id) VALUES (?, ?)", c.Kind, c.ID); err != nil {
			return fmt.Errorf("journal %s %s: %w", c.Kind, c.ID, err)
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
	var head int64
	_, err := tx.One([]any{&head}, "SELECT COALESCE(MAX(revision), 0) FROM journal")
	return head, err
}

// Read gives up to limit entries after a revision, oldest first.
func (db *DB) Read(ctx context.Context, after int64, limit int) ([]Entry, error) {
	var entries []Entry
	err := db.View(ctx, func(tx *Tx) error {
		return tx.Each(func(rows *sql.Rows) error {
			var e Entry
			if err := rows.Scan(&e.Revision, &e.Kind, &e.ID); err != nil {
				return err
			}
			entries = append(entries, e)
			return nil
		}, "SELECT revision, kind, id FROM journal WHERE revision > ? ORDER BY revision LIMIT ?", after, limit)
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

// Trim forgets entries but the newest keep ones. The last entry always stays, for it holds the head.
func (db *DB) Trim(ctx context.Context, keep int64) error {
	return db.Update(ctx, func(tx *Tx) error {
		_, err := tx.Exec("DELETE FROM journal WHERE revision <= (SELECT MAX(revision) FROM journal) - ?", max(keep, 1))
		return err
	})
}
