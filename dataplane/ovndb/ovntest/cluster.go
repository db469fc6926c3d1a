package ovntest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Cluster is a northbound database of three servers in a raft cluster, on this machine's loopback.
type Cluster struct {
	*Central
	servers map[string]*exec.Cmd // n1, n2, n3
	raft    map[string]string    // name → address for the others
}

// StartCluster runs three servers until the test ends.
func StartCluster(tb testing.TB) *Cluster {
	tb.Helper()
	for _, tool := range []string{"ovsdb-tool", "ovsdb-server", "ovn-nbctl", "ovs-appctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			tb.Skipf("needs OVN: %v", err)
		}
	}
	dir, err := os.MkdirTemp("", "ovn")
	if err != nil {
		tb.Fatal(err)
	}
	c := &Cluster{Central: &Central{dir: dir}, servers: map[string]*exec.Cmd{}, raft: map[string]string{}}
	tb.Cleanup(func() {
		for name := range c.servers {
			c.Kill(name)
		}
		_ = os.RemoveAll(dir)
	})
	for _, name := range c.Names() {
		c.raft[name] = "tcp:" + freePort(tb)
	}
	c.run(tb, "ovsdb-tool", "create-cluster", c.path("n1.db"), schemas+"ovn-nb.ovsschema", c.raft["n1"])
	c.Start(tb, "n1")
	c.wait(tb, "ovn-nbctl", "--db="+c.Endpoint("n1"), "--timeout=1", "--no-leader-only", "init")
	for _, name := range c.Names()[1:] {
		c.run(tb, "ovsdb-tool", "join-cluster", c.path(name+".db"), "OVN_Northbound", c.raft[name], c.raft["n1"])
		c.Start(tb, name)
		c.wait(tb, "ovn-nbctl", "--db="+c.Endpoint(name), "--timeout=1", "--no-leader-only", "show")
	}
	return c
}

// freePort gives an address of the loopback that nobody listens at.
func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Names are the servers' names.
func (c *Cluster) Names() []string { return []string{"n1", "n2", "n3"} }

// Endpoint is where clients reach a server.
func (c *Cluster) Endpoint(name string) string { return "unix:" + c.path(name+".sock") }

// Start runs a server that does not run.
func (c *Cluster) Start(tb testing.TB, name string) {
	tb.Helper()
	c.servers[name] = c.daemon(tb, "ovsdb-server", name, c.path(name+".db"), "--remote=punix:"+c.path(name+".sock"))
}

// Kill ends a server at once.
func (c *Cluster) Kill(name string) {
	cmd := c.servers[name]
	stop(&cmd)
	delete(c.servers, name)
}

// Compact has a server write its database anew, without history.
func (c *Cluster) Compact(tb testing.TB, name string) {
	tb.Helper()
	c.run(tb, "ovs-appctl", "-t", c.path(name+".ctl"), "ovsdb-server/compact", "OVN_Northbound")
}

// Leader waits until one of the servers leads, and gives its name.
func (c *Cluster) Leader(tb testing.TB) string {
	tb.Helper()
	var last error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		for name := range c.servers {
			out, err := c.try("ovs-appctl", "-t", c.path(name+".ctl"), "cluster/status", "OVN_Northbound")
			if err == nil && strings.Contains(out, "Role: leader") {
				return name
			}
			last = err
		}
	}
	tb.Fatal(fmt.Errorf("nobody leads: %w", last))
	return ""
}
