package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"neutrino/lab"
	"neutrino/lab/demo"
)

// demoCommand is `neutrino demo`.
func demoCommand() *cobra.Command {
	o := demo.Options{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Raise a cloud network in a box, prove it by packets, take it down",
		Long: `Raise a lab of three hosts, make networks, routers, security groups and instances of two projects
through the public API, and prove what passes (DHCP, metadata, pings on a host, across hosts, through a
router, by source NAT and floating IPs) and what does not (ports that no rule opens, forged frames,
another project's network). Needs no root. The exit status is 0 only if all held.`,
		Example: "  neutrino demo\n  neutrino demo --keep     # and leave it running, to try openstack on it",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Out = cmd.OutOrStdout()
			err := demo.Run(cmd.Context(), o)
			if l, open := lab.Open(o.Lab.Name); o.Keep && open == nil {
				fmt.Fprintf(o.Out, "\nThe lab stays. Type:\n  %s\nand in the end:\n  neutrino lab down --name %s\n", envLine(l, "demo"), l.Name)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&o.Lab.Name, "name", "demo", "the lab's name")
	cmd.Flags().IntVar(&o.Lab.Hosts, "hosts", 3, "how many hosts, 3 or more")
	cmd.Flags().IntVar(&o.Lab.Port, "port", 0, "the API's port on 127.0.0.1; 0 picks a free one")
	cmd.Flags().StringVar(&o.Lab.Driver, "driver", "openvswitch", "what carries networks: openvswitch or ovn")
	cmd.Flags().StringVar(&o.Lab.Firewall, "firewall", "", "the hosts' firewall_driver: openvswitch (also without) or iptables_hybrid")
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "leave the lab running")
	return cmd
}
