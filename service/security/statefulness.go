package security

import (
	"slices"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/store"
)

// Statefulness is what a project's new security groups are when their creator does not say.
type Statefulness struct {
	ID        string
	ProjectID string
	Stateful  bool
}

func (s *Service) declareStatefulness() {
	const name = "security_groups_default_statefulness"
	s.Statefulness = &engine.Resource[Statefulness]{
		Name: name, Plural: name, Extension: "security-groups-default-statefulness",
		NotFound: func(id string) error {
			return fault.NotFound("SecurityGroupDefaultStatefulnessNotFound", "Security group default statefulness %s could not be found.", id)
		},
		Attributes: slices.Concat(
			[]*resource.Attribute[Statefulness]{
				resource.ID(func(d *Statefulness) *string { return &d.ID }),
				resource.Bool("stateful", "stateful", func(d *Statefulness) *bool { return &d.Stateful }).
					Post().Put().Sort().Default(func(d *Statefulness) { d.Stateful = true }),
			},
			resource.Project(func(d *Statefulness) *string { return &d.ProjectID })),
		OnCreate: func(c *engine.Call, d *Statefulness, _ resource.Given) error {
			n, err := c.Tx.Count("SELECT COUNT(*) FROM security_groups_default_statefulness WHERE project_id = ?", d.ProjectID)
			if err == nil && n > 0 {
				err = fault.Conflict("SecurityGroupDefaultStatefulnessAlreadyExists",
					"A security group default statefulness setting already exists for project '%s'.", d.ProjectID)
			}
			return err
		},
	}
}

// statefulByDefault is whether a project's new groups are stateful.
func (s *Service) statefulByDefault(c *engine.Call, project string) (bool, error) {
	found, err := s.Statefulness.Rows(c, store.Where("t.project_id = ?", project))
	if err != nil || len(found) == 0 {
		return true, err
	}
	return found[0].Stateful, nil
}
