package l3

import (
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"neutrino/address"
	"neutrino/agent"
	"neutrino/agent/stray"
	"neutrino/dataplane/netns"
	"neutrino/dataplane/nft"
	"neutrino/desired"
)

func TestRouting(t *testing.T) {
	w := newWorld(t)
	w.guests()
	w.put(standard())
	w.server("out", "203.0.113.1")
	w.server("a1", "10.0.1.11")

	w.mustReach("a1", "10.0.2.11") // between networks
	w.mustReach("a2", "203.0.113.1")
	w.mustBeSeen("a2", "203.0.113.1", gatewayIP)
	w.mustBeSeen("b1", "203.0.113.1", gatewayIP)
	w.mustBeSeen("a1", "203.0.113.1", floatIP)
	w.mustBeSeen("out", floatIP, "203.0.113.1")
	w.mustBeSeen("a2", floatIP, gatewayIP) // hairpin in one network
	w.mustBeSeen("b1", floatIP, gatewayIP)
	w.mustBeSeen("b1", "10.0.1.11", "10.0.2.11") // not translated

	// From outside nobody comes in uncalled, though outside has a route.
	w.must("ip", "-n", "out", "route", "add", "10.0.0.0/16", "via", gatewayIP)
	w.mustNotReach("out", "10.0.1.12")
	w.mustNotReach("out", "10.0.1.1")
	w.mustNotReach("out", "169.254.169.254")

	r := standard()
	r.Gateway.EnableSNAT = false
	w.put(r)
	w.mustReach("out", "10.0.1.12")
	w.mustBeSeen("b1", "203.0.113.1", "10.0.2.11")

	r = standard()
	r.AdminStateUp = false
	w.state.Put(r)
	w.apply(false, r.Key())
	w.mustNotReach("a1", "10.0.2.11")
	w.mustNotReach("out", floatIP)
	w.put(standard())
	w.mustReach("out", floatIP)
}

func TestFloatingIPMoves(t *testing.T) {
	w := newWorld(t)
	w.guests()
	w.put(standard())
	w.server("a1", "10.0.1.11")
	w.server("b1", "10.0.2.11")
	old := w.dial("out", floatIP)
	echo := func() bool { return w.echoes(old) }
	for range 2 { // greeting and echo may come in two pieces
		if !echo() {
			t.Fatal("the connection does not work to begin with")
		}
	}
	r := standard()
	r.FloatingIPs[0].Fixed = netip.MustParseAddr("10.0.2.11")
	w.put(r)
	for range 3 { // what was under way may still come
		if !echo() {
			break
		}
	}
	if echo() {
		t.Error("an old connection goes on though the floating IP has moved")
	}
	w.server("out", "203.0.113.1")
	w.mustBeSeen("b1", "203.0.113.1", floatIP)
	w.mustBeSeen("a1", "203.0.113.1", gatewayIP)
	w.mustBeSeen("out", floatIP, "203.0.113.1")

	r = standard()
	r.FloatingIPs = nil
	w.state.Put(r)
	gone := false
	for _, said := range w.apply(false, r.Key()) {
		gone = gone || said.Kind == desired.KindFloatingIP && said.ID == "f1" && said.Gone
	}
	if !gone {
		t.Error("nobody was told that the floating IP is gone")
	}
	w.mustNotReach("out", floatIP)
	if out := w.must("ip", "-n", space, "addr"); strings.Contains(out, floatIP) {
		t.Errorf("the address stayed:\n%s", out)
	}
}

// echoes says whether the server at the other end of a connection still answers.
func (w *world) echoes(c net.Conn) bool {
	w.t.Helper()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		return false
	}
	b := make([]byte, 64)
	n, err := c.Read(b)
	return err == nil && n > 0
}

// An agent that ended between new rules and the forgetting of old flows is made good by the next.
func TestFlowsOfTheAgentBefore(t *testing.T) {
	w := newWorld(t)
	w.guests()
	w.put(standard())
	w.server("a1", "10.0.1.11")
	w.server("b1", "10.0.2.11")
	w.server("out", "203.0.113.1")
	in, out := w.dial("out", floatIP), w.dial("b1", "203.0.113.1")
	for range 2 {
		if !w.echoes(in) || !w.echoes(out) {
			t.Fatal("the connections do not work to begin with")
		}
	}
	w.manager.Close()
	w.manager = w.start()
	r := standard()
	r.FloatingIPs[0].Fixed = netip.MustParseAddr("10.0.2.11")
	w.state.Put(r)
	if err := nft.Replace(t.Context(), space, table, mustPlan(t, r).rules); err != nil {
		t.Fatal(err)
	}
	w.apply(true)
	for range 3 { // what was under way may still come
		if !w.echoes(in) {
			break
		}
	}
	if w.echoes(in) {
		t.Error("the connection by the floating IP that moved goes on")
	}
	if !w.echoes(out) {
		t.Error("a connection that is as before has ended")
	}
}

// Neighbours learn a router's new MAC though nobody asks them to.
func TestNewMAC(t *testing.T) {
	w := newWorld(t)
	w.guests()
	w.put(standard())
	w.mustReach("out", gatewayIP)
	r := standard()
	r.Gateway.MAC = address.MustParseMAC("fa:16:3e:00:ff:02")
	w.put(r)
	w.until("the new MAC", func() bool {
		return strings.Contains(w.must("ip", "-n", "out", "neigh", "show", gatewayIP), "fa:16:3e:00:ff:02")
	})
	w.mustReach("a1", "203.0.113.1") // the routes are back
}

func TestRoutes(t *testing.T) {
	w := newWorld(t)
	w.guests()
	w.put(standard())
	w.must("ip", "-n", "b1", "addr", "add", "192.0.2.1/32", "dev", "lo")
	w.mustNotReach("a1", "192.0.2.1")
	r := standard()
	r.Routes = []desired.Route{
		{Destination: netip.MustParsePrefix("192.0.2.0/24"), NextHop: netip.MustParseAddr("10.0.2.11")},
		{Destination: netip.MustParsePrefix("198.51.100.0/24"), NextHop: netip.MustParseAddr("10.0.2.11")},
		{Destination: netip.MustParsePrefix("198.51.100.0/24"), NextHop: netip.MustParseAddr("10.0.1.11")},
		{Destination: netip.MustParsePrefix("2001:db8:9::/64"), NextHop: netip.MustParseAddr("2001:db8:2::11")},
		{Destination: netip.MustParsePrefix("2001:db8:9::/64"), NextHop: netip.MustParseAddr("2001:db8:2::12")},
	}
	w.put(r)
	w.mustReach("a1", "192.0.2.1")
	w.must("ip", "-n", space, "route", "add", "192.0.2.128/25", "via", "10.0.2.12") // another's route
	r = standard()
	r.Routes = []desired.Route{
		{Destination: netip.MustParsePrefix("198.51.100.0/24"), NextHop: netip.MustParseAddr("10.0.1.11")},
		{Destination: netip.MustParsePrefix("2001:db8:9::/64"), NextHop: netip.MustParseAddr("2001:db8:2::12")},
	}
	w.put(r)
	w.mustNotReach("a1", "192.0.2.1")
	got := w.must("ip", "-n", space, "route") + w.must("ip", "-n", space, "-6", "route")
	for text, want := range map[string]bool{
		"192.0.2.128/25": true, "192.0.2.0/24": false, "198.51.100.0/24 via 10.0.1.11": true,
		"2001:db8:9::/64 via 2001:db8:2::12": true, "2001:db8:2::11": false, "default via 203.0.113.1": true, "default via 2001:db8:ff::1": true,
	} {
		if strings.Contains(got, text) != want {
			t.Errorf("route %q there: %v\n%s", text, !want, got)
		}
	}

	// A next hop that nobody has is said, and costs only its own route.
	r = standard()
	r.Routes = []desired.Route{{Destination: netip.MustParsePrefix("192.0.2.0/24"), NextHop: netip.MustParseAddr("10.9.9.9")}}
	w.state.Put(r)
	said := w.apply(false, r.Key())
	if said[0].Up || !strings.Contains(said[0].Reason, "10.9.9.9") {
		t.Errorf("report: %+v", said[0])
	}
	w.mustReach("a1", "10.0.2.11")

	// A gateway outside of its subnet is reached all the same.
	r = standard()
	r.Gateway.Addresses = prefixes(gatewayIP + "/32")
	w.put(r)
	w.mustReach("a1", "203.0.113.1")
}

func TestSLAAC(t *testing.T) {
	w := newWorld(t)
	w.guests()
	w.put(standard())
	w.must("ip", "-n", "out", "addr", "add", "2001:db8:ff::1/64", "dev", "eth0", "nodad")
	w.must("ip", "-n", "out", "route", "add", "2001:db8:1::/64", "via", "2001:db8:ff::10")
	w.must("ip", "-n", "a1", "link", "set", "eth0", "down") // so that the kernel asks anew
	w.must("ip", "-n", "a1", "link", "set", "eth0", "up")
	w.until("an address by SLAAC", func() bool {
		out := w.must("ip", "-n", "a1", "addr", "show", "dev", "eth0")
		return strings.Contains(out, "2001:db8:1:0:f816:3eff:fe00:111/64")
	})
	if out := w.must("ip", "-n", "a1", "-6", "route"); !strings.Contains(out, "default via fe80::f816:3eff:fe00:101") || !strings.Contains(out, "mtu 1450") {
		t.Errorf("routes by RA:\n%s", out)
	}
	w.mustReach("a1", "2001:db8:ff::1")
	w.mustReach("a1", "2001:db8:2::1")
	w.mustReach("a1", "fe80::a9fe:a9fe%eth0")

	// A restart of the agent says nothing; the end of the router does.
	w.manager.Close()
	w.manager = w.start()
	w.apply(true)
	if out := w.must("ip", "-n", "a1", "-6", "route"); !strings.Contains(out, "default via") {
		t.Errorf("after a restart:\n%s", out)
	}
	w.state.Delete(standard().Key())
	w.apply(false, standard().Key())
	w.until("no default route", func() bool {
		return !strings.Contains(w.must("ip", "-n", "a1", "-6", "route"), "default via")
	})

	// Nor does its going to another host.
	w.put(standard())
	w.must("ip", "-n", "a1", "link", "set", "eth0", "down") // so that the kernel asks anew
	w.must("ip", "-n", "a1", "link", "set", "eth0", "up")
	w.until("a default route", func() bool {
		return strings.Contains(w.must("ip", "-n", "a1", "-6", "route"), "default via")
	})
	w.state.Put(&desired.Port{ID: portA, NetworkID: "A", Host: "elsewhere"})
	w.state.Delete(standard().Key())
	w.apply(false, standard().Key())
	time.Sleep(time.Second) // for what should not come
	if out := w.must("ip", "-n", "a1", "-6", "route"); !strings.Contains(out, "default via") {
		t.Errorf("after the router has moved:\n%s", out)
	}
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	w.t.Fatalf("there is still not: %s\n%s", what, w.picture())
}

var fullChange = agent.Change{Full: true}

// A restarted agent finds a host that is right and changes nothing: the kernel and the switch are
// watched, and a ping goes on all the while.
func TestRestartAdopts(t *testing.T) {
	w := newWorld(t)
	w.guests()
	w.westward()
	r := twoWays()
	r.ECMP = true
	r.Routes = []desired.Route{
		{Destination: netip.MustParsePrefix("192.0.2.0/24"), NextHop: netip.MustParseAddr("10.0.2.11")},
		{Destination: netip.MustParsePrefix("198.51.100.0/24"), NextHop: netip.MustParseAddr("10.0.2.11")},
		{Destination: netip.MustParsePrefix("198.51.100.0/24"), NextHop: netip.MustParseAddr("10.0.1.11")},
		{Destination: netip.MustParsePrefix("2001:db8:9::/64"), NextHop: netip.MustParseAddr("2001:db8:2::11")},
		{Destination: netip.MustParsePrefix("2001:db8:9::/64"), NextHop: netip.MustParseAddr("2001:db8:2::12")},
	}
	for i, a := range []string{"203.0.113.60", "203.0.113.7", "203.0.113.200"} {
		r.FloatingIPs = append(r.FloatingIPs, desired.FloatingIP{ID: "g" + a, Floating: netip.MustParseAddr(a), Fixed: netip.AddrFrom4([4]byte{10, 0, 2, byte(100 + i)})})
	}
	w.put(r)
	w.mustReach("a1", "203.0.113.1")
	time.Sleep(3 * time.Second) // announcements, learning
	w.manager.Close()
	w.manager = w.start()

	watch := func(args ...string) func() string {
		var out strings.Builder
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return func() string {
			_ = cmd.Process.Kill() // monitors don't end by themselves
			_ = cmd.Wait()
			return out.String()
		}
	}
	in := []string{"ip", "netns", "exec", space}
	watches := map[string]func() string{
		"kernel, inside": watch(append(in, "ip", "monitor", "link", "address", "route")...),
		"kernel, host":   watch("ip", "monitor", "link", "address", "route"),
		"rules, inside":  watch(append(in, "nft", "monitor")...),
		"rules, host":    watch("nft", "monitor"),
		"switch":         watch("ovsdb-client", "monitor", "unix:/run/openvswitch/db.sock", "Interface", "external_ids", "--no-headings"),
	}
	ping := exec.Command("ip", "netns", "exec", "a1", "ping", "-i0.02", "-c100", "-W1", "203.0.113.1")
	var result strings.Builder
	ping.Stdout = &result
	if err := ping.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	settled := w.must("ovs-vsctl", "list", "interface", "tapa0000000-00")
	for range 2 {
		for _, said := range func() []desired.Report {
			reports, err := w.manager.Apply(t.Context(), w.state, fullChange)
			if err != nil {
				t.Fatal(err)
			}
			return reports
		}() {
			if !said.Up {
				t.Errorf("%s %s: %s", said.Kind, said.ID, said.Reason)
			}
		}
	}
	if err := ping.Wait(); err != nil || !strings.Contains(result.String(), " 0% packet loss") {
		t.Errorf("ping: %v\n%s", err, result.String())
	}
	for name, end := range watches {
		said := end()
		if name == "switch" { // the first lines are the state as it was
			if strings.Contains(said, "old") || strings.Contains(said, "insert") {
				t.Errorf("%s saw a change:\n%s", name, said)
			}
			continue
		}
		if strings.TrimSpace(said) != "" {
			t.Errorf("%s saw a change:\n%s", name, said)
		}
	}
	if external(w.must("ovs-vsctl", "list", "interface", "tapa0000000-00")) != external(settled) {
		t.Error("external ids changed")
	}
}

func external(listing string) string {
	for _, line := range strings.Split(listing, "\n") {
		if strings.HasPrefix(line, "external_ids") {
			return line
		}
	}
	return ""
}

// What others break is mended with a Full look.
func TestMends(t *testing.T) {
	w := newWorld(t)
	w.guests()
	w.put(standard())
	w.mustReach("out", floatIP)
	for what, breakage := range map[string]string{
		"rules":     "ip netns exec " + space + " nft flush chain inet neutrino prerouting",
		"address":   "ip -n " + space + " addr del " + floatIP + "/32 dev qg-c0000000-00",
		"route":     "ip -n " + space + " route del default",
		"device":    "ip -n " + space + " link delete qg-c0000000-00",
		"port":      "ovs-vsctl del-port tapc0000000-00",
		"namespace": "for d in qr-a0000000-00 qr-b0000000-00 qg-c0000000-00; do ip -n " + space + " link delete $d; done; ip netns delete " + space,
		"sysctl":    "ip netns exec " + space + " sysctl -qw net.ipv4.ip_forward=0",
		"down":      "ip -n " + space + " link set qr-a0000000-00 down",
	} {
		w.must("sh", "-ec", breakage)
		w.apply(true)
		if !w.reaches("out", floatIP) {
			t.Fatalf("%s was not mended\n%s", what, w.picture())
		}
	}
}

func TestRemoval(t *testing.T) {
	w := newWorld(t)
	w.guests()
	w.put(standard())

	// An interface that goes leaves nothing.
	r := standard()
	r.Interfaces = r.Interfaces[:1]
	w.put(r)
	if out := w.must("ip", "-n", space, "link"); strings.Contains(out, "qr-b0000000") {
		t.Errorf("the device stayed:\n%s", out)
	}

	// A router that is gone while the agent is down is a stray; another's namespace is not.
	w.manager.Close()
	w.manager = w.start()
	w.state.Delete(r.Key())
	w.must("ip", "netns", "add", "qrouter-another")
	w.must("ip", "-n", "qrouter-another", "link", "add", "x", "type", "veth", "peer", "name", "y")
	w.must("ip", "netns", "add", "qrouter-empty")
	strays := stray.New(time.Hour)
	w.manager.Strays = strays
	if reports := w.apply(true); len(reports) != 0 || len(strays.All()) != 1 || strays.All()[0].Name != space {
		t.Errorf("within the time of grace the reports are %+v, the strays %+v", reports, strays.All())
	}
	w.must("ip", "-n", space, "link")
	w.must("ovs-vsctl", "list", "port", "tapa0000000-00")
	strays.Expire()
	reports := w.apply(true)
	if len(reports) != 1 || !reports[0].Gone || reports[0].ID != routerID {
		t.Errorf("reports: %+v", reports)
	}
	names, err := netns.List("qrouter-")
	if err != nil || !slices.Equal(names, []string{"qrouter-another", "qrouter-empty"}) {
		t.Errorf("namespaces: %v %v", names, err)
	}
	left := w.must("ovs-vsctl", "list-ports", "br-int") + w.must("ip", "-o", "link") + w.must("nft", "list", "tables")
	if strings.Contains(left, "tap") || strings.Contains(left, "neutrino") {
		t.Errorf("left over:\n%s", left)
	}
}

// One router that can't be made stops no other.
func TestBrokenRouter(t *testing.T) {
	w := newWorld(t)
	w.guests()
	bad := standard()
	bad.ID, bad.FloatingIPs = "22222222-aaaa-4000-8000-000000000002", nil
	bad.Interfaces[0].PortID = `x"; drop`
	w.state.Put(bad)
	w.state.Put(standard())
	for _, said := range w.apply(true) {
		if want := said.ID != bad.ID; said.Up != want {
			t.Errorf("%s %s: up %v, %s", said.Kind, said.ID, said.Up, said.Reason)
		}
	}
	w.mustReach("a1", "203.0.113.1")
	select {
	case <-w.manager.Wake():
	case <-time.After(2 * retryAfter):
		t.Error("the broken router is not tried again")
	}
}
