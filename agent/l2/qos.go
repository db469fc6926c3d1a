package l2

import (
	"math"

	"neutrino/agent/firewall"
	"neutrino/dataplane/openflow"
	"neutrino/desired"
)

// limits are the meters of a port's direction: the first for the flow where its packets come by, the second, which
// OpenFlow does not allow in the same flow, for another after it. nil: none.
func (m *Manager) limits(l desired.Limits, ofport uint32, ingress bool) (first, second openflow.Actions) {
	if l == (desired.Limits{}) {
		return nil, nil
	}
	id := m.meters.first(ofport)
	if ingress {
		id += 2
	}
	var list []openflow.Actions
	if l.Kbps > 0 {
		list = append(list, openflow.Actions{openflow.Limit(openflow.MeterSpec{ID: id, Rate: uint32(l.Kbps), Burst: desired.Burst(l.Kbps, l.BurstKbps, 1)})})
	}
	if l.Kpps > 0 {
		list = append(list, openflow.Actions{openflow.Limit(openflow.MeterSpec{ID: id + 1, Packets: true,
			Rate: uint32(min(1000*uint64(l.Kpps), math.MaxUint32)), Burst: desired.Burst(l.Kpps, l.BurstKpps, 1000)})})
	}
	list = append(list, nil, nil)
	return list[0], list[1]
}

// limited says whether a policy limits rates.
func limited(q *desired.QoS) bool {
	return q != nil && (q.Egress != desired.Limits{} || q.Ingress != desired.Limits{})
}

// sending marks what a port sends; next is where its packets go on, and start where they must come by first.
func sending(q *desired.QoS, number uint32, next uint8) (flows []openflow.Flow, start uint8) {
	if q.DSCP == nil {
		return nil, next
	}
	from := openflow.InReg(firewall.RegIn, number)
	for _, kind := range []uint16{openflow.TypeIPv4, openflow.TypeIPv6} {
		flows = append(flows, openflow.Flow{Table: tableMark, Priority: 2, Match: openflow.Match{from, openflow.EthType(kind)},
			Actions: openflow.Actions{openflow.SetNumber(openflow.IPDSCP, uint64(*q.DSCP)), openflow.Resubmit(next)}})
	}
	return append(flows, openflow.Flow{Table: tableMark, Priority: 1, Match: openflow.Match{from}, Actions: openflow.Actions{openflow.Resubmit(next)}}), tableMark
}
