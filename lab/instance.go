package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"neutrino/address"
	"neutrino/lab/guest"
)

// Instance is a machine of a tenant: a network namespace on a host, with one NIC on br-int.
type Instance struct {
	Name    string      `json:"name"`
	Host    string      `json:"host"`
	Port    string      `json:"port"` // the Neutron port that its NIC is; on a bare lab, any word
	MAC     address.MAC `json:"mac"`
	MTU     int         `json:"mtu"`
	Bridge  string      `json:"bridge,omitempty"`  // br-int unless said otherwise
	Address []string    `json:"address,omitempty"` // given by hand, with prefix length; then no DHCP client runs
	Hybrid  bool        `json:"hybrid,omitempty"`  // a bridge of its own is between it and br-int
	VLAN    int         `json:"vlan,omitempty"`    // the bridge has its NIC on this VLAN, as a switch has an access port; 0: on none
}

// Tap is the name of the instance's device on its host.
func (i Instance) Tap() string {
	if i.Hybrid {
		return "tap" + i.Port[:11]
	}
	return "tap" + i.Name
}

// OnBridge is the name of the device by which the instance is on br-int.
func (i Instance) OnBridge() string {
	if i.Hybrid {
		return hybridDevice("qvo", i)
	}
	return i.Tap()
}

// hybridDevice is the name of one of the devices between a hybrid instance and br-int.
func hybridDevice(prefix string, i Instance) string { return prefix + i.Port[:11] }

// Instances are those that were booted and not deleted.
func (l *Lab) Instances() ([]Instance, error) {
	entries, err := os.ReadDir(l.path("instances"))
	if err != nil {
		return nil, err
	}
	list := []Instance{}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok {
			i, err := l.Instance(name)
			if err != nil {
				return nil, err
			}
			list = append(list, i)
		}
	}
	return list, nil
}

// Instance finds one by name.
func (l *Lab) Instance(name string) (Instance, error) {
	var i Instance
	if !instanceName.MatchString(name) {
		return i, fmt.Errorf("instance name %q: use up to 11 of a-z, 0-9 and -", name)
	}
	err := readJSON(l.path("instances", name+".json"), &i)
	if errors.Is(err, fs.ErrNotExist) {
		return i, fmt.Errorf("no host or instance %q", name)
	}
	return i, err
}

// Plug makes an instance the way a compute service does: the NIC appears on br-int under its port's
// id, and the operating system inside starts to ask for its address.
func (l *Lab) Plug(i Instance) error {
	if !instanceName.MatchString(i.Name) {
		return fmt.Errorf("instance name %q: use up to 11 of a-z, 0-9 and -", i.Name)
	}
	if _, err := l.checkHost(i.Host); err != nil {
		return err
	}
	if _, err := l.checkHost(i.Name); err == nil || i.Name == Center || i.Name == Outside {
		return fmt.Errorf("%s is the name of a node", i.Name)
	}
	if _, err := l.Instance(i.Name); err == nil {
		return fmt.Errorf("there is an instance %s already", i.Name)
	}
	if i.Hybrid && (len(i.Port) < 11 || strings.Trim(i.Port, "0123456789abcdef-") != "") {
		return fmt.Errorf("%q is not a port's id", i.Port)
	}
	if i.Bridge == "" {
		i.Bridge = "br-int"
	}
	if i.MTU == 0 {
		i.MTU = 1500
	}
	if err := writeJSON(l.path("instances", i.Name+".json"), i); err != nil {
		return err
	}
	if err := l.plug(i); err != nil {
		return errors.Join(err, os.Remove(l.path("instances", i.Name+".json")))
	}
	return nil
}

func (l *Lab) plug(i Instance) error {
	dir := l.path("nodes", i.Host, "instances", i.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for file, content := range map[string]string{"resolv.conf": "", guest.StatusFile: "{}"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
			return err
		}
	}
	if err := writeJSON(filepath.Join(dir, "plug.json"), i); err != nil {
		return err
	}
	if _, err := l.output(i.Host, "", self, "lab", "inner", "plug", i.Name); err != nil {
		return err
	}
	if len(i.Address) > 0 {
		return nil
	}
	return l.spawn(i.Host, request{Service: "guest-" + i.Name, Instance: i.Name,
		Argv: []string{self, "lab", "inner", "guest", "eth0", instanceDir(i.Name)}})
}

// Delete unplugs an instance and forgets it. On a host that is down only the memory of it goes.
func (l *Lab) Delete(name string) error {
	i, err := l.Instance(name)
	if err != nil {
		return err
	}
	if services, err := l.Services(i.Host); err == nil {
		if services["guest-"+name] != 0 {
			if err := l.kill(i.Host, "guest-"+name, syscall.SIGKILL); err != nil {
				return err
			}
		}
		if _, err := l.output(i.Host, "", self, "lab", "inner", "unplug", name); err != nil {
			return err
		}
	}
	return errors.Join(os.RemoveAll(l.path("nodes", i.Host, "instances", name)), os.Remove(l.path("instances", name+".json")))
}

// Guest is what the operating system inside of an instance found out so far.
func (l *Lab) Guest(name string) (guest.Status, error) {
	i, err := l.Instance(name)
	if err != nil {
		return guest.Status{}, err
	}
	var s guest.Status
	return s, readJSON(l.path("nodes", i.Host, "instances", name, guest.StatusFile), &s)
}

// WaitLease waits until the instance has an address by DHCP.
func (l *Lab) WaitLease(ctx context.Context, name string) (guest.Status, error) {
	for {
		s, err := l.Guest(name)
		if err != nil || s.Address.IsValid() {
			return s, err
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("%s got no address: %w", name, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func instanceDir(name string) string { return filepath.Join(nodeDir, "instances", name) }

// plugInstance runs on the host: it makes the namespace, the NIC, and the port on the bridge.
func plugInstance(name string) error {
	var i Instance
	if err := readJSON(filepath.Join(instanceDir(name), "plug.json"), &i); err != nil {
		return err
	}
	runtime.LockOSThread() // this process ends soon; nobody else uses the thread
	here, err := netns.Get()
	if err != nil {
		return err
	}
	inside, err := netns.NewNamed("vm-" + name)
	if err != nil {
		return fmt.Errorf("make the namespace of %s: %w", name, err)
	}
	if err := errors.Join(loopbackUp(), ignoreMissing(writeSetting("net/ipv4/ping_group_range", "0 0"))); err != nil {
		return err
	}
	if err := netns.Set(here); err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = i.Tap(), i.MTU
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerHardwareAddr: hardware(i.MAC), PeerNamespace: netlink.NsFd(int(inside)), PeerMTU: uint32(i.MTU)}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make the NIC of %s: %w", name, err)
	}
	if err := quiet(i.Tap()); err != nil {
		return err
	}
	if i.Hybrid {
		if err := plugHybrid(i, veth); err != nil {
			return err
		}
	}
	if err := runLine(hideRules(i.OnBridge()), "nft", "-f", "-"); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return err
	}
	if err := configureInside(inside, here, i); err != nil {
		return err
	}
	add := []string{"ovs-vsctl", "--timeout=20", "--", "--if-exists", "del-port", i.Bridge, i.OnBridge(), "--", "add-port", i.Bridge, i.OnBridge()}
	if i.VLAN != 0 {
		add = append(add, "tag="+strconv.Itoa(i.VLAN))
	}
	return runLine("", append(add, "--", "set", "Interface", i.OnBridge(),
		"external_ids:iface-id="+i.Port, `external_ids:attached-mac="`+i.MAC.String()+`"`,
		"external_ids:iface-status=active", "external_ids:vm-uuid="+i.Name)...)
}

// quiet keeps the host's own stack off an instance's wire.
func quiet(device string) error {
	return ignoreMissing(writeSetting("net/ipv6/conf/"+device+"/disable_ipv6", "1"))
}

// plugHybrid puts a bridge between the instance's device and br-int, as a compute service does for a port with
// ovs_hybrid_plug: tap - qbr - qvb - qvo. The bridge forgets addresses at once, or it would learn the instance's on the
// wrong side.
func plugHybrid(i Instance, tap netlink.Link) error {
	snoop, ageing := false, uint32(0)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = hybridDevice("qbr", i), i.MTU
	bridge := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snoop, AgeingTime: &ageing}
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("make the bridge of %s: %w", i.Name, err)
	}
	attrs = netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = hybridDevice("qvb", i), i.MTU
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: hybridDevice("qvo", i), PeerMTU: uint32(i.MTU)}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("join the bridge of %s to br-int: %w", i.Name, err)
	}
	outer, err := netlink.LinkByName(hybridDevice("qvo", i))
	if err != nil {
		return err
	}
	for _, device := range []netlink.Link{bridge, pair, outer} {
		if err := quiet(device.Attrs().Name); err != nil {
			return err
		}
	}
	for _, member := range []netlink.Link{tap, pair} {
		if err := netlink.LinkSetMaster(member, bridge); err != nil {
			return err
		}
	}
	for _, device := range []netlink.Link{bridge, pair, outer} {
		if err := netlink.LinkSetUp(device); err != nil {
			return err
		}
	}
	return nil
}

// configureInside sets the NIC up inside; without checksum offload, for no hardware fills them in.
func configureInside(inside, here netns.NsHandle, i Instance) error {
	if err := netns.Set(inside); err != nil {
		return err
	}
	if err := errors.Join(
		ignoreMissing(writeSetting("net/ipv6/conf/eth0/accept_ra", "2")),
		ignoreMissing(writeSetting("net/ipv6/conf/eth0/router_solicitation_interval", "1")),
		ignoreMissing(writeSetting("net/ipv6/conf/eth0/router_solicitation_delay", "0")),
		runLine("", "ethtool", "-K", "eth0", "tx", "off"),
	); err != nil {
		return err
	}
	nic, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(nic); err != nil {
		return err
	}
	if err := setAddress(nil, "eth0", i.Address...); err != nil {
		return err
	}
	return netns.Set(here)
}

// ignoreMissing lets a setting be absent, as IPv6's are where the kernel has none.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// unplugInstance runs on the host and undoes plugInstance.
func unplugInstance(name string) error {
	var i Instance
	if err := readJSON(filepath.Join(instanceDir(name), "plug.json"), &i); err != nil {
		return err
	}
	var failed []error
	outer := i.OnBridge()
	failed = append(failed, runLine("", "ovs-vsctl", "--timeout=20", "--if-exists", "del-port", i.Bridge, outer))
	failed = append(failed, runLine(fmt.Sprintf("table netdev lab_hide_%s {}\ndelete table netdev lab_hide_%s\n", outer, outer), "nft", "-f", "-"))
	devices := []string{i.Tap()}
	if i.Hybrid {
		devices = append(devices, outer, hybridDevice("qbr", i))
	}
	for _, device := range devices {
		if link, err := netlink.LinkByName(device); err == nil {
			failed = append(failed, netlink.LinkDel(link))
		}
	}
	return errors.Join(append(failed, netns.DeleteNamed("vm-"+name))...)
}

// runLine runs a program with arguments; its complaint becomes the error.
func runLine(input string, argv ...string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// enterInstance becomes a command inside of an instance, which sees its own resolv.conf.
func enterInstance(name string, argv []string) error {
	runtime.LockOSThread() // never unlocked: the thread becomes the command
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare mounts: %w", err)
	}
	ns, err := netns.GetFromName("vm-" + name)
	if err != nil {
		return fmt.Errorf("namespace of %s: %w", name, err)
	}
	if err := netns.Set(ns); err != nil {
		return fmt.Errorf("enter the namespace of %s: %w", name, err)
	}
	if err := bindResolver(filepath.Join(instanceDir(name), "resolv.conf")); err != nil {
		return err
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	return fmt.Errorf("run %s: %w", path, syscall.Exec(path, argv, os.Environ()))
}

// bindResolver shows a file as /etc/resolv.conf, also where that is a link into /run.
func bindResolver(file string) error {
	target, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if errors.Is(err, fs.ErrNotExist) {
		link, lerr := os.Readlink("/etc/resolv.conf")
		if lerr != nil {
			return nil // this machine has no such file at all
		}
		target = link
		if !filepath.IsAbs(target) {
			target = filepath.Join("/etc", link)
		}
		if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
			err = os.WriteFile(target, nil, 0o644)
		}
	}
	if err != nil {
		return fmt.Errorf("find resolv.conf: %w", err)
	}
	if err := syscall.Mount(file, target, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("show the instance its resolv.conf: %w", err)
	}
	return nil
}
