package lab

import (
	"context"
	"fmt"
	"strconv"
)

// OutsideVLAN gives the outside a device vlanID with these addresses (with their prefix lengths) on a VLAN
// of a provider network, "phys" or "phys2", where it has addresses without a VLAN already. An Open vSwitch
// of the outside's own puts the tag on, for not every kernel can.
func (l *Lab) OutsideVLAN(ctx context.Context, network string, id int, addresses ...string) error {
	if network != "phys" && network != "phys2" {
		return fmt.Errorf("no provider network %q: there are phys and phys2", network)
	}
	if id < 1 || id > 4094 {
		return fmt.Errorf("VLAN %d: give 1 to 4094", id)
	}
	if err := l.startOVS(ctx, Outside, nil); err != nil {
		return err
	}
	bridge, trunk, tag := "br-"+network, devices[network], strconv.Itoa(id)
	access := "vlan" + tag
	// Untagged frames are the kernel's: the trunk carries none.
	if _, err := l.output(Outside, "", "ovs-vsctl", "--timeout=20",
		"--", "--may-exist", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev",
		"--", "--may-exist", "add-port", bridge, trunk, "--", "set", "port", trunk, "vlan_mode=trunk", "--", "add", "port", trunk, "trunks", tag,
		"--", "--may-exist", "add-port", bridge, access, "tag="+tag, "--", "set", "interface", access, "type=internal"); err != nil {
		return err
	}
	for _, address := range addresses {
		if _, err := l.output(Outside, "", "ip", "addr", "replace", address, "dev", access); err != nil {
			return err
		}
	}
	_, err := l.output(Outside, "", "ip", "link", "set", access, "up")
	return err
}
