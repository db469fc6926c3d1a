package hub

import (
	"slices"
	"time"

	"neutrino/desired"
)

// A port's host and the hosts that serve DHCP to it may follow different servers. Only the server that the port's
// host follows judges the port; the others tell it, by the database, what their hosts say of the port.

// Served is what a host says of a port in the DHCP layer.
type Served struct {
	Host   string
	Up     bool
	Reason string // why not
}

// away says whether a host follows no server or another one. A host that has just left may come back.
func (h *Hub) away(name string) bool {
	x := h.hosts[name]
	if x == nil {
		return time.Since(h.began) > patience
	}
	return x.stream == nil && time.Since(x.left) > patience
}

// share tells the others what our hosts say of a port that is not ours to judge, when they don't know yet. What it
// is too early for is looked at again.
func (h *Hub) share(thing Thing) {
	delete(h.verdicts.unshared, thing)
	p := h.index.ports[thing.ID]
	if p == nil || p.Host == "" || h.here(p.Host) {
		return
	}
	for _, name := range h.index.dhcpHosts(p) {
		if !h.here(name) {
			continue
		}
		w := h.word(name, thing, desired.LayerDHCP)
		known := slices.IndexFunc(h.verdicts.served[thing.ID], func(s Served) bool { return s.Host == name })
		if !w.said && (!w.heard || known < 0) {
			continue
		}
		now := Served{Host: name, Up: w.said && w.report.Up, Reason: w.report.Reason}
		if known >= 0 && h.verdicts.served[thing.ID][known] == now {
			continue
		}
		if !h.away(p.Host) {
			h.verdicts.unshared[thing] = true
			continue
		}
		h.verdicts.telling[thing.ID] = append(h.verdicts.telling[thing.ID], now)
		select {
		case h.flush <- struct{}{}:
		default:
		}
	}
}

// here says whether a host follows this server now.
func (h *Hub) here(name string) bool {
	x := h.hosts[name]
	return x != nil && x.stream != nil
}

// hostLeft has the ports of a host that no longer follows us looked at, in case it follows another server.
func (h *Hub) hostLeft(name string) {
	things := map[Thing]bool{}
	h.concerned(name, desired.LayerL2, things)
	for thing := range things {
		h.verdicts.unshared[thing] = true
	}
}

// shareAgain looks again at what it was too early for.
func (h *Hub) shareAgain() {
	for thing := range h.verdicts.unshared {
		h.share(thing)
	}
}

// takeTelling takes what is to be told to the other servers.
func (h *Hub) takeTelling() map[string][]Served {
	h.mu.Lock()
	defer h.mu.Unlock()
	told := h.verdicts.telling
	h.verdicts.telling = map[string][]Served{}
	return told
}
