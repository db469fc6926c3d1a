// Package agent has the agents: what hosts report of themselves, and which of them can take work.
package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"neutrino/driver/openvswitch"
	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/store"
)

// The agent types, as the original's clients know them.
const (
	OpenVSwitch = "Open vSwitch agent"
	DHCP        = "DHCP agent"
	L3          = "L3 agent"
	Metadata    = "Metadata agent"

	OVNController = "OVN Controller agent"
	OVNGateway    = "OVN Controller Gateway agent"
	OVNMetadata   = "OVN Metadata agent"

	NICSwitch = "NIC Switch agent"
)

// Agent is one role of a host's agent process.
type Agent struct {
	ID             string
	Type           string
	Binary         string
	Topic          string
	Host           string
	AdminStateUp   bool
	CreatedAt      string // YYYY-MM-DD HH:MM:SS, UTC: this resource's own form
	StartedAt      string
	HeartbeatAt    string
	Configurations map[string]any
	Description    string
	Zone           string
	Priority       *int   // of a chassis that has a router's gateways, where it is listed for that
	LostReason     string // why the host counts as lost; "": it does not

	alive bool
}

// Alive says whether the last heartbeat is young enough, and the host was not lost since.
func (a *Agent) Alive() bool { return a.alive }

// timeForm is how the agents API writes times.
const timeForm = "2006-01-02 15:04:05"

// Service has the agents resource.
type Service struct {
	Agents *engine.Resource[Agent]

	// Changed is called in the transaction in which a host's agent is new, came back to life, or has
	// other abilities than before.
	Changed []func(c *engine.Call, host string) error

	downAfter time.Duration
	log       *slog.Logger
}

// New declares the resource. An agent is alive while its last heartbeat is younger than downAfter
// (agent_down_time).
func New(downAfter time.Duration, log *slog.Logger) *Service {
	s := &Service{downAfter: downAfter, log: log}
	text := func(name, column string, field func(a *Agent) *string) *resource.Attribute[Agent] {
		return resource.Text(name, column, 255, field).Sort()
	}
	s.Agents = &engine.Resource[Agent]{
		Name: "agent", Plural: "agents", Extension: "agent", NoCreate: true,
		NoCreateWhy: fault.BadRequest("BadRequest", "Bad agents request: agents come by their own reports."),
		Attributes: []*resource.Attribute[Agent]{
			resource.ID(func(a *Agent) *string { return &a.ID }),
			text("agent_type", "agent_type", func(a *Agent) *string { return &a.Type }),
			text("binary", "binary_name", func(a *Agent) *string { return &a.Binary }),
			text("topic", "topic", func(a *Agent) *string { return &a.Topic }),
			text("host", "host", func(a *Agent) *string { return &a.Host }),
			resource.Bool("admin_state_up", "admin_state_up", func(a *Agent) *bool { return &a.AdminStateUp }).Put().Sort(),
			text("created_at", "created_at", func(a *Agent) *string { return &a.CreatedAt }),
			text("started_at", "started_at", func(a *Agent) *string { return &a.StartedAt }),
			text("heartbeat_timestamp", "heartbeat_timestamp", func(a *Agent) *string { return &a.HeartbeatAt }),
			resource.Computed("alive", func(b []byte, a *Agent) []byte { return resource.AppendBool(b, a.alive) }, nil),
			resource.JSON("configurations", "configurations", func(a *Agent) *map[string]any { return &a.Configurations },
				func(any) (map[string]any, error) {
					return nil, fault.Invalid("configurations are reported by the agent")
				}),
			resource.OptionalText("description", "description", 255, func(a *Agent) *string { return &a.Description }).Put().Sort(),
			text("availability_zone", "availability_zone", func(a *Agent) *string { return &a.Zone }).
				Encoded(func(b []byte, a *Agent) []byte {
					if a.Zone == "" {
						return append(b, "null"...)
					}
					return resource.AppendString(b, a.Zone)
				}),
			resource.Text("lost_reason", "lost_reason", 255, func(a *Agent) *string { return &a.LostReason }).Hidden(),
			resource.Computed("resources_synced", func(b []byte, _ *Agent) []byte { return append(b, "null"...) }, nil),
		},
		Loaders: []engine.Loader[Agent]{func(c *engine.Call, _ engine.Page) (func(a *Agent), error) {
			return func(a *Agent) { a.alive = a.HeartbeatAt >= s.oldest(c) && a.LostReason == "" }, nil
		}},
		Filters: map[string]func(*engine.Call, []string, string) (store.Cond, error){
			"alive": s.whereAlive,
		},
		OnUpdated: func(c *engine.Call, old, a *Agent, _ resource.Given) error {
			if old.AdminStateUp == a.AdminStateUp {
				return nil
			}
			return s.changed(c, a.Host)
		},
	}
	return s
}

// oldest is the time of the oldest heartbeat that still counts as alive.
func (s *Service) oldest(c *engine.Call) string {
	return c.Now().Add(-s.downAfter).Format(timeForm)
}

func (s *Service) whereAlive(c *engine.Call, values []string, self string) (store.Cond, error) {
	conds := make([]store.Cond, len(values))
	for i, text := range values {
		alive, err := resource.BoolValue(text)
		if err != nil {
			return store.Cond{}, err
		}
		conds[i] = store.Where(self+".heartbeat_timestamp >= ? AND "+self+".lost_reason = ''", s.oldest(c))
		if !alive {
			conds[i] = store.Not(conds[i])
		}
	}
	return store.Or(conds...), nil
}

func (s *Service) changed(c *engine.Call, host string) error {
	for _, f := range s.Changed {
		if err := f(c, host); err != nil {
			return err
		}
	}
	return nil
}

// State is what a host reports of one of its agents.
type State struct {
	Type           string
	Binary         string
	Topic          string
	Configurations map[string]any
	Started        time.Time
	Zone           string // of DHCP and L3 agents; "": the default zone
	ID             string // of agents that have one of their own, as OVN's; "": one is made
}

// zone is the availability zone that the report means.
func (s State) zone() string {
	if s.Zone == "" && (s.Type == DHCP || s.Type == L3) {
		return defaultZone
	}
	return s.Zone
}

// Heartbeat notes that a host's agents live, and makes or updates their rows.
func (s *Service) Heartbeat(ctx context.Context, e *engine.Engine, host string, states []State) error {
	return e.Update(ctx, nil, func(c *engine.Call) error {
		have, err := s.Agents.Find(c, store.Where("t.host = ?", host))
		if err != nil {
			return err
		}
		news := false
		for _, state := range states {
			var old *Agent
			for _, a := range have {
				if a.Type == state.Type || a.isController() && (state.Type == OVNController || state.Type == OVNGateway) {
					old = a
				}
			}
			is, err := s.beat(c, host, old, state)
			if err != nil {
				return err
			}
			news = news || is
		}
		if !news {
			return nil
		}
		return s.changed(c, host)
	})
}

// beat writes one agent's heartbeat; news says that others should know.
func (s *Service) beat(c *engine.Call, host string, old *Agent, state State) (news bool, err error) {
	now := c.Now().Format(timeForm)
	if state.Configurations == nil {
		state.Configurations = map[string]any{}
	}
	if old == nil {
		s.log.Info("new agent", "host", host, "type", state.Type)
		a := &Agent{
			ID: cmp.Or(state.ID, uuid.NewString()), Type: state.Type, Binary: state.Binary, Topic: state.Topic, Host: host, AdminStateUp: true,
			CreatedAt: now, StartedAt: state.Started.UTC().Format(timeForm), HeartbeatAt: now, Configurations: state.Configurations, Zone: state.zone(),
		}
		return true, s.Agents.Insert(c, a, nil)
	}
	was, err := json.Marshal(abilities(old.Configurations))
	if err != nil {
		return false, err
	}
	is, err := json.Marshal(abilities(state.Configurations))
	if err != nil {
		return false, err
	}
	news = !old.alive || old.Type != state.Type || string(was) != string(is) || old.Zone != state.zone()
	if news {
		s.log.Info("agent is back or has changed", "host", host, "type", state.Type, "was_alive", old.alive)
	}
	configurations, err := json.Marshal(state.Configurations)
	if err != nil {
		return false, err
	}
	if news {
		c.Tx.Change("agent", old.ID)
	}
	_, err = c.Tx.Exec("UPDATE agents SET heartbeat_timestamp = ?, started_at = ?, configurations = ?, agent_type = ?, binary_name = ?, topic = ?, availability_zone = ?, lost_reason = '' WHERE id = ?",
		now, state.Started.UTC().Format(timeForm), string(configurations), state.Type, state.Binary, state.Topic, state.zone(), old.ID)
	return news, err
}

// abilities are the configurations that decide what work a host can take; counters are not.
func abilities(configurations map[string]any) map[string]any {
	out := map[string]any{}
	for _, key := range []string{
		"bridge_mappings", "tunnel_types", "tunneling_ip", "datapath_type", "integration_bridge", "agent_mode", "ovs_hybrid_plug",
		"bridge-mappings", "chassis_name", // OVN's
		"device_mappings", // of SR-IOV NICs
	} {
		if v, ok := configurations[key]; ok {
			out[key] = v
		}
	}
	return out
}

// SwitchOn gives what the Open vSwitch driver needs of a host; nil when its agent never reported.
func (s *Service) SwitchOn(c *engine.Call, host string) (*openvswitch.Host, error) {
	type key struct{ host string }
	return engine.Once(c, key{host}, func() (*openvswitch.Host, error) {
		found, err := s.Agents.Find(c, store.Where("t.host = ? AND t.agent_type = ?", host, OpenVSwitch))
		if err != nil || len(found) == 0 {
			return nil, err
		}
		a := found[0]
		h := &openvswitch.Host{Name: host, Alive: a.alive, AdminStateUp: a.AdminStateUp, Bridge: "br-int", DatapathType: "system", BridgeMappings: map[string]string{}}
		if mappings, ok := a.Configurations["bridge_mappings"].(map[string]any); ok {
			for physical, bridge := range mappings {
				h.BridgeMappings[physical], _ = bridge.(string)
			}
		}
		if types, ok := a.Configurations["tunnel_types"].([]any); ok {
			for _, t := range types {
				if text, ok := t.(string); ok {
					h.TunnelTypes = append(h.TunnelTypes, text)
				}
			}
		}
		if text, ok := a.Configurations["integration_bridge"].(string); ok && text != "" {
			h.Bridge = text
		}
		if text, ok := a.Configurations["datapath_type"].(string); ok && text != "" {
			h.DatapathType = text
		}
		h.HybridPlug, _ = a.Configurations["ovs_hybrid_plug"].(bool)
		return h, nil
	})
}
