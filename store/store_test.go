package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestStatements: a text is prepared once however many use it at once; texts that don't come again are not kept.
func TestStatements(t *testing.T) {
	ctx := context.Background()
	db, err := Open(ctx, Source{Kind: SQLite, Path: filepath.Join(t.TempDir(), "try.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	count := func(query string, args ...any) {
		if err := db.View(ctx, func(tx *Tx) error { _, err := tx.Count(query, args...); return err }); err != nil {
			t.Error(err)
		}
	}
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() { count("SELECT 1") })
	}
	group.Wait()
	for n := range 10 {
		many := make([]int, maxPlaceholders+1+n)
		in := In("1", many)
		count("SELECT COUNT(*)"+in.Clause(), in.Args...)
	}
	if err := db.View(ctx, func(tx *Tx) error { _, err := tx.Count("SELECT nonsense"); return err }); err == nil {
		t.Error("nonsense was run")
	}
	db.reader.keepers.Wait()
	if kept := db.reader.stmts; len(kept) != 1 || kept["SELECT 1"] == nil {
		t.Errorf("kept: %v", kept)
	}
}

// TestClose: a closed database is left alone, also by statements that were just being prepared for later.
func TestClose(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	for i := range 30 {
		home := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(home, 0o700); err != nil {
			t.Fatal(err)
		}
		db, err := Open(ctx, Source{Kind: SQLite, Path: filepath.Join(home, "try.db")})
		if err != nil {
			t.Fatal(err)
		}
		for j := range 5 {
			if err := db.View(ctx, func(tx *Tx) error { _, err := tx.Count(fmt.Sprintf("SELECT %d", j)); return err }); err != nil {
				t.Fatal(err)
			}
		}
		done := false
		if i == 0 {
			db.reader.keepers.Go(func() { time.Sleep(50 * time.Millisecond); done = true })
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if i == 0 && !done {
			t.Error("Close did not wait")
		}
		if err := os.RemoveAll(home); err != nil {
			t.Fatalf("somebody was still at work: %v", err)
		}
		if err := db.View(ctx, func(*Tx) error { return nil }); err == nil {
			t.Fatal("a closed database was read")
		}
	}
}

func TestConditions(t *testing.T) {
	a, b := Where("a = ?", 1), Where("b = ?", 2)
	for _, c := range []struct {
		cond Cond
		want string
	}{
		{And(), ""},
		{And(a, Cond{}), " WHERE a = ?"},
		{And(a, b), " WHERE (a = ?) AND (b = ?)"},
		{Or(a, And(a, b)), " WHERE (a = ?) OR ((a = ?) AND (b = ?))"},
		{Or(a, Cond{}), ""},
		{In[string]("a", nil), " WHERE 1 = 0"},
		{In("a", []string{"x", "y"}), " WHERE a IN (?, ?)"},
		{Not(a), " WHERE NOT (a = ?)"},
		{Not(Cond{}), " WHERE 1 = 0"},
	} {
		if got := c.cond.Clause(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestNumbered(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{"SELECT 1", "SELECT 1"},
		{"a = ? AND b IN (?, ?)", "a = $1 AND b IN ($2, $3)"},
		{"a = '?' AND b = ? AND c = 'it''s ?' AND d = ?", "a = '?' AND b = $1 AND c = 'it''s ?' AND d = $2"},
	} {
		if got := numbered(c.query); got != c.want {
			t.Errorf("%s: got %s, want %s", c.query, got, c.want)
		}
	}
}

func TestSplitStatements(t *testing.T) {
	got := splitStatements("-- a; b\nCREATE TABLE a (x INTEGER, -- of a\n\ty INTEGER);\n\nINSERT INTO a VALUES ('1; -- 2', 'it''s');;\n-- end")
	want := []string{"CREATE TABLE a (x INTEGER, \n\ty INTEGER)", "INSERT INTO a VALUES ('1; -- 2', 'it''s')"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestDeclare(t *testing.T) {
	const table = "CREATE TABLE a (i INTEGER NOT NULL, b BIGINT NOT NULL, v VARCHAR(36) NOT NULL DEFAULT '', t TEXT NOT NULL)"
	for _, c := range []struct {
		d               *dialect
		statement, want string
	}{
		{&sqliteDialect, table, table},
		{&postgresDialect, table, `CREATE TABLE a (i BIGINT NOT NULL, b BIGINT NOT NULL, v VARCHAR(36) COLLATE "C" NOT NULL DEFAULT '', t TEXT COLLATE "C" NOT NULL)`},
		{&mariadbDialect, table, "CREATE TABLE a (i BIGINT NOT NULL, b BIGINT NOT NULL, v VARCHAR(36) NOT NULL DEFAULT '', t MEDIUMTEXT NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin ROW_FORMAT=DYNAMIC"},
		{&postgresDialect, "ALTER TABLE a ADD COLUMN v VARCHAR(9) NOT NULL DEFAULT ''", `ALTER TABLE a ADD COLUMN v VARCHAR(9) COLLATE "C" NOT NULL DEFAULT ''`},
		{&mariadbDialect, "ALTER TABLE a ADD COLUMN t TEXT NOT NULL DEFAULT ''", "ALTER TABLE a ADD COLUMN t MEDIUMTEXT NOT NULL DEFAULT ''"},
		{&mariadbDialect, "INSERT INTO a VALUES (1, 2, 'INTEGER', 'TEXT')", "INSERT INTO a VALUES (1, 2, 'INTEGER', 'TEXT')"},
	} {
		if got := c.d.declare(c.statement); got != c.want {
			t.Errorf("%s: got %s", c.d.kind, got)
		}
	}
}
