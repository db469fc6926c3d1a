package l3

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"neutrino/address"
	"neutrino/agent"
	"neutrino/dataplane/netns"
	"neutrino/dataplane/ovsdb"
	"neutrino/dataplane/sandbox"
	"neutrino/desired"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// world is a switch with guests on it. VLANs stand for networks; in place of the l2 manager the test
// tags ports.
type world struct {
	t       *testing.T
	switchd *ovsdb.Client
	state   *desired.State
	manager *Manager
	tags    map[string]int // tap → VLAN
}

const (
	routerID  = "11111111-aaaa-4000-8000-000000000001"
	space     = "qrouter-" + routerID
	portA     = "a0000000-0000-4000-8000-00000000000a"
	portB     = "b0000000-0000-4000-8000-00000000000b"
	portGW    = "c0000000-0000-4000-8000-00000000000c"
	gatewayIP = "203.0.113.10"
	floatIP   = "203.0.113.50"
)

func newWorld(t *testing.T) *world {
	t.Helper()
	ovs := sandbox.StartOVS(t)
	w := &world{
		t: t, switchd: ovsdb.New(ovs.Endpoint), state: desired.NewState(),
		tags: map[string]int{"tapa0000000-00": 1, "tapb0000000-00": 2, "tapc0000000-00": 100},
	}
	t.Cleanup(w.switchd.Close)
	w.must("ovs-vsctl", "add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev")
	w.manager = w.start()
	t.Cleanup(func() {
		w.manager.Close()
		names, _ := netns.List("")
		for _, n := range names {
			if err := netns.Delete(n); err != nil {
				t.Error(err)
			}
		}
		for _, f := range strings.Fields(w.must("sh", "-c", `ip -o link | grep -o '\(tap\|v-\)[^:@]*' || true`)) {
			_ = exec.Command("ip", "link", "delete", f).Run() // the other end may have taken it along
		}
	})
	return w
}

// start begins as a restarted agent does: with nothing in memory.
func (w *world) start() *Manager {
	return New(w.switchd, "br-int", slog.New(slog.NewTextHandler(testWriter{w.t}, nil)))
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// standard is a router with two networks, a gateway and a floating IP of a1.
func standard() *desired.Router {
	return &desired.Router{
		ID: routerID, Revision: 7, AdminStateUp: true,
		Interfaces: []desired.RouterPort{
			{
				PortID: portA, NetworkID: "A", MAC: address.MustParseMAC("fa:16:3e:00:01:01"), MTU: 1450,
				Addresses: prefixes("10.0.1.1/24", "2001:db8:1::1/64"),
				Subnets:   []desired.Subnet{{ID: "a6", CIDR: netip.MustParsePrefix("2001:db8:1::/64"), RAMode: "slaac", AddressMode: "slaac", DNS: []netip.Addr{netip.MustParseAddr("2001:db8::53")}}},
			},
			{PortID: portB, NetworkID: "B", MAC: address.MustParseMAC("fa:16:3e:00:02:01"), MTU: 1450, Addresses: prefixes("10.0.2.1/24", "2001:db8:2::1/64")},
		},
		Gateway: &desired.Gateway{
			RouterPort: desired.RouterPort{PortID: portGW, NetworkID: "E", MAC: address.MustParseMAC("fa:16:3e:00:ff:01"), MTU: 1500, Addresses: prefixes(gatewayIP+"/24", "2001:db8:ff::10/64")},
			NextHops:   addrs("203.0.113.1", "2001:db8:ff::1"),
			EnableSNAT: true,
		},
		FloatingIPs: []desired.FloatingIP{{ID: "f1", Revision: 3, Floating: netip.MustParseAddr(floatIP), Fixed: netip.MustParseAddr("10.0.1.11")}},
	}
}

// guests are a1 and a2 on one network, b1 on the other, and out beyond the gateway.
func (w *world) guests() {
	w.guest("a1", 1, "fa:16:3e:00:01:11", "10.0.1.11/24", "10.0.1.1")
	w.guest("a2", 1, "fa:16:3e:00:01:12", "10.0.1.12/24", "10.0.1.1")
	w.guest("b1", 2, "fa:16:3e:00:02:11", "10.0.2.11/24", "10.0.2.1")
	w.guest("out", 100, "fa:16:3e:00:ff:fe", "203.0.113.1/24", "")
}

func (w *world) guest(name string, tag int, mac, addr, gateway string) {
	w.t.Helper()
	w.must("sh", "-ec", fmt.Sprintf(`ip netns add %[1]s
ip link add v-%[1]s type veth peer name eth0 netns %[1]s
ip -n %[1]s link set eth0 address %[2]s
ip netns exec %[1]s ethtool -K eth0 tx off >/dev/null
nft "table netdev hide_%[1]s { chain c { type filter hook ingress device \"v-%[1]s\" priority 0; drop; }; }"
ip link set v-%[1]s up; ip -n %[1]s link set lo up; ip -n %[1]s link set eth0 up
ip -n %[1]s addr add %[3]s dev eth0
ovs-vsctl add-port br-int v-%[1]s tag=%[4]d`, name, mac, addr, tag))
	if gateway != "" {
		w.must("ip", "-n", name, "route", "add", "default", "via", gateway)
	}
}

// apply hands the state to the manager and tags the ports that came.
func (w *world) apply(full bool, keys ...desired.Key) []desired.Report {
	w.t.Helper()
	change := agent.Change{Full: full, Keys: map[desired.Key]struct{}{}}
	for _, k := range keys {
		change.Keys[k] = struct{}{}
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	reports, err := w.manager.Apply(ctx, w.state, change)
	if err != nil {
		w.t.Fatal(err)
	}
	for tap, tag := range w.tags {
		if strings.Contains(w.must("ovs-vsctl", "list-ports", "br-int"), tap) {
			w.must("ovs-vsctl", "set", "port", tap, fmt.Sprintf("tag=%d", tag))
		}
	}
	return reports
}

// put changes the router, and expects it to be up.
func (w *world) put(r *desired.Router) {
	w.t.Helper()
	w.state.Put(r)
	for _, said := range w.apply(false, r.Key()) {
		if !said.Up && !said.Gone {
			w.t.Fatalf("%s %s is not up: %s", said.Kind, said.ID, said.Reason)
		}
	}
}

func (w *world) must(name string, args ...string) string {
	w.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// reaches says whether a ping gets through within some seconds.
func (w *world) reaches(from, to string) bool {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if exec.Command("ip", "netns", "exec", from, "ping", "-c1", "-W1", to).Run() == nil {
			return true
		}
	}
	return false
}

// blocked says whether pings, of which one would be enough, all get lost.
func (w *world) blocked(from, to string) bool {
	return exec.Command("ip", "netns", "exec", from, "ping", "-c4", "-i0.2", "-W1", to).Run() != nil
}

func (w *world) mustReach(from, to string) {
	w.t.Helper()
	if !w.reaches(from, to) {
		w.t.Fatalf("%s does not reach %s\n%s", from, to, w.picture())
	}
}

func (w *world) mustNotReach(from, to string) {
	w.t.Helper()
	if !w.blocked(from, to) {
		w.t.Fatalf("%s reaches %s and must not", from, to)
	}
}

// picture is what helps to understand a failure.
func (w *world) picture() string {
	out, _ := exec.Command("sh", "-c", "ip -n "+space+" addr; ip -n "+space+" route; ip netns exec "+space+" nft list ruleset; ovs-vsctl show; ovs-appctl -t /run/openvswitch/vswitchd.ctl fdb/show br-int").CombinedOutput()
	return string(out)
}

// server answers each connection to an address of a guest (port 80, if there is none) with the address that it came from.
func (w *world) server(guest, addr string) {
	w.t.Helper()
	l, err := netns.Listen(w.t.Context(), guest, "tcp", at(addr).String(), netns.Socket{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, netip.MustParseAddrPort(c.RemoteAddr().String()).Addr())
			go func() { // keep it until the other end has had enough, echoing
				_, _ = io.Copy(c, c)
				c.Close()
			}()
		}
	}()
}

func (w *world) dial(guest, to string) net.Conn {
	w.t.Helper()
	var c net.Conn
	err := netns.Do(guest, func() (err error) {
		c, err = net.DialTimeout("tcp", at(to).String(), 20*time.Second)
		return err
	})
	if err != nil {
		w.t.Fatalf("%s connects to %s: %v\n%s", guest, to, err, w.picture())
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

// seenAs says as whom a guest is seen by a server.
func (w *world) seenAs(guest, to string) string {
	w.t.Helper()
	c := w.dial(guest, to)
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	b := make([]byte, 64)
	n, err := c.Read(b)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimSpace(string(b[:n]))
}

func (w *world) mustBeSeen(guest, to, as string) {
	w.t.Helper()
	if got := w.seenAs(guest, to); got != as {
		w.t.Errorf("%s is seen at %s as %s, want %s", guest, to, got, as)
	}
}

// at reads an address, with port 80 where it has none.
func at(text string) netip.AddrPort {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(a, 80)
	}
	return netip.MustParseAddrPort(text)
}

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

func addrs(texts ...string) (out []netip.Addr) {
	for _, t := range texts {
		out = append(out, netip.MustParseAddr(t))
	}
	return out
}
