// Package ovstest runs a private Open vSwitch for a test: a real ovsdb-server and ovs-vswitchd in
// network namespaces of their own, with their files in a directory that goes with the test.
// Unlike a sandbox's it can be stopped and started again. Bridges of datapath type "dummy" and interfaces of type "dummy" need no devices. It works as root
// and as an ordinary user.
package ovstest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const schema = "/usr/share/openvswitch/vswitch.ovsschema"

// Switch is a running Open vSwitch.
type Switch struct {
	dir             string
	server, vswitch *exec.Cmd
}

// Start runs a switch until the test ends. It skips the test where Open vSwitch is not installed.
func Start(tb testing.TB) *Switch {
	tb.Helper()
	for _, tool := range []string{"ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			tb.Skipf("needs Open vSwitch: %v", err)
		}
	}
	// Not tb.TempDir: a socket's path may have 107 characters only.
	dir, err := os.MkdirTemp("", "ovs")
	if err != nil {
		tb.Fatal(err)
	}
	s := &Switch{dir: dir}
	tb.Cleanup(func() {
		s.StopSwitch()
		s.StopDatabase()
		_ = os.RemoveAll(dir)
	})
	s.run(tb, "ovsdb-tool", "create", s.path("conf.db"), schema)
	s.StartDatabase(tb)
	s.run(tb, "ovs-vsctl", "--no-wait", "init", "--", "set", "Open_vSwitch", ".",
		"external_ids:system-id=test", "external_ids:hostname=test")
	s.StartSwitch(tb)
	return s
}

// Endpoint is the database's, as ovsdb.New takes it.
func (s *Switch) Endpoint() string { return "unix:" + s.path("db.sock") }

// Management is the path of a bridge's OpenFlow socket.
func (s *Switch) Management(bridge string) string { return s.path(bridge + ".mgmt") }

// StartDatabase runs ovsdb-server.
func (s *Switch) StartDatabase(tb testing.TB) {
	tb.Helper()
	s.server = s.daemon(tb, "ovsdb-server", s.path("conf.db"), "--remote=punix:"+s.path("db.sock"))
	s.wait(tb, "ovs-vsctl", "--no-wait", "--timeout=1", "show")
}

// StartSwitch runs ovs-vswitchd.
func (s *Switch) StartSwitch(tb testing.TB) {
	tb.Helper()
	s.vswitch = s.daemon(tb, "ovs-vswitchd", s.Endpoint(), "--enable-dummy")
	s.wait(tb, "ovs-appctl", "--timeout=1", "-t", s.path("vswitchd.ctl"), "version")
}

// StopDatabase kills ovsdb-server.
func (s *Switch) StopDatabase() { stop(&s.server) }

// StopSwitch kills ovs-vswitchd: its flows are gone.
func (s *Switch) StopSwitch() { stop(&s.vswitch) }

func stop(cmd **exec.Cmd) {
	if *cmd == nil {
		return
	}
	_ = (*cmd).Process.Kill()
	_ = (*cmd).Wait()
	*cmd = nil
}

// Vsctl runs ovs-vsctl and gives what it says.
func (s *Switch) Vsctl(tb testing.TB, args ...string) string {
	tb.Helper()
	return s.run(tb, "ovs-vsctl", append([]string{"--timeout=60"}, args...)...)
}

// AddBridge makes a bridge without ports and without flows.
func (s *Switch) AddBridge(tb testing.TB, name string) {
	tb.Helper()
	s.Vsctl(tb, "add-br", name, "--", "set", "bridge", name, "datapath_type=dummy", "fail_mode=secure")
}

// AddFlows has ovs-ofctl add flows, one in a line, in its own syntax.
func (s *Switch) AddFlows(tb testing.TB, bridge, flows string) {
	tb.Helper()
	file := s.path("flows")
	if err := os.WriteFile(file, []byte(flows), 0o600); err != nil {
		tb.Fatal(err)
	}
	s.run(tb, "ovs-ofctl", "-O", "OpenFlow14", "add-flows", "unix:"+s.Management(bridge), file)
}

// Flows are those of a bridge as ovs-ofctl sees them, without statistics.
func (s *Switch) Flows(tb testing.TB, bridge string) []string {
	tb.Helper()
	var flows []string
	out := s.run(tb, "ovs-ofctl", "-O", "OpenFlow14", "dump-flows", "--no-stats", "unix:"+s.Management(bridge))
	for line := range strings.Lines(out) {
		flows = append(flows, strings.TrimSpace(line))
	}
	return flows
}

func (s *Switch) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Switch) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+s.dir, "OVS_LOGDIR="+s.dir, "OVS_DBDIR="+s.dir, "OVS_SYSCONFDIR="+s.dir)
	return cmd
}

// daemon runs a program in the foreground, in namespaces where it is alone. It dies with the test.
func (s *Switch) daemon(tb testing.TB, name string, args ...string) *exec.Cmd {
	tb.Helper()
	control := strings.TrimPrefix(name, "ovs-") + ".ctl"
	cmd := s.command(name, append(args, "--unixctl="+s.path(control), "--log-file="+s.path(name+".log"), "-vconsole:off", "-vsyslog:off")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig:  syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWNET,
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		tb.Fatalf("start %s: %v", name, err)
	}
	return cmd
}

func (s *Switch) run(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	out, err := s.try(name, args...)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func (s *Switch) try(name string, args ...string) (string, error) {
	cmd := s.command(name, args...)
	if name == "ovs-vsctl" {
		cmd.Args = append([]string{name, "--db=" + s.Endpoint()}, args...)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, errs.String())
	}
	return string(out), nil
}

// wait repeats a command until it succeeds.
func (s *Switch) wait(tb testing.TB, name string, args ...string) {
	tb.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, err = s.try(name, args...); err == nil {
			return
		}
	}
	tb.Fatal(err)
}
