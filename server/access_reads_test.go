package server

import (
	"database/sql"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"neutrino/migrations"
	"neutrino/store"
)

var makesTable = regexp.MustCompile(`(?m)^CREATE TABLE (\w+)`)

// tables lists the tables of the schema.
func tables(t testing.TB) (names []string) {
	t.Helper()
	files, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := migrations.Files.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range makesTable.FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
	}
	return names
}

// dump is a table's rows as text, in the order of their texts.
func dump(tx *store.Tx, table string) (string, error) {
	var lines []string
	err := tx.Each(func(rows *sql.Rows) error {
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		texts, places := make([]sql.RawBytes, len(columns)), make([]any, len(columns))
		for i := range texts {
			places[i] = &texts[i]
		}
		err = rows.Scan(places...)
		lines = append(lines, fmt.Sprintf("%q", texts))
		return err
	}, "SELECT * FROM "+table)
	slices.Sort(lines)
	return strings.Join(lines, "\n"), err
}

// TestReadsNeverWrite: after every GET of every path by everybody the database is what it was before, to the
// byte. Two things of the original are exceptions: the first list of security groups makes the project's default
// group, and a GET of /auto-allocated-topology makes the topology; both only for the caller's own project.
func TestReadsNeverWrite(t *testing.T) {
	w := newAccessWorld(t)
	kits := []*kit{w.kit(t, owning, "", ""), w.kit(t, owning, "*", "")}
	first := w.contents(t)
	everybody := slices.Sorted(maps.Keys(people))
	for _, as := range everybody {
		w.do(as, "GET", "/v2.0/security-groups?project_id="+foreign, "")
	}
	before := w.contents(t)
	for _, table := range slices.Sorted(maps.Keys(before)) {
		if before[table] != first[table] && !slices.Contains([]string{"security_groups", "security_group_rules", "default_security_groups", "journal", "journal_head"}, table) {
			t.Errorf("the first list of security groups has changed %s", table)
		}
	}
	owners := map[string]bool{}
	for _, line := range strings.Split(before["default_security_groups"], "\n") {
		owners[strings.Split(line, `"`)[1]] = true
	}
	for _, c := range people {
		if c.ProjectID != "" && !strings.Contains(before["default_security_groups"], c.ProjectID) {
			t.Errorf("project %s has no default group", c.ProjectID)
		}
	}
	if len(owners) != 4 {
		t.Errorf("there are default groups of %v", owners)
	}
	asked := 0
	get := func(as, path string) {
		asked++
		if status, answer := w.do(as, "GET", path, ""); status >= 500 {
			t.Errorf("GET %s by %s: %d %s", path, as, status, answer)
		}
	}
	for _, as := range everybody {
		for path, d := range w.described {
			if d.Below == "" && elsewhere[path] != "TestAccessOfTopology" {
				get(as, "/v2.0/"+d.Collection)
				get(as, "/v2.0/"+d.Collection+"?limit=1&sort_key=id&fields=id&name=x")
				get(as, "/v2.0/"+d.Collection+"/00000000-0000-0000-0000-000000000000")
			}
		}
		for _, k := range kits {
			for _, x := range k.things {
				get(as, x.url())
				get(as, x.path)
				get(as, x.url()+"/tags")
				get(as, x.url()+"/tags/a")
				for _, a := range x.Actions {
					if a.Method == "GET" {
						get(as, x.url()+"/"+a.Name)
					}
				}
			}
		}
		for _, path := range []string{"/", "/healthcheck", "/metrics", "/openapi.json", "/v2.0/", "/v2.0/extensions", "/v2.0/extensions/router", "/v2.0/quotas", "/v2.0/quotas/" + owning, "/v2.0/quotas/" + owning + "/default",
			"/v2.0/quotas/" + owning + "/details", "/v2.0/quotas/project"} {
			get(as, path)
		}
	}
	after := w.contents(t)
	for _, table := range slices.Sorted(maps.Keys(before)) {
		if before[table] != after[table] {
			t.Errorf("%d GETs have changed %s", asked, table)
		}
	}
}

// TestAccessOfListsOnly: what has no objects of its own.
func TestAccessOfListsOnly(t *testing.T) {
	w := newAccessWorld(t)
	for _, as := range slices.Sorted(maps.Keys(people)) {
		c := people[as]
		for _, path := range []string{"floatingip-pools", "log/loggable-resources", "availability_zones", "service-providers"} {
			d := w.described[path]
			status, answer := w.do(as, "GET", "/v2.0/"+path, "")
			list, _ := decoded(answer, d.Plural).([]any)
			allowed := w.allows("get_"+d.Rule, c, func(name string) any {
				if path == "floatingip-pools" && (name == "project_id" || name == "tenant_id") {
					return c.ProjectID // they are whose they can be used by
				}
				return nil
			})
			if allowed != (len(list) > 0) {
				t.Errorf("GET %s by %s: %d %s, the policies say %v", path, as, status, answer, allowed)
			}
		}
	}
}

// TestAccessOfTopology: a project's own topology is made and deleted by the project, and by nobody else but administrators.
func TestAccessOfTopology(t *testing.T) {
	w := newAccessWorld(t)
	if status, answer := w.do("maker", "PUT", "/v2.0/networks/"+w.common["ext"], `{"network": {"is_default": true}}`); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	if status, answer := w.do("maker", "POST", "/v2.0/subnetpools", `{"subnetpool": {"name": "p", "prefixes": ["10.0.0.0/8"], "default_prefixlen": 26, "shared": true, "is_default": true}}`); status != 201 {
		t.Fatalf("%d %s", status, answer)
	}
	for _, as := range slices.Sorted(maps.Keys(people)) {
		c := people[as]
		own := func(name string) any {
			if name == "project_id" || name == "tenant_id" {
				return owning
			}
			return nil
		}
		for method, rule := range map[string]string{"GET": "get_auto_allocated_topology", "DELETE": "delete_auto_allocated_topology"} {
			if method == "DELETE" && w.allows(rule, c, own) {
				continue
			}
			before := w.head(t)
			status, answer := w.do(as, method, "/v2.0/auto-allocated-topology/"+owning, "")
			if allowed := w.allows(rule, c, own); allowed != (status == 200) || !allowed && (status < 400 || w.head(t) != before) {
				t.Errorf("%s by %s: %d %s, the policies say %v", method, as, status, answer, allowed)
			}
		}
	}
}
