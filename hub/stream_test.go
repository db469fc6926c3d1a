package hub_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"neutrino/desired"
	"neutrino/hub/hubtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "a secret of hosts"

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
	for i := range 60 { // each time the wake-up must be the newest stream's
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
	if took := time.Since(began); took > 20*time.Second { // a wake-up that is lost costs half a second
		t.Errorf("sixty take-overs took %s: wake-ups were lost", took)
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
