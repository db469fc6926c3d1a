// Package store keeps declared resources in SQL and journals every change in the same transaction.
// It knows tables and columns only as text that it is given; no resource has a name here.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // driver "sqlite"
)

// DB is an open database. It is safe for concurrent use.
type DB struct {
	writer, reader *pool
	journal        journal
}

// pool is a connection pool with its prepared statements: the engine's statements are few and
// their texts fixed, so each is prepared once.
type pool struct {
	*sql.DB
	mu      sync.Mutex
	stmts   map[string]*sql.Stmt // nil while it is being prepared
	closed  bool
	keepers sync.WaitGroup
}

// maxStatements bounds a pool's prepared statements. Texts with many placeholders are not kept, for
// each number of values has a text of its own and few come again.
const (
	maxStatements   = 2000
	maxPlaceholders = 64
)

// Open opens the SQLite database at path, creating it when it is not there.
//
// SQLite has one writer at a time, so all writing goes through one connection, and a writer waits
// in our queue rather than in the database's busy loop. Commits are synchronous: an answered
// request survives a power failure.
func Open(ctx context.Context, path string) (*DB, error) {
	const pragmas = "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)" +
		"&_pragma=synchronous(FULL)&_pragma=cache_size(-16384)&_pragma=temp_store(MEMORY)"
	writer, err := sql.Open("sqlite", "file:"+path+pragmas+"&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	writer.SetMaxOpenConns(1)
	writer.SetConnMaxIdleTime(0)
	if err := writer.PingContext(ctx); err != nil {
		_ = writer.Close()
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	reader, err := sql.Open("sqlite", "file:"+path+pragmas+"&_pragma=query_only(1)")
	if err != nil {
		_ = writer.Close()
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	reader.SetMaxOpenConns(8)
	reader.SetMaxIdleConns(4)
	db := &DB{
		writer: &pool{DB: writer, stmts: map[string]*sql.Stmt{}},
		reader: &pool{DB: reader, stmts: map[string]*sql.Stmt{}},
	}
	db.journal.changed = make(chan struct{})
	return db, nil
}

// Close ends all connections.
func (db *DB) Close() error {
	return errors.Join(db.reader.close(), db.writer.close())
}

// close ends a pool's connections, also those that statements are just being prepared on.
func (p *pool) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.Close()
	p.keepers.Wait()
	return err
}

// Tx is a transaction. It belongs to one goroutine.
type Tx struct {
	ctx        context.Context
	sql        *sql.Tx
	pool       *pool
	changes    []Change
	statements *atomic.Int64
	after      []func()
}

// ErrRetry is the error of a transaction that must be run again, for instance after a lost
// compare-and-swap. Update does so by itself.
var ErrRetry = errors.New("transaction must be run again")

// Update runs fn in a read-write transaction and commits when fn returns nil. What fn journaled
// becomes visible to the journal's readers with the rows, in commit order. fn may be run again, so
// it does no I/O but through the transaction.
func (db *DB) Update(ctx context.Context, fn func(tx *Tx) error) error {
	for attempt := 0; ; attempt++ {
		err := db.update(ctx, fn)
		if err == nil || attempt == 10 || !again(err) || ctx.Err() != nil {
			return err
		}
		time.Sleep(time.Duration(attempt+1) * 2 * time.Millisecond)
	}
}

func (db *DB) update(ctx context.Context, fn func(tx *Tx) error) error {
	tx, err := db.begin(ctx, db.writer, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.sql.Rollback() }()
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.writeJournal(); err != nil {
		return err
	}
	if err := tx.sql.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	for _, f := range tx.after {
		f()
	}
	if len(tx.changes) > 0 {
		db.journal.wake()
	}
	return nil
}

// View runs fn in a read-only transaction: everything it reads is of one moment.
func (db *DB) View(ctx context.Context, fn func(tx *Tx) error) error {
	tx, err := db.begin(ctx, db.reader, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.sql.Rollback() }()
	return fn(tx)
}

func (db *DB) begin(ctx context.Context, p *pool, opts *sql.TxOptions) (*Tx, error) {
	t, err := p.BeginTx(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	return &Tx{ctx: ctx, sql: t, pool: p, statements: counter(ctx)}, nil
}

// again says whether a transaction that failed with err may succeed when run once more.
func again(err error) bool {
	if errors.Is(err, ErrRetry) {
		return true
	}
	text := err.Error()
	return strings.Contains(text, "SQLITE_BUSY") || strings.Contains(text, "database is locked")
}

// Exec runs a statement and gives the number of rows that it touched.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	stmt, err := tx.statement(query)
	if err != nil {
		return 0, err
	}
	result, err := stmt.ExecContext(tx.ctx, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", brief(query), err)
	}
	return result.RowsAffected()
}

// Query runs a statement that gives rows.
func (tx *Tx) Query(query string, args ...any) (*sql.Rows, error) {
	stmt, err := tx.statement(query)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(tx.ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", brief(query), err)
	}
	return rows, nil
}

// Each runs a statement and calls scan for every row.
func (tx *Tx) Each(scan func(rows *sql.Rows) error, query string, args ...any) error {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("%s: %w", brief(query), err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%s: %w", brief(query), err)
	}
	return nil
}

// One scans the first row into dest; found is false when there is none.
func (tx *Tx) One(dest []any, query string, args ...any) (found bool, err error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return false, err
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		return false, rows.Err()
	}
	if err := rows.Scan(dest...); err != nil {
		return false, fmt.Errorf("%s: %w", brief(query), err)
	}
	return true, rows.Close()
}

// Count gives the number in the first column of the first row.
func (tx *Tx) Count(query string, args ...any) (int, error) {
	var n int
	_, err := tx.One([]any{&n}, query, args...)
	return n, err
}

// Context is the transaction's context.
func (tx *Tx) Context() context.Context { return tx.ctx }

// AfterCommit has f called once the transaction has been committed.
func (tx *Tx) AfterCommit(f func()) { tx.after = append(tx.after, f) }

// statement gives the prepared form of query in this transaction.
func (tx *Tx) statement(query string) (*sql.Stmt, error) {
	if tx.statements != nil {
		tx.statements.Add(1)
	}
	p := tx.pool
	p.mu.Lock()
	stmt, known := p.stmts[query]
	keep := !known && !p.closed && len(p.stmts) < maxStatements && strings.Count(query, "?") <= maxPlaceholders
	if keep {
		p.stmts[query] = nil
		p.keepers.Go(func() { p.keep(query) })
	}
	p.mu.Unlock()
	if stmt == nil {
		prepared, err := tx.sql.PrepareContext(tx.ctx, query)
		if err != nil {
			return nil, fmt.Errorf("prepare %s: %w", brief(query), err)
		}
		return prepared, nil
	}
	return tx.sql.StmtContext(tx.ctx, stmt), nil
}

// keep prepares query for the transactions to come. It runs beside the transaction that first used
// it, for the writer's only connection is busy with that one.
func (p *pool) keep(query string) {
	stmt, err := p.Prepare(query)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		delete(p.stmts, query) // the next user prepares for itself and meets the error
		return
	}
	p.stmts[query] = stmt
}

func brief(query string) string {
	if len(query) > 120 {
		return query[:120] + "…"
	}
	return query
}

type counterKey struct{}

// WithCounter gives a context whose transactions count their statements into n; tests use it to
// hold a list to a fixed number.
func WithCounter(ctx context.Context, n *atomic.Int64) context.Context {
	return context.WithValue(ctx, counterKey{}, n)
}

func counter(ctx context.Context) *atomic.Int64 {
	n, _ := ctx.Value(counterKey{}).(*atomic.Int64)
	return n
}
