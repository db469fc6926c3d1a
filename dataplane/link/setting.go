package link

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"neutrino/dataplane/netns"
)

// SetSysctls gives kernel settings under net/ their values. Keys are paths, such as
// net/ipv4/conf/all/arp_ignore.
func (s *Space) SetSysctls(want map[string]string) error {
	return netns.Do(s.name, func() error {
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if !strings.HasPrefix(key, "net/") || strings.Contains(key, "..") {
				return fmt.Errorf("%q is not a setting of a network namespace", key)
			}
			path := filepath.Join("/proc/sys", key)
			have, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("read %s: %w", key, err)
			}
			if strings.TrimSpace(string(have)) == want[key] {
				continue
			}
			if err := s.write(os.WriteFile(path, []byte(want[key]), 0), "set %s to %s", key, want[key]); err != nil {
				return err
			}
		}
		return nil
	})
}

// The commands of ethtool's ioctl for the checksums of what is sent (linux/ethtool.h).
const (
	ethtoolGetTxCsum = 0x16
	ethtoolSetTxCsum = 0x17
)

type ethtoolValue struct{ command, data uint32 }

type ethtoolRequest struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte // the rest of the kernel's union
}

// ChecksumInSoftware makes the kernel fill in the checksums of what it sends by a device, which it
// otherwise leaves to hardware that a veth does not have.
func (s *Space) ChecksumInSoftware(device string) error {
	return netns.Do(s.name, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open a socket: %w", err)
		}
		defer unix.Close(fd)
		value := ethtoolValue{command: ethtoolGetTxCsum}
		if err := ethtool(fd, device, &value); err != nil {
			return fmt.Errorf("read the offloads of %s: %w", device, err)
		}
		if value.data == 0 {
			return nil
		}
		value = ethtoolValue{command: ethtoolSetTxCsum}
		return s.write(ethtool(fd, device, &value), "turn off checksum offload of %s", device)
	})
}

func ethtool(fd int, device string, value *ethtoolValue) error {
	if len(device) >= unix.IFNAMSIZ {
		return unix.ENODEV
	}
	request := ethtoolRequest{data: unsafe.Pointer(value)}
	copy(request.name[:], device)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(value)
	if errno != 0 {
		return errno
	}
	return nil
}
