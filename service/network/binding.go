package network

import (
	"fmt"
	"slices"
	"strings"

	"neutrino/driver/ovn"
	"neutrino/engine"
	"neutrino/store"
)

// bind decides how the port is plugged on its host. A host that can't take it is no error: the
// port says binding_failed, and why.
func (s *Service) bind(c *engine.Call, p *Port, n *NetworkRow) error {
	p.VIFDetails, p.BoundSegment = map[string]any{}, ""
	if p.Host == "" {
		p.VIFType, p.StatusReason = vifUnbound, "the port is not bound to a host"
		if p.Status == "ACTIVE" {
			p.Status = "DOWN"
		}
		return nil
	}
	if p.Status == "ACTIVE" {
		p.Status = "DOWN"
	}
	binding, on, reason, err := s.plug(c, wishOf(p.VNICType, p.Profile), p.Host, n)
	if err != nil {
		return err
	}
	if reason != "" {
		p.VIFType, p.StatusReason = vifFailed, reason
		s.log.Warn("port can't be bound", "port", p.ID, "host", p.Host, "network", n.ID, "reason", reason)
		return nil
	}
	p.VIFType, p.VIFDetails, p.BoundSegment = binding.VIFType, binding.Details, on
	p.StatusReason = "waiting for host " + p.Host + " to wire the port"
	s.unwatched(p)
	return nil
}

// unwatched settles the status of a bound port that no host looks after: that the other end is there nobody tells. With
// OVN, whose gateways answer for it, they do.
func (s *Service) unwatched(p *Port) {
	switch m := mechanismOf(p.Driver()); {
	case !p.Bound() || m == nil || m.unwatched == nil || !m.unwatched(p.VNICType):
	case slices.Contains(s.config.Mechanisms, OVN):
		p.StatusReason = "waiting for OVN to answer for the port"
	case p.AdminStateUp:
		p.Status, p.StatusReason = "ACTIVE", ""
	default:
		p.Status, p.StatusReason = "DOWN", "the port is administratively down"
	}
}

// plugged is how a mechanism driver plugs a port.
type plugged struct {
	VIFType string
	Details map[string]any
}

// wish is what decides, of a port or a further binding of it, which driver plugs it.
type wish struct {
	vnic      string
	switchdev bool // capabilities of the profile: a switch's, whose work the NIC does
}

func wishOf(vnic string, profile map[string]any) wish { return wish{vnic, offloaded(profile)} }

// offloaded says whether a binding profile has the capability switchdev.
func offloaded(profile map[string]any) bool {
	capabilities, _ := profile["capabilities"].([]any)
	return slices.Contains(capabilities, any("switchdev"))
}

// plug asks the drivers in their order how a port of the network is plugged on a host, and on which segment: the first
// that one can. reason says why it can't be on any: what each driver, when there are several, has against the last.
func (s *Service) plug(c *engine.Call, w wish, host string, n *NetworkRow) (binding plugged, on, reason string, err error) {
	segments, err := s.segmentsOf(c, n.ID)
	if err != nil {
		return plugged{}, "", "", err
	}
	var reasons []string
	for _, name := range s.config.Mechanisms {
		refusal := fmt.Errorf("the network has no segment")
		for _, g := range segments {
			if slices.Contains(s.config.Prohibited[name], w.vnic) {
				refusal = fmt.Errorf("vnic_type %q is prohibited by vnic_type_prohibit_list", w.vnic)
				break
			}
			if binding, refusal, err = mechanismOf(name).bind(c, s.hosts, w, g, host); err != nil {
				return plugged{}, "", "", err
			}
			if refusal == nil {
				return binding, g.ID, "", nil
			}
		}
		reasons = append(reasons, refusal.Error())
	}
	if len(reasons) > 1 {
		for i, name := range s.config.Mechanisms {
			reasons[i] = name + ": " + reasons[i]
		}
	}
	return plugged{}, "", strings.Join(reasons, "; "), nil
}

// reaches says whether a segment of the network reaches a host; a host that never reported is reached by none.
func (s *Service) reaches(c *engine.Call, n *NetworkRow, segment, name string) (bool, error) {
	segments, err := s.segmentsOf(c, n.ID)
	if err != nil {
		return false, err
	}
	for _, g := range segments {
		if g.ID != segment {
			continue
		}
		for _, m := range Mechanisms {
			if m.reaches == nil {
				continue
			}
			if there, err := m.reaches(c, s.hosts, g, name); there || err != nil {
				return there, err
			}
		}
	}
	return false, nil
}

// SetHost binds a port to the host that has it; a port that is gone is passed over.
func (s *Service) SetHost(c *engine.Call, id, host string) error {
	found, err := s.Ports.Find(c, store.Where("t.id = ?", id))
	if err != nil || len(found) == 0 || found[0].Host == host {
		return err
	}
	p := *found[0]
	p.Host = host
	return s.Ports.Save(c, found[0], &p, nil)
}

// SetAnswering notes which host of OVN's answers for a port that is on none of its switches; "": none.
func (s *Service) SetAnswering(c *engine.Call, id, host string) error {
	n, err := c.Tx.Exec("UPDATE ports SET answered_by = ? WHERE id = ? AND answered_by <> ?", host, id, host)
	if err == nil && n > 0 {
		c.Tx.Change("port", id)
	}
	return err
}

// External says whether OVN has the port as one that is on none of its switches.
func (p *Port) External() bool { return ovn.External(p.VNICType, offloaded(p.Profile)) }

// Rebind tries the failed bindings of a host again: its agent has come or has new abilities.
func (s *Service) Rebind(c *engine.Call, host string) error {
	ports, err := s.Ports.Find(c, store.Where("t.host = ? AND t.vif_type = ?", host, vifFailed))
	if err != nil {
		return err
	}
	for _, old := range ports {
		p := *old
		n, err := s.networkOf(c, p.NetworkID)
		if err != nil {
			return err
		}
		if err := s.bind(c, &p, n); err != nil {
			return err
		}
		if p.VIFType == vifFailed {
			continue
		}
		if err := s.Ports.Save(c, old, &p, nil); err != nil {
			return err
		}
	}
	return nil
}
