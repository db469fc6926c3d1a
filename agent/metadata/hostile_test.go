package metadata

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// wired is the handler behind a real listener, asked over connections that are as bad as a guest can make them. All
// guests have addresses of lo here, which the switch would hold them to.
type wired struct {
	*handler
	at   string
	mu   sync.Mutex
	seen []string // what Nova was asked: "METHOD PATH INSTANCE FORWARDED-FOR body-bytes"
}

func newWired(t *testing.T, options Options) *wired {
	t.Helper()
	w := &wired{}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	nova := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			t.Error(err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen = append(w.seen, fmt.Sprintf("%s %s %s %s %d", r.Method, r.URL.Path, strings.Join(r.Header.Values("X-Instance-ID"), ","), strings.Join(r.Header.Values("X-Forwarded-For"), ","), n))
		_, _ = io.WriteString(out, r.URL.Path)
	}))
	t.Cleanup(nova.Close)
	u, err := url.Parse(nova.URL)
	if err != nil {
		t.Fatal(err)
	}
	options.Nova, options.Secret, options.Host = u, "secret", "h"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(options, &here{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	state := cloud()
	for i, ip := range []string{"127.0.0.5", "127.0.0.6"} {
		p := *state.Ports[[]string{"x5", "q6"}[i]]
		p.NetworkID = "c"
		p.FixedIPs = p.FixedIPs[:1:1]
		p.FixedIPs[0].IP = netip.MustParseAddr(ip)
		state.Put(&p)
	}
	m.dir.load(state)
	w.handler, w.at = m.handler, l.Addr().String()
	r := m.serve(l, Source{Network: "c"})
	t.Cleanup(r.close)
	return w
}

// dial connects as a guest.
func (w *wired) dial(t *testing.T, from string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", w.at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

// say sends a text and reads n answers: their statuses and bodies.
func say(t *testing.T, c net.Conn, text string, n int) []string {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	var got []string
	for range n {
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d %s", r.StatusCode, strings.TrimSpace(string(body))))
	}
	return got
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestPipelinedForgeries: one connection, several requests, each in its own guest's name and nobody else's.
func TestPipelinedForgeries(t *testing.T) {
	w := newWired(t, Options{})
	const forged = "X-Instance-ID: other\r\nX-Tenant-ID: other\r\nX-Forwarded-For: 127.0.0.6\r\nX-Forwarded-For: 9.9.9.9\r\nX-Instance-ID-Signature: 00\r\nx_instance_id: other\r\n"
	equal(t, say(t, w.dial(t, "127.0.0.5"), "GET /one HTTP/1.1\r\nHost: x\r\n\r\n"+
		"GET /two HTTP/1.1\r\nHost: x\r\n"+forged+"\r\n"+
		// What a proxy before Nova might read as two requests: the length counts, the rest is a third.
		"POST /three HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde"+
		"GET /four HTTP/1.0\r\n"+forged+"\r\n", 4), "200 /one", "200 /two", "200 /three", "200 /four")
	equal(t, w.seen, "GET /one instance-x5 127.0.0.5 0", "GET /two instance-x5 127.0.0.5 0", "POST /three instance-x5 127.0.0.5 5", "GET /four instance-x5 127.0.0.5 0")
	w.seen = nil
	for name, text := range map[string]string{
		"two lengths":         "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
		"a name with a blank": "GET / HTTP/1.1\r\nHost: x\r\nX-Instance-ID : other\r\n\r\n",
		"another's transport": "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"a whole URL":         "GET http://169.254.169.254/../x HTTP/1.1\r\n\r\n",
	} {
		if got := say(t, w.dial(t, "127.0.0.5"), text, 1)[0]; !strings.HasPrefix(got, "400") && !strings.HasPrefix(got, "501") {
			t.Errorf("%s: %s", name, got)
		}
	}
	equal(t, w.seen)
	equal(t, say(t, w.dial(t, "127.0.0.9"), "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 127.0.0.5\r\n\r\n", 1), "404 Not Found")
	equal(t, w.seen)
}

// TestHugeRequests are refused before Nova sees anything of them.
func TestHugeRequests(t *testing.T) {
	w := newWired(t, Options{})
	for name, test := range map[string]struct{ text, want string }{
		"said": {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nabc", "413 Request Entity Too Large"},
		"done": {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("100000\r\n"+strings.Repeat("x", 1<<20)+"\r\n", 2), "413 Request Entity Too Large"},
		"head": {"GET / HTTP/1.1\r\nHost: x\r\nX-Big: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "431 431 Request Header Fields Too Large"},
		"path": {"GET /" + strings.Repeat("x", 64<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", "431 431 Request Header Fields Too Large"},
	} {
		c := w.dial(t, "127.0.0.5")
		go func() { _, _ = io.WriteString(c, test.text) }() // the other end may hang up first
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want := test.want[:3]; r.Status[:3] != want {
			t.Errorf("%s: %s, want %s", name, r.Status, want)
		}
	}
	equal(t, w.seen)
	// A megabyte is not huge.
	c := w.dial(t, "127.0.0.5")
	equal(t, say(t, c, fmt.Sprintf("POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", maxBody, strings.Repeat("x", maxBody)), 1), "200 /big")
	equal(t, w.seen, fmt.Sprintf("POST /big instance-x5 127.0.0.5 %d", maxBody))
}

// TestSlowGuests: who says nothing, or never ends, holds its own connections only, and not for long.
func TestSlowGuests(t *testing.T) {
	w := newWired(t, Options{headerWait: 300 * time.Millisecond, requestWait: 600 * time.Millisecond})
	var slow []net.Conn
	for i := range 3 * perAddress {
		c := w.dial(t, "127.0.0.5")
		text := ""
		switch i % 3 {
		case 1:
			text = "GET / HTTP/1.1\r\nHos"
		case 2:
			text = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc"
		}
		_, _ = io.WriteString(c, text) // may be closed already: no more than perAddress
		slow = append(slow, c)
	}
	equal(t, say(t, w.dial(t, "127.0.0.6"), "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n", 1), "200 /quick")
	for _, c := range slow { // each is answered with an error or nothing, and closed
		_, _ = io.Copy(io.Discard, c)
	}
	equal(t, w.seen, "GET /quick instance-q6 127.0.0.6 0")
	equal(t, say(t, w.dial(t, "127.0.0.5"), "GET /again HTTP/1.1\r\nHost: x\r\n\r\n", 1), "200 /again")
}
