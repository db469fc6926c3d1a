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
)

// TestStories runs every script, each in a lab of its own. Words of the scripts are in words.go; they
// and testscript's own are explained in docs/rooms/scenario.md.
func TestStories(t *testing.T) {
	if testing.Short() {
		t.Skip("a story takes seconds to a minute")
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(bin, "neutrino"), "neutrino/cmd/neutrino")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build neutrino: %v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                words,
		Condition: func(cond string) (bool, error) {
			if cond == "openstack" {
				_, err := exec.LookPath("openstack")
				return err == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+":"+os.Getenv("PATH")+":/usr/sbin:/sbin")
			env.Setenv("NEUTRINO_LAB_DIR", filepath.Join(env.WorkDir, "labs"))
			env.Setenv("NEUTRINO_LAB", labName)
			s := newStory(env)
			env.Values[storyKey{}] = s
			env.Defer(s.end)
			return nil
		},
	})
}
