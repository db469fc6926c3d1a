package agent

import (
	"neutrino/driver/sriovnicswitch"
	"neutrino/engine"
	"neutrino/store"
)

// NICsOn gives what the SR-IOV driver needs of a host; nil when its agent never reported.
func (s *Service) NICsOn(c *engine.Call, host string) (*sriovnicswitch.Host, error) {
	type key struct{ host string }
	return engine.Once(c, key{host}, func() (*sriovnicswitch.Host, error) {
		found, err := s.Agents.Find(c, store.Where("t.host = ? AND t.agent_type = ?", host, NICSwitch))
		if err != nil || len(found) == 0 {
			return nil, err
		}
		h := &sriovnicswitch.Host{Name: host, Alive: found[0].alive, DeviceMappings: map[string][]string{}}
		mappings, _ := found[0].Configurations["device_mappings"].(map[string]any)
		for physical, devices := range mappings {
			list, _ := devices.([]any)
			for _, d := range list {
				if name, ok := d.(string); ok {
					h.DeviceMappings[physical] = append(h.DeviceMappings[physical], name)
				}
			}
		}
		return h, nil
	})
}
