package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// nodes are the lab's names for the machines of docs/install.md.
var nodes = map[string]string{"controller": "c0", "network": "h1", "compute": "h2"}

// document writes what docs/install.md shows into a directory: the files of "```ini MACHINE /etc/PATH" blocks as
// etc/NODE/PATH, and the commands of "```sh …" blocks as NAME.sh, a name for each word after "sh".
func document(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	contents := map[string]string{}
	var into []string
	for _, line := range strings.SplitAfter(string(text), "\n") {
		words := strings.Fields(line)
		switch {
		case len(words) > 0 && words[0] == "```ini":
			if len(words) != 3 || !strings.HasPrefix(words[2], "/etc/") {
				return fmt.Errorf("%q is not ```ini MACHINE /etc/PATH", line)
			}
			node := nodes[words[1]]
			if node == "" {
				node = words[1]
			}
			into = []string{filepath.Join("etc", node, strings.TrimPrefix(words[2], "/etc/"))}
		case len(words) > 0 && words[0] == "```sh":
			into = nil
			for _, word := range words[1:] {
				into = append(into, word+".sh")
			}
		case strings.HasPrefix(line, "```"):
			into = nil
		default:
			for _, name := range into {
				contents[name] += line
			}
		}
	}
	for name, content := range contents {
		path := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func TestDocument(t *testing.T) {
	to := t.TempDir()
	if err := document("../docs/install.md", to); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"etc/c0/neutron/neutron.conf", "etc/c0/neutron/plugins/ml2/ml2_conf.ini", "etc/h1/neutron/l3_agent.ini", "etc/h2/neutron/plugins/ml2/openvswitch_agent.ini",
		"etc/keystone/neutron/neutron.conf", "etc/nova/neutron/metadata_agent.ini", "controller.sh", "network.sh", "compute.sh", "admin.sh", "demo.sh",
	} {
		if b, err := os.ReadFile(filepath.Join(to, name)); err != nil || len(b) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
