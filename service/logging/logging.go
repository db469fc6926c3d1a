// Package logging has logs: which packets of ports in security groups are to be written down.
package logging

import (
	"slices"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/network"
	"neutrino/service/security"
	"neutrino/store"
)

// Log asks for packets to be written down: those of a security group, of a port, of one in the other, or
// of all the project's.
type Log struct {
	resource.Standard
	ResourceType string
	ResourceID   string // security group; "": any
	TargetID     string // port; "": any
	Event        string // ACCEPT, DROP or ALL
	Enabled      bool
}

// Loggable is a type of resources that logs can be of.
type Loggable struct {
	Type string
}

// securityGroup is the one type that can be logged.
const securityGroup = "security_group"

// Service has the resources.
type Service struct {
	Logs      *engine.Resource[Log]
	Loggables *engine.Resource[Loggable]

	net    *network.Service
	groups *security.Service
}

// New declares the resources, and lets logs go with what they are of.
func New(net *network.Service, groups *security.Service) *Service {
	s := &Service{net: net, groups: groups}
	s.declareLogs()
	s.Loggables = &engine.Resource[Loggable]{
		Name: "loggable_resource", Plural: "loggable_resources", Collection: "log/loggable-resources", Extension: "logging", Key: "type",
		NoShow: true, NoCreate: true, NoUpdate: true, NoDelete: true,
		Attributes: []*resource.Attribute[Loggable]{resource.Text("type", "type", 0, func(l *Loggable) *string { return &l.Type })},
		From:       func(*engine.Call) ([]*Loggable, error) { return []*Loggable{{Type: securityGroup}}, nil },
	}
	net.Ports.DeleteGuards = append(net.Ports.DeleteGuards, func(c *engine.Call, p *network.Port) error {
		return s.drop(c, store.Where("t.target_id = ?", p.ID))
	})
	groups.Groups.DeleteGuards = append(groups.Groups.DeleteGuards, func(c *engine.Call, g *security.Group) error {
		return s.drop(c, store.Where("t.resource_id = ?", g.ID))
	})
	return s
}

// Install binds the resources to the engine.
func (s *Service) Install(e *engine.Engine) {
	s.Logs.Install(e)
	s.Loggables.Install(e)
}

func (s *Service) declareLogs() {
	std := func(l *Log) *resource.Standard { return &l.Standard }
	s.Logs = &engine.Resource[Log]{
		Name: "log", Plural: "logs", Collection: "log/logs", Extension: "logging", Standard: std,
		NotFound: func(id string) error {
			return fault.NotFound("LogResourceNotFound", "Log resource %s could not be found.", id)
		},
		Attributes: append(resource.Standards(std),
			resource.Text("resource_type", "resource_type", 255, func(l *Log) *string { return &l.ResourceType }).Required().Sort(),
			resource.OptionalUUID("resource_id", "resource_id", func(l *Log) *string { return &l.ResourceID }).Post().Sort(),
			resource.OptionalUUID("target_id", "target_id", func(l *Log) *string { return &l.TargetID }).Post().Sort(),
			resource.Enum("event", "event", []string{"ACCEPT", "DROP", "ALL"}, false, func(l *Log) *string { return &l.Event }).
				Post().Filter().Default(func(l *Log) { l.Event = "ALL" }),
			resource.Bool("enabled", "enabled", func(l *Log) *bool { return &l.Enabled }).Post().Put().Sort().
				Default(func(l *Log) { l.Enabled = true }),
		),
		OnCreate: func(c *engine.Call, l *Log, _ resource.Given) error { return s.check(c, l) },
	}
}

// check refuses a log of what is not there, or that can't have a packet.
func (s *Service) check(c *engine.Call, l *Log) error {
	if l.ResourceType != securityGroup {
		return fault.BadRequest("InvalidLogResourceType", "Invalid log resource_type: %s.", l.ResourceType)
	}
	if l.ResourceID != "" {
		if _, err := s.groups.Groups.GetVisible(c, l.ResourceID); err != nil {
			return instead(err, "ResourceNotFound", "Resource %s could not be found.", l.ResourceID)
		}
	}
	if l.TargetID == "" {
		return nil
	}
	p, err := s.net.Ports.GetVisible(c, l.TargetID)
	if err != nil {
		return instead(err, "TargetResourceNotFound", "Target resource %s could not be found.", l.TargetID)
	}
	if p.Bound() && p.VIFType != "ovs" {
		return fault.Conflict("LoggingTypeNotSupported", "Logging type %s is not supported on port %s.", l.ResourceType, p.ID)
	}
	if l.ResourceID != "" && !slices.Contains(p.SecurityGroups, l.ResourceID) {
		return fault.BadRequest("InvalidResourceConstraint", "Invalid resource constraint between resource (%s %s) and target resource (port %s).",
			l.ResourceType, l.ResourceID, l.TargetID)
	}
	return nil
}

// instead turns a not-found error into another type's.
func instead(err error, kind, format, id string) error {
	if fault.IsNotFound(err) {
		return fault.NotFound(kind, format, id)
	}
	return err
}

// drop removes logs with what they are of.
func (s *Service) drop(c *engine.Call, cond store.Cond) error {
	logs, err := s.Logs.Rows(c, cond)
	if err != nil {
		return err
	}
	for _, l := range logs {
		if err := s.Logs.Drop(c, l); err != nil {
			return err
		}
	}
	return nil
}
