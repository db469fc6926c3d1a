package store

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"
)

// Tx is a transaction. It belongs to one goroutine, and runs one statement at a time.
type Tx struct {
	ctx        context.Context // of whoever runs it
	within     context.Context // of its statements
	sql        *sql.Tx
	pool       *pool
	group      *group // of a writing transaction
	head       int64  // the journal's newest revision, in a writing transaction
	changes    []Change
	inRows     bool // the rows of a statement are being read
	statements *atomic.Int64
}

func (db *DB) begin(ctx context.Context, p *pool, opts *sql.TxOptions) (*Tx, error) {
	t, err := p.BeginTx(ctx, opts)
	if err != nil {
		return nil, db.dialect.wrap("begin", err)
	}
	return &Tx{ctx: ctx, within: ctx, sql: t, pool: p, statements: counter(ctx)}, nil
}

// Exec runs a statement and gives the number of rows that it met.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	result, err := tx.exec(query, args)
	if err != nil {
		return 0, tx.wrap(query, err)
	}
	return result.RowsAffected()
}

// Each runs a statement and calls scan for every row. scan runs no statements: a connection to a
// database server is busy until the last row is read.
func (tx *Tx) Each(scan func(rows *sql.Rows) error, query string, args ...any) error {
	rows, err := tx.query(query, args)
	if err != nil {
		return tx.wrap(query, err)
	}
	tx.inRows = true
	defer func() {
		_ = rows.Close()
		tx.inRows = false
	}()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return tx.wrap(query, err)
		}
	}
	return tx.wrap(query, rows.Err())
}

// One scans the first row into dest; found is false when there is none.
func (tx *Tx) One(dest []any, query string, args ...any) (found bool, err error) {
	rows, err := tx.query(query, args)
	if err != nil {
		return false, tx.wrap(query, err)
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		return false, tx.wrap(query, rows.Err())
	}
	if err := rows.Scan(dest...); err != nil {
		return false, tx.wrap(query, err)
	}
	return true, tx.wrap(query, rows.Close()) // what ends the answer may be that the transaction lost
}

// Count gives the number in the first column of the first row.
func (tx *Tx) Count(query string, args ...any) (int, error) {
	var n int
	_, err := tx.One([]any{&n}, query, args...)
	return n, err
}

// Context is the transaction's context.
func (tx *Tx) Context() context.Context { return tx.ctx }

// wrap says what a statement's error means. After one that takes the transaction with it the whole group fails.
func (tx *Tx) wrap(query string, err error) error {
	err = tx.pool.dialect.wrap(query, err)
	if tx.group != nil && (errors.Is(err, ErrRetry) || errors.Is(err, ErrUnavailable)) {
		tx.group.failed = err
	}
	return err
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
