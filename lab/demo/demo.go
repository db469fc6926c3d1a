// Package demo raises networks of two projects in a lab through the public API, boots instances, and
// proves by packets what passes between them and what does not.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"neutrino/lab"
)

// Options say how to run.
type Options struct {
	Lab  lab.Options // Hosts must be 3 or more
	Keep bool        // leave the lab running
	Out  io.Writer
}

// ErrFailed is returned when a proof failed; what failed was printed.
var ErrFailed = errors.New("not everything held")

// Run raises the lab, makes the cloud, proves it, and takes the lab down unless it is to be kept.
func Run(ctx context.Context, o Options) (err error) {
	if o.Lab.Hosts < 3 {
		return fmt.Errorf("%d hosts: the demo needs three", o.Lab.Hosts)
	}
	p := &proof{out: o.Out}
	var l *lab.Lab
	if !p.step("the lab is up: %d hosts, a server, agents, an outside world", func() error {
		l, err = lab.Up(ctx, o.Lab)
		return err
	}, o.Lab.Hosts) {
		return ErrFailed
	}
	if !o.Keep {
		defer func() {
			if down := l.Down(); down != nil {
				err = errors.Join(err, fmt.Errorf("take the lab down: %w", down))
			}
		}()
	}
	w := &world{lab: l, proof: p, kinds: []string{"Open vSwitch agent", "L3 agent", "DHCP agent", "Metadata agent"}}
	if o.Lab.Driver == lab.OVN {
		w.kinds = []string{"OVN Controller Gateway agent", "OVN Metadata agent"}
	}
	if err := w.build(ctx); err != nil {
		p.say("✗", 0, "the cloud could not be made: %v", err)
		return ErrFailed
	}
	w.boot(ctx)
	w.whatPasses(ctx)
	w.whatDoesNot(ctx)
	w.table(o.Out)
	if p.failed > 0 {
		fmt.Fprintf(o.Out, "\n%d of %d did not hold\n", p.failed, p.steps)
		return ErrFailed
	}
	fmt.Fprintf(o.Out, "\nall %d held\n", p.steps)
	return nil
}

// build makes all that instances need.
func (w *world) build(ctx context.Context) error {
	if err := w.login(ctx); err != nil {
		return err
	}
	for _, s := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"all agents are alive", w.agents},
		{"the administrator made an external network", w.external},
		{"project demo made two networks, a router to the outside, and a security group", w.demoNetworks},
		{"project alt made a network with the same addresses, and a router of its own", w.altNetworks},
	} {
		var failure error
		w.proof.step("%s", func() error { failure = s.do(ctx); return failure }, s.what)
		if failure != nil {
			return failure
		}
	}
	return nil
}

// boot starts all instances at once and measures how long each takes from the API to its first ping.
func (w *world) boot(ctx context.Context) {
	w.proof.step("%d instances booted, got addresses by DHCP, and pinged their gateways", func() error {
		var group errgroup.Group
		for _, i := range w.instances {
			group.Go(func() error { return w.start(ctx, i) })
		}
		return group.Wait()
	}, len(w.instances))
}

// table shows the times of each instance.
func (w *world) table(out io.Writer) {
	fmt.Fprintln(out, "\nMilliseconds from the first API call (a port is created) until …")
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "instance\thost\taddress\tport made\tbound, plugged\tport ACTIVE\taddress leased\tfirst ping\t")
	ms := func(d time.Duration) string {
		if d == 0 {
			return "never"
		}
		return fmt.Sprint(d.Milliseconds())
	}
	for _, i := range w.instances {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", i.name, i.host, i.address,
			ms(i.created), ms(i.plugged), ms(i.active), ms(i.leased), ms(i.pinged))
	}
	t.Flush()
}
