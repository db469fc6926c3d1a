// Package ovsdb reads and changes the configuration of Open vSwitch in its database: bridges, ports
// and interfaces. What it changes it changes only where something differs, in one transaction.
package ovsdb

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/cache"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	lib "github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Client is a connection to the switch's database that comes back by itself. It is safe for
// concurrent use.
type Client struct {
	endpoint string
	wake     chan struct{}

	mu      sync.Mutex
	current client.Client // nil while there is none
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
		c.current.Close()
		c.current = nil
	}
}

const connectTimeout = 5 * time.Second

// db gives the connection, making one when there is none. A lost connection is thrown away with its
// cache: the library's own reconnecting leaves rows in the cache that are gone.
func (c *Client) db(ctx context.Context) (client.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && c.current.Connected() {
		return c.current, nil
	}
	if c.current != nil {
		c.current.Close()
		c.current = nil
	}
	tables, err := model.NewClientDBModel("Open_vSwitch", map[string]model.Model{
		"Open_vSwitch": &rootRow{}, "Bridge": &bridgeRow{}, "Port": &portRow{}, "Interface": &interfaceRow{},
	})
	if err != nil {
		return nil, fmt.Errorf("describe the switch's database: %w", err)
	}
	quiet := logr.Discard()
	db, err := client.NewOVSDBClient(tables, client.WithEndpoint(c.endpoint), client.WithLogger(&quiet))
	if err != nil {
		return nil, fmt.Errorf("prepare the connection to %s: %w", c.endpoint, err)
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := db.Connect(ctx); err != nil {
		return nil, fmt.Errorf("connect to the switch's database at %s: %w", c.endpoint, err)
	}
	lost := db.DisconnectNotify()
	db.Cache().AddEventHandler(&cache.EventHandlerFuncs{
		AddFunc:    func(string, model.Model) { c.poke() },
		UpdateFunc: func(string, model.Model, model.Model) { c.poke() },
		DeleteFunc: func(string, model.Model) { c.poke() },
	})
	if _, err := db.MonitorAll(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("watch the switch's database: %w", err)
	}
	go func() {
		<-lost
		c.poke()
	}()
	c.current = db
	return db, nil
}

// snapshot is the database's contents, by UUID.
type snapshot struct {
	root       rootRow
	bridges    map[string]*bridgeRow // by name
	ports      map[string]*portRow
	interfaces map[string]*interfaceRow
}

func read(ctx context.Context, db client.Client) (*snapshot, error) {
	s := &snapshot{bridges: map[string]*bridgeRow{}, ports: map[string]*portRow{}, interfaces: map[string]*interfaceRow{}}
	var roots []rootRow
	var bridges []bridgeRow
	var ports []portRow
	var interfaces []interfaceRow
	for _, list := range []any{&roots, &bridges, &ports, &interfaces} {
		if err := db.List(ctx, list); err != nil {
			return nil, fmt.Errorf("read the switch's database: %w", err)
		}
	}
	if len(roots) != 1 {
		return nil, fmt.Errorf("the switch's database has %d root rows", len(roots))
	}
	s.root = roots[0]
	for i := range bridges {
		s.bridges[bridges[i].Name] = &bridges[i]
	}
	for i := range ports {
		s.ports[ports[i].UUID] = &ports[i]
	}
	for i := range interfaces {
		s.interfaces[interfaces[i].UUID] = &interfaces[i]
	}
	return s, nil
}

// portNamed finds a port of a bridge.
func (s *snapshot) portNamed(bridge *bridgeRow, name string) (*portRow, *interfaceRow) {
	for _, id := range bridge.Ports {
		if p := s.ports[id]; p != nil && p.Name == name {
			for _, i := range p.Interfaces {
				if row := s.interfaces[i]; row != nil {
					return p, row
				}
			}
			return p, nil
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
	s, err := read(ctx, db)
	if err != nil {
		return nil, err
	}
	out := map[string]Bridge{}
	for name, b := range s.bridges {
		out[name] = Bridge{Name: name, DatapathType: b.DatapathType, FailMode: deref(b.FailMode), OtherConfig: b.OtherConfig, ExternalIDs: b.ExternalIDs}
	}
	return out, nil
}

// Ports lists the ports of a bridge. A bridge that is not there has none.
func (c *Client) Ports(ctx context.Context, bridge string) ([]Port, error) {
	db, err := c.db(ctx)
	if err != nil {
		return nil, err
	}
	s, err := read(ctx, db)
	if err != nil {
		return nil, err
	}
	b := s.bridges[bridge]
	if b == nil {
		return nil, nil
	}
	var out []Port
	for _, id := range b.Ports {
		p := s.ports[id]
		if p == nil || len(p.Interfaces) != 1 {
			continue
		}
		i := s.interfaces[p.Interfaces[0]]
		if i == nil {
			continue
		}
		out = append(out, Port{
			Name: p.Name, Type: i.Type, Options: i.Options, Tag: max(deref(p.Tag), 0), OtherConfig: p.OtherConfig, ExternalIDs: i.ExternalIDs,
			OFPort: max(deref(i.OFPort), 0), Error: deref(i.Error), MAC: deref(i.MACInUse),
		})
	}
	slices.SortFunc(out, func(a, b Port) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out, nil
}

// EnsureBridge makes a bridge as it should be. External ids and other_config of others stay.
func (c *Client) EnsureBridge(ctx context.Context, want Bridge) error {
	return c.change(ctx, "bridge "+want.Name, func(db client.Client, s *snapshot) ([]lib.Operation, error) {
		have := s.bridges[want.Name]
		if have == nil {
			return createBridge(db, s, want)
		}
		row := *have
		row.DatapathType = want.DatapathType
		if want.FailMode != "" {
			row.FailMode = &want.FailMode
		}
		row.OtherConfig = merged(have.OtherConfig, want.OtherConfig)
		row.ExternalIDs = merged(have.ExternalIDs, want.ExternalIDs)
		if have.DatapathType == row.DatapathType && deref(have.FailMode) == deref(row.FailMode) &&
			maps.Equal(have.OtherConfig, row.OtherConfig) && maps.Equal(have.ExternalIDs, row.ExternalIDs) {
			return nil, nil
		}
		return db.Where(have).Update(&row, &row.DatapathType, &row.FailMode, &row.OtherConfig, &row.ExternalIDs)
	})
}

func createBridge(db client.Client, s *snapshot, want Bridge) ([]lib.Operation, error) {
	bridge := &bridgeRow{UUID: "bridge", Name: want.Name, Ports: []string{"port"}, DatapathType: want.DatapathType, OtherConfig: want.OtherConfig, ExternalIDs: want.ExternalIDs}
	if want.FailMode != "" {
		bridge.FailMode = &want.FailMode
	}
	ops, err := db.Create(
		&interfaceRow{UUID: "interface", Name: want.Name, Type: "internal"},
		&portRow{UUID: "port", Name: want.Name, Interfaces: []string{"interface"}},
		bridge)
	if err != nil {
		return nil, err
	}
	more, err := db.Where(&s.root).Mutate(&s.root, model.Mutation{Field: &s.root.Bridges, Mutator: lib.MutateOperationInsert, Value: []string{"bridge"}})
	return append(ops, more...), err
}

// EnsurePort makes a port of a bridge as it should be: type, options, tag where it is not 0,
// other_config and external ids; those of others stay.
func (c *Client) EnsurePort(ctx context.Context, bridge string, want Port) error {
	return c.change(ctx, "port "+want.Name, func(db client.Client, s *snapshot) ([]lib.Operation, error) {
		b := s.bridges[bridge]
		if b == nil {
			return nil, fmt.Errorf("there is no bridge %s", bridge)
		}
		p, i := s.portNamed(b, want.Name)
		if p != nil && i != nil {
			return updatePort(db, p, i, want)
		}
		row := &portRow{UUID: "port", Name: want.Name, Interfaces: []string{"interface"}, OtherConfig: want.OtherConfig}
		if want.Tag != 0 {
			row.Tag = &want.Tag
		}
		ops, err := db.Create(&interfaceRow{UUID: "interface", Name: want.Name, Type: want.Type, Options: want.Options, ExternalIDs: want.ExternalIDs}, row)
		if err != nil {
			return nil, err
		}
		more, err := db.Where(b).Mutate(b, model.Mutation{Field: &b.Ports, Mutator: lib.MutateOperationInsert, Value: []string{"port"}})
		return append(ops, more...), err
	})
}

// SetPorts changes tag and other_config of ports that are there, all in one transaction. Ports that
// are not there are passed over.
func (c *Client) SetPorts(ctx context.Context, bridge string, ports []Port) error {
	return c.change(ctx, fmt.Sprintf("%d ports of %s", len(ports), bridge), func(db client.Client, s *snapshot) ([]lib.Operation, error) {
		b := s.bridges[bridge]
		if b == nil {
			return nil, fmt.Errorf("there is no bridge %s", bridge)
		}
		var all []lib.Operation
		for _, want := range ports {
			p, i := s.portNamed(b, want.Name)
			if p == nil || i == nil {
				continue
			}
			ops, err := updatePort(db, p, i, Port{Name: want.Name, Type: i.Type, Options: i.Options, Tag: want.Tag, OtherConfig: want.OtherConfig})
			if err != nil {
				return nil, err
			}
			all = append(all, ops...)
		}
		return all, nil
	})
}

func updatePort(db client.Client, p *portRow, i *interfaceRow, want Port) ([]lib.Operation, error) {
	var ops []lib.Operation
	row := *p
	row.OtherConfig = merged(p.OtherConfig, want.OtherConfig)
	if want.Tag != 0 {
		row.Tag = &want.Tag
	}
	if deref(row.Tag) != deref(p.Tag) || !maps.Equal(row.OtherConfig, p.OtherConfig) {
		more, err := db.Where(p).Update(&row, &row.Tag, &row.OtherConfig)
		if err != nil {
			return nil, err
		}
		ops = append(ops, more...)
	}
	inter := *i
	inter.Type = want.Type
	inter.Options = want.Options
	inter.ExternalIDs = merged(i.ExternalIDs, want.ExternalIDs)
	if inter.Type != i.Type || !maps.Equal(inter.Options, i.Options) || !maps.Equal(inter.ExternalIDs, i.ExternalIDs) {
		if inter.Options == nil {
			inter.Options = map[string]string{}
		}
		more, err := db.Where(i).Update(&inter, &inter.Type, &inter.Options, &inter.ExternalIDs)
		if err != nil {
			return nil, err
		}
		ops = append(ops, more...)
	}
	return ops, nil
}

// DeletePort takes a port off a bridge. One that is not there is no error.
func (c *Client) DeletePort(ctx context.Context, bridge, name string) error {
	return c.change(ctx, "port "+name, func(db client.Client, s *snapshot) ([]lib.Operation, error) {
		b := s.bridges[bridge]
		if b == nil {
			return nil, nil
		}
		p, _ := s.portNamed(b, name)
		if p == nil {
			return nil, nil
		}
		return db.Where(b).Mutate(b, model.Mutation{Field: &b.Ports, Mutator: lib.MutateOperationDelete, Value: []string{p.UUID}})
	})
}

// change reads the database, makes operations of it, and has them done in one transaction.
func (c *Client) change(ctx context.Context, what string, plan func(db client.Client, s *snapshot) ([]lib.Operation, error)) error {
	db, err := c.db(ctx)
	if err != nil {
		return err
	}
	s, err := read(ctx, db)
	if err != nil {
		return err
	}
	ops, err := plan(db, s)
	if err != nil {
		return fmt.Errorf("configure %s: %w", what, err)
	}
	if len(ops) == 0 {
		return nil
	}
	// next_cfg asks ovs-vswitchd to say in cur_cfg when it has done it.
	bump, err := db.Where(&s.root).Mutate(&s.root, model.Mutation{Field: &s.root.NextCfg, Mutator: lib.MutateOperationAdd, Value: 1})
	if err != nil {
		return fmt.Errorf("configure %s: %w", what, err)
	}
	results, err := db.Transact(ctx, append(ops, bump...)...)
	if err != nil {
		return fmt.Errorf("configure %s: %w", what, err)
	}
	if _, err := lib.CheckOperationResults(results, append(ops, bump...)); err != nil {
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

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
