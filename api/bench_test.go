package api

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// sink takes an answer and keeps nothing of it.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return io.Discard.Write(b) }
func (s *sink) WriteHeader(status int)      { s.status = status }

func BenchmarkList(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWorld(b)
			w.fill(b, n)
			for b.Loop() {
				req := httptest.NewRequest("GET", "/v2.0/wid-gets", nil)
				req.Header.Set("X-Auth-Token", "a")
				w.ServeHTTP(&sink{header: http.Header{}}, req)
			}
		})
	}
}

func BenchmarkCreate(b *testing.B) {
	w := newWorld(b)
	w.exec(b, "INSERT INTO quotas (project_id, resource, quota_limit) VALUES (?, 'widget', -1)", projectA)
	for b.Loop() {
		req := httptest.NewRequest("POST", "/v2.0/wid-gets", strings.NewReader(`{"widget": {"gadget_id": "`+parent+`", "name": "n"}}`))
		req.Header.Set("X-Auth-Token", "a")
		out := &sink{header: http.Header{}}
		if w.ServeHTTP(out, req); out.status != http.StatusCreated {
			b.Fatal(out.status)
		}
	}
}
