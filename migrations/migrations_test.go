package migrations_test

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"neutrino/migrations"
	"neutrino/store"
	"neutrino/store/storetest"
)

// TestUpgrade: a database of an older version with rows in all its tables keeps them through the
// upgrade, and can be written to after it.
func TestUpgrade(t *testing.T) {
	names, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < len(names); n++ {
		if storetest.Kind(t) != store.SQLite && n != 2 && n != len(names)-1 {
			continue // on servers there never was a 0001 alone; the oldest and the newest will do where each takes seconds
		}
		t.Run("from "+names[n-1], func(t *testing.T) {
			older := fstest.MapFS{}
			for _, name := range names[:n] {
				text, err := migrations.Files.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				older[name] = &fstest.MapFile{Data: text}
			}
			upgrade(t, older)
		})
	}
}

// TestUpgradeFirst: the very first SQLite databases had a journal that numbered itself.
func TestUpgradeFirst(t *testing.T) {
	if storetest.Kind(t) != store.SQLite {
		t.Skip("there were no others")
	}
	text, err := migrations.Files.ReadFile("0001_network.sql")
	if err != nil {
		t.Fatal(err)
	}
	first := strings.Replace(string(text), "revision BIGINT      NOT NULL PRIMARY KEY", "revision INTEGER PRIMARY KEY AUTOINCREMENT", 1)
	first = strings.Replace(first, "CREATE INDEX networks_segment ON networks (network_type, physical_network, segmentation_id)",
		"CREATE UNIQUE INDEX networks_segment ON networks (network_type, physical_network, segmentation_id) WHERE network_type <> 'local'", 1)
	if strings.Count(first, "AUTOINCREMENT") != 1 || strings.Count(first, "WHERE network_type") != 1 {
		t.Fatal("0001_network.sql is no longer what it was")
	}
	upgrade(t, fstest.MapFS{"0001_network.sql": {Data: []byte(first)}})
}

func upgrade(t *testing.T, older fs.FS) {
	ctx := context.Background()
	db, err := store.Open(ctx, storetest.Empty(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := db.Migrate(ctx, older); err != nil {
		t.Fatal(err)
	}
	tables := tablesOf(t, older)
	columns := map[string][]string{}
	for _, table := range tables {
		columns[table] = fill(t, db, table)
	}
	before := contents(t, db, columns)
	for _, table := range tables {
		if len(before[table]) < 1 {
			t.Fatalf("%s is empty: the test shows nothing", table)
		}
	}
	ran, err := db.Migrate(ctx, migrations.Files)
	if err != nil || len(ran) == 0 {
		t.Fatalf("upgrade: %v %v", ran, err)
	}
	after := contents(t, db, columns)
	if slices.Contains(ran, "0002_journal_head.sql") {
		if head, err := db.Head(ctx); err != nil || head != 8 {
			t.Errorf("the journal's head is %d, %v", head, err)
		}
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("rows have changed:\n%s", diff)
	}
	if err := db.Update(ctx, func(tx *store.Tx) error { tx.Change("network", "x"); return nil }); err != nil {
		t.Errorf("write after the upgrade: %v", err)
	}
}

var createTable = regexp.MustCompile(`(?m)^CREATE TABLE (\w+)`)

// tablesOf lists the tables that migrations make, those that others refer to first.
func tablesOf(t *testing.T, dir fs.FS) []string {
	t.Helper()
	names, err := fs.Glob(dir, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var tables []string
	for _, name := range names {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range createTable.FindAllStringSubmatch(string(text), -1) {
			tables = append(tables, m[1])
		}
	}
	return tables
}

// fill writes two rows to a table, full of sevens and of eights, so that every reference finds its
// row. It gives the table's columns.
func fill(t *testing.T, db *store.DB, table string) []string {
	t.Helper()
	var names []string
	var types []*sql.ColumnType
	ctx := context.Background()
	if err := db.View(ctx, func(tx *store.Tx) error {
		return tx.Each(func(rows *sql.Rows) (err error) {
			if types == nil {
				types, err = rows.ColumnTypes()
			}
			return err
		}, "SELECT t.* FROM (SELECT 1 AS present) one LEFT JOIN "+table+" t ON 1 = 1")
	}); err != nil {
		t.Fatal(err)
	}
	for _, column := range types {
		names = append(names, column.Name())
	}
	if table == "journal_head" { // one row, which is there
		return names
	}
	for _, n := range []int{7, 8} {
		args := make([]any, len(types))
		for i, column := range types {
			switch name, _, _ := strings.Cut(strings.ToUpper(column.DatabaseTypeName()), "("); name {
			case "BOOLEAN", "BOOL", "TINYINT":
				args[i] = n%2 == 0
			case "INTEGER", "BIGINT", "INT8":
				args[i] = n
			case "VARCHAR", "TEXT", "MEDIUMTEXT":
				args[i] = fmt.Sprint(n)
			default:
				t.Fatalf("%s.%s is of the type %s, which migrations don't use", table, column.Name(), name)
			}
		}
		err := db.Update(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec("INSERT INTO "+table+" ("+strings.Join(names, ", ")+") VALUES (?"+strings.Repeat(", ?", len(names)-1)+")", args...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// contents gives all rows of tables as texts, sorted.
func contents(t *testing.T, db *store.DB, columns map[string][]string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for table, names := range columns {
		if table == "journal_head" {
			names = names[:1] // the rest moves with every write
		}
		if err := db.View(context.Background(), func(tx *store.Tx) error {
			return tx.Each(func(rows *sql.Rows) error {
				texts := make([]string, len(names))
				dests := make([]any, len(names))
				for i := range texts {
					dests[i] = &texts[i]
				}
				err := rows.Scan(dests...)
				out[table] = append(out[table], strings.Join(texts, "|"))
				return err
			}, "SELECT "+strings.Join(names, ", ")+" FROM "+table)
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(out[table])
	}
	return out
}
