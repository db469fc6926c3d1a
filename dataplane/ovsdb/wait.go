package ovsdb

import (
	"context"
	"fmt"
	"time"
)

// how often WaitPort looks into what the database has told.
const pause = 20 * time.Millisecond

// WaitPort waits until the switch has given a port its OpenFlow number. It fails when the switch says
// that the port does not work, and when ctx ends.
func (c *Client) WaitPort(ctx context.Context, bridge, name string) (Port, error) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		ports, err := c.Ports(ctx, bridge)
		if err != nil {
			return Port{}, err
		}
		for _, p := range ports {
			switch {
			case p.Name != name:
			case p.Error != "":
				return Port{}, fmt.Errorf("port %s of %s does not work: %s", name, bridge, p.Error)
			case p.OFPort > 0:
				return p, nil
			}
		}
		select {
		case <-ctx.Done():
			return Port{}, fmt.Errorf("wait for the number of port %s of %s: %w", name, bridge, ctx.Err())
		case <-tick.C:
		}
	}
}
