package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"neutrino/store"
	"neutrino/store/storetest"
)

// schema is a table to try things on, with the journal.
var schema = fstest.MapFS{"0001_try.sql": {Data: []byte(`
-- What the store itself needs; a comment with a semicolon;
CREATE TABLE journal (revision BIGINT NOT NULL PRIMARY KEY, kind VARCHAR(64) NOT NULL, id VARCHAR(36) NOT NULL, request VARCHAR(64) NOT NULL DEFAULT '');
CREATE TABLE journal_head (id INTEGER NOT NULL PRIMARY KEY, revision BIGINT NOT NULL, claims BIGINT NOT NULL);
INSERT INTO journal_head VALUES (1, 0, 0);
CREATE TABLE things (id VARCHAR(36) NOT NULL PRIMARY KEY, n INTEGER NOT NULL);`)}}

// open opens a database and closes it when the test ends.
func open(t testing.TB, source store.Source) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// ready gives a new database with the schema.
func ready(t testing.TB) *store.DB {
	t.Helper()
	db := open(t, storetest.Empty(t))
	if _, err := db.Migrate(context.Background(), schema); err != nil {
		t.Fatal(err)
	}
	return db
}

// TestDatabase is what every database must do.
func TestDatabase(t *testing.T) {
	ctx := context.Background()
	insert := func(tx *store.Tx, id string, n int) error {
		if _, err := tx.Exec("INSERT INTO things (id, n) VALUES (?, ?)", id, n); err != nil {
			return err
		}
		tx.Change("thing", id)
		return nil
	}
	count := func(t *testing.T, db *store.DB) (n int) {
		if err := db.View(ctx, func(tx *store.Tx) (err error) { n, err = tx.Count("SELECT COUNT(*) FROM things"); return err }); err != nil {
			t.Fatal(err)
		}
		return n
	}

	t.Run("all or nothing", func(t *testing.T) {
		db := ready(t)
		refuse := errors.New("no")
		err := db.Update(ctx, func(tx *store.Tx) error {
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
		err := db.Update(ctx, func(tx *store.Tx) error {
			if tries++; tries < 3 {
				return fmt.Errorf("lost a race: %w", store.ErrRetry)
			}
			return insert(tx, "a", 1)
		})
		if err != nil || tries != 3 || count(t, db) != 1 {
			t.Errorf("%v after %d tries, %d rows", err, tries, count(t, db))
		}
	})

	t.Run("a view is of one moment", func(t *testing.T) {
		db := ready(t)
		err := db.View(ctx, func(tx *store.Tx) error {
			first, err := tx.Count("SELECT COUNT(*) FROM things")
			if err != nil {
				return err
			}
			if err := db.Update(ctx, func(tx *store.Tx) error { return insert(tx, "a", 1) }); err != nil {
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

	t.Run("rows are read to their end first", func(t *testing.T) {
		db := ready(t)
		for i := range 3 {
			if err := db.Update(ctx, func(tx *store.Tx) error { return insert(tx, fmt.Sprint(i), i) }); err != nil {
				t.Fatal(err)
			}
		}
		err := db.View(ctx, func(tx *store.Tx) error {
			inner := tx.Each(func(*sql.Rows) error {
				_, err := tx.Count("SELECT COUNT(*) FROM things")
				return err
			}, "SELECT id FROM things")
			if inner == nil {
				t.Error("a statement ran inside the rows of another, which no database server can")
			}
			if n, err := tx.Count("SELECT COUNT(*) FROM things"); err != nil || n != 3 {
				t.Errorf("after the rows: %d %v", n, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})

	t.Run("texts are compared and sorted by their bytes", func(t *testing.T) {
		db := ready(t)
		texts := []string{"", " ", "A", "B", "B ", "a", "b", "ä", "日"}
		if err := db.Update(ctx, func(tx *store.Tx) error {
			for i, text := range slices.Backward(texts) {
				if err := insert(tx, text, i); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := db.View(ctx, func(tx *store.Tx) error {
			var got []string
			if err := tx.Each(func(rows *sql.Rows) error {
				var text string
				err := rows.Scan(&text)
				got = append(got, text)
				return err
			}, "SELECT id FROM things ORDER BY id"); err != nil {
				return err
			}
			if !slices.Equal(got, texts) {
				t.Errorf("got %q, want %q", got, texts)
			}
			for text, want := range map[string]int{"a": 1, "b ": 0, "É": 0, "ä": 1} {
				if n, err := tx.Count("SELECT COUNT(*) FROM things WHERE id = ?", text); err != nil || n != want {
					t.Errorf("%q: %d %v", text, n, err)
				}
			}
			cond := store.Contains("id", "a")
			if n, err := tx.Count("SELECT COUNT(*) FROM things"+cond.Clause(), cond.Args...); err != nil || n < 1 {
				t.Errorf("with an a: %d %v", n, err)
			}
			cond = store.Contains("id", "%")
			if n, err := tx.Count("SELECT COUNT(*) FROM things"+cond.Clause(), cond.Args...); err != nil || n != 0 {
				t.Errorf("with a %%: %d %v", n, err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("values", func(t *testing.T) {
		db := ready(t)
		wide := strings.Repeat("x", 37)
		for name, text := range map[string]string{"NUL": "a\x00b", "no UTF-8": "a\xff", "half a surrogate": "\xed\xa0\x80", "too long": wide} {
			err := db.Update(ctx, func(tx *store.Tx) error { return insert(tx, text, 1) })
			if name == "too long" && db.Source().Kind == store.SQLite {
				continue // SQLite's columns have no length: nothing is lost
			}
			if !errors.Is(err, store.ErrValue) {
				t.Errorf("%s: %v", name, err)
			}
			if name == "too long" {
				continue
			}
			if err := db.View(ctx, func(tx *store.Tx) error {
				_, err := tx.Count("SELECT COUNT(*) FROM things WHERE id = ?", text)
				return err
			}); !errors.Is(err, store.ErrValue) {
				t.Errorf("looking for %s: %v", name, err)
			}
		}
		for i, text := range []string{"é", "日本", "😀", `\'"%_?$1`} {
			if err := db.Update(ctx, func(tx *store.Tx) error { return insert(tx, text, 1<<40+i) }); err != nil {
				t.Errorf("%q: %v", text, err)
			}
			var n int
			if err := db.View(ctx, func(tx *store.Tx) error {
				_, err := tx.One([]any{&n}, "SELECT n FROM things WHERE id = ?", text)
				return err
			}); err != nil || n != 1<<40+i {
				t.Errorf("%q came back with %d, %v", text, n, err)
			}
		}
	})

	t.Run("several programs", func(t *testing.T) {
		source := storetest.Empty(t)
		dbs := make([]*store.DB, 3)
		for i := range dbs {
			dbs[i] = open(t, source)
		}
		var group sync.WaitGroup
		var ran atomic.Int64
		for _, db := range dbs { // at once: one makes the schema, the others wait
			group.Go(func() {
				names, err := db.Migrate(ctx, schema)
				if err != nil {
					t.Error(err)
				}
				ran.Add(int64(len(names)))
			})
		}
		group.Wait()
		if source.Kind != store.SQLite && ran.Load() != int64(len(schema)) {
			t.Errorf("%d migrations were run", ran.Load())
		}
		const each = 40
		for i, db := range dbs { // a counter that is read and then written: nothing is lost
			group.Go(func() {
				for n := range each {
					err := db.Update(ctx, func(tx *store.Tx) error {
						id := fmt.Sprintf("%d-%d", i, n)
						have, err := tx.Count("SELECT COUNT(*) FROM things")
						if err != nil {
							return err
						}
						return insert(tx, id, have)
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		group.Wait()
		if err := dbs[0].View(ctx, func(tx *store.Tx) error {
			n, err := tx.Count("SELECT COUNT(DISTINCT n) FROM things")
			if n != each*len(dbs) {
				t.Errorf("%d different numbers, want %d: two writers saw the same state", n, each*len(dbs))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if source.Kind == store.SQLite {
			return // one program follows the journal of a file
		}
		changed := dbs[0].Changed()
		if err := dbs[1].Update(ctx, func(tx *store.Tx) error { return insert(tx, "last", 0) }); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
		case <-time.After(20 * time.Second):
			t.Error("another program's change was not told")
		}
	})

	t.Run("a view can't write", func(t *testing.T) {
		db := ready(t)
		if err := db.View(ctx, func(tx *store.Tx) error { return insert(tx, "a", 1) }); err == nil {
			t.Error("a view wrote")
		}
	})

	t.Run("the journal is in commit order", func(t *testing.T) {
		db := ready(t)
		follow, stop := context.WithCancel(ctx)
		const writers, each = 50, 10
		var seen []store.Entry
		all := make(chan struct{}) // closed when the reader has seen all
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
					if err := db.View(ctx, func(tx *store.Tx) error {
						n, err := tx.Count("SELECT COUNT(*) FROM things WHERE id = ?", e.ID)
						if n != 1 {
							t.Errorf("entry %d came before its row", e.Revision)
						}
						return err
					}); err != nil {
						t.Error(err)
					}
				}
				if seen = append(seen, entries...); len(seen) == writers*each {
					close(all)
					return
				}
				if len(entries) > 0 {
					continue
				}
				select {
				case <-changed:
				case <-follow.Done():
				}
			}
		})
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				for i := range each {
					err := db.Update(ctx, func(tx *store.Tx) error {
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
		select {
		case <-all:
		case <-time.After(20 * time.Second):
		}
		stop()
		reader.Wait()
		if len(seen) != writers*each {
			t.Errorf("the reader saw %d of %d entries", len(seen), writers*each)
		}
	})

	t.Run("trimming", func(t *testing.T) {
		db := ready(t)
		for i := range 10 {
			if err := db.Update(ctx, func(tx *store.Tx) error { return insert(tx, fmt.Sprint(i), i) }); err != nil {
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
