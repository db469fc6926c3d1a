// Package security has security groups and their rules, and puts ports into groups.
package security

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/policy"
	"neutrino/resource"
	"neutrino/service/network"
	"neutrino/store"
)

// Group is a set of rules that ports can be in.
type Group struct {
	resource.Standard
	Stateful bool
	Shared   bool
	Rules    []*Rule
}

const defaultName = "default"

// Service has the resources.
type Service struct {
	Groups *engine.Resource[Group]
	Rules  *engine.Resource[Rule]

	AddressGroups *engine.Resource[AddressGroup]
	Templates     *engine.Resource[Template]
	Statefulness  *engine.Resource[Statefulness]

	engine *engine.Engine
}

// New declares the resources and adds security groups to the ports of the network service.
func New(net *network.Service) *Service {
	s := &Service{}
	s.declareGroups()
	s.declareRules()
	s.declareAddressGroups()
	s.declareTemplates()
	s.declareStatefulness()
	s.extendPorts(net)
	net.NetworkCreated = append(net.NetworkCreated, func(c *engine.Call, n *network.Network) error {
		_, err := s.Default(c, n.ProjectID)
		return err
	})
	return s
}

// Install binds the resources to the engine.
func (s *Service) Install(e *engine.Engine) {
	s.engine = e
	s.Groups.Install(e)
	s.Rules.Install(e)
	s.AddressGroups.Install(e)
	s.Templates.Install(e)
	s.Statefulness.Install(e)
}

func (s *Service) declareGroups() {
	std := func(g *Group) *resource.Standard { return &g.Standard }
	s.Groups = &engine.Resource[Group]{
		Name: "security_group", Plural: "security_groups", Extension: "security-group",
		Standard: std, Taggable: true, Counted: true, Sharable: "security_group",
		NotFound: func(id string) error {
			return fault.NotFound("SecurityGroupNotFound", "Security group %s does not exist", id)
		},
		Attributes: append(resource.Standards(std),
			resource.Bool("stateful", "stateful", func(g *Group) *bool { return &g.Stateful }).
				Post().Put().Filter(),
			resource.Computed("shared", func(b []byte, g *Group) []byte { return resource.AppendBool(b, g.Shared) },
				func(g *Group) any { return g.Shared }),
			resource.Computed("security_group_rules", s.appendRules, nil),
		),
		Loaders: []engine.Loader[Group]{
			engine.SharingLoader("security_group", "access_as_shared",
				func(g *Group) string { return g.ID }, func(g *Group, on bool) { g.Shared = on }),
			s.loadRules,
		},
		Touched: func(ctx context.Context, caller *policy.Credentials) error { return s.ensureDefault(ctx, caller) },
		OnCreate: func(c *engine.Call, g *Group, given resource.Given) error {
			if c.Internal() {
				return nil
			}
			if strings.EqualFold(g.Name, defaultName) {
				return fault.Conflict("SecurityGroupDefaultAlreadyExists", "Default security group already exists.")
			}
			if !given.Has("stateful") {
				var err error
				if g.Stateful, err = s.statefulByDefault(c, g.ProjectID); err != nil {
					return err
				}
			}
			_, err := s.Default(c, g.ProjectID)
			return err
		},
		OnCreated: s.applyTemplates,
		OnUpdate:  s.updateGroup,
		OnDelete:  s.deleteGroup,
		OnDeleted: s.groupDeleted,
	}
}

func (s *Service) appendRules(b []byte, g *Group) []byte {
	b = append(b, '[')
	for i, r := range g.Rules {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = s.Rules.AppendPlain(b, r)
	}
	return append(b, ']')
}

func (s *Service) loadRules(c *engine.Call, page engine.Page) (func(g *Group), error) {
	rules, err := s.Rules.Find(c, store.Where("t.security_group_id IN (SELECT id FROM ("+page.SQL+") page)", page.Args...))
	if err != nil {
		return nil, err
	}
	byGroup := map[string][]*Rule{}
	for _, r := range rules {
		byGroup[r.GroupID] = append(byGroup[r.GroupID], r)
	}
	return func(g *Group) { g.Rules = byGroup[g.ID] }, nil
}

// Default gives the id of a project's default group, and makes it when it is not there. Objects of
// no project have none.
func (s *Service) Default(c *engine.Call, project string) (string, error) {
	if project == "" {
		return "", nil
	}
	type key struct{ project string }
	return engine.Once(c, key{project}, func() (string, error) {
		var id string
		found, err := c.Tx.One([]any{&id}, "SELECT security_group_id FROM default_security_groups WHERE project_id = ?", project)
		if err != nil || found {
			return id, err
		}
		stateful, err := s.statefulByDefault(c, project)
		if err != nil {
			return "", err
		}
		g := &Group{Stateful: stateful}
		g.Name, g.ProjectID, g.Description = defaultName, project, "Default security group"
		if err := s.Groups.Insert(c.Elevated(), g, nil); err != nil {
			return "", err
		}
		_, err = c.Tx.Exec("INSERT INTO default_security_groups (project_id, security_group_id) VALUES (?, ?)", project, g.ID)
		return g.ID, err
	})
}

// ensureDefault makes the caller's default group at their first look.
func (s *Service) ensureDefault(ctx context.Context, caller *policy.Credentials) error {
	if caller == nil || caller.ProjectID == "" {
		return nil
	}
	found := false
	err := s.engine.View(ctx, caller, func(c *engine.Call) error {
		n, err := c.Tx.Count("SELECT COUNT(*) FROM default_security_groups WHERE project_id = ?", caller.ProjectID)
		found = n > 0
		return err
	})
	if err != nil || found {
		return err
	}
	return s.engine.Update(ctx, caller, func(c *engine.Call) error {
		_, err := s.Default(c, caller.ProjectID)
		return err
	})
}

func (s *Service) isDefault(c *engine.Call, g *Group) (bool, error) {
	n, err := c.Tx.Count("SELECT COUNT(*) FROM default_security_groups WHERE security_group_id = ?", g.ID)
	return n > 0, err
}

func (s *Service) updateGroup(c *engine.Call, old, g *Group, given resource.Given) error {
	if old.Name != g.Name {
		isDefault, err := s.isDefault(c, g)
		if err != nil {
			return err
		}
		if isDefault {
			return fault.Conflict("SecurityGroupCannotUpdateDefault", "Updating default security group not allowed.")
		}
		if strings.EqualFold(g.Name, defaultName) {
			return fault.Conflict("SecurityGroupDefaultAlreadyExists", "Default security group already exists.")
		}
	}
	if old.Stateful != g.Stateful {
		used, err := s.ports(c, g.ID)
		if err != nil {
			return err
		}
		if used > 0 {
			return fault.Conflict("SecurityGroupInUse", "Security Group %s in use.", g.ID)
		}
	}
	return nil
}

func (s *Service) ports(c *engine.Call, group string) (int, error) {
	return c.Tx.Count("SELECT COUNT(*) FROM port_security_groups WHERE security_group_id = ?", group)
}

func (s *Service) deleteGroup(c *engine.Call, g *Group) error {
	used, err := s.ports(c, g.ID)
	if err != nil {
		return err
	}
	if used > 0 {
		return fault.Conflict("SecurityGroupInUse", "Security Group %s in use.", g.ID)
	}
	isDefault, err := s.isDefault(c, g)
	if err != nil {
		return err
	}
	if isDefault && !c.Admin() {
		return fault.Conflict("SecurityGroupCannotRemoveDefault", "Insufficient rights for removing default security group.")
	}
	// Rules of other groups that name this one go with it, and their groups change.
	rules, err := s.Rules.Find(c, store.Where("t.remote_group_id = ? OR t.security_group_id = ?", g.ID, g.ID))
	if err != nil {
		return err
	}
	for _, r := range rules {
		if err := s.Rules.Drop(c, r); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) groupDeleted(c *engine.Call, g *Group) error {
	_, err := c.Tx.Exec("DELETE FROM default_security_groups WHERE security_group_id = ?", g.ID)
	return err
}

// extendPorts adds the security_groups attribute and its rules to ports.
func (s *Service) extendPorts(net *network.Service) {
	ports := net.Ports
	ports.Attributes = append(ports.Attributes,
		resource.Computed("security_groups", func(b []byte, p *network.Port) []byte { return resource.AppendStrings(b, p.SecurityGroups) }, nil).
			Post().Put().
			Decoded(func(p *network.Port, v any) (err error) {
				p.SecurityGroups, err = resource.UUIDList("security_groups", v)
				return err
			}).
			Where(func(values []string, self string) (store.Cond, error) {
				in := store.In("m.security_group_id", values)
				return store.Where(self+".id IN (SELECT m.port_id FROM port_security_groups m WHERE "+in.SQL+")", in.Args...), nil
			}))
	ports.Loaders = append(ports.Loaders, func(c *engine.Call, page engine.Page) (func(p *network.Port), error) {
		groups := map[string][]string{}
		err := c.Tx.Each(func(rows *sql.Rows) error {
			var port, group string
			if err := rows.Scan(&port, &group); err != nil {
				return err
			}
			groups[port] = append(groups[port], group)
			return nil
		}, "SELECT m.port_id, m.security_group_id FROM port_security_groups m"+page.Join("m.port_id"), page.Args...)
		return func(p *network.Port) {
			p.SecurityGroups = groups[p.ID]
			slices.Sort(p.SecurityGroups)
		}, err
	})
	net.PortRules = append(net.PortRules, network.PortRule{
		Create: func(c *engine.Call, p *network.Port, n *network.NetworkRow, given resource.Given) error {
			return s.portGroups(c, p, given)
		},
		Created: s.writePortGroups,
		Update: func(c *engine.Call, old, p *network.Port, _ *network.NetworkRow, given resource.Given) error {
			return s.updatePortGroups(c, old, p, given)
		},
		Updated: func(c *engine.Call, old, p *network.Port, given resource.Given) error {
			if slices.Equal(old.SecurityGroups, p.SecurityGroups) {
				return nil
			}
			if _, err := c.Tx.Exec("DELETE FROM port_security_groups WHERE port_id = ?", p.ID); err != nil {
				return err
			}
			return s.writePortGroups(c, p)
		},
	})
}

// portGroups settles a new port's groups: those given, or the project's default.
func (s *Service) portGroups(c *engine.Call, p *network.Port, given resource.Given) error {
	if !given.Has("security_groups") {
		if !p.PortSecurity || strings.HasPrefix(p.DeviceOwner, "network:") {
			return nil
		}
		id, err := s.Default(c, p.ProjectID)
		if err == nil && id != "" {
			p.SecurityGroups = []string{id}
		}
		return err
	}
	if len(p.SecurityGroups) > 0 && !p.PortSecurity {
		if given.Has("port_security_enabled") {
			return hasGroups()
		}
		return needsPortSecurity()
	}
	return s.checkGroups(c, p)
}

// hasGroups refuses that port security is turned off while there are groups.
func hasGroups() error {
	return fault.Conflict("PortSecurityPortHasSecurityGroup", "Port has security group associated. Cannot disable port security or IP address until security group is removed.")
}

// needsPortSecurity refuses groups where port security is off.
func needsPortSecurity() error {
	return fault.BadRequest("PortSecurityAndIPRequiredForSecurityGroups", "Port security must be enabled and port must have an IP address in order to use security groups.")
}

func (s *Service) updatePortGroups(c *engine.Call, old, p *network.Port, given resource.Given) error {
	if !given.Any("security_groups", "port_security_enabled") {
		return nil
	}
	if len(p.SecurityGroups) > 0 && !p.PortSecurity {
		if given.Has("security_groups") && !old.PortSecurity {
			return needsPortSecurity()
		}
		return hasGroups()
	}
	return s.checkGroups(c, p)
}

// checkGroups refuses groups that are not there for the caller, and stateful beside stateless ones.
func (s *Service) checkGroups(c *engine.Call, p *network.Port) error {
	if len(p.SecurityGroups) == 0 {
		return nil
	}
	type key struct{ ids string }
	groups, err := engine.Once(c, key{strings.Join(p.SecurityGroups, ",")}, func() ([]*Group, error) {
		return s.Groups.Find(c, store.In("t.id", p.SecurityGroups))
	})
	if err != nil {
		return err
	}
	for _, id := range p.SecurityGroups {
		at := slices.IndexFunc(groups, func(g *Group) bool { return g.ID == id })
		if at < 0 || !c.Global() && groups[at].ProjectID != c.Caller.ProjectID && !groups[at].Shared {
			return s.Groups.NotFound(id)
		}
		if groups[at].Stateful != groups[0].Stateful {
			return fault.Conflict("SecurityGroupConflict", "Error Cannot apply both stateful and stateless security groups on the same port while attempting the operation.")
		}
	}
	slices.Sort(p.SecurityGroups)
	return nil
}

func (s *Service) writePortGroups(c *engine.Call, p *network.Port) error {
	for _, id := range p.SecurityGroups {
		if _, err := c.Tx.Exec("INSERT INTO port_security_groups (port_id, security_group_id) VALUES (?, ?)", p.ID, id); err != nil {
			return err
		}
	}
	return nil
}
