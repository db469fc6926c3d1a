// Package qos has QoS policies and their rules, and binds them to networks, ports, floating IPs and
// routers' gateways.
package qos

import (
	"database/sql"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/policy"
	"neutrino/resource"
	"neutrino/service/network"
	"neutrino/service/router"
	"neutrino/store"
)

// Policy is a set of rules that can be bound to many things.
type Policy struct {
	resource.Standard
	Shared    bool
	IsDefault bool // new networks of the project take it
	Rules     []*Rule
}

// Service has the resources.
type Service struct {
	Policies  *engine.Resource[Policy]
	Rules     []*engine.Resource[Rule] // one for each type, below a policy
	Aliases   []*engine.Resource[Rule] // the same rules without their policy in the path
	RuleTypes *engine.Resource[RuleType]

	net     *network.Service
	router  *router.Service
	drivers []Driver
}

// Driver is a mechanism driver, and which rules its hosts keep.
type Driver struct {
	Name  string
	Rules map[string][]string // type → directions; none where a type has none
}

// New declares the resources and adds the checks of qos_policy_id to what can have one. drivers are those that are
// loaded.
func New(net *network.Service, rtr *router.Service, drivers []Driver) *Service {
	s := &Service{net: net, router: rtr, drivers: drivers}
	s.declarePolicies()
	for _, t := range types {
		s.Rules = append(s.Rules, s.declareRules(t))
		if t.alias {
			s.Aliases = append(s.Aliases, s.declareAliases(t))
		}
	}
	s.declareRuleTypes()
	net.QoS = s
	rtr.QoS = s
	s.extendPorts()
	return s
}

// Install binds the resources to the engine.
func (s *Service) Install(e *engine.Engine) {
	s.Policies.Install(e)
	for _, r := range append(append([]*engine.Resource[Rule]{}, s.Rules...), s.Aliases...) {
		r.Install(e)
	}
	s.RuleTypes.Install(e)
}

func (s *Service) declarePolicies() {
	std := func(p *Policy) *resource.Standard { return &p.Standard }
	s.Policies = &engine.Resource[Policy]{
		Name: "policy", Plural: "policies", Collection: "qos/policies", Table: "qos_policies", Extension: "qos",
		Standard: std, Taggable: true, Sharable: "qos_policy",
		NotFound: func(id string) error {
			return fault.NotFound("QosPolicyNotFound", "QoS policy %s could not be found.", id)
		},
		Attributes: append(resource.Standards(std),
			resource.Bool("shared", "", func(p *Policy) *bool { return &p.Shared }).Post().Put(),
			resource.Bool("is_default", "is_default", func(p *Policy) *bool { return &p.IsDefault }).Post().Put().Filter(),
			resource.Computed("rules", appendRules, nil),
		),
		Loaders: []engine.Loader[Policy]{
			engine.SharingLoader("qos_policy", "access_as_shared", func(p *Policy) string { return p.ID }, func(p *Policy, on bool) { p.Shared = on }),
			loadRules,
		},
		OnCreate: func(c *engine.Call, p *Policy, _ resource.Given) error { return s.checkDefault(c, p) },
		OnCreated: func(c *engine.Call, p *Policy) error {
			if !p.Shared {
				return nil
			}
			return engine.ShareWithAll(c, "qos_policy", p.ID, p.ProjectID, "access_as_shared", true)
		},
		OnUpdate: s.updatePolicy,
		OnUpdated: func(c *engine.Call, _, p *Policy, given resource.Given) error {
			if !given.Has("shared") {
				return nil
			}
			return engine.ShareWithAll(c, "qos_policy", p.ID, p.ProjectID, "access_as_shared", p.Shared)
		},
		OnDelete: s.unused,
	}
}

func (s *Service) updatePolicy(c *engine.Call, old, p *Policy, given resource.Given) error {
	if given.Has("shared") && old.Shared && !p.Shared {
		users, err := s.Users(c, p.ID)
		if err != nil {
			return err
		}
		for project := range users {
			// The original counts the owner's own use too.
			return fault.Conflict("QosPolicyInUse", "QoS Policy %s is used by project %s.", p.ID, project)
		}
	}
	return s.checkDefault(c, p)
}

// checkDefault lets a project have one default policy.
func (s *Service) checkDefault(c *engine.Call, p *Policy) error {
	if !p.IsDefault {
		return nil
	}
	id, err := s.Default(c, p.ProjectID)
	if err == nil && id != "" && id != p.ID {
		err = fault.Conflict("QoSPolicyDefaultAlreadyExists", "A default QoS policy exists for project %s.", p.ProjectID)
	}
	return err
}

// Default is the id of a project's default policy; "" for none.
func (s *Service) Default(c *engine.Call, project string) (string, error) {
	var id string
	_, err := c.Tx.One([]any{&id}, "SELECT id FROM qos_policies WHERE project_id = ? AND is_default = ?", project, true)
	return id, err
}

// uses are the statements that find what a policy is bound to: its kind and id.
var uses = []struct{ kind, query string }{
	{"network", "SELECT id FROM networks WHERE qos_policy_id = ?"},
	{"port", "SELECT id FROM ports WHERE qos_policy_id = ?"},
	{"floating IP", "SELECT id FROM floatingips WHERE qos_policy_id = ?"},
	{"router", "SELECT id FROM routers WHERE gateway_qos_policy_id = ?"},
}

// unused refuses to delete a policy that something is bound to.
func (s *Service) unused(c *engine.Call, p *Policy) error {
	for _, use := range uses {
		var id string
		found, err := c.Tx.One([]any{&id}, use.query, p.ID)
		if err != nil {
			return err
		}
		if found {
			return fault.Conflict("QosPolicyInUse", "QoS Policy %s is used by %s %s.", p.ID, use.kind, id)
		}
	}
	return nil
}

// Users are the projects whose objects a policy is bound to.
func (s *Service) Users(c *engine.Call, id string) (map[string]bool, error) {
	return engine.TextSet(c, `SELECT project_id FROM networks WHERE qos_policy_id = ? UNION SELECT project_id FROM ports WHERE qos_policy_id = ?
		UNION SELECT project_id FROM floatingips WHERE qos_policy_id = ? UNION SELECT project_id FROM routers WHERE gateway_qos_policy_id = ?`, id, id, id, id)
}

// loadRules reads the rules of a page of policies.
func loadRules(c *engine.Call, page engine.Page) (func(p *Policy), error) {
	rules := map[string][]*Rule{}
	err := eachRule(c, func(r *Rule) { rules[r.PolicyID] = append(rules[r.PolicyID], r) },
		page.Join("q.policy_id")+"ORDER BY q.rule_type, q.id", page.Args...)
	return func(p *Policy) { p.Rules = rules[p.ID] }, err
}

// eachRule reads rules of any type; tail comes after the table, whose alias is q.
func eachRule(c *engine.Call, each func(r *Rule), tail string, args ...any) error {
	return c.Tx.Each(func(rows *sql.Rows) error {
		r := &Rule{}
		if err := rows.Scan(&r.ID, &r.PolicyID, &r.Type, &r.Direction, &r.Amount, &r.Burst); err != nil {
			return err
		}
		each(r)
		return nil
	}, "SELECT q.id, q.policy_id, q.rule_type, q.direction, q.amount, q.burst FROM qos_rules q "+tail, args...)
}

// visible finds a policy as rules below it see it.
func (s *Service) visible(c *engine.Call, id string) (policy.Target, error) {
	p, err := s.Policies.GetVisible(c, id)
	if err != nil {
		return nil, err
	}
	return s.Policies.Target(c, p), nil
}

// rulesOf are a policy's rules but the one with the id.
func rulesOf(c *engine.Call, r *engine.Resource[Rule], policyID, but string) ([]*Rule, error) {
	return r.Rows(c, store.Where("t.policy_id = ? AND t.id <> ?", policyID, but))
}
