package l2

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"neutrino/agent"
	"neutrino/agent/firewall/firewalltest"
	"neutrino/dataplane/openflow"
	"neutrino/desired"
)

// bench is a real Open vSwitch with its dummy datapath, in a directory of the test's own: real
// classifier, conjunctions and connection tracker, without devices, namespaces or privileges.
type bench struct {
	t       testing.TB
	dir     string
	manager *Manager
	state   *desired.State
	seen    map[string]int // tap → bytes of its capture that have been looked at

	stopSwitch, stopDatabase func() // kill ovs-vswitchd and ovsdb-server
	switchPID                int    // ovs-vswitchd
}

const (
	hostA = firewalltest.HostName
	hostB = "host-b"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func newBench(t testing.TB) *bench {
	t.Helper()
	for _, tool := range []string{"ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-vsctl", "ovs-appctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is needed: install Open vSwitch", tool)
		}
	}
	dir, err := os.MkdirTemp("", "l2") // short: socket paths have a limit
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dir: dir, state: desired.NewState(), seen: map[string]int{}}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	b.run("ovsdb-tool", "create", b.path("conf.db"), "/usr/share/openvswitch/vswitch.ovsschema")
	b.startDatabase()
	b.vsctl("--no-wait", "init")
	b.startSwitch()
	b.manager = b.newManager()
	t.Cleanup(func() { b.manager.Close() })
	return b
}

func (b *bench) newManager() *Manager {
	return New(Options{
		Host: hostA, TunnelIP: netip.MustParseAddr("172.29.0.1"), Datapath: "dummy", RunDir: b.dir,
		Mappings: map[string]string{"physnet1": "br-ex"},
	}, quiet)
}

// startDatabase starts ovsdb-server.
func (b *bench) startDatabase() {
	_ = os.Remove(b.path("db.sock")) // of one that was killed
	b.stopDatabase, _ = b.daemon("ovsdb-server", b.path("conf.db"), "--remote=punix:"+b.path("db.sock"), "--unixctl="+b.path("db.ctl"))
	b.wait(b.path("db.sock"))
}

// startSwitch starts ovs-vswitchd.
func (b *bench) startSwitch() {
	_ = os.Remove(b.path("vs.ctl")) // of one that was killed
	b.stopSwitch, b.switchPID = b.daemon("ovs-vswitchd", "unix:"+b.path("db.sock"), "--enable-dummy=override", "--disable-system", "--unixctl="+b.path("vs.ctl"))
	b.wait(b.path("vs.ctl"))
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) daemon(name string, args ...string) (stop func(), pid int) {
	cmd := exec.Command(name, append(args, "-vconsole:off", "-vsyslog:off")...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+b.dir, "OVS_LOGDIR="+b.dir, "OVS_DBDIR="+b.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	dead := false
	stop = func() {
		if !dead {
			dead = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	b.t.Cleanup(stop)
	return stop, cmd.Process.Pid
}

func (b *bench) wait(path string) {
	b.t.Helper()
	b.until(path, func() bool { _, err := os.Stat(path); return err == nil })
}

// waiting is how long what must come may take: the machine may be busy with other tests.
const waiting = 20 * time.Second

func (b *bench) until(what string, ok func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(waiting); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (b *bench) run(name string, args ...string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+b.dir, "OVS_LOGDIR="+b.dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// vsctl runs ovs-vsctl. It tries again, for a database that has its socket may not listen yet.
func (b *bench) vsctl(args ...string) string {
	b.t.Helper()
	return b.run("ovs-vsctl", append([]string{"--db=unix:" + b.path("db.sock"), "--retry", "--timeout=60"}, args...)...)
}

func (b *bench) flows(bridge string) string {
	b.t.Helper()
	lines := strings.Split(b.run("ovs-ofctl", "-O", "OpenFlow14", "--no-stats", "dump-flows", b.path(bridge+".mgmt")), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// external makes br-ex with an interface, as an operator does.
func (b *bench) external() {
	b.t.Helper()
	b.vsctl("--", "add-br", "br-ex", "--", "set", "bridge", "br-ex", "datapath_type=dummy", "--",
		"add-port", "br-ex", "eth2", "--", "set", "interface", "eth2", "type=dummy", "options:tx_pcap="+b.path("eth2.pcap"))
}

// plug makes an interface for a port; its name is the port's id.
func (b *bench) plug(port string) {
	b.t.Helper()
	b.vsctl("--", "add-port", "br-int", port, "--", "set", "interface", port, "type=dummy",
		"options:tx_pcap="+b.path(port+".pcap"), "external_ids:iface-id="+port)
}

// apply puts items, and brings the switch there. It gives the newest report of each port.
func (b *bench) apply(items ...desired.Item) map[string]desired.Report {
	b.t.Helper()
	change := agent.Change{Keys: map[desired.Key]struct{}{}}
	for _, it := range items {
		b.state.Put(it)
		change.Keys[it.Key()] = struct{}{}
	}
	return b.applyChange(change)
}

func (b *bench) remove(keys ...desired.Key) map[string]desired.Report {
	b.t.Helper()
	change := agent.Change{Keys: map[desired.Key]struct{}{}}
	for _, k := range keys {
		b.state.Delete(k)
		change.Keys[k] = struct{}{}
	}
	return b.applyChange(change)
}

func (b *bench) applyChange(change agent.Change) map[string]desired.Report {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	reports, err := b.manager.Apply(ctx, b.state, change)
	if err != nil {
		b.t.Fatal(err)
	}
	// What the datapath remembers of earlier frames must be held against the flows of now before the
	// next frame. (This waits for ever while the switch has no database.)
	if change.Full || len(change.Keys) > 0 || len(reports) > 0 {
		b.run("ovs-appctl", "-t", b.path("vs.ctl"), "revalidator/wait")
	}
	out := map[string]desired.Report{}
	for _, r := range reports {
		out[r.ID] = r
	}
	return out
}

// settled applies until all ports of this host are wired.
func (b *bench) settled(items ...desired.Item) {
	b.t.Helper()
	b.apply(items...)
	why := ""
	for deadline := time.Now().Add(waiting); time.Now().Before(deadline); {
		why = ""
		for id, p := range b.state.Ports {
			if reason := b.manager.why(b.state, p); p.Host == hostA && reason != "" {
				why = id + ": " + reason
			}
		}
		if why == "" {
			return
		}
		time.Sleep(10 * time.Millisecond)
		b.apply()
	}
	b.t.Fatalf("not wired: %s\n%s", why, b.vsctl("--columns=name,ofport,error,external_ids", "list", "interface"))
}

// send lets an instance (or the world beyond eth2) send a frame, and says who got a frame then, sorted.
// They are told apart by the interface's name. Those who should get one are waited for.
func (b *bench) send(from string, frame []byte, want ...string) []string {
	b.t.Helper()
	got := b.exchange(from, frame, want...)
	names := make([]string, 0, len(got))
	for name := range got {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// exchange is send with the frames that came out.
func (b *bench) exchange(from string, frame []byte, want ...string) map[string][][]byte {
	b.t.Helper()
	b.run("ovs-appctl", "-t", b.path("vs.ctl"), "netdev-dummy/receive", from, hex.EncodeToString(frame))
	// A frame with recirculation is through when the datapath has nothing more to do with it: the
	// upcalls of a frame are handled before the next one's, so a little quiet is enough.
	out := map[string][][]byte{}
	missing := func(name string) bool { return len(out[name]) == 0 }
	for deadline, looks := time.Now().Add(waiting), 0; looks < 6; {
		time.Sleep(12 * time.Millisecond)
		if !slices.ContainsFunc(want, missing) || time.Now().After(deadline) {
			looks++
		}
		captures, err := filepath.Glob(b.path("*.pcap"))
		if err != nil {
			b.t.Fatal(err)
		}
		for _, path := range captures {
			data, err := os.ReadFile(path)
			if err != nil {
				b.t.Fatal(err)
			}
			name := strings.TrimSuffix(filepath.Base(path), ".pcap")
			at := max(b.seen[name], 24) // the file's header
			for len(data) >= at+16 {
				n := int(binary.LittleEndian.Uint32(data[at+8:]))
				if len(data) < at+16+n {
					break
				}
				out[name] = append(out[name], bytes.Clone(data[at+16:at+16+n]))
				at += 16 + n
			}
			b.seen[name] = at
		}
	}
	return out
}

// reaches fails the test unless exactly these interfaces got the frame.
func (b *bench) reaches(what, from string, frame []byte, want ...string) {
	b.t.Helper()
	slices.Sort(want)
	if got := b.send(from, frame, want...); !slices.Equal(got, want) {
		b.t.Errorf("%s: reached %v, want %v", what, got, want)
	}
}

// The items and frames that tests are made of.
var (
	vxlan, macOf, ip4, ip6              = firewalltest.Network, firewalltest.MAC, firewalltest.IP4, firewalltest.IP6
	port, group, tcpIn, anyFrom, member = firewalltest.Port, firewalltest.Group, firewalltest.TCPIn, firewalltest.AnyFrom, firewalltest.Member
	tagged, udp, arp                    = firewalltest.Tagged, firewalltest.UDP, firewalltest.ARP
	broadcast                           = firewalltest.Broadcast
	macA, macB, macC                    = macOf(1), macOf(2), macOf(3)
)

// recorded is a bridge's flows by key, as the computation wants them.
type recorded map[string][]openflow.Flow

func (r recorded) Set(key string, flows []openflow.Flow) {
	delete(r, key)
	if len(flows) > 0 {
		r[key] = flows
	}
}

func (r recorded) Keys() []string {
	keys := make([]string, 0, len(r))
	for k := range r {
		keys = append(keys, k)
	}
	return keys
}
