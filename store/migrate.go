package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Migrations are files NNNN_subject.sql in portable SQL. Such a file only adds (expands): a program
// that does not know it yet goes on working. One that takes away what an older program needs
// (contracts) is called NNNN_subject.contract.sql, and older programs refuse to start after it.

// Schema says how the schema of a database and what a program knows of it fit together.
type Schema struct {
	Version int      // newest migration that was run; 0: none
	Known   int      // newest migration of the program
	Missing []string // the program's migrations that are still to be run, in order
	Newer   []string // migrations that were run and that the program does not know
}

// Check is nil when a program can work on the schema as it is.
func (s Schema) Check() error {
	if err := s.tooNew(); err != nil {
		return err
	}
	if len(s.Missing) > 0 {
		return fmt.Errorf("the database's schema lacks %s: run `neutrino db upgrade`", strings.Join(s.Missing, ", "))
	}
	return nil
}

func (s Schema) tooNew() error {
	for _, name := range s.Newer {
		if strings.HasSuffix(name, ".contract.sql") {
			return fmt.Errorf("the database's schema is version %d, this program knows up to %d, and %s took away what it needs: use a newer program", s.Version, s.Known, name)
		}
	}
	return nil
}

// Schema compares the database's schema with the migrations in dir. It changes nothing.
func (db *DB) Schema(ctx context.Context, dir fs.FS) (Schema, error) {
	conn, err := db.reader.Conn(ctx)
	if err != nil {
		return Schema{}, db.dialect.wrap("connect", err)
	}
	defer func() { _ = conn.Close() }()
	return db.schema(ctx, conn, dir)
}

// querier is a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (db *DB) schema(ctx context.Context, on querier, dir fs.FS) (Schema, error) {
	known, err := versions(dir)
	if err != nil {
		return Schema{}, err
	}
	s := Schema{}
	run := map[int]bool{}
	rows, err := on.QueryContext(ctx, "SELECT version, name FROM schema_version ORDER BY version")
	if err != nil && !db.dialect.absent(err) {
		return Schema{}, db.dialect.wrap("read the schema's version", err)
	}
	if err == nil {
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var version int
			var name string
			if err := rows.Scan(&version, &name); err != nil {
				return Schema{}, err
			}
			run[version] = true
			s.Version = version
			if known[version] == "" {
				s.Newer = append(s.Newer, name)
			}
		}
		if err := rows.Err(); err != nil {
			return Schema{}, db.dialect.wrap("read the schema's version", err)
		}
	}
	for _, version := range slices.Sorted(maps.Keys(known)) {
		s.Known = version
		if !run[version] {
			s.Missing = append(s.Missing, known[version])
		}
	}
	return s, nil
}

// versions lists the migrations of dir by number.
func versions(dir fs.FS) (map[int]string, error) {
	names, err := fs.Glob(dir, "[0-9]*_*.sql")
	if err != nil {
		return nil, err
	}
	known := make(map[int]string, len(names))
	for _, name := range names {
		version, err := versionOf(name)
		if err != nil {
			return nil, err
		}
		if other := known[version]; other != "" {
			return nil, fmt.Errorf("migrations %s and %s have the same number", other, name)
		}
		known[version] = name
	}
	return known, nil
}

func versionOf(name string) (int, error) {
	number, _, _ := strings.Cut(name, "_")
	version, err := strconv.Atoi(number)
	if err != nil || version < 1 {
		return 0, fmt.Errorf("migration %s: the name must begin with a number", name)
	}
	return version, nil
}

// Migrate brings the schema up to date: it runs the migrations of dir that have not been run yet, in
// order, and names them. Of several programs that come at once one does it and the others wait. A
// database that is too new for the program is left alone.
func (db *DB) Migrate(ctx context.Context, dir fs.FS) (ran []string, err error) {
	if err := db.turn.take(ctx, true); err != nil {
		return nil, fmt.Errorf("wait for the turn to write: %w", err)
	}
	defer db.turn.end()
	conn, err := db.writer.Conn(ctx)
	if err != nil {
		return nil, db.dialect.wrap("connect", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	release, err := db.dialect.lockSchema(ctx, conn)
	if err != nil {
		return nil, db.dialect.wrap("lock the schema", err)
	}
	defer func() { err = errors.Join(err, release()) }()
	for _, table := range []string{
		"CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL)",
		"CREATE TABLE IF NOT EXISTS schema_unfinished (version INTEGER NOT NULL PRIMARY KEY, statements INTEGER NOT NULL)",
	} {
		if _, err := conn.ExecContext(ctx, db.dialect.declare(table)); err != nil {
			return nil, db.dialect.wrap(table, err)
		}
	}
	schema, err := db.schema(ctx, conn, dir)
	if err != nil {
		return nil, err
	}
	if err := schema.tooNew(); err != nil {
		return nil, err
	}
	for _, name := range schema.Missing {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return ran, err
		}
		m := migration{dialect: db.dialect, conn: conn, name: name, statements: splitStatements(string(text))}
		if m.version, err = versionOf(name); err != nil {
			return ran, err
		}
		if err := m.run(ctx); err != nil {
			return ran, fmt.Errorf("migration %s: %w", name, err)
		}
		ran = append(ran, name)
	}
	return ran, nil
}

// migration is one file that is being run.
type migration struct {
	dialect    *dialect
	conn       *sql.Conn
	name       string
	version    int
	statements []string
}

func (m *migration) run(ctx context.Context) error {
	if !m.dialect.undoes {
		return m.runByStep(ctx)
	}
	return m.within(ctx, func(tx *sql.Tx) error {
		var there int // another program may have been here before this transaction
		if err := tx.QueryRowContext(ctx, fmt.Sprintf("SELECT COUNT(*) FROM schema_version WHERE version = %d", m.version)).Scan(&there); err != nil || there > 0 {
			return err
		}
		for _, statement := range m.statements {
			if err := m.exec(ctx, tx, m.dialect.declare(statement)); err != nil {
				return err
			}
		}
		return m.finish(ctx, tx)
	})
}

// runByStep is for databases where each CREATE and ALTER is committed by itself: it notes after each
// statement how far it came, so that a migration that was broken off goes on from there.
func (m *migration) runByStep(ctx context.Context) error {
	done := -1
	row := m.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT statements FROM schema_unfinished WHERE version = %d", m.version))
	if err := row.Scan(&done); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	resumed := done >= 0
	if !resumed {
		if err := m.exec(ctx, m.conn, fmt.Sprintf("INSERT INTO schema_unfinished (version, statements) VALUES (%d, 0)", m.version)); err != nil {
			return err
		}
		done = 0
	}
	for i, statement := range m.statements {
		if i < done {
			continue
		}
		note := fmt.Sprintf("UPDATE schema_unfinished SET statements = %d WHERE version = %d", i+1, m.version)
		err := m.within(ctx, func(tx *sql.Tx) error {
			err := m.exec(ctx, tx, m.dialect.declare(statement))
			if err != nil && !(resumed && i == done && m.dialect.made(err)) { // it was made, and then not noted
				return err
			}
			return m.exec(ctx, tx, note)
		})
		if err != nil {
			return err
		}
	}
	return m.within(ctx, func(tx *sql.Tx) error {
		if err := m.exec(ctx, tx, fmt.Sprintf("DELETE FROM schema_unfinished WHERE version = %d", m.version)); err != nil {
			return err
		}
		return m.finish(ctx, tx)
	})
}

func (m *migration) finish(ctx context.Context, tx *sql.Tx) error {
	return m.exec(ctx, tx, fmt.Sprintf("INSERT INTO schema_version (version, name) VALUES (%d, '%s')", m.version, strings.ReplaceAll(m.name, "'", "''")))
}

func (m *migration) exec(ctx context.Context, on querier, statement string) error {
	_, err := on.ExecContext(ctx, statement)
	return m.dialect.wrap(statement, err)
}

func (m *migration) within(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := m.conn.BeginTx(ctx, nil)
	if err != nil {
		return m.dialect.wrap("begin", err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := fn(tx); err != nil {
		return err
	}
	return m.dialect.wrap("commit", tx.Commit())
}

// declares says whether a statement declares columns.
func declares(statement string) bool {
	return strings.HasPrefix(statement, "CREATE TABLE") || strings.HasPrefix(statement, "ALTER TABLE")
}

// splitStatements gives the statements of a migration without comments. Texts in quotes may hold
// semicolons and dashes.
func splitStatements(text string) []string {
	var statements []string
	var b strings.Builder
	flush := func() {
		if s := strings.TrimSpace(b.String()); s != "" {
			statements = append(statements, s)
		}
		b.Reset()
	}
	quoted, comment := false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case comment:
			if comment = c != '\n'; !comment {
				b.WriteByte(c)
			}
		case !quoted && strings.HasPrefix(text[i:], "--"):
			comment = true
		case !quoted && c == ';':
			flush()
		default:
			quoted = quoted != (c == '\'')
			b.WriteByte(c)
		}
	}
	flush()
	return statements
}
