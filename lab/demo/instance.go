package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"neutrino/lab"
	"neutrino/lab/client"
)

// bootPatience is how long an instance may take to be on the network.
const bootPatience = 20 * time.Second

// start makes an instance's port, boots it, and follows it to its first ping of the gateway.
func (w *world) start(ctx context.Context, i *instance) error {
	ctx, cancel := context.WithTimeout(ctx, bootPatience)
	defer cancel()
	began := time.Now()
	port, err := i.owner.Create(ctx, "ports", "port", client.Object{"name": i.name, "network_id": i.network,
		"fixed_ips": []client.Object{{"ip_address": i.address}}, "security_groups": []string{i.group}})
	if err != nil {
		return err
	}
	i.port, _ = port["id"].(string)
	i.mac, _ = port["mac_address"].(string)
	i.created = time.Since(began)
	if _, err := w.lab.Boot(ctx, lab.BootRequest{Name: i.name, Host: i.host, Port: i.port, Compute: w.admin}); err != nil {
		return fmt.Errorf("boot %s: %w", i.name, err)
	}
	i.plugged = time.Since(began)
	watched := make(chan error, 1)
	go func() {
		err := lab.WaitActive(ctx, i.owner, i.port)
		if err == nil {
			i.active = time.Since(began)
		}
		watched <- err
	}()
	g, err := w.lab.WaitLease(ctx, i.name)
	if err == nil {
		i.leased = g.Leased.Sub(began)
		if got := g.Address.Addr().String(); got != i.address {
			err = fmt.Errorf("%s was leased %s, its port has %s", i.name, got, i.address)
		}
	}
	if err == nil {
		err = until(ctx, bootPatience, func() error {
			// A short wait for each answer: what is measured is when pings begin to pass.
			_, err := w.lab.Output(i.name, "ping", "-n", "-c1", "-W0.1", i.gateway)
			return err
		})
		i.pinged = time.Since(began)
	}
	if failed := <-watched; err == nil {
		err = failed
	}
	if err != nil {
		i.pinged = 0
		return fmt.Errorf("%s: %w", i.name, err)
	}
	return nil
}

// ping sends one echo request and waits one second.
func (w *world) ping(from, to string) error {
	out, err := w.lab.Output(from, "ping", "-n", "-c1", "-W1", to)
	if err != nil {
		return fmt.Errorf("%w %s", err, lastLine(out))
	}
	return nil
}

// noPing expects three echo requests to stay without an answer.
func (w *world) noPing(from, to string) error {
	out, err := w.lab.Output(from, "ping", "-n", "-c3", "-i0.2", "-W1", to)
	if err == nil || !strings.Contains(out, ", 0 received") {
		return fmt.Errorf("%s was answered, or could not even ask: %v %s", from, err, lastLine(out))
	}
	return nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// probe is the lab's own prober inside of an instance.
func (w *world) probe(in string, args ...string) (string, error) {
	return w.lab.Probe(in, args...)
}
