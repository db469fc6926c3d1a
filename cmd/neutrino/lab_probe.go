package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"neutrino/address"
	"neutrino/lab/probe"
)

// vlanCommand keeps a VLAN device without the kernel's module for it.
func vlanCommand() *cobra.Command {
	return &cobra.Command{
		Use: "vlan DEVICE ID MAC ADDRESS/LENGTH", Short: "Keep a device DEVICE.ID whose frames have a VLAN tag on DEVICE, until killed",
		Example: "  neutrino lab probe vlan eth0 100 fa:16:3e:00:00:05 10.20.0.5/24", Args: cobra.ExactArgs(4),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[1], 10, 12)
			if err != nil || id == 0 || id == 4095 {
				return fmt.Errorf("VLAN %q: give 1 to 4094", args[1])
			}
			mac, err := address.ParseMAC(args[2])
			if err != nil {
				return err
			}
			prefix, err := netip.ParsePrefix(args[3])
			if err != nil {
				return err
			}
			return probe.VLANDevice{Parent: args[0], ID: uint16(id), MAC: mac, Address: prefix}.Run(cmd.Context(), cmd.OutOrStdout())
		},
	}
}

// flowsCommand makes connections.
func flowsCommand() *cobra.Command {
	var f probe.Flows
	var lasts time.Duration
	cmd := &cobra.Command{
		Use: "flows HOST:PORT", Short: "Make connections to a listener, and keep some; tells what was lost (JSON), and fails if anything was", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), lasts)
			defer cancel()
			f.Address = args[0]
			return probe.PrintFlows(ctx, cmd.OutOrStdout(), f)
		},
	}
	cmd.Flags().DurationVar(&lasts, "for", 10*time.Second, "how long")
	cmd.Flags().DurationVar(&f.Every, "every", 50*time.Millisecond, "how often")
	cmd.Flags().DurationVar(&f.Late, "late", 5*time.Second, "how long an answer may take")
	return cmd
}

// probeCommand sends and watches for single frames and small messages: for use inside of instances.
func probeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "probe", Short: "Send or watch for packets, honest or forged; for use by lab exec"}
	var f probe.Frame
	var srcMAC, dstMAC, srcIP, dstIP, tags string
	parse := func() error { return errors.Join(f.Parse(srcMAC, dstMAC, srcIP, dstIP), f.Tags.Parse(tags)) }
	flags := func(c *cobra.Command) *cobra.Command {
		c.Flags().StringVar(&f.Device, "device", "eth0", "NIC")
		c.Flags().BoolVar(&f.ARP, "arp", false, "an ARP announcement (IPv4) instead of a ping")
		c.Flags().StringVar(&srcMAC, "src-mac", "", "source MAC")
		c.Flags().StringVar(&tags, "tags", "", "VLAN tags, the outer one first: 42; 161,42; 161ad,42 (161 is an IEEE 802.1ad tag)")
		c.Flags().StringVar(&dstMAC, "dst-mac", "", "destination MAC")
		c.Flags().StringVar(&srcIP, "src-ip", "", "source address")
		c.Flags().StringVar(&dstIP, "dst-ip", "", "destination address")
		return c
	}
	var wait time.Duration
	send := flags(&cobra.Command{Use: "send", Short: "Send three frames", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		if err := parse(); err != nil {
			return err
		}
		return f.Send(3)
	}})
	watch := flags(&cobra.Command{Use: "watch", Short: "Wait for a frame from --src-mac or --src-ip; fails if none comes", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		if err := parse(); err != nil {
			return err
		}
		return f.Watch(cmd.OutOrStdout(), wait)
	}})
	watch.Flags().DurationVar(&wait, "wait", 2*time.Second, "how long")
	listen := &cobra.Command{Use: "listen tcp|udp PORT", Short: "Answer every message with its own words until killed", Args: cobra.ExactArgs(2), RunE: func(cmd *cobra.Command, args []string) error {
		return probe.Listen(cmd.Context(), cmd.OutOrStdout(), args[0], args[1])
	}}
	connect := &cobra.Command{Use: "connect tcp|udp HOST PORT", Short: "Send a message to a listener; fails if no answer comes", Args: cobra.ExactArgs(3), RunE: func(cmd *cobra.Command, args []string) error {
		return probe.Connect(cmd.Context(), args[0], args[1], args[2], wait)
	}}
	connect.Flags().DurationVar(&wait, "wait", 2*time.Second, "how long")
	get := &cobra.Command{Use: "get URL", Short: "Fetch a page and print it", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		return probe.Get(cmd.Context(), cmd.OutOrStdout(), args[0], wait)
	}}
	get.Flags().DurationVar(&wait, "wait", 5*time.Second, "how long")
	var every time.Duration
	ping := &cobra.Command{Use: "ping ADDRESS", Short: "Ping until interrupted, then tell what was lost (JSON)", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		return probe.Ping(cmd.Context(), cmd.OutOrStdout(), args[0], every)
	}}
	ping.Flags().DurationVar(&every, "every", 100*time.Millisecond, "how often")
	var mark string
	wire := &cobra.Command{Use: "wire", Short: "Send the frames of standard input (hexadecimal, one a line) and print those with a mark that come in", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return probe.Wire(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), "eth0", mark)
	}}
	wire.Flags().StringVar(&mark, "mark", "", "what frames must contain; all do when it is empty")
	cmd.AddCommand(send, watch, listen, connect, get, ping, wire, vlanCommand(), flowsCommand())
	return cmd
}
