package store

import (
	"context"
	"fmt"
	"io/fs"
	"sort"
	"strconv"
	"strings"
)

// Migrate brings the schema up to date: it runs the files NNNN_*.sql of dir that have not been run
// yet, in order, each in a transaction of its own. It gives the schema's version after and before.
// A database that is newer than dir is refused: an older binary must not write to it.
func (db *DB) Migrate(ctx context.Context, dir fs.FS) (before, after int, err error) {
	names, err := fs.Glob(dir, "[0-9]*_*.sql")
	if err != nil {
		return 0, 0, err
	}
	sort.Strings(names)
	if _, err := db.writer.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS schema_version
		(version INTEGER NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL)`); err != nil {
		return 0, 0, fmt.Errorf("create schema_version: %w", err)
	}
	if err := db.writer.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM schema_version").Scan(&before); err != nil {
		return 0, 0, fmt.Errorf("read schema version: %w", err)
	}
	after = before
	newest := 0
	for _, name := range names {
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return before, after, fmt.Errorf("migration %s: %w", name, err)
		}
		newest = max(newest, version)
		if version <= before {
			continue
		}
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return before, after, err
		}
		if err := db.Update(ctx, func(tx *Tx) error {
			if _, err := tx.sql.ExecContext(ctx, string(text)); err != nil {
				return err
			}
			_, err := tx.sql.ExecContext(ctx, "INSERT INTO schema_version (version, name) VALUES (?, ?)", version, name)
			return err
		}); err != nil {
			return before, after, fmt.Errorf("migration %s: %w", name, err)
		}
		after = version
	}
	if before > newest {
		return before, after, fmt.Errorf("the database's schema is version %d, this program knows up to %d: use a newer program", before, newest)
	}
	return before, after, nil
}
