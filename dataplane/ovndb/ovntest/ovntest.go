// Package ovntest runs OVN's central parts for a test: real ovsdb-servers for the northbound and the southbound
// database, and ovn-northd, with their files in a directory that goes with the test. It works as root and as an
// ordinary user, and needs no network.
package ovntest

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

const schemas = "/usr/share/ovn/"

// Central is a running OVN central.
type Central struct {
	dir    string
	nb, sb *exec.Cmd
	northd *exec.Cmd
}

// Start runs the databases, and ovn-northd where translate is set, until the test ends. It skips the test where OVN
// is not installed.
func Start(tb testing.TB, translate bool) *Central {
	tb.Helper()
	for _, tool := range []string{"ovsdb-tool", "ovsdb-server", "ovn-northd", "ovn-nbctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			tb.Skipf("needs OVN: %v", err)
		}
	}
	dir, err := os.MkdirTemp("", "ovn") // a socket's path may have 107 characters only
	if err != nil {
		tb.Fatal(err)
	}
	c := &Central{dir: dir}
	tb.Cleanup(func() {
		stop(&c.northd)
		c.StopNorth()
		c.StopSouth()
		_ = os.RemoveAll(dir)
	})
	for _, name := range []string{"nb", "sb"} {
		c.run(tb, "ovsdb-tool", "create", c.path(name+".db"), schemas+"ovn-"+name+".ovsschema")
	}
	c.StartNorth(tb)
	c.StartSouth(tb)
	if translate {
		c.northd = c.daemon(tb, "ovn-northd", "northd", "--ovnnb-db="+c.North(), "--ovnsb-db="+c.South())
	}
	return c
}

// North is the endpoint of the northbound database, South that of the southbound one.
func (c *Central) North() string { return "unix:" + c.path("nb.sock") }

// South is the endpoint of the southbound database.
func (c *Central) South() string { return "unix:" + c.path("sb.sock") }

// StartNorth runs the northbound database's server.
func (c *Central) StartNorth(tb testing.TB) {
	tb.Helper()
	c.nb = c.daemon(tb, "ovsdb-server", "nb", c.path("nb.db"), "--remote=punix:"+c.path("nb.sock"))
	c.wait(tb, "ovn-nbctl", "--db="+c.North(), "--timeout=1", "init")
}

// StartSouth runs the southbound database's server.
func (c *Central) StartSouth(tb testing.TB) {
	tb.Helper()
	c.sb = c.daemon(tb, "ovsdb-server", "sb", c.path("sb.db"), "--remote=punix:"+c.path("sb.sock"))
	c.wait(tb, "ovn-sbctl", "--db="+c.South(), "--timeout=1", "init")
}

// StopSouth kills the southbound database's server.
func (c *Central) StopSouth() { stop(&c.sb) }

// EditSouth makes a transaction (RFC 7047, 4.1.3: what follows the database's name) in the southbound database, whose server is
// stopped.
func (c *Central) EditSouth(tb testing.TB, operations string) {
	tb.Helper()
	c.run(tb, "ovsdb-tool", "transact", c.path("sb.db"), `["OVN_Southbound", `+operations+`]`)
}

// NorthCPU is the processor time that the northbound database's server has taken so far.
func (c *Central) NorthCPU(tb testing.TB) time.Duration {
	tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.nb.Process.Pid))
	if err != nil {
		tb.Fatal(err)
	}
	const tick = 10 * time.Millisecond // proc(5): in units of 1/100 s on all of Linux's architectures that we know
	_, rest, _ := strings.Cut(string(b), ") ")
	var user, system int
	fields := strings.Fields(rest)
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(user+system) * tick
}

// StopNorth kills the northbound database's server.
func (c *Central) StopNorth() { stop(&c.nb) }

// Secure has the northbound database's server listen for TLS, and gives the endpoint.
func (c *Central) Secure(tb testing.TB, key, certificate, authority string) string {
	tb.Helper()
	at := freePort(tb)
	host, port, _ := strings.Cut(at, ":")
	c.StopNorth()
	c.nb = c.daemon(tb, "ovsdb-server", "nb", c.path("nb.db"), "--remote=punix:"+c.path("nb.sock"), "--remote=pssl:"+port+":"+host,
		"--private-key="+key, "--certificate="+certificate, "--ca-cert="+authority)
	c.wait(tb, "ovn-nbctl", "--db="+c.North(), "--timeout=1", "init")
	return "ssl:" + at
}

// EmptyNorth makes the northbound database, whose server is stopped, anew.
func (c *Central) EmptyNorth(tb testing.TB) {
	tb.Helper()
	if err := os.Remove(c.path("nb.db")); err != nil {
		tb.Fatal(err)
	}
	c.run(tb, "ovsdb-tool", "create", c.path("nb.db"), schemas+"ovn-nb.ovsschema")
}

// NB runs ovn-nbctl and gives what it says.
func (c *Central) NB(tb testing.TB, args ...string) string {
	tb.Helper()
	return c.run(tb, "ovn-nbctl", append([]string{"--db=" + c.North(), "--timeout=20"}, args...)...)
}

// SB runs ovn-sbctl and gives what it says.
func (c *Central) SB(tb testing.TB, args ...string) string {
	tb.Helper()
	return c.run(tb, "ovn-sbctl", append([]string{"--db=" + c.South(), "--timeout=20"}, args...)...)
}

// NorthdLog is what ovn-northd has logged of things that it could not do.
func (c *Central) NorthdLog(tb testing.TB) string {
	tb.Helper()
	b, err := os.ReadFile(c.path("northd.log"))
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, "|WARN|") || strings.Contains(line, "|ERR|") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

func (c *Central) path(name string) string { return filepath.Join(c.dir, name) }

func (c *Central) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+c.dir, "OVN_RUNDIR="+c.dir, "OVS_LOGDIR="+c.dir, "OVN_LOGDIR="+c.dir, "OVS_DBDIR="+c.dir, "OVN_DBDIR="+c.dir)
	return cmd
}

func stop(cmd **exec.Cmd) {
	if *cmd == nil {
		return
	}
	_ = (*cmd).Process.Kill()
	_ = (*cmd).Wait()
	*cmd = nil
}

// daemon runs a program in the foreground. It dies with the test.
func (c *Central) daemon(tb testing.TB, name, as string, args ...string) *exec.Cmd {
	tb.Helper()
	cmd := c.command(name, append(args, "--unixctl="+c.path(as+".ctl"), "--log-file="+c.path(as+".log"), "-vconsole:off", "-vsyslog:off")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		tb.Fatalf("start %s: %v", name, err)
	}
	return cmd
}

func (c *Central) run(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	out, err := c.try(name, args...)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func (c *Central) try(name string, args ...string) (string, error) {
	cmd := c.command(name, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, errs.String())
	}
	return string(out), nil
}

// wait repeats a command until it succeeds.
func (c *Central) wait(tb testing.TB, name string, args ...string) {
	tb.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, err = c.try(name, args...); err == nil {
			return
		}
	}
	tb.Fatal(err)
}
