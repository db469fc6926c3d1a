package ovndb_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"neutrino/dataplane/ovndb"
	"neutrino/dataplane/ovndb/ovntest"
)

// follower is a client with what it was told.
type follower struct {
	*ovndb.Client
	mu    sync.Mutex
	names map[string]bool // switches
	ready bool
}

func follow(t *testing.T, c *ovntest.Central, lock string) (f *follower, stop func()) {
	t.Helper()
	f = &follower{names: map[string]bool{}}
	f.Client = ovndb.New(ovndb.Options{
		Endpoints: []string{"unix:/nowhere", c.North()}, Database: "OVN_Northbound", Lock: lock, Log: slog.New(slog.DiscardHandler),
		Tables: map[string][]string{"Logical_Switch": {"name", "other_config", "no_such_column"}, "No_Such_Table": nil},
		Changed: func(_ *ovndb.View, changes []ovndb.Change) {
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, ch := range changes {
				switch name := ch.Row.One["name"]; {
				case ch.Deleted:
					delete(f.names, name)
				case ch.Inserted:
					f.names[name] = true
				}
			}
		},
		State: func(ready bool) { f.mu.Lock(); f.ready = ready; f.mu.Unlock() },
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = f.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return f, stop
}

func (f *follower) wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		f.mu.Lock()
		ok := is()
		f.mu.Unlock()
		if ok {
			return
		}
	}
	t.Fatalf("it never came to be that %s", what)
}

// The copy follows others' changes, and after the server was away it is told what came and what went meanwhile.
func TestFollow(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, false)
	f, _ := follow(t, c, "")
	c.NB(t, "ls-add", "a", "--", "ls-add", "b")
	f.wait(t, "both switches are known", func() bool { return f.names["a"] && f.names["b"] })
	c.StopNorth()
	f.wait(t, "the loss is noticed", func() bool { return !f.ready })
	if err := f.Ready(); !errors.Is(err, ovndb.ErrNotReady) {
		t.Errorf("ready: %v", err)
	}
	c.StartNorth(t)
	c.NB(t, "ls-del", "a", "--", "ls-add", "d")
	f.wait(t, "it is there again", func() bool { return f.ready && !f.names["a"] && f.names["b"] && f.names["d"] })
}

// A transaction is seen by whoever made it when it returns; one that can't be done does nothing.
func TestTransact(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, false)
	f, _ := follow(t, c, "")
	f.wait(t, "it is ready", func() bool { return f.ready })
	row := func(name string) *ovndb.Row {
		r := ovndb.NewRow()
		r.One["name"], r.Many["other_config"] = name, map[string]string{"k": `a"b`}
		return r
	}
	var ops []ovndb.Operation
	var schema *ovndb.Schema
	if err := f.View(func(db *ovndb.View) { schema = db.Schema() }); err != nil {
		t.Fatal(err)
	}
	ops = append(ops, schema.Insert("Logical_Switch", "one", row("x")))
	if err := f.Transact(t.Context(), ops); err != nil {
		t.Fatal(err)
	}
	found := ""
	if err := f.View(func(db *ovndb.View) {
		for id, r := range db.Table("Logical_Switch") {
			if r.One["name"] == "x" && r.Many["other_config"]["k"] == `a"b` {
				found = id
			}
		}
	}); err != nil || found == "" {
		t.Fatalf("the new row is not in the copy (%v)", err)
	}
	bad := []ovndb.Operation{schema.Delete("Logical_Switch", found), schema.Insert("Port_Group", "g", row("g")), schema.Insert("Port_Group", "h", row("g"))}
	if err := f.Transact(t.Context(), bad); err == nil {
		t.Error("nonsense was done")
	}
	if out := c.NB(t, "ls-list"); out == "" {
		t.Error("half of it was done")
	}
	if err := f.Ping(t.Context()); err != nil {
		t.Errorf("a server that lives does not answer: %v", err)
	}
}

// Of two clients with one lock one writes; when it goes, the other does.
func TestLock(t *testing.T) {
	t.Parallel()
	c := ovntest.Start(t, false)
	first, stop := follow(t, c, "turn")
	first.wait(t, "the first has its turn", func() bool { return first.ready })
	second, _ := follow(t, c, "turn")
	c.NB(t, "ls-add", "a")
	second.wait(t, "the second follows", func() bool { return second.names["a"] })
	if err := second.Transact(t.Context(), nil); !errors.Is(err, ovndb.ErrNotReady) {
		t.Errorf("the second writes: %v", err)
	}
	stop()
	second.wait(t, "the second has its turn", func() bool { return second.ready })
}
