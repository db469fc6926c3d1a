package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"neutrino/agent"
	"neutrino/desired"
	"neutrino/hub"
	"neutrino/hub/hubtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "a secret of hosts"

// recorder is a manager that notes what it is asked for, and finds every port of its host wired.
type recorder struct {
	name string
	host string
	wake chan struct{}

	mu     sync.Mutex
	have   map[desired.Key]desired.Item
	calls  int
	full   int
	keys   int // of all calls that were not full
	before func(call int) error
	said   map[string]bool
}

func newRecorder(name string) *recorder {
	return &recorder{name: name, host: "h1", wake: make(chan struct{}, 1), said: map[string]bool{}}
}

func (r *recorder) Name() string          { return r.name }
func (r *recorder) Wake() <-chan struct{} { return r.wake }

func (r *recorder) Apply(_ context.Context, state *desired.State, change agent.Change) (reports []desired.Report, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	if change.Full {
		r.full++
	} else {
		r.keys += len(change.Keys)
	}
	if r.before != nil {
		if err := r.before(r.calls); err != nil {
			return nil, err
		}
	}
	r.have = map[desired.Key]desired.Item{}
	for _, key := range state.Keys() {
		r.have[key] = state.Get(key)
	}
	for id := range r.said {
		if state.Ports[id] == nil || state.Ports[id].Host != r.host {
			delete(r.said, id)
			reports = append(reports, desired.Report{Kind: desired.KindPort, ID: id, Layer: r.name, Gone: true})
		}
	}
	for id, p := range state.Ports {
		if p.Host == r.host {
			r.said[id] = true
			reports = append(reports, desired.Report{Kind: desired.KindPort, ID: id, Layer: r.name, Revision: p.Revision, Up: true})
		}
	}
	return reports, nil
}

func (r *recorder) items() map[desired.Key]desired.Item {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.have
}

func (r *recorder) count() (calls, full, keys int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls, r.full, r.keys
}

// server is a hub that can die and live again at the same address.
type server struct {
	t     *testing.T
	cloud *hubtest.Cloud
	web   *httptest.Server

	mu   sync.Mutex
	door http.Handler
	stop func()
}

func newServer(t *testing.T, cloud *hubtest.Cloud) *server {
	s := &server{t: t, cloud: cloud}
	s.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		door := s.door
		s.mu.Unlock()
		if door == nil {
			http.Error(w, "dead", http.StatusBadGateway)
			return
		}
		door.ServeHTTP(w, r)
	}))
	t.Cleanup(s.web.Close)
	t.Cleanup(s.kill)
	return s
}

func (s *server) start() {
	h := hub.New(s.cloud, s.cloud, s.cloud, secret, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.Run(ctx)
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.door = h.Handler()
	s.stop = func() {
		cancel()
		<-done
	}
}

func (s *server) kill() {
	s.mu.Lock()
	stop := s.stop
	s.door, s.stop = nil, nil
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
	s.web.CloseClientConnections()
}

// run runs an agent till the test, or stop, ends it.
func run(t *testing.T, o agent.Options, managers ...agent.Manager) (stop func()) {
	t.Helper()
	return runLogged(t, o, slog.New(slog.DiscardHandler), managers...)
}

func runLogged(t *testing.T, o agent.Options, log *slog.Logger, managers ...agent.Manager) (stop func()) {
	t.Helper()
	o.Secret = secret
	if o.Host == "" {
		o.Host = "h1"
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	a := agent.New(o, log, managers...)
	go func() {
		defer close(done)
		if err := a.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("the agent ends with %v", err)
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(stop)
	return stop
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to be that %s", what)
		}
	}
}

func port(id, host string) *desired.Port {
	return &desired.Port{ID: id, NetworkID: "n1", Host: host, PortSecurity: true, FixedIPs: []desired.FixedIP{{IP: netip.MustParseAddr("10.0.0.9")}}}
}

func portKey(id string) desired.Key { return desired.Key{Kind: desired.KindPort, ID: id} }

func active(cloud *hubtest.Cloud, id string) func() bool {
	return func() bool { return cloud.Status(desired.KindPort, id).Status == "ACTIVE" }
}

func same(want, have map[desired.Key]desired.Item) string {
	return cmp.Diff(want, have, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty())
}

func TestRing(t *testing.T) {
	cloud := hubtest.New()
	cloud.Put(&desired.Network{ID: "n1"}, port("p1", "h1"), port("p2", "h2"))
	s := newServer(t, cloud)
	s.start()
	l2, l3 := newRecorder("l2"), newRecorder("l3")
	run(t, agent.Options{
		Servers: []string{s.web.URL}, StateDir: t.TempDir(),
		Describe: func() []desired.AgentState { return []desired.AgentState{{Type: "L3 agent"}} },
	}, l2, l3)
	eventually(t, "p1 is ACTIVE", active(cloud, "p1"))
	eventually(t, "there was a heartbeat", func() bool { return len(cloud.Beat("h1")) == 1 })
	eventually(t, "the other manager has the same", func() bool { return same(l2.items(), l3.items()) == "" })
	if status := cloud.Status(desired.KindPort, "p2"); status.Status == "ACTIVE" {
		t.Errorf("the port of another host is %+v", status)
	}
	cloud.Put(port("p3", "h1"))
	eventually(t, "p3 is ACTIVE", active(cloud, "p3"))
	cloud.Delete(portKey("p3"))
	eventually(t, "p3 is gone", func() bool { return l2.items()[portKey("p3")] == nil })
	eventually(t, "l2 looks when it is woken", func() bool {
		before, _, _ := l2.count()
		l2.wake <- struct{}{}
		time.Sleep(10 * time.Millisecond)
		after, _, _ := l2.count()
		return after > before
	})
	if _, full, keys := l2.count(); full != 1 || keys != 2 {
		t.Errorf("the manager looked at everything %d times and at %d single items; want 1 and 2", full, keys)
	}
}

// A server that dies at any step of the ring and comes back: the host converges, and nobody sees a
// state in between.
func TestServerDies(t *testing.T) {
	cloud := hubtest.New()
	cloud.Put(&desired.Network{ID: "n1"}, port("p0", "h1"))
	s := newServer(t, cloud)
	s.start()
	l2 := newRecorder("l2")
	run(t, agent.Options{Servers: []string{s.web.URL}}, l2)
	eventually(t, "p0 is ACTIVE", active(cloud, "p0"))
	dice := rand.New(rand.NewPCG(3, 5))
	for i := range 8 {
		id := fmt.Sprint("p", i+1)
		cloud.Put(port(id, "h1"))
		time.Sleep(time.Duration(dice.IntN(8)) * time.Millisecond)
		s.kill()
		cloud.Delete(portKey(fmt.Sprint("p", i)))
		s.start()
		eventually(t, id+" is ACTIVE", active(cloud, id))
		eventually(t, "there is one port", func() bool { return len(l2.items()) == 2 && l2.items()[portKey(id)] != nil })
	}
	if _, full, keys := l2.count(); full != 1 || keys > 16 {
		t.Errorf("for 16 changes and 8 deaths the manager looked at everything %d times and at %d single items", full, keys)
	}
}

// cutter passes bytes between an agent and its server, and cuts each stream after some of them.
type cutter struct {
	t     *testing.T
	to    string
	limit func() int
}

func (c *cutter) listen() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	var group sync.WaitGroup
	c.t.Cleanup(func() { _ = l.Close(); group.Wait() })
	group.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer func() { _ = in.Close() }()
				out, err := net.Dial("tcp", c.to)
				if err != nil {
					return
				}
				group.Go(func() {
					defer func() { _ = out.Close() }()
					_, _ = io.Copy(out, in)
				})
				_, _ = io.CopyN(in, out, int64(c.limit()))
			})
		}
	})
	return "http://" + l.Addr().String()
}

func TestStreamIsCutAnywhere(t *testing.T) {
	cloud := hubtest.New()
	cloud.Put(&desired.Network{ID: "n1"})
	for i := range 20 {
		cloud.Put(port(fmt.Sprint("p", i), "h1"))
	}
	s := newServer(t, cloud)
	s.start()
	var mu sync.Mutex
	cuts := []int{1, 250, 320, 2000, 6000} // in the head, in hello, in the first item, further on
	c := &cutter{t: t, to: strings.TrimPrefix(s.web.URL, "http://"), limit: func() int {
		mu.Lock()
		defer mu.Unlock()
		if len(cuts) == 0 {
			return 1 << 30
		}
		cut := cuts[0]
		cuts = cuts[1:]
		return cut
	}}
	l2 := newRecorder("l2")
	partial := false
	stop := run(t, agent.Options{Servers: []string{c.listen()}}, l2)
	eventually(t, "all ports are there", func() bool {
		n := len(l2.items())
		partial = partial || n != 0 && n != 21
		return n == 21
	})
	if partial {
		t.Error("a state that was cut short was applied")
	}
	eventually(t, "all ports are ACTIVE", func() bool {
		for i := range 20 {
			if !active(cloud, fmt.Sprint("p", i))() {
				return false
			}
		}
		return true
	})
	stop()
}

func TestNextServerIsTried(t *testing.T) {
	cloud := hubtest.New()
	cloud.Put(&desired.Network{ID: "n1"}, port("p1", "h1"))
	dead, alive := newServer(t, cloud), newServer(t, cloud)
	alive.start()
	run(t, agent.Options{Servers: []string{"http://127.0.0.1:1", dead.web.URL, alive.web.URL}}, newRecorder("l2"))
	eventually(t, "p1 is ACTIVE", active(cloud, "p1"))
}

func TestAgentStartsWhileAllServersAreDown(t *testing.T) {
	cloud := hubtest.New()
	cloud.Put(&desired.Network{ID: "n1"}, port("p1", "h1"))
	s := newServer(t, cloud)
	s.start()
	dir := t.TempDir()
	first := newRecorder("l2")
	stop := run(t, agent.Options{Servers: []string{s.web.URL}, StateDir: dir}, first)
	eventually(t, "p1 is ACTIVE", active(cloud, "p1"))
	cloud.Put(port("p2", "h1"))
	eventually(t, "p2 is ACTIVE", active(cloud, "p2"))
	stop()
	s.kill()

	second := newRecorder("l2")
	stop = run(t, agent.Options{Servers: []string{s.web.URL}, StateDir: dir}, second)
	eventually(t, "the new agent has applied what the old one knew", func() bool { return len(second.items()) == 3 })
	if diff := same(first.items(), second.items()); diff != "" {
		t.Errorf("the kept state is another:\n%s", diff)
	}
	cloud.Delete(portKey("p1"))
	s.start()
	eventually(t, "the new agent follows", func() bool { return len(second.items()) == 2 })
	stop()

	file := filepath.Join(dir, "desired.json")
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the kept state: %v %v", info.Mode(), err)
	}
	if !strings.HasSuffix(string(kept), "}\n") {
		t.Errorf("the kept state is cut short: %q", kept)
	}
}

// A manager that fails or panics is tried again with Full, and holds no other one back.
func TestManagerInTrouble(t *testing.T) {
	cloud := hubtest.New()
	cloud.Put(&desired.Network{ID: "n1"}, port("p1", "h1"))
	s := newServer(t, cloud)
	s.start()
	l2, l3, dhcp := newRecorder("l2"), newRecorder("l3"), newRecorder("dhcp")
	l3.before = func(int) error { return errors.New("never") }
	dhcp.before = func(call int) error {
		if call < 3 {
			panic("a bug")
		}
		return nil
	}
	run(t, agent.Options{Servers: []string{s.web.URL}}, l2, l3, dhcp)
	eventually(t, "p1 is ACTIVE although l3 never works", active(cloud, "p1"))
	eventually(t, "the one that panicked works", func() bool { return len(dhcp.items()) == 2 })
	eventually(t, "the one that fails is tried again", func() bool { calls, full, _ := l3.count(); return calls > 2 && full == calls })
	if calls, full, _ := dhcp.count(); full != 3 {
		t.Errorf("of %d calls %d were full; want 3 full ones, for two panics", calls, full)
	}
}

// After a failure nothing of what was done before is taken for granted.
func TestFailureAsksForEverything(t *testing.T) {
	cloud := hubtest.New()
	cloud.Put(&desired.Network{ID: "n1"}, port("p1", "h1"))
	s := newServer(t, cloud)
	s.start()
	l2 := newRecorder("l2")
	l2.before = func(call int) error {
		if call == 2 {
			return errors.New("the switch does not answer")
		}
		return nil
	}
	run(t, agent.Options{Servers: []string{s.web.URL}}, l2)
	eventually(t, "p1 is ACTIVE", active(cloud, "p1"))
	cloud.Put(port("p2", "h1"))
	eventually(t, "p2 is ACTIVE", active(cloud, "p2"))
	if calls, full, keys := l2.count(); calls != 3 || full != 2 || keys != 1 {
		t.Errorf("%d calls, %d of them full, the others with %d items; want 3, 2 and 1", calls, full, keys)
	}
}

func TestEverythingIsCheckedNowAndThen(t *testing.T) {
	cloud := hubtest.New()
	s := newServer(t, cloud)
	s.start()
	l2 := newRecorder("l2")
	run(t, agent.Options{Servers: []string{s.web.URL}, Check: 20 * time.Millisecond}, l2)
	eventually(t, "there were three checks", func() bool { _, full, _ := l2.count(); return full > 3 })
}

func TestMetrics(t *testing.T) {
	cloud := hubtest.New()
	cloud.Put(&desired.Network{ID: "n1"}, port("p1", "h1"))
	s := newServer(t, cloud)
	s.start()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	run(t, agent.Options{Servers: []string{s.web.URL}, Metrics: address}, newRecorder("l2"))
	eventually(t, "p1 is ACTIVE", active(cloud, "p1"))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"neutrino_agent_connected 1", "neutrino_agent_items 2", `neutrino_agent_apply_seconds_count{manager="l2"} 1`} {
		if !strings.Contains(string(b), line+"\n") {
			t.Errorf("%q is not in\n%s", line, b)
		}
	}
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// with finds the lines that have all words.
func (l *lines) with(words ...string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
next:
	for line := range strings.Lines(l.text.String()) {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue next
			}
		}
		found = append(found, line)
	}
	return found
}

// The request that changed a thing is named by the host that brings the change about, however long that takes.
func TestRequestsAreLogged(t *testing.T) {
	cloud := hubtest.New()
	cloud.Put(&desired.Network{ID: "n1"}, port("p0", "h1"))
	s := newServer(t, cloud)
	s.start()
	log := &lines{}
	l2 := newRecorder("l2")
	runLogged(t, agent.Options{Servers: []string{s.web.URL}}, slog.New(slog.NewTextHandler(log, nil)), l2)
	eventually(t, "p0 is ACTIVE", active(cloud, "p0"))
	if found := log.with("p0"); found != nil {
		t.Errorf("nobody asked for p0 just now, but the log has %q", found)
	}
	cloud.As("req-1")
	cloud.Put(port("p1", "h1"))
	cloud.As("")
	eventually(t, "p1 is ACTIVE", active(cloud, "p1"))
	eventually(t, "the log says once that p1 is up because of req-1", func() bool {
		return len(log.with(`"port is up"`, "id=p1", "layer=l2", "request_id=req-1")) == 1
	})
	cloud.As("req-2")
	cloud.Delete(portKey("p1"))
	eventually(t, "p1 is gone by req-2", func() bool { return len(log.with(`"port is gone"`, "id=p1", "request_id=req-2")) == 1 })
	cloud.As("")
	cloud.Put(port("p2", "h1"))
	eventually(t, "p2 is ACTIVE", active(cloud, "p2"))
	if found := log.with("p2"); found != nil {
		t.Errorf("no request made p2, but the log has %q", found)
	}
}
