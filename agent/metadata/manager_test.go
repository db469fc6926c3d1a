package metadata

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"neutrino/agent"
	"neutrino/desired"
)

// TestMain runs the tests in user and network namespaces of their own: no root is needed, and
// nothing outside is touched.
func TestMain(m *testing.M) {
	if os.Getenv("NEUTRINO_SANDBOX") != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), "NEUTRINO_SANDBOX=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func get(from netip.Addr, to string) (int, string, error) {
	c := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
			return d.DialContext(ctx, "tcp", to)
		},
	}}
	r, err := c.Get("http://169.254.169.254/latest/meta-data/instance-id")
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return r.StatusCode, string(body), err
}

// settled waits until a device has noticed that it has a carrier, which the kernel says later: its first packets of IPv6
// may be lost until then.
func settled(t *testing.T, device string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		link, err := exec.Command("ip", "-o", "link", "show", device).CombinedOutput()
		tentative, err6 := exec.Command("ip", "-o", "-6", "address", "show", "dev", device, "tentative").CombinedOutput()
		if err == nil && err6 == nil && strings.Contains(string(link), "state UP") && len(tentative) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready: %s %s", device, link, tentative)
		}
	}
}

func TestListenersInANamespace(t *testing.T) {
	guest6 := mac5.LinkLocal()
	ip := func(lines ...string) {
		t.Helper()
		for _, line := range lines {
			if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
				t.Fatalf("ip %s: %v %s", line, err, out)
			}
		}
	}
	zone := "" // names of interfaces are remembered for a minute
	device := func() {
		t.Helper()
		ip("link add qr-i1 type veth peer name far", "link set qr-i1 up", "link set far up",
			"address add fe80::a9fe:a9fe/64 dev qr-i1 nodad", "address add "+guest6.String()+"/64 dev qr-i1 nodad")
		settled(t, "qr-i1")
		d, err := net.InterfaceByName("qr-i1")
		if err != nil {
			t.Fatal(err)
		}
		zone = strconv.Itoa(d.Index)
	}
	ip("link set lo up", "address add 169.254.169.254/32 dev lo", "address add 10.0.0.5/32 dev lo", "address add 10.0.0.77/32 dev lo")
	device()
	state := cloud()
	router := *state.Routers["r"]
	router.Interfaces = router.Interfaces[:1]
	state.Put(&router)
	host := &here{identity: 1}
	m, err := New(Options{Host: "h1"}, host, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for again := range 3 { // the second time the namespace is another one, then the device: the listeners are made anew
		if _, err := m.Apply(t.Context(), state, agent.Change{Full: true}); err != nil {
			t.Fatal(err)
		}
		if code, body, err := get(netip.MustParseAddr("10.0.0.5"), "169.254.169.254:80"); err != nil || code != 200 || body != "instance-p5" {
			t.Errorf("the guest: %d %q %v", code, body, err)
		}
		if code, _, err := get(netip.MustParseAddr("10.0.0.77"), "169.254.169.254:80"); err != nil || code != 404 {
			t.Errorf("a stranger: %d %v", code, err)
		}
		if code, body, err := get(guest6.WithZone(zone), "[fe80::a9fe:a9fe%"+zone+"]:80"); err != nil || code != 200 || body != "instance-p5" {
			t.Errorf("the guest by IPv6: %d %q %v", code, body, err)
		}
		if again == 0 {
			host.identity++
			continue
		}
		ip("link delete qr-i1")
		device()
	}
	state.Delete(router.Key())
	if _, err := m.Apply(t.Context(), state, agent.Change{Keys: map[desired.Key]struct{}{router.Key(): {}}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := get(netip.MustParseAddr("10.0.0.5"), "169.254.169.254:80"); err == nil {
		t.Error("somebody listens for a router that is gone")
	}
}
