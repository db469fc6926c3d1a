package server

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"neutrino/store"
	"neutrino/store/storetest"
)

// TestGalera: two servers, each on a node of its own of a Galera cluster of three, give no address twice and
// lose none; the journal is the same on all nodes; and when a node dies, the server on another goes on.
func TestGalera(t *testing.T) {
	if storetest.Kind(t) != store.MariaDB {
		t.Skip("Galera is MariaDB's")
	}
	nodes := storetest.Galera(t, 3)
	dir := t.TempDir()
	servers := []*running{runOn(t, dir, nodes[0].Source), runOn(t, dir, nodes[1].Source)}
	// A cluster on a busy machine may stand still for longer than a node waits: then it is a 503, and the log says how the nodes were.
	var said sync.Once
	smallSubnet(t, servers, func() {
		said.Do(func() {
			for i, n := range nodes {
				t.Logf("node %d:\n%s", i+1, n.Condition(t))
			}
		})
		time.Sleep(time.Second)
	})

	read := func(n *storetest.GaleraNode) []store.Entry {
		db, err := store.Open(context.Background(), n.Source)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}()
		entries, err := db.Read(context.Background(), 0, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
	journal := read(nodes[0])
	if len(journal) < 100 {
		t.Errorf("the journal has %d entries", len(journal))
	}
	for i, e := range journal {
		if e.Revision != int64(i)+journal[0].Revision {
			t.Fatalf("entry %d has revision %d", i, e.Revision)
		}
	}
	for i, n := range nodes[1:] {
		if !slices.Equal(read(n), journal) {
			t.Errorf("the journal of node %d is another", i+2)
		}
	}

	nodes[1].Kill(t)
	if status, answer, err := servers[1].call("GET", "/v2.0/networks", ""); status != 503 || err != nil {
		t.Errorf("on the node that died: %d %v %v", status, answer, err)
	}
	// The cluster stands still until it has found out, which takes it some seconds.
	for began := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		status, answer, err := servers[0].call("POST", "/v2.0/networks", `{"network": {}}`)
		if status == 201 {
			break
		}
		if err != nil || status != 503 || time.Since(began) > time.Minute {
			t.Fatalf("on a node that lives: %d %v %v", status, answer, err)
		}
	}
}
