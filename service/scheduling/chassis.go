package scheduling

import (
	"slices"
	"strconv"

	"neutrino/driver/ovn"
	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/agent"
	"neutrino/service/router"
	"neutrino/store"
)

// Which chassis have an OVN router's gateways is chosen, until an administrator adds a chassis, takes one away or gives
// one another priority. From then on the router has those which were there then, with that change; until the last is
// taken away, or its last gateway.

const priorityExtension = "l3-agent-scheduler-ha-chassis-priority"

// Bounds of priorities (ovn-nb(5), HA_Chassis), and that of a first chassis: there are so many when they are chosen.
const (
	lowestPriority, highestPriority = 0, 32767
	firstPriority                   = ovn.MostGateways
)

// isChassis says whether an agent is OVN's controller, whose routers are those whose gateways it may have.
func (s *Service) isChassis(a *agent.Agent) bool { return s.gateways != nil && a.Chassis() != "" }

// priorities are the chassis of a router's gateways, the highest priority first: what an administrator has said, or else
// what OVN has for the first gateway.
func (s *Service) priorities(c *engine.Call, r *router.Router) (list []ovn.ChassisPriority, said bool, err error) {
	all, err := s.router.Chassis(c, []string{r.ID})
	if err != nil || len(all[r.ID]) > 0 {
		return all[r.ID], true, err
	}
	return s.gateways.Priorities(r.ID), false, nil
}

func indexOf(list []ovn.ChassisPriority, chassis string) int {
	return slices.IndexFunc(list, func(p ovn.ChassisPriority) bool { return p.Chassis == chassis })
}

// appendPriority writes the priority of an agent that is listed for a router.
func appendPriority(b []byte, a *agent.Agent) []byte {
	if a.Priority == nil {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, int64(*a.Priority), 10)
}

// priorityIn reads ha_chassis_priority out of the body of an action; said is false when it is not there, or null.
func priorityIn(in engine.Input, keys ...string) (n int, said bool, err error) {
	m, err := resource.MapValue("body", any(in.Body), append(keys, "ha_chassis_priority")...)
	if err != nil || m["ha_chassis_priority"] == nil {
		return 0, false, err
	}
	if n, err = resource.IntValue(m["ha_chassis_priority"]); err != nil {
		return 0, false, err
	}
	if n < lowestPriority || n > highestPriority {
		return 0, false, badPriority()
	}
	return n, true, nil
}

func badPriority() error {
	return fault.BadRequest("InvalidHAChassisPriority", "HA Chassis priority must be between %d and %d", lowestPriority, highestPriority)
}

// free refuses a priority that a chassis of the list has.
func free(list []ovn.ChassisPriority, priority int) error {
	if slices.ContainsFunc(list, func(p ovn.ChassisPriority) bool { return p.Priority == priority }) {
		return fault.Conflict("HAChassisPriorityAlreadyAssigned", "HA Chassis priority %d is already assigned", priority)
	}
	return nil
}

func notHosted(r *router.Router, a *agent.Agent) error {
	return fault.Conflict("RouterNotHostedByL3Agent", "The router %s is not hosted by the L3 Agent %s.", r.ID, a.ID)
}

// addChassis lets a router's gateways be on a chassis: without a priority, when no other lives.
func (s *Service) addChassis(c *engine.Call, a *agent.Agent, in engine.Input, b []byte) ([]byte, error) {
	priority, said, err := priorityIn(in, "router_id")
	if err != nil {
		return nil, err
	}
	id, err := resource.UUIDValue("router_id", in.Body["router_id"])
	if err != nil {
		return nil, err
	}
	r, err := s.router.Routers.Get(c, id)
	if err != nil {
		return nil, err
	}
	list, _, err := s.priorities(c, r)
	if err != nil {
		return nil, err
	}
	if indexOf(list, a.Chassis()) >= 0 {
		return nil, fault.Conflict("RouterHostedByL3Agent", "The router %s has been already hosted by the L3 Agent %s.", id, a.ID)
	}
	if len(r.Gateways) == 0 { // there is nothing to be on a chassis
		return nil, fault.Conflict("RouterDoesntSupportScheduling", "Router %s does not support agent scheduling.", id)
	}
	fits, err := s.fits(c, a, r)
	if err != nil {
		return nil, err
	}
	if !fits {
		return nil, fault.NotFound("InvalidL3Agent", "Agent %s is not a L3 Agent or has been disabled.", a.ID)
	}
	if !said {
		priority = firstPriority
		if len(list) > 0 {
			priority = list[len(list)-1].Priority - 1
		}
		if priority < lowestPriority {
			return nil, badPriority()
		}
	}
	if err := free(list, priority); err != nil {
		return nil, err
	}
	list = append(slices.Clone(list), ovn.ChassisPriority{Chassis: a.Chassis(), Priority: priority})
	return append(b, nothing...), s.router.SetChassis(c, r.ID, list)
}

// fits says whether a chassis can have all gateways of a router: it is for gateways, if any chassis is; is in one of the
// router's zones; and reaches their networks.
func (s *Service) fits(c *engine.Call, a *agent.Agent, r *router.Router) (bool, error) {
	if a.Type != agent.OVNGateway {
		marked, err := s.agents.Agents.Find(c, store.Where("t.agent_type = ?", agent.OVNGateway))
		if err != nil || len(marked) > 0 {
			return false, err
		}
	}
	if zones := s.net.Config().Zones(r.ZoneHints); len(zones) > 0 && !slices.ContainsFunc(zones, func(z string) bool { return slices.Contains(a.ChassisZones(), z) }) {
		return false, nil
	}
	for _, g := range r.Gateways {
		why, err := s.net.Takes(c, g.NetworkID, nil, a.Host)
		if err != nil || why != "" {
			return false, err
		}
	}
	return true, nil
}

// setPriority gives a chassis of a router's gateways another priority.
func (s *Service) setPriority(c *engine.Call, a *agent.Agent, in engine.Input, b []byte) ([]byte, error) {
	if a.Type == agent.L3 || s.gateways == nil {
		return nil, fault.New(501, "NotImplementedError", "An L3 agent has no HA chassis priorities.")
	}
	priority, said, err := priorityIn(in)
	if err != nil {
		return nil, err
	}
	r, err := s.router.Routers.Get(c, in.Word)
	if err != nil || !said {
		return append(b, nothing...), err
	}
	list, _, err := s.priorities(c, r)
	if err != nil {
		return nil, err
	}
	at := indexOf(list, a.Chassis())
	if at < 0 {
		return nil, notHosted(r, a)
	}
	if err := free(list, priority); err != nil {
		return nil, err
	}
	list = slices.Clone(list)
	list[at].Priority = priority
	return append(b, nothing...), s.router.SetChassis(c, r.ID, list)
}

// dropChassis takes a chassis away from a router's gateways.
func (s *Service) dropChassis(c *engine.Call, a *agent.Agent, r *router.Router) error {
	list, _, err := s.priorities(c, r)
	if err != nil {
		return err
	}
	at := indexOf(list, a.Chassis())
	if at < 0 {
		return notHosted(r, a)
	}
	return s.router.SetChassis(c, r.ID, slices.Delete(slices.Clone(list), at, at+1))
}

// routersOnChassis lists the routers whose gateways may be on a chassis: by what was said, and else by what OVN has.
func (s *Service) routersOnChassis(c *engine.Call, chassis string) ([]string, error) {
	said, err := s.router.Chassis(c, nil)
	if err != nil {
		return nil, err
	}
	ids := slices.DeleteFunc(s.gateways.RoutersOn(chassis), func(id string) bool { return len(said[id]) > 0 })
	for id, list := range said {
		if indexOf(list, chassis) >= 0 {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
