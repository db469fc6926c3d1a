// Package scenario tells whole-system stories: each script in testdata raises a lab, speaks to the
// public API, and judges by packets.
package scenario

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"neutrino/lab"
	"neutrino/store"
	"neutrino/store/storetest"
)

// TestStories runs the scripts on Open vSwitch, each in a lab of its own. Words of the scripts are in words_test.go; they
// and testscript's own are explained in docs/rooms/scenario.md.
func TestStories(t *testing.T) { tell(t, openvswitch, "", stories(t, openvswitch)) }

// TestStoriesOVN runs the same scripts on OVN, but for those that ofOneDriver keeps from it.
func TestStoriesOVN(t *testing.T) { tell(t, lab.OVN, "", stories(t, lab.OVN)) }

func stories(t *testing.T, driver string) []string {
	files, err := storiesFor(driver)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestHybridStories tells on hosts with firewall_driver iptables_hybrid those that notFiltered does not keep from it, and
// those of testdata/hybrid.
func TestHybridStories(t *testing.T) {
	files, err := filteredStories()
	if err != nil {
		t.Fatal(err)
	}
	tell(t, openvswitch, "iptables_hybrid", files)
}

// tell runs scripts on hosts of a driver, and with a firewall_driver; "" is the lab's.
func tell(t *testing.T, driver, firewall string, files []string) {
	if testing.Short() {
		t.Skip("a story takes seconds to a minute")
	}
	bin := t.TempDir()
	build(t, filepath.Join(bin, "neutrino"))
	testscript.Run(t, testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                words,
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "openstack", "neutron":
				_, err := exec.LookPath(cond)
				return err == nil, nil
			case openvswitch, lab.OVN:
				return cond == driver, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+":"+os.Getenv("PATH")+":/usr/sbin:/sbin")
			env.Setenv("NEUTRINO_LAB_DIR", filepath.Join(env.WorkDir, "labs"))
			env.Setenv("NEUTRINO_LAB", labName)
			if err := document(filepath.Join("..", "docs", "install.md"), filepath.Join(env.WorkDir, "doc")); err != nil {
				return err
			}
			s := newStory(env, driver)
			s.firewall = firewall
			if storetest.Kind(t) != store.SQLite {
				s.database = storetest.Empty(t).URL.String()
			}
			env.Values[storyKey{}] = s
			env.Defer(s.end)
			return nil
		},
	})
}
