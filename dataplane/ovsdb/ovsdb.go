// Package ovsdb reads and changes the configuration of Open vSwitch in its database: bridges, ports
// and interfaces. What it changes it changes only where something differs, in one transaction.
package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Client is a connection to the switch's database that comes back by itself. It is safe for
// concurrent use.
type Client struct {
	endpoint string
	wake     chan struct{}
	changing sync.Mutex // from planning a change to the end of its transaction

	mu      sync.Mutex
	current *conn // nil while there is none
}

// Bridge is a virtual switch.
type Bridge struct {
	Name         string
	DatapathType string // "system" (the kernel's) or "netdev" (userspace)
	FailMode     string // "secure": without flows nothing passes; "" is standalone
	OtherConfig  map[string]string
	ExternalIDs  map[string]string
}

// Port is a port of a bridge with its one interface, which has the same name.
type Port struct {
	Name        string
	Type        string // "" an interface of the system, "patch", "vxlan", …
	Options     map[string]string
	Tag         int               // VLAN; 0: none
	OtherConfig map[string]string // of the port
	ExternalIDs map[string]string // of the interface

	// What the switch says, not set by us.
	OFPort int    // OpenFlow port number; 0 while there is none
	Error  string // why the interface does not work
	MAC    string
}

// New makes a client for an endpoint such as unix:/run/openvswitch/db.sock. It connects when it is
// first used.
func New(endpoint string) *Client {
	return &Client{endpoint: endpoint, wake: make(chan struct{}, 1)}
}

// Wake fires when something in the database has changed or the connection was lost.
func (c *Client) Wake() <-chan struct{} { return c.wake }

// Nudge fires Wake although nothing has changed.
func (c *Client) Nudge() { c.poke() }

func (c *Client) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Close ends the connection.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		c.current.rpc.End(errors.New("closed"))
		c.current = nil
	}
}

const timeout = 10 * time.Second

// db gives the connection, making one when there is none.
func (c *Client) db(ctx context.Context) (*conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && c.current.alive() {
		return c.current, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	db, err := dial(ctx, c.endpoint, c.poke)
	if err != nil {
		return nil, err
	}
	c.current = db
	return db, nil
}

// bridge finds a bridge by name. The caller holds db.mu, here and below.
func (db *conn) bridge(name string) *bridgeRow {
	for _, b := range db.bridges {
		if b.name == name {
			return b
		}
	}
	return nil
}

// port finds a port of a bridge with its first interface.
func (db *conn) port(b *bridgeRow, name string) (*portRow, *interfaceRow) {
	for _, id := range b.ports {
		if p := db.ports[id]; p != nil && p.name == name && len(p.interfaces) > 0 {
			return p, db.inter[p.interfaces[0]]
		}
	}
	return nil, nil
}

// Bridges lists the bridges by name.
func (c *Client) Bridges(ctx context.Context) (map[string]Bridge, error) {
	db, err := c.db(ctx)
	if err != nil {
		return nil, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	out := map[string]Bridge{}
	for _, b := range db.bridges {
		out[b.name] = Bridge{Name: b.name, DatapathType: b.datapathType, FailMode: b.failMode, OtherConfig: b.otherConfig, ExternalIDs: b.externalIDs}
	}
	return out, nil
}

// Ports lists the ports of a bridge by name. A bridge that is not there has none.
func (c *Client) Ports(ctx context.Context, bridge string) ([]Port, error) {
	db, err := c.db(ctx)
	if err != nil {
		return nil, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	b := db.bridge(bridge)
	if b == nil {
		return nil, nil
	}
	var out []Port
	for _, id := range b.ports {
		p := db.ports[id]
		if p == nil || len(p.interfaces) != 1 {
			continue
		}
		i := db.inter[p.interfaces[0]]
		if i == nil {
			continue
		}
		out = append(out, Port{
			Name: p.name, Type: i.kind, Options: i.options, Tag: p.tag, OtherConfig: p.otherConfig, ExternalIDs: i.externalIDs,
			OFPort: i.ofport, Error: i.trouble, MAC: i.mac,
		})
	}
	slices.SortFunc(out, func(a, b Port) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Interfaces lists the interfaces of all ports of a bridge by name, those of bonds too, each with its port's tag
// and other_config. A bridge that is not there has none.
func (c *Client) Interfaces(ctx context.Context, bridge string) ([]Port, error) {
	db, err := c.db(ctx)
	if err != nil {
		return nil, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	b := db.bridge(bridge)
	if b == nil {
		return nil, nil
	}
	var out []Port
	for _, id := range b.ports {
		p := db.ports[id]
		if p == nil {
			continue
		}
		for _, id := range p.interfaces {
			if i := db.inter[id]; i != nil {
				out = append(out, Port{
					Name: i.name, Type: i.kind, Options: i.options, Tag: p.tag, OtherConfig: p.otherConfig, ExternalIDs: i.externalIDs,
					OFPort: i.ofport, Error: i.trouble, MAC: i.mac,
				})
			}
		}
	}
	slices.SortFunc(out, func(a, b Port) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// EnsureBridge makes a bridge as it should be. External ids and other_config of others stay.
func (c *Client) EnsureBridge(ctx context.Context, want Bridge) error {
	return c.change(ctx, "bridge "+want.Name, func(db *conn) ([]operation, error) {
		row := map[string]any{"name": want.Name}
		if want.DatapathType != "" {
			row["datapath_type"] = want.DatapathType
		}
		if want.FailMode != "" {
			row["fail_mode"] = want.FailMode
		}
		b := db.bridge(want.Name)
		if b == nil {
			row["ports"], row["other_config"], row["external_ids"] = named("port"), pairsValue(want.OtherConfig), pairsValue(want.ExternalIDs)
			return []operation{
				insert("Interface", "interface", map[string]any{"name": want.Name, "type": "internal"}),
				insert("Port", "port", map[string]any{"name": want.Name, "interfaces": named("interface")}),
				insert("Bridge", "bridge", row),
				mutate("Open_vSwitch", db.root, "bridges", "insert", []any{"set", []any{named("bridge")}}),
			}, nil
		}
		other, external := merged(b.otherConfig, want.OtherConfig), merged(b.externalIDs, want.ExternalIDs)
		if (want.DatapathType == "" || b.datapathType == want.DatapathType) && (want.FailMode == "" || b.failMode == want.FailMode) &&
			maps.Equal(b.otherConfig, other) && maps.Equal(b.externalIDs, external) {
			return nil, nil
		}
		delete(row, "name")
		row["other_config"], row["external_ids"] = pairsValue(other), pairsValue(external)
		return []operation{update("Bridge", b.uuid, row)}, nil
	})
}

// EnsurePort makes a port of a bridge as it should be: type, options, tag where it is not 0,
// other_config and external ids; those of others stay.
func (c *Client) EnsurePort(ctx context.Context, bridge string, want Port) error {
	return c.change(ctx, "port "+want.Name, func(db *conn) ([]operation, error) {
		b := db.bridge(bridge)
		if b == nil {
			return nil, fmt.Errorf("there is no bridge %s", bridge)
		}
		if p, i := db.port(b, want.Name); p != nil && i != nil {
			return changePort(p, i, want), nil
		}
		port := map[string]any{"name": want.Name, "interfaces": named("interface"), "other_config": pairsValue(want.OtherConfig)}
		if want.Tag != 0 {
			port["tag"] = want.Tag
		}
		return []operation{
			insert("Interface", "interface", map[string]any{"name": want.Name, "type": want.Type, "options": pairsValue(want.Options), "external_ids": pairsValue(want.ExternalIDs)}),
			insert("Port", "port", port),
			mutate("Bridge", b.uuid, "ports", "insert", []any{"set", []any{named("port")}}),
		}, nil
	})
}

// SetPorts changes tag and other_config of ports that are there, all in one transaction. Ports that
// are not there are passed over.
func (c *Client) SetPorts(ctx context.Context, bridge string, ports []Port) error {
	return c.change(ctx, fmt.Sprintf("%d ports of %s", len(ports), bridge), func(db *conn) ([]operation, error) {
		b := db.bridge(bridge)
		if b == nil {
			return nil, fmt.Errorf("there is no bridge %s", bridge)
		}
		var ops []operation
		for _, want := range ports {
			if p, i := db.port(b, want.Name); p != nil && i != nil {
				ops = append(ops, changePort(p, i, Port{Type: i.kind, Options: i.options, Tag: want.Tag, OtherConfig: want.OtherConfig})...)
			}
		}
		return ops, nil
	})
}

// changePort gives the operations that make a port and its interface as wanted.
func changePort(p *portRow, i *interfaceRow, want Port) []operation {
	var ops []operation
	row := map[string]any{}
	if want.Tag != 0 && p.tag != want.Tag {
		row["tag"] = want.Tag
	}
	if other := merged(p.otherConfig, want.OtherConfig); !maps.Equal(other, p.otherConfig) {
		row["other_config"] = pairsValue(other)
	}
	if len(row) > 0 {
		ops = append(ops, update("Port", p.uuid, row))
	}
	row = map[string]any{}
	if i.kind != want.Type {
		row["type"] = want.Type
	}
	if !maps.Equal(i.options, want.Options) {
		row["options"] = pairsValue(want.Options)
	}
	if external := merged(i.externalIDs, want.ExternalIDs); !maps.Equal(external, i.externalIDs) {
		row["external_ids"] = pairsValue(external)
	}
	if len(row) > 0 {
		ops = append(ops, update("Interface", i.uuid, row))
	}
	return ops
}

// DeletePort takes a port off a bridge. One that is not there is no error.
func (c *Client) DeletePort(ctx context.Context, bridge, name string) error {
	return c.change(ctx, "port "+name, func(db *conn) ([]operation, error) {
		b := db.bridge(bridge)
		if b == nil {
			return nil, nil
		}
		for _, id := range b.ports {
			if p := db.ports[id]; p != nil && p.name == name {
				return []operation{mutate("Bridge", b.uuid, "ports", "delete", []any{"set", []any{[]any{"uuid", p.uuid}}})}, nil
			}
		}
		return nil, nil
	})
}

// change makes operations of what the database holds, and has them done in one transaction.
func (c *Client) change(ctx context.Context, what string, plan func(db *conn) ([]operation, error)) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	db, err := c.db(ctx)
	if err != nil {
		return err
	}
	db.mu.Lock()
	ops, err := plan(db)
	root := db.root
	db.mu.Unlock()
	if err != nil {
		return fmt.Errorf("configure %s: %w", what, err)
	}
	if len(ops) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// next_cfg tells ovs-vswitchd that somebody waits for the change.
	if err := db.transact(ctx, append(ops, mutate("Open_vSwitch", root, "next_cfg", "+=", 1))); err != nil {
		return fmt.Errorf("configure %s: %w", what, err)
	}
	return nil
}

// merged is base with the pairs of more put over it.
func merged(base, more map[string]string) map[string]string {
	out := maps.Clone(base)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, more)
	return out
}
