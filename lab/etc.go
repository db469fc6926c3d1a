package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A lab may be given configuration files: a directory with one directory for each node (c0, h1, …), which is what
// that node has in /etc besides what the machine has there. The server then runs by /etc/neutron of c0, and each agent
// by that of its host, as on machines of an operator.

// takeEtc copies the nodes' files into the lab.
func (l *Lab) takeEtc(from string, nodes []string) error {
	for _, node := range nodes {
		source, own := filepath.Join(from, node), l.path("nodes", node, "etc")
		if info, err := os.Stat(source); err != nil || !info.IsDir() {
			return fmt.Errorf("%s has no directory with the files of %s", from, node)
		}
		if err := os.MkdirAll(filepath.Dir(own), 0o755); err != nil {
			return err
		}
		if err := os.CopyFS(own, os.DirFS(source)); err != nil {
			return fmt.Errorf("copy the files of %s: %w", node, err)
		}
		if err := os.MkdirAll(filepath.Join(own, "neutrino"), 0o755); err != nil { // the agents' secret comes there
			return err
		}
	}
	return nil
}

// writeSecret gives a host what its agent shows, where an operator puts it.
func (l *Lab) writeSecret(host string, secret []byte) error {
	dir := l.path("nodes", host, "etc", "neutrino")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "agent-secret"), secret, 0o600)
}

// ownEtc lays a node's files over its /etc. What the machine has there is seen through links to where it is put aside.
// Only this mount namespace sees it so.
func ownEtc(own, aside string) error {
	entries, err := os.ReadDir(own)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	const etc = "/etc"
	if err := os.MkdirAll(aside, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(etc, aside, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("put the machine's /etc aside: %w", err)
	}
	if err := syscall.Mount("tmpfs", etc, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("make /etc private: %w", err)
	}
	for _, e := range entries {
		if err := os.Symlink(filepath.Join(own, e.Name()), filepath.Join(etc, e.Name())); err != nil {
			return err
		}
	}
	machine, err := os.ReadDir(aside)
	if err != nil {
		return err
	}
	for _, e := range machine {
		path, target := filepath.Join(etc, e.Name()), filepath.Join(aside, e.Name())
		if e.Type()&fs.ModeSymlink != 0 {
			if target, err = os.Readlink(target); err != nil {
				return err
			}
		}
		if err := os.Symlink(target, path); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
