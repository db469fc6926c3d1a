package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// group is a transaction of the database in which writers that would wait for one another run one after another,
// so that they share one claim and one synchronous commit. Each sees what those before it did; one that fails is
// rolled back to its savepoint and takes nobody along; and what any of them was told, also a refusal, counts only
// when the commit has been made. A group that fails is as if it never was: its members run again, each alone.
//
// Who has the turn to write has the group, too.
type group struct {
	db     *DB
	ctx    context.Context // of its statements: ends when nobody is left who waits for the outcome
	cancel context.CancelFunc
	began  time.Time
	sql    *sql.Tx // nil until its first member has begun

	members int
	cares   atomic.Int64  // members whose context has not ended
	ends    []func() bool // of the watching of their contexts

	head    int64 // the journal's newest revision with what the members wrote
	was     int64 // the same at the beginning
	hasHead bool

	failed error         // why it can't be committed
	done   chan struct{} // closed at the end; then err is the outcome
	err    error
}

// A group takes no more members when it has so many, or is so old: the first waits for the last.
const (
	maxMembers = 32 // PostgreSQL keeps 64 savepoints of a transaction close at hand
	maxAge     = 50 * time.Millisecond
)

// errAgain is the outcome for a member of a group that failed.
var errAgain = errors.New("the transaction that it shared with other writers failed")

// errStopped is why a group fails whose member did not come back.
var errStopped = errors.New("a writer stopped halfway")

func (db *DB) newGroup() *group {
	g := &group{db: db, began: time.Now(), done: make(chan struct{})}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// run makes fn a member and runs it. The error is the member's own.
func (g *group) run(ctx context.Context, fn func(tx *Tx) error) error {
	g.members++
	g.cares.Add(1)
	g.ends = append(g.ends, context.AfterFunc(ctx, func() {
		if g.cares.Add(-1) == 0 {
			g.cancel()
		}
	}))
	if g.members == 1 { // nobody else would be lost: it needs no savepoint
		g.failed = g.first(ctx, fn)
		return g.failed
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("wait for the turn to write: %w", err)
	}
	if g.failed = g.exec("SAVEPOINT writer"); g.failed != nil {
		return g.failed
	}
	tx := g.tx(ctx)
	err := tx.write(fn)
	if err == nil {
		err = g.exec("RELEASE SAVEPOINT writer") // also finds out whether fn has passed over an error
	}
	if err == nil {
		g.head = tx.head
		return nil
	}
	if g.failed == nil {
		g.failed = g.exec("ROLLBACK TO SAVEPOINT writer")
	}
	return err
}

// first begins the transaction and runs the first member.
func (g *group) first(ctx context.Context, fn func(tx *Tx) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("wait for the turn to write: %w", err)
	}
	d := g.db.dialect
	var err error
	if g.sql, err = g.db.writer.BeginTx(g.ctx, nil); err != nil {
		return d.wrap("begin", err)
	}
	if d.claim != nil {
		if g.head, err = d.claim(g.ctx, g.sql); err != nil {
			return d.wrap("claim the journal", err)
		}
		g.was, g.hasHead = g.head, true
	}
	tx := g.tx(ctx)
	if err := tx.write(fn); err != nil {
		return err
	}
	g.head = tx.head
	return g.failed
}

// tx is the transaction as one member has it.
func (g *group) tx(ctx context.Context) *Tx {
	return &Tx{ctx: ctx, within: g.ctx, sql: g.sql, pool: g.db.writer, group: g, head: g.head, statements: counter(ctx)}
}

func (g *group) exec(statement string) error {
	_, err := g.sql.ExecContext(g.ctx, statement)
	return g.db.dialect.wrap(statement, err)
}

// grows says whether one more member may come.
func (g *group) grows() bool {
	return g.failed == nil && g.members < maxMembers && time.Since(g.began) < g.db.maxAge
}

// end commits or rolls back.
func (g *group) end() {
	if g.err = g.commit(); g.err == nil && g.head > g.was {
		g.db.journal.wake(g.head)
	}
	for _, end := range g.ends {
		end()
	}
	g.cancel()
	close(g.done)
}

func (g *group) commit() error {
	if g.sql != nil {
		defer func() { _ = g.sql.Rollback() }()
	}
	if g.failed != nil {
		return g.failed
	}
	if g.head > g.was {
		if _, err := g.tx(g.ctx).Exec("UPDATE journal_head SET revision = ? WHERE id = 1", g.head); err != nil {
			return fmt.Errorf("move the journal's head: %w", err)
		}
	}
	if err := g.sql.Commit(); err != nil {
		if err = g.db.dialect.wrap("commit", err); errors.Is(err, ErrUnavailable) {
			err = fmt.Errorf("%w: %w", ErrUncertain, err)
		}
		return err
	}
	return nil
}

// outcome is what a member is told whose own error is own.
func (g *group) outcome(own error) error {
	switch {
	case g.err == nil:
		return own
	case g.members == 1, own == nil && errors.Is(g.err, ErrUncertain):
		return g.err
	}
	return errAgain
}
