package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"neutrino/lab"
	"neutrino/lab/client"
)

// patience with what was just made: a router, a floating IP. The machine may be busy with other labs.
const patience = 20 * time.Second

func (w *world) whatPasses(ctx context.Context) {
	reach := func(from, to string) func() error {
		return func() error { return until(ctx, patience, func() error { return w.ping(from, to) }) }
	}
	p := w.proof
	p.step("ping on one host: blue1 → blue2", reach("blue1", "10.10.0.12"))
	p.step("ping across hosts: blue1 → blue3", reach("blue1", "10.10.0.13"))
	p.step("ping through the router: blue1 → green1", reach("blue1", "10.20.0.11"))
	p.step("metadata: blue1 learns its own name", func() error {
		return until(ctx, patience, func() error { return w.metadata("blue1") })
	})
	p.step("web page of an instance: blue3 → blue2, TCP port 80", func() error { return w.connect("blue3", "blue2", "10.10.0.12", "80", patience) })
	p.step("out by source NAT: blue1 is seen outside as %s", func() error { return w.seenAs(ctx, "blue1", w.routerAddress) }, w.routerAddress)
	p.step("in by a floating IP: outside → green1", func() error {
		if err := w.float(ctx, "green1"); err != nil {
			return err
		}
		return until(ctx, patience, func() error { return w.ping(lab.Outside, w.floating) })
	})
	if w.floating != "" {
		p.step("out by the floating IP: green1 is seen outside as %s", func() error { return w.seenAs(ctx, "green1", w.floating) }, w.floating)
		p.step("from the other network to the floating IP: blue1 → %s", reach("blue1", w.floating), w.floating)
	}
}

func (w *world) metadata(name string) error {
	for _, i := range w.instances {
		if i.name != name {
			continue
		}
		page, err := w.probe(name, "get", "http://169.254.169.254/openstack/latest/network_data.json")
		if err != nil {
			return err
		}
		if !strings.Contains(strings.ToLower(page), i.mac) {
			return fmt.Errorf("the answer does not know its MAC %s: %.200s", i.mac, page)
		}
		return nil
	}
	return fmt.Errorf("no instance %s", name)
}

// seenAs fetches the outside's page, which says who asks.
func (w *world) seenAs(ctx context.Context, from, as string) error {
	return until(ctx, patience, func() error {
		page, err := w.probe(from, "get", "--wait", "2s", "http://"+lab.OutsideFar+"/")
		if err != nil {
			return err
		}
		if !strings.HasSuffix(strings.TrimSpace(page), ", "+as) {
			return fmt.Errorf("the outside said %q", strings.TrimSpace(page))
		}
		return nil
	})
}

// float gives an instance a floating IP.
func (w *world) float(ctx context.Context, name string) error {
	for _, i := range w.instances {
		if i.name == name {
			fip, err := w.demo.Create(ctx, "floatingips", "floatingip", client.Object{"floating_network_id": w.outside, "port_id": i.port})
			if err != nil {
				return err
			}
			w.floating, _ = fip["floating_ip_address"].(string)
		}
	}
	if w.floating == "" {
		return fmt.Errorf("%s got no floating IP", name)
	}
	return nil
}

// connect opens a listener in one instance and talks to it from another, for so long.
func (w *world) connect(from, to, address, port string, wait time.Duration) error {
	stop, err := w.lab.Listen(to, "tcp", port)
	if err != nil {
		return err
	}
	defer stop()
	_, err = w.probe(from, "connect", "tcp", address, port, "--wait", wait.String())
	return err
}
