package lab

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// TunnelAddress is a host's address on the tunnel network.
func TunnelAddress(number int) string { return tunnelNet + strconv.Itoa(number) }

// TunnelAddress6 is the same over IPv6.
func TunnelAddress6(number int) string { return tunnelNet6 + strconv.Itoa(number) }

// furnishHost makes a host out of a fresh node: Open vSwitch with the bridges that an operator makes
// (br-ex and br-ex2 to the provider networks, br-phy that owns the tunnel address).
func (l *Lab) furnishHost(ctx context.Context, host string) error {
	number, err := l.checkHost(host)
	if err != nil {
		return err
	}
	for _, device := range []string{"eth1", "eth2", "eth3"} {
		if err := l.hide(host, device); err != nil {
			return err
		}
		if _, err := l.output(host, "", "ethtool", "-K", device, "tx", "off"); err != nil {
			return err
		}
	}
	if err := l.startOVS(ctx, host, revived(number)); err != nil {
		return err
	}
	if _, err := l.output(host, "", "ovs-vsctl", "--timeout=20",
		"--", "--may-exist", "add-br", "br-ex", "--", "set", "bridge", "br-ex", "datapath_type=netdev",
		"--", "--may-exist", "add-port", "br-ex", "eth2",
		"--", "--may-exist", "add-br", "br-ex2", "--", "set", "bridge", "br-ex2", "datapath_type=netdev",
		"--", "--may-exist", "add-port", "br-ex2", "eth3",
		"--", "--may-exist", "add-br", "br-phy", "--", "set", "bridge", "br-phy", "datapath_type=netdev",
		"--", "--may-exist", "add-port", "br-phy", "eth1"); err != nil {
		return err
	}
	if err := l.addressHost(host, number); err != nil {
		return err
	}
	s, err := l.state()
	if err != nil || s.Driver != OVN {
		return err
	}
	return l.StartController(ctx, host)
}

// addressHost sets the bridges' own devices up. They come back bare whenever ovs-vswitchd starts.
func (l *Lab) addressHost(host string, number int) error {
	_, err := l.output(host, addressing(number), "ip", "-batch", "-")
	return err
}

// addressing is what addressHost does, in the words of ip -batch.
func addressing(number int) string {
	return fmt.Sprintf("link set br-phy mtu %d up\nlink set br-ex up\nlink set br-ex2 up\n"+
		"addr replace %s/24 dev br-phy\naddr replace %s/64 dev br-phy nodad\n",
		underlayMTU, TunnelAddress(number), TunnelAddress6(number))
}

// revived waits until a crashed ovs-vswitchd that was started again has made its bridges, and sets their devices up.
func revived(number int) []string {
	return []string{"sh", "-c", `ovs-vsctl --timeout=20 set Open_vSwitch . external_ids:lab-revived=$(date +%s%N) && printf %s "$1" | ip -batch -`,
		"sh", addressing(number)}
}

// hide keeps the kernel of a node from answering frames that are Open vSwitch's: OVS reads a device by
// a packet socket, so the node's own stack sees the same frames. A drop at ingress runs after packet
// sockets have had them.
func (l *Lab) hide(node, device string) error {
	_, err := l.output(node, hideRules(device), "nft", "-f", "-")
	return err
}

func hideRules(device string) string {
	return fmt.Sprintf("table netdev lab_hide_%s {}\ndelete table netdev lab_hide_%s\n"+
		"table netdev lab_hide_%s { chain c { type filter hook ingress device %q priority 0; drop; }; }\n", device, device, device, device)
}

// StartOVS starts what is not running of a host's ovsdb-server and ovs-vswitchd, and gives the host
// its tunnel address back as an operator's network configuration would.
func (l *Lab) StartOVS(ctx context.Context, host string) error {
	number, err := l.checkHost(host)
	if err != nil {
		return err
	}
	if err := l.startOVS(ctx, host, revived(number)); err != nil {
		return err
	}
	return l.addressHost(host, number)
}

// startOVS returns when Open vSwitch runs and the bridges that its database has from before exist. When ovs-vswitchd crashes it
// is started again, as by its monitor on a real host, and then the command revive is run.
func (l *Lab) startOVS(ctx context.Context, host string, revive []string) error {
	running, err := l.Services(host)
	if err != nil {
		return err
	}
	if running["ovsdb"] == 0 {
		if _, err := l.output(host, "", "test", "-e", "/etc/openvswitch/conf.db"); err != nil {
			if _, err := l.output(host, "", "ovsdb-tool", "create", "/etc/openvswitch/conf.db", "/usr/share/openvswitch/vswitch.ovsschema"); err != nil {
				return err
			}
		}
		if err := l.spawn(host, request{Service: "ovsdb", Argv: []string{"ovsdb-server", "/etc/openvswitch/conf.db",
			"--remote=punix:/run/openvswitch/db.sock", "--remote=ptcp:6640:127.0.0.1", "--pidfile", "-vsyslog:off", "-vconsole:warn"}}); err != nil {
			return err
		}
		if err := l.eventually(ctx, host, "ovs-vsctl", "--timeout=5", "--no-wait", "--", "init", "--", "set", "Open_vSwitch", ".",
			"external_ids:system-id="+host, "external_ids:hostname="+host); err != nil {
			return err
		}
	}
	if running["vswitchd"] == 0 {
		if err := l.spawn(host, request{Service: "vswitchd", Argv: []string{"ovs-vswitchd", "unix:/run/openvswitch/db.sock",
			"--pidfile", "-vsyslog:off", "-vconsole:warn"}, Revive: revive}); err != nil {
			return err
		}
	}
	// ovs-vsctl waits for ovs-vswitchd only when it changes something: so something always changes, and
	// what the database had from before is in place when this returns.
	return l.eventually(ctx, host, "ovs-vsctl", "--timeout=10", "set", "Open_vSwitch", ".",
		"external_ids:lab-started="+strconv.FormatInt(time.Now().UnixNano(), 10))
}

// eventually repeats a command until it succeeds, for half a minute at most: the machine may be busy with other labs.
func (l *Lab) eventually(ctx context.Context, node string, argv ...string) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		_, err := l.output(node, "", argv...)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// KillOVS kills a host's ovs-vswitchd and ovsdb-server at once, or the one named ("vswitchd", "ovsdb").
func (l *Lab) KillOVS(host, which string) error {
	if _, err := l.checkHost(host); err != nil {
		return err
	}
	switch which {
	case "":
		return errors.Join(l.kill(host, "vswitchd", syscall.SIGKILL), l.kill(host, "ovsdb", syscall.SIGKILL))
	case "vswitchd", "ovsdb":
		return l.kill(host, which, syscall.SIGKILL)
	}
	return fmt.Errorf("no part %q of Open vSwitch: there are vswitchd and ovsdb", which)
}

// PowerOff ends everything on a host at once. Its disk (OVSDB, the agent's state) remains.
func (l *Lab) PowerOff(host string) error {
	if _, err := l.checkHost(host); err != nil {
		return err
	}
	_, err := l.ask(Center, request{Op: "power-off", Node: host})
	return err
}

// PowerOn boots a host: Open vSwitch, the agent, and then the instances that it had, as compute
// services are told to.
func (l *Lab) PowerOn(ctx context.Context, host string) error {
	if _, err := l.checkHost(host); err != nil {
		return err
	}
	if _, err := l.ask(Center, request{Op: "power-on", Node: host}); err != nil {
		return err
	}
	if err := l.furnishHost(ctx, host); err != nil {
		return err
	}
	if _, err := l.API(); err == nil {
		if err := l.StartAgent(host); err != nil {
			return err
		}
	}
	instances, err := l.Instances()
	if err != nil {
		return err
	}
	for _, i := range instances {
		if i.Host == host {
			if err := l.plug(i); err != nil {
				return fmt.Errorf("resume %s: %w", i.Name, err)
			}
		}
	}
	return nil
}

// startOutside makes the outside forward to what is behind it, and serve a page.
func (l *Lab) startOutside() error {
	for _, device := range []string{"eth2", "eth3"} {
		if _, err := l.output(Outside, "", "ethtool", "-K", device, "tx", "off"); err != nil {
			return err
		}
	}
	return l.spawn(Outside, request{Service: "web", Argv: []string{self, "lab", "inner", "web"}})
}

// Flows dumps a bridge's flows, for people and for failing tests.
func (l *Lab) Flows(host, bridge string) (string, error) {
	if strings.HasPrefix(bridge, "-") {
		return "", fmt.Errorf("bridge name %q", bridge)
	}
	return l.output(host, "", "ovs-ofctl", "-O", "OpenFlow14", "--names", "dump-flows", bridge)
}
