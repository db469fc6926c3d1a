package l3

import (
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"neutrino/desired"
)

func TestRates(t *testing.T) {
	for _, c := range []struct {
		desired.Limits
		want string
	}{
		{desired.Limits{}, ""},
		{desired.Limits{Kbps: 8}, "limit rate over 1000 bytes/second burst 65536 bytes"},
		{desired.Limits{Kbps: 8000, BurstKbps: 4000}, "limit rate over 1000000 bytes/second burst 500000 bytes"},
		{desired.Limits{Kbps: 10000}, "limit rate over 1250000 bytes/second burst 1000000 bytes"},
		{desired.Limits{Kbps: 1e8, BurstKbps: 1<<31 - 1}, "limit rate over 12500000000 bytes/second burst 4294967295 bytes"},
		{desired.Limits{Kbps: 1<<31 - 1}, ""},
		{desired.Limits{Kpps: 1}, "limit rate over 1000/second burst 800 packets"},
		{desired.Limits{Kpps: 10, BurstKpps: 2}, "limit rate over 10000/second burst 2000 packets"},
		{desired.Limits{Kpps: 1<<31 - 1}, ""},
		{desired.Limits{Kbps: 8000, Kpps: 10}, "limit rate over 1000000 bytes/second burst 800000 bytes, limit rate over 10000/second burst 8000 packets"},
	} {
		if got := strings.Join(rates(c.Limits), ", "); got != c.want {
			t.Errorf("%+v: %q, want %q", c.Limits, got, c.want)
		}
	}
}

// Each address outside has its own limits, in each direction, and what others send does not count.
func TestLimits(t *testing.T) {
	w := newWorld(t)
	w.guests()
	w.put(standard())
	w.mustReach("a1", "203.0.113.1")
	w.mustReach("a2", "203.0.113.1")
	w.mustReach("out", floatIP)
	slow := desired.Limits{Kbps: 8} // 45 of the pings below at once, and nothing to speak of after
	all := desired.Limits{Kbps: 1e8, BurstKbps: 1<<31 - 1, Kpps: 1e6, BurstKpps: 1<<31 - 1}
	from := map[string]int{"floating out": 0, "router out": 1, "floating in": 2}
	for name, c := range map[string]struct {
		change  func(r *desired.Router)
		limited [3]bool // as from numbers them
	}{
		"none":               {func(*desired.Router) {}, [3]bool{}},
		"floating, sending":  {func(r *desired.Router) { r.FloatingIPs[0].QoS = &desired.QoS{Egress: slow} }, [3]bool{true, false, true}}, // answers are sent, too
		"floating, all":      {func(r *desired.Router) { r.FloatingIPs[0].QoS = &desired.QoS{Egress: all, Ingress: all} }, [3]bool{}},
		"router, getting":    {func(r *desired.Router) { r.Gateway.QoS = &desired.QoS{Ingress: slow} }, [3]bool{false, true, false}},
		"floating, in parts": {func(r *desired.Router) { r.FloatingIPs[0].QoS = &desired.QoS{Ingress: slow, Egress: all} }, [3]bool{true, false, true}},
	} {
		r := standard()
		c.change(r)
		w.put(r)
		got := map[string]int{"floating out": w.answered200("a1", "203.0.113.1"), "router out": w.answered200("a2", "203.0.113.1"), "floating in": w.answered200("out", floatIP)}
		for who, n := range got {
			if limited := n < 100; limited != c.limited[from[who]] || n == 0 {
				t.Errorf("%s: %s: %d of 200 pings were answered\n%s", name, who, n, w.picture())
			}
		}
	}

	r := standard() // what no policy could say loads all the same
	r.FloatingIPs[0].QoS = &desired.QoS{Ingress: desired.Limits{Kbps: 1, BurstKbps: 1<<31 - 1, Kpps: 1, BurstKpps: 1<<31 - 1}}
	r.FloatingIPs = append(r.FloatingIPs, desired.FloatingIP{ID: "f2", Floating: netip.MustParseAddr("203.0.113.60"), Fixed: netip.MustParseAddr("10.0.1.12"), QoS: r.FloatingIPs[0].QoS})
	r.Gateway.QoS = r.FloatingIPs[0].QoS
	w.put(r)
}

var received = regexp.MustCompile(`(\d+) received`)

// answered200 is how many of 200 pings of 1,400 bytes within a second are answered.
func (w *world) answered200(from, to string) int {
	w.t.Helper()
	out, _ := exec.Command("ip", "netns", "exec", from, "ping", "-q", "-c200", "-i0.005", "-s1400", "-W1", to).CombinedOutput() // it fails when one is lost
	m := received.FindSubmatch(out)
	if m == nil {
		w.t.Fatalf("ping says nothing of answers:\n%s", out)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}
