package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// pool is a connection pool with what is kept per statement: the engine's statements are few and
// their texts fixed, so each is prepared or rewritten once.
type pool struct {
	*sql.DB
	dialect *dialect
	mu      sync.Mutex
	stmts   map[string]*sql.Stmt // nil while it is being prepared
	texts   map[string]string    // with the dialect's placeholders
	closed  bool
	keepers sync.WaitGroup
}

// maxStatements bounds what a pool keeps. Texts with many placeholders are not kept, for each number
// of values has a text of its own and few come again.
const (
	maxStatements   = 2000
	maxPlaceholders = 64
)

func newPool(db *sql.DB, d *dialect) *pool {
	return &pool{DB: db, dialect: d, stmts: map[string]*sql.Stmt{}, texts: map[string]string{}}
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

// comesAgain says whether a statement is worth keeping.
func comesAgain(query string) bool { return strings.Count(query, "?") <= maxPlaceholders }

// statement gives the prepared form of query in this transaction.
func (tx *Tx) statement(query string) (*sql.Stmt, error) {
	p := tx.pool
	p.mu.Lock()
	stmt, known := p.stmts[query]
	if !known && !p.closed && len(p.stmts) < maxStatements && comesAgain(query) {
		p.stmts[query] = nil
		p.keepers.Go(func() { p.keep(query) })
	}
	p.mu.Unlock()
	if stmt == nil {
		prepared, err := tx.sql.PrepareContext(tx.within, query)
		if err != nil {
			return nil, fmt.Errorf("prepare %s: %w", brief(query), err)
		}
		return prepared, nil
	}
	return tx.sql.StmtContext(tx.within, stmt), nil
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

// text gives query the dialect's placeholders, and the arguments what its driver wants to know.
func (p *pool) text(query string, args []any) (string, []any) {
	if !p.dialect.numbered {
		return query, args
	}
	if !comesAgain(query) {
		// The driver keeps each connection's statements: not this one.
		return numbered(query), append([]any{pgx.QueryExecModeDescribeExec}, args...)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	text, known := p.texts[query]
	if !known {
		text = numbered(query)
		if len(p.texts) < maxStatements {
			p.texts[query] = text
		}
	}
	return text, args
}

func (tx *Tx) exec(query string, args []any) (sql.Result, error) {
	if err := tx.ready(args); err != nil {
		return nil, err
	}
	if !tx.pool.dialect.prepares {
		query, args = tx.pool.text(query, args)
		return tx.sql.ExecContext(tx.within, query, args...)
	}
	stmt, err := tx.statement(query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(tx.within, args...)
}

func (tx *Tx) query(query string, args []any) (*sql.Rows, error) {
	if err := tx.ready(args); err != nil {
		return nil, err
	}
	if !tx.pool.dialect.prepares {
		query, args = tx.pool.text(query, args)
		return tx.sql.QueryContext(tx.within, query, args...)
	}
	stmt, err := tx.statement(query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(tx.within, args...)
}

// ready says whether a statement may be run with args now.
func (tx *Tx) ready(args []any) error {
	if tx.statements != nil {
		tx.statements.Add(1)
	}
	if tx.inRows {
		return errNested
	}
	if err := tx.ctx.Err(); err != nil {
		return err
	}
	return checkArgs(args)
}

func brief(query string) string {
	if len(query) > 120 {
		return query[:120] + "…"
	}
	return query
}

// ping waits for the database's first answer.
func (p *pool) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*connectTimeout)
	defer cancel()
	return p.PingContext(ctx)
}
