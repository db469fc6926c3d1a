package lab

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Networks that join the nodes, each a Linux bridge at the center, and the device that leads to it
// from a host: management (the host's own address), tunnels (on br-phy), and the provider networks physnet1
// (br-ex) and physnet2 (br-ex2).
var (
	networks = []string{"mgmt", "tun", "phys", "phys2"}
	devices  = map[string]string{"mgmt": "eth0", "tun": "eth1", "phys": "eth2", "phys2": "eth3"}
)

// buildSwitch makes the bridges in the namespace of this process.
func buildSwitch() error {
	for _, name := range networks {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = name, underlayMTU
		snoop := false
		bridge := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snoop}
		if err := netlink.LinkAdd(bridge); err != nil {
			return fmt.Errorf("make bridge %s: %w", name, err)
		}
		if err := netlink.LinkSetUp(bridge); err != nil {
			return fmt.Errorf("set bridge %s up: %w", name, err)
		}
	}
	return setAddress(nil, "mgmt", centerAddress+"/24")
}

// setAddress puts an address on a device; a nil handle is this process's namespace.
func setAddress(h *netlink.Handle, device string, addresses ...string) error {
	if h == nil {
		h = &netlink.Handle{}
	}
	link, err := h.LinkByName(device)
	if err != nil {
		return fmt.Errorf("device %s: %w", device, err)
	}
	for _, text := range addresses {
		addr, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		if addr.IP.To4() == nil {
			addr.Flags = 0x02 // IFA_F_NODAD: nobody else has it
		}
		if err := h.AddrReplace(link, addr); err != nil {
			return fmt.Errorf("address %s on %s: %w", text, device, err)
		}
	}
	return nil
}

// plugNode connects a node, known by its first process, to the networks.
func plugNode(name string, number, pid int) error {
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return err
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	for _, network := range networks {
		if name == Outside && network == "tun" {
			continue
		}
		if err := cable(h, name, network, int(ns)); err != nil {
			return err
		}
	}
	if name == Outside {
		if err := setAddress(h, "eth0", managementNet+"253/24"); err != nil {
			return err
		}
		if err := setAddress(h, "eth2", OutsideGateway+"/24", OutsideGateway6+"/64"); err != nil {
			return err
		}
		if err := setAddress(h, "eth3", OutsideGateway2+"/24"); err != nil {
			return err
		}
		return setAddress(h, "lo", OutsideFar+"/32", OutsideFar6+"/128")
	}
	return setAddress(h, "eth0", managementNet+strconv.Itoa(number)+"/24")
}

// cable makes a veth pair between the switch and the node.
func cable(node *netlink.Handle, name, network string, ns int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = name+"-"+network, underlayMTU
	device := devices[network]
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: device, PeerNamespace: netlink.NsFd(ns)}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make %s: %w", attrs.Name, err)
	}
	bridge, err := netlink.LinkByName(network)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetMaster(veth, bridge); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return err
	}
	inside, err := node.LinkByName(device)
	if err != nil {
		return err
	}
	if err := node.LinkSetMTU(inside, underlayMTU); err != nil {
		return err
	}
	return node.LinkSetUp(inside)
}

// unplugNode removes what is left of a node's cables; the kernel may be quicker.
func unplugNode(name string) error {
	for _, network := range networks {
		link, err := netlink.LinkByName(name + "-" + network)
		if err != nil {
			continue
		}
		if err := netlink.LinkDel(link); err != nil {
			if _, gone := netlink.LinkByName(name + "-" + network); gone == nil {
				return fmt.Errorf("unplug %s: %w", name, err)
			}
		}
	}
	return nil
}

// pickNetworks checks a choice of networks; none is all.
func pickNetworks(choice []string) ([]string, error) {
	if len(choice) == 0 {
		return networks, nil
	}
	for _, n := range choice {
		if !slices.Contains(networks, n) {
			return nil, fmt.Errorf("no network %q: there are %s", n, strings.Join(networks, ", "))
		}
	}
	return choice, nil
}

// Cut pulls a host's cables out of the given networks (all, if none is given).
func (l *Lab) Cut(host string, choice ...string) error { return l.setCables(host, "down", choice) }

// Heal plugs them in again.
func (l *Lab) Heal(host string, choice ...string) error { return l.setCables(host, "up", choice) }

func (l *Lab) setCables(host, to string, choice []string) error {
	if _, err := l.checkHost(host); err != nil {
		return err
	}
	list, err := pickNetworks(choice)
	if err != nil {
		return err
	}
	for _, n := range list {
		if _, err := l.output(Center, "", "ip", "link", "set", host+"-"+n, to); err != nil {
			return err
		}
	}
	return nil
}

// Loss drops a share of the frames that a host sends on a network, in percent; 0 ends it.
func (l *Lab) Loss(host, network string, percent int) error {
	if _, err := l.checkHost(host); err != nil {
		return err
	}
	if _, err := pickNetworks([]string{network}); err != nil {
		return err
	}
	if percent < 0 || percent > 100 {
		return fmt.Errorf("loss of %d %%: give 0 to 100", percent)
	}
	table := "loss_" + host + "_" + network
	rules := fmt.Sprintf("table netdev %s {}\ndelete table netdev %s\n", table, table)
	which := fmt.Sprintf("numgen random mod 100 < %d", percent)
	if percent == 100 {
		which = "" // nft knows no number below 100 that is not below 100
	}
	if percent > 0 {
		rules += fmt.Sprintf("table netdev %s { chain c { type filter hook ingress device %q priority 0; %s drop; }; }\n",
			table, host+"-"+network, which)
	}
	_, err := l.output(Center, rules, "nft", "-f", "-")
	return err
}

var rateForm = regexp.MustCompile(`^[0-9]{1,6}[kmg]bit$`)

// Rate limits what a host receives on a network, such as 100mbit; 0 ends it.
func (l *Lab) Rate(host, network, rate string) error {
	if _, err := l.checkHost(host); err != nil {
		return err
	}
	if _, err := pickNetworks([]string{network}); err != nil {
		return err
	}
	if rate != "0" && !rateForm.MatchString(rate) {
		return fmt.Errorf("rate %q: give 0, or a number with kbit, mbit or gbit", rate)
	}
	device := host + "-" + network
	if rate == "0" {
		if shown, err := l.output(Center, "", "tc", "qdisc", "show", "dev", device); err != nil || !strings.Contains(shown, "tbf") {
			return err
		}
		_, err := l.output(Center, "", "tc", "qdisc", "del", "dev", device, "root")
		return err
	}
	_, err := l.output(Center, "", "tc", "qdisc", "replace", "dev", device, "root", "tbf", "rate", rate, "burst", "64k", "latency", "50ms")
	return err
}

// writeSetting sets a kernel setting of this namespace, such as net/ipv6/conf/eth0/accept_ra.
func writeSetting(name, value string) error {
	if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	return nil
}

// hardware is the form in which the kernel's interface takes a MAC.
func hardware(mac [6]byte) net.HardwareAddr { return mac[:] }
