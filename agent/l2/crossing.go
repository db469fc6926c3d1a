package l2

import (
	"neutrino/dataplane/openflow"
	"neutrino/desired"
)

// Crossing gives the two flows by which a flat or VLAN network crosses between br-int and its physical bridge, as Apply
// writes them: in, on br-int, gives what comes from the patch port its local VLAN; out, on the physical bridge, gives
// what comes from br-int the provider's VLAN or none. inPort and outPort are the patch ports' OpenFlow numbers there.
func Crossing(n *desired.Network, vlan uint16, inPort, outPort uint32) (in, out openflow.Flow) {
	return networkFlows(n, way{vlan: vlan, out: inPort}, nil)[0], physicalFlows(n, vlan, outPort)[0]
}

// Here is a network as a host that is laid out so sees it: on the segment that reaches the host.
func (o Options) Here(n *desired.Network) *desired.Network {
	m := Manager{options: o}
	return m.onSegment(n)
}
