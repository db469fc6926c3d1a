package router

import (
	"database/sql"
	"net/netip"
	"slices"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/network"
)

// Gateway is a router's port on an external network.
type Gateway struct {
	NetworkID string
	PortID    string
	FixedIPs  []network.FixedIP
}

// gateway is the first of the router's gateways, which clients know as external_gateway_info; nil: none.
func (r *Router) gateway() *Gateway {
	if len(r.Gateways) == 0 {
		return nil
	}
	return &r.Gateways[0]
}

// gatewaysOn are the places of the router's gateways on a network.
func (r *Router) gatewaysOn(network string) (at []int) {
	for i, g := range r.Gateways {
		if g.NetworkID == network {
			at = append(at, i)
		}
	}
	return at
}

// loadGateways fills the gateways of a page of routers from their gateway ports: the first is the one that the
// router says, or else that of the least id.
func loadGateways(c *engine.Call, page engine.Page) (func(r *Router), error) {
	gateways := map[string][]Gateway{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var router, networkID, port string
		var subnet, text sql.NullString
		var later int
		if err := rows.Scan(&router, &networkID, &port, &subnet, &text, &later); err != nil {
			return err
		}
		list := gateways[router]
		if len(list) == 0 || list[len(list)-1].PortID != port {
			list = append(list, Gateway{NetworkID: networkID, PortID: port})
			gateways[router] = list
		}
		if !text.Valid {
			return nil
		}
		ip, err := netip.ParseAddr(text.String)
		g := &list[len(list)-1]
		g.FixedIPs = append(g.FixedIPs, network.FixedIP{SubnetID: subnet.String, IP: ip})
		return err
	}, "SELECT p.device_id, p.network_id, p.id, a.subnet_id, a.ip_address, CASE WHEN p.id = r.gateway_port_id THEN 0 ELSE 1 END AS later FROM ports p"+
		page.Join("p.device_id")+"JOIN routers r ON r.id = p.device_id LEFT JOIN ip_allocations a ON a.port_id = p.id "+
		"WHERE p.device_owner = 'network:router_gateway' ORDER BY later, p.id, a.position", page.Args...)
	return func(r *Router) { r.Gateways = gateways[r.ID] }, err
}

func appendGateway(b []byte, r *Router) []byte {
	if len(r.Gateways) == 0 {
		return append(b, "null"...)
	}
	return r.Gateways[0].append(b, r)
}

func appendGateways(b []byte, r *Router) []byte {
	b = append(b, '[')
	for i := range r.Gateways {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = r.Gateways[i].append(b, r)
	}
	return append(b, ']')
}

func (g *Gateway) append(b []byte, r *Router) []byte {
	b = append(b, `{"network_id": `...)
	b = resource.AppendString(b, g.NetworkID)
	b = append(b, `, "external_fixed_ips": [`...)
	for i, f := range g.FixedIPs {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, `{"subnet_id": `...)
		b = resource.AppendString(b, f.SubnetID)
		b = append(b, `, "ip_address": `...)
		b = resource.AppendIP(b, f.IP)
		b = append(b, '}')
	}
	b = append(b, `], "enable_snat": `...)
	b = resource.AppendBool(b, r.EnableSNAT)
	if r.GatewayQoS == "" {
		return append(b, `, "qos_policy_id": null}`...)
	}
	return append(resource.AppendString(append(b, `, "qos_policy_id": `...), r.GatewayQoS), '}')
}

// gatewayRequest is what a client asks of a gateway; the zero value clears it.
type gatewayRequest struct {
	network string
	ips     []network.FixedIP // nil: any
	snat    *bool             // nil: not said
	qos     *string           // nil: not said; "": none
}

// gatewayKeys are what a client may say of a gateway.
var gatewayKeys = []string{"network_id", "enable_snat", "external_fixed_ips", "qos_policy_id"}

func decodeGateway(r *Router, v any) (err error) {
	r.wanted = &gatewayRequest{}
	if m, is := v.(map[string]any); v == nil || is && len(m) == 0 {
		return nil
	}
	r.wanted, err = parseGateway("external_gateway_info", v)
	return err
}

// parseGateways reads a list of gateways; nil when there is none.
func parseGateways(name string, v any) ([]*gatewayRequest, error) {
	list, err := resource.ListValue(name, v)
	if err != nil || list == nil {
		return nil, err
	}
	wanted := make([]*gatewayRequest, len(list))
	for i, item := range list {
		if wanted[i], err = parseGateway(name, item); err != nil {
			return nil, err
		}
	}
	return wanted, nil
}

func parseGateway(name string, v any) (*gatewayRequest, error) {
	m, err := resource.MapValue(name, v, gatewayKeys...)
	if err != nil {
		return nil, err
	}
	want := &gatewayRequest{}
	if want.network, err = resource.UUIDValue(name, m["network_id"]); err != nil {
		return nil, err
	}
	if v := m["enable_snat"]; v != nil {
		on, err := resource.BoolValue(v)
		if err != nil {
			return nil, err
		}
		want.snat = &on
	}
	if v, sent := m["qos_policy_id"]; sent {
		policy := ""
		if v != nil {
			if policy, err = resource.UUIDValue("qos_policy_id", v); err != nil {
				return nil, err
			}
		}
		want.qos = &policy
	}
	want.ips, err = parseExternalIPs(m["external_fixed_ips"])
	return want, err
}

func parseExternalIPs(v any) ([]network.FixedIP, error) {
	list, err := resource.ListValue("external_fixed_ips", v)
	if err != nil {
		return nil, err
	}
	var ips []network.FixedIP
	for _, item := range list {
		m, err := resource.MapValue("external_fixed_ips", item, "subnet_id", "ip_address")
		if err != nil {
			return nil, err
		}
		var f network.FixedIP
		if m["subnet_id"] != nil {
			if f.SubnetID, err = resource.UUIDValue("external_fixed_ips", m["subnet_id"]); err != nil {
				return nil, err
			}
		}
		if m["ip_address"] != nil {
			if f.IP, err = resource.IPValue("external_fixed_ips", m["ip_address"]); err != nil {
				return nil, err
			}
		}
		if f == (network.FixedIP{}) {
			return nil, fault.InvalidInput("IP allocation requires subnet_id or ip_address")
		}
		ips = append(ips, f)
	}
	return ips, nil
}

// take gives the router what a request for its first gateway says of SNAT and QoS. Both belong to the router, for all
// its gateways; they go with the last.
func (r *Router) take(want *gatewayRequest) {
	switch {
	case want == nil || want.network == "" && len(r.Gateways) > 1:
	case want.network == "":
		r.EnableSNAT, r.GatewayQoS = true, ""
	default:
		r.EnableSNAT = want.snat == nil || *want.snat
		if want.qos != nil {
			r.GatewayQoS = *want.qos
		}
	}
}

// mayPartQoS refuses that a null takes the QoS policy from a router whose gateways stay, to whom the rule about giving
// one refuses that: rules are asked about what has a value. Where there is no policy, null says nothing.
func (s *Service) mayPartQoS(c *engine.Call, r *Router, want *gatewayRequest, rule string) error {
	if r.GatewayQoS == "" || want == nil || want.qos == nil || *want.qos != "" || c.Internal() || c.Allows(rule, s.Routers.Target(c, r)) {
		return nil
	}
	return fault.Forbidden("rule:%s is disallowed by policy", rule)
}

// agree refuses a further gateway that asks for other SNAT or QoS than the router has.
func (r *Router) agree(want *gatewayRequest) error {
	if want.snat != nil && *want.snat != r.EnableSNAT {
		return fault.BadRequest("BadRequest", "Bad router request: enable_snat is one setting for all external gateways of a router, that of router %s is %t.", r.ID, r.EnableSNAT)
	}
	if want.qos != nil && *want.qos != r.GatewayQoS {
		return fault.BadRequest("BadRequest", "Bad router request: qos_policy_id is one setting for all external gateways of a router.")
	}
	return nil
}

// names says whether the request means the gateway: one of its addresses, or a subnet of it, is asked for.
func (want *gatewayRequest) names(g Gateway) bool {
	return slices.ContainsFunc(want.ips, func(f network.FixedIP) bool {
		return slices.ContainsFunc(g.FixedIPs, func(have network.FixedIP) bool {
			return f.IP == have.IP || !f.IP.IsValid() && f.SubnetID == have.SubnetID
		})
	})
}
