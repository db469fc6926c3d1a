// Package storetest gives tests an empty database of the kind that NEUTRINO_TEST_DATABASE asks for:
// sqlite (the default), postgresql or mariadb. A database server is started once per test program, in
// a directory of its own with nothing but a unix socket, and goes when the program ends, however it ends.
package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"

	"neutrino/store"
)

// Kind is the kind of database that the tests run on.
func Kind(t testing.TB) store.Kind {
	t.Helper()
	switch text := os.Getenv("NEUTRINO_TEST_DATABASE"); text {
	case "", "sqlite":
		return store.SQLite
	case "postgresql":
		return store.Postgres
	case "mariadb":
		return store.MariaDB
	default:
		t.Fatalf("NEUTRINO_TEST_DATABASE=%q: use sqlite, postgresql or mariadb", text)
		return ""
	}
}

// Empty makes an empty database for the test, which goes with it. Benchmarks get a server whose commits
// wait for the disk, tests one whose commits survive the server's end but not the machine's.
func Empty(t testing.TB) store.Source {
	t.Helper()
	switch kind := Kind(t); kind {
	case store.SQLite:
		return store.Source{Kind: kind, Path: filepath.Join(t.TempDir(), "test.db")}
	case store.Postgres:
		return emptyOn(t, postgres(t))
	default:
		return emptyOn(t, mariadb(t))
	}
}

// pair is the two servers of a kind, of which each is started when the first test asks for it.
func pair(start func(sync bool) *server) func(t testing.TB) *server {
	synced := sync.OnceValue(func() *server { return start(true) })
	quick := sync.OnceValue(func() *server { return start(false) })
	return func(t testing.TB) *server {
		if _, measures := t.(*testing.B); measures {
			return synced()
		}
		return quick()
	}
}

// server is a running database server. All tests of the program share it.
type server struct {
	err      error
	process  *process
	driver   string
	admin    string // how the driver connects to make databases
	database string // URL with %s for the name
	drop     string
}

// made numbers the databases of this program.
var made atomic.Int64

func emptyOn(t testing.TB, s *server) store.Source {
	t.Helper()
	if s.err != nil {
		t.Fatal(s.err)
	}
	name := fmt.Sprintf("test%d", made.Add(1))
	s.run(t, "CREATE DATABASE "+name)
	t.Cleanup(func() { s.run(t, fmt.Sprintf(s.drop, name)) })
	source, err := store.Parse(fmt.Sprintf(s.database, name))
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// run runs a statement as the server's administrator.
func (s *server) run(t testing.TB, statement string) {
	t.Helper()
	db, err := sql.Open(s.driver, s.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(context.Background(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

var postgres = pair(func(sync bool) *server {
	initdb, err := find("initdb", "/usr/lib/postgresql/*/bin")
	if err != nil {
		return &server{err: err}
	}
	p, err := start("postgres", "QUIT", func(dir string) (prepare, serve []string) {
		data := filepath.Join(dir, "data")
		prepare = []string{initdb, "-D", data, "-U", "neutrino", "--auth=trust", "--no-sync", "--locale=C.UTF-8", "--encoding=UTF8"}
		serve = []string{filepath.Join(filepath.Dir(initdb), "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "max_connections=200"}
		if !sync {
			serve = append(serve, "-c", "fsync=off", "-c", "full_page_writes=off")
		}
		return prepare, serve
	})
	if err != nil {
		return &server{err: err}
	}
	s := &server{process: p, driver: "pgx", admin: "postgresql://neutrino@/postgres?host=" + p.dir,
		database: "postgresql://neutrino@/%s?host=" + p.dir, drop: "DROP DATABASE %s WITH (FORCE)"}
	s.err = p.wait(s.driver, s.admin)
	return s
})

var mariadb = pair(func(sync bool) *server { return startMariaDB(sync, true) })

// startMariaDB starts a server with further options; without data it is to get them from others.
func startMariaDB(sync, withData bool, options ...string) *server {
	install, err := find("mariadb-install-db", "/usr/bin")
	if err != nil {
		return &server{err: err}
	}
	daemon, err := find("mariadbd", "/usr/sbin")
	if err != nil {
		return &server{err: err}
	}
	p, err := start("mysql", "KILL", func(dir string) (prepare, serve []string) {
		data := "--datadir=" + filepath.Join(dir, "data")
		// Without native asynchronous I/O, of which the kernel has only so much for everybody.
		prepare = []string{install, "--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-use-native-aio=0"}
		if !withData {
			prepare = []string{"mkdir", filepath.Join(dir, "data")}
		}
		serve = []string{daemon, "--no-defaults", data, "--socket=" + filepath.Join(dir, "socket"), "--pid-file=" + filepath.Join(dir, "pid"),
			"--skip-networking", "--max-connections=300", "--innodb-use-native-aio=0"}
		if !sync {
			serve = append(serve, "--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync", "--skip-innodb-doublewrite")
		}
		return prepare, append(serve, options...)
	})
	if err != nil {
		return &server{err: err}
	}
	socket := filepath.Join(p.dir, "socket")
	s := &server{process: p, driver: "mysql", admin: "root@unix(" + socket + ")/",
		database: "mysql://root@/%s?unix_socket=" + socket, drop: "DROP DATABASE %s"}
	s.err = p.wait(s.driver, s.admin)
	return s
}

// Stop makes the database server go away as in a crash, and start makes it come back.
// Tests that use it don't run beside others.
func Stop(t testing.TB) (start func()) {
	t.Helper()
	var s *server
	switch Kind(t) {
	case store.Postgres:
		s = postgres(t)
	case store.MariaDB:
		s = mariadb(t)
	default:
		t.Skip("SQLite has no server that could be stopped")
	}
	if err := s.process.kill(); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := s.process.serve(); err != nil {
			t.Fatal(err)
		}
		if err := s.process.wait(s.driver, s.admin); err != nil {
			t.Fatal(err)
		}
	}
}
