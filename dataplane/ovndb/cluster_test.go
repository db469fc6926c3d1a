package ovndb_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"neutrino/dataplane/ovndb"
	"neutrino/dataplane/ovndb/ovntest"
)

// A cluster's leader dies, the database is compacted, servers come back: the client goes on at whoever leads, and
// what it wrote is there, each thing once.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := ovntest.StartCluster(t)
	var endpoints []string
	for _, name := range c.Names() {
		endpoints = append(endpoints, c.Endpoint(name))
	}
	client := ovndb.New(ovndb.Options{
		Endpoints: endpoints, Database: "OVN_Northbound", Lock: "turn", Log: slog.New(slog.DiscardHandler), Tables: map[string][]string{"Logical_Switch": {"name"}},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = client.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })

	// names counts the switches of each name in the copy.
	names := func() map[string]int {
		out := map[string]int{}
		_ = client.View(func(db *ovndb.View) {
			for _, row := range db.Table("Logical_Switch") {
				out[row.One["name"]]++
			}
		})
		return out
	}
	// write adds a switch, as whoever compares before writing does it.
	write := func(name string) {
		t.Helper()
		var err error
		for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if err = client.Ready(); err != nil {
				continue
			}
			if names()[name] > 0 {
				return
			}
			row := ovndb.NewRow()
			row.One["name"] = name
			var op ovndb.Operation
			if err = client.View(func(db *ovndb.View) { op = db.Schema().Insert("Logical_Switch", "s", row) }); err == nil {
				_ = client.Transact(ctx, []ovndb.Operation{op})
			}
		}
		t.Fatalf("switch %s could not be written: %v", name, err)
	}
	write("before")
	for round := range 3 {
		leader := c.Leader(t)
		c.Compact(t, leader)
		write(fmt.Sprint("compacted", round))
		c.Kill(leader)
		write(fmt.Sprint("leaderless", round))
		c.Start(t, leader)
		write(fmt.Sprint("whole", round))
	}
	if got := names(); len(got) != 10 {
		t.Errorf("switches: %v", got)
	} else {
		for name, n := range got {
			if n != 1 {
				t.Errorf("%d switches %s", n, name)
			}
		}
	}
}
