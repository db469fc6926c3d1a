package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"neutrino/store"
)

// GaleraNode is one MariaDB of a cluster.
type GaleraNode struct {
	Source store.Source // an empty database, the same on all nodes
	server *server
}

// Galera starts a cluster of MariaDB servers that replicate by Galera over the loopback device, each in a
// directory of its own. It goes when the test ends.
func Galera(t testing.TB, nodes int) []*GaleraNode {
	t.Helper()
	library, err := find("libgalera_smm.so", "/usr/lib/galera*")
	if err == nil {
		_, err = find("rsync", "/usr/bin") // by which a node that joins gets its data
	}
	if err != nil {
		t.Fatal(err)
	}
	var cluster []*GaleraNode
	first := ""
	for i := range nodes {
		address, transfer, state := freePort(t), freePort(t), freePort(t)
		options := []string{
			"--wsrep-on=ON", "--wsrep-provider=" + library, "--wsrep-cluster-name=neutrino", fmt.Sprintf("--wsrep-node-name=n%d", i+1), "--wsrep-node-address=" + address,
			"--wsrep-provider-options=gmcast.listen_addr=tcp://" + address + ";ist.recv_addr=" + transfer + ";gcache.size=32M",
			"--wsrep-sst-method=rsync", "--wsrep-sst-receive-address=" + state, "--binlog-format=ROW", "--innodb-autoinc-lock-mode=2",
			"--wsrep-cluster-address=gcomm://" + first,
		}
		if first == "" {
			first, options = address, append(options, "--wsrep-new-cluster")
		}
		s := startMariaDB(false, i == 0, options...)
		if s.process != nil {
			t.Cleanup(func() {
				if err := s.process.end(); err != nil {
					t.Error(err)
				}
			})
		}
		if s.err != nil {
			t.Fatal(s.err)
		}
		cluster = append(cluster, &GaleraNode{server: s})
	}
	cluster[0].server.run(t, "CREATE DATABASE cluster")
	for i, n := range cluster {
		if n.Source, err = store.Parse(fmt.Sprintf(n.server.database, "cluster") + "&wsrep_sync_wait=7"); err != nil {
			t.Fatal(err)
		}
		n.await(t, i+1)
	}
	return cluster
}

// await waits until the node has the others' database.
func (n *GaleraNode) await(t testing.TB, number int) {
	t.Helper()
	for range 300 {
		db, err := store.Open(t.Context(), n.Source)
		if err == nil {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	text, err := os.ReadFile(filepath.Join(n.server.process.dir, "log"))
	t.Fatalf("node %d has not joined:\n%s %v", number, text[max(0, len(text)-4000):], err)
}

// Condition is what the node says of its place in the cluster and of its connections, for a test's log.
func (n *GaleraNode) Condition(t testing.TB) string {
	t.Helper()
	db, err := sql.Open(n.server.driver, n.server.admin)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = db.Close() }()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	var text strings.Builder
	for _, statement := range []string{
		"SELECT variable_name, variable_value FROM information_schema.global_status WHERE variable_name REGEXP '^WSREP_(LOCAL_STATE_COMMENT|READY|CLUSTER_SIZE|FLOW_CONTROL|LOCAL_RECV_QUEUE|LAST_COMMITTED|LOCAL_BF_ABORTS)'",
		"SELECT CONCAT_WS(' ', id, command, time, state), COALESCE(info, '') FROM information_schema.processlist",
	} {
		rows, err := db.QueryContext(ctx, statement)
		if err != nil {
			return text.String() + err.Error()
		}
		for rows.Next() {
			var name, value string
			if err := rows.Scan(&name, &value); err != nil {
				text.WriteString(err.Error())
			}
			fmt.Fprintf(&text, "%s %.300s\n", name, value)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			text.WriteString(err.Error())
		}
	}
	return text.String()
}

// Kill ends the node as a crash does.
func (n *GaleraNode) Kill(t testing.TB) {
	t.Helper()
	if err := n.server.process.kill(); err != nil {
		t.Fatal(err)
	}
}

// freePort is an address on the loopback device that nobody listens on.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// end ends the server, if kill has not, and removes its directory.
func (p *process) end() error {
	if p.shell.ProcessState != nil {
		return os.RemoveAll(p.dir)
	}
	return errors.Join(p.input.Close(), p.shell.Wait())
}
