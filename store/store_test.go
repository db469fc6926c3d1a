package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"
	"time"
)

// schema is a table to try things on, with the journal.
var schema = fstest.MapFS{"0001_try.sql": {Data: []byte(`
CREATE TABLE journal (revision INTEGER PRIMARY KEY AUTOINCREMENT, kind VARCHAR(64) NOT NULL, id VARCHAR(36) NOT NULL);
CREATE TABLE things (id VARCHAR(36) NOT NULL PRIMARY KEY, n INTEGER NOT NULL);`)}}

func TestSQLite(t *testing.T) {
	suite(t, func(t *testing.T) *DB {
		db, err := Open(context.Background(), filepath.Join(t.TempDir(), "try.db"))
		if err != nil {
			t.Fatal(err)
		}
		return db
	})
}

// suite is what every database must do. open gives an empty one.
func suite(t *testing.T, open func(t *testing.T) *DB) {
	ctx := context.Background()
	ready := func(t *testing.T) *DB {
		db := open(t)
		t.Cleanup(func() { _ = db.Close() })
		if _, _, err := db.Migrate(ctx, schema); err != nil {
			t.Fatal(err)
		}
		return db
	}
	insert := func(tx *Tx, id string, n int) error {
		if _, err := tx.Exec("INSERT INTO things (id, n) VALUES (?, ?)", id, n); err != nil {
			return err
		}
		tx.Change("thing", id)
		return nil
	}
	count := func(t *testing.T, db *DB) (n int) {
		if err := db.View(ctx, func(tx *Tx) (err error) { n, err = tx.Count("SELECT COUNT(*) FROM things"); return err }); err != nil {
			t.Fatal(err)
		}
		return n
	}

	t.Run("migrations", func(t *testing.T) {
		db := ready(t)
		before, after, err := db.Migrate(ctx, schema)
		if err != nil || before != 1 || after != 1 {
			t.Errorf("again: %d %d %v", before, after, err)
		}
		if _, _, err := db.Migrate(ctx, fstest.MapFS{}); err == nil {
			t.Error("an older program was let at a newer database")
		}
		broken := fstest.MapFS{"0001_try.sql": schema["0001_try.sql"], "0002_half.sql": {Data: []byte("CREATE TABLE a (x INTEGER); CREATE NONSENSE;")}}
		if _, after, err := db.Migrate(ctx, broken); err == nil || after != 1 {
			t.Errorf("a broken migration: %d %v", after, err)
		}
		if err := db.View(ctx, func(tx *Tx) error { _, err := tx.Count("SELECT COUNT(*) FROM a"); return err }); err == nil {
			t.Error("half a migration stayed")
		}
	})

	t.Run("all or nothing", func(t *testing.T) {
		db := ready(t)
		refuse := errors.New("no")
		err := db.Update(ctx, func(tx *Tx) error {
			if err := insert(tx, "a", 1); err != nil {
				return err
			}
			return refuse
		})
		if !errors.Is(err, refuse) || count(t, db) != 0 {
			t.Errorf("%v, and %d rows stayed", err, count(t, db))
		}
		if head, err := db.Head(ctx); err != nil || head != 0 {
			t.Errorf("the journal tells of what never was: %d %v", head, err)
		}
	})

	t.Run("run again", func(t *testing.T) {
		db := ready(t)
		tries := 0
		err := db.Update(ctx, func(tx *Tx) error {
			if tries++; tries < 3 {
				return fmt.Errorf("lost a race: %w", ErrRetry)
			}
			return insert(tx, "a", 1)
		})
		if err != nil || tries != 3 || count(t, db) != 1 {
			t.Errorf("%v after %d tries, %d rows", err, tries, count(t, db))
		}
	})

	t.Run("a view is of one moment", func(t *testing.T) {
		db := ready(t)
		err := db.View(ctx, func(tx *Tx) error {
			first, err := tx.Count("SELECT COUNT(*) FROM things")
			if err != nil {
				return err
			}
			if err := db.Update(ctx, func(tx *Tx) error { return insert(tx, "a", 1) }); err != nil {
				return err
			}
			second, err := tx.Count("SELECT COUNT(*) FROM things")
			if first != second {
				t.Errorf("%d rows, then %d", first, second)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})

	t.Run("a view can't write", func(t *testing.T) {
		db := ready(t)
		if err := db.View(ctx, func(tx *Tx) error { return insert(tx, "a", 1) }); err == nil {
			t.Error("a view wrote")
		}
	})

	t.Run("the journal is in commit order", func(t *testing.T) {
		db := ready(t)
		follow, stop := context.WithCancel(ctx)
		var seen []Entry
		var reader sync.WaitGroup
		reader.Go(func() {
			after := int64(0)
			for follow.Err() == nil {
				changed := db.Changed()
				entries, err := db.Read(ctx, after, 10)
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range entries {
					if e.Revision <= after {
						t.Errorf("revision %d came after %d", e.Revision, after)
					}
					after = e.Revision
					// Whoever sees the entry must see the row.
					if err := db.View(ctx, func(tx *Tx) error {
						n, err := tx.Count("SELECT COUNT(*) FROM things WHERE id = ?", e.ID)
						if n != 1 {
							t.Errorf("entry %d came before its row", e.Revision)
						}
						return err
					}); err != nil {
						t.Error(err)
					}
				}
				seen = append(seen, entries...)
				if len(entries) > 0 {
					continue
				}
				select {
				case <-changed:
				case <-follow.Done():
				}
			}
		})
		const writers, each = 50, 10
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				for i := range each {
					err := db.Update(ctx, func(tx *Tx) error {
						if err := insert(tx, fmt.Sprintf("%d-%d", w, i), i); err != nil {
							return err
						}
						if rand.IntN(3) == 0 {
							time.Sleep(time.Millisecond)
						}
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		for range 1000 {
			if head, err := db.Head(ctx); err != nil || head == writers*each {
				break
			}
		}
		time.Sleep(50 * time.Millisecond)
		stop()
		reader.Wait()
		if len(seen) != writers*each {
			t.Errorf("the reader saw %d of %d entries", len(seen), writers*each)
		}
	})

	t.Run("trimming", func(t *testing.T) {
		db := ready(t)
		for i := range 10 {
			if err := db.Update(ctx, func(tx *Tx) error { return insert(tx, fmt.Sprint(i), i) }); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Trim(ctx, 3); err != nil {
			t.Fatal(err)
		}
		oldest, err := db.Oldest(ctx)
		head, err2 := db.Head(ctx)
		if err != nil || err2 != nil || oldest != 8 || head != 10 {
			t.Errorf("oldest %d, head %d, %v %v", oldest, head, err, err2)
		}
	})
}

// TestStatements: a text is prepared once however many use it at once; texts that don't come again are not kept.
func TestStatements(t *testing.T) {
	ctx := context.Background()
	db, err := Open(ctx, filepath.Join(t.TempDir(), "try.db"))
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
		db, err := Open(ctx, filepath.Join(home, "try.db"))
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
