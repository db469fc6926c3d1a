package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"neutrino/engine"
	"neutrino/store"
)

// TestStatements holds a list to a number of SQL statements that does not depend on its length: whole,
// filtered and by pages, for an owner and for an administrator.
func TestStatements(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	queries := []string{"", "enabled=false&sort_key=name&sort_dir=asc", "limit=50", "limit=50&marker=" + alpha, "tags=t&shared=false"}
	measure := func() (counts []int64) {
		for _, as := range []string{"a", "admin"} {
			for _, query := range queries {
				caller := callers[as]
				values, err := url.ParseQuery(query)
				if err != nil {
					t.Fatal(err)
				}
				var n atomic.Int64
				if err := w.widgets.List(store.WithCounter(context.Background(), &n), &caller, engine.Query{Values: values}, io.Discard); err != nil {
					t.Fatalf("%s: %v", query, err)
				}
				counts = append(counts, n.Load())
			}
		}
		return counts
	}
	w.fill(t, 1)
	few := measure()
	for _, n := range []int{99, 900} {
		w.fill(t, n)
		if many := measure(); fmt.Sprint(many) != fmt.Sprint(few) {
			t.Errorf("after %d more: %d statements, before %d", n, many, few)
		}
	}
	for i, n := range few {
		if n == 0 || n > 8 {
			t.Errorf("list %d takes %d statements", i, n)
		}
	}
}

type listed struct {
	Widgets []struct{ Name string } `json:"widgets"`
	Links   []struct{ Rel, Href string }
}

// list follows a URL of the door.
func (w *world) list(t *testing.T, link string, header map[string]string) listed {
	t.Helper()
	out := w.do("a", "GET", link, "", header)
	if out.Code != 200 {
		t.Fatalf("%s: %d %s", link, out.Code, out.Body)
	}
	var l listed
	whole := map[string]json.RawMessage{}
	if err := json.Unmarshal(out.Body.Bytes(), &whole); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(whole["widgets"], &l.Widgets); err != nil {
		t.Fatal(err)
	}
	if links := whole["widgets_links"]; links != nil {
		if err := json.Unmarshal(links, &l.Links); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func (l listed) names() string {
	var names []string
	for _, x := range l.Widgets {
		names = append(names, x.Name)
	}
	return strings.Join(names, " ")
}

func (l listed) link(rel string) string {
	for _, link := range l.Links {
		if link.Rel == rel {
			return link.Href
		}
	}
	return ""
}

// TestPages walks a list by the links alone, there and back, for sizes that divide it and sizes that don't,
// with many objects of the same sort value.
func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(t, 9) // all of size 0; with delta, which is shared, there are twelve
	for _, sort := range []string{"", "&sort_key=size&sort_dir=desc", "&sort_key=size&sort_key=name&sort_dir=asc&sort_dir=desc"} {
		want := strings.Fields(w.list(t, "/v2.0/wid-gets?fields=name&limit=100"+sort, nil).names())
		if len(want) != 12 {
			t.Fatalf("all: %s", want)
		}
		for _, limit := range []int{1, 4, 5, 12, 13} {
			var forward, back []string
			link, last := fmt.Sprintf("http://cloud/v2.0/wid-gets?limit=%d&fields=name%s", limit, sort), ""
			for link != "" {
				page := w.list(t, link, nil)
				forward = append(forward, strings.Fields(page.names())...)
				if len(page.Widgets) > 0 {
					last = link
				}
				link = page.link("next")
				if len(page.Widgets) < limit && link != "" {
					t.Fatalf("limit %d: a short page has a next", limit)
				}
			}
			if fmt.Sprint(forward) != fmt.Sprint(want) {
				t.Fatalf("limit %d%s\nforward %s\nwant    %s", limit, sort, forward, want)
			}
			page := w.list(t, last, nil)
			back = strings.Fields(page.names())
			for {
				link := page.link("previous")
				if link == "" {
					break
				}
				page = w.list(t, link, nil)
				back = append(strings.Fields(page.names()), back...)
			}
			if fmt.Sprint(back) != fmt.Sprint(want) {
				t.Fatalf("limit %d%s\nback %s\nwant %s", limit, sort, back, want)
			}
		}
	}
}

// TestLinks holds the links to the address by which the client came; a proxy's word counts only where it is
// trusted.
func TestLinks(t *testing.T) {
	t.Parallel()
	proxied := map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-Host": "cloud.example"}
	odd := map[string]string{"X-Forwarded-Proto": "javascript", "X-Forwarded-Host": `x"y`}
	for _, c := range []struct {
		name   string
		trust  bool
		header map[string]string
		want   string
	}{
		{"direct", false, nil, "http://here:9696/v2.0/wid-gets?"},
		{"not trusted", false, proxied, "http://here:9696/v2.0/wid-gets?"},
		{"trusted", true, proxied, "https://cloud.example/v2.0/wid-gets?"},
		{"odd", true, odd, `http://x"y/v2.0/wid-gets?`}, // escaped as JSON: list decodes it
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, func(o *Options) { o.TrustProxy = c.trust })
			next := w.list(t, "http://here:9696/v2.0/wid-gets?limit=1&name=alpha&name=beta&sort_key=name&sort_dir=asc", c.header).link("next")
			if !strings.HasPrefix(next, c.want) {
				t.Errorf("got %s, want %s", next, c.want)
			}
			for _, part := range []string{"name=alpha&name=beta", "limit=1", "marker=" + alpha, "sort_key=name"} {
				if !strings.Contains(next, part) {
					t.Errorf("%s lacks %s", next, part)
				}
			}
		})
	}
}

// FuzzQuery holds query strings to an answer that is never the server's fault.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"", "name=a&name=b", "limit=1&marker=" + alpha, "limit=1&page_reverse=True", "sort_key=name&sort_dir=desc", "fields=id&fields=", "%zz", "a;b",
		"tags=a,,b&not-tags-any=", "shared=True&enabled=0", "size=1e3", "size=99999999999999999999", "name=%00", "name=%ff", "id='--", "limit=9223372036854775807",
		"revision_number=1", "tenant_id=&project_id=", "marker=" + gamma + "&sort_key=id&sort_dir=asc", "limit=-0", "limit=1&sort_key=enabled&sort_key=size&sort_dir=asc&sort_dir=desc",
	} {
		f.Add(seed)
	}
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, query string) {
		req := httptest.NewRequest("GET", "/v2.0/wid-gets", nil)
		req.URL.RawQuery = query
		req.Header.Set("X-Auth-Token", "a")
		out := httptest.NewRecorder()
		w.ServeHTTP(out, req)
		if out.Code >= 500 || !json.Valid(out.Body.Bytes()) {
			t.Fatalf("%q: %d %s\n%s", query, out.Code, out.Body, w.log)
		}
		if strings.Contains(out.Body.String(), "gamma") || strings.Contains(out.Body.String(), "swordfish") {
			t.Fatalf("%q shows what is not A's to see: %s", query, out.Body)
		}
	})
}

// TestMaxLimit: an operator's limit bounds the lists that ask for more, or for all.
func TestMaxLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.MaxLimit = 2 })
	for query, want := range map[string]int{"": 2, "limit=0": 2, "limit=9": 2, "limit=1": 1, "limit=1&limit=9": 1} {
		var list struct {
			Widgets []any
			Links   []any `json:"widgets_links"`
		}
		out := w.do("admin", "GET", "/v2.0/wid-gets?"+query, "", nil)
		if err := json.Unmarshal(out.Body.Bytes(), &list); err != nil || len(list.Widgets) != want || len(list.Links) == 0 {
			t.Errorf("%q: %d %s", query, out.Code, out.Body)
		}
	}
	if out := w.do("admin", "GET", "/v2.0/wid-gets?limit=-1", "", nil); out.Code != 400 {
		t.Errorf("a limit that is none: %d", out.Code)
	}
}
