// Package packaging has what a machine needs besides the program: systemd units, and a Debian package's scripts.
package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var units = []string{"neutrino-server.service", "neutrino-agent.service"}

func TestUnits(t *testing.T) {
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	start := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/neutrino .*$`)
	for _, name := range units {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !start.Match(text) {
			t.Errorf("%s does not start /usr/bin/neutrino", name)
		}
		// The program need not be installed here.
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, start.ReplaceAll(text, []byte("ExecStart=/bin/true")), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(verify, "verify", "--man=no", path).CombinedOutput()
		for _, line := range strings.Split(string(out), "\n") {
			if strings.Contains(line, name) {
				t.Errorf("%s (%v)", line, err)
			}
		}
	}
}

// TestAgentSharesMounts holds the agent's unit to the host's mount namespace: the network namespaces that it makes are
// mounts in /run/netns, and a service with a mount namespace of its own would take them along when it ends.
func TestAgentSharesMounts(t *testing.T) {
	text, err := os.ReadFile("neutrino-agent.service")
	if err != nil {
		t.Fatal(err)
	}
	private := regexp.MustCompile(`(?m)^(Private(Tmp|Devices|Network|Users|Mounts|IPC)|Protect(System|Home|Proc|ControlGroups|Kernel\w+|Hostname)|(ReadOnly|ReadWrite|Inaccessible|Exec|NoExec)Paths|BindPaths|BindReadOnlyPaths|TemporaryFileSystem|RootDirectory|RootImage|MountAPIVFS|DynamicUser|RuntimeDirectory)=`)
	if found := private.FindAll(text, -1); found != nil {
		t.Errorf("%q", found)
	}
}

// TestAgentLoadsModules: the hybrid firewall's module is loaded by the agent, by a program of kmod.
func TestAgentLoadsModules(t *testing.T) {
	for name, want := range map[string]string{
		"neutrino-agent.service":              `(?m)^CapabilityBoundingSet=.*\bCAP_SYS_MODULE\b`,
		filepath.Join("..", "scripts", "deb"): `(?m)^Recommends: .*\bkmod\b`,
	} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(want).Match(text) {
			t.Errorf("%s has no %s", name, want)
		}
	}
}

func TestScripts(t *testing.T) {
	for _, name := range []string{"postinst", "prerm", "postrm"} {
		if out, err := exec.Command("sh", "-n", filepath.Join("deb", name)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
}

// TestPackage makes the package and looks into it.
func TestPackage(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("dpkg-deb is not installed")
	}
	program := filepath.Join(t.TempDir(), "neutrino") // its size does not matter here
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	build := exec.Command("../scripts/deb", dir)
	build.Env = append(os.Environ(), "NEUTRINO_BINARY="+program, "NEUTRINO_VERSION=1.2")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found, err := filepath.Glob(filepath.Join(dir, "neutrino_1.2_*.deb"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	list, err := exec.Command("dpkg-deb", "--contents", found[0]).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"./usr/bin/neutrino", "./lib/systemd/system/neutrino-server.service", "./lib/systemd/system/neutrino-agent.service", "./usr/lib/sysusers.d/neutrino.conf", "./usr/share/doc/neutrino/install.md"} {
		if !strings.Contains(string(list), " "+path+"\n") {
			t.Errorf("%s is missing:\n%s", path, list)
		}
	}
	control, err := exec.Command("dpkg-deb", "--field", found[0]).Output()
	if err != nil || !strings.Contains(string(control), "Package: neutrino\nVersion: 1.2\n") {
		t.Errorf("%s %v", control, err)
	}
}
