package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// dialect is what differs between databases.
type dialect struct {
	kind Kind
	// connect gives the pools' connections: writer for the one that writes, else for reading.
	connect func(source Source, writer bool) (*sql.DB, error)
	readers int // connections that read
	view    *sql.TxOptions
	// prepares says that statements are prepared and kept here; other drivers do it by themselves.
	prepares bool
	// numbered says that placeholders are $1, $2, … instead of ?.
	numbered bool
	// shared says that other programs may write too: the writer claims the journal's head first, and
	// the head is polled for their changes.
	shared bool
	// claim makes all other writers wait until the end of the transaction, and gives the journal's head; nil where
	// a transaction has begun as the only writing one.
	claim func(ctx context.Context, tx *sql.Tx) (head int64, err error)
	// declare turns a portable statement of a migration into the dialect's.
	declare func(statement string) string
	// undoes says that a transaction's CREATE and ALTER are undone with it.
	undoes bool
	// made says whether an error means that a statement's table, column or index is there already.
	made func(err error) bool
	// absent says whether an error means that a table is not there.
	absent func(err error) bool
	// lockSchema holds off other programs that change the schema until the connection is closed or released.
	lockSchema func(ctx context.Context, conn *sql.Conn) (release func() error, err error)
	// judge says what an error of the driver means: one of the errors below, or nil for any other.
	judge func(err error) error
}

// ErrRetry is the error of a transaction that must be run again, for instance after a lost
// compare-and-swap. Update does so by itself.
var ErrRetry = errors.New("transaction must be run again")

// ErrUnavailable is the error of a database that can't be reached, or was lost on the way.
var ErrUnavailable = errors.New("the database can't be reached")

// ErrUncertain comes with ErrUnavailable when the database was lost while a transaction was being
// committed: whether it was is not known, so it is not run again.
var ErrUncertain = errors.New("the database was lost during the commit: whether the change was made is unknown")

// ErrValue is the error of a value that a database can't hold: text that is no UTF-8, has a NUL or is
// longer than its column, or a number out of range.
var ErrValue = errors.New("a value that the database can't hold")

// errNested is the error of a statement inside the rows of another: only SQLite could run it.
var errNested = errors.New("a statement inside the rows of another")

func (d *dialect) wrap(query string, err error) error {
	if err == nil {
		return nil
	}
	if meaning := d.judge(err); meaning != nil && !errors.Is(err, meaning) {
		return fmt.Errorf("%s: %w: %w", brief(query), meaning, err)
	}
	return fmt.Errorf("%s: %w", brief(query), err)
}

// numbered replaces every ? outside of quotes by $1, $2, …
func numbered(query string) string {
	var b strings.Builder
	b.Grow(len(query) + 16)
	n, quoted := 0, false
	for _, c := range []byte(query) {
		switch {
		case c == '\'':
			quoted = !quoted
			b.WriteByte(c)
		case c == '?' && !quoted:
			n++
			fmt.Fprintf(&b, "$%d", n)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// checkArgs refuses texts that not every database could hold or compare, so that all answer alike.
func checkArgs(args []any) error {
	for _, arg := range args {
		text, is := arg.(string)
		switch {
		case !is:
		case strings.IndexByte(text, 0) >= 0:
			return fmt.Errorf("%w: text with a NUL character", ErrValue)
		case !utf8.ValidString(text):
			return fmt.Errorf("%w: text that is not UTF-8", ErrValue)
		}
	}
	return nil
}

// dialectOf looks up a dialect.
func dialectOf(kind Kind) (*dialect, error) {
	switch kind {
	case SQLite:
		return &sqliteDialect, nil
	case Postgres:
		return &postgresDialect, nil
	case MariaDB:
		return &mariadbDialect, nil
	}
	return nil, fmt.Errorf("unknown kind of database %q", kind)
}
