package openvswitch

// QoSRules are the types of QoS rules that the driver's hosts keep, each with its directions; none where a type has
// none. Minimum rules are promises that placement keeps; the host reserves nothing for them.
var QoSRules = map[string][]string{
	"bandwidth_limit":     {"egress", "ingress"},
	"packet_rate_limit":   {"egress", "ingress"},
	"dscp_marking":        nil,
	"minimum_bandwidth":   {"egress", "ingress"},
	"minimum_packet_rate": {"any", "egress", "ingress"},
}
