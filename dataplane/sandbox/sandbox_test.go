package sandbox

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

func TestAlone(t *testing.T) {
	if os.Getpid() != 1 || os.Getuid() != 0 {
		t.Errorf("pid %d, uid %d: want 1 and 0", os.Getpid(), os.Getuid())
	}
	out, err := exec.Command("ip", "-o", "link").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(out), "\n"); lines != 1 || !strings.Contains(string(out), "LOOPBACK,UP") {
		t.Errorf("links are not just lo:\n%s", out)
	}
	out, err = exec.Command("ip", "netns", "add", "x").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	must(t, "ip", "netns", "exec", "x", "ip", "link", "set", "lo", "up")
	must(t, "ip", "netns", "delete", "x")
}

func TestOVS(t *testing.T) {
	o := StartOVS(t)
	must(t, "ovs-vsctl", "--db="+o.Endpoint, "--timeout=10", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev")
	must(t, "ovs-ofctl", "dump-flows", "unix:"+o.RunDir+"/br0.mgmt")
}
