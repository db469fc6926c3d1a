package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neutrino/store"
)

// member is a writer that counts the rows and adds one with that number and its id.
type member struct {
	id   string
	ctx  context.Context
	then func(tx *store.Tx, run int) error // after its row; nil is nothing

	runs int
	saw  int // rows that it counted in its last run
	err  error
}

func (m *member) write(db *store.DB) error {
	return db.Update(m.ctx, func(tx *store.Tx) (err error) {
		m.runs++
		if m.saw, err = tx.Count("SELECT COUNT(*) FROM things"); err != nil {
			return err
		}
		if _, err := tx.Exec("INSERT INTO things (id, n) VALUES (?, ?)", m.id, m.saw); err != nil {
			return err
		}
		tx.Change("thing", m.id)
		if m.then != nil {
			return m.then(tx, m.runs)
		}
		return nil
	})
}

// together runs the members in their order, each in the turn after the one before it: all wait when the first begins.
func together(t *testing.T, db *store.DB, members ...*member) {
	t.Helper()
	db.SetMaxAge(time.Hour)
	begun, start := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		err := db.Update(store.WithLong(context.Background()), func(*store.Tx) error { close(begun); <-start; return nil })
		if err != nil {
			t.Error(err)
		}
	})
	<-begun
	for i, m := range members {
		if m.ctx == nil {
			m.ctx = context.Background()
		}
		group.Go(func() { m.err = m.write(db) })
		for db.Waiting() <= i {
			runtime.Gosched()
		}
	}
	close(start)
	group.Wait()
}

// rowsAndJournal gives the ids in the order of their numbers and in that of the journal, and holds both to be
// without gaps.
func rowsAndJournal(t *testing.T, db *store.DB) (rows, journal []string) {
	t.Helper()
	ctx := context.Background()
	err := db.View(ctx, func(tx *store.Tx) error {
		return tx.Each(func(r *sql.Rows) error {
			var id string
			var n int
			err := r.Scan(&id, &n)
			if n != len(rows) {
				t.Errorf("row %s has number %d in place %d: it did not see what was before it", id, n, len(rows))
			}
			rows = append(rows, id)
			return err
		}, "SELECT id, n FROM things ORDER BY n, id")
	})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := db.Read(ctx, 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		if e.Revision != int64(i)+1 {
			t.Errorf("entry %d has revision %d", i, e.Revision)
		}
		journal = append(journal, e.ID)
	}
	if head, err := db.Head(ctx); err != nil || head != int64(len(entries)) {
		t.Errorf("the head is %d after %d entries, %v", head, len(entries), err)
	}
	return rows, journal
}

var errNo = errors.New("no")

// TestGroup: writers that wait share a transaction, and each is what it would be alone.
func TestGroup(t *testing.T) {
	ctx := context.Background()
	expect := func(t *testing.T, db *store.DB, want string) {
		t.Helper()
		rows, journal := rowsAndJournal(t, db)
		if got := strings.Join(rows, " "); got != want || strings.Join(journal, " ") != want {
			t.Errorf("rows %s, journal %s, want %s", got, strings.Join(journal, " "), want)
		}
	}
	again := func(tx *store.Tx) error { // the key is taken: an error of the database's
		_, err := tx.Exec("INSERT INTO things (id, n) VALUES ('a', 99)")
		return err
	}

	t.Run("nothing is seen before the commit of all", func(t *testing.T) {
		db := ready(t)
		var seen atomic.Int64
		together(t, db, &member{id: "a"}, &member{id: "b"}, &member{id: "c", then: func(tx *store.Tx, _ int) error {
			return db.View(ctx, func(tx *store.Tx) error {
				n, err := tx.Count("SELECT COUNT(*) FROM things")
				seen.Store(int64(n))
				return err
			})
		}})
		if seen.Load() != 0 {
			t.Errorf("%d rows were seen: the writers did not share a transaction", seen.Load())
		}
		expect(t, db, "a b c")
	})

	t.Run("who fails takes nobody along", func(t *testing.T) {
		db := ready(t)
		gone, cancel := context.WithCancel(ctx)
		members := []*member{
			{id: "a"},
			{id: "refused", then: func(*store.Tx, int) error { return errNo }},
			{id: "b"},
			{id: "taken", then: func(tx *store.Tx, _ int) error { return again(tx) }},
			{id: "c"},
			{id: "gone", ctx: gone, then: func(tx *store.Tx, _ int) error {
				cancel()
				_, err := tx.Count("SELECT COUNT(*) FROM things")
				return err
			}},
			{id: "d"},
			{id: "large", then: func(tx *store.Tx, _ int) error {
				_, err := tx.Exec("INSERT INTO things (id, n) VALUES (?, 1)", "a\x00")
				return err
			}},
			{id: "e", then: func(tx *store.Tx, run int) error {
				if run == 1 {
					return fmt.Errorf("lost a race: %w", store.ErrRetry)
				}
				return nil
			}},
			{id: "f"},
		}
		together(t, db, members...)
		for _, m := range members {
			ok := len(m.id) == 1
			if ok != (m.err == nil) || m.id != "e" && m.runs != 1 {
				t.Errorf("%s: %v after %d runs", m.id, m.err, m.runs)
			}
		}
		for id, want := range map[string]error{"refused": errNo, "gone": context.Canceled, "large": store.ErrValue} {
			for _, m := range members {
				if m.id == id && !errors.Is(m.err, want) {
					t.Errorf("%s: %v", id, m.err)
				}
			}
		}
		rows, _ := rowsAndJournal(t, db)
		if got := strings.Join(rows, " "); got != "a b c d f e" {
			t.Errorf("rows %s", got)
		}
	})

	t.Run("who passes over an error", func(t *testing.T) {
		db := ready(t)
		careless := &member{id: "careless", then: func(tx *store.Tx, _ int) error { _ = again(tx); return nil }}
		together(t, db, &member{id: "a"}, careless, &member{id: "b"})
		if db.Source().Kind == store.Postgres { // where an error ends what can be done
			if careless.err == nil {
				t.Error("no error")
			}
			expect(t, db, "a b")
			return
		}
		if careless.err != nil {
			t.Error(careless.err)
		}
		expect(t, db, "a careless b")
	})

	t.Run("who panics", func(t *testing.T) {
		db := ready(t)
		a, b := &member{id: "a"}, &member{id: "b"}
		wild := &member{id: "wild"}
		var recovered any
		wild.then = func(*store.Tx, int) error {
			defer func() { // the test's goroutine must not die of it
				recovered = recover()
				runtime.Goexit()
			}()
			panic("wild")
		}
		together(t, db, a, wild, b)
		if recovered == nil || wild.runs != 1 || a.err != nil || b.err != nil || a.runs != 2 {
			t.Errorf("%v; %d runs; a %v in %d runs, b %v", recovered, wild.runs, a.err, a.runs, b.err)
		}
		rows, _ := rowsAndJournal(t, db)
		if len(rows) != 2 {
			t.Errorf("rows %v", rows)
		}
	})

	t.Run("long ones are alone", func(t *testing.T) {
		db := ready(t)
		var seen atomic.Int64
		together(t, db, &member{id: "a"}, &member{id: "b", ctx: store.WithLong(ctx), then: func(*store.Tx, int) error {
			return db.View(ctx, func(tx *store.Tx) error {
				n, err := tx.Count("SELECT COUNT(*) FROM things")
				seen.Store(int64(n))
				return err
			})
		}}, &member{id: "c"})
		if seen.Load() != 1 {
			t.Errorf("%d rows were there for others when the long one ran", seen.Load())
		}
		expect(t, db, "a b c")
	})

	t.Run("the database is lost", func(t *testing.T) {
		db := ready(t)
		end := map[store.Kind]string{store.Postgres: "SELECT pg_terminate_backend(pg_backend_pid())", store.MariaDB: "KILL CONNECTION_ID()"}[db.Source().Kind]
		if end == "" {
			t.Skip("SQLite has no connection that could be lost")
		}
		refused := &member{id: "refused", then: func(*store.Tx, int) error { return errNo }}
		killer := &member{id: "killer", then: func(tx *store.Tx, run int) error {
			if run > 1 {
				return nil
			}
			_, err := tx.Exec(end)
			return err
		}}
		members := []*member{{id: "a"}, refused, {id: "b"}, killer, {id: "c"}}
		together(t, db, members...)
		for _, m := range members {
			if m == refused != (m.err != nil) {
				t.Errorf("%s: %v", m.id, m.err)
			}
		}
		if killer.runs != 2 || refused.runs != 2 || !errors.Is(refused.err, errNo) {
			t.Errorf("%d and %d runs, %v", killer.runs, refused.runs, refused.err)
		}
		rows, journal := rowsAndJournal(t, db)
		if len(rows) != 4 || strings.Join(rows, " ") != strings.Join(journal, " ") {
			t.Errorf("rows %v, journal %v", rows, journal)
		}
	})

	t.Run("nobody waits any more", func(t *testing.T) {
		db := ready(t)
		if db.Source().Kind != store.Postgres {
			t.Skip("PostgreSQL's sleep ends with its connection")
		}
		gone, cancel := context.WithCancel(ctx)
		sleeper := &member{id: "sleeper", ctx: gone, then: func(tx *store.Tx, _ int) error {
			time.AfterFunc(10*time.Millisecond, cancel)
			_, err := tx.Exec("SELECT pg_sleep(600)")
			return err
		}}
		if err := sleeper.write(db); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := (&member{id: "a", ctx: ctx}).write(db); err != nil {
			t.Error(err)
		}
		expect(t, db, "a")
	})
}

// TestGroupsAtRandom: whatever its writers do in whatever order, of two servers at once where there may be two, the
// rows are those of the writers that were told so, as if they had come one after another in the journal's order;
// and what anybody was told, also a refusal, was of changes that stay.
func TestGroupsAtRandom(t *testing.T) {
	ctx := context.Background()
	first := ready(t)
	dbs := []*store.DB{first}
	if first.Source().Kind != store.SQLite {
		dbs = append(dbs, open(t, first.Source()))
	}
	var mu sync.Mutex
	done := map[string]bool{}
	var group sync.WaitGroup
	const writers, each = 40, 12
	for w := range writers {
		group.Go(func() {
			db := dbs[w%len(dbs)]
			for i := range each {
				m := &member{id: fmt.Sprintf("%d-%d", w, i)}
				one, cancel := context.WithCancel(ctx)
				m.ctx = one
				kind := rand.IntN(12)
				switch kind {
				case 0:
					m.then = func(*store.Tx, int) error { return errNo }
				case 1:
					m.then = func(tx *store.Tx, _ int) error {
						_, err := tx.Exec("INSERT INTO things (id, n) VALUES (?, 0)", m.id)
						return err
					}
				case 2:
					m.then = func(tx *store.Tx, _ int) error {
						cancel()
						_, err := tx.Count("SELECT COUNT(*) FROM things")
						return err
					}
				case 3:
					m.then = func(_ *store.Tx, run int) error {
						if run < 3 {
							return store.ErrRetry
						}
						return nil
					}
				case 4:
					time.AfterFunc(time.Duration(rand.IntN(20))*time.Millisecond, cancel) // whenever
				case 5:
					m.ctx = store.WithLong(one)
				}
				m.err = m.write(db)
				cancel()
				var now int
				if err := db.View(ctx, func(tx *store.Tx) (err error) { now, err = tx.Count("SELECT COUNT(*) FROM things"); return err }); err != nil {
					t.Error(err)
				}
				if kind != 4 && now < m.saw {
					t.Errorf("%s was told %v having seen %d rows, of which %d are left", m.id, m.err, m.saw, now)
				}
				if kind != 4 && (m.err == nil) != (kind > 2) {
					t.Errorf("%s of kind %d: %v", m.id, kind, m.err)
				}
				mu.Lock()
				done[m.id] = m.err == nil
				mu.Unlock()
			}
		})
	}
	group.Wait()
	rows, journal := rowsAndJournal(t, first)
	if strings.Join(rows, " ") != strings.Join(journal, " ") {
		t.Errorf("rows %v, journal %v", rows, journal)
	}
	there := map[string]bool{}
	for _, id := range rows {
		there[id] = true
	}
	for id, told := range done {
		if told != there[id] {
			t.Errorf("%s was told %v", id, told)
		}
	}
}
