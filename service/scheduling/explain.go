package scheduling

import (
	"slices"
	"strings"

	"neutrino/engine"
	"neutrino/resource"
	"neutrino/service/agent"
	"neutrino/service/network"
	"neutrino/service/router"
)

// What these tell is found anew at each question by the same functions that place things: it is what would be
// decided now.

// Explanation says where something is, why, and where else it could be.
type Explanation struct {
	Resource   string        `json:"resource"` // router, network or port
	ID         string        `json:"id"`
	Name       string        `json:"name"`
	Status     string        `json:"status,omitempty"`
	Hosts      []string      `json:"hosts"` // where it is
	Next       string        `json:"next_host,omitempty"`
	Zones      []string      `json:"availability_zone_hints"` // where it is wanted; none: anywhere
	Reasons    []string      `json:"reasons"`                 // in words
	Candidates []PlaceToBe   `json:"candidates"`              // hosts, the best first
	Parts      []Explanation `json:"parts,omitempty"`         // what it depends on
}

// PlaceToBe is a host as a candidate for something.
type PlaceToBe struct {
	Host     string `json:"host"`
	Zone     string `json:"availability_zone"`
	Load     int    `json:"load"`               // routers, or networks that it serves
	Here     bool   `json:"here"`               // it has it
	Excluded string `json:"excluded,omitempty"` // why it would not get it
}

func answer(b []byte, e *Explanation) []byte {
	b = append(b, `{"explanation": `...)
	return append(resource.AppendJSON(b, e), '}')
}

// places turns candidates into places. takes says why a host that is usable does not fit.
func places(list []agent.Candidate, here []string, takes func(host string) (string, error)) ([]PlaceToBe, error) {
	out := make([]PlaceToBe, 0, len(list))
	for _, p := range list {
		place := PlaceToBe{Host: p.Host, Zone: p.Zone, Load: p.Load, Here: slices.Contains(here, p.Host), Excluded: p.Excluded}
		if place.Excluded == "" {
			why, err := takes(p.Host)
			if err != nil {
				return nil, err
			}
			place.Excluded = why
		}
		out = append(out, place)
	}
	return out, nil
}

func (s *Service) explainRouter(c *engine.Call, r *router.Router, _ engine.Input, b []byte) ([]byte, error) {
	e, err := s.aboutRouter(c, r)
	if err != nil {
		return nil, err
	}
	return answer(b, e), nil
}

func (s *Service) aboutRouter(c *engine.Call, r *router.Router) (*Explanation, error) {
	e := &Explanation{Resource: "router", ID: r.ID, Name: r.Name, Status: r.Status, Next: r.NextHost, Zones: s.net.Config().Zones(r.ZoneHints), Hosts: []string{}, Reasons: []string{}}
	if r.Host != "" {
		e.Hosts = append(e.Hosts, r.Host)
	}
	ports, err := s.router.Ports(c, r.ID)
	if err != nil {
		return nil, err
	}
	list, err := s.agents.Candidates(c, agent.L3, e.Zones, nil)
	if err != nil {
		return nil, err
	}
	e.Candidates, err = places(list, e.Hosts, func(host string) (string, error) { return s.router.Takes(c, r, ports, host) })
	if err != nil {
		return nil, err
	}
	e.placed("routers")
	if !r.AdminStateUp {
		e.say("the router is administratively down")
	}
	if r.StatusReason != "" {
		e.say(r.StatusReason)
	}
	if r.NextHost != "" {
		e.say("host " + r.NextHost + " is making it ready, and it moves there then")
		if r.NextReason != "" {
			e.say(r.NextReason)
		}
	}
	for _, p := range ports {
		if p.Status == "ACTIVE" {
			continue
		}
		part, err := s.aboutPort(c, p)
		if err != nil {
			return nil, err
		}
		e.Parts = append(e.Parts, *part)
	}
	return e, nil
}

func (e *Explanation) say(text string) { e.Reasons = append(e.Reasons, text) }

// placed says why a thing is where it is.
func (e *Explanation) placed(load string) {
	usable := 0
	for _, p := range e.Candidates {
		if p.Excluded == "" {
			usable++
		}
		if p.Here && p.Excluded != "" && p.Excluded != hasItAlready {
			e.say("it is on host " + p.Host + ", which would get nothing new: " + p.Excluded)
		}
	}
	for _, host := range e.Hosts {
		if !slices.ContainsFunc(e.Candidates, func(p PlaceToBe) bool { return p.Host == host }) {
			e.say("host " + host + " has no agent for it any more")
		}
	}
	switch {
	case len(e.Hosts) == 0 && usable == 0:
		e.say("it is nowhere: no host can take it")
	case len(e.Hosts) == 0:
		e.say("it is nowhere, though a host could take it")
	case len(e.Zones) > 0:
		e.say("hosts in " + strings.Join(e.Zones, ", ") + " that reach its networks are taken, of these those with the fewest " + load + " when it was placed; it moves only when its host is lost or drained")
	default:
		e.say("of the hosts that reach its networks those with the fewest " + load + " were taken when it was placed; it moves only when its host is lost or drained")
	}
}

const hasItAlready = "it has it already"

func (s *Service) explainNetwork(c *engine.Call, n *network.Network, _ engine.Input, b []byte) ([]byte, error) {
	e, err := s.aboutNetwork(c, n)
	if err != nil {
		return nil, err
	}
	return answer(b, e), nil
}

func (s *Service) aboutNetwork(c *engine.Call, n *network.Network) (*Explanation, error) {
	e := &Explanation{Resource: "network", ID: n.ID, Name: n.Name, Zones: s.net.Config().Zones(n.ZoneHints), Hosts: []string{}, Reasons: []string{}}
	ports, err := s.net.DHCPPorts(c, "", n.ID)
	if err != nil {
		return nil, err
	}
	for _, p := range ports {
		e.Hosts = append(e.Hosts, p.Host)
	}
	served, err := s.net.WantsDHCP(c, n.ID)
	if err != nil {
		return nil, err
	}
	if !served {
		e.Candidates = []PlaceToBe{}
		e.say("no host serves DHCP to it: no subnet has DHCP")
		return e, nil
	}
	list, err := s.agents.Candidates(c, agent.DHCP, e.Zones, e.Hosts)
	if err != nil {
		return nil, err
	}
	e.Candidates, err = places(list, e.Hosts, func(host string) (string, error) { return s.net.Takes(c, n.ID, nil, host) })
	if err != nil {
		return nil, err
	}
	e.placed("networks")
	for _, p := range ports {
		if p.Status == "ACTIVE" {
			continue
		}
		e.Parts = append(e.Parts, bare(p))
	}
	return e, nil
}

func (s *Service) explainPort(c *engine.Call, p *network.Port, _ engine.Input, b []byte) ([]byte, error) {
	e, err := s.aboutPort(c, p)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(p.DeviceOwner, "network:") { // an instance's: whoever serves its DHCP matters, too
		n, err := s.net.Networks.Get(c, p.NetworkID)
		if err != nil {
			return nil, err
		}
		dhcp, err := s.aboutNetwork(c, n)
		if err != nil {
			return nil, err
		}
		e.Parts = append(e.Parts, *dhcp)
	}
	return answer(b, e), nil
}

// bare is what a port says by itself.
func bare(p *network.Port) Explanation {
	e := Explanation{Resource: "port", ID: p.ID, Name: p.Name, Status: p.Status, Hosts: []string{}, Zones: []string{}, Reasons: []string{}, Candidates: []PlaceToBe{}}
	switch {
	case p.Host == "":
		e.say("it is not bound: nobody has said on which host it is")
	case !p.Bound():
		e.Hosts = append(e.Hosts, p.Host)
		e.say("host " + p.Host + " could not take it (" + p.VIFType + ")")
	default:
		e.Hosts = append(e.Hosts, p.Host)
		e.say("whoever made it has bound it to host " + p.Host)
	}
	if !p.AdminStateUp {
		e.say("it is administratively down")
	}
	if p.StatusReason != "" && p.Status != "ACTIVE" {
		e.say(p.StatusReason)
	}
	return e
}

// aboutPort adds what would come of binding it now.
func (s *Service) aboutPort(c *engine.Call, p *network.Port) (*Explanation, error) {
	e := bare(p)
	if p.Host == "" || p.Status == "ACTIVE" {
		return &e, nil
	}
	why, err := s.net.Takes(c, p.NetworkID, p, p.Host)
	if err != nil {
		return nil, err
	}
	lost, err := s.agents.Lost(c, p.Host)
	if err != nil {
		return nil, err
	}
	switch {
	case lost != "":
		e.say("host " + p.Host + " is lost: " + lost)
	case why != "" && !slices.Contains(e.Reasons, why):
		e.say(why)
	}
	return &e, nil
}
