package api

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"neutrino/store"
)

// serve puts a world behind a real server.
func serve(t *testing.T, w *world) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(w)
	t.Cleanup(s.Close)
	return s
}

// ask makes a call over the network; the error is what reading the answer gave.
func ask(t *testing.T, s *httptest.Server, method, path string, body io.Reader) (status int, text string, err error) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", "a")
	resp, err := s.Client().Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// raw sends text on a connection of its own.
func raw(t *testing.T, s *httptest.Server, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// until waits for what must become true.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestBrokenList: an error before the first part gets its proper answer, a later one breaks the connection
// off, so that half a list never looks like a whole one.
func TestBrokenList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := serve(t, w)
	spoil := func() { w.exec(t, "UPDATE widgets SET created_at = 'yesterday' WHERE name = 'beta'") }

	t.Run("early", func(t *testing.T) {
		spoil()
		status, text, err := ask(t, s, "GET", "/v2.0/wid-gets", nil)
		if err != nil || status != 500 || !strings.Contains(text, `"HTTPInternalServerError"`) || strings.Contains(text, "yesterday") {
			t.Errorf("%d %s %v", status, text, err)
		}
		if !strings.Contains(w.log.String(), "yesterday") {
			t.Errorf("the cause is not in the log:\n%s", w.log)
		}
	})
	t.Run("late", func(t *testing.T) {
		w.fill(t, 1000)
		w.exec(t, "UPDATE widgets SET name = 'zzz' WHERE name = 'beta'")
		status, text, err := ask(t, s, "GET", "/v2.0/wid-gets?sort_key=name&sort_dir=asc", nil)
		if err == nil {
			t.Errorf("status %d and %d bytes came as if they were the whole list", status, len(text))
		}
		if strings.Contains(text, "NeutronError") || len(text) == 0 {
			t.Errorf("%d bytes: …%s", len(text), text[max(0, len(text)-200):])
		}
		if !strings.Contains(w.log.String(), "answer broken off") || strings.Contains(w.log.String(), "panic") {
			t.Error("the log does not tell what happened, or calls it a panic")
		}
	})
	t.Run("the next call is served", func(t *testing.T) {
		w.exec(t, "UPDATE widgets SET created_at = '2026-01-01T00:00:00Z' WHERE name = 'zzz'")
		status, text, err := ask(t, s, "GET", "/v2.0/wid-gets?name=zzz", nil)
		if err != nil || status != 200 || !strings.Contains(text, "2026-01-01T00:00:00Z") {
			t.Errorf("%d %s %v", status, text, err)
		}
	})
}

// TestSlowReader: a client that does not take its list does not hold a snapshot of the database for ever.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.PartTimeout = 200 * time.Millisecond })
	w.fill(t, 200)
	w.exec(t, "UPDATE widgets SET description = ?", strings.Repeat("x", 100_000)) // 20 MB: more than sockets hold
	s := serve(t, w)
	conn := raw(t, s, "GET /v2.0/wid-gets HTTP/1.1\r\nHost: x\r\nX-Auth-Token: a\r\n\r\n")
	until(t, "the server gives up", func() bool { return strings.Contains(w.log.String(), "answer broken off") })
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("%d bytes came as if they were the whole list", n)
	}
}

// TestSlowBody: a body that does not come does not hold a connection for ever; one that came in time does not
// hurry what is done with it.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.BodyTimeout = time.Second })
	s := serve(t, w)
	for _, c := range []struct {
		name, head string
		want       int
	}{
		{"post", "POST /v2.0/wid-gets HTTP/1.1\r\nContent-Length: 100", 408},
		{"chunked", "POST /v2.0/wid-gets HTTP/1.1\r\nTransfer-Encoding: chunked", 408},
		{"delete", "DELETE /v2.0/wid-gets/" + alpha + " HTTP/1.1\r\nTransfer-Encoding: chunked", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := raw(t, s, c.head+"\r\nHost: x\r\nX-Auth-Token: a\r\n\r\n")
			if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("no answer: %v", err)
			}
			if resp.StatusCode != c.want {
				t.Errorf("status %d, want %d", resp.StatusCode, c.want)
			}
		})
	}
	t.Run("empty", func(t *testing.T) { // of unknown length, and empty after all
		if status, text, err := ask(t, s, "DELETE", "/v2.0/wid-gets/"+alpha, io.NopCloser(strings.NewReader(""))); err != nil || status != 204 {
			t.Errorf("%d %s %v", status, text, err)
		}
	})
	t.Run("slow work", func(t *testing.T) {
		hold := make(chan struct{})
		go func() { // the only writer is busy for longer than a body may take
			_ = w.engine.DB.Update(t.Context(), func(*store.Tx) error { close(hold); time.Sleep(1500 * time.Millisecond); return nil })
		}()
		<-hold
		status, text, err := ask(t, s, "POST", "/v2.0/wid-gets", strings.NewReader(`{"widget": {"gadget_id": "`+parent+`"}}`))
		if err != nil || status != 201 {
			t.Errorf("%d %s %v", status, text, err)
		}
	})
}
