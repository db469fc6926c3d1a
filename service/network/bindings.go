package network

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/policy"
	"neutrino/resource"
)

// Binding is how a port is plugged on one host. The active one lives in the port's own row; the others
// wait in port_bindings while an instance moves, and no host acts on them.
type Binding struct {
	PortID   string
	Host     string
	VNICType string
	VIFType  string
	Details  map[string]any
	Profile  map[string]any
	Active   bool

	port *Port
}

// active is the port's active binding; nil when it was deleted.
func (p *Port) active() *Binding {
	if p.VIFType == vifNone {
		return nil
	}
	return &Binding{PortID: p.ID, Host: p.Host, VNICType: p.VNICType, VIFType: p.VIFType, Details: p.VIFDetails, Profile: p.Profile, Active: true, port: p}
}

func (s *Service) declareBindings() {
	s.Bindings = &engine.Resource[Binding]{
		Name: "binding", Plural: "bindings", Extension: "binding-extended", Key: "host", NoBulk: true,
		Below: &engine.Below[Binding]{
			Parent: "port", Path: "ports", Of: func(b *Binding) *string { return &b.PortID },
			NotFound: func(port, host string) error {
				return fault.NotFound("PortBindingNotFound", "Binding for port %s for host %s could not be found.", port, host)
			},
			Find: func(c *engine.Call, id string) (policy.Target, error) {
				p, err := s.Ports.GetVisible(c, id)
				if err != nil {
					return nil, err
				}
				return s.Ports.Target(c, p), nil
			},
		},
		Attributes: []*resource.Attribute[Binding]{
			resource.Text("host", "host", 255, func(b *Binding) *string { return &b.Host }).Required().Put().Sort(),
			resource.Text("vif_type", "vif_type", 64, func(b *Binding) *string { return &b.VIFType }).Filter(),
			resource.JSON("vif_details", "", func(b *Binding) *map[string]any { return &b.Details }, noMap),
			resource.Enum("vnic_type", "vnic_type", vnicTypes, false, func(b *Binding) *string { return &b.VNICType }).
				Post().Put().Filter().Policed().Default(func(b *Binding) { b.VNICType = "normal" }),
			resource.JSON("profile", "", func(b *Binding) *map[string]any { return &b.Profile }, parseProfile).
				Post().Put().Policed().Default(func(b *Binding) { b.Profile = map[string]any{} }).Encoded(appendBindingProfile),
			resource.Text("status", "status", 0, func(*Binding) *string { return new(string) }).Filter().
				Encoded(func(b []byte, x *Binding) []byte { return resource.AppendString(b, x.status()) }).
				Valued(func(x *Binding) any { return x.status() }),
		},
		From:     s.bindingsOf,
		OnCreate: s.createBinding,
		OnUpdate: s.updateBinding,
		Keep:     s.keepBinding,
		Actions: map[string]engine.Action[Binding]{
			"activate": {Run: s.activateBinding},
		},
	}
}

func (b *Binding) status() string {
	if b.Active {
		return "ACTIVE"
	}
	return "INACTIVE"
}

func appendBindingProfile(b []byte, x *Binding) []byte {
	profile := x.Profile
	if x.port != nil && x.VIFType != vifUnbound {
		profile = x.port.withTrust(profile)
	}
	return resource.AppendJSON(b, profile)
}

// bindingsOf gives the bindings of the port that the path names: the active one first.
func (s *Service) bindingsOf(c *engine.Call) ([]*Binding, error) {
	p, err := s.boundPort(c)
	if err != nil {
		return nil, err
	}
	var list []*Binding
	if b := p.active(); b != nil {
		list = append(list, b)
	}
	err = c.Tx.Each(func(rows *sql.Rows) error {
		b := &Binding{PortID: p.ID, port: p}
		var details, profile string
		if err := rows.Scan(&b.Host, &b.VNICType, &b.VIFType, &details, &profile); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(details), &b.Details); err != nil {
			return fmt.Errorf("vif_details of a binding of port %s: %w", p.ID, err)
		}
		if err := json.Unmarshal([]byte(profile), &b.Profile); err != nil {
			return fmt.Errorf("profile of a binding of port %s: %w", p.ID, err)
		}
		list = append(list, b)
		return nil
	}, "SELECT host, vnic_type, vif_type, vif_details, profile FROM port_bindings WHERE port_id = ? ORDER BY host", p.ID)
	return list, err
}

// boundPort gives the port that the path names; only ports of instances have bindings of their own.
func (s *Service) boundPort(c *engine.Call) (*Port, error) {
	p, err := s.Ports.Get(c, c.Parent())
	if err != nil {
		return nil, err
	}
	if !isComputeOwner(p.DeviceOwner) && !strings.HasPrefix(p.DeviceOwner, "manila:") {
		return nil, fault.BadRequest("BadRequest", "Bad port request: Invalid port %s. Operation only valid on compute and shared filesystem ports.", p.ID)
	}
	return p, nil
}

// createBinding plugs a port on a further host; it stays inactive while another binding is active.
func (s *Service) createBinding(c *engine.Call, b *Binding, _ resource.Given) error {
	if b.Host == "" {
		return fault.Invalid("Invalid input for host. Reason: '' is not a host.")
	}
	list, err := s.bindingsOf(c)
	if err != nil {
		return err
	}
	b.Active = true
	for _, other := range list {
		if other.Host == b.Host {
			return fault.Conflict("PortBindingAlreadyExists", "Binding for port %s on host %s already exists.", b.PortID, b.Host)
		}
		b.Active = b.Active && !other.Active
	}
	return s.plugBinding(c, b)
}

func (s *Service) updateBinding(c *engine.Call, old, b *Binding, _ resource.Given) error {
	if b.Host == "" {
		return fault.Invalid("Invalid input for host. Reason: '' is not a host.")
	}
	if b.Host != old.Host {
		list, err := s.bindingsOf(c)
		if err != nil {
			return err
		}
		for _, other := range list {
			if other.Host == b.Host {
				return fault.Conflict("PortBindingAlreadyExists", "Binding for port %s on host %s already exists.", b.PortID, b.Host)
			}
		}
	}
	return s.plugBinding(c, b)
}

// plugBinding finds how the port is plugged; unlike with a port's own host, a host that can't take it is an
// error of the request.
func (s *Service) plugBinding(c *engine.Call, b *Binding) error {
	p, err := s.boundPort(c)
	if err != nil {
		return err
	}
	n, err := s.networkOf(c, p.NetworkID)
	if err != nil {
		return err
	}
	plugged, _, reason, err := s.plug(c, wishOf(b.VNICType, b.Profile), b.Host, n)
	if err != nil {
		return err
	}
	if reason != "" {
		s.log.Warn("port can't be bound to a further host", "port", p.ID, "host", b.Host, "reason", reason)
		return bindingError(b)
	}
	b.VIFType, b.Details = plugged.VIFType, plugged.Details
	return nil
}

// bindingError is the original's answer, an error of the server though it is one of the host.
func bindingError(b *Binding) error {
	return fault.New(500, "PortBindingError", "Binding for port %s on host %s could not be created or updated.", b.PortID, b.Host)
}

// keepBinding writes, or with nil deletes, a binding: the active one into the port.
func (s *Service) keepBinding(c *engine.Call, old, b *Binding) error {
	if b == nil {
		return s.dropBinding(c, old)
	}
	if b.Active {
		return s.bindPort(c, b)
	}
	if old != nil {
		if err := s.forgetBinding(c, old); err != nil {
			return err
		}
	}
	if err := s.writeBinding(c, b); err != nil {
		return err
	}
	return s.Ports.Touch(c, b.PortID)
}

func (s *Service) writeBinding(c *engine.Call, b *Binding) error {
	details, err := json.Marshal(b.Details)
	if err != nil {
		return err
	}
	profile, err := json.Marshal(b.Profile)
	if err != nil {
		return err
	}
	_, err = c.Tx.Exec("INSERT INTO port_bindings (id, port_id, host, vnic_type, vif_type, vif_details, profile) VALUES (?, ?, ?, ?, ?, ?, ?)",
		uuid.NewString(), b.PortID, b.Host, b.VNICType, b.VIFType, string(details), string(profile))
	return err
}

func (s *Service) forgetBinding(c *engine.Call, b *Binding) error {
	_, err := c.Tx.Exec("DELETE FROM port_bindings WHERE port_id = ? AND host = ?", b.PortID, b.Host)
	return err
}

// bindPort makes b the port's own binding. A host that can't take it after all is an error.
func (s *Service) bindPort(c *engine.Call, b *Binding) error {
	old, err := s.Ports.Get(c, b.PortID)
	if err != nil {
		return err
	}
	p := *old
	p.Host, p.VNICType, p.Profile = b.Host, b.VNICType, b.Profile
	from := *old
	if from.Host == p.Host { // the same host in another way: bound anew
		from.Host, from.VIFType = "", vifUnbound
	}
	if err := s.Ports.Save(c, &from, &p, resource.Given{"binding:host_id": nil, "binding:profile": nil, "binding:vnic_type": nil}); err != nil {
		return err
	}
	if p.VIFType == vifFailed {
		return bindingError(b)
	}
	return nil
}

// dropBinding deletes a binding. A port that loses its active one is bound nowhere.
func (s *Service) dropBinding(c *engine.Call, b *Binding) error {
	if !b.Active {
		if err := s.forgetBinding(c, b); err != nil {
			return err
		}
		return s.Ports.Touch(c, b.PortID)
	}
	old, err := s.Ports.Get(c, b.PortID)
	if err != nil {
		return err
	}
	p := *old
	p.Host, p.Profile = "", map[string]any{}
	if err := s.Ports.Save(c, old, &p, resource.Given{"binding:host_id": nil}); err != nil {
		return err
	}
	_, err = c.Tx.Exec("UPDATE ports SET vif_type = ? WHERE id = ?", vifNone, p.ID)
	return err
}

// activateBinding moves the traffic to b's host. What was active waits, unplugged, to be deleted.
func (s *Service) activateBinding(c *engine.Call, b *Binding, _ engine.Input, out []byte) ([]byte, error) {
	if b.Active {
		return nil, fault.Conflict("PortBindingAlreadyActive", "Binding for port %s on host %s is already active.", b.PortID, b.Host)
	}
	was := b.port.active()
	if err := s.bindPort(c, b); err != nil {
		return nil, err
	}
	if was != nil && was.Host != "" {
		was.VIFType, was.Details = vifUnbound, map[string]any{}
		if err := s.writeBinding(c, was); err != nil {
			return nil, err
		}
	}
	p, err := s.Ports.Get(c, b.PortID)
	if err != nil {
		return nil, err
	}
	return s.Bindings.AppendObject(c, out, p.active()), nil
}
