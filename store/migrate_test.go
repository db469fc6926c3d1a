package store_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"neutrino/store"
	"neutrino/store/storetest"
)

// with is the test's schema with more files.
func with(files map[string]string) fstest.MapFS {
	dir := fstest.MapFS{}
	for name, file := range schema {
		dir[name] = file
	}
	for name, text := range files {
		dir[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return dir
}

func TestMigrate(t *testing.T) {
	ctx := context.Background()
	check := func(t *testing.T, db *store.DB, dir fstest.MapFS) (store.Schema, error) {
		t.Helper()
		s, err := db.Schema(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		return s, s.Check()
	}

	t.Run("empty, then whole", func(t *testing.T) {
		db := open(t, storetest.Empty(t))
		if s, err := check(t, db, schema); err == nil || s.Version != 0 || len(s.Missing) != 1 || s.Known != 1 {
			t.Errorf("empty: %+v %v", s, err)
		}
		if ran, err := db.Migrate(ctx, schema); err != nil || len(ran) != 1 {
			t.Errorf("first: %v %v", ran, err)
		}
		if ran, err := db.Migrate(ctx, schema); err != nil || len(ran) != 0 {
			t.Errorf("again: %v %v", ran, err)
		}
		if s, err := check(t, db, schema); err != nil || s.Version != 1 {
			t.Errorf("whole: %+v %v", s, err)
		}
	})

	t.Run("a number before the newest is run too", func(t *testing.T) {
		db := ready(t)
		three := with(map[string]string{"0003_c.sql": "CREATE TABLE c (x INTEGER NOT NULL)"})
		if _, err := db.Migrate(ctx, three); err != nil {
			t.Fatal(err)
		}
		three["0002_b.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE b (x INTEGER NOT NULL)")}
		if s, err := check(t, db, three); err == nil || len(s.Missing) != 1 {
			t.Errorf("%+v %v", s, err)
		}
		if ran, err := db.Migrate(ctx, three); err != nil || len(ran) != 1 || ran[0] != "0002_b.sql" {
			t.Errorf("%v %v", ran, err)
		}
	})

	t.Run("newer", func(t *testing.T) {
		db := ready(t)
		if _, err := db.Migrate(ctx, with(map[string]string{"0002_more.sql": "ALTER TABLE things ADD COLUMN more VARCHAR(9) NOT NULL DEFAULT ''"})); err != nil {
			t.Fatal(err)
		}
		if s, err := check(t, db, schema); err != nil || len(s.Newer) != 1 {
			t.Errorf("one that adds: %+v %v", s, err)
		}
		if _, err := db.Migrate(ctx, schema); err != nil {
			t.Errorf("one that adds: %v", err)
		}
		if err := db.Update(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec("INSERT INTO things (id, n) VALUES (?, ?)", "old", 1)
			return err
		}); err != nil {
			t.Errorf("the older program can't write: %v", err)
		}
		both := with(map[string]string{"0002_more.sql": "", "0003_less.contract.sql": "ALTER TABLE things DROP COLUMN n"})
		if _, err := db.Migrate(ctx, both); err != nil {
			t.Fatal(err)
		}
		if _, err := check(t, db, schema); err == nil || !strings.Contains(err.Error(), "0003_less.contract.sql") {
			t.Errorf("one that takes away: %v", err)
		}
		if _, err := db.Migrate(ctx, schema); err == nil {
			t.Error("an older program was let at a database that lacks what it needs")
		}
	})

	t.Run("broken off", func(t *testing.T) {
		db := ready(t)
		broken := with(map[string]string{"0002_half.sql": "CREATE TABLE a (x INTEGER NOT NULL); INSERT INTO a VALUES (1); CREATE TABLE a (y INTEGER NOT NULL); INSERT INTO a VALUES (2)"})
		ran, err := db.Migrate(ctx, broken)
		if err == nil || len(ran) != 0 {
			t.Fatalf("%v %v", ran, err)
		}
		if s, err := check(t, db, broken); err == nil || len(s.Missing) != 1 {
			t.Errorf("%+v %v", s, err)
		}
		// Mended, it goes on: from the start where all was undone, else from where it stopped.
		mended := with(map[string]string{"0002_half.sql": "CREATE TABLE a (x INTEGER NOT NULL); INSERT INTO a VALUES (1); CREATE TABLE b (y INTEGER NOT NULL); INSERT INTO a VALUES (2)"})
		if ran, err := db.Migrate(ctx, mended); err != nil || len(ran) != 1 {
			t.Fatalf("%v %v", ran, err)
		}
		if err := db.View(ctx, func(tx *store.Tx) error {
			n, err := tx.Count("SELECT COUNT(*) FROM a")
			if n != 2 {
				t.Errorf("%d rows, want 2", n)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("twice the same number", func(t *testing.T) {
		db := open(t, storetest.Empty(t))
		if _, err := db.Migrate(ctx, with(map[string]string{"0001_other.sql": "CREATE TABLE a (x INTEGER NOT NULL)"})); err == nil {
			t.Error("it was taken")
		}
	})
}
