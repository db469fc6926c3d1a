package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Where a node finds its own part of the lab's directory, which outlives a power failure.
const nodeDir = "/run/lab"

// private are directories that each node has for itself, if the machine has them at all.
var private = []string{"/etc/openvswitch", "/var/lib/openvswitch", "/var/log/openvswitch"}

// runNode is a host: it makes its surroundings and then does what it is asked. dir is the node's
// part of the lab's directory.
func runNode(name, dir string) error {
	ln, err := listenerAt(3)
	if err == nil {
		err = furnish(name, dir)
	}
	ready(err)
	if err != nil {
		return err
	}
	return newRunner().serve(ln)
}

// furnish gives a fresh set of namespaces its name, /proc, /run and directories.
func furnish(name, dir string) error {
	if err := syscall.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("set the host's name: %w", err)
	}
	if err := ownProc(); err != nil {
		return err
	}
	// /run is about to hide whatever is below it, maybe the lab's directory too.
	home, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer unix.Close(home)
	for _, target := range private {
		if _, err := os.Stat(target); errors.Is(err, os.ErrNotExist) {
			continue
		}
		source := filepath.Join(dir, filepath.Base(filepath.Dir(target))+"-"+filepath.Base(target))
		if err := os.MkdirAll(source, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(source, target, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("make %s private: %w", target, err)
		}
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("make /run private: %w", err)
	}
	for _, d := range []string{nodeDir, "/run/netns", "/run/openvswitch", "/run/ovn", "/run/lock"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	// A shared mount before the first namespace is named there: whoever made it one later would cover the names that are there.
	if err := syscall.Mount("/run/netns", "/run/netns", "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("make a mount of /run/netns: %w", err)
	}
	if err := syscall.Mount("", "/run/netns", "", syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share /run/netns: %w", err)
	}
	if err := syscall.Mount("/proc/self/fd/"+strconv.Itoa(home), nodeDir, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("show the node its directory: %w", err)
	}
	if err := ownEtc(filepath.Join(nodeDir, "etc"), filepath.Join(nodeDir, "machine-etc")); err != nil {
		return err
	}
	return loopbackUp()
}

// ownProc mounts /proc and /sys of the namespaces that this process is in.
func ownProc() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc (is this a container that hides parts of it?): %w", err)
	}
	// Inside some containers /sys may not be mounted anew; nothing here depends on it.
	if err := syscall.Mount("sysfs", "/sys", "sysfs", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		fmt.Fprintf(os.Stderr, "no /sys of its own: %v\n", err)
	}
	return nil
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}
