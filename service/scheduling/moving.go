package scheduling

import (
	"fmt"
	"slices"

	"neutrino/engine"
	"neutrino/resource"
	"neutrino/service/agent"
	"neutrino/service/router"
	"neutrino/store"
)

// Move is a router or a network's DHCP that has left a host, or why it can't.
type Move struct {
	Kind string `json:"resource"` // router or network
	ID   string `json:"id"`
	Name string `json:"name"`
	From string `json:"from"`
	To   string `json:"to,omitempty"` // "": nowhere
	Why  string `json:"reason,omitempty"`
}

// batch bounds what is moved in one transaction: others write in between.
const batch = 50

// Homeless lists hosts that have routers or serve DHCP and have no agent for it, or are lost. When kind is agent.L3 or
// agent.DHCP only what that agent does counts.
func (s *Service) Homeless(c *engine.Call, kind string) ([]string, error) {
	query := "SELECT DISTINCT w.host FROM routers w WHERE w.host <> ''"
	if kind == agent.DHCP {
		query = "SELECT DISTINCT w.host FROM ports w WHERE w.host <> '' AND w.device_owner = 'network:dhcp'"
	}
	hosts, err := engine.TextSet(c, query+" AND w.host NOT IN (SELECT a.host FROM agents a WHERE a.agent_type = ? AND a.lost_reason = '')", kind)
	list := make([]string, 0, len(hosts))
	for host := range hosts {
		list = append(list, host)
	}
	slices.Sort(list)
	return list, err
}

// Alive counts the hosts whose agent of a kind is alive.
func (s *Service) Alive(c *engine.Call, kind string) (n int, err error) {
	list, err := s.agents.Candidates(c, kind, nil, nil)
	for _, p := range list {
		if p.Excluded == "" {
			n++
		}
	}
	return n, err
}

// MoveAway moves, at once, what an agent of a kind did on a host: up to a batch of it. What no host takes stays, and
// says why.
func (s *Service) MoveAway(c *engine.Call, host, kind string) (moves []Move, err error) {
	if kind == agent.DHCP {
		return s.moveDHCP(c, host)
	}
	moved := 0
	routers, err := s.router.Routers.Find(c, store.Where("t.host = ?", host))
	if err != nil {
		return nil, err
	}
	for _, r := range routers {
		if moved == batch {
			break
		}
		m := Move{Kind: "router", ID: r.ID, Name: r.Name, From: host}
		if m.To, m.Why, err = s.router.MoveAway(c, r); err != nil {
			return nil, fmt.Errorf("move router %s away from %s: %w", r.ID, host, err)
		}
		if m.To != "" {
			moved++
		}
		moves = append(moves, m)
	}
	return moves, nil
}

func (s *Service) moveDHCP(c *engine.Call, host string) (moves []Move, err error) {
	moved := 0
	ports, err := s.net.DHCPPorts(c, host, "")
	if err != nil {
		return nil, err
	}
	for _, p := range ports {
		if moved == batch {
			break
		}
		m := Move{Kind: "network", ID: p.NetworkID, From: host}
		n, err := s.net.Networks.Row(c, p.NetworkID)
		if err != nil {
			return nil, err
		}
		m.Name = n.Name
		if m.To, m.Why, err = s.net.MoveDHCP(c, p); err != nil {
			return nil, fmt.Errorf("move DHCP of network %s away from %s: %w", p.NetworkID, host, err)
		}
		if m.To != "" {
			moved++
		}
		moves = append(moves, m)
	}
	return moves, nil
}

// drain moves what an agent does to other hosts: networks' DHCP at once, routers once their new hosts have made them
// ready. It is called again and again until nothing is left but what no host takes.
func (s *Service) drain(c *engine.Call, a *agent.Agent, _ engine.Input, b []byte) ([]byte, error) {
	answer := struct {
		Moved  []Move `json:"moved"`
		Moving []Move `json:"moving"`
		Stuck  []Move `json:"stuck"`
	}{[]Move{}, []Move{}, []Move{}}
	note := func(m Move, done *[]Move) {
		if m.To == "" {
			done = &answer.Stuck
		}
		*done = append(*done, m)
	}
	switch a.Type {
	case agent.DHCP:
		moves, err := s.moveDHCP(c, a.Host)
		if err != nil {
			return nil, err
		}
		for _, m := range moves {
			note(m, &answer.Moved)
		}
	case agent.L3:
		routers, err := s.router.Routers.Find(c, store.Where("t.host = ?", a.Host))
		if err != nil {
			return nil, err
		}
		underWay := 0
		for _, r := range routers {
			if r.NextHost != "" {
				underWay++
			}
		}
		for _, r := range routers {
			if r.NextHost == "" && underWay >= atOnce {
				continue
			}
			m := Move{Kind: "router", ID: r.ID, Name: r.Name, From: a.Host}
			if m.To, m.Why, err = s.leave(c, a, r); err != nil {
				return nil, err
			}
			if m.To != "" && r.NextHost == "" {
				underWay++
			}
			note(m, &answer.Moving)
		}
	}
	b = append(b, `{"drain": `...)
	return append(resource.AppendJSON(b, answer), '}'), nil
}

// atOnce bounds how many routers are made ready for a host's draining at a time.
const atOnce = 20

// leave begins a router's move from an agent's host: from one that is lost at once.
func (s *Service) leave(c *engine.Call, a *agent.Agent, r *router.Router) (to, why string, err error) {
	if !a.Alive() {
		return s.router.MoveAway(c, r)
	}
	return s.router.Prepare(c, r)
}
