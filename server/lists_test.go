package server

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"neutrino/engine"
	"neutrino/store"
)

// TestListStatements holds every list, also of sub-resources, to a number of SQL statements that does not depend on
// the number of objects, for an administrator and for a project's own people.
func TestListStatements(t *testing.T) {
	w := newAccessWorld(t)
	k := w.kit(t, owning, "", "")
	count := func(path, plural string) (statements int64, objects int) {
		var counter atomic.Int64
		for _, as := range []string{"admin", "owning reader"} {
			req := httptest.NewRequest("GET", path, nil)
			req = req.WithContext(store.WithCounter(req.Context(), &counter))
			req.Header.Set("X-Auth-Token", as)
			out := httptest.NewRecorder()
			w.ServeHTTP(out, req)
			list, _ := decoded(out.Body.Bytes(), plural).([]any)
			objects += len(list)
		}
		return counter.Load(), objects
	}
	type measured struct {
		path, plural string
		statements   int64
		objects      int
	}
	var lists []*measured
	add := func(path, plural string) {
		m := &measured{path: path, plural: plural}
		count(path, plural) // a first look may make the project's default group
		m.statements, m.objects = count(path, plural)
		lists = append(lists, m)
	}
	for _, x := range k.things {
		if x.List && x.recipe.name == "" {
			add(x.path, x.Plural)
		}
	}
	for path := range elsewhere {
		if d := w.described[path]; d.List {
			add("/v2.0/"+d.Collection, d.Plural)
		}
	}
	for i := range recipes {
		r := &recipes[i]
		like := k.things[w.word(r)]
		for range 12 {
			if x := w.prepare(t, k, r); r.post != "" && r.name == "" {
				path := x.path
				if x.Below != "" {
					path = like.path
				}
				// Of some there is one for each project or parent.
				if status, answer := w.do("maker", "POST", path, w.post(x, k.owner)); status != 201 && status != 409 {
					t.Errorf("POST %s: %d %s", path, status, answer)
				}
			}
		}
	}
	hosts(t, w.Services, "h3", "h4", "h5", "h6")
	grown := 0
	for _, m := range lists {
		statements, objects := count(m.path, m.plural)
		if statements != m.statements {
			t.Errorf("%s: %d statements for %d objects, %d for %d", m.path, m.statements, m.objects, statements, objects)
		}
		if objects >= m.objects+4 {
			grown++
		}
		if statements > 40 {
			t.Errorf("%s: %d statements for two lists", m.path, statements)
		}
	}
	if grown < 25 {
		t.Errorf("only %d of %d lists have grown: the test shows little", grown, len(lists))
	}
}

// TestListedAttributes: a policy file lets owners see an attribute; a list shows it of their own objects and not of
// those that are shared with them, whichever comes first.
func TestListedAttributes(t *testing.T) {
	s := open(t)
	if err := s.Engine.Policy.Load("policy.yaml", []byte(`"get_network:provider:network_type": "rule:admin_or_owner"`)); err != nil {
		t.Fatal(err)
	}
	create(t, s.Network.Networks, demo, `{"network": {"name": "a own"}}`)
	create(t, s.Network.Networks, admin, `{"network": {"name": "b shared", "shared": true}}`)
	for _, direction := range []string{"asc", "desc"} {
		var out strings.Builder
		if err := s.Network.Networks.List(context.Background(), demo, engine.Query{Values: url.Values{"sort_key": {"name"}, "sort_dir": {direction}}}, &out); err != nil {
			t.Fatal(err)
		}
		list, _ := decoded([]byte(out.String()), "networks").([]any)
		if len(list) != 2 {
			t.Fatalf("%s", out.String())
		}
		for _, n := range list {
			network := n.(map[string]any)
			if _, shown := network["provider:network_type"]; shown != (network["name"] == "a own") {
				t.Errorf("%s: it is shown of %s: %v", direction, network["name"], shown)
			}
		}
	}
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

// TestFiltersByHiddenAttributes: what policy hides from a caller can't be found out by filters.
func TestFiltersByHiddenAttributes(t *testing.T) {
	tell(t, []step{
		{as: "demo", do: "POST /networks", body: `{"network": {}}`, status: 201, keep: "net"},
		{as: "demo", do: "POST /ports", body: `{"port": {"network_id": "$net"}}`, status: 201, keep: "port"},
		{do: "PUT /ports/$port", body: `{"port": {"binding:host_id": "h1"}}`, status: 200},
		{do: "GET /ports?binding:host_id=h1&fields=id", status: 200, want: []string{"$port"}},
		{as: "service", do: "GET /ports?binding:host_id=h1&fields=id", status: 200, want: []string{"$port"}},
		{as: "demo", do: "GET /ports?binding:host_id=h1", status: 200, want: []string{`"ports": []`}},
		{as: "demo", do: "GET /ports?name=&fields=id", status: 200, want: []string{"$port"}},
		{do: "GET /networks?provider:network_type=vxlan&fields=id", status: 200, want: []string{"$net"}},
		{as: "demo", do: "GET /networks?provider:network_type=vxlan", status: 200, want: []string{`"networks": []`}},
	})
}
