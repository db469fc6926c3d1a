package qos

import (
	"strings"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/service/network"
	"neutrino/store"
)

// Check refuses a policy that the caller may not use.
func (s *Service) Check(c *engine.Call, id string) error {
	_, err := s.Policies.GetVisible(c, id)
	return err
}

// Change refuses to take a policy away that the caller can't see, and to give one that they may not use.
func (s *Service) Change(c *engine.Call, old, id string) error {
	if old != "" {
		if err := s.Check(c, old); fault.IsNotFound(err) {
			return fault.New(403, "PolicyRemoveAuthorizationError", "Failed to remove provided policy %s because you are not authorized.", old)
		} else if err != nil {
			return err
		}
	}
	if id == "" {
		return nil
	}
	return s.Check(c, id)
}

// effective is the policy that rules a port; those of the network service take none from their network.
func effective(p *network.Port, networkPolicy string) string {
	if p.QoSPolicyID != "" || strings.HasPrefix(p.DeviceOwner, "network:") {
		return p.QoSPolicyID
	}
	return networkPolicy
}

// CheckPort refuses rules that the driver of a bound port does not keep.
func (s *Service) CheckPort(c *engine.Call, p *network.Port, n *network.NetworkRow) error {
	id := effective(p, n.QoSPolicyID)
	if id == "" || !p.Bound() {
		return nil
	}
	var kinds []string
	err := eachRule(c, func(r *Rule) { kinds = append(kinds, r.Type) }, "WHERE q.policy_id = ? ORDER BY q.rule_type", id)
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		if !s.keeps(p.Driver(), kind) {
			return notSupported(kind, p.ID)
		}
	}
	return nil
}

// keeps says whether a driver keeps rules of a type.
func (s *Service) keeps(driver, kind string) bool {
	for _, d := range s.drivers {
		if _, keeps := d.Rules[kind]; keeps && d.Name == driver {
			return true
		}
	}
	return false
}

// CheckNetwork refuses rules that a bound port would take from its network, and its driver does not keep.
func (s *Service) CheckNetwork(c *engine.Call, n *network.Network) error {
	if n.QoSPolicyID == "" {
		return nil
	}
	var kinds []string
	if err := eachRule(c, func(r *Rule) { kinds = append(kinds, r.Type) }, "WHERE q.policy_id = ? ORDER BY q.rule_type", n.QoSPolicyID); err != nil {
		return err
	}
	return s.checkBound(c, kinds, store.Where("t.network_id = ? AND "+inherits+" AND "+bound, n.ID))
}

// checkUsers refuses a rule when the driver of a bound port that has its policy, or takes it from its network, does
// not keep it.
func (s *Service) checkUsers(c *engine.Call, r *Rule) error {
	kinds := []string{r.Type}
	if err := s.checkBound(c, kinds, store.Where("t.qos_policy_id = ? AND "+bound, r.PolicyID)); err != nil {
		return err
	}
	return s.checkBound(c, kinds, store.Where("t.network_id IN (SELECT id FROM networks WHERE qos_policy_id = ?) AND "+inherits+" AND "+bound, r.PolicyID))
}

// checkBound refuses types of rules that the driver of one of these bound ports does not keep. Ports are looked at
// only when some loaded driver does not keep a type.
func (s *Service) checkBound(c *engine.Call, kinds []string, ports store.Cond) error {
	for _, kind := range kinds {
		if n := s.supporters(kind); n > 0 && n == len(s.drivers) {
			continue
		}
		list, err := s.net.Ports.Find(c, ports)
		if err != nil {
			return err
		}
		for _, p := range list {
			if !s.keeps(p.Driver(), kind) {
				return notSupported(kind, p.ID)
			}
		}
	}
	return nil
}

// Conditions on ports (alias t): which take their network's policy, and which a driver has plugged.
const (
	inherits = "t.qos_policy_id = '' AND t.device_owner NOT LIKE 'network:%'"
	bound    = "t.host <> '' AND t.vif_type NOT IN ('unbound', 'binding_failed', '')"
)

func notSupported(kind, port string) error {
	return fault.Conflict("QosRuleNotSupported", "Rule %s is not supported by port %s", kind, port)
}
