package server

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"neutrino/dataplane/ovndb"
	"neutrino/desired"
	"neutrino/driver/ovn"
	"neutrino/engine"
	"neutrino/northbound"
	"neutrino/service/agent"
	"neutrino/service/facts"
	"neutrino/service/network"
	"neutrino/service/router"
	"neutrino/southbound"
	"neutrino/store"
)

// OVN says where OVN's databases are, and what is written into them (section [ovn]).
type OVN struct {
	North, South ovndb.Options // Endpoints and TLS
	Driver       ovn.Options
}

// DefaultOVN is the original's.
func DefaultOVN() OVN {
	local := func(port string) ovndb.Options { return ovndb.Options{Endpoints: []string{"tcp:127.0.0.1:" + port}} }
	return OVN{North: local("6641"), South: local("6642"), Driver: ovn.DefaultOptions()}
}

// ovnSync keeps OVN's databases and ours together.
type ovnSync struct {
	services *Services
	reader   *facts.Reader
	log      *slog.Logger
	writer   *northbound.Writer
	south    *southbound.Reader
	turn     atomic.Bool // this server is the one that writes
	hosts    atomic.Bool // the southbound database was read
}

func newOVN(s *Services, o OVN, downAfter time.Duration, log *slog.Logger) *ovnSync {
	x := &ovnSync{services: s, reader: newSource(s).reader, log: log}
	x.writer = northbound.New(northbound.Options{
		Database: o.North, Driver: o.Driver, Journal: northJournal{s.Engine.DB}, Source: x, Log: log, Realised: x.realised, Turn: x.turned, Ask: downAfter / 3,
	})
	s.Hosting.SetGateways(x.writer)
	x.south = southbound.New(southbound.Options{Database: o.South, Log: log, Hosts: x.chassis, Alive: x.alive, Ports: x.ports})
	return x
}

// northJournal shows the store's journal to the writer.
type northJournal struct{ *store.DB }

// Read implements northbound.Journal.
func (j northJournal) Read(ctx context.Context, after int64, limit int) ([]northbound.Entry, error) {
	entries, err := j.DB.Read(ctx, after, limit)
	out := make([]northbound.Entry, len(entries))
	for i, e := range entries {
		out[i] = northbound.Entry{Revision: e.Revision, Kind: e.Kind, ID: e.ID}
	}
	return out, err
}

// All implements northbound.Source.
func (x *ovnSync) All(ctx context.Context) (f *northbound.Facts, revision int64, err error) {
	err = x.services.Engine.View(ctx, nil, func(c *engine.Call) error {
		if revision, err = c.Tx.Head(); err != nil {
			return err
		}
		f, err = x.read(c, nil)
		return err
	})
	return f, revision, err
}

// Some implements northbound.Source. What OVN says of ports that have changed is taken once more: a port that is
// bound anew begins as DOWN, though OVN has nothing to do.
func (x *ovnSync) Some(ctx context.Context, ids map[ovn.Kind][]string) (f *northbound.Facts, err error) {
	err = x.services.Engine.View(ctx, nil, func(c *engine.Call) error {
		f, err = x.read(c, ids)
		return err
	})
	if x.south != nil && len(ids[ovn.KindPort]) > 0 && x.turn.Load() {
		x.south.Again(ids[ovn.KindPort])
	}
	return f, err
}

// read reads facts; nil asks for all.
func (x *ovnSync) read(c *engine.Call, ids map[ovn.Kind][]string) (*northbound.Facts, error) {
	f := &northbound.Facts{}
	var err error
	read := func(kind ovn.Kind, take func(ids []string) error) {
		if err != nil || ids != nil && len(ids[kind]) == 0 {
			return
		}
		if err = take(ids[kind]); err != nil {
			err = fmt.Errorf("read facts of kind %s: %w", kind, err)
		}
	}
	read(ovn.KindNetwork, func(ids []string) (err error) { f.Networks, err = x.reader.OVNNetworks(c, ids); return err })
	read(ovn.KindPort, func(ids []string) (err error) { f.Ports, err = x.reader.OVNPorts(c, ids); return err })
	read(ovn.KindGroup, func(ids []string) (err error) { f.Groups, err = x.reader.OVNGroups(c, ids); return err })
	read(ovn.KindAddressGroup, func(ids []string) (err error) {
		f.AddressGroups, err = x.reader.OVNAddressGroups(c, ids)
		return err
	})
	read(ovn.KindRouter, func(ids []string) (err error) { f.Routers, err = x.reader.OVNRouters(c, ids); return err })
	read(ovn.KindFloatingIP, func(ids []string) (err error) { f.FloatingIPs, err = x.reader.OVNFloatingIPs(c, ids); return err })
	read(ovn.KindPolicy, func(ids []string) (err error) { f.Policies, err = x.reader.OVNPolicies(c, ids); return err })
	return f, err
}

// run follows both databases until the context ends.
func (x *ovnSync) run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- x.south.Run(ctx) }()
	return errors.Join(x.writer.Run(ctx), <-done)
}

// turned notes whose turn it is; who begins takes all that OVN's hosts say. It is called by the client.
func (x *ovnSync) turned(writing bool) {
	if x.turn.Swap(writing) != writing && writing {
		go x.south.All()
	}
}

func (x *ovnSync) chassis(list []*ovn.Chassis) {
	x.writer.SetHosts(list)
	if !x.hosts.Swap(true) {
		x.writer.Ask()
	}
}

// alive writes the agents of hosts that answered.
func (x *ovnSync) alive(ctx context.Context, hosts []southbound.Host) error {
	if !x.turn.Load() {
		return nil
	}
	for _, h := range hosts {
		states := []agent.State{agent.Controller(&h.Chassis)}
		if h.Metadata != "" {
			states = append(states, agent.State{
				Type: agent.OVNMetadata, Binary: "neutron-ovn-metadata-agent", Started: time.Now(), ID: h.Metadata,
				Configurations: map[string]any{"chassis_name": h.Name},
			})
		}
		if err := x.services.Agents.Heartbeat(ctx, x.services.Engine, h.Hostname, states); err != nil {
			return fmt.Errorf("note that %s lives: %w", h.Hostname, err)
		}
	}
	return nil
}

// portState is what decides a port's status.
type portState struct {
	status, reason, host, vifType, details, owner, answeredBy string

	external bool // on none of OVN's switches
}

// verdict is what a port's status is to be; ok is false when OVN has no say.
func (s portState) verdict(said southbound.Port) (status, reason string, ok bool) {
	bound := s.host != "" && s.vifType == "ovs"
	switch {
	case s.external:
		return s.answered(said)
	case s.owner == "network:floatingip", bound && !strings.Contains(s.details, `"`+network.OVN+`"`),
		s.vifType == "binding_failed" && s.owner != router.OwnerGateway:
		return "", "", false
	case said.Up && (!bound || said.Host == s.host || said.Host == ""):
		return "ACTIVE", "", true
	case bound && said.Up:
		return "DOWN", "OVN has the port on host " + said.Host + ", not yet on " + s.host, true
	case bound:
		return "DOWN", "waiting for OVN on host " + s.host + " to wire the port", true
	case s.status == "ACTIVE":
		return "DOWN", "OVN has the port on no host", true
	}
	return "", "", false
}

// answered is the verdict of a port that is on none of OVN's switches: that a host answers for it is what OVN can tell.
// Of virtual functions their host's agent tells more.
func (s portState) answered(said southbound.Port) (status, reason string, ok bool) {
	switch {
	case s.host == "" || s.vifType != "hostdev_physical" && s.vifType != "other":
		return "", "", false
	case said.Up:
		return "ACTIVE", "", true
	}
	return "DOWN", "no host of OVN's answers for the port", true
}

// ports takes what OVN says of ports.
func (x *ovnSync) ports(ctx context.Context, list []southbound.Port) error {
	if !x.turn.Load() {
		return nil
	}
	for part := range slices.Chunk(list, 500) {
		ids := make([]string, len(part))
		for i, p := range part {
			ids[i] = p.ID
		}
		states := map[string]portState{}
		if err := x.services.Engine.View(ctx, nil, func(c *engine.Call) error {
			where := store.In("id", ids)
			return c.Tx.Each(func(rows *sql.Rows) error {
				var id, vnicType, profile string
				var s portState
				if err := rows.Scan(&id, &s.status, &s.reason, &s.host, &s.vifType, &s.details, &s.owner, &s.answeredBy, &vnicType, &profile); err != nil {
					return err
				}
				p := network.Port{VNICType: vnicType}
				err := json.Unmarshal([]byte(profile), &p.Profile)
				s.external = p.External()
				states[id] = s
				return err
			}, "SELECT id, status, status_reason, host, vif_type, vif_details, device_owner, answered_by, vnic_type, profile FROM ports"+where.Clause(), where.Args...)
		}); err != nil {
			return fmt.Errorf("read the status of ports: %w", err)
		}
		if err := x.gateways(ctx, part, states); err != nil {
			return err
		}
		if err := x.answering(ctx, part, states); err != nil {
			return err
		}
		var changes []facts.StatusChange
		for _, p := range part {
			s, known := states[p.ID]
			if !known {
				continue
			}
			if status, reason, ok := s.verdict(p); ok && (status != s.status || reason != s.reason) {
				changes = append(changes, facts.StatusChange{Kind: desired.KindPort, ID: p.ID, Status: status, Reason: reason})
			}
		}
		if len(changes) == 0 {
			continue
		}
		if err := x.reader.SetStatus(ctx, changes, nil); err != nil {
			return fmt.Errorf("write the status of ports: %w", err)
		}
	}
	return nil
}

// gateways gives routers' gateway ports the hosts that OVN has them on, as the original does. Their status is told once
// more then, for the ports have changed.
func (x *ovnSync) gateways(ctx context.Context, list []southbound.Port, states map[string]portState) error {
	var moved []southbound.Port
	for _, p := range list {
		if s := states[p.ID]; s.owner == router.OwnerGateway && p.Host != "" && p.Host != s.host {
			moved = append(moved, p)
			delete(states, p.ID)
		}
	}
	if len(moved) == 0 {
		return nil
	}
	if err := x.services.Engine.Update(ctx, nil, func(c *engine.Call) error {
		for _, p := range moved {
			if err := x.services.Network.SetHost(c, p.ID, p.Host); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return fmt.Errorf("write where gateways are: %w", err)
	}
	return nil
}

// answering notes which hosts answer for ports that are on none of OVN's switches: they serve metadata, too.
func (x *ovnSync) answering(ctx context.Context, list []southbound.Port, states map[string]portState) error {
	hosts := map[string]string{}
	for _, p := range list {
		s, known := states[p.ID]
		host := ""
		if s.external {
			host = p.Host
		}
		if known && host != s.answeredBy {
			hosts[p.ID] = host
		}
	}
	if len(hosts) == 0 {
		return nil
	}
	if err := x.services.Engine.Update(ctx, nil, func(c *engine.Call) error {
		for _, id := range slices.Sorted(maps.Keys(hosts)) {
			if err := x.services.Network.SetAnswering(c, id, hosts[id]); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return fmt.Errorf("write who answers for ports: %w", err)
	}
	return nil
}

// realised takes which routers and floating IPs are written. Routers are ACTIVE from the beginning.
func (x *ovnSync) realised(ctx context.Context, list []northbound.Realised) error {
	for part := range slices.Chunk(list, 500) {
		var changes []facts.StatusChange
		for _, r := range part {
			ch := facts.StatusChange{Kind: desired.KindRouter, ID: r.ID, Status: "ACTIVE", Reason: r.Reason}
			if r.Kind == ovn.KindFloatingIP {
				ch.Kind = desired.KindFloatingIP
				if !r.Rows {
					ch.Status = "DOWN"
				}
			}
			changes = append(changes, ch)
		}
		if err := x.reader.SetStatus(ctx, changes, nil); err != nil {
			return fmt.Errorf("write the status of routers and floating IPs: %w", err)
		}
	}
	return nil
}

// CheckOVN compares the northbound database with ours, once; see northbound.Check.
func CheckOVN(ctx context.Context, s *Services, o OVN, what northbound.CheckOptions, log *slog.Logger) ([]northbound.Difference, error) {
	x := &ovnSync{services: s, reader: newSource(s).reader, log: log}
	hosts := make(chan []*ovn.Chassis, 1)
	south := southbound.New(southbound.Options{
		Database: o.South, Log: log,
		Hosts: func(list []*ovn.Chassis) {
			select {
			case hosts <- list:
			default:
			}
		},
		Alive: func(context.Context, []southbound.Host) error { return nil },
		Ports: func(context.Context, []southbound.Port) error { return nil },
	})
	run, stop := context.WithCancel(ctx)
	defer stop()
	go func() { _ = south.Run(run) }()
	select {
	case list := <-hosts:
		return northbound.Check(ctx, northbound.Options{Database: o.North, Driver: o.Driver, Journal: northJournal{s.Engine.DB}, Source: x, Log: log}, list, what)
	case <-time.After(30 * time.Second):
		return nil, errors.New("the southbound database does not answer")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
