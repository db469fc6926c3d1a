package qos

import (
	"slices"
	"strings"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/policy"
	"neutrino/resource"
	"neutrino/store"
)

// Rule is a rule of any type.
type Rule struct {
	ID, PolicyID, Type string
	Direction          string // egress, ingress or any; "" where the type has none
	Amount             int    // by type: kbit/s, packets/ms, or the DSCP mark
	Burst              int

	project string // of its policy, for aliases
}

// ruleType says what a type of rule has.
type ruleType struct {
	name       string   // "bandwidth_limit"
	amount     string   // wire name of the amount
	burst      string   // wire name of the burst; "" for none
	directions []string // nil for none
	extension  string
	alias      bool
	aliasExt   string
}

// max is the largest amount.
const max = 1<<31 - 1

var both = []string{"egress", "ingress"}

// types are all types of rules that there are.
var types = []ruleType{
	{name: "bandwidth_limit", amount: "max_kbps", burst: "max_burst_kbps", directions: both, extension: "qos", alias: true, aliasExt: "qos-rules-alias"},
	{name: "dscp_marking", amount: "dscp_mark", extension: "qos", alias: true, aliasExt: "qos-rules-alias"},
	{name: "minimum_bandwidth", amount: "min_kbps", directions: both, extension: "qos", alias: true, aliasExt: "qos-rules-alias"},
	{name: "packet_rate_limit", amount: "max_kpps", burst: "max_burst_kpps", directions: both, extension: "qos-pps"},
	{name: "minimum_packet_rate", amount: "min_kpps", directions: []string{"any", "egress", "ingress"}, extension: "qos-pps-minimum", alias: true, aliasExt: "qos-pps-minimum-rule-alias"},
}

// dscpMarks are the marks that a rule may set (RFC 2474, 2597, 3246, 5865).
var dscpMarks = []int{0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 44, 46, 48, 56}

func typeOf(name string) ruleType {
	return types[slices.IndexFunc(types, func(t ruleType) bool { return t.name == name })]
}

// ruleAttributes declares what rules of a type have on the wire.
func ruleAttributes(t ruleType) []*resource.Attribute[Rule] {
	amount := resource.Int(t.amount, "amount", 0, max, func(r *Rule) *int { return &r.Amount }).Required().Put().Sort()
	if t.name == "dscp_marking" {
		amount.Decoded(func(r *Rule, v any) error {
			n, err := resource.IntValue(v)
			if err == nil && !slices.Contains(dscpMarks, n) {
				err = fault.Invalid("Invalid input for dscp_mark. Reason: '%d' is not in %v.", n, dscpMarks)
			}
			r.Amount = n
			return err
		})
	}
	list := []*resource.Attribute[Rule]{
		resource.ID(func(r *Rule) *string { return &r.ID }),
		amount,
		resource.Text("type", "rule_type", 32, func(r *Rule) *string { return &r.Type }).Hidden().Default(func(r *Rule) { r.Type = t.name }),
	}
	burst := resource.Int("burst", "burst", 0, max, func(r *Rule) *int { return &r.Burst }).Hidden()
	if t.burst != "" {
		burst = resource.Int(t.burst, "burst", 0, max, func(r *Rule) *int { return &r.Burst }).Post().Put().Sort()
	}
	direction := resource.Text("direction", "direction", 8, func(r *Rule) *string { return &r.Direction }).Hidden()
	if t.directions != nil {
		direction = resource.Enum("direction", "direction", t.directions, false, func(r *Rule) *string { return &r.Direction }).
			Post().Put().Sort().Default(func(r *Rule) { r.Direction = "egress" })
	}
	return append(list, burst, direction)
}

func ruleNotFound(policyID, id string) error {
	return fault.NotFound("QosRuleNotFound", "QoS rule %s for policy %s could not be found.", id, policyID)
}

func (s *Service) declareRules(t ruleType) *engine.Resource[Rule] {
	r := &engine.Resource[Rule]{
		Name: t.name + "_rule", Plural: t.name + "_rules", Collection: t.name + "_rules", Table: "qos_rules", Extension: t.extension,
		Only:   store.Where("t.rule_type = ?", t.name),
		NoBulk: true,
		Below: &engine.Below[Rule]{
			Parent: "policy", Path: "policies", Column: "policy_id", Of: func(r *Rule) *string { return &r.PolicyID }, Find: s.visible, NotFound: ruleNotFound,
		},
		Attributes: ruleAttributes(t),
	}
	s.ruleRules(r)
	return r
}

func (s *Service) declareAliases(t ruleType) *engine.Resource[Rule] {
	name := "alias_" + t.name + "_rule"
	r := &engine.Resource[Rule]{
		Name: name, Plural: name + "s", Collection: "qos/" + strings.ReplaceAll(name, "_", "-") + "s", Table: "qos_rules", Extension: t.aliasExt,
		Only:     store.Where("t.rule_type = ?", t.name),
		NotFound: func(id string) error { return ruleNotFound("None", id) },
		NoList:   true, NoCreate: true,
		Attributes: append(ruleAttributes(t),
			resource.Text("policy_id", "policy_id", 36, func(r *Rule) *string { return &r.PolicyID }).Hidden(),
			resource.Computed("tenant_id", func(b []byte, r *Rule) []byte { return resource.AppendString(b, r.project) }, func(r *Rule) any { return r.project }).Hidden(),
			resource.Computed("project_id", func(b []byte, r *Rule) []byte { return resource.AppendString(b, r.project) }, func(r *Rule) any { return r.project }).Hidden()),
		Parents: map[string]func(*engine.Call, *Rule) (policy.Target, error){
			"ext_parent": func(c *engine.Call, r *Rule) (policy.Target, error) { return s.visible(c.Elevated(), r.PolicyID) },
		},
		Loaders: []engine.Loader[Rule]{func(c *engine.Call, page engine.Page) (func(r *Rule), error) {
			owners, err := s.Policies.Rows(c, store.Where("t.id IN (SELECT q.policy_id FROM qos_rules q"+page.Join("q.id")+")", page.Args...))
			return func(r *Rule) {
				for _, p := range owners {
					if p.ID == r.PolicyID {
						r.project = p.ProjectID
					}
				}
			}, err
		}},
	}
	s.ruleRules(r)
	return r
}

// ruleRules adds what holds for rules of every type.
func (s *Service) ruleRules(r *engine.Resource[Rule]) {
	r.OnCreate = func(c *engine.Call, rule *Rule, _ resource.Given) error { return s.checkRule(c, r, rule) }
	r.OnUpdate = func(c *engine.Call, _, rule *Rule, _ resource.Given) error { return s.checkRule(c, r, rule) }
	r.OnCreated = func(c *engine.Call, rule *Rule) error { return s.Policies.Touch(c, rule.PolicyID) }
	r.OnUpdated = func(c *engine.Call, _, rule *Rule, _ resource.Given) error { return s.Policies.Touch(c, rule.PolicyID) }
	r.OnDeleted = func(c *engine.Call, rule *Rule) error { return s.Policies.Touch(c, rule.PolicyID) }
}

// checkRule holds a rule against the policy's others, and against the bound ports that the policy is on.
func (s *Service) checkRule(c *engine.Call, r *engine.Resource[Rule], rule *Rule) error {
	others, err := rulesOf(c, r, rule.PolicyID, rule.ID)
	if err != nil {
		return err
	}
	for _, other := range others {
		if other.Type == rule.Type && (other.Direction == rule.Direction || other.Direction == "any" || rule.Direction == "any") {
			return fault.Conflict("QoSRulesConflict", "Rule %s conflicts with rule %s which already exists in QoS Policy %s.", rule.Type, other.ID, rule.PolicyID)
		}
		for _, pair := range [][2]string{{"minimum_bandwidth", "bandwidth_limit"}, {"minimum_packet_rate", "packet_rate_limit"}} {
			least, most := rule, other
			if rule.Type == pair[1] {
				least, most = other, rule
			}
			if least.Type == pair[0] && most.Type == pair[1] && (least.Direction == most.Direction || least.Direction == "any") && least.Amount > most.Amount {
				return fault.Conflict("QoSRuleParameterConflict",
					"Unable to add the rule with value %d to the policy %s as the existing rule of type %s has value %d.", rule.Amount, rule.PolicyID, other.Type, other.Amount)
			}
		}
	}
	return s.checkUsers(c, rule)
}

// appendRules writes a policy's rules, each with its type and policy.
func appendRules(b []byte, p *Policy) []byte {
	b = append(b, '[')
	for i, r := range p.Rules {
		if i > 0 {
			b = append(b, ", "...)
		}
		t := typeOf(r.Type)
		b = resource.AppendString(append(b, `{"id": `...), r.ID)
		b = resource.AppendString(append(b, `, "qos_policy_id": `...), r.PolicyID)
		b = resource.AppendString(append(b, `, "type": `...), r.Type)
		b = resource.AppendInt(append(b, `, "`+t.amount+`": `...), int64(r.Amount))
		if t.burst != "" {
			b = resource.AppendInt(append(b, `, "`+t.burst+`": `...), int64(r.Burst))
		}
		if t.directions != nil {
			b = resource.AppendString(append(b, `, "direction": `...), r.Direction)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}
