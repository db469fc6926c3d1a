// Package store keeps declared resources in SQL and journals every change in the same transaction.
// It knows tables and columns only as text that it is given; no resource has a name here. The same
// texts run on SQLite, PostgreSQL and MariaDB.
package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// DB is an open database. It is safe for concurrent use.
type DB struct {
	source         Source
	dialect        *dialect
	writer, reader *pool
	turn           turn
	open           *group // the transaction that who has the turn goes on in; nil: they begin one
	maxAge         time.Duration
	journal        journal
}

// Open opens a database; an SQLite file is made when it is not there. The error is ErrUnavailable
// when the database does not answer.
//
// Writing goes through one connection, one transaction after another; writers that wait may share one. Where
// other programs may write to the same database, each first claims the one row that all of them change.
func Open(ctx context.Context, source Source) (*DB, error) {
	d, err := dialectOf(source.Kind)
	if err != nil {
		return nil, err
	}
	writer, err := d.connect(source, true)
	if err != nil {
		return nil, err
	}
	reader, err := d.connect(source, false)
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	writer.SetMaxOpenConns(1)
	reader.SetMaxOpenConns(d.readers)
	reader.SetMaxIdleConns(d.readers / 2)
	db := &DB{source: source, dialect: d, writer: newPool(writer, d), reader: newPool(reader, d), maxAge: maxAge}
	db.journal.start()
	if err := db.writer.ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", source, d.wrap("connect", err)), db.Close())
	}
	return db, nil
}

// Source says where the database is.
func (db *DB) Source() Source { return db.source }

// Close ends all connections.
func (db *DB) Close() error {
	db.journal.stop()
	return errors.Join(db.reader.close(), db.writer.close())
}

// Ping asks the database for a sign of life.
func (db *DB) Ping(ctx context.Context) error {
	return db.dialect.wrap("ping", db.reader.PingContext(ctx))
}

// How often and how long a transaction is run again.
const (
	maxRetries = 30 // on a Galera cluster with three servers each try loses two times in three
	maxReturns = 4  // to a database that was lost
	patience   = 40 * time.Second
)

// Update runs fn in a read-write transaction and commits when fn returns nil. What fn journaled
// becomes visible to the journal's readers with the rows, in commit order. fn may be run again, so
// it does no I/O but through the transaction. While it runs nobody else writes to the database. It must not wait
// for anything that another Update's caller holds.
func (db *DB) Update(ctx context.Context, fn func(tx *Tx) error) error {
	began := time.Now()
	alone := isLong(ctx)
	for attempt := 1; ; attempt++ {
		err := db.update(ctx, fn, alone)
		most := 0
		switch {
		case errors.Is(err, errAgain): // alone it meets the error that is its own, if there is one
			alone, attempt = true, attempt-1
			continue
		case err == nil || ctx.Err() != nil || errors.Is(err, ErrUncertain) || time.Since(began) > patience:
		case errors.Is(err, ErrRetry):
			most = maxRetries
		case errors.Is(err, ErrUnavailable):
			most = maxReturns
		}
		if attempt > most {
			return err
		}
		alone = true
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(2 * time.Duration(attempt) * 100 * time.Millisecond / time.Duration(most))): // at random: who lost together must not come together
		}
	}
}

// update runs fn once, in a transaction of its own or, unless it is to be alone, together with other writers.
func (db *DB) update(ctx context.Context, fn func(tx *Tx) error, alone bool) error {
	if err := db.turn.take(ctx, alone); err != nil {
		return fmt.Errorf("wait for the turn to write: %w", err)
	}
	g := db.open
	db.open = nil
	if g == nil {
		g = db.newGroup()
	}
	returned := false
	defer func() {
		if !returned { // fn has panicked
			g.failed = errStopped
			g.end()
			db.turn.end()
		}
	}()
	own := g.run(ctx, fn)
	returned = true
	if !alone && g.grows() && db.pass(g) {
		<-g.done
	} else {
		g.end()
		db.turn.end()
	}
	return g.outcome(own)
}

// pass has the next writer go on in a group, if one waits and may.
func (db *DB) pass(g *group) bool {
	db.open = g
	if db.turn.pass() {
		return true
	}
	db.open = nil
	return false
}

type longKey struct{}

// WithLong gives a context whose writing transactions take long: nobody is to wait for the end of one that shares
// their transaction.
func WithLong(ctx context.Context) context.Context { return context.WithValue(ctx, longKey{}, true) }

func isLong(ctx context.Context) bool { return ctx.Value(longKey{}) != nil }

// View runs fn in a read-only transaction: everything it reads is of one moment.
func (db *DB) View(ctx context.Context, fn func(tx *Tx) error) error {
	tx, err := db.begin(ctx, db.reader, db.dialect.view)
	if err != nil {
		return err
	}
	defer func() { _ = tx.sql.Rollback() }()
	return fn(tx)
}
