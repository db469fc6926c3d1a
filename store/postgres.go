package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// PostgreSQL 15 and later.
var postgresDialect = dialect{
	kind:       Postgres,
	connect:    connectPostgres,
	readers:    16,
	view:       &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead},
	numbered:   true,
	shared:     true,
	undoes:     true,
	claim:      claimPostgres,
	declare:    declarePostgres,
	made:       func(error) bool { return false },
	absent:     absentPostgres,
	lockSchema: lockPostgres,
	judge:      judgePostgres,
}

// How long a database is waited for at connecting, and how long a writer that has gone silent may
// keep the others waiting.
const (
	connectTimeout = 5 * time.Second
	silentWriter   = 15 * time.Second
)

func connectPostgres(source Source, writer bool) (*sql.DB, error) {
	u := *source.URL
	u.Scheme = "postgresql"
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		// The error repeats what was written, also the password.
		return nil, fmt.Errorf("database URL %s: PostgreSQL's options in it can't be read", source)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	set := func(name, value string) {
		if _, given := config.RuntimeParams[name]; !given {
			config.RuntimeParams[name] = value
		}
	}
	set("application_name", "neutrino")
	if writer {
		set("idle_in_transaction_session_timeout", fmt.Sprint(silentWriter.Milliseconds()))
		set("lock_timeout", fmt.Sprint(2*silentWriter.Milliseconds()))
		set("default_transaction_isolation", "read committed")
	}
	return stdlib.OpenDB(*config), nil
}

// claimPostgres locks the row that every writing transaction changes.
func claimPostgres(ctx context.Context, tx *sql.Tx) (head int64, err error) {
	err = tx.QueryRowContext(ctx, "UPDATE journal_head SET claims = claims + 1 WHERE id = 1 RETURNING revision").Scan(&head)
	return head, err
}

var (
	sqlText    = regexp.MustCompile(`\b(VARCHAR\(\d+\)|TEXT)`)
	sqlInteger = regexp.MustCompile(`\bINTEGER\b`)
)

// declarePostgres makes texts compare and sort by their bytes, and integers 64 bits wide, as on SQLite.
func declarePostgres(statement string) string {
	if !declares(statement) {
		return statement
	}
	return sqlInteger.ReplaceAllString(sqlText.ReplaceAllString(statement, `$1 COLLATE "C"`), "BIGINT")
}

// schemaLock is the number of the advisory lock that stands for the schema.
const schemaLock = 0x6e757472 // "nutr"

func absentPostgres(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "42P01"
}

func lockPostgres(ctx context.Context, conn *sql.Conn) (func() error, error) {
	for {
		_, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(schemaLock))
		if err == nil {
			break
		}
		if judgePostgres(err) != ErrRetry { // else the other's upgrade takes its time
			return nil, err
		}
	}
	return func() error {
		_, err := conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(schemaLock))
		return err
	}, nil
}

func judgePostgres(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		if lost(err) {
			return ErrUnavailable
		}
		return nil
	}
	switch e.Code {
	case "40001", "40P01", "55P03": // serialisation, deadlock, lock not available
		return ErrRetry
	case "25P03", // we were silent too long in a transaction
		"57P01", "57P02", "57P03", "57P05", "53300", "25006": // going down, starting, full, a stand-by
		return ErrUnavailable
	case "22001", "22003", "22021", "22P05", "54000": // too long, out of range, bad bytes, program limit
		return ErrValue
	}
	if e.Code[:2] == "08" {
		return ErrUnavailable
	}
	return nil
}

// lost says whether an error means that the connection is gone or could not be made.
func lost(err error) bool {
	var connecting *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &connecting):
		return true
	case errors.Is(err, context.DeadlineExceeded):
		return false
	}
	return errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
