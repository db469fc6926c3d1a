package router

import (
	"slices"

	"neutrino/engine"
	"neutrino/service/network"
	"neutrino/store"
)

// A router is on one host. It gets there at once while no host has it. While one has it, the next host is told to
// make it ready first, with ports that are not wired yet: the move itself is then no more than wiring, and little
// is lost. From a host that is lost it moves at once.

// Ports gives the ports that hosts give a router.
func (s *Service) Ports(c *engine.Call, id string) ([]*network.Port, error) {
	return s.net.Ports.Find(c, PortsOf([]string{id}))
}

// Takes says why a host could not realise a router with these ports, beside what its agent says: one of the
// router's networks does not reach it. "" is that it could.
func (s *Service) Takes(c *engine.Call, r *Router, ports []*network.Port, host string) (reason string, err error) {
	for _, p := range ports {
		if reason, err = s.net.Takes(c, p.NetworkID, p, host); reason != "" || err != nil {
			return reason, err
		}
	}
	if r.wanted == nil || r.wanted.network == "" {
		return "", nil
	}
	seen, err := s.net.Networks.Find(c, store.Where("t.id = ?", r.wanted.network))
	if err != nil || len(seen) == 0 { // that there is none is said when the gateway is made
		return "", err
	}
	return s.net.Takes(c, r.wanted.network, nil, host)
}

// choose finds the best host for a router, other than the one that it is on. reason says why there is none. When no
// host takes all of the router's networks, anyway takes the best, so that those that it does take are routed.
func (s *Service) choose(c *engine.Call, r *Router, ports []*network.Port, anyway bool) (host, reason string, err error) {
	hosts, err := s.hosts.RouterHosts(c, s.net.Config().Zones(r.ZoneHints))
	if err != nil {
		return "", "", err
	}
	reason = "no host with an alive L3 agent takes routers"
	for _, host := range hosts {
		if host == r.Host {
			continue
		}
		why, err := s.Takes(c, r, ports, host)
		if err != nil {
			return "", "", err
		}
		if why == "" {
			return host, "", nil
		}
		reason = why
	}
	if anyway && len(hosts) > 0 {
		return hosts[0], reason, nil
	}
	return "", reason, nil
}

// MoveAway moves a router at once to the best other host. reason says why there is none.
func (s *Service) MoveAway(c *engine.Call, r *Router) (host, reason string, err error) {
	ports, err := s.Ports(c, r.ID)
	if err != nil {
		return "", "", err
	}
	host, reason, err = s.choose(c, r, ports, false)
	if err != nil || host == "" {
		return "", reason, err
	}
	return host, "", s.Place(c, r, host)
}

// Prepare has the best other host make a router ready, to which it moves as soon as that is done. A router that is
// on its way already goes on. reason says why there is no host.
func (s *Service) Prepare(c *engine.Call, r *Router) (host, reason string, err error) {
	if r.NextHost != "" {
		return r.NextHost, "", nil
	}
	ports, err := s.Ports(c, r.ID)
	if err != nil {
		return "", "", err
	}
	host, reason, err = s.choose(c, r, ports, false)
	if err != nil || host == "" {
		return "", reason, err
	}
	return host, "", s.setNext(c, r.ID, host)
}

// setNext notes which host a router is to move to.
func (s *Service) setNext(c *engine.Call, id, host string) error {
	_, err := c.Tx.Exec("UPDATE routers SET next_host = ?, next_status = ?, next_reason = '' WHERE id = ?", host, "DOWN", id)
	if err == nil {
		c.Tx.Change("router", id)
	}
	return err
}

// Get finds a router; nil when there is none.
func (s *Service) Get(c *engine.Call, id string) (*Router, error) {
	found, err := s.Routers.Find(c, store.Where("t.id = ?", id))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// Moving lists the routers that have a next host.
func (s *Service) Moving(c *engine.Call) ([]*Router, error) {
	return s.Routers.Rows(c, store.Where("t.next_host <> ''"))
}

// Stay ends a router's move before it has happened.
func (s *Service) Stay(c *engine.Call, r *Router) error {
	_, err := c.Tx.Exec("UPDATE routers SET next_host = '', next_status = '', next_reason = '' WHERE id = ?", r.ID)
	if err == nil {
		c.Tx.Change("router", r.ID)
	}
	return err
}

// settle moves a router to another host when one of its ports can't be bound where it is and all can there.
func (s *Service) settle(c *engine.Call, id string) error {
	ports, err := s.Ports(c, id)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(ports, func(p *network.Port) bool { return p.Host != "" && !p.Bound() }) {
		return nil
	}
	r, err := s.Routers.Get(c, id)
	if err != nil {
		return err
	}
	host, _, err := s.choose(c, r, ports, false)
	if err != nil || host == "" {
		return err
	}
	return s.Place(c, r, host)
}
