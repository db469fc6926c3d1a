package lab

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be what the neutrino binary is to a lab: the program that it starts again.
func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == "lab" && os.Args[2] == "inner" {
		if err := Inner(os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// raise makes a bare lab in a directory of the test's own.
func raise(t *testing.T, hosts int) *Lab {
	t.Helper()
	if err := checkTools(); err != nil {
		t.Skip(err)
	}
	t.Setenv("NEUTRINO_LAB_DIR", t.TempDir())
	l, err := Up(t.Context(), Options{Name: "test", Hosts: hosts, Bare: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(l.Dir); !os.IsNotExist(err) {
			t.Errorf("something of the lab is left: %v", err)
		}
	})
	return l
}

func run(t *testing.T, l *Lab, where string, argv ...string) {
	t.Helper()
	if out, err := l.Output(where, argv...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// learning makes a bridge that needs no agent, the same on every host, joined by a tunnel.
func learning(t *testing.T, l *Lab, hosts ...string) {
	t.Helper()
	for n, host := range hosts {
		run(t, l, host, "ovs-vsctl", "--may-exist", "add-br", "br-test", "--", "set", "bridge", "br-test", "datapath_type=netdev")
		for m := range hosts {
			if m != n {
				run(t, l, host, "ovs-vsctl", "--may-exist", "add-port", "br-test", fmt.Sprint("vx", m), "--", "set", "interface", fmt.Sprint("vx", m),
					"type=vxlan", "options:remote_ip="+TunnelAddress(m+1), "options:key=7")
			}
		}
		run(t, l, host, "ovs-ofctl", "add-flow", "br-test", "actions=NORMAL")
	}
}

func ping(l *Lab, from, to string) error {
	_, err := l.Output(from, "ping", "-c1", "-W2", to)
	return err
}

// reaches pings until an answer comes: the first ones wait for neighbours and for the switches to find the other host.
func reaches(t *testing.T, l *Lab, from, to string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		err := ping(l, from, to)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Error(err)
			return
		}
	}
}

func plug(t *testing.T, l *Lab, host, name string, number byte) {
	t.Helper()
	i := Instance{Name: name, Host: host, Port: name, Bridge: "br-test", MTU: 1450, Address: []string{fmt.Sprintf("10.0.0.%d/24", number)}}
	i.MAC = [6]byte{0xfa, 0x16, 0x3e, 0, 0, number}
	if err := l.Plug(i); err != nil {
		t.Fatal(err)
	}
}

func TestHosts(t *testing.T) {
	l := raise(t, 2)
	learning(t, l, "h1", "h2")
	plug(t, l, "h1", "a", 1)
	plug(t, l, "h2", "b", 2)
	plug(t, l, "h1", "c", 3)
	for _, to := range []string{"10.0.0.2", "10.0.0.3"} {
		reaches(t, l, "a", to)
	}

	// Cables.
	if err := l.Cut("h1", "tun"); err != nil {
		t.Fatal(err)
	}
	if ping(l, "a", "10.0.0.2") == nil {
		t.Error("a ping crossed a cable that was pulled")
	}
	if err := l.Heal("h1", "tun"); err != nil {
		t.Fatal(err)
	}
	reaches(t, l, "a", "10.0.0.2")
	if err := l.Loss("h1", "tun", 100); err != nil {
		t.Fatal(err)
	}
	if ping(l, "a", "10.0.0.2") == nil {
		t.Error("a ping crossed a cable that loses all")
	}
	if err := l.Loss("h1", "tun", 0); err != nil {
		t.Fatal(err)
	}
	if err := l.Rate("h1", "tun", "10mbit"); err != nil {
		t.Error(err)
	}
	if err := l.Rate("h1", "tun", "0"); err != nil {
		t.Error(err)
	}
	reaches(t, l, "a", "10.0.0.2")

	// Open vSwitch crashes: its flows are gone.
	if err := l.KillOVS("h1", "vswitchd"); err != nil {
		t.Fatal(err)
	}
	if ping(l, "a", "10.0.0.3") == nil {
		t.Error("a ping crossed a switch that does not run")
	}
	if err := l.StartOVS(t.Context(), "h1"); err != nil {
		t.Fatal(err)
	}
	learning(t, l, "h1", "h2")
	reaches(t, l, "a", "10.0.0.3")

	// It crashes by itself: it is started again, as by its monitor, and the tunnels' address is there again.
	run(t, l, "h1", "sh", "-c", "kill -ABRT $(cat /run/openvswitch/ovs-vswitchd.pid)")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		log, err := os.ReadFile(l.Log("h1", "node"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(log), "service is back from its crash") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not started again:\n%s", log)
		}
	}
	if out, err := l.Output("h1", "ip", "addr", "show", "br-phy"); err != nil || !strings.Contains(out, TunnelAddress(1)+"/24") {
		t.Errorf("%v\n%s", err, out)
	}
	learning(t, l, "h1", "h2")
	reaches(t, l, "a", "10.0.0.2")

	// Power: the instances resume, the switch's database is as it was.
	if err := l.PowerOff("h1"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Output("a", "true"); err == nil {
		t.Error("an instance ran on a host without power")
	}
	if err := l.PowerOn(t.Context(), "h1"); err != nil {
		t.Fatal(err)
	}
	learning(t, l, "h1", "h2")
	reaches(t, l, "a", "10.0.0.2")

	// What is deleted is gone.
	if err := l.Delete("c"); err != nil {
		t.Fatal(err)
	}
	if out, err := l.Output("h1", "ip", "link", "show", "tapc"); err == nil {
		t.Errorf("its device is still there: %s", out)
	}
	if _, err := l.Instance("c"); err == nil {
		t.Error("the lab remembers a deleted instance")
	}
}

func TestHostsDoNotSeeEachOther(t *testing.T) {
	l := raise(t, 2)
	for _, host := range []string{"h1", "h2"} {
		out, err := l.Output(host, "hostname")
		if err != nil || strings.TrimSpace(out) != host {
			t.Errorf("%s calls itself %q: %v", host, out, err)
		}
	}
	run(t, l, "h1", "ip", "netns", "add", "mine")
	if out, err := l.Output("h2", "ip", "netns", "list"); err != nil || strings.Contains(out, "mine") {
		t.Errorf("h2 sees a namespace of h1: %q, %v", out, err)
	}
	run(t, l, "h1", "ovs-vsctl", "add-br", "br-mine")
	if err := exec.Command("ip", "link", "show", "br-mine").Run(); err == nil {
		t.Error("a bridge of a host is seen outside of the lab")
	}
	if _, err := l.Output("h2", "ovs-vsctl", "br-exists", "br-mine"); err == nil {
		t.Error("a bridge of h1 is seen on h2")
	}
	for _, to := range []string{"10.99.0.2", "10.99.0.254", "172.29.0.2"} {
		reaches(t, l, "h1", to)
	}
}

// TestStatusAndStreams: what a command says and how it ends arrive unchanged.
func TestStatusAndStreams(t *testing.T) {
	l := raise(t, 1)
	var out, complaint strings.Builder
	exit, err := l.Run(Command{Where: "h1", Argv: []string{"sh", "-c", "cat; echo $A; echo bad >&2; exit 7"}, Env: []string{"A=b"},
		Stdin: strings.NewReader("in\n"), Out: &out, Err: &complaint})
	if err != nil || exit != 7 || out.String() != "in\nb\n" || complaint.String() != "bad\n" {
		t.Errorf("exit %d, out %q, complaint %q, %v", exit, out.String(), complaint.String(), err)
	}
	if _, err := l.Run(Command{Where: "h1", Argv: []string{"no-such-program"}}); err == nil {
		t.Error("a program that does not exist ran")
	}
	if _, err := l.Run(Command{Where: "h9", Argv: []string{"true"}}); err == nil {
		t.Error("a command ran on a host that does not exist")
	}
	// A command whose node dies is an error, not a success.
	ended := make(chan error)
	go func() {
		_, err := l.Run(Command{Where: "h1", Argv: []string{"sleep", "30"}})
		ended <- err
	}()
	for {
		if out, _ := l.Output("h1", "sh", "-c", "cat /proc/[0-9]*/comm"); strings.Contains(out, "sleep") {
			break
		}
	}
	if err := l.PowerOff("h1"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("a command on a host that lost its power ended well")
	}
}

// TestDeathLeavesNothing kills a lab's first process and sees everything in it end.
func TestDeathLeavesNothing(t *testing.T) {
	l := raise(t, 1)
	pid := firstProcess(t, l)
	if err := pid.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := l.waitGone(20 * time.Second); err != nil {
		t.Error(err)
	}
	if _, err := Open(l.Name); err == nil {
		t.Error("a dead lab opens")
	}
	again, err := Up(t.Context(), Options{Name: l.Name, Hosts: 1, Bare: true})
	if err != nil {
		t.Fatalf("a dead lab's name is not free: %v", err)
	}
	if err := again.Down(); err != nil {
		t.Error(err)
	}
}

// firstProcess finds the lab's first process, which is our child, by its command line.
func firstProcess(t *testing.T, l *Lab) *os.Process {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		data, err := os.ReadFile(path)
		if err == nil && strings.HasSuffix(string(data), "\x00first\x00center\x00"+l.Dir+"\x00") {
			var pid int
			if _, err := fmt.Sscanf(path, "/proc/%d/cmdline", &pid); err != nil {
				t.Fatal(err)
			}
			p, err := os.FindProcess(pid)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
	}
	t.Fatal("the lab has no first process")
	return nil
}

func TestTwoLabsAtOnce(t *testing.T) {
	l := raise(t, 1)
	other, err := Up(t.Context(), Options{Name: "other", Hosts: 1, Bare: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Up(t.Context(), Options{Name: "other", Hosts: 1, Bare: true}); err == nil {
		t.Error("one name, two labs")
	}
	if err := other.Down(); err != nil {
		t.Error(err)
	}
	run(t, l, "h1", "true")
}

func TestRefused(t *testing.T) {
	t.Setenv("NEUTRINO_LAB_DIR", t.TempDir())
	for _, o := range []Options{{Name: "", Hosts: 1}, {Name: "../x", Hosts: 1}, {Name: "A", Hosts: 1}, {Name: strings.Repeat("a", 25), Hosts: 1}, {Name: "a", Hosts: 0}, {Name: "a", Hosts: 100}} {
		if l, err := Up(context.Background(), o); err == nil {
			t.Errorf("%+v: raised", o)
			l.Down()
		}
	}
	if err := DownByName("nobody"); err == nil {
		t.Error("a lab that is not there was ended")
	}
}

// TestOrdinaryUser runs a test of this file again without any privilege.
func TestOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the other tests are run by an ordinary user")
	}
	dir, err := os.MkdirTemp("", "lab-ordinary-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	copyBinary(t, filepath.Join(dir, "lab.test"))
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	if err := os.Chown(home, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	// Machines without udev keep /dev/net/tun to root; the test shows its user one as udev makes it.
	cmd := exec.Command("unshare", "--mount", "sh", "-ec", `mknod -m 666 "$1/tun" c 10 200; mount --bind "$1/tun" /dev/net/tun; cd "$1/home"
		exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all env -u XDG_RUNTIME_DIR TMPDIR="$1/home" HOME="$1/home" "$1/lab.test" -test.run='TestHosts$' -test.v`, "sh", dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestHosts") {
		t.Errorf("%v\n%s", err, out)
	}
}

func copyBinary(t *testing.T, to string) {
	t.Helper()
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, from); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
