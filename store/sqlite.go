package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// SQLite has one writer at a time, so all writing goes through one connection, and a writer waits
// in our queue rather than in the database's busy loop. Commits are synchronous: an answered
// request survives a power failure.
var sqliteDialect = dialect{
	kind:     SQLite,
	connect:  connectSQLite,
	readers:  8,
	view:     &sql.TxOptions{ReadOnly: true},
	prepares: true,
	undoes:   true,
	declare:  func(statement string) string { return statement },
	made:     func(error) bool { return false },
	absent:   absentSQLite,
	// Each migration is a transaction that looks whether it is still to be done.
	lockSchema: func(context.Context, *sql.Conn) (func() error, error) { return func() error { return nil }, nil },
	judge:      judgeSQLite,
}

func connectSQLite(source Source, writer bool) (*sql.DB, error) {
	dsn := "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(source.Path) +
		"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)" +
		"&_pragma=synchronous(FULL)&_pragma=cache_size(-16384)&_pragma=temp_store(MEMORY)"
	if writer {
		dsn += "&_txlock=immediate"
	} else {
		dsn += "&_pragma=query_only(1)"
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", source, err)
	}
	return db, nil
}

func judgeSQLite(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return ErrRetry
	case sqlite3.SQLITE_TOOBIG:
		return ErrValue
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN:
		return ErrUnavailable
	}
	return nil
}

func absentSQLite(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && strings.Contains(e.Error(), "no such table")
}
