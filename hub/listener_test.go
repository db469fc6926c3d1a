package hub_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"
	"time"

	"neutrino/desired"
	"neutrino/hub"
	"neutrino/hub/hubtest"
)

// serve runs a hub of a cloud and gives its address.
func serve(t testing.TB, cloud *hubtest.Cloud) string {
	t.Helper()
	h := hub.New(cloud, cloud, cloud, secret, slog.New(slog.DiscardHandler))
	web := httptest.NewServer(h.Handler())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done // all streams have ended by themselves: closing the server would wait for them
		web.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	eventually(t, "the hub is ready", func() bool { code, _ := get(t, web.URL, "/agent/v1/stream?host=", secret); return code != 503 })
	eventually(t, "the hub has loaded", func() bool {
		code, body := ask(t, web.URL, "probe", "", -1)
		if code == http.StatusOK {
			_ = body.Close()
		}
		return code == http.StatusOK
	})
	return web.URL
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to be that %s", what)
		}
	}
}

func get(t testing.TB, url, path, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusOK {
		return resp.StatusCode, ""
	}
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

// ask opens a stream.
func ask(t testing.TB, url, host, epoch string, revision int64) (int, io.ReadCloser) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("%s/agent/v1/stream?host=%s&epoch=%s&revision=%d", url, host, epoch, revision), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
	}
	return resp.StatusCode, resp.Body
}

// listener is a host that only listens.
type listener struct {
	t        testing.TB
	url      string
	name     string
	epoch    string
	revision int64
	have     map[desired.Key]desired.Item
	snapshot int // how many came
	puts     int // items that came
	body     io.ReadCloser
	lines    *bufio.Scanner
}

func listen(t testing.TB, url, name string) *listener {
	l := &listener{t: t, url: url, name: name, revision: -1, have: map[desired.Key]desired.Item{}}
	l.dial()
	return l
}

// dial begins a stream and reads its Hello.
func (l *listener) dial() {
	l.t.Helper()
	code, body := ask(l.t, l.url, l.name, l.epoch, l.revision)
	if code != http.StatusOK {
		l.t.Fatalf("the stream is refused: %d", code)
	}
	l.body, l.lines = body, bufio.NewScanner(body)
	l.lines.Buffer(nil, 1<<20)
	if m, ok := l.read(); !ok || m.Type != desired.Hello {
		l.t.Fatalf("the stream does not begin with hello but %+v", m)
	} else {
		l.epoch = m.Epoch
	}
}

func (l *listener) hangUp() { _ = l.body.Close() }

func (l *listener) read() (desired.Message, bool) {
	l.t.Helper()
	for l.lines.Scan() {
		var m desired.Message
		if err := json.Unmarshal(l.lines.Bytes(), &m); err != nil {
			l.t.Fatalf("%s: %v", l.lines.Bytes(), err)
		}
		if m.Type != desired.Ping {
			return m, true
		}
	}
	return desired.Message{}, false
}

// sync reads a batch; false when the stream has ended.
func (l *listener) sync() bool {
	l.t.Helper()
	batch := map[desired.Key]desired.Item{}
	for {
		m, ok := l.read()
		if !ok {
			return false
		}
		switch m.Type {
		case desired.Snapshot:
			l.snapshot++
			l.have = map[desired.Key]desired.Item{}
		case desired.Put:
			l.puts++
			batch[m.Item.Key()] = m.Item
		case desired.Delete:
			batch[*m.Key] = nil
		case desired.Synced:
			for key, item := range batch {
				if item == nil {
					delete(l.have, key)
				} else {
					l.have[key] = item
				}
			}
			if m.Revision < l.revision {
				l.t.Errorf("revision %d after %d", m.Revision, l.revision)
			}
			l.revision = m.Revision
			return true
		}
	}
}

// until reads batches until the host has what is looked for.
func (l *listener) until(is func() bool) {
	l.t.Helper()
	for !is() {
		if !l.sync() {
			l.t.Fatalf("%s: the stream has ended; it has %v", l.name, slices.Collect(maps.Keys(l.have)))
		}
	}
}

// address is the host's own tunnel address: tests change it to see that all before it has come.
func (l *listener) address() netip.Addr {
	if h, ok := l.have[desired.Key{Kind: desired.KindHost, ID: l.name}].(*desired.Host); ok {
		return h.TunnelIP
	}
	return netip.Addr{}
}

func mark(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)}) }

func port(id, network, host string, groups ...string) *desired.Port {
	return &desired.Port{ID: id, NetworkID: network, Host: host, SecurityGroups: groups, PortSecurity: true,
		FixedIPs: []desired.FixedIP{{SubnetID: "s-" + network, IP: netip.AddrFrom4([4]byte{10, 0, 0, id[len(id)-1]})}}}
}
