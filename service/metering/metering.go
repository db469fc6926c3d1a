// Package metering has the labels and rules by which routers' traffic is to be counted.
package metering

import (
	"database/sql"
	"net/netip"
	"slices"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/store"
)

// Label collects rules.
type Label struct {
	ID, ProjectID, Name, Description string
	Shared                           bool
}

// Rule says which packets a label counts.
type Rule struct {
	ID, LabelID, Direction      string
	Excluded                    bool
	Remote, Source, Destination string // prefixes; "": not said
	project                     string // its label's
}

// Service has the resources.
type Service struct {
	Labels *engine.Resource[Label]
	Rules  *engine.Resource[Rule]
}

// New declares the resources.
func New() *Service {
	s := &Service{}
	s.Labels = &engine.Resource[Label]{
		Name: "metering_label", Plural: "metering_labels", Collection: "metering/metering-labels", Extension: "metering", NoUpdate: true,
		NotFound: func(id string) error {
			return fault.NotFound("MeteringLabelNotFound", "Metering label '%s' does not exist.", id)
		},
		Attributes: slices.Concat([]*resource.Attribute[Label]{
			resource.ID(func(l *Label) *string { return &l.ID }),
			resource.Name(func(l *Label) *string { return &l.Name }).Post().Sort(),
			resource.Text("description", "description", 1024, func(l *Label) *string { return &l.Description }).Post().Sort(),
			resource.Bool("shared", "shared", func(l *Label) *bool { return &l.Shared }).Post().Sort(),
		}, resource.Project(func(l *Label) *string { return &l.ProjectID })),
		Scope: func(_ *engine.Call, self string) store.Cond { return store.Where(self+".shared = ?", true) },
	}
	prefix := func(name string, field func(r *Rule) *string) *resource.Attribute[Rule] {
		return resource.OptionalText(name, name, 64, field).Post().Sort().Decoded(func(r *Rule, v any) error {
			if v == nil {
				return nil
			}
			p, err := resource.PrefixValue(name, v)
			*field(r) = p.Masked().String()
			return err
		})
	}
	s.Rules = &engine.Resource[Rule]{
		Name: "metering_label_rule", Plural: "metering_label_rules", Collection: "metering/metering-label-rules", Extension: "metering", NoUpdate: true,
		NotFound: func(id string) error {
			return fault.NotFound("MeteringLabelRuleNotFound", "Metering label rule '%s' does not exist.", id)
		},
		Attributes: []*resource.Attribute[Rule]{
			resource.ID(func(r *Rule) *string { return &r.ID }),
			resource.UUID("metering_label_id", "metering_label_id", func(r *Rule) *string { return &r.LabelID }).Required().Sort(),
			resource.Enum("direction", "direction", []string{"ingress", "egress"}, false, func(r *Rule) *string { return &r.Direction }).Required().Sort(),
			resource.Bool("excluded", "excluded", func(r *Rule) *bool { return &r.Excluded }).Post().Sort(),
			prefix("remote_ip_prefix", func(r *Rule) *string { return &r.Remote }),
			prefix("source_ip_prefix", func(r *Rule) *string { return &r.Source }),
			prefix("destination_ip_prefix", func(r *Rule) *string { return &r.Destination }),
			resource.Text("project_id", "", 255, func(r *Rule) *string { return &r.project }).Post(),
			resource.Text("tenant_id", "", 255, func(r *Rule) *string { return &r.project }).Post(),
		},
		Loaders: []engine.Loader[Rule]{loadProjects},
		Scope: func(c *engine.Call, self string) store.Cond {
			return store.Where(self+".metering_label_id IN (SELECT l.id FROM metering_labels l WHERE l.project_id = ?)", c.Caller.ProjectID)
		},
		Prepare: func(c *engine.Call, r *Rule, _ resource.Given) error {
			l, err := s.Labels.GetVisible(c, r.LabelID)
			if err != nil {
				return err
			}
			if r.project != l.ProjectID && r.project != c.Caller.ProjectID {
				return fault.InvalidInput("A rule is of its label's project, %s", l.ProjectID)
			}
			r.project = l.ProjectID
			return nil
		},
		OnCreate: s.createRule,
	}
	return s
}

// Install binds the resources to the engine.
func (s *Service) Install(e *engine.Engine) {
	s.Labels.Install(e)
	s.Rules.Install(e)
}

// loadProjects tells each rule of a page its label's project.
func loadProjects(c *engine.Call, page engine.Page) (func(r *Rule), error) {
	projects := map[string]string{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var id, project string
		err := rows.Scan(&id, &project)
		projects[id] = project
		return err
	}, "SELECT r.id, l.project_id FROM metering_label_rules r"+page.Join("r.id")+"JOIN metering_labels l ON l.id = r.metering_label_id", page.Args...)
	return func(r *Rule) { r.project = projects[r.ID] }, err
}

// createRule takes one remote prefix, or a source or destination, that overlaps no other rule of the label.
func (s *Service) createRule(c *engine.Call, r *Rule, _ resource.Given) error {
	switch {
	case r.Remote == "" && r.Source == "" && r.Destination == "":
		return fault.BadRequest("Invalid", "You must define at least one of the following parameters: remote_ip_prefix, source_ip_prefix, destination_ip_prefix.")
	case r.Remote != "" && (r.Source != "" || r.Destination != ""):
		return fault.BadRequest("Invalid", "Cannot use 'remote-ip-prefix' in conjunction with 'source-ip-prefix' or 'destination-ip-prefix'.")
	}
	others, err := s.Rules.Rows(c, store.Where("t.metering_label_id = ? AND t.direction = ?", r.LabelID, r.Direction))
	if err != nil {
		return err
	}
	for _, other := range others {
		if overlaps(other.Remote, r.Remote) && overlaps(other.Source, r.Source) && overlaps(other.Destination, r.Destination) {
			return fault.Conflict("MeteringLabelRuleOverlaps", "Metering label rule with remote_ip_prefix '%s' overlaps another.", r.Remote)
		}
	}
	return nil
}

// overlaps says whether two prefixes, both said or both not, have an address in common.
func overlaps(a, b string) bool {
	p, errA := netip.ParsePrefix(a)
	q, errB := netip.ParsePrefix(b)
	if errA != nil || errB != nil {
		return a == b
	}
	return p.Overlaps(q)
}
