package ovn

import "strings"

// QoSRules are the types of QoS rules that OVN keeps, each with its directions; none where a type has none. Minimum
// bandwidth is a promise that placement keeps; no row is for it.
var QoSRules = map[string][]string{
	"bandwidth_limit":   {"egress", "ingress"},
	"dscp_marking":      nil,
	"minimum_bandwidth": {"egress", "ingress"},
}

// Priorities of QoS rows, the original's.
const (
	priorityQoS         = "2002"
	priorityFloatingQoS = "2010"
)

// qosOwner is whose policy a QoS row is of.
type qosOwner struct {
	kind    string // port_id, fip_id or router_id
	id      string
	further string // the port of a router's gateway that is not its first; else ""
}

// row names a QoS row.
func (w qosOwner) row(direction string) string {
	if w.further != "" {
		return w.kind + "/" + w.id + "/" + w.further + "/" + direction
	}
	return w.kind + "/" + w.id + "/" + direction
}

// qosRow makes the row of a policy for one direction, if the policy says anything about it.
func (m *Model) qosRow(o *output, network, policyID string, owner qosOwner, ingress bool, priority, match string) {
	policy := m.policies[policyID]
	if policy == nil {
		return
	}
	var r *Row
	row := func() *Row {
		if r == nil {
			r = o.row(tableQoS, owner.row(directionOf(ingress)))
			r.One["priority"], r.One["direction"], r.One["match"] = priority, directionOf(ingress), match
			r.Many["bandwidth"], r.Many["action"] = map[string]string{}, map[string]string{}
			r.Many["external_ids"] = pairs("neutron:"+owner.kind, owner.id, "neutron:gateway_port", owner.further)
			o.in(Key{tableSwitch, switchName(network)}, "qos_rules", r.Key)
		}
		return r
	}
	for _, rule := range policy.Rules {
		switch {
		case rule.Type == "bandwidth_limit" && rule.Amount > 0 && (rule.Direction == "ingress") == ingress: // 0 is no limit
			row().Many["bandwidth"]["rate"] = number(rule.Amount)
			if rule.Burst > 0 {
				r.Many["bandwidth"]["burst"] = number(rule.Burst)
			}
		case rule.Type == "dscp_marking" && !ingress && owner.kind == "port_id":
			row().Many["action"]["dscp"] = number(rule.Amount)
		}
	}
}

// portQoS are the rows of a port's policy, or of its network's.
func (m *Model) portQoS(o *output, n *Network, p *Port) {
	policy := p.QoSPolicyID
	if policy == "" {
		policy = n.QoSPolicyID
	}
	m.qosRow(o, n.ID, policy, qosOwner{kind: "port_id", id: p.ID}, false, priorityQoS, `inport == "`+p.ID+`"`)
	m.qosRow(o, n.ID, policy, qosOwner{kind: "port_id", id: p.ID}, true, priorityQoS, `outport == "`+p.ID+`"`)
}

// floatingQoS are the rows of a floating IP's policy, on the external network, where its traffic is translated: on the
// gateway's host or, when it is distributed, on its port's.
func (m *Model) floatingQoS(o *output, gateway *Port, f *FloatingIP, distributed bool) {
	policy := f.QoSPolicyID
	if policy == "" {
		if n := m.networks[f.NetworkID]; n != nil {
			policy = n.QoSPolicyID
		}
	}
	resident := "cr-" + routerPort(gateway.ID)
	if distributed {
		resident = f.PortID
	}
	where := func(port, address string) string {
		return strings.Join([]string{port + ` == "` + gateway.ID + `"`, "ip4." + address + " == " + f.IP.String(),
			`is_chassis_resident("` + resident + `")`}, " && ")
	}
	// What the router sends comes into the external switch by the router's port.
	m.qosRow(o, gateway.NetworkID, policy, qosOwner{kind: "fip_id", id: f.ID}, false, priorityFloatingQoS, where("inport", "src"))
	m.qosRow(o, gateway.NetworkID, policy, qosOwner{kind: "fip_id", id: f.ID}, true, priorityFloatingQoS, where("outport", "dst"))
}

// gatewayQoS are the rows of the policy of a router's gateways, or of the external network, for one of them. further is ""
// for the first.
func (m *Model) gatewayQoS(o *output, r *Router, gateway *Port, further string) {
	owner, policy := qosOwner{"router_id", r.ID, further}, r.QoSPolicyID
	if policy == "" {
		policy = m.networks[gateway.NetworkID].QoSPolicyID
	}
	m.qosRow(o, gateway.NetworkID, policy, owner, false, priorityQoS, `inport == "`+gateway.ID+`"`)
	m.qosRow(o, gateway.NetworkID, policy, owner, true, priorityQoS, `outport == "`+gateway.ID+`"`)
}
