// Package netns makes, enters and lists named network namespaces, as ip-netns(8) keeps them: each is
// a file in /run/netns on which the namespace is mounted.
package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const dir = "/run/netns"

// nsfs is the file system type of mounted namespaces (statfs(2)).
const nsfs = 0x6e736673

// Create makes a namespace, with lo still down and the mark as its alias, by which its maker knows it again; it is
// never seen without its mark. One that is there is left alone.
func Create(name, mark string) error {
	path, err := pathOf(name)
	if err != nil {
		return err
	}
	if err := shareable(); err != nil {
		return fmt.Errorf("prepare %s: %w", dir, err)
	}
	if mounted(path) {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	f.Close()
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("create namespace %s: %w", name, err)
		}
		if err := setAlias(mark); err != nil {
			return fmt.Errorf("mark namespace %s: %w", name, err)
		}
		if err := unix.Mount("/proc/thread-self/ns/net", path, "none", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount namespace %s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		os.Remove(path)
	}
	return err
}

// setAlias marks the namespace of the calling thread.
func setAlias(mark string) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetAlias(lo, mark)
}

// Mark is what a namespace was marked with; "" when it is nobody's that marks.
func Mark(name string) (mark string, err error) {
	err = Do(name, func() error {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			mark = lo.Attrs().Alias
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the mark of namespace %s: %w", name, err)
	}
	return mark, nil
}

// shareable makes the directory a shared mount, so that namespaces made here are seen, and can be
// removed, in other mount namespaces.
func shareable() error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	err := unix.Mount("", dir, "none", unix.MS_SHARED|unix.MS_REC, "")
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	if err := unix.Mount(dir, dir, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	return unix.Mount("", dir, "none", unix.MS_SHARED|unix.MS_REC, "")
}

// Delete removes the name. The namespace itself lives on while a process or socket is in it: delete
// the devices first. One that is not there is no error.
func Delete(name string) error {
	path, err := pathOf(name)
	if err != nil {
		return err
	}
	for mounted(path) {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount namespace %s: %w", name, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete namespace %s: %w", name, err)
	}
	return nil
}

// List names the namespaces that begin with a prefix, sorted.
func List(prefix string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// Identity tells one incarnation of a namespace from the next of the same name. While there is none
// the error is fs.ErrNotExist.
func Identity(name string) (uint64, error) {
	path, err := pathOf(name)
	if err != nil {
		return 0, err
	}
	if !mounted(path) {
		return 0, fmt.Errorf("namespace %s: %w", name, fs.ErrNotExist)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, fmt.Errorf("namespace %s: %w", name, err)
	}
	return st.Ino, nil
}

// Open gives the namespace as a file, for netlink's NewHandleAt and the like. The caller closes it.
func Open(name string) (*os.File, error) {
	path, err := pathOf(name)
	if err != nil {
		return nil, err
	}
	if !mounted(path) {
		return nil, fmt.Errorf("namespace %s: %w", name, fs.ErrNotExist)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open namespace %s: %w", name, err)
	}
	return f, nil
}

// Do runs f inside the namespace, on a thread of its own. Sockets that f opens and processes that it
// starts stay inside; goroutines that it starts do not. The name "" is this process's namespace.
func Do(name string, f func() error) error {
	if name == "" {
		return f()
	}
	target, err := Open(name)
	if err != nil {
		return err
	}
	defer target.Close()
	return onThread(func() error {
		if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter namespace %s: %w", name, err)
		}
		return f()
	})
}

// Scratch runs f in a new namespace without a name, which is gone afterwards.
func Scratch(f func() error) error {
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("create a scratch namespace: %w", err)
		}
		return f()
	})
}

// onThread runs f, which may change the thread's network namespace, and then changes it back. A
// thread that can't be brought back stays locked, so that it dies with its goroutine.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		result := errors.New("the function did not return")
		defer func() { done <- result }()
		runtime.LockOSThread()
		here, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			result = fmt.Errorf("find this thread's namespace: %w", err)
			return
		}
		defer here.Close()
		defer func() {
			if unix.Setns(int(here.Fd()), unix.CLONE_NEWNET) == nil {
				runtime.UnlockOSThread()
			}
		}()
		result = f()
	}()
	return <-done
}

// pathOf gives the file of a namespace. It refuses names that would leave the directory.
func pathOf(name string) (string, error) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return "", fmt.Errorf("%q is not a name for a namespace", name)
	}
	return filepath.Join(dir, name), nil
}

func mounted(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && uint32(st.Type) == nsfs
}
