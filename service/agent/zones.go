package agent

import (
	"database/sql"
	"slices"
	"strings"

	"neutrino/engine"
	"neutrino/fault"
)

// defaultZone is the zone of agents whose host is not told another: the original's default.
const defaultZone = "nova"

// CheckZones refuses zones that no agent of the kind is in.
func (s *Service) CheckZones(c *engine.Call, kind string, zones []string) error {
	if len(zones) == 0 {
		return nil
	}
	known, err := engine.TextSet(c, "SELECT DISTINCT availability_zone FROM agents WHERE agent_type = ?", kind)
	if err != nil {
		return err
	}
	for _, zone := range zones {
		if !known[zone] || zone == "" {
			return fault.NotFound("AvailabilityZoneNotFound", "AvailabilityZone %s could not be found.", zone)
		}
	}
	return nil
}

// CheckDHCPZones refuses zones that no DHCP agent is in.
func (s *Service) CheckDHCPZones(c *engine.Call, zones []string) error {
	return s.CheckZones(c, DHCP, zones)
}

// CheckRouterZones refuses zones that no L3 agent is in.
func (s *Service) CheckRouterZones(c *engine.Call, zones []string) error {
	return s.CheckZones(c, L3, zones)
}

// Candidate is a host that could take work of a kind, or why it can't.
type Candidate struct {
	Host     string
	Zone     string
	Load     int    // routers that it has, or networks that it serves
	Excluded string // why it takes no more; "": it does
}

// DHCPHosts lists hosts with an alive, enabled DHCP agent in one of the zones (none: anywhere) that do
// not serve the network yet; those in zones that serve it least come first, of these the one with the
// fewest networks.
func (s *Service) DHCPHosts(c *engine.Call, zones, serving []string) ([]string, error) {
	return usable(s.Candidates(c, DHCP, zones, serving))
}

// RouterHosts lists hosts with an alive, enabled L3 agent in one of the zones (none: anywhere), the one
// with the fewest routers first.
func (s *Service) RouterHosts(c *engine.Call, zones []string) ([]string, error) {
	return usable(s.Candidates(c, L3, zones, nil))
}

func usable(list []Candidate, err error) ([]string, error) {
	var hosts []string
	for _, p := range list {
		if p.Excluded == "" {
			hosts = append(hosts, p.Host)
		}
	}
	return hosts, err
}

// loads count what hosts have, by kind of agent.
var loads = map[string]string{
	DHCP: "(SELECT COUNT(*) FROM ports p WHERE p.host = t.host AND p.device_owner = 'network:dhcp')",
	L3:   "(SELECT COUNT(*) FROM routers r WHERE r.host = t.host OR r.next_host = t.host)",
}

// Candidates lists all hosts with an agent of a kind, DHCP or L3: first those that can take work in one of the
// zones (none: anywhere), the best first, then the others with what excludes them. serving are hosts that have
// the work already: hosts in other zones are better.
func (s *Service) Candidates(c *engine.Call, kind string, zones, serving []string) ([]Candidate, error) {
	var places, excluded []Candidate
	used := map[string]int{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var p Candidate
		var up bool
		var heartbeat, lost string
		if err := rows.Scan(&p.Host, &p.Zone, &up, &heartbeat, &lost, &p.Load); err != nil {
			return err
		}
		if slices.Contains(serving, p.Host) {
			used[p.Zone]++
		}
		switch {
		case slices.Contains(serving, p.Host):
			p.Excluded = "it has it already"
		case len(zones) > 0 && !slices.Contains(zones, p.Zone):
			p.Excluded = "its zone is " + p.Zone + ", and " + strings.Join(zones, " or ") + " is wanted"
		case lost != "":
			p.Excluded = "it is lost: " + lost
		case heartbeat < s.oldest(c):
			p.Excluded = "its " + kind + " is not alive: it reported last at " + heartbeat
		case !up:
			p.Excluded = "its " + kind + " is administratively down"
		}
		if p.Excluded != "" {
			excluded = append(excluded, p)
		} else {
			places = append(places, p)
		}
		return nil
	}, "SELECT t.host, t.availability_zone, t.admin_state_up, t.heartbeat_timestamp, t.lost_reason, "+loads[kind]+" AS workload FROM agents t"+
		" WHERE t.agent_type = ? ORDER BY workload, t.host", kind)
	if err != nil {
		return nil, err
	}
	list := make([]Candidate, 0, len(places)+len(excluded))
	for len(places) > 0 {
		least := 0
		for i, p := range places {
			if used[p.Zone] < used[places[least].Zone] {
				least = i
			}
		}
		list = append(list, places[least])
		used[places[least].Zone]++
		places = slices.Delete(places, least, least+1)
	}
	return append(list, excluded...), nil
}
