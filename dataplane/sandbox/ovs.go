package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// OVS is an Open vSwitch of the sandbox's own, with the userspace datapath.
type OVS struct {
	Endpoint string // of the database, for OVSDB clients
	RunDir   string // where the sockets of bridges are
}

// StartOVS starts ovsdb-server and ovs-vswitchd with an empty database. They end with the test.
func StartOVS(t testing.TB) *OVS {
	t.Helper()
	if os.Getenv(inside) == "" {
		t.Fatal("StartOVS outside a sandbox: call sandbox.Main from TestMain")
	}
	tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		t.Fatalf("Open vSwitch's userspace datapath needs /dev/net/tun; load the module tun and let everyone open it (as udev does), or run as root: %v", err)
	}
	tun.Close()
	const run = "/run/openvswitch"
	for _, pattern := range []string{"*.sock", "*.ctl", "*.mgmt", "*.snoop"} { // of one before
		old, err := filepath.Glob(filepath.Join(run, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range old {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	database, socket := filepath.Join(t.TempDir(), "conf.db"), run+"/db.sock"
	must(t, "ovsdb-tool", "create", database, "/usr/share/openvswitch/vswitch.ovsschema")
	daemon(t, "ovsdb-server", database, "--remote=punix:"+socket, "--unixctl="+run+"/ovsdb.ctl", "-vconsole:emer", "-vsyslog:off")
	waitFor(t, socket)
	must(t, "ovs-vsctl", "--db=unix:"+socket, "--retry", "--timeout=60", "--no-wait", "init") // it may not listen yet
	daemon(t, "ovs-vswitchd", "unix:"+socket, "--unixctl="+run+"/vswitchd.ctl", "-vconsole:emer", "-vsyslog:off")
	waitFor(t, run+"/vswitchd.ctl")
	return &OVS{Endpoint: "unix:" + socket, RunDir: run}
}

// daemon runs a program in the foreground until the test ends.
func daemon(t testing.TB, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR=/run/openvswitch", "OVS_LOGDIR=/run/openvswitch")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // killed: that is no failure
	})
}

func must(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func waitFor(t testing.TB, path string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	t.Fatalf("%s did not appear", path)
}
