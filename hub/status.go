package hub

import (
	"fmt"
	"slices"
	"strings"

	"neutrino/desired"
)

// The statuses that follow from reports.
const (
	active = "ACTIVE"
	down   = "DOWN"

	waitingFor = "waiting for host "
)

// word is what a host says of a thing in a layer.
type word struct {
	host, layer string
	here        bool // the host follows this server
	heard       bool // it has told all that it knows in the layer
	said        bool // it has said this of the thing:
	report      desired.Report
}

// verdict is a status with the weight it has.
type verdict struct {
	Status
	sure    bool // hosts have said so, or have told everything and not this
	waiting bool // no host has said why it is not up
	away    bool // the host that has the say does not follow this server
}

// verdict of one word alone.
func (w word) verdict() verdict {
	switch {
	case !w.said:
		return verdict{Status{down, fmt.Sprintf(waitingFor+"%s (%s)", w.host, w.layer)}, w.heard, true, !w.here}
	case w.report.Up:
		return verdict{Status{Status: active}, true, false, false}
	}
	reason := w.report.Reason
	if reason == "" {
		reason = "not ready (" + w.layer + ")"
	}
	return verdict{Status{down, "host " + w.host + ": " + reason}, true, false, false}
}

// portStatus is ACTIVE when the bound host has wired the port and, where hosts serve DHCP to it, one of
// them says that it does. Pure.
func portStatus(bound word, dhcp []word) verdict {
	v := bound.verdict()
	if v.Status.Status != active || len(dhcp) == 0 {
		return v
	}
	v = verdict{Status: Status{Status: down}, sure: true, waiting: true}
	var reasons []string
	for _, w := range dhcp {
		served := w.verdict()
		if served.Status.Status == active {
			return served
		}
		v.sure = v.sure && served.sure
		v.waiting = v.waiting && served.waiting
		reasons = append(reasons, served.Reason)
	}
	slices.Sort(reasons)
	v.Reason = strings.Join(reasons, "; ")
	return v
}

// routerStatus is ACTIVE from the beginning, as the original's; the reason says what is missing. Pure.
func routerStatus(scheduled word) verdict {
	v := scheduled.verdict()
	v.Status.Status = active
	return v
}

// found is the status that follows from the reports; it is not known of what no host has.
func (h *Hub) found(thing Thing) (v verdict, known bool) {
	switch thing.Kind {
	case desired.KindPort:
		p := h.index.ports[thing.ID]
		if p == nil || p.Host == "" || p.WiredBy != "" && !p.Function() {
			return v, false
		}
		layer := desired.LayerL2
		if p.Function() {
			layer = desired.LayerSRIOV
		}
		var dhcp []word
		for _, name := range h.index.dhcpHosts(p) {
			dhcp = append(dhcp, h.word(name, thing, desired.LayerDHCP))
		}
		return portStatus(h.word(p.Host, thing, layer), dhcp), true
	case desired.KindRouter:
		if r := h.index.routers[thing.ID]; r != nil && r.Host != "" {
			return routerStatus(h.word(r.Host, thing, desired.LayerL3)), true
		}
	case desired.KindRouterMove:
		if r := h.index.routers[thing.ID]; r != nil && r.Next != "" {
			return h.word(r.Next, Thing{desired.KindRouter, thing.ID}, desired.LayerL3).verdict(), true
		}
	case desired.KindFloatingIP:
		if r := h.index.routers[h.index.routerOf[thing.ID]]; r != nil && r.Host != "" {
			return h.word(r.Host, thing, desired.LayerL3).verdict(), true
		}
	}
	return v, false
}

// word is what a host says. Of a host that follows no server or another one, only what it says of DHCP counts:
// as that server tells it, or else as we heard it last.
func (h *Hub) word(name string, thing Thing, layer string) word {
	w := word{host: name, layer: layer}
	x := h.hosts[name]
	if h.here(name) {
		w.here, w.heard = true, x.complete[layer]
		w.report, w.said = x.reports[claim{thing, layer}]
		return w
	}
	if layer != desired.LayerDHCP {
		return w
	}
	for _, s := range h.verdicts.served[thing.ID] {
		if s.Host == name {
			w.said, w.report = true, desired.Report{Up: s.Up, Reason: s.Reason}
			return w
		}
	}
	if x != nil {
		w.report, w.said = x.reports[claim{thing, layer}]
	}
	return w
}

// dhcpHosts are the hosts that serve DHCP to the port; none when its addresses need no DHCP.
func (x *index) dhcpHosts(p *desired.Port) []string {
	n := x.networks[p.NetworkID]
	if n == nil || strings.HasPrefix(p.DeviceOwner, "network:") {
		return nil
	}
	served := slices.ContainsFunc(p.FixedIPs, func(f desired.FixedIP) bool {
		return slices.ContainsFunc(n.Subnets, func(s desired.Subnet) bool { return s.ID == f.SubnetID && s.EnableDHCP })
	})
	if !served {
		return nil
	}
	var hosts []string
	for id := range x.dhcpPorts[p.NetworkID] {
		if d := x.ports[id]; d.Host != "" {
			hosts = append(hosts, d.Host)
		}
	}
	slices.Sort(hosts)
	return hosts
}
