package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"neutrino/desired"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// says is a server that says what it is told to and then waits or hangs up.
func says(t *testing.T, text string, hold bool) string {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.WriteString(w, text); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		if hold {
			<-r.Context().Done()
		}
	}))
	t.Cleanup(web.Close)
	return web.URL
}

const (
	hello    = `{"type":"hello","version":1,"epoch":"e"}` + "\n"
	snapshot = `{"type":"snapshot"}` + "\n"
	network  = `{"type":"put","kind":"network","item":{"id":"n1"}}` + "\n"
	synced   = `{"type":"synced","revision":5}` + "\n"
)

func TestStreamsThatMakeNoSense(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		synced           bool
	}{
		{"noise", "noise\n", "makes no sense", false},
		{"no hello", snapshot + synced, "wrong place", false},
		{"two hellos", hello + hello, "wrong place", false},
		{"goes on from what is not there", hello + network + synced, "does not have", false},
		{"from the far future", `{"type":"hello","version":9,"epoch":"e"}` + "\n", "update the agent", false},
		{"a bad item after a good state", hello + snapshot + network + synced + `{"type":"put","kind":"port","item":{}}` + "\n", "without an id", true},
		{"hangs up", hello + snapshot + network, "unexpected EOF", false},
		{"a line without an end", hello + strings.Repeat("x", maxLine+1), "token too long", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := New(Options{Host: "h1"}, quiet())
			defer a.client.CloseIdleConnections()
			f := newFollower(a)
			got, err := f.follow(t.Context(), says(t, c.text, false))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, not one with %q", err, c.want)
			}
			if got != c.synced || (f.have.revision == 5) != c.synced {
				t.Errorf("synced is %t, the revision %d", got, f.have.revision)
			}
		})
	}
}

func TestNewerServersItemsArePassedOver(t *testing.T) {
	a := New(Options{Host: "h1"}, quiet())
	defer a.client.CloseIdleConnections()
	f := newFollower(a)
	got, _ := f.follow(t.Context(), says(t, hello+snapshot+`{"type":"put","kind":"balancer","item":{}}`+"\n"+`{"type":"advice"}`+"\n"+network+synced, false))
	if !got || len(f.have.items) != 1 {
		t.Errorf("synced %t with %v", got, f.have.items)
	}
}

func TestSilentServerIsLeft(t *testing.T) {
	a := New(Options{Host: "h1"}, quiet())
	defer a.client.CloseIdleConnections()
	f := newFollower(a)
	f.silence = 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if got, err := f.follow(ctx, says(t, hello+snapshot+synced, true)); !got || !errors.Is(err, errSilent) {
		t.Errorf("synced %t, %v", got, err)
	}
}

func TestRefusalIsSaid(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "wrong agent secret", http.StatusUnauthorized)
	}))
	defer web.Close()
	a := New(Options{Host: "h1"}, quiet())
	defer a.client.CloseIdleConnections()
	if _, err := newFollower(a).follow(t.Context(), web.URL); err == nil || !strings.Contains(err.Error(), "wrong agent secret") {
		t.Errorf("the error is %v", err)
	}
}

// What is the same after a snapshot wakes nobody.
func TestSnapshotHandsOnDifferencesOnly(t *testing.T) {
	a := New(Options{Host: "h1"}, quiet(), nil)
	f := newFollower(a)
	put := func(epoch string, items ...desired.Item) map[desired.Key]struct{} {
		b := newBatch(epoch)
		b.snapshot = true
		for _, item := range items {
			b.items[item.Key()] = item
		}
		if err := f.synced(b); err != nil {
			t.Fatal(err)
		}
		change := Change{Keys: map[desired.Key]struct{}{}, Requests: map[desired.Key]string{}}
		a.boxes[0].take(desired.NewState(), &change)
		return change.Keys
	}
	if n := len(put("a", &desired.Network{ID: "n1"}, &desired.Network{ID: "n2"})); n != 2 {
		t.Errorf("the first snapshot hands on %d items", n)
	}
	<-a.boxes[0].wake
	if n := len(put("b", &desired.Network{ID: "n1"}, &desired.Network{ID: "n2"})); n != 0 || len(a.boxes[0].wake) != 0 {
		t.Errorf("the same snapshot hands on %d items, and wakes %d times", n, len(a.boxes[0].wake))
	}
	if n := len(put("c", &desired.Network{ID: "n1", MTU: 1400}, &desired.Network{ID: "n3"})); n != 3 {
		t.Errorf("a change, a new one and a lost one are %d items", n)
	}
}

func TestReportsAreToldCompletelyByLayer(t *testing.T) {
	r := newReports()
	said := desired.Report{Kind: desired.KindPort, ID: "p1", Layer: "l2", Up: true}
	r.put("l2", []desired.Report{said})
	if server, _, _ := r.take(); server != "" {
		t.Fatal("there is no server yet")
	}
	r.greet("s", "e1")
	_, out, heartbeat := r.take()
	if !heartbeat || out.Epoch != "e1" || len(out.Complete) != 1 || out.Complete[0] != "l2" || len(out.Reports) != 1 {
		t.Errorf("the first reports are %+v", out)
	}
	r.put("l2", []desired.Report{said})
	if _, out, _ := r.take(); len(out.Reports)+len(out.Complete) != 0 {
		t.Errorf("the same is said again: %+v", out)
	}
	r.put("l3", nil) // nothing is there, and that must be told
	if _, out, _ := r.take(); len(out.Reports) != 0 || len(out.Complete) != 1 || out.Complete[0] != "l3" {
		t.Errorf("l3 says %+v", out)
	}
	gone := said
	gone.Gone = true
	r.put("l2", []desired.Report{gone, gone})
	if _, out, _ := r.take(); len(out.Reports) != 1 || !out.Reports[0].Gone {
		t.Errorf("what is gone is %+v", out)
	}
	r.put("l2", []desired.Report{gone})
	if _, out, _ := r.take(); len(out.Reports) != 0 {
		t.Errorf("what was gone is said again: %+v", out)
	}
	r.put("l2", []desired.Report{said})
	r.lost()
	if _, out, heartbeat := r.take(); !heartbeat || len(out.Complete) != 2 || len(out.Reports) != 1 {
		t.Errorf("after a loss: %+v", out)
	}
}

// A file that is not wholly this host's is of no use: a part of a state would tear the rest down.
func TestSpoiltCacheIsRefused(t *testing.T) {
	mine := `{"host":"h1"}` + "\n"
	for _, c := range []struct {
		name, text, want string
	}{
		{"whole", mine + hello + snapshot + network + synced, ""},
		{"empty", "", "empty"},
		{"noise", "\x00\x01\n{}", "invalid character"},
		{"of another host", `{"host":"h9"}` + "\n" + hello + snapshot + network + synced, "h9"},
		{"without its end", mine + hello + snapshot + network, "cut short"},
		{"cut inside an item", mine + hello + snapshot + network[:20], "unexpected end"},
		{"no snapshot", mine + hello + network + synced, "no snapshot"},
		{"of a newer release", mine + hello + snapshot + `{"type":"put","kind":"balancer","item":{}}` + "\n" + synced, "newer release"},
		{"deletes", mine + hello + snapshot + `{"type":"delete","key":{"kind":"port","id":"p"}}` + "\n" + synced, "deletes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := decodeCache(strings.NewReader(c.text), "h1")
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("the error is %v, not one with %q", err, c.want)
			}
		})
	}
}

// Whatever is in the file, the agent begins with a complete state or with none.
func FuzzCache(f *testing.F) {
	good := `{"host":"h1"}` + "\n" + hello + snapshot + network + synced
	f.Add([]byte(good))
	f.Add([]byte(good[:len(good)-9]))
	f.Add([]byte(`{"host":"h1"}` + "\n" + hello + network + synced))
	f.Add([]byte(`{"host":"h1"}` + "\n" + hello + snapshot + `{"type":"delete","key":{"kind":"port","id":"p"}}` + "\n" + synced))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		have, _, err := decodeCache(bytes.NewReader(b), "h1")
		if err != nil {
			return
		}
		if !bytes.Contains(b, []byte("synced")) && !bytes.Contains(b, []byte(`\u`)) {
			t.Fatalf("%q is taken for complete", b)
		}
		for key, item := range have.items {
			if item == nil || item.Key() != key {
				t.Fatalf("%s is %+v", key, item)
			}
		}
		c := cache{file: filepath.Join(t.TempDir(), "kept"), host: "h1", boot: "b", log: quiet()}
		if err := c.write(have); err != nil {
			t.Fatal(err)
		}
		again, rebooted, err := c.read()
		if err != nil || rebooted || len(again.items) != len(have.items) || again.epoch != have.epoch || again.revision != have.revision {
			t.Fatalf("%q comes back as %+v (%v)", b, again, err)
		}
		if _, err := os.Stat(c.file + ".new"); err == nil {
			t.Fatal("the temporary file is left")
		}
	})
}

// A server of a release without beats is followed as before: that it does not know them is no silence.
func TestServerWithoutBeats(t *testing.T) {
	beats := make(chan struct{}, 100)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/agent/v1/stream" {
			beats <- struct{}{}
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, hello+snapshot+network+synced)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer web.Close()
	a := New(Options{Host: "h1", Beat: time.Millisecond}, quiet())
	defer a.client.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := newFollower(a)
	go func() {
		defer cancel()
		select {
		case <-beats:
		case <-time.After(20 * time.Second):
			t.Error("no beat was sent")
		}
		for synced := false; !synced; time.Sleep(time.Millisecond) {
			f.mu.Lock()
			synced = f.have.revision >= 0
			f.mu.Unlock()
		}
		time.Sleep(100 * time.Millisecond) // for a hundred more
	}()
	if got, err := f.follow(ctx, web.URL); !got || !errors.Is(err, context.Canceled) {
		t.Errorf("synced %t, and the stream ended by %v", got, err)
	}
	if len(beats) != 0 {
		t.Errorf("%d beats more were sent", len(beats))
	}
}

// A server that takes no beats any more is left long before its stream's silence would say so.
func TestServerThatTakesNoBeats(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/agent/v1/stream" {
			_, _ = io.WriteString(w, hello+snapshot+network+synced)
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.Copy(io.Discard, r.Body) // or the end of the connection would go unnoticed
		<-r.Context().Done()
	}))
	defer web.Close()
	a := New(Options{Host: "h1", Beat: 5 * time.Millisecond}, quiet())
	defer a.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := newFollower(a).follow(ctx, web.URL); !errors.Is(err, errUnheard) {
		t.Errorf("the stream ended by %v", err)
	}
}

// What a proxy answers in place of a server that is gone is no word of the server's, though the proxy keeps the stream.
func TestProxyOfADeadServer(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/agent/v1/stream" {
			http.Error(w, "no server is left", http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, hello+snapshot+network+synced)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer web.Close()
	a := New(Options{Host: "h1", Beat: 5 * time.Millisecond}, quiet())
	defer a.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := newFollower(a).follow(ctx, web.URL); !errors.Is(err, errUnheard) {
		t.Errorf("the stream ended by %v", err)
	}
}

// What is on its way to a server that has died in silence does not keep the next one from the host's reports.
func TestReportsOfADeadServerAreNotWaitedFor(t *testing.T) {
	stuck, end := make(chan struct{}, 100), make(chan struct{})
	defer close(end)
	dead := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/agent/v1/reports":
			stuck <- struct{}{}
			<-end
		case "/agent/v1/stream":
			_, _ = io.WriteString(w, hello+snapshot+network+synced)
			_ = http.NewResponseController(w).Flush()
			<-stuck // and the stream ends
		}
	}))
	t.Cleanup(dead.Close)
	told := make(chan struct{}, 100)
	next := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/agent/v1/reports":
			told <- struct{}{}
			w.WriteHeader(http.StatusNoContent)
		case "/agent/v1/stream":
			_, _ = io.WriteString(w, hello+snapshot+network+synced)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	}))
	t.Cleanup(next.Close)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a := New(Options{Servers: []string{dead.URL, next.URL}, Host: "h1", Beat: time.Hour, Describe: func() []desired.AgentState {
		return []desired.AgentState{{Type: "Open vSwitch agent"}}
	}}, quiet())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = a.Run(ctx) }()
	select {
	case <-told:
	case <-time.After(8 * time.Second): // a server that does not answer is given 15
		t.Error("the next server was told nothing")
	}
	cancel()
	<-ended
}

// A machine that shuts down says so at the end, also where its stream has ended; an agent that is only stopped does not.
func TestLeaving(t *testing.T) {
	for _, leaving := range []bool{true, false} {
		said := make(chan desired.Beat, 100)
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/agent/v1/stream":
				_, _ = io.WriteString(w, hello+snapshot+network+synced)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			case "/agent/v1/beat":
				var b desired.Beat
				_ = json.NewDecoder(r.Body).Decode(&b)
				said <- b
				w.WriteHeader(http.StatusNoContent)
			}
		}))
		ctx, cancel := context.WithCancel(t.Context())
		a := New(Options{Servers: []string{web.URL}, Host: "h1", Beat: time.Hour, Leaving: func() bool { return leaving }}, quiet())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = a.Run(ctx) }()
		if b := <-said; b.Leaving || b.Host != "h1" || b.Epoch != "e" {
			t.Errorf("the first beat is %+v", b)
		}
		cancel()
		<-ended
		close(said)
		last := false
		for b := range said {
			last = b.Leaving
		}
		if last != leaving {
			t.Errorf("leaving is %t, and it said %t", leaving, last)
		}
		web.Close()
	}
}
