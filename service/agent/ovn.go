package agent

import (
	"maps"
	"slices"
	"strings"
	"time"

	"neutrino/driver/ovn"
	"neutrino/engine"
	"neutrino/store"
)

func (a *Agent) isController() bool { return a.Type == OVNController || a.Type == OVNGateway }

// Chassis is OVN's name of the host of a controller; "" for other agents.
func (a *Agent) Chassis() string {
	if !a.isController() {
		return ""
	}
	name, _ := a.Configurations["chassis_name"].(string)
	return name
}

// ChassisZones are the availability zones of OVN that a controller's host says it is in.
func (a *Agent) ChassisZones() []string {
	text, _ := a.Configurations["availability_zones"].(string)
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}

// Controller is what the agents API says of OVN's controller on a host, as the original writes it. Its id is the
// chassis's name where that fits.
func Controller(c *ovn.Chassis) State {
	s := State{Type: OVNController, Binary: "ovn-controller", Started: time.Now(), Configurations: map[string]any{
		"chassis_name": c.Name, "bridge-mappings": joinMappings(c.BridgeMappings), "datapath_type": c.Datapath, "integration_bridge": c.Bridge,
	}}
	if c.Gateway {
		s.Type = OVNGateway
	}
	if len(c.Zones) > 0 {
		s.Configurations["availability_zones"] = strings.Join(c.Zones, ",")
	}
	if len(c.Name) <= 36 {
		s.ID = c.Name
	}
	return s
}

func joinMappings(m map[string]string) string {
	var list []string
	for _, physical := range slices.Sorted(maps.Keys(m)) {
		list = append(list, physical+":"+m[physical])
	}
	return strings.Join(list, ",")
}

// ChassisOn gives what the OVN driver needs of a host; nil when no controller of OVN's is known there.
func (s *Service) ChassisOn(c *engine.Call, host string) (*ovn.Host, error) {
	type key struct{ host string }
	return engine.Once(c, key{host}, func() (*ovn.Host, error) {
		found, err := s.Agents.Find(c, store.Where("t.host = ? AND t.agent_type IN (?, ?)", host, OVNController, OVNGateway))
		if err != nil || len(found) == 0 {
			return nil, err
		}
		a := found[0]
		h := &ovn.Host{Alive: a.alive, AdminStateUp: a.AdminStateUp}
		h.Hostname, h.BridgeMappings, h.Gateway = host, map[string]string{}, a.Type == OVNGateway
		h.Name, h.Zones = a.Chassis(), a.ChassisZones()
		h.Datapath, _ = a.Configurations["datapath_type"].(string)
		h.Bridge, _ = a.Configurations["integration_bridge"].(string)
		mappings, _ := a.Configurations["bridge-mappings"].(string)
		for _, pair := range strings.Split(mappings, ",") {
			if physical, bridge, ok := strings.Cut(pair, ":"); ok {
				h.BridgeMappings[physical] = bridge
			}
		}
		return h, nil
	})
}
