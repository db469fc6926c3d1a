package qos

import (
	"encoding/json"
	"net/http"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
)

// RuleType is a type of rules as the API lists it.
type RuleType struct {
	Type string

	all, some bool // as the filters that widen the list were asked for: they hold for all that is listed
}

func (s *Service) declareRuleTypes() {
	s.RuleTypes = &engine.Resource[RuleType]{
		Name: "rule_type", Plural: "rule_types", Collection: "qos/rule-types", Extension: "qos", Key: "type",
		NoCreate: true, NoUpdate: true, NoDelete: true,
		NotFound: func(id string) error {
			return fault.NotFound("HTTPNotFound", "The resource could not be found: %s is no type of QoS rules.", id)
		},
		Attributes: []*resource.Attribute[RuleType]{
			resource.Text("type", "type", 0, func(t *RuleType) *string { return &t.Type }).Sort(),
			resource.Computed("drivers", s.appendDrivers, nil).Detail(),
			// Filters that widen the list: what every driver has, what any has, all that are known.
			resource.Bool("all_rules", "", func(t *RuleType) *bool { return &t.all }).Hidden().Filter(),
			resource.Bool("all_supported", "", func(t *RuleType) *bool { return &t.some }).Hidden().Filter(),
		},
		OnShow: func(c *engine.Call, _ *RuleType) error {
			if !c.Admin() {
				return fault.New(http.StatusForbidden, "NotAuthorized", "Not authorized.")
			}
			return nil
		},
		From: func(c *engine.Call) ([]*RuleType, error) {
			all, err := asked(c, "all_rules")
			if err != nil {
				return nil, err
			}
			some, err := asked(c, "all_supported")
			if err != nil {
				return nil, err
			}
			var list []*RuleType
			for _, t := range types {
				n := s.supporters(t.name)
				if all || !c.Listing() || some && n > 0 || n > 0 && n == s.keepers() {
					list = append(list, &RuleType{Type: t.name, all: all, some: some})
				}
			}
			return list, nil
		},
	}
}

// asked says whether a filter that widens the list is set.
func asked(c *engine.Call, filter string) (bool, error) {
	text := c.Asked(filter)
	if !c.Listing() || text == "" {
		return false, nil
	}
	return resource.BoolValue(text)
}

// supporters is the number of loaded drivers that keep rules of a type.
func (s *Service) supporters(kind string) (n int) {
	for _, d := range s.drivers {
		if _, keeps := d.Rules[kind]; keeps {
			n++
		}
	}
	return n
}

// keepers is the number of loaded drivers that keep any rules.
func (s *Service) keepers() (n int) {
	for _, d := range s.drivers {
		if len(d.Rules) > 0 {
			n++
		}
	}
	return n
}

// parameter is what a driver takes for an attribute of a rule.
type parameter struct {
	Name   string `json:"parameter_name"`
	Kind   string `json:"parameter_type"` // range, choices
	Values any    `json:"parameter_values"`
}

// appendDrivers writes the drivers that keep rules of a type, with what they take.
func (s *Service) appendDrivers(b []byte, t *RuleType) []byte {
	type supporter struct {
		Name       string      `json:"name"`
		Parameters []parameter `json:"supported_parameters"`
	}
	list := []supporter{}
	for _, d := range s.drivers {
		if directions, keeps := d.Rules[t.Type]; keeps {
			list = append(list, supporter{d.Name, parameters(typeOf(t.Type), directions)})
		}
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic("qos: the drivers of a rule type have no JSON form: " + err.Error())
	}
	return append(b, text...)
}

func parameters(t ruleType, directions []string) []parameter {
	whole := map[string]int{"start": 0, "end": max}
	amount := parameter{t.amount, "range", whole}
	if t.name == "dscp_marking" {
		amount = parameter{t.amount, "choices", dscpMarks}
	}
	list := []parameter{amount}
	if t.burst != "" {
		list = append(list, parameter{t.burst, "range", whole})
	}
	if directions != nil {
		list = append(list, parameter{"direction", "choices", directions})
	}
	return list
}
