package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"neutrino/lab/client"
)

// Where a frame comes from that is not true.
const (
	forgedMAC     = "fa:16:3e:66:66:66"
	forgedAddress = "10.10.0.66"
)

// whatDoesNot proves what must not pass. Each proof is made beside a control that shows that the
// same thing done honestly passes, so that silence means refusal.
func (w *world) whatDoesNot(ctx context.Context) {
	p := w.proof
	a, b := w.find("blue1"), w.find("blue2")
	honest := []string{"--src-mac", a.mac, "--src-ip", a.address, "--dst-mac", b.mac, "--dst-ip", b.address}
	with := func(changes ...string) []string { return append(append([]string{}, honest...), changes...) }
	p.step("not what no rule allows: blue3 → blue2, TCP port 81", func() error {
		if w.connect("blue3", "blue2", b.address, "81", 3*time.Second) == nil {
			return errors.New("it passed")
		}
		return w.connect("blue3", "blue2", b.address, "80", patience)
	})
	p.step("an honest frame and an honest ARP of blue1 arrive at blue2", func() error {
		for _, frame := range [][]string{honest, with("--arp")} {
			if err := until(ctx, patience, func() error { return w.arrives(b.name, a.name, frame, true) }); err != nil {
				return err
			}
		}
		return nil
	})
	p.step("not a forged MAC", func() error { return w.arrives(b.name, a.name, with("--src-mac", forgedMAC), false) })
	p.step("not a forged address", func() error { return w.arrives(b.name, a.name, with("--src-ip", forgedAddress), false) })
	p.step("not a forged ARP: blue1 as the gateway", func() error {
		return w.arrives(b.name, a.name, with("--arp", "--src-ip", blueGateway), false)
	})
	p.step("not another project's network: alt1 → blue1's and blue2's addresses", func() error {
		if err := until(ctx, patience, func() error { return w.ping("alt1", blueGateway) }); err != nil {
			return fmt.Errorf("alt1 does not even reach its own gateway: %w", err)
		}
		return errors.Join(w.noPing("alt1", a.address), w.noPing("alt1", b.address), w.noPing("alt1", "10.20.0.11"))
	})
	p.step("not another project's resources: alt asks the API for demo's network and port", func() error {
		for _, path := range []string{"/networks/" + w.blue, "/ports/" + a.port, "/routers/" + w.router, "/security-groups/" + w.open} {
			_, err := w.alt.Do(ctx, "GET", path, nil)
			var refused *client.Refused
			if !errors.As(err, &refused) || refused.Status != 404 {
				return fmt.Errorf("GET %s as alt: %v", path, err)
			}
		}
		return nil
	})
}

func (w *world) find(name string) *instance {
	for _, i := range w.instances {
		if i.name == name {
			return i
		}
	}
	panic("no instance " + name) // a name in this file is wrong
}

// arrives sends a frame from one instance and says whether the other saw it as it should (or not).
func (w *world) arrives(at, from string, frame []string, should bool) error {
	seen, err := w.lab.Seen(at, from, frame)
	if err != nil {
		return err
	}
	if seen != should {
		return fmt.Errorf("seen at %s: %v", at, seen)
	}
	return nil
}
