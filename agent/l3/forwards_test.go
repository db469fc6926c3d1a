package l3

import (
	"net/netip"
	"strings"
	"testing"

	"neutrino/desired"
)

// forwarding is a floating IP whose ports lead to two addresses, in all the ways that there are.
func forwarding(floating string) []desired.FloatingIP {
	a := netip.MustParseAddr
	return []desired.FloatingIP{{ID: "f", Revision: 3, Floating: a(floating), Forwards: []desired.Forward{
		{ID: "1", Protocol: "tcp", First: 2022, Last: 2022, To: a("10.0.1.11"), ToFirst: 22, ToLast: 22},
		{ID: "2", Protocol: "tcp", First: 8080, Last: 8082, To: a("10.0.1.12"), ToFirst: 9080, ToLast: 9082},
		{ID: "3", Protocol: "tcp", First: 5000, Last: 5999, To: a("10.0.1.11"), ToFirst: 5000, ToLast: 5999},
		{ID: "4", Protocol: "tcp", First: 3000, Last: 3999, To: a("10.0.1.12"), ToFirst: 7, ToLast: 7},
	}}}
}

// What a server may say wrongly keeps one forward from working, and no other.
func TestForwards(t *testing.T) {
	const good = "203.0.113.60 . tcp . 2022 : 10.0.1.11 . 22"
	for name, c := range map[string]struct {
		change func(w *desired.Forward)
		why    string
	}{
		"protocol":    {func(w *desired.Forward) { w.Protocol = "icmp" }, "no ports"},
		"text":        {func(w *desired.Forward) { w.Protocol = "tcp; drop" }, "no ports"},
		"IPv6":        {func(w *desired.Forward) { w.To = netip.MustParseAddr("2001:db8::1") }, "only IPv4"},
		"no port":     {func(w *desired.Forward) { w.First = 0 }, "can't lead to ports"},
		"backwards":   {func(w *desired.Forward) { w.Last = 8000 }, "can't lead to ports"},
		"other width": {func(w *desired.Forward) { w.ToLast++ }, "can't lead to ports"},
		"elsewhere":   {func(w *desired.Forward) { w.To = netip.MustParseAddr("10.7.0.1") }, "no interface"},
		"twice":       {func(w *desired.Forward) { w.First, w.Last = 2021, 2023 }, "already"},
	} {
		r := standard()
		r.FloatingIPs = forwarding("203.0.113.60")
		c.change(&r.FloatingIPs[0].Forwards[1])
		p := mustPlan(t, r)
		if !strings.Contains(p.refused["f"], c.why) || len(p.forwards) != 3 || !strings.Contains(p.rules, good) {
			t.Errorf("%s: refused %q, %d work", name, p.refused["f"], len(p.forwards))
		}
	}
	r := standard()
	r.FloatingIPs = append(r.FloatingIPs, forwarding(floatIP)...) // it is mapped wholly
	if p := mustPlan(t, r); !strings.Contains(p.refused["f"], "already") || len(p.forwards) != 0 {
		t.Errorf("beside a whole mapping: %q", p.refused["f"])
	}
	r.FloatingIPs = append(forwarding(floatIP), standard().FloatingIPs...)
	if p := mustPlan(t, r); p.refused[standard().FloatingIPs[0].ID] == "" || len(p.forwards) != 4 {
		t.Errorf("a whole mapping of what has forwards: %v", p.refused)
	}
}

func TestForwardedPorts(t *testing.T) {
	const shared = "203.0.113.60"
	w := newWorld(t)
	w.guests()
	r := standard()
	r.FloatingIPs = append(r.FloatingIPs, forwarding(shared)...)
	w.put(r)
	for guest, ports := range map[string][]string{"a1": {"10.0.1.11:22", "10.0.1.11:5001"}, "a2": {"10.0.1.12:9081", "10.0.1.12:7"}} {
		for _, at := range ports {
			w.server(guest, at)
		}
	}
	w.server("out", "203.0.113.1")
	for _, port := range []string{":2022", ":8081", ":5001", ":3000", ":3999"} {
		w.mustBeSeen("out", shared+port, "203.0.113.1")
	}
	w.mustBeSeen("b1", shared+":2022", gatewayIP) // turned round here, from another network and from the same
	w.mustBeSeen("a2", shared+":2022", gatewayIP)
	w.mustBeSeen("a2", "203.0.113.1", gatewayIP) // ports lead in by it, nobody leaves as it

	old := w.dial("out", shared+":2022")
	for range 2 { // greeting and echo may come in two pieces
		if !w.echoes(old) {
			t.Fatal("the connection does not work to begin with")
		}
	}
	r = standard()
	r.FloatingIPs = append(r.FloatingIPs, forwarding(shared)...)
	r.FloatingIPs[1].Forwards[1].To = netip.MustParseAddr("10.0.2.11")
	w.put(r)
	if !w.echoes(old) {
		t.Error("a connection that is as before has ended")
	}
	w.server("b1", "10.0.2.11:9081")
	w.mustBeSeen("out", shared+":8081", "203.0.113.1")

	w.put(standard())
	for range 3 { // what was under way may still come
		if !w.echoes(old) {
			break
		}
	}
	if w.echoes(old) {
		t.Error("an old connection goes on though the port leads inside no more")
	}
	if out := w.must("ip", "-n", space, "addr"); strings.Contains(out, shared) {
		t.Errorf("the address stayed:\n%s", out)
	}
}
