package security

import (
	"slices"
	"strings"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/store"
)

// Template is a rule that new security groups begin with (default_security_group_rule).
type Template struct {
	resource.Standard
	Match
	InDefault bool // for projects' default groups
	InCustom  bool // for all other groups
}

// parentGroup stands for the new group itself in a template's remote_group_id.
const parentGroup = "PARENT"

func (s *Service) declareTemplates() {
	std := func(t *Template) *resource.Standard { return &t.Standard }
	s.Templates = &engine.Resource[Template]{
		Name: "default_security_group_rule", Plural: "default_security_group_rules", Extension: "security-groups-default-rules",
		Standard: std, NoUpdate: true,
		NotFound: func(id string) error {
			return fault.NotFound("DefaultSecurityGroupRuleNotFound", "Default Security Group rule %s does not exist", id)
		},
		Attributes: resource.Replace(slices.Concat(
			[]*resource.Attribute[Template]{
				resource.ID(func(t *Template) *string { return &t.ID }),
				resource.Text("tenant_id", "project_id", 255, func(t *Template) *string { return &t.ProjectID }).Post().Hidden(),
			},
			resource.Stamps(std),
			matchAttributes(func(t *Template) *Match { return &t.Match }),
			[]*resource.Attribute[Template]{
				resource.OptionalText("remote_group_id", "remote_group_id", 36, func(t *Template) *string { return &t.RemoteGroupID }).Post().Sort(),
				resource.Bool("used_in_default_sg", "used_in_default_sg", func(t *Template) *bool { return &t.InDefault }).Required().Filter(),
				resource.Bool("used_in_non_default_sg", "used_in_non_default_sg", func(t *Template) *bool { return &t.InCustom }).Required().Filter(),
			}),
			resource.Text("description", "description", 255, func(t *Template) *string { return &t.Description }).Post().Filter()),
		Scope:    func(*engine.Call, string) store.Cond { return store.Where("1 = 1") }, // they are nobody's: all read them
		OnCreate: s.createTemplate,
	}
}

func (s *Service) createTemplate(c *engine.Call, t *Template, _ resource.Given) error {
	t.canonical()
	if err := t.check(); err != nil {
		return err
	}
	if t.AddressGroupID != "" {
		if err := s.checkAddressGroup(c, &t.Match); err != nil {
			return err
		}
	}
	if id := t.RemoteGroupID; id != "" && id != parentGroup {
		if _, err := s.Groups.GetVisible(c, id); err != nil {
			return err
		}
	}
	others, err := s.Templates.Rows(c, store.Cond{})
	if err != nil {
		return err
	}
	for _, other := range others {
		if other.same(&t.Match) && (other.InDefault && t.InDefault || other.InCustom && t.InCustom) {
			return fault.Conflict("DefaultSecurityGroupRuleExists", "Default Security group rule already exists. Rule id is %s.", other.ID)
		}
	}
	return nil
}

// applyTemplates gives a new group the rules that its kind begins with.
func (s *Service) applyTemplates(c *engine.Call, g *Group) error {
	templates, err := s.Templates.Rows(c, store.Cond{})
	if err != nil {
		return err
	}
	slices.SortFunc(templates, func(a, b *Template) int { return strings.Compare(a.ID, b.ID) })
	isDefault := c.Internal() && g.Name == defaultName
	var made []*Rule
	if !c.Internal() {
		n := 0
		for _, t := range templates {
			if t.InCustom {
				n++
			}
		}
		if err := s.Rules.CheckQuota(c, g.ProjectID, n); err != nil {
			return err
		}
	}
	for _, t := range templates {
		if isDefault && !t.InDefault || !isDefault && !t.InCustom {
			continue
		}
		r := &Rule{GroupID: g.ID, Match: t.Match}
		r.ProjectID, r.Description = g.ProjectID, t.Description
		if r.RemoteGroupID == parentGroup {
			r.RemoteGroupID = g.ID
		}
		if slices.ContainsFunc(made, func(other *Rule) bool { return other.same(&r.Match) }) {
			continue // two templates that differ only in which groups they are for
		}
		made = append(made, r)
		if err := s.Rules.Insert(c.Elevated(), r, nil); err != nil {
			return err
		}
	}
	return nil
}
