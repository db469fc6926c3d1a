package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"neutrino/store"
)

// race makes the same call n times at once and counts the answers by status.
func race(w *world, n int, call func(i int) int) map[int]int {
	var mu sync.Mutex
	counts := map[int]int{}
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			status := call(i)
			mu.Lock()
			defer mu.Unlock()
			counts[status]++
		})
	}
	group.Wait()
	return counts
}

// TestWriters: of fifty at once as many get through as the quota has room for, and of fifty changes of one
// revision exactly one does. The journal tells of those, in order, and of nothing else.
func TestWriters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before, err := w.engine.DB.Head(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	counts := race(w, 50, func(int) int {
		return w.do("a", "POST", "/v2.0/wid-gets", `{"widget": {"gadget_id": "`+parent+`", "parts": ["p"]}}`, nil).Code
	})
	if counts[201] != 3 || counts[409] != 47 {
		t.Errorf("answers by status: %v, want 3 made and 47 over quota", counts)
	}
	if got := w.changes(t, before); got != "widget ?, widget ?, widget ?" {
		t.Errorf("journal: %s", got)
	}

	counts = race(w, 50, func(i int) int {
		return w.do("a", "PUT", "/v2.0/wid-gets/"+alpha, fmt.Sprintf(`{"widget": {"name": "by %d"}}`, i), map[string]string{"If-Match": "revision_number=1"}).Code
	})
	if counts[200] != 1 || counts[412] != 49 {
		t.Errorf("answers by status: %v, want one change and 49 that came too late", counts)
	}

	counts = race(w, 50, func(i int) int {
		return w.do("a", "PUT", fmt.Sprintf("/v2.0/wid-gets/%s/tags/t%d", beta, i), "", nil).Code
	})
	if counts[201] != 49 || counts[400] != 1 {
		t.Errorf("answers by status: %v, want 49 tags, for there was one and fifty are allowed", counts)
	}

	entries, err := w.engine.DB.Read(context.Background(), before, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3+1+49 || !slices.IsSortedFunc(entries, func(a, b store.Entry) int { return int(a.Revision - b.Revision) }) {
		t.Errorf("%d entries: %v", len(entries), entries)
	}
	show := w.do("a", "GET", "/v2.0/wid-gets/"+beta, "", nil).Body.String()
	if !strings.Contains(show, `"revision_number": 50`) {
		t.Errorf("49 tags are 49 revisions: %s", show)
	}
}

// TestLeavesNothing: what is refused or deleted leaves no row in any table.
func TestLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rows := func() (out string) {
		t.Helper()
		if err := w.engine.DB.View(context.Background(), func(tx *store.Tx) error {
			for _, table := range []string{"widgets", "parts", "tags", "rbac_entries", "quotas"} {
				n, err := tx.Count("SELECT COUNT(*) FROM " + table)
				if err != nil {
					return err
				}
				out += fmt.Sprintf("%s %d, ", table, n)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := rows()
	item := `{"gadget_id": "` + parent + `", "parts": ["nut"]}`
	out := w.do("a", "POST", "/v2.0/wid-gets", `{"widgets": [`+item+`, `+strings.Replace(item, "nut", "rotten", 1)+`]}`, nil)
	if after := rows(); out.Code != 409 || after != before {
		t.Errorf("%d; before %safter %s", out.Code, before, after)
	}
	for id, as := range map[string]string{alpha: "a", beta: "a", gamma: "b", delta: "b"} {
		if out := w.do(as, "DELETE", "/v2.0/wid-gets/"+id, "", nil); out.Code != 204 || out.Body.Len() > 0 {
			t.Errorf("delete %s: %d %s", id, out.Code, out.Body)
		}
	}
	if got := rows(); got != "widgets 0, parts 0, tags 0, rbac_entries 0, quotas 0, " {
		t.Errorf("left: %s", got)
	}
}

// TestQuotas walks a project's limits: set, used, listed, taken back.
func TestQuotas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const of = "/v2.0/quotas/" + projectA
	for _, step := range []struct {
		as, method, path, body string
		status                 int
		want                   string
	}{
		{"admin", "GET", "/v2.0/quotas", "", 200, `{"quotas": []}`},
		{"admin", "PUT", of, `{"quota": {"widget": 1, "check_limit": true}}`, 400, "Quota limit 1 for widget must be greater than or equal to already used 2"},
		{"admin", "PUT", of, `{"quota": {"widget": 1, "force": true}}`, 200, `{"quota": {"widget": 1}}`},
		{"a", "POST", "/v2.0/wid-gets", `{"widget": {"gadget_id": "` + parent + `"}}`, 409, "OverQuota"},
		{"a", "GET", of, "", 200, `{"quota": {"widget": 1}}`},
		{"a", "GET", of + "/default", "", 200, `{"quota": {"widget": 5}}`},
		{"a", "GET", of + "/details", "", 200, `{"quota": {"widget": {"limit": 1, "used": 2, "reserved": 0}}}`},
		{"admin", "GET", "/v2.0/quotas", "", 200, `{"quotas": [{"widget": 1, "project_id": "` + projectA + `", "tenant_id": "` + projectA + `"}]}`},
		{"admin", "PUT", of, `{"quota": {"widget": -1}}`, 200, `{"quota": {"widget": -1}}`},
		{"a", "POST", "/v2.0/wid-gets", `{"widget": {"gadget_id": "` + parent + `"}}`, 201, ""},
		{"a", "DELETE", of, "", 403, "PolicyNotAuthorized"},
		{"admin", "DELETE", of, "", 204, ""},
		{"admin", "DELETE", of, "", 404, "TenantQuotaNotFound"},
		{"a", "GET", of, "", 200, `{"quota": {"widget": 5}}`},
		{"a", "GET", "/v2.0/quotas/project", "", 200, `{"project": {"project_id": "` + projectA + `"}}`},
		{"admin", "PATCH", of, "{}", 405, ""},
	} {
		out := w.do(step.as, step.method, step.path, step.body, nil)
		if out.Code != step.status || !strings.Contains(out.Body.String(), step.want) {
			t.Errorf("%s %s %s: %d %s, want %d %s", step.method, step.path, step.body, out.Code, out.Body, step.status, step.want)
		}
	}
}

// FuzzCreate holds bodies of a create to an answer that is never the server's fault, and what is made to
// being whole and the caller's own.
func FuzzCreate(f *testing.F) {
	for _, seed := range []string{
		`{"widget": {"gadget_id": "` + parent + `"}}`, `{"widgets": [{"gadget_id": "` + parent + `"}, {"widget": {}}]}`, `{"widget": null}`, `[]`, `"x"`, `1`, ``,
		`{"widget": {"gadget_id": "` + parent + `", "name": "\ud800", "size": 1e1, "enabled": "on", "parts": [null]}}`,
		`{"widget": {"gadget_id": "` + parent + `", "tenant_id": null, "description": "\u0000"}}`, `{"widget": {}, "widgets": []}`,
	} {
		f.Add(seed)
	}
	w := newWorld(f)
	w.exec(f, "INSERT INTO quotas (project_id, resource, quota_limit) VALUES (?, 'widget', -1)", projectA)
	f.Fuzz(func(t *testing.T, body string) {
		req := httptest.NewRequest("POST", "/v2.0/wid-gets", strings.NewReader(body))
		req.Header.Set("X-Auth-Token", "a")
		out := httptest.NewRecorder()
		w.ServeHTTP(out, req)
		if out.Code >= 500 || !json.Valid(out.Body.Bytes()) {
			t.Fatalf("%q: %d %s\n%s", body, out.Code, out.Body, w.log)
		}
		var made struct {
			Widget struct {
				ID        string `json:"id"`
				ProjectID string `json:"project_id"`
			}
		}
		if err := json.Unmarshal(out.Body.Bytes(), &made); err != nil {
			t.Fatal(err)
		}
		if id := made.Widget.ID; id != "" {
			if made.Widget.ProjectID != projectA {
				t.Fatalf("%q made %s", body, out.Body)
			}
			if again := w.do("a", "GET", "/v2.0/wid-gets/"+id, "", nil).Body.String(); again != out.Body.String() {
				t.Fatalf("%q: the answer was\n%s, a show gives\n%s", body, out.Body, again)
			}
		}
	})
}
