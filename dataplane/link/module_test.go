package link

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// hide makes br_netfilter look as if it were not loaded.
func hide(t *testing.T) {
	t.Helper()
	if err := unix.Mount("none", bridgeSettings, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(bridgeSettings, 0) }) // a test may have done it
}

func TestLoadBridgeFilter(t *testing.T) {
	if err := LoadBridgeFilter(t.Context()); err != nil {
		t.Fatal(err)
	}
	hide(t)
	if _, err := BridgeSettings(); !errors.Is(err, ErrNoBridgeFilter) {
		t.Errorf("the settings: %v", err)
	}
	dir := t.TempDir()
	path := os.Getenv("PATH")
	for _, c := range []struct{ name, modprobe, want string }{
		{"it is refused", "echo 'modprobe: FATAL: no such' >&2; echo module >&2; exit 1", "(the agent has tried: modprobe: FATAL: no such module"},
		{"it does nothing", "exit 0", "modprobe says that it is"},
		{"there is none", "", "executable file not found"},
		{"it is loaded", `test "$*" = br_netfilter && PATH=` + path + ` umount ` + bridgeSettings, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			program := filepath.Join(dir, "modprobe")
			if err := os.WriteFile(program, []byte("#!/bin/sh\n"+c.modprobe+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			if c.modprobe == "" {
				if err := os.Remove(program); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", dir)
			err := LoadBridgeFilter(t.Context())
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, ErrNoBridgeFilter) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v", err)
			}
		})
	}
	if _, err := BridgeSettings(); err != nil {
		t.Errorf("after it was loaded: %v", err)
	}
}
