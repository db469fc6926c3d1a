package router

import (
	"database/sql"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/policy"
	"neutrino/resource"
	"neutrino/store"
)

// PortForwarding leads ports of a floating IP to ports of an internal address.
type PortForwarding struct {
	ID           string
	FloatingIPID string
	Description  string
	Protocol     string
	External     span
	PortID       string // the internal port
	InternalIP   netip.Addr
	Internal     span // as wide as External, or one port

	external, internal int // single ports that the request gave; 0: none
}

// span is an inclusive range of ports.
type span struct{ first, last int }

func (s span) String() string { return fmt.Sprintf("%d:%d", s.first, s.last) }

// Bounds are the first and the last port.
func (s span) Bounds() (first, last int) { return s.first, s.last }

const lastPort = 65535

func (s *Service) declareForwardings() {
	s.Forwardings = &engine.Resource[PortForwarding]{
		Name: "port_forwarding", Plural: "port_forwardings", Collection: "port_forwardings", Extension: "floating-ip-port-forwarding", NoBulk: true,
		Below: &engine.Below[PortForwarding]{
			Parent: "floatingip", Path: "floatingips", Column: "floatingip_id", Of: func(f *PortForwarding) *string { return &f.FloatingIPID },
			Find: func(c *engine.Call, id string) (policy.Target, error) {
				f, err := s.FloatingIPs.GetVisible(c, id)
				return s.FloatingIPs.Target(c, f), err
			},
		},
		NotFound: func(id string) error {
			return fault.NotFound("PortForwardingNotFound", "Port Forwarding %s could not be found.", id)
		},
		Attributes: []*resource.Attribute[PortForwarding]{
			resource.ID(func(f *PortForwarding) *string { return &f.ID }),
			owner[PortForwarding](),
			resource.Text("description", "description", 1024, func(f *PortForwarding) *string { return &f.Description }).Post().Put().Filter(),
			protocol(func(f *PortForwarding) *string { return &f.Protocol }),
			single("external_port", "external_first", func(f *PortForwarding) (*span, *int) { return &f.External, &f.external }).
				Sort().Where(whereSpan),
			ranged("external_port_range", func(f *PortForwarding) (*span, *int) { return &f.External, &f.external }).Where(whereSpan),
			resource.UUID("internal_port_id", "internal_port_id", func(f *PortForwarding) *string { return &f.PortID }).Required().Put().Sort(),
			resource.IP("internal_ip_address", "internal_ip_address", func(f *PortForwarding) *netip.Addr { return &f.InternalIP }).Required().Put().
				Decoded(func(f *PortForwarding, v any) (err error) {
					f.InternalIP, err = resource.IPValue("internal_ip_address", v)
					return err
				}),
			single("internal_port", "internal_first", func(f *PortForwarding) (*span, *int) { return &f.Internal, &f.internal }),
			ranged("internal_port_range", func(f *PortForwarding) (*span, *int) { return &f.Internal, &f.internal }),
			column("external_last", func(f *PortForwarding) *int { return &f.External.last }),
			column("internal_last", func(f *PortForwarding) *int { return &f.Internal.last }),
		},
		OnCreate:  s.createForwarding,
		OnCreated: s.forwardingChanged,
		OnUpdate:  s.updateForwarding,
		OnUpdated: func(c *engine.Call, _, f *PortForwarding, _ resource.Given) error { return s.forwardingChanged(c, f) },
		OnDeleted: s.forwardingDeleted,
	}
}

// single declares a port; it is null where a range of several is set. A request may give it or the range, or
// both if they say the same.
func single(name, column string, of func(f *PortForwarding) (*span, *int)) *resource.Attribute[PortForwarding] {
	first := func(f *PortForwarding) *int { s, _ := of(f); return &s.first }
	a := resource.OptionalInt(name, column, 1, lastPort, 0, first).Post().Put()
	return a.Decoded(func(f *PortForwarding, v any) error {
		if v == nil {
			return nil
		}
		n, err := resource.IntValue(v)
		if err != nil || n < 1 || n > lastPort {
			return fault.Invalid("Invalid input for %s. Reason: '%v' is not in range 1 through %d.", name, v, lastPort)
		}
		s, asked := of(f)
		*s, *asked = span{n, n}, n
		return nil
	}).Encoded(func(b []byte, f *PortForwarding) []byte {
		s, _ := of(f)
		if s.first != s.last {
			return append(b, "null"...)
		}
		return resource.AppendInt(b, int64(s.first))
	})
}

// ranged declares a range of ports as first:last.
func ranged(name string, of func(f *PortForwarding) (*span, *int)) *resource.Attribute[PortForwarding] {
	a := resource.Computed(name, func(b []byte, f *PortForwarding) []byte {
		s, _ := of(f)
		return resource.AppendString(b, s.String())
	}, func(f *PortForwarding) any { s, _ := of(f); return s.String() })
	return a.Post().Put().Decoded(func(f *PortForwarding, v any) error {
		if v == nil {
			return nil
		}
		text, _ := v.(string)
		want, ok := parseSpan(text)
		if !ok {
			return fault.Invalid("Invalid input for %s. Reason: '%v' is not a range of ports such as '80:90' within 1 and %d.", name, v, lastPort)
		}
		s, asked := of(f)
		if *asked != 0 && want != (span{*asked, *asked}) {
			return fault.Invalid("Invalid input for %s. Reason: '%s' is not the single port %d that is given too.", name, text, *asked)
		}
		*s = want
		return nil
	})
}

// column declares a number that only the database sees.
func column(name string, field func(f *PortForwarding) *int) *resource.Attribute[PortForwarding] {
	return resource.Int(name, name, 0, lastPort, field).Hidden()
}

// parseSpan reads "80:90", or "80" for one port.
func parseSpan(text string) (span, bool) {
	low, high, two := strings.Cut(text, ":")
	if !two {
		high = low
	}
	first, err := strconv.Atoi(low)
	if err != nil {
		return span{}, false
	}
	last, err := strconv.Atoi(high)
	return span{first, last}, err == nil && first >= 1 && first <= last && last <= lastPort
}

// whereSpan finds forwardings of exactly these external ports.
func whereSpan(values []string, self string) (store.Cond, error) {
	var any []store.Cond
	for _, text := range values {
		s, ok := parseSpan(text)
		if !ok {
			return store.Cond{}, fault.InvalidInput("'%s' is not a port or a range of ports", text)
		}
		any = append(any, store.Where(self+".external_first = ? AND "+self+".external_last = ?", s.first, s.last))
	}
	return store.Or(any...), nil
}

// loadForwardings fills the port forwardings of a page of floating IPs.
func loadForwardings(c *engine.Call, page engine.Page) (func(f *FloatingIP), error) {
	forwardings := map[string][]PortForwarding{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var f PortForwarding
		if err := rows.Scan(&f.ID, &f.FloatingIPID, &f.Protocol, &f.External.first, &f.External.last, &f.PortID, resource.TextDest(&f.InternalIP),
			&f.Internal.first, &f.Internal.last); err != nil {
			return err
		}
		forwardings[f.FloatingIPID] = append(forwardings[f.FloatingIPID], f)
		return nil
	}, `SELECT w.id, w.floatingip_id, w.protocol, w.external_first, w.external_last, w.internal_port_id, w.internal_ip_address, w.internal_first, w.internal_last
		FROM port_forwardings w`+page.Join("w.floatingip_id")+"ORDER BY w.id", page.Args...)
	return func(f *FloatingIP) { f.Forwardings = forwardings[f.ID] }, err
}

// appendForwardings writes what a floating IP shows of its port forwardings: single ports, or ranges.
func appendForwardings(b []byte, f *FloatingIP) []byte {
	b = append(b, '[')
	for i, w := range f.Forwardings {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = resource.AppendString(append(b, `{"id": `...), w.ID)
		b = resource.AppendString(append(b, `, "protocol": `...), w.Protocol)
		b = resource.AppendString(append(b, `, "internal_port_id": `...), w.PortID)
		b = resource.AppendIP(append(b, `, "internal_ip_address": `...), w.InternalIP)
		b = appendPorts(b, "internal", w.Internal)
		b = append(appendPorts(b, "external", w.External), '}')
	}
	return append(b, ']')
}

func appendPorts(b []byte, side string, s span) []byte {
	if s.first == s.last {
		return resource.AppendInt(append(b, `, "`+side+`_port": `...), int64(s.first))
	}
	return resource.AppendString(append(b, `, "`+side+`_port_range": `...), s.String())
}
