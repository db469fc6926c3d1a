package router

import (
	"database/sql"
	"slices"
	"strings"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/policy"
	"neutrino/resource"
)

// ConntrackHelper has the connections of a router to a port watched by a helper, which lets the connections
// through that these bring about.
type ConntrackHelper struct {
	ID       string
	RouterID string
	Protocol string
	Port     int
	Helper   string
}

// helperProtocols are the helpers that a router may have, each with the protocols that it reads: the
// original's default for allowed_conntrack_helpers.
var helperProtocols = map[string][]string{
	"amanda": {"tcp"}, "ftp": {"tcp"}, "h323": {"udp", "tcp"}, "irc": {"tcp"}, "netbios-ns": {"udp"}, "pptp": {"tcp"},
	"sane": {"tcp"}, "sip": {"tcp", "udp"}, "snmp": {"udp"}, "tftp": {"udp"},
}

// portProtocols are the protocols that port forwardings and helpers may name.
var portProtocols = []string{"dccp", "icmp", "ipv6-icmp", "sctp", "tcp", "udp"}

// protocol declares one of portProtocols, in any case.
func protocol[T any](field func(t *T) *string) *resource.Attribute[T] {
	a := resource.Enum("protocol", "protocol", portProtocols, false, field).Required().Put().Sort()
	return a.Decoded(func(t *T, v any) error {
		text, _ := v.(string)
		text = strings.ToLower(text)
		if !slices.Contains(portProtocols, text) {
			return fault.Invalid("Invalid input for protocol. Reason: '%v' is not in ['%s'].", v, strings.Join(portProtocols, "', '"))
		}
		*field(t) = text
		return nil
	})
}

func (s *Service) declareHelpers() {
	s.Helpers = &engine.Resource[ConntrackHelper]{
		Name: "conntrack_helper", Plural: "conntrack_helpers", Collection: "conntrack_helpers", Extension: "l3-conntrack-helper", NoBulk: true,
		Below: &engine.Below[ConntrackHelper]{
			Parent: "router", Path: "routers", Column: "router_id", Of: func(h *ConntrackHelper) *string { return &h.RouterID },
			Find: func(c *engine.Call, id string) (policy.Target, error) {
				r, err := s.Routers.GetVisible(c, id)
				return s.Routers.Target(c, r), err
			},
		},
		NotFound: func(id string) error {
			return fault.NotFound("ConntrackHelperNotFound", "Conntrack Helper %s could not be found.", id)
		},
		Attributes: []*resource.Attribute[ConntrackHelper]{
			resource.ID(func(h *ConntrackHelper) *string { return &h.ID }),
			owner[ConntrackHelper](),
			protocol(func(h *ConntrackHelper) *string { return &h.Protocol }),
			resource.Int("port", "port", 1, 65535, func(h *ConntrackHelper) *int { return &h.Port }).Required().Put().Sort(),
			resource.Text("helper", "helper", 64, func(h *ConntrackHelper) *string { return &h.Helper }).Required().Put().Sort(),
		},
		OnCreate:  func(c *engine.Call, h *ConntrackHelper, _ resource.Given) error { return checkHelper(c, h) },
		OnUpdate:  func(c *engine.Call, _, h *ConntrackHelper, _ resource.Given) error { return checkHelper(c, h) },
		OnCreated: s.helperChanged,
		OnUpdated: func(c *engine.Call, _, h *ConntrackHelper, _ resource.Given) error { return s.helperChanged(c, h) },
		OnDeleted: s.helperChanged,
	}
}

// owner declares the project_id of a sub-resource: it may be given, and is its parent's all the same.
func owner[T any]() *resource.Attribute[T] {
	return resource.Computed("project_id", func(b []byte, _ *T) []byte { return append(b, "null"...) }, nil).Hidden().Post().Decoded(func(_ *T, v any) error {
		_, err := resource.StringValue("project_id", v, 255)
		return err
	})
}

// checkHelper refuses helpers that are not known, and one that is there already.
func checkHelper(c *engine.Call, h *ConntrackHelper) error {
	protocols, allowed := helperProtocols[h.Helper]
	if !allowed {
		return fault.BadRequest("ConntrackHelperNotAllowed", "Conntrack Helper %s is not allowed.", h.Helper)
	}
	if !slices.Contains(protocols, h.Protocol) {
		return fault.BadRequest("InvalidProtocolForHelper", "Conntrack Helper %s does not support: %s. Supported protocols are: %s",
			h.Helper, h.Protocol, strings.Join(protocols, ", "))
	}
	n, err := c.Tx.Count("SELECT COUNT(*) FROM conntrack_helpers WHERE router_id = ? AND protocol = ? AND port = ? AND helper = ? AND id <> ?",
		h.RouterID, h.Protocol, h.Port, h.Helper, h.ID)
	if err == nil && n > 0 {
		err = fault.BadRequest("BadRequest", "Bad conntrack_helper request: A duplicate conntrack helper entry with same attributes already exists, "+
			"conflicting values are {'router_id': '%s', 'protocol': '%s', 'port': %d, 'helper': '%s'}.", h.RouterID, h.Protocol, h.Port, h.Helper)
	}
	return err
}

func (s *Service) helperChanged(c *engine.Call, h *ConntrackHelper) error {
	return s.Routers.Touch(c, h.RouterID)
}

// loadHelpers fills the helpers of a page of routers.
func loadHelpers(c *engine.Call, page engine.Page) (func(r *Router), error) {
	helpers := map[string][]ConntrackHelper{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var h ConntrackHelper
		err := rows.Scan(&h.ID, &h.RouterID, &h.Protocol, &h.Port, &h.Helper)
		helpers[h.RouterID] = append(helpers[h.RouterID], h)
		return err
	}, "SELECT h.id, h.router_id, h.protocol, h.port, h.helper FROM conntrack_helpers h"+page.Join("h.router_id")+"ORDER BY h.id", page.Args...)
	return func(r *Router) { r.Helpers = helpers[r.ID] }, err
}

// appendHelpers writes what a router shows of its helpers.
func appendHelpers(b []byte, r *Router) []byte {
	b = append(b, '[')
	for i, h := range r.Helpers {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = resource.AppendString(append(b, `{"protocol": `...), h.Protocol)
		b = resource.AppendInt(append(b, `, "port": `...), int64(h.Port))
		b = resource.AppendString(append(b, `, "helper": `...), h.Helper)
		b = append(b, '}')
	}
	return append(b, ']')
}
