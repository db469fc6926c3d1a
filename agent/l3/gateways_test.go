package l3

import (
	"context"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"neutrino/address"
	"neutrino/agent/plug"
	"neutrino/dataplane/link"
	"neutrino/dataplane/nft"
	"neutrino/desired"
)

const (
	portWest  = "d0000000-0000-4000-8000-00000000000d"
	westIP    = "198.18.5.10"
	westFloat = "198.18.5.50"
	far       = "192.0.2.1" // behind both gateways' next hops
	farWest   = "192.0.2.9" // behind the second's only
)

// twoWays is the standard router with a second gateway, on which b1 has a floating IP.
func twoWays() *desired.Router {
	r := standard()
	r.Further = []desired.Gateway{{
		RouterPort: desired.RouterPort{PortID: portWest, NetworkID: "W", MAC: address.MustParseMAC("fa:16:3e:00:fe:01"), MTU: 1500, Addresses: prefixes(westIP+"/24", "2001:db8:fe::10/64")},
		NextHops:   addrs("198.18.5.1", "2001:db8:fe::1"),
		EnableSNAT: true,
	}}
	r.FloatingIPs = append(r.FloatingIPs, desired.FloatingIP{ID: "f2", Revision: 1, Floating: netip.MustParseAddr(westFloat), Fixed: netip.MustParseAddr("10.0.2.11"), Gateway: portWest})
	return r
}

// westward adds what is beyond the second gateway.
func (w *world) westward() {
	w.t.Helper()
	w.tags["tapd0000000-00"] = 200
	w.t.Cleanup(func() { // the other tests' routers have no such port that would take it along
		if err := nft.Delete(context.Background(), "", nft.Table{Family: "netdev", Name: "neutrino_tapd0000000_00"}); err != nil {
			w.t.Error(err)
		}
	})
	w.guest("west", 200, "fa:16:3e:00:fe:fe", "198.18.5.1/24", "")
	w.must("ip", "-n", "west", "addr", "add", far+"/32", "dev", "lo")
	w.must("ip", "-n", "west", "addr", "add", farWest+"/32", "dev", "lo")
	w.must("ip", "-n", "west", "addr", "add", "2001:db8:fe::1/64", "dev", "eth0", "nodad")
	w.must("ip", "-n", "west", "addr", "add", "2001:db8:77::9/128", "dev", "lo")
	w.must("ip", "-n", "out", "addr", "add", far+"/32", "dev", "lo")
	w.server("west", "198.18.5.1")
	w.server("west", far)
	w.server("out", far)
	w.server("out", "203.0.113.1")
}

// answered says whether a ping from one of a guest's addresses is answered within some seconds.
func (w *world) answered(guest, from, to string) bool {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if exec.Command("ip", "netns", "exec", guest, "ping", "-c1", "-W1", "-I", from, to).Run() == nil {
			return true
		}
	}
	return false
}

func TestTwoGateways(t *testing.T) {
	w := newWorld(t)
	w.guests()
	w.westward()
	w.put(twoWays())
	w.server("b1", "10.0.2.11")
	w.server("a1", "10.0.1.11")

	// Out: by the first, unless the network is the second's or the instance has a floating IP there.
	w.mustReach("a2", "203.0.113.1")
	w.mustBeSeen("a2", "203.0.113.1", gatewayIP)
	w.mustBeSeen("a2", "198.18.5.1", westIP)
	w.mustBeSeen("a2", far, gatewayIP)
	w.mustBeSeen("a1", far, floatIP)
	w.mustBeSeen("b1", far, westFloat)
	w.mustBeSeen("b1", "198.18.5.1", westFloat)

	// In: the answers go out by where the question came in.
	for _, c := range []struct{ from, to string }{
		{farWest, westFloat}, {farWest, westIP}, {"198.18.5.1", westFloat}, {"2001:db8:77::9", "2001:db8:fe::10"},
	} {
		if strings.Contains(c.from, ":") {
			w.must("ip", "-n", "west", "-6", "route", "replace", "2001:db8:1::/64", "via", "2001:db8:fe::10")
		}
		if !w.answered("west", c.from, c.to) {
			t.Errorf("%s gets no answer from %s\n%s", c.from, c.to, w.picture())
		}
	}
	w.mustBeSeen("west", westFloat, "198.18.5.1")
	w.mustBeSeen("out", floatIP, "203.0.113.1")

	// Inside: floating IPs of both, and between networks.
	w.mustBeSeen("a2", westFloat, gatewayIP)
	w.mustBeSeen("b1", floatIP, westFloat)
	w.mustBeSeen("a1", "10.0.2.11", "10.0.1.11")

	// Nobody comes in uncalled, nor through from one gateway to the other; an address is answered for on its own side.
	w.must("ip", "-n", "west", "route", "add", "10.0.0.0/16", "via", westIP)
	w.must("ip", "-n", "west", "route", "add", "203.0.113.0/24", "via", westIP)
	w.mustNotReach("west", "10.0.1.12")
	w.mustNotReach("west", "10.0.2.1")
	w.mustNotReach("west", "169.254.169.254")
	w.mustNotReach("west", "203.0.113.1")
	w.must("ip", "-n", "out", "addr", "add", "198.18.5.9/24", "dev", "eth0")
	if exec.Command("ip", "netns", "exec", "out", "ping", "-c2", "-i0.2", "-W1", "-I", "198.18.5.9", westFloat).Run() == nil {
		t.Error("the second gateway's floating IP is answered for on the first's network")
	}
	w.must("ip", "-n", "out", "addr", "del", "198.18.5.9/24", "dev", "eth0")

	// The second becomes the first: what runs goes on where it was, what begins goes by the new one.
	running := w.dial("a2", far)
	for range 2 {
		if !w.echoes(running) {
			t.Fatal("the connection does not work to begin with")
		}
	}
	r := twoWays()
	r.Gateway, r.Further = &r.Further[0], []desired.Gateway{*r.Gateway}
	r.FloatingIPs[0].Gateway, r.FloatingIPs[1].Gateway = portGW, ""
	w.put(r)
	w.mustBeSeen("a2", far, westIP)
	if !w.echoes(running) {
		t.Error("a connection by the gateway that was the first has ended")
	}
	w.mustBeSeen("a1", far, floatIP)

	// The second goes, with all that was for it.
	r = standard()
	w.put(r)
	w.mustBeSeen("a2", far, gatewayIP)
	w.mustBeSeen("b1", far, gatewayIP)
	w.mustNotReach("west", westIP)
	left := w.must("ip", "-n", space, "rule") + w.must("ip", "-n", space, "-6", "rule") + w.must("ip", "-n", space, "route", "show", "table", "all") +
		w.must("ip", "-n", space, "-6", "route", "show", "table", "all") + w.must("ip", "-n", space, "link")
	for _, text := range []string{"fwmark", "qg-d0000000", "table 16777"} {
		if strings.Contains(left, text) {
			t.Errorf("%q is left over:\n%s", text, left)
		}
	}
}

// New connections share the gateways; each keeps to its own, also when they share no longer.
func TestSharedDefaultRoutes(t *testing.T) {
	w := newWorld(t)
	w.guests()
	w.westward()
	r := twoWays()
	r.ECMP, r.FloatingIPs = true, nil
	w.put(r)
	w.mustReach("a2", "203.0.113.1")
	w.mustReach("a2", "198.18.5.1")
	seen := map[string]net.Conn{}
	for range 60 {
		c := w.dial("a2", far)
		b := make([]byte, 64)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		as := strings.TrimSpace(string(b[:n]))
		if _, have := seen[as]; have {
			c.Close()
			continue
		}
		seen[as] = c
	}
	if len(seen) != 2 || seen[gatewayIP] == nil || seen[westIP] == nil {
		t.Fatalf("connections are seen as %v\n%s", seen, w.picture())
	}
	r = twoWays()
	r.FloatingIPs = nil
	w.put(r)
	for as, c := range seen {
		if !w.echoes(c) {
			t.Errorf("the connection by %s has ended", as)
		}
	}
}

func TestExits(t *testing.T) {
	gateway := func(id string, hops ...string) desired.Gateway {
		return desired.Gateway{RouterPort: desired.RouterPort{PortID: id, Addresses: prefixes("198.18.5.7/24")}, NextHops: addrs(hops...)}
	}
	ids := func(exits []*exit) (marks []uint32) {
		for _, e := range exits {
			marks = append(marks, e.mark)
		}
		return marks
	}
	const a, b, c = "abcdef00-0000-4000-8000-000000000001", "abcdef00-0000-4000-8000-000000000002", "00000000-0000-4000-8000-000000000003"
	two := ids(exitsOf([]desired.Gateway{gateway(a), gateway(b)}))
	if two[0] != firstMark+0xabcdef || two[1] != two[0]+1 {
		t.Errorf("marks: %#x", two)
	}
	if turned := ids(exitsOf([]desired.Gateway{gateway(b), gateway(c), gateway(a)})); turned[0] != two[1] || turned[2] != two[0] {
		t.Errorf("marks follow the order: %#x, %#x", two, turned)
	}

	// A gateway without a next hop of a family leaves it to the next one.
	r := twoWays()
	r.Gateway.NextHops = addrs("2001:db8:ff::1")
	p := mustPlan(t, r)
	main := slices.DeleteFunc(slices.Clone(p.routes), func(r link.Route) bool { return r.Table != 0 })
	if len(main) != 2 || main[0].NextHop.String() != "198.18.5.1" || main[1].NextHop.String() != "2001:db8:ff::1" {
		t.Errorf("default routes: %+v", main)
	}
	// A floating IP whose gateway is not there is said to be so.
	r.FloatingIPs[1].Gateway = portA
	if p := mustPlan(t, r); p.refused["f2"] == "" || p.floating[netip.MustParseAddr(westFloat)].IsValid() {
		t.Errorf("a floating IP of no gateway: %q", p.refused["f2"])
	}
	// With one gateway there is nothing to choose.
	if p := mustPlan(t, standard()); len(p.policy) != 0 || strings.Contains(p.rules, "mark") {
		t.Errorf("marks with one gateway: %+v\n%s", p.policy, p.rules)
	}
	if name := (plug.Device{Prefix: "qg-", PortID: portWest}).Name(); mustPlan(t, twoWays()).exits[1].device != name {
		t.Errorf("the device is not %s", name)
	}
}
