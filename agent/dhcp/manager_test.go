package dhcp

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/dhcpv6/nclient6"
	mdns "github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"neutrino/address"
	"neutrino/agent"
	"neutrino/agent/stray"
	"neutrino/desired"
)

// TestMain runs the tests in user, mount and network namespaces of their own, so that they need no
// root and touch nothing outside.
func TestMain(m *testing.M) {
	if os.Getenv("NEUTRINO_SANDBOX") == "" {
		cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
		cmd.Env = append(os.Environ(), "NEUTRINO_SANDBOX=1")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		if err := cmd.Run(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	for _, dir := range []string{"/run"} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			fmt.Fprintln(os.Stderr, "mount", dir, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// shell is the Machine on a plain Linux host without a switch: the outer end of a place's veth stands
// in a namespace of a guest.
type shell struct {
	t     *testing.T
	guest string
	calls int
}

func run(args ...string) (string, error) {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func (s *shell) must(line string) string {
	s.t.Helper()
	out, err := run(strings.Fields(line)...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *shell) Ensure(_ context.Context, p Place) error {
	s.calls++
	var steps []string
	if _, err := s.Identity(p.Namespace); err != nil {
		steps = []string{"ip netns add " + p.Namespace, "ip -n " + p.Namespace + " link set lo up"}
	} else if _, err := run("ip", "-n", p.Namespace, "link", "show", p.Device); err == nil {
		return nil
	}
	steps = append(steps,
		"ip link add "+p.Device+" netns "+p.Namespace+" address "+p.MAC.String()+" type veth peer name eth0 netns "+s.guest,
		"ip -n "+p.Namespace+" link set "+p.Device+" up",
		"ip netns exec "+p.Namespace+" ethtool -K "+p.Device+" tx off",
	)
	for _, a := range p.Addresses {
		steps = append(steps, "ip -n "+p.Namespace+" address add "+a.String()+" dev "+p.Device+map[bool]string{true: " nodad", false: ""}[a.Addr().Is6()])
	}
	for _, step := range steps {
		if _, err := run(strings.Fields(step)...); err != nil {
			return err
		}
	}
	return nil
}

func (s *shell) Remove(_ context.Context, name string) error {
	if _, err := s.Identity(name); err != nil {
		return nil
	}
	_, err := run("ip", "netns", "delete", name)
	return err
}

func (s *shell) list() []string {
	entries, err := filepath.Glob("/run/netns/" + prefix + "*")
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range entries {
		entries[i] = filepath.Base(entries[i])
	}
	return entries
}

// Strays knows its own namespaces by nothing but a name that the test agrees to.
func (s *shell) Strays(_ context.Context, prefix string, wanted func(string) bool) (out []stray.Thing, err error) {
	for _, name := range s.list() {
		if !wanted(name) && name == prefix+"stray" {
			out = append(out, stray.Thing{Kind: stray.Namespace, Name: name})
		}
	}
	return out, nil
}

func (s *shell) RemoveStray(ctx context.Context, t stray.Thing) error { return s.Remove(ctx, t.Name) }

func (s *shell) Identity(name string) (uint64, error) {
	info, err := os.Stat("/run/netns/" + name)
	if err != nil {
		return 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fs.ErrInvalid
	}
	return st.Ino, nil
}

// Do leaves the thread locked, so that it ends with its goroutine and no other ever sees it.
func (s *shell) Do(name string, f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		fd, err := unix.Open("/run/netns/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			defer unix.Close(fd)
			err = unix.Setns(fd, unix.CLONE_NEWNET)
		}
		if err == nil {
			err = f()
		}
		result <- err
	}()
	return <-result
}

var guestMAC = address.MustParseMAC("fa:16:3e:00:00:05")

func cloud() *desired.State {
	s := desired.NewState()
	s.Put(&desired.Network{ID: "net", MTU: 1450, AdminStateUp: true, Subnets: []desired.Subnet{
		{ID: "s4", CIDR: netip.MustParsePrefix("10.0.0.0/24"), Gateway: netip.MustParseAddr("10.0.0.1"), EnableDHCP: true},
		{ID: "s6", CIDR: netip.MustParsePrefix("2001:db8::/64"), EnableDHCP: true, AddressMode: "dhcpv6-stateful"},
	}})
	s.Put(&desired.Port{ID: "dhcp-port-0001", NetworkID: "net", Host: "h1", DeviceOwner: "network:dhcp", AdminStateUp: true,
		MAC: address.MustParseMAC("fa:16:3e:00:00:02"), FixedIPs: []desired.FixedIP{{SubnetID: "s4", IP: netip.MustParseAddr("10.0.0.2")}, {SubnetID: "s6", IP: netip.MustParseAddr("2001:db8::2")}}})
	s.Put(&desired.Port{ID: "p5", Revision: 7, NetworkID: "net", Host: "h2", DeviceOwner: "compute:nova", DeviceID: "i5", AdminStateUp: true, Hostname: "host-10-0-0-5",
		MAC: guestMAC, FixedIPs: []desired.FixedIP{{SubnetID: "s4", IP: netip.MustParseAddr("10.0.0.5")}, {SubnetID: "s6", IP: netip.MustParseAddr("2001:db8::5")}}})
	return s
}

func start(t *testing.T) (*Manager, *shell) {
	t.Helper()
	guest := strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))
	sh := &shell{t: t, guest: guest}
	sh.must("ip netns add " + guest)
	m, err := New(Options{Host: "h1"}, sh, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.Close()
		for _, name := range []string{"qdhcp-net", guest} {
			_, _ = run("ip", "netns", "delete", name)
		}
	})
	return m, sh
}

func apply(t *testing.T, m *Manager, state *desired.State, keys ...desired.Key) map[string]desired.Report {
	t.Helper()
	change := agent.Change{Full: len(keys) == 0, Keys: map[desired.Key]struct{}{}}
	for _, k := range keys {
		change.Keys[k] = struct{}{}
	}
	reports, err := m.Apply(context.Background(), state, change)
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]desired.Report{}
	for _, r := range reports {
		byID[r.ID] = r
	}
	return byID
}

// boot sets the guest's interface up.
func (s *shell) boot() {
	s.t.Helper()
	s.must("ip -n " + s.guest + " link set eth0 address " + guestMAC.String())
	s.must("ip netns exec " + s.guest + " ethtool -K eth0 tx off")
	s.must("ip -n " + s.guest + " link set eth0 up")
}

// udhcpc gets a lease in the guest's namespace and returns what the client was told.
func (s *shell) udhcpc() string {
	s.t.Helper()
	script := filepath.Join(s.t.TempDir(), "told")
	if err := os.WriteFile(script, []byte("#!/bin/sh\ncase $1 in bound) env;; esac\n"), 0o755); err != nil {
		s.t.Fatal(err)
	}
	out, err := run("ip", "netns", "exec", s.guest, "timeout", "20", "busybox", "udhcpc", "-f", "-i", "eth0", "-n", "-q", "-t", "4", "-T", "1", "-O", "mtu", "-O", "staticroutes", "-s", script)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// solicit gets an IPv6 lease in the guest's namespace, in four messages.
func (s *shell) solicit() (*dhcpv6.Message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var client *nclient6.Client
	err := s.Do(s.guest, func() (err error) {
		for {
			if client, err = nclient6.New("eth0"); err == nil || ctx.Err() != nil {
				return err
			}
			time.Sleep(200 * time.Millisecond) // the link-local address is still tentative
		}
	})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	advertise, err := client.Solicit(ctx)
	if err != nil {
		return nil, err
	}
	return client.Request(ctx, advertise)
}

func TestRealClient(t *testing.T) {
	m, sh := start(t)
	sh.must("ip netns add qdhcp-stray")
	state := cloud()
	if r := apply(t, m, state)["p5"]; !r.Up || r.Revision != 7 || r.Layer != desired.LayerDHCP {
		t.Fatalf("report %+v", r)
	}
	if names := sh.list(); len(names) != 1 {
		t.Errorf("namespaces %v: the stray is there", names)
	}
	sh.boot()
	told := sh.udhcpc()
	for _, want := range []string{"ip=10.0.0.5", "router=10.0.0.1", "dns=10.0.0.2", "mtu=1450", "lease=86400", "169.254.169.254/32 10.0.0.2"} {
		if !strings.Contains(told, want) {
			t.Errorf("the client was not told %q:\n%s", want, told)
		}
	}

	// DNS from the guest's address; not from another.
	sh.must("ip -n " + sh.guest + " address add 10.0.0.5/24 dev eth0")
	sh.must("ip -n " + sh.guest + " address add 192.0.2.9/32 dev eth0")
	patience := 20 * time.Second
	ask := func(name string, kind uint16, from string) (*mdns.Msg, error) {
		var reply *mdns.Msg
		err := sh.Do(sh.guest, func() (err error) {
			q := new(mdns.Msg)
			q.SetQuestion(name, kind)
			c := mdns.Client{Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}, Timeout: patience}, Timeout: patience}
			conn, err := c.Dial("10.0.0.2:53")
			if err != nil {
				return err
			}
			defer conn.Close()
			reply, _, err = c.ExchangeWithConn(q, conn)
			return err
		})
		return reply, err
	}
	for name, kind := range map[string]uint16{"host-10-0-0-5.openstacklocal.": mdns.TypeA, "host-10-0-0-5.": mdns.TypeAAAA, "5.0.0.10.in-addr.arpa.": mdns.TypePTR} {
		if reply, err := ask(name, kind, "10.0.0.5"); err != nil || len(reply.Answer) != 1 {
			t.Errorf("%s: %v %v", name, reply, err)
		}
	}
	if reply, err := ask("example.org.", mdns.TypeA, "10.0.0.5"); err != nil || reply.Rcode != mdns.RcodeRefused {
		t.Errorf("without a forwarder: %v %v", reply, err)
	}
	patience = time.Second
	if reply, err := ask("host-10-0-0-5.", mdns.TypeA, "192.0.2.9"); err == nil {
		t.Errorf("a stranger got %v", reply)
	}

	reply, err := sh.solicit()
	if err != nil {
		t.Fatal(err)
	}
	if ia := reply.Options.OneIANA(); ia == nil || ia.Options.OneAddress() == nil || ia.Options.OneAddress().IPv6Addr.String() != "2001:db8::5" {
		t.Errorf("DHCPv6 gave %s", reply.Summary())
	}

	// A bad extra option is said, and costs only itself.
	p := *state.Ports["p5"]
	p.Revision, p.DHCP = 8, []desired.DHCPOption{{Name: "no-such", Value: "1", IPVersion: 4}, {Name: "ntp-server", Value: "10.0.0.9", IPVersion: 4}}
	state.Put(&p)
	calls := sh.calls
	if r := apply(t, m, state, p.Key())["p5"]; r.Up || r.Revision != 8 || !strings.Contains(r.Reason, "no-such") {
		t.Errorf("report %+v", r)
	}
	if sh.calls != calls {
		t.Error("a port's change touched the machine")
	}
	if told := sh.udhcpc(); !strings.Contains(told, "ntpsrv=10.0.0.9") {
		t.Errorf("the good option is not told:\n%s", told)
	}

	// The DHCP port goes to another host.
	d := *state.Ports["dhcp-port-0001"]
	d.Host = "h2"
	state.Put(&d)
	if r := apply(t, m, state, d.Key())["p5"]; !r.Gone {
		t.Errorf("report %+v", r)
	}
	if names := sh.list(); len(names) != 0 {
		t.Errorf("namespaces %v are left", names)
	}
}

// A device that somebody deleted and the machine has made anew, in the namespace that there was, is served again.
func TestDeviceMadeAnew(t *testing.T) {
	m, sh := start(t)
	state := cloud()
	apply(t, m, state)
	sh.must("ip -n qdhcp-net link delete " + Device("dhcp-port-0001"))
	if r := apply(t, m, state)["p5"]; !r.Up {
		t.Fatalf("report %+v", r)
	}
	sh.boot()
	if told := sh.udhcpc(); !strings.Contains(told, "ip=10.0.0.5") {
		t.Errorf("the client was told\n%s", told)
	}
}

// On an external network ports come and go all the time: that is no work for the networks that are served.
func TestPortsOfOtherNetworksTouchNothing(t *testing.T) {
	m, sh := start(t)
	state := cloud()
	router := &desired.Port{ID: "router-port", NetworkID: "net", DeviceOwner: "network:router_interface", FixedIPs: []desired.FixedIP{{SubnetID: "s4", IP: netip.MustParseAddr("10.0.0.1")}}}
	state.Put(router)
	apply(t, m, state)
	calls := sh.calls
	other := &desired.Port{ID: "floating", NetworkID: "external", DeviceOwner: "network:floatingip"}
	state.Put(other)
	apply(t, m, state, other.Key())
	state.Delete(other.Key())
	apply(t, m, state, other.Key())
	if sh.calls != calls {
		t.Errorf("the machine was touched %d times", sh.calls-calls)
	}
	state.Delete(router.Key()) // the network answers for metadata itself from now on
	apply(t, m, state, router.Key())
	if sh.calls == calls {
		t.Error("a router has left the network, and the machine was not touched")
	}
}

func TestRoutedNetworkHasNoMetadataOfItsOwn(t *testing.T) {
	state := cloud()
	server := state.Ports["dhcp-port-0001"]
	needs := func(v4, v6 bool) {
		t.Helper()
		if is4, is6 := NeedsMetadata(state, server, MetadataIsolated); is4 != v4 || is6 != v6 {
			t.Errorf("metadata of its own: %t by IPv4, %t by IPv6; want %t, %t", is4, is6, v4, v6)
		}
	}
	needs(true, true)
	// Of two that serve it, the first has the IPv6 address, which can be there only once.
	other := &desired.Port{ID: "dhcp-port-0000", NetworkID: "net", DeviceOwner: "network:dhcp", Host: "h2", AdminStateUp: true}
	state.Put(other)
	needs(true, false)
	state.Delete(other.Key())
	other.ID = "dhcp-port-0002"
	state.Put(other)
	needs(true, true)
	state.Put(&desired.Port{ID: "r", NetworkID: "net", DeviceOwner: "network:router_interface", FixedIPs: []desired.FixedIP{{SubnetID: "s4", IP: netip.MustParseAddr("10.0.0.1")}}})
	needs(false, false) // twice would be once too often
}
