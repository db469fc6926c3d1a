// Package trunk has trunks: ports that carry the traffic of further ports by VLAN tags.
package trunk

import (
	"database/sql"
	"encoding/json"
	"log/slog"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/network"
)

// Trunk is a parent port with its subports.
type Trunk struct {
	resource.Standard
	AdminStateUp bool
	PortID       string
	Status       string // follows from its ports
	SubPorts     []SubPort
}

// SubPort is a port that a trunk carries.
type SubPort struct {
	PortID string `json:"port_id"`
	Type   string `json:"segmentation_type"` // vlan
	ID     int    `json:"segmentation_id"`   // VLAN id
}

// Service has the resource.
type Service struct {
	Trunks *engine.Resource[Trunk]

	net *network.Service
	log *slog.Logger
}

// New declares the resource, shows trunks on their parent ports, and guards the ports that trunks use.
func New(net *network.Service, log *slog.Logger) *Service {
	s := &Service{net: net, log: log}
	std := func(t *Trunk) *resource.Standard { return &t.Standard }
	s.Trunks = &engine.Resource[Trunk]{
		Name: "trunk", Plural: "trunks", Extension: "trunk", Standard: std, Taggable: true, Counted: true, NoBulk: true,
		NotFound: func(id string) error { return fault.NotFound("TrunkNotFound", "Trunk %s could not be found.", id) },
		Attributes: append(resource.Standards(std),
			resource.Bool("admin_state_up", "admin_state_up", func(t *Trunk) *bool { return &t.AdminStateUp }).
				Post().Put().Sort().Default(func(t *Trunk) { t.AdminStateUp = true }),
			resource.UUID("port_id", "port_id", func(t *Trunk) *string { return &t.PortID }).Required().Sort(),
			resource.Text("status", "status", 16, func(t *Trunk) *string { return &t.Status }).Where(isStatus).SortBy(statusOf), // its column is not read
			resource.Computed("sub_ports", func(b []byte, t *Trunk) []byte { return appendSubPorts(b, t.SubPorts) }, nil).Post().Policed().
				Decoded(func(t *Trunk, v any) (err error) { t.SubPorts, err = parseSubPorts(v, true); return err }),
		),
		Loaders:   []engine.Loader[Trunk]{loadSubPorts, loadStatus},
		OnCreate:  s.create,
		OnCreated: s.created,
		OnDelete:  s.delete,
		OnDeleted: func(c *engine.Call, t *Trunk) error {
			s.touch(c, append(t.SubPorts, SubPort{PortID: t.PortID}))
			return s.place(c, t.SubPorts, "", "")
		},
		Actions: map[string]engine.Action[Trunk]{
			"add_subports":     {Run: s.addSubPorts},
			"remove_subports":  {Run: s.removeSubPorts},
			"GET get_subports": {Rule: "get_subports", Reads: true, Run: getSubPorts},
		},
	}
	s.extendPorts()
	return s
}

// Install binds the resource to the engine.
func (s *Service) Install(e *engine.Engine) { s.Trunks.Install(e) }

func disabled(t *Trunk) error {
	return fault.Conflict("TrunkDisabled", "Trunk %s is currently disabled.", t.ID)
}

func appendSubPorts(b []byte, list []SubPort) []byte {
	if list == nil {
		list = []SubPort{}
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic("trunk: subports have no JSON form: " + err.Error())
	}
	return append(b, text...)
}

// inherit is the segmentation type that takes type and id from the subport's network.
const inherit = "inherit"

// mark is how a subport's packets are told from others'.
type mark struct {
	kind string
	id   int
}

// parseSubPorts reads a list of subports. Unless they are segmented, a port alone is enough: so clients name those to
// take out.
func parseSubPorts(v any, segmented bool) ([]SubPort, error) {
	list, err := resource.ListValue("sub_ports", v)
	if err != nil {
		return nil, err
	}
	out := make([]SubPort, 0, len(list))
	ports, marks := map[string]bool{}, map[mark]bool{}
	for _, item := range list {
		m, err := resource.MapValue("sub_ports", item, "port_id", "segmentation_type", "segmentation_id")
		if err != nil {
			return nil, err
		}
		var p SubPort
		if p.PortID, err = resource.UUIDValue("port_id", m["port_id"]); err != nil {
			return nil, err
		}
		if ports[p.PortID] {
			return nil, fault.Invalid("Invalid input for sub_ports. Reason: Duplicate items in the list: '%s'.", p.PortID)
		}
		ports[p.PortID] = true
		if !segmented && len(m) == 1 {
			out = append(out, p)
			continue
		}
		p.Type, _ = m["segmentation_type"].(string)
		if p.Type == "" || p.Type != inherit && m["segmentation_id"] == nil {
			return nil, fault.Invalid("Invalid input for sub_ports. Reason: Invalid subport details of port '%s': missing segmentation information. Must specify both segmentation_id and segmentation_type.", p.PortID)
		}
		if id := m["segmentation_id"]; id != nil {
			if p.ID, err = resource.IntValue(id); err != nil {
				return nil, err
			}
		}
		if p.Type != inherit && marks[mark{p.Type, p.ID}] {
			return nil, fault.Invalid("Invalid input for sub_ports. Reason: Segmentation ID %d for '%s' is not unique.", p.ID, p.PortID)
		}
		marks[mark{p.Type, p.ID}] = true
		out = append(out, p)
	}
	return out, nil
}

func loadSubPorts(c *engine.Call, page engine.Page) (func(t *Trunk), error) {
	ports := map[string][]SubPort{}
	err := c.Tx.Each(func(rows *sql.Rows) error {
		var trunk string
		var p SubPort
		err := rows.Scan(&trunk, &p.PortID, &p.Type, &p.ID)
		ports[trunk] = append(ports[trunk], p)
		return err
	}, "SELECT s.trunk_id, s.port_id, s.segmentation_type, s.segmentation_id FROM subports s"+page.Join("s.trunk_id")+
		"ORDER BY s.segmentation_id, s.port_id", page.Args...)
	return func(t *Trunk) { t.SubPorts = ports[t.ID] }, err
}

func (s *Service) create(c *engine.Call, t *Trunk, _ resource.Given) error {
	p, err := s.net.Ports.GetVisible(c, t.PortID)
	if err != nil {
		return err
	}
	if err := free(c, p.ID); err != nil {
		return err
	}
	if fixed(p) {
		return fault.Conflict("ParentPortInUse", "Port %s is currently in use and is not eligible for use as a parent port.", p.ID)
	}
	t.Status = "DOWN"
	list := t.SubPorts
	t.SubPorts = nil
	for i := range list {
		if err := s.check(c, t, p, &list[i]); err != nil {
			return err
		}
		t.SubPorts = append(t.SubPorts, list[i])
	}
	return nil
}

// fixed says whether a port is used in such a way that it can't begin or cease to be a trunk's parent. OVN's may at any
// time; with Open vSwitch the original plugs parent ports otherwise than ordinary ones, and clients know it so.
func fixed(p *network.Port) bool { return p.Bound() && p.Driver() != network.OVN }

func (s *Service) created(c *engine.Call, t *Trunk) error {
	parent, err := s.net.Ports.Get(c, t.PortID)
	if err != nil {
		return err
	}
	return s.insert(c, t.ID, parent, t.SubPorts)
}

func (s *Service) delete(c *engine.Call, t *Trunk) error {
	if !t.AdminStateUp {
		return disabled(t)
	}
	p, err := s.net.Ports.Get(c, t.PortID)
	if err == nil && fixed(p) {
		err = fault.Conflict("TrunkInUse", "Trunk %s is currently in use.", t.ID)
	}
	return err
}

// free refuses a port that a trunk has already, as parent or as subport.
func free(c *engine.Call, port string) error {
	n, err := c.Tx.Count("SELECT (SELECT COUNT(*) FROM trunks WHERE port_id = ?) + (SELECT COUNT(*) FROM subports WHERE port_id = ?)", port, port)
	if err == nil && n > 0 {
		err = fault.Conflict("TrunkPortInUse", "Port %s is in use by another trunk.", port)
	}
	return err
}

// check completes a new subport of t and holds it against the others.
func (s *Service) check(c *engine.Call, t *Trunk, parent *network.Port, p *SubPort) error {
	port, err := s.net.Ports.GetVisible(c, p.PortID)
	if err != nil {
		return err
	}
	if err := free(c, p.PortID); err != nil {
		return err
	}
	if p.PortID == t.PortID {
		return fault.Conflict("TrunkPortInUse", "Port %s is in use by another trunk.", p.PortID)
	}
	own, err := s.net.Networks.Get(c, port.NetworkID)
	if err != nil {
		return err
	}
	switch p.Type {
	case "vlan":
	case inherit:
		if own.Type != "vlan" {
			return fault.InvalidInput("Cannot accept port %s: its network's type %s has no segmentation details to inherit", p.PortID, own.Type)
		}
		p.Type, p.ID = "vlan", own.SegmentID
	default:
		return fault.InvalidInput("segmentation_type %s is not supported: use vlan or inherit", p.Type)
	}
	if p.ID < 1 || p.ID > 4094 {
		return fault.InvalidInput("Invalid segmentation_id %d: use 1 through 4094", p.ID)
	}
	for _, other := range t.SubPorts {
		if other.Type == p.Type && other.ID == p.ID {
			return fault.Conflict("DuplicateSubPort", "segmentation_type %s and segmentation_id %d already in use on trunk %s.", p.Type, p.ID, t.ID)
		}
	}
	trunk, err := s.net.Networks.Get(c, parent.NetworkID)
	if err == nil && own.MTU > trunk.MTU {
		err = fault.Conflict("SubPortMtuGreaterThanTrunkPortMtu", "MTU %d of subport %s cannot be greater than MTU %d of trunk %s.", own.MTU, p.PortID, trunk.MTU, t.ID)
	}
	return err
}

func (s *Service) insert(c *engine.Call, trunk string, parent *network.Port, list []SubPort) error {
	for _, p := range list {
		if _, err := c.Tx.Exec("INSERT INTO subports (port_id, trunk_id, segmentation_type, segmentation_id) VALUES (?, ?, ?, ?)",
			p.PortID, trunk, p.Type, p.ID); err != nil {
			return err
		}
	}
	s.touch(c, list)
	return s.carry(c, parent, list)
}

// touch tells those who follow the ports.
func (s *Service) touch(c *engine.Call, list []SubPort) {
	for _, p := range list {
		c.Tx.Change("port", p.PortID)
	}
}

// subPortsIn reads the subports of a request; segmented says that it must tell how their packets are marked.
func subPortsIn(t *Trunk, in engine.Input, segmented bool) ([]SubPort, error) {
	if !t.AdminStateUp {
		return nil, disabled(t)
	}
	m, err := resource.MapValue("trunk", any(in.Body), "sub_ports")
	if err != nil {
		return nil, err
	}
	return parseSubPorts(m["sub_ports"], segmented)
}

func (s *Service) addSubPorts(c *engine.Call, t *Trunk, in engine.Input, b []byte) ([]byte, error) {
	list, err := subPortsIn(t, in, true)
	if err != nil {
		return nil, err
	}
	parent, err := s.net.Ports.Get(c, t.PortID)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if err := s.check(c, t, parent, &list[i]); err != nil {
			return nil, err
		}
		t.SubPorts = append(t.SubPorts, list[i])
	}
	if err := s.insert(c, t.ID, parent, list); err != nil {
		return nil, err
	}
	return s.answer(c, t.ID, b)
}

func (s *Service) removeSubPorts(c *engine.Call, t *Trunk, in engine.Input, b []byte) ([]byte, error) {
	list, err := subPortsIn(t, in, false)
	if err != nil {
		return nil, err
	}
	for _, p := range list {
		n, err := c.Tx.Exec("DELETE FROM subports WHERE trunk_id = ? AND port_id = ?", t.ID, p.PortID)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, fault.NotFound("SubPortNotFound", "SubPort %s on trunk %s could not be found.", p.PortID, t.ID)
		}
	}
	s.touch(c, list)
	if err := s.place(c, list, "", ""); err != nil {
		return nil, err
	}
	return s.answer(c, t.ID, b)
}

// answer is the trunk as it is now, without envelope.
func (s *Service) answer(c *engine.Call, id string, b []byte) ([]byte, error) {
	if err := s.Trunks.Touch(c, id); err != nil {
		return nil, err
	}
	t, err := s.Trunks.Get(c, id)
	if err != nil {
		return nil, err
	}
	return s.Trunks.AppendObject(c, b, t), nil
}

func getSubPorts(_ *engine.Call, t *Trunk, _ engine.Input, b []byte) ([]byte, error) {
	return append(appendSubPorts(append(b, `{"sub_ports": `...), t.SubPorts), '}'), nil
}

// details is what a parent port shows of its trunk.
type details struct {
	TrunkID  string          `json:"trunk_id"`
	SubPorts []detailSubPort `json:"sub_ports"`
}

type detailSubPort struct {
	PortID string `json:"port_id"`
	Type   string `json:"segmentation_type"`
	ID     int    `json:"segmentation_id"`
	MAC    string `json:"mac_address"`
}

// extendPorts shows trunk_details on parent ports, has subports follow them, and keeps ports that trunks use from being
// deleted.
func (s *Service) extendPorts() {
	s.net.PortRules = append(s.net.PortRules, network.PortRule{Updated: s.follow})
	ports := s.net.Ports
	ports.Attributes = append(ports.Attributes, resource.Computed("trunk_details", func(b []byte, p *network.Port) []byte {
		if p.TrunkDetails == nil {
			return append(b, "null"...)
		}
		return append(b, p.TrunkDetails...)
	}, nil).Described(resource.Schema{Type: "object", Nullable: true}))
	ports.Loaders = append(ports.Loaders, func(c *engine.Call, page engine.Page) (func(p *network.Port), error) {
		byPort := map[string]*details{}
		err := c.Tx.Each(func(rows *sql.Rows) error {
			var parent, trunk string
			var port, kind, mac sql.NullString
			var id sql.NullInt64
			if err := rows.Scan(&parent, &trunk, &port, &kind, &id, &mac); err != nil {
				return err
			}
			d := byPort[parent]
			if d == nil {
				d = &details{TrunkID: trunk, SubPorts: []detailSubPort{}}
				byPort[parent] = d
			}
			if port.Valid {
				d.SubPorts = append(d.SubPorts, detailSubPort{port.String, kind.String, int(id.Int64), mac.String})
			}
			return nil
		}, "SELECT t.port_id, t.id, s.port_id, s.segmentation_type, s.segmentation_id, m.mac_address FROM trunks t"+page.Join("t.port_id")+
			"LEFT JOIN subports s ON s.trunk_id = t.id LEFT JOIN ports m ON m.id = s.port_id ORDER BY t.id, s.segmentation_id", page.Args...)
		return func(p *network.Port) {
			p.TrunkDetails = nil
			if d := byPort[p.ID]; d != nil {
				text, err := json.Marshal(d)
				if err != nil {
					panic("trunk: details have no JSON form: " + err.Error())
				}
				p.TrunkDetails = text
			}
		}, err
	})
	ports.DeleteGuards = append(ports.DeleteGuards, func(c *engine.Call, p *network.Port) error {
		var trunk string
		parent, err := c.Tx.One([]any{&trunk}, "SELECT id FROM trunks WHERE port_id = ?", p.ID)
		if err != nil {
			return err
		}
		if parent {
			return fault.Conflict("PortInUseAsTrunkParent", "Port %s is currently a parent port for trunk %s.", p.ID, trunk)
		}
		sub, err := c.Tx.One([]any{&trunk}, "SELECT trunk_id FROM subports WHERE port_id = ?", p.ID)
		if err == nil && sub {
			err = fault.Conflict("PortInUseAsSubPort", "Port %s is currently a subport for trunk %s.", p.ID, trunk)
		}
		return err
	})
}
