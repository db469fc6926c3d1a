package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tools are the programs that a lab runs, and the packages (Debian's names) that bring them.
var tools = []struct{ program, pkg string }{
	{"ovs-vswitchd", "openvswitch-switch"}, {"ovsdb-server", "openvswitch-switch"}, {"ovs-vsctl", "openvswitch-switch"},
	{"ip", "iproute2"}, {"tc", "iproute2"}, {"nft", "nftables"}, {"ethtool", "ethtool"}, {"ping", "iputils-ping"},
}

// checkTools says what to install. It also puts the administrators' directories on the path, which an
// ordinary user's often lacks.
func checkTools() error {
	path := os.Getenv("PATH")
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if !strings.Contains(":"+path+":", ":"+dir+":") {
			path += ":" + dir
		}
	}
	if err := os.Setenv("PATH", path); err != nil {
		return err
	}
	var missing []string
	for _, t := range tools {
		if _, err := exec.LookPath(t.program); err != nil {
			missing = append(missing, fmt.Sprintf("%s (package %s)", t.program, t.pkg))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("not installed: %s", strings.Join(missing, ", "))
	}
	return checkTun()
}

// checkTun sees to the device by which a userspace Open vSwitch gives bridges an interface of their
// own. Most distributions let everybody open it, and the kernel asks for privileges where it counts.
func checkTun() error {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return errors.New("/dev/net/tun may not be opened: allow it until the next boot by\n    sudo chmod 666 /dev/net/tun\nor run the same command with sudo")
	case err != nil:
		return fmt.Errorf("Open vSwitch needs the tun device: load it by\n    sudo modprobe tun\n(%w)", err)
	}
	return f.Close()
}

// namespaceAdvice says what keeps an ordinary user from making user namespaces, and what to do.
func namespaceAdvice() error {
	for _, knob := range []struct{ file, bad, cure string }{
		{"kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"},
		{"kernel/apparmor_restrict_unprivileged_userns", "1", "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
		{"user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=10000"},
	} {
		value, err := os.ReadFile(filepath.Join("/proc/sys", knob.file))
		if err == nil && strings.TrimSpace(string(value)) == knob.bad {
			return fmt.Errorf("this machine does not let ordinary users make namespaces: allow it until the next boot by\n    %s\nor run the same command with sudo", knob.cure)
		}
	}
	return errors.New("this machine does not let this user make namespaces (a container's seccomp profile?): run the same command with sudo, or outside of the container")
}
