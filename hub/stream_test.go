package hub_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"neutrino/desired"
	"neutrino/hub"
	"neutrino/hub/hubtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "a secret of hosts"

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
	for range 1000 {
		if is() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("it never came to be that %s", what)
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

// lives are states of one cloud after another. The hosts h1 and h2 are in each of them.
func lives() [][]desired.Item {
	g := func(id, remote string) *desired.SecurityGroup {
		return &desired.SecurityGroup{ID: id, Stateful: true, Rules: []desired.Rule{{ID: "r", RemoteGroup: remote, Protocol: -1}}}
	}
	n := func(id string, mtu int) *desired.Network { return &desired.Network{ID: id, MTU: mtu, Type: "vxlan"} }
	r := func(host string) *desired.Router { return &desired.Router{ID: "r1", Host: host} }
	return [][]desired.Item{
		{},
		{n("n1", 1450), port("p1", "n1", "h1")},
		{n("n1", 1450), port("p1", "n1", "h1"), port("p2", "n1", "h2")},
		{n("n1", 1400), n("n2", 1450), port("p1", "n1", "h2"), port("p2", "n2", "h1"), r("h1")},
		{n("n1", 1400), g("g1", "g2"), g("g2", ""), port("p1", "n1", "h1", "g1"), port("p2", "n1", "h2", "g2"), port("p3", "n1", "", "g2")},
		{n("n1", 1400), g("g1", ""), g("g2", "g2"), port("p1", "n1", "h1", "g1"), port("p2", "n1", "h2", "g2"), port("p3", "n1", "", "g2"), r("h2")},
		{n("n1", 1400), g("g1", "g1"), port("p1", "n2", "h1", "g1"), port("p2", "n2", "h1"), port("p3", "n2", "h2", "g1")},
		{n("n2", 1450), port("p1", "n2", "h1"), port("p2", "n2", "h2"), r("")},
	}
}

// become brings a cloud from one life to another: all at once, or step by step in a random order.
func become(cloud *hubtest.Cloud, from, to []desired.Item, atOnce bool, dice *rand.Rand) {
	next := map[desired.Key]desired.Item{}
	for _, item := range to {
		next[item.Key()] = item
	}
	var steps []func()
	var puts []desired.Item
	var deletes []desired.Key
	for _, item := range from {
		if key := item.Key(); next[key] == nil {
			deletes = append(deletes, key)
			steps = append(steps, func() { cloud.Delete(key) })
		}
	}
	for _, item := range to {
		puts = append(puts, item)
		steps = append(steps, func() { cloud.Put(item) })
	}
	if atOnce {
		cloud.Put(puts...)
		cloud.Delete(deletes...)
		return
	}
	dice.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	for _, step := range steps {
		step()
	}
}

func difference(want, have map[desired.Key]desired.Item) string {
	return cmp.Diff(want, have, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty())
}

// The end does not depend on the way: hosts that have followed one life after another, some of them
// losing their streams on the way, have what a host gets that has just come.
func TestEndDoesNotDependOnTheWay(t *testing.T) {
	dice := rand.New(rand.NewPCG(7, 11))
	orders := map[string][]int{"forward": {0, 1, 2, 3, 4, 5, 6, 7}, "reversed": {7, 6, 5, 4, 3, 2, 1, 0}}
	for i := range 4 {
		orders[fmt.Sprint("shuffled ", i)] = dice.Perm(8)
	}
	for name, order := range orders {
		for _, atOnce := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " at once ", atOnce), func(t *testing.T) {
				cloud := hubtest.New()
				url := serve(t, cloud)
				hosts := []*listener{listen(t, url, "h1"), listen(t, url, "h2")}
				var now []desired.Item
				for step, life := range order {
					away := dice.IntN(4) // the host with that number, if there is one
					if away < len(hosts) {
						hosts[away].hangUp()
					}
					become(cloud, now, lives()[life], atOnce, dice)
					now = lives()[life]
					cloud.Put(&desired.Host{Name: "h1", TunnelIP: mark(step)}, &desired.Host{Name: "h2", TunnelIP: mark(step)})
					if away < len(hosts) {
						hosts[away].dial()
					}
					other := serve(t, cloud) // a hub that knows nothing of the way
					for _, l := range hosts {
						l.until(func() bool { return l.address() == mark(step) })
						fresh := listen(t, other, l.name)
						fresh.sync()
						fresh.hangUp()
						if diff := difference(fresh.have, l.have); diff != "" {
							t.Fatalf("life %d, %s: the end depends on the way:\n%s", life, l.name, diff)
						}
					}
				}
				for _, l := range hosts {
					if l.snapshot != 1 {
						t.Errorf("%s got %d snapshots", l.name, l.snapshot)
					}
					l.hangUp()
				}
			})
		}
	}
}

func TestDoor(t *testing.T) {
	url := serve(t, hubtest.New())
	for _, c := range []struct {
		name, path, token string
		want              int
	}{
		{"wrong secret", "/agent/v1/stream?host=h1", "another secret", http.StatusUnauthorized},
		{"no secret", "/agent/v1/stream?host=h1", "", http.StatusUnauthorized},
		{"a part of the secret", "/agent/v1/stream?host=h1", secret[:5], http.StatusUnauthorized},
		{"no host", "/agent/v1/stream", secret, http.StatusBadRequest},
		{"host with a line break", "/agent/v1/stream?host=a%0Ab", secret, http.StatusBadRequest},
		{"host with a slash", "/agent/v1/stream?host=a/b", secret, http.StatusBadRequest},
		{"very long host", "/agent/v1/stream?host=" + strings.Repeat("h", 256), secret, http.StatusBadRequest},
		{"elsewhere", "/agent/v1/secrets", secret, http.StatusNotFound},
		{"wrong method", "/agent/v1/reports", secret, http.StatusMethodNotAllowed},
	} {
		t.Run(c.name, func(t *testing.T) {
			if code, _ := get(t, url, c.path, c.token); code != c.want {
				t.Errorf("%d, want %d", code, c.want)
			}
		})
	}
}

func TestHostComesBackFromWhereItWas(t *testing.T) {
	cloud := hubtest.New()
	cloud.Put(&desired.Network{ID: "n1"}, port("p1", "n1", "h1"), port("p2", "n1", "h1"))
	url := serve(t, cloud)
	l := listen(t, url, "h1")
	l.sync()
	if l.snapshot != 1 || len(l.have) != 3 {
		t.Fatalf("the first batch is no snapshot of three items: %d, %v", l.snapshot, l.have)
	}
	l.hangUp()
	cloud.Put(port("p3", "n1", "h1"))
	cloud.Delete(desired.Key{Kind: desired.KindPort, ID: "p1"})
	l.puts = 0
	l.dial()
	l.until(func() bool { return l.have[desired.Key{Kind: desired.KindPort, ID: "p3"}] != nil })
	l.until(func() bool { return l.have[desired.Key{Kind: desired.KindPort, ID: "p1"}] == nil })
	if l.snapshot != 1 || l.puts != 1 {
		t.Errorf("one change came as %d items and %d snapshots", l.puts, l.snapshot-1)
	}
	l.hangUp()
	l.epoch = "another"
	l.dial()
	l.sync()
	if l.snapshot != 2 {
		t.Errorf("a host from another server goes on without a snapshot")
	}
	l.hangUp()
}

func TestNewerStreamTakesOver(t *testing.T) {
	cloud := hubtest.New()
	cloud.Put(&desired.Network{ID: "n1"}, port("p1", "n1", "h1"))
	url := serve(t, cloud)
	first := listen(t, url, "h1")
	first.sync()
	began := time.Now()
	for i := range 20 { // each time the wake-up must be the newest stream's
		second := listen(t, url, "h1")
		second.sync()
		cloud.Put(&desired.Host{Name: "h1", TunnelIP: mark(i)})
		second.until(func() bool { return second.address() == mark(i) })
		for first.sync() {
			// what it was told before it ended
		}
		first.hangUp()
		first = second
	}
	first.hangUp()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("twenty take-overs took %s: a wake-up was lost", took)
	}
}

func TestSlowHostHoldsNobody(t *testing.T) {
	cloud := hubtest.New()
	var items []desired.Item
	for i := range 5000 {
		p := port(fmt.Sprint("p", i), "n1", "slow")
		p.DeviceID = strings.Repeat("x", 1000)
		items = append(items, p)
	}
	cloud.Put(append(items, port("q1", "n1", "fast"))...)
	url := serve(t, cloud)
	slow := listen(t, url, "slow") // it reads no further
	fast := listen(t, url, "fast")
	fast.sync()
	for i := range 50 {
		cloud.Put(&desired.Host{Name: "fast", TunnelIP: mark(i)}, &desired.Host{Name: "slow", TunnelIP: mark(i)})
		fast.until(func() bool { return fast.address() == mark(i) })
	}
	slow.until(func() bool { return slow.address() == mark(49) }) // in the end it has everything
	if len(slow.have) != 5000+1+2 {
		t.Errorf("the slow host has %d items", len(slow.have))
	}
	slow.hangUp()
	fast.hangUp()
}

func TestJournalTrimmedOrSetBack(t *testing.T) {
	cloud := hubtest.New()
	cloud.Put(&desired.Network{ID: "n1"}, port("p1", "n1", "h1"))
	restore := cloud.Backup()
	url := serve(t, cloud)
	l := listen(t, url, "h1")
	l.sync()
	cloud.Put(port("p2", "n1", "h1"), port("p3", "n1", "h1"))
	l.until(func() bool { return len(l.have) == 4 })
	cloud.PutAndTrim(port("p4", "n1", "h1"), port("p5", "n1", "h1"))
	l.until(func() bool { return len(l.have) == 6 })
	if l.snapshot != 1 {
		t.Errorf("the host got another snapshot because the hub read everything again")
	}
	restore()
	for l.sync() {
		continue // the stream ends: what was told does not hold any more
	}
	eventually(t, "the hub is ready again", func() bool {
		code, body := ask(t, url, "probe", "", -1)
		if code == http.StatusOK {
			_ = body.Close()
		}
		return code == http.StatusOK
	})
	l.revision = 0
	l.dial()
	l.until(func() bool { return len(l.have) == 2 })
	if l.snapshot != 2 {
		t.Errorf("the host went on from a state that was never")
	}
	l.hangUp()
}

func TestReportsAreDecodedStrictly(t *testing.T) {
	url := serve(t, hubtest.New())
	l := listen(t, url, "h1")
	defer l.hangUp()
	for _, c := range []struct {
		name, body string
		want       int
	}{
		{"a heartbeat", `{"host":"h1","epoch":"` + l.epoch + `","agents":[{"agent_type":"L3 agent"}]}`, http.StatusNoContent},
		{"a report", `{"host":"h1","epoch":"` + l.epoch + `","reports":[{"kind":"port","id":"p","layer":"l2","up":true}]}`, http.StatusNoContent},
		{"of another epoch", `{"host":"h1","epoch":"e"}`, http.StatusConflict},
		{"of a host that never came", `{"host":"h2","epoch":"` + l.epoch + `"}`, http.StatusConflict},
		{"no JSON", `reports`, http.StatusBadRequest},
		{"no host", `{"epoch":"` + l.epoch + `"}`, http.StatusBadRequest},
		{"two objects", `{"host":"h1","epoch":"` + l.epoch + `"}{}`, http.StatusBadRequest},
		{"a report of nothing", `{"host":"h1","epoch":"` + l.epoch + `","reports":[{}]}`, http.StatusBadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			if code := post(t, url, c.body); code != c.want {
				t.Errorf("%d, want %d", code, c.want)
			}
		})
	}
}

func post(t testing.TB, url, body string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url+"/agent/v1/reports", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// speaker is a host that reports.
type speaker struct {
	*listener
}

func (s speaker) say(complete bool, layer string, reports ...desired.Report) {
	s.t.Helper()
	r := desired.Reports{Host: s.name, Epoch: s.epoch, Reports: reports}
	if complete {
		r.Complete = []string{layer}
	}
	b, err := json.Marshal(r)
	if err != nil {
		s.t.Fatal(err)
	}
	if code := post(s.t, s.url, string(b)); code != http.StatusNoContent {
		s.t.Fatalf("reports are answered %d", code)
	}
}

func up(id, layer string) desired.Report {
	return desired.Report{Kind: desired.KindPort, ID: id, Layer: layer, Up: true}
}

func downFor(id, layer, why string) desired.Report {
	return desired.Report{Kind: desired.KindPort, ID: id, Layer: layer, Reason: why}
}

func TestReportsBecomeStatus(t *testing.T) {
	cloud := hubtest.New()
	served := &desired.Network{ID: "n1", Subnets: []desired.Subnet{{ID: "s-n1", EnableDHCP: true}}}
	dhcp := port("d1", "n1", "h2")
	dhcp.DeviceOwner = "network:dhcp"
	router := &desired.Router{ID: "r1", Host: "h1", FloatingIPs: []desired.FloatingIP{{ID: "f1"}}}
	cloud.Put(served, port("p1", "n1", "h1"), dhcp, router)
	url := serve(t, cloud)
	h1, h2 := speaker{listen(t, url, "h1")}, speaker{listen(t, url, "h2")}
	defer func() { h1.hangUp(); h2.hangUp() }()
	is := func(kind desired.Kind, id, status, reason string) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s %s is %s (%s)", kind, id, status, reason), func() bool {
			return cloud.Status(kind, id) == hub.Status{Status: status, Reason: reason}
		})
	}
	h1.say(true, desired.LayerL2)
	is(desired.KindPort, "p1", "DOWN", "waiting for host h1 (l2)")
	h1.say(false, desired.LayerL2, downFor("p1", desired.LayerL2, "no interface"))
	is(desired.KindPort, "p1", "DOWN", "host h1: no interface")
	h2.say(true, desired.LayerL2, up("d1", desired.LayerL2))
	is(desired.KindPort, "d1", "ACTIVE", "") // a DHCP port waits for no DHCP
	h2.say(true, desired.LayerDHCP)
	h1.say(false, desired.LayerL2, up("p1", desired.LayerL2))
	is(desired.KindPort, "p1", "DOWN", "waiting for host h2 (dhcp)")
	h2.say(false, desired.LayerDHCP, up("p1", desired.LayerDHCP))
	is(desired.KindPort, "p1", "ACTIVE", "")

	h1.say(true, desired.LayerL3)
	is(desired.KindRouter, "r1", "ACTIVE", "waiting for host h1 (l3)")
	is(desired.KindFloatingIP, "f1", "DOWN", "waiting for host h1 (l3)")
	h1.say(false, desired.LayerL3, desired.Report{Kind: desired.KindFloatingIP, ID: "f1", Layer: desired.LayerL3, Up: true},
		desired.Report{Kind: desired.KindRouter, ID: "r1", Layer: desired.LayerL3, Up: true})
	is(desired.KindFloatingIP, "f1", "ACTIVE", "")
	is(desired.KindRouter, "r1", "ACTIVE", "")

	// A host that is away takes nothing down, nor one that has come back and not spoken yet.
	h1.hangUp()
	h2.hangUp()
	h1.dial()
	cloud.Put(port("p1", "n1", "h1"), served)
	writes := cloud.Writes()
	time.Sleep(100 * time.Millisecond)
	if cloud.Writes() != writes {
		t.Errorf("statuses were written for a host that has not spoken: %+v", cloud.Status(desired.KindPort, "p1"))
	}
	// What it does not name when it has told everything is not up.
	h1.say(true, desired.LayerL2)
	is(desired.KindPort, "p1", "DOWN", "waiting for host h1 (l2)")

	// Without DHCP nobody waits for it.
	h1.say(false, desired.LayerL2, up("p1", desired.LayerL2))
	is(desired.KindPort, "p1", "ACTIVE", "")
	h2.dial()
	h2.say(true, desired.LayerDHCP)
	h1.say(false, desired.LayerL2, downFor("p1", desired.LayerL2, "cut"))
	is(desired.KindPort, "p1", "DOWN", "host h1: cut")
	h1.say(false, desired.LayerL2, up("p1", desired.LayerL2))
	is(desired.KindPort, "p1", "DOWN", "waiting for host h2 (dhcp)")
	cloud.Put(&desired.Network{ID: "n1", Subnets: []desired.Subnet{{ID: "s-n1"}}})
	is(desired.KindPort, "p1", "ACTIVE", "")

	// What was refused is written later; what is the same is not written again.
	cloud.Fail(errors.New("the database is away"))
	h1.say(false, desired.LayerL2, downFor("p1", desired.LayerL2, "cut"))
	time.Sleep(20 * time.Millisecond)
	cloud.Fail(nil)
	is(desired.KindPort, "p1", "DOWN", "host h1: cut")
	writes = cloud.Writes()
	h1.say(false, desired.LayerL2, downFor("p1", desired.LayerL2, "cut"))
	time.Sleep(50 * time.Millisecond)
	if cloud.Writes() != writes {
		t.Error("a status was written that was so already")
	}
}

// A new hub has heard nothing yet: what was ACTIVE stays so until the host that knows says otherwise.
func TestNewHubTakesNothingDown(t *testing.T) {
	cloud := hubtest.New()
	cloud.Put(port("p1", "n1", "h1"))
	thing := hub.Thing{Kind: desired.KindPort, ID: "p1"}
	if err := cloud.SetStatus(t.Context(), []hub.StatusChange{{Thing: thing, Status: hub.Status{Status: "ACTIVE"}}}); err != nil {
		t.Fatal(err)
	}
	url := serve(t, cloud)
	h1 := speaker{listen(t, url, "h1")}
	defer h1.hangUp()
	h1.sync()
	p := *port("p1", "n1", "h1")
	p.Revision = 2
	cloud.Put(&p) // it is judged again
	h1.sync()
	h1.say(false, desired.LayerL3)
	time.Sleep(50 * time.Millisecond)
	if status := cloud.Status(desired.KindPort, "p1"); status.Status != "ACTIVE" {
		t.Fatalf("it was taken down: %+v", status)
	}
	h1.say(true, desired.LayerL2)
	eventually(t, "the port is DOWN when its host has told everything and not this", func() bool {
		return cloud.Status(desired.KindPort, "p1").Status == "DOWN"
	})
}
