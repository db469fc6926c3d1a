package agent

import (
	"strings"

	"neutrino/desired"
)

// totals are how much the host has of what each role looks after, in the words of the original's agents, by the
// role's agent type.
func (f *follower) totals() map[string]map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	host := f.agent.options.Host
	devices, routers, gateways, interfaces, floating, ports := 0, 0, 0, 0, 0, 0
	served := map[string]bool{} // networks with a DHCP port here
	for _, item := range f.have.items {
		switch it := item.(type) {
		case *desired.Port:
			if it.Host != host {
				continue
			}
			devices++
			if it.DeviceOwner == "network:dhcp" {
				served[it.NetworkID] = true
			}
		case *desired.Router:
			routers++
			interfaces += len(it.Interfaces)
			floating += len(it.FloatingIPs)
			gateways += len(it.Gateways())
		}
	}
	subnets := 0
	for _, item := range f.have.items {
		switch it := item.(type) {
		case *desired.Network:
			if served[it.ID] {
				subnets += len(it.Subnets)
			}
		case *desired.Port:
			if served[it.NetworkID] && !strings.HasPrefix(it.DeviceOwner, "network:") {
				ports++
			}
		}
	}
	return map[string]map[string]int{
		"Open vSwitch agent": {"devices": devices},
		"L3 agent":           {"routers": routers, "ex_gw_ports": gateways, "interfaces": interfaces, "floating_ips": floating},
		"DHCP agent":         {"networks": len(served), "subnets": subnets, "ports": ports},
	}
}

// describe is what a heartbeat says: what the options describe, and the totals.
func (a *Agent) describe() []desired.AgentState {
	states := a.options.Describe()
	if a.follower == nil {
		return states
	}
	totals := a.follower.totals()
	for i := range states {
		if states[i].Configurations == nil {
			states[i].Configurations = map[string]any{}
		}
		for key, n := range totals[states[i].Type] {
			states[i].Configurations[key] = n
		}
	}
	return states
}
