package northbound_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"neutrino/dataplane/ovndb"
	"neutrino/dataplane/ovndb/ovntest"
	"neutrino/driver/ovn"
)

// dump writes all rows of the northbound database, with names in the place of UUIDs.
func dump(t testing.TB, c *ovntest.Central) string {
	t.Helper()
	var lines []string
	look(t, c, func(db *ovndb.View) { lines = rows(db) })
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// look reads a copy of the northbound database.
func look(t testing.TB, c *ovntest.Central, read func(*ovndb.View)) {
	t.Helper()
	tables := map[string][]string{}
	for _, name := range ovn.Tables {
		tables[name] = nil
	}
	ready := make(chan struct{}, 1)
	client := ovndb.New(ovndb.Options{
		Endpoints: []string{c.North()}, Database: "OVN_Northbound", Tables: tables, Log: slog.New(slog.DiscardHandler),
		State: func(on bool) {
			if on {
				ready <- struct{}{}
			}
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = client.Run(ctx) }()
	defer func() { cancel(); <-done }()
	select {
	case <-ready:
	case <-time.After(20 * time.Second):
		t.Fatal("the northbound database does not answer")
	}
	if err := client.View(read); err != nil {
		t.Fatal(err)
	}
}

func rows(db *ovndb.View) []string {
	name := func(table, id string) string {
		row := db.Row(table, id)
		if row == nil {
			return "?" + id
		}
		if n := row.One["name"]; n != "" {
			return n
		}
		for _, key := range []string{"match", "ip_prefix", "chassis_name", "external_ip", "dst_ip"} {
			if row.One[key] != "" {
				return row.One[key] + " " + row.One["logical_ip"] + row.One["direction"]
			}
		}
		ids := row.Many["external_ids"]
		return ids["subnet_id"] + ids["port_id"] + ids["ls_name"]
	}
	var lines []string
	for _, table := range ovn.Tables {
		for id, row := range db.Table(table) {
			line := table + " " + name(table, id) + "\n"
			for _, column := range slices.Sorted(maps.Keys(db.Schema().Tables[table].Columns)) {
				if column == "up" || column == "tag" || column == "status" { // ovn-northd's
					continue
				}
				c := db.Schema().Tables[table].Columns[column]
				one, is := row.One[column]
				if is && one != "" && !(one == "0" && c.Min == 1) && !(one == "false" && c.Min == 1) {
					if c.Ref != "" {
						one = name(c.Ref, one)
					}
					line += fmt.Sprintf("    %s: %s\n", column, one)
				}
				var words []string
				for k, v := range row.Many[column] {
					if c.Ref != "" {
						k = name(c.Ref, k)
					}
					if c.IsMap() {
						k += "=" + v
					}
					words = append(words, k)
				}
				slices.Sort(words)
				if len(words) > 0 {
					line += fmt.Sprintf("    %s: %s\n", column, strings.Join(words, " | "))
				}
			}
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}
