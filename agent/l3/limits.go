package l3

import (
	"fmt"
	"net/netip"

	"neutrino/desired"
)

// limit is what a QoS policy allows of what comes to an IPv4 address outside, and of what leaves with it, by one gateway.
type limit struct {
	device  string
	address netip.Addr
	qos     *desired.QoS
}

// limit collects the limits of the router's own addresses outside and of floating IPs. With an IPv6 address of its own the
// router speaks to its neighbours only: that is not limited.
func (p *plan) limit(r *desired.Router) {
	add := func(e *exit, a netip.Addr, q *desired.QoS) {
		if q != nil && a.Is4() {
			p.limits = append(p.limits, limit{e.device, a, q})
		}
	}
	for _, e := range p.exits {
		for _, a := range e.addresses {
			add(e, a.Addr(), e.qos)
		}
	}
	for _, f := range r.FloatingIPs {
		if e := p.exitOf(f); e != nil {
			add(e, f.Floating, f.QoS)
		}
	}
}

// renderLimits writes the chains that drop what is too much: of what comes before anything else is done for it, of what
// leaves after it has its address. A flow that turns round in the router is not outside, and does not count.
func (p *plan) renderLimits(w *writer) {
	var in, out []string
	for _, l := range p.limits {
		for _, rate := range rates(l.qos.Ingress) {
			in = append(in, fmt.Sprintf("iifname %s ip daddr %s %s drop", quoted(l.device), l.address, rate))
		}
		for _, rate := range rates(l.qos.Egress) {
			out = append(out, fmt.Sprintf("oifname %s ip saddr %s %s drop", quoted(l.device), l.address, rate))
		}
	}
	write := func(rules []string) func(add func(string, ...any)) {
		return func(add func(string, ...any)) {
			for _, rule := range rules {
				add("%s", rule)
			}
		}
	}
	if in != nil {
		w.chain("arriving", "filter hook prerouting priority raw; policy accept", write(in))
	}
	if out != nil {
		w.chain("departing", "filter hook postrouting priority srcnat + 10; policy accept", write(out))
	}
}

// leastBurst is what must be allowed at once for the largest segment to pass that an instance's device hands over in
// one piece, in bytes.
const leastBurst = 64 << 10

// Rates that nothing here reaches limit nothing: the kernel's arithmetic ends not far above them.
const (
	mostKbps = 100e6 // 100 Gbit/s
	mostKpps = 1e6
)

// rates are the matches of what is more than a direction's limits; none: all may pass.
func rates(l desired.Limits) (matches []string) {
	if l.Kbps > 0 && l.Kbps <= mostKbps {
		matches = append(matches, fmt.Sprintf("limit rate over %d bytes/second burst %d bytes",
			125*l.Kbps, max(leastBurst, desired.Burst(l.Kbps, l.BurstKbps, 125))))
	}
	if l.Kpps > 0 && l.Kpps <= mostKpps {
		matches = append(matches, fmt.Sprintf("limit rate over %d/second burst %d packets", 1000*l.Kpps, desired.Burst(l.Kpps, l.BurstKpps, 1000)))
	}
	return matches
}
