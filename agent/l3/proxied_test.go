package l3

import (
	"strings"
	"testing"

	"neutrino/desired"
)

// Outside nobody has a route inside: what is reached is answered for, and nothing else is reached.
func TestProxied(t *testing.T) {
	const a1, a2, out = "2001:db8:1:0:f816:3eff:fe00:111", "2001:db8:1:0:f816:3eff:fe00:112", "2001:db8:ff::1"
	w := newWorld(t)
	w.guests()
	proxying := func(addresses ...string) *desired.Router {
		r := standard()
		r.Proxied = &desired.Proxied{Addresses: addrs(addresses...)}
		return r
	}
	w.put(proxying(a1, a2))
	w.must("ip", "-n", "out", "addr", "add", out+"/64", "dev", "eth0", "nodad")
	w.must("ip", "-n", "out", "route", "add", "2001:db8:1::/64", "dev", "eth0")
	for guest, own := range map[string]string{"a1": a1, "a2": a2} {
		w.must("ip", "-n", guest, "link", "set", "eth0", "down") // so that the kernel asks anew
		w.must("ip", "-n", guest, "link", "set", "eth0", "up")
		w.until("an address by SLAAC", func() bool {
			return strings.Contains(w.must("ip", "-n", guest, "addr", "show", "dev", "eth0"), own+"/64")
		})
		w.mustReach(guest, out)
	}
	w.mustReach("out", a1)
	w.mustReach("out", a2)

	w.server("a2", "["+a2+"]:80")
	old := w.dial("out", "["+a2+"]:80")
	for range 2 { // greeting and echo may come in two pieces
		if !w.echoes(old) {
			t.Fatal("the connection does not work to begin with")
		}
	}
	w.put(proxying(a1)) // out still knows where a2 was
	w.mustReach("out", a1)
	w.mustNotReach("out", a2)
	for range 3 { // what was under way may still come
		if !w.echoes(old) {
			break
		}
	}
	if w.echoes(old) {
		t.Error("an old connection goes on though nobody answers for its address")
	}
	w.mustReach("a2", out) // from inside all may leave
	w.must("ip", "-n", "out", "neigh", "flush", "dev", "eth0")
	w.mustNotReach("out", a2)
	w.mustReach("out", a1)

	w.put(standard()) // a router without the switch forwards to all, and answers for none
	if listing := w.must("ip", "-n", space, "-6", "neigh", "show", "proxy"); strings.TrimSpace(listing) != "" {
		t.Errorf("still answered for:\n%s", listing)
	}
	w.must("ip", "-n", "out", "route", "replace", "2001:db8:1::/64", "via", "2001:db8:ff::10")
	w.mustReach("out", a2)
}

// An address that can't be answered for is said, and costs no other.
func TestProxiedElsewhere(t *testing.T) {
	r := standard()
	r.Proxied = &desired.Proxied{Addresses: addrs("2001:db8:1::5", "2001:db8:7::5", "10.0.1.11")}
	p := mustPlan(t, r)
	if len(p.proxied) != 1 || len(p.problems) != 2 || !strings.Contains(p.rules, "elements = { 2001:db8:1::5/128 }") {
		t.Errorf("%v %v\n%s", p.proxied, p.problems, p.rules)
	}
}
