// Package compute notes what compute services must be told of ports: the events of Nova's
// os-server-external-events. They are written in the transaction of the change, so that none is lost and
// none is told of what did not happen; who sends them reads and removes them here.
package compute

import (
	"strings"

	"github.com/google/uuid"

	"neutrino/engine"
	"neutrino/resource"
	"neutrino/service/network"
	"neutrino/service/router"
)

// The events that Nova knows of ports:
// https://docs.openstack.org/api-ref/compute/#run-events
const (
	Plugged   = "network-vif-plugged"   // wired; completed, or failed
	Unplugged = "network-vif-unplugged" // no longer wired
	Deleted   = "network-vif-deleted"   // the port is gone
	Changed   = "network-changed"       // addresses or attributes are others
)

// Options say which events are noted, by the original's names.
type Options struct {
	StatusChanges bool // notify_nova_on_port_status_changes: Plugged, Unplugged
	DataChanges   bool // notify_nova_on_port_data_changes: Changed, Deleted
}

// Service notes events.
type Service struct {
	options Options
}

// New has ports and floating IPs note what happens to them. With nobody to be told (the zero Options) they note nothing.
func New(o Options, n *network.Service, r *router.Service) *Service {
	s := &Service{o}
	if o.StatusChanges || o.DataChanges {
		n.PortRules = append(n.PortRules, network.PortRule{Updated: s.portUpdated})
	}
	if o.DataChanges {
		n.Ports.DeleteGuards = append(n.Ports.DeleteGuards, s.portDeleted)
		r.FloatingIPChanged = append(r.FloatingIPChanged, s.floatingIPChanged)
	}
	return s
}

// Port is what is asked of a port to know whether a compute service is told of it.
type Port struct{ ID, DeviceID, DeviceOwner string }

// server is the instance whose port it is; "" for ports of which no compute service is told.
func (p Port) server() string {
	if !strings.HasPrefix(p.DeviceOwner, "compute:") {
		return ""
	}
	if _, err := uuid.Parse(p.DeviceID); err != nil || len(p.DeviceID) > 36 {
		return ""
	}
	return p.DeviceID
}

func portOf(p *network.Port) Port { return Port{p.ID, p.DeviceID, p.DeviceOwner} }

// portUpdated notes changes of status, and those that a request made.
func (s *Service) portUpdated(c *engine.Call, old, p *network.Port, given resource.Given) error {
	if err := s.StatusChanged(c, portOf(p), old.Status, p.Status, ""); err != nil {
		return err
	}
	if given == nil {
		return nil
	}
	return s.changed(c, portOf(p))
}

// edge is the event of a change of status; none for most.
func edge(was, is string) (name, status string) {
	switch {
	case was == "ACTIVE" && is == "DOWN":
		return Unplugged, "completed"
	case was != "DOWN" && was != "BUILD":
		return "", ""
	case is == "ACTIVE":
		return Plugged, "completed"
	case is == "ERROR":
		return Plugged, "failed"
	}
	return "", ""
}

// StatusChanged notes what a change of a port's status means to its compute service. request is the API request
// because of which it changed, for logs; "" is the transaction's own.
func (s *Service) StatusChanged(c *engine.Call, p Port, was, is, request string) error {
	name, status := edge(was, is)
	if name == "" || !s.options.StatusChanges {
		return nil
	}
	return add(c, Event{Name: name, Server: p.server(), Tag: p.ID, Status: status, Request: request})
}

// Concerned says whether anybody is told of changes of status.
func (s *Service) Concerned() bool { return s.options.StatusChanges }

func (s *Service) changed(c *engine.Call, p Port) error {
	if !s.options.DataChanges {
		return nil
	}
	return add(c, Event{Name: Changed, Server: p.server(), Tag: p.ID})
}

// portDeleted is among the guards, the last to see a port; it refuses nothing. That the port had changed is of no
// interest any more.
func (s *Service) portDeleted(c *engine.Call, p *network.Port) error {
	if err := drop(c, Changed, p.ID); err != nil {
		return err
	}
	return add(c, Event{Name: Deleted, Server: portOf(p).server(), Tag: p.ID})
}

// floatingIPChanged tells of the ports at which a floating IP was and is; "" for none.
func (s *Service) floatingIPChanged(c *engine.Call, was, is string) error {
	ids := []string{was}
	if is != was {
		ids = append(ids, is)
	}
	for _, id := range ids {
		if id == "" {
			continue
		}
		p := Port{ID: id}
		found, err := c.Tx.One([]any{&p.DeviceID, &p.DeviceOwner}, "SELECT device_id, device_owner FROM ports WHERE id = ?", id)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if err := s.changed(c, p); err != nil {
			return err
		}
	}
	return nil
}
