package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"neutrino/address"
	"neutrino/lab"
)

// exitStatus ends the process with a status of its own, saying nothing more.
type exitStatus int

func (e exitStatus) Error() string { return "exit status " + strconv.Itoa(int(e)) }

// labCommand is `neutrino lab`: a cloud network in a box.
func labCommand() *cobra.Command {
	var name string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "A cloud network in a box: simulated hosts, server, agents, instances; without root",
		Long: `Raise a cloud network on this machine: simulated hosts, each with its own Open vSwitch and agent, a
server whose API answers on this machine's loopback, and an outside world (203.0.113.0/24,
2001:db8:ffff::/64). Nothing outside of the lab is touched, and an ordinary user may do it. Labs of
different names run side by side; NEUTRINO_LAB names the one that is meant when --name does not.`,
		Example: `  neutrino lab up                              # three hosts, a server, agents
  eval "$(neutrino lab env)"                   # and now: openstack network list
  neutrino lab boot h1 a --network $NET        # an instance on h1; prints its address
  neutrino lab exec a -- ping -c3 10.0.0.9
  neutrino lab kill h1 agent                   # crash it; neutrino lab start h1 agent
  neutrino lab cut h2 tun                      # pull a cable; neutrino lab heal h2 tun
  neutrino lab down`,
	}
	cmd.PersistentFlags().StringVar(&name, "name", labName(), "the lab's name, up to 24 of a-z, 0-9 and -")
	cmd.PersistentFlags().BoolVar(&asJSON, "json", false, "print JSON, for scripts")
	find := func() (*lab.Lab, error) { return lab.Open(name) }

	cmd.AddCommand(
		labUp(&name, &asJSON), labDown(&name), labList(&asJSON),
		labBoot(find, &asJSON), labPlug(find), labDelete(find), labExec(find),
		labKill(find), labStart(find), labCut(find, "cut", "Pull a host's cables (mgmt, tun, phys, phys2; all if none is named)", (*lab.Lab).Cut),
		labCut(find, "heal", "Plug a host's cables in again", (*lab.Lab).Heal),
		labLoss(find), labRate(find), labEnv(find), labLogs(find), labGuest(find), probeCommand(),
		&cobra.Command{
			Use: "inner", Hidden: true, DisableFlagParsing: true,
			RunE: func(_ *cobra.Command, args []string) error { return lab.Inner(args) },
		},
	)
	return cmd
}

func labName() string {
	if name := os.Getenv("NEUTRINO_LAB"); name != "" {
		return name
	}
	return "lab"
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func labUp(name *string, asJSON *bool) *cobra.Command {
	var o lab.Options
	var foreground bool
	cmd := &cobra.Command{
		Use: "up", Short: "Raise a lab", Args: cobra.NoArgs,
		Example: "  neutrino lab up --hosts 5\n  neutrino lab up --name ci --foreground   # until Ctrl-C",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			o.Name = *name
			began := time.Now()
			l, err := lab.Up(ctx, o)
			if err != nil {
				return err
			}
			api := ""
			if !o.Bare {
				if api, err = l.API(); err != nil {
					return err
				}
			}
			if *asJSON {
				err = printJSON(cmd.OutOrStdout(), map[string]any{"name": l.Name, "dir": l.Dir, "api": api,
					"clouds_file": l.CloudsFile(), "seconds": time.Since(began).Seconds()})
			} else {
				fmt.Fprintf(cmd.OutOrStdout(), "lab %s: %d hosts in %.1f s\n", l.Name, o.Hosts, time.Since(began).Seconds())
				if !o.Bare {
					fmt.Fprintf(cmd.OutOrStdout(), "API: %s\ntype: %s\n", api, envLine(l, "demo"))
				}
			}
			if err != nil || !foreground {
				return err
			}
			<-ctx.Done()
			return l.Down()
		},
	}
	cmd.Flags().IntVar(&o.Hosts, "hosts", 3, "how many hosts")
	cmd.Flags().IntVar(&o.Port, "port", 0, "the API's port on 127.0.0.1; 0 picks a free one")
	cmd.Flags().BoolVar(&o.Bare, "bare", false, "hosts and Open vSwitch only: no server, no agents")
	cmd.Flags().StringVar(&o.Driver, "driver", "openvswitch", "what carries networks: openvswitch, or ovn (OVN's databases at c0, ovn-controller on the hosts)")
	cmd.Flags().BoolVar(&o.Cluster, "ovn-cluster", false, "OVN's databases are served by three servers each, in a raft cluster")
	cmd.Flags().StringVar(&o.Firewall, "firewall", "", "the hosts' firewall_driver: openvswitch (also without), iptables_hybrid, noop")
	cmd.Flags().BoolVar(&o.Tunnels6, "ipv6-tunnels", false, "tunnels between the hosts run over IPv6")
	cmd.Flags().StringVar(&o.Database, "database", "", `URL of the server's database (default: SQLite in the lab's directory); the lab has a network of its own, so
name the database server's unix socket: postgresql://USER@/NAME?host=DIRECTORY or mysql://USER@/NAME?unix_socket=FILE`)
	cmd.Flags().StringVar(&o.Config, "server-config", "", "file of options for the server, as it takes neutron.conf; flags of the lab win")
	cmd.Flags().StringVar(&o.Etc, "etc", "", `directory with a directory for each node (c0, h1, …) of what it has in /etc besides the machine's: server and agents
run by the files in neutron/ there, as on an operator's machines`)
	cmd.Flags().BoolVar(&foreground, "foreground", false, "stay, and take the lab down on Ctrl-C")
	return cmd
}

func envLine(l *lab.Lab, cloud string) string {
	return fmt.Sprintf("OS_CLIENT_CONFIG_FILE=%s OS_CLOUD=%s openstack network list", l.CloudsFile(), cloud)
}

func labDown(name *string) *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "End a lab and leave nothing behind", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return lab.DownByName(*name) },
	}
}

func labList(asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "List the labs, their hosts and instances", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := lab.List()
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			for _, l := range list {
				state := "running"
				if !l.Running {
					state = "dead (down removes what is left)"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s\t%s\t%s\n", l.Name, state, strings.Join(l.Hosts, " "), l.API)
				for _, i := range l.Instances {
					fmt.Fprintf(cmd.OutOrStdout(), "  %s\ton %s\t%s\tport %s\n", i.Name, i.Host, i.MAC, i.Port)
				}
			}
			return nil
		},
	}
}

type finder = func() (*lab.Lab, error)

func labBoot(find finder, asJSON *bool) *cobra.Command {
	var r lab.BootRequest
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "boot HOST NAME --port ID | --network ID", Short: "Boot an instance on a host, and print its address",
		Args: cobra.ExactArgs(2),
		Example: `  neutrino lab boot h1 a --port $(openstack port create --network net1 a -f value -c id)
  neutrino lab boot h2 b --network $NET --cloud demo --wait 0`,
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := find()
			if err != nil {
				return err
			}
			r.Host, r.Name = args[0], args[1]
			i, err := l.Boot(cmd.Context(), r)
			if err != nil || wait == 0 {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			g, err := l.WaitLease(ctx, i.Name)
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"instance": i, "guest": g})
			}
			fmt.Fprintln(cmd.OutOrStdout(), g.Address.Addr())
			return nil
		},
	}
	cmd.Flags().StringVar(&r.Port, "port", "", "id of its port")
	cmd.Flags().StringVar(&r.Network, "network", "", "id of a network on which to make a port")
	cmd.Flags().StringVar(&r.Cloud, "cloud", "demo", "entry of clouds.yaml as which to make the port")
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to wait for an IPv4 address; 0 does not wait")
	return cmd
}

func labPlug(find finder) *cobra.Command {
	var i lab.Instance
	var mac string
	cmd := &cobra.Command{
		Use: "plug HOST NAME --port ID --mac MAC", Short: "Make an instance without asking the API (addresses by hand, or a port that is bound already)",
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := find()
			if err != nil {
				return err
			}
			i.Host, i.Name = args[0], args[1]
			if i.MAC, err = address.ParseMAC(mac); err != nil {
				return err
			}
			return l.Plug(i)
		},
	}
	cmd.Flags().StringVar(&i.Port, "port", "", "id of its port")
	cmd.Flags().StringVar(&mac, "mac", "", "MAC of its NIC")
	cmd.Flags().StringSliceVar(&i.Address, "address", nil, "address with prefix length; without any, DHCP is asked")
	cmd.Flags().StringVar(&i.Bridge, "bridge", "br-int", "bridge to be on")
	cmd.Flags().IntVar(&i.VLAN, "vlan", 0, "VLAN of the bridge to be on; 0: none")
	cmd.Flags().IntVar(&i.MTU, "mtu", 1500, "MTU of its NIC before DHCP says otherwise")
	return cmd
}

func labDelete(find finder) *cobra.Command {
	return &cobra.Command{
		Use: "delete INSTANCE", Short: "Unplug an instance and forget it", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := find()
			if err != nil {
				return err
			}
			return l.Delete(args[0])
		},
	}
}

func labExec(find finder) *cobra.Command {
	return &cobra.Command{
		Use: "exec HOST|INSTANCE|c0|outside -- COMMAND…", Short: "Run a command on a host, inside of an instance, at the center or outside",
		Args: cobra.MinimumNArgs(2), Example: "  neutrino lab exec h1 -- ovs-vsctl show\n  neutrino lab exec a -- ping -c1 10.0.0.1\n  neutrino lab exec h1 -- bash",
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := find()
			if err != nil {
				return err
			}
			exit, err := l.Run(lab.Command{Where: args[0], Argv: args[1:], Stdin: os.Stdin, Out: os.Stdout, Err: os.Stderr})
			if err == nil && exit != 0 {
				return exitStatus(exit)
			}
			return err
		},
	}
}

// partOf reads "HOST", "HOST ovs|vswitchd|ovsdb|agent", "c0 PART" or "server".
func partOf(args []string) (host, part string, err error) {
	if len(args) == 1 && args[0] == "server" {
		return "", "server", nil
	}
	if len(args) == 1 {
		return args[0], "power", nil
	}
	if args[0] == lab.Center {
		return lab.Center, args[1], nil
	}
	switch args[1] {
	case "ovs", "vswitchd", "ovsdb", "agent":
		return args[0], args[1], nil
	}
	return "", "", fmt.Errorf("no part %q: there are ovs, vswitchd, ovsdb and agent", args[1])
}

func labKill(find finder) *cobra.Command {
	return &cobra.Command{
		Use: "kill HOST [ovs|vswitchd|ovsdb|agent] | server | c0 PART", Short: "Power a host off, or kill -9 a part of it, or the server, or a part of OVN's center",
		Long: "Power a host off, or kill -9 a part of it (with OVN agent means ovn-controller, too), or the server, or a part of OVN's center:\nnorthd, nb, sb, or with --ovn-cluster nb1 to nb3, sb1 to sb3.",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := find()
			if err != nil {
				return err
			}
			host, part, err := partOf(args)
			if err != nil {
				return err
			}
			if host == lab.Center {
				return l.KillCentral(part)
			}
			switch part {
			case "server":
				return l.KillServer()
			case "power":
				return l.PowerOff(host)
			case "agent":
				return l.KillAgent(host)
			case "ovs":
				return l.KillOVS(host, "")
			}
			return l.KillOVS(host, part)
		},
	}
}

func labStart(find finder) *cobra.Command {
	return &cobra.Command{
		Use: "start HOST [ovs|agent] | server | c0 PART", Short: "Power a host on (its instances resume), or start what was killed",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := find()
			if err != nil {
				return err
			}
			host, part, err := partOf(args)
			if err != nil {
				return err
			}
			if host == lab.Center {
				return l.StartCentral(part)
			}
			switch part {
			case "server":
				return l.StartServer(cmd.Context())
			case "power":
				return l.PowerOn(cmd.Context(), host)
			case "agent":
				return l.StartAgent(host)
			}
			return l.StartOVS(cmd.Context(), host)
		},
	}
}

func labCut(find finder, use, short string, do func(*lab.Lab, string, ...string) error) *cobra.Command {
	return &cobra.Command{
		Use: use + " HOST [mgmt|tun|phys|phys2]…", Short: short, Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := find()
			if err != nil {
				return err
			}
			return do(l, args[0], args[1:]...)
		},
	}
}

func labLoss(find finder) *cobra.Command {
	return &cobra.Command{
		Use: "loss HOST mgmt|tun|phys|phys2 PERCENT", Short: "Lose a share of the frames that a host sends; 0 ends it", Args: cobra.ExactArgs(3),
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := find()
			if err != nil {
				return err
			}
			percent, err := strconv.Atoi(strings.TrimSuffix(args[2], "%"))
			if err != nil {
				return fmt.Errorf("percent %q: give a number", args[2])
			}
			return l.Loss(args[0], args[1], percent)
		},
	}
}

func labRate(find finder) *cobra.Command {
	return &cobra.Command{
		Use: "rate HOST mgmt|tun|phys|phys2 RATE", Short: "Limit what a host receives, such as 100mbit; 0 ends it", Args: cobra.ExactArgs(3),
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := find()
			if err != nil {
				return err
			}
			return l.Rate(args[0], args[1], args[2])
		},
	}
}

func labEnv(find finder) *cobra.Command {
	var cloud string
	cmd := &cobra.Command{
		Use: "env", Short: "Print shell settings for OpenStack's clients", Args: cobra.NoArgs,
		Example: `  eval "$(neutrino lab env --cloud neutrino-admin)"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := find()
			if err != nil {
				return err
			}
			if _, err := l.API(); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "export OS_CLIENT_CONFIG_FILE='%s'\nexport OS_CLOUD='%s'\n",
				strings.ReplaceAll(l.CloudsFile(), "'", `'\''`), strings.ReplaceAll(cloud, "'", `'\''`))
			return nil
		},
	}
	cmd.Flags().StringVar(&cloud, "cloud", "demo", "demo, alt or neutrino-admin")
	return cmd
}

func labLogs(find finder) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use: "logs HOST agent|ovn-controller|vswitchd|ovsdb | c0 server|ovn-northd|ovn-nb|ovn-sb", Short: "Print a log", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := find()
			if err != nil {
				return err
			}
			if strings.ContainsAny(args[0]+args[1], "/\x00") {
				return errors.New("give a node and the name of a service")
			}
			if follow {
				tail := exec.CommandContext(cmd.Context(), "tail", "-n", "+1", "-F", l.Log(args[0], args[1]))
				tail.Stdout, tail.Stderr = os.Stdout, os.Stderr
				return tail.Run()
			}
			f, err := os.Open(l.Log(args[0], args[1]))
			if err != nil {
				return fmt.Errorf("no such log: %w", err)
			}
			defer f.Close()
			_, err = io.Copy(cmd.OutOrStdout(), f)
			return err
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on as it grows")
	return cmd
}

func labGuest(find finder) *cobra.Command {
	return &cobra.Command{
		Use: "guest INSTANCE", Short: "Print what an instance got by DHCP, and when (JSON)", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := find()
			if err != nil {
				return err
			}
			g, err := l.Guest(args[0])
			if err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), g)
		},
	}
}
