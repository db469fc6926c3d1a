package security

import (
	"slices"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/policy"
	"neutrino/resource"
	"neutrino/store"
)

// Rule lets packets of a group's ports pass.
type Rule struct {
	resource.Standard
	Match
	GroupID      string
	normalized   string // Match.Normalized as text, for filters
	defaultGroup bool
}

func (s *Service) declareRules() {
	std := func(r *Rule) *resource.Standard { return &r.Standard }
	s.Rules = &engine.Resource[Rule]{
		Name: "security_group_rule", Plural: "security_group_rules", Extension: "security-group",
		Standard: std, Counted: true, NoUpdate: true,
		NotFound: func(id string) error {
			return fault.NotFound("SecurityGroupRuleNotFound", "Security group rule %s does not exist", id)
		},
		Attributes: slices.Concat(
			[]*resource.Attribute[Rule]{resource.ID(func(r *Rule) *string { return &r.ID })},
			resource.Project(func(r *Rule) *string { return &r.ProjectID }),
			resource.Stamps(std),
			[]*resource.Attribute[Rule]{
				resource.UUID("security_group_id", "security_group_id", func(r *Rule) *string { return &r.GroupID }).Required().Sort(),
				resource.OptionalText("remote_group_id", "remote_group_id", 255, func(r *Rule) *string { return &r.RemoteGroupID }).Post().Sort(),
				resource.OptionalText("normalized_cidr", "normalized_cidr", 64, func(r *Rule) *string { return &r.normalized }).Sort().Filter().
					Encoded(func(b []byte, r *Rule) []byte { return appendPrefix(b, r.Normalized()) }),
				resource.Computed("belongs_to_default_sg", func(b []byte, r *Rule) []byte { return resource.AppendBool(b, r.defaultGroup) },
					func(r *Rule) any { return r.defaultGroup }).AdminOnly().Where(inDefaultGroup),
			},
			matchAttributes(func(r *Rule) *Match { return &r.Match })),
		Parents: map[string]func(*engine.Call, *Rule) (policy.Target, error){
			"security_group": s.groupTarget,
			"ext_parent":     s.groupTarget,
		},
		Scope: func(c *engine.Call, self string) store.Cond {
			return store.Where(self+".security_group_id IN (SELECT g.id FROM security_groups g WHERE g.project_id = ?)", c.Caller.ProjectID)
		},
		Loaders: []engine.Loader[Rule]{loadDefaults, s.preloadGroups},
		Prepare: func(c *engine.Call, r *Rule, _ resource.Given) error {
			_, err := s.groupTarget(c, r)
			return err
		},
		Together:  together,
		OnCreate:  s.createRule,
		OnCreated: func(c *engine.Call, r *Rule) error { return s.Groups.Touch(c, r.GroupID) },
		OnDeleted: func(c *engine.Call, r *Rule) error { return s.Groups.Touch(c, r.GroupID) },
	}
}

// inDefaultGroup is the filter of belongs_to_default_sg.
func inDefaultGroup(values []string, self string) (store.Cond, error) {
	return engine.WhereBool(values, store.Where(self+".security_group_id IN (SELECT d.security_group_id FROM default_security_groups d)"))
}

// loadDefaults says which rules of a page are of a default group.
func loadDefaults(c *engine.Call, page engine.Page) (func(r *Rule), error) {
	defaults, err := engine.TextSet(c, "SELECT d.security_group_id FROM default_security_groups d JOIN security_group_rules x ON x.security_group_id = d.security_group_id"+
		page.Join("x.id"), page.Args...)
	return func(r *Rule) { r.defaultGroup = defaults[r.GroupID] }, err
}

// preloadGroups reads the groups of a page of rules at once, for the policy rules that ask who owns
// them. Administrators' rules don't.
func (s *Service) preloadGroups(c *engine.Call, page engine.Page) (func(r *Rule), error) {
	nothing := func(*Rule) {}
	if c.Admin() {
		return nothing, nil
	}
	groups, err := s.Groups.Rows(c, store.Where("t.id IN (SELECT x.security_group_id FROM security_group_rules x"+page.Join("x.id")+")", page.Args...))
	for _, g := range groups {
		engine.Remember(c, groupKey{g.ID}, g)
	}
	return nothing, err
}

type groupKey struct{ id string }

func (s *Service) group(c *engine.Call, id string) (*Group, error) {
	return engine.Once(c, groupKey{id}, func() (*Group, error) { return s.Groups.Row(c, id) })
}

func (s *Service) groupTarget(c *engine.Call, r *Rule) (policy.Target, error) {
	g, err := s.group(c, r.GroupID)
	if err != nil {
		return nil, err
	}
	return s.Groups.Target(c, g), nil
}

// together refuses rules in one request that are of several groups or projects, or the same.
func together(_ *engine.Call, all []*Rule) error {
	for i, r := range all {
		if r.GroupID != all[0].GroupID {
			return fault.BadRequest("SecurityGroupNotSingleGroupRules", "Only allowed to update rules for one security profile at a time")
		}
		if r.ProjectID != all[0].ProjectID {
			return fault.BadRequest("SecurityGroupRulesNotSingleProject", "Multiple project_ids in bulk security group rule create not allowed")
		}
		one := r.Match
		one.canonical()
		for _, other := range all[:i] {
			two := other.Match
			if two.canonical(); one.same(&two) {
				return fault.Conflict("DuplicateSecurityGroupRuleInPost", "Duplicate Security Group Rule in POST.")
			}
		}
	}
	return nil
}

func (s *Service) createRule(c *engine.Call, r *Rule, _ resource.Given) error {
	r.canonical()
	if err := r.check(); err != nil {
		return err
	}
	if p := r.Normalized(); p.IsValid() {
		r.normalized = p.String()
	}
	if r.AddressGroupID != "" {
		if err := s.checkAddressGroup(c, &r.Match); err != nil {
			return err
		}
	}
	if r.RemoteGroupID != "" && r.RemoteGroupID != r.GroupID {
		g, err := s.Groups.Get(c, r.RemoteGroupID)
		if err != nil {
			return err
		}
		if !c.Global() && g.ProjectID != c.Caller.ProjectID && !g.Shared {
			return s.Groups.NotFound(r.RemoteGroupID)
		}
	}
	if r.ProjectID == "" || c.Global() {
		g, err := s.group(c, r.GroupID)
		if err != nil {
			return err
		}
		r.ProjectID = g.ProjectID
	}
	return s.refuseTwin(c, r)
}

// refuseTwin refuses a rule that lets the same packets pass as another of the group.
func (s *Service) refuseTwin(c *engine.Call, r *Rule) error {
	others, err := s.Rules.Find(c, store.Where("t.security_group_id = ? AND t.direction = ? AND t.ethertype = ? AND t.remote_group_id = ? AND t.port_range_min = ? AND t.port_range_max = ?",
		r.GroupID, r.Direction, r.Ethertype, r.RemoteGroupID, r.PortMin, r.PortMax))
	if err != nil {
		return err
	}
	for _, other := range others {
		if other.same(&r.Match) {
			return fault.Conflict("SecurityGroupRuleExists", "Security group rule already exists. Rule id is %s.", other.ID)
		}
	}
	return nil
}
