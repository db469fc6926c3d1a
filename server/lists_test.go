package server

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"neutrino/engine"
	"neutrino/store"
)

// TestListStatements holds every list to a number of SQL statements that does not depend on the
// number of objects, for an administrator and for a member.
func TestListStatements(t *testing.T) {
	s := open(t)
	hosts(t, s, "h1")
	s.Engine.Quotas = map[string]int{}
	count := func(col engine.Collection) (n int64) {
		var counter atomic.Int64
		ctx := store.WithCounter(context.Background(), &counter)
		for _, as := range []string{"admin", "demo"} {
			who := admin
			if as == "demo" {
				who = demo
			}
			if err := col.List(ctx, who, engine.Query{}, io.Discard); err != nil {
				t.Fatalf("list %s as %s: %v", col.Describe().Plural, as, err)
			}
		}
		return counter.Load()
	}
	fill := func(from, to int) {
		for i := from; i < to; i++ {
			n := create(t, s.Network.Networks, demo, `{"network": {}}`)["id"].(string)
			sub := create(t, s.Network.Subnets, demo, fmt.Sprintf(`{"subnet": {"network_id": "%s", "ip_version": 4, "cidr": "10.%d.0.0/24"}}`, n, i))["id"].(string)
			create(t, s.Network.Ports, demo, `{"port": {"network_id": "`+n+`", "tags": ["a", "b"]}}`)
			create(t, s.Security.Groups, demo, `{"security_group": {}}`)
			r := create(t, s.Router.Routers, demo, `{"router": {}}`)["id"].(string)
			act(t, s.Router.Routers, demo, r, "add_router_interface", `{"subnet_id": "`+sub+`"}`)
		}
	}
	fill(0, 1)
	few := map[string]int64{}
	for _, col := range s.Collections() {
		count(col) // a first look may make the project's default group
		few[col.Describe().Plural] = count(col)
	}
	fill(1, 20)
	for _, col := range s.Collections() {
		if name := col.Describe().Plural; count(col) != few[name] {
			t.Errorf("%s: %d statements for few objects, %d for many", name, few[name], count(col))
		}
	}
	t.Log(few)
}

// TestPaging walks through a sorted list by pages, forward and back.
func TestPaging(t *testing.T) {
	s := open(t)
	for i := range 7 {
		create(t, s.Network.Networks, demo, fmt.Sprintf(`{"network": {"name": "n%d"}}`, i%4))
	}
	list := func(query string) map[string]any {
		t.Helper()
		var out strings.Builder
		values, err := parseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Network.Networks.List(context.Background(), demo, engine.Query{Values: values, URL: "http://x/v2.0/networks"}, &out); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		return parse(t, out.String()).(map[string]any)
	}
	names := func(m map[string]any) (out []string) {
		for _, n := range m["networks"].([]any) {
			out = append(out, n.(map[string]any)["name"].(string))
		}
		return out
	}
	link := func(m map[string]any, rel string) string {
		links, _ := m["networks_links"].([]any)
		for _, l := range links {
			if l.(map[string]any)["rel"] == rel {
				_, query, _ := strings.Cut(l.(map[string]any)["href"].(string), "?")
				return query
			}
		}
		return ""
	}
	var walked [][]string
	query := "limit=3&sort_key=name&sort_dir=desc&fields=name&fields=id"
	var last string
	for query != "" {
		page := list(query)
		if len(names(page)) > 0 {
			walked = append(walked, names(page))
			last = query
		}
		query = link(page, "next")
	}
	if got := fmt.Sprint(walked); got != "[[n3 n2 n2] [n1 n1 n0] [n0]]" {
		t.Fatalf("forward: %s", got)
	}
	back := list(link(list(last), "previous"))
	if got := fmt.Sprint(names(back)); got != "[n1 n1 n0]" {
		t.Fatalf("back from the last page: %s", got)
	}
	if got := fmt.Sprint(names(list(link(back, "previous")))); got != "[n3 n2 n2]" {
		t.Fatalf("back to the first page: %s", got)
	}
}
