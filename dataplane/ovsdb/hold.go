package ovsdb

import "context"

// Keys of the switch's other_config.
const (
	waitKey = "flow-restore-wait"          // Open vSwitch's: a switch that starts passes no packet before this is gone
	noteKey = "neutrino-flow-restore-wait" // ours: it was we who set it
)

// Hold has a switch that starts from now on wait until Release: it takes flows, keeps those that the kernel
// has from its life before, and passes nothing new meanwhile. One that runs does not mind. Where somebody else
// has it wait already, as ovs-ctl does while it restores flows, that is theirs.
func (c *Client) Hold(ctx context.Context) error {
	return c.change(ctx, "the switch to wait for flows", func(db *conn) ([]operation, error) {
		if _, waits := db.config[waitKey]; waits {
			return nil, nil
		}
		pairs := pairsValue(map[string]string{waitKey: "true", noteKey: "true"})
		return []operation{mutate("Open_vSwitch", db.root, "other_config", "insert", pairs)}, nil
	})
}

// Release ends our Hold. Where there is none nothing is done.
func (c *Client) Release(ctx context.Context) error {
	return c.change(ctx, "the switch to go on", func(db *conn) ([]operation, error) {
		if _, ours := db.config[noteKey]; !ours {
			return nil, nil
		}
		return []operation{mutate("Open_vSwitch", db.root, "other_config", "delete", []any{"set", []any{waitKey, noteKey}})}, nil
	})
}
