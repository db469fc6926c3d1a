// Package southbound reads from OVN's southbound database what hosts have made of the northbound one: which hosts
// there are and whether they live, which ports are up, and where gateways are.
package southbound

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"neutrino/dataplane/ovndb"
	"neutrino/driver/ovn"
)

// Options say which database is read, and who is told.
type Options struct {
	Database ovndb.Options // Endpoints and TLS; the rest is the reader's
	Log      *slog.Logger

	// Hosts is told all chassis when the database was read first, and whenever one is another.
	Hosts func([]*ovn.Chassis)
	// Alive is told of hosts that answered: their controllers, and metadata agents of the original's.
	Alive func(ctx context.Context, hosts []Host) error
	// Ports is told which ports are up, all at first and then what changes. A failed call is made again.
	Ports func(ctx context.Context, ports []Port) error
}

// Host is a chassis that answered.
type Host struct {
	ovn.Chassis
	Metadata string // id of the original's metadata agent that answered as well; "": none
}

// Port is what is known of a port.
type Port struct {
	ID   string
	Up   bool
	Host string // that has it, if one has; of a router's gateway port the one where it is active
}

// Reader follows the database. Make it by New, let it Run.
type Reader struct {
	o      Options
	client *ovndb.Client
	wake   chan struct{}

	mu      sync.Mutex // taken while the client is locked
	first   bool       // the first state is in
	chassis bool       // chassis have changed
	signs   *signs
	alive   map[string]bool
	places  *places
	ports   map[string]bool // ids of ports that have changed
}

// tables are what is read.
var tables = map[string][]string{
	"Chassis":         {"name", "hostname", "encaps", "other_config", "external_ids"},
	"Chassis_Private": {"name", "nb_cfg", "external_ids", "chassis"},
	"Encap":           {"type", "ip", "chassis_name"},
	"Port_Binding":    {"logical_port", "type", "chassis", "up", "external_ids"},
}

// New makes a reader.
func New(o Options) *Reader {
	r := &Reader{
		o: o, wake: make(chan struct{}, 1), signs: newSigns(), alive: map[string]bool{}, places: newPlaces(), ports: map[string]bool{},
	}
	db := o.Database
	db.Database, db.Tables, db.Log, db.AnyServer = "OVN_Southbound", tables, o.Log, true
	db.Changed = r.changed
	r.client = ovndb.New(db)
	return r
}

// changed notes what is to be told.
func (r *Reader) changed(_ *ovndb.View, changes []ovndb.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ch := range changes {
		switch ch.Table {
		case "Chassis", "Encap":
			r.chassis = true
		case "Port_Binding":
			r.places.take(ch, r.ports)
		}
	}
	alive := r.signs.take(changes)
	if r.first { // at first nobody knows how old what rows say is
		maps.Copy(r.alive, alive)
	} else {
		r.first, r.chassis = true, true
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// retry is how soon what could not be told is told again.
const retry = time.Second

// Run tells what changes until the context ends.
func (r *Reader) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { _ = r.client.Run(ctx) })
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.wake:
		}
		if err := r.tell(ctx); err != nil && ctx.Err() == nil {
			r.o.Log.Error("what OVN's hosts say could not be taken; trying again", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(retry):
			}
			select {
			case r.wake <- struct{}{}:
			default:
			}
		}
	}
}

// tell tells what has changed. What can't be told stays to be told.
func (r *Reader) tell(ctx context.Context) error {
	var hosts []*ovn.Chassis
	var alive []Host
	var ports []Port
	chassis := false
	var saidAlive, saidPorts map[string]bool
	if err := r.client.View(func(db *ovndb.View) {
		r.mu.Lock()
		defer r.mu.Unlock()
		chassis, saidAlive, saidPorts = r.chassis, r.alive, r.ports
		r.chassis, r.alive, r.ports = false, map[string]bool{}, map[string]bool{}
		if chassis || len(saidAlive) > 0 {
			hosts = readHosts(db)
			alive = answered(db, hosts, saidAlive)
		}
		ports = r.places.read(db, saidPorts)
	}); err != nil {
		return nil // never connected: nothing to tell
	}
	if chassis {
		r.o.Hosts(hosts)
	}
	err := error(nil)
	if len(alive) > 0 {
		if err = r.o.Alive(ctx, alive); err == nil {
			saidAlive = nil
		}
	} else {
		saidAlive = nil
	}
	if err == nil && len(ports) > 0 {
		err = r.o.Ports(ctx, ports)
	}
	if err == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.Copy(r.alive, saidAlive)
	maps.Copy(r.ports, saidPorts)
	return err
}

// All has every port told again, to whoever is to write it from now on.
func (r *Reader) All() {
	r.mu.Lock()
	for id := range r.places.rows {
		r.ports[id] = true
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Again has some ports told again.
func (r *Reader) Again(ids []string) {
	r.mu.Lock()
	for _, id := range ids {
		r.ports[id] = true
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// readHosts reads the chassis, in the order of their names.
func readHosts(db *ovndb.View) []*ovn.Chassis {
	var list []*ovn.Chassis
	for _, row := range db.Table("Chassis") {
		c := &ovn.Chassis{Name: row.One["name"], Hostname: row.One["hostname"], Bridge: "br-int", Datapath: "system", BridgeMappings: map[string]string{}}
		of := func(key string) string { // older hosts write external_ids
			if v, ok := row.Many["other_config"][key]; ok {
				return v
			}
			return row.Many["external_ids"][key]
		}
		for _, pair := range strings.Split(of("ovn-bridge-mappings"), ",") {
			if physical, bridge, ok := strings.Cut(strings.TrimSpace(pair), ":"); ok {
				c.BridgeMappings[physical] = bridge
			}
		}
		for _, option := range strings.Split(of("ovn-cms-options"), ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(option), "=")
			switch name {
			case "enable-chassis-as-gw":
				c.Gateway = true
			case "enable-chassis-as-extport-host":
				c.External = true
			case "availability-zones":
				c.Zones = strings.Split(value, ":")
			}
		}
		if d := of("datapath-type"); d != "" {
			c.Datapath = d
		}
		for id := range row.Many["encaps"] {
			if e := db.Row("Encap", id); e != nil && !slices.Contains(c.EncapTypes, e.One["type"]) {
				c.EncapTypes = append(c.EncapTypes, e.One["type"])
			}
		}
		slices.Sort(c.EncapTypes)
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *ovn.Chassis) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// answered are the hosts of names that are there.
func answered(db *ovndb.View, hosts []*ovn.Chassis, names map[string]bool) []Host {
	if len(names) == 0 {
		return nil
	}
	metadata := map[string]string{} // by chassis
	for _, row := range db.Table("Chassis_Private") {
		if row.Many["external_ids"]["neutron:ovn-metadata-sb-cfg"] == row.One["nb_cfg"] {
			metadata[row.One["name"]] = row.Many["external_ids"]["neutron:ovn-metadata-id"]
		}
	}
	var out []Host
	for _, c := range hosts {
		if names[c.Name] {
			out = append(out, Host{Chassis: *c, Metadata: metadata[c.Name]})
		}
	}
	return out
}
