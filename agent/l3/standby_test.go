package l3

import (
	"strings"
	"testing"
	"time"
)

// TestStandby: a router that is about to move here is all there, and says nothing to its neighbours, even though its
// ports are wired in this test; once it has moved its neighbours hear of it.
func TestStandby(t *testing.T) {
	w := newWorld(t)
	w.guests()
	const elsewhere = "fa:16:3e:99:99:99" // the host where it was
	neighbour := func() string { return w.must("ip", "-n", "out", "neigh", "show", gatewayIP) }
	w.must("ip", "-n", "out", "neigh", "replace", gatewayIP, "lladdr", elsewhere, "dev", "eth0", "nud", "stale")

	r := standard()
	r.Host, r.Standby = "another", true
	w.put(r)
	if out := w.must("ip", "-n", space, "-o", "addr"); !strings.Contains(out, gatewayIP) || !strings.Contains(out, "10.0.1.1/24") {
		t.Errorf("it is not made ready:\n%s", out)
	}
	w.apply(true)
	time.Sleep(1500 * time.Millisecond) // two announcements of a router that comes anew would have been heard
	if out := neighbour(); !strings.Contains(out, elsewhere) {
		t.Errorf("it has announced itself: %s", out)
	}
	if out := w.must("ip", "-n", "a1", "-6", "route"); strings.Contains(out, "default via") {
		t.Errorf("it has advertised itself:\n%s", out)
	}

	w.put(standard())
	w.until("a neighbour that knows it", func() bool { return !strings.Contains(neighbour(), elsewhere) })
	w.until("a default route by its advertisements", func() bool {
		return strings.Contains(w.must("ip", "-n", "a1", "-6", "route"), "default via")
	})
	w.mustReach("a1", "203.0.113.1")
}
