package router

import (
	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/network"
	"neutrino/store"
)

// Owners of the ports by which routers are on internal networks.
const (
	OwnerInterface            = "network:router_interface"
	OwnerDistributedInterface = "network:router_interface_distributed"
	OwnerReplicatedInterface  = "network:ha_router_replicated_interface"
)

// interfaceOwners are all of them.
var interfaceOwners = []string{OwnerInterface, OwnerDistributedInterface, OwnerReplicatedInterface}

// portOwners are the owners of all ports that hosts give a router.
var portOwners = append([]string{OwnerGateway}, interfaceOwners...)

// PortsOf is the condition for the ports, with alias t, that hosts give routers; no ids mean all routers'.
func PortsOf(ids []string) store.Cond {
	mine := store.In("t.device_owner", portOwners)
	if ids == nil {
		return mine
	}
	return store.And(mine, store.In("t.device_id", ids))
}

// optionalFlag declares a boolean that a client may leave to us with null.
func optionalFlag(name string, field func(r *Router) *bool) *resource.Attribute[Router] {
	a := resource.Bool(name, name, field).Post().Put()
	return a.Decoded(func(r *Router, v any) error {
		if v == nil {
			return nil
		}
		on, err := resource.BoolValue(v)
		if err == nil {
			*field(r) = on
		}
		return err
	})
}

// interfaceOwner is the owner of the router's ports on internal networks.
func (r *Router) interfaceOwner() string {
	switch {
	case r.Distributed:
		return OwnerDistributedInterface
	case r.HA:
		return OwnerReplicatedInterface
	}
	return OwnerInterface
}

// checkKind lets a router become distributed or highly available, or stop being it, only while it is down.
func checkKind(old, r *Router) error {
	if !old.AdminStateUp {
		return nil
	}
	switch {
	case r.Distributed && !old.Distributed:
		return fault.BadRequest("BadRequest", "Bad router request: Cannot upgrade active router to distributed. Please set router admin_state_up to False prior to upgrade.")
	case !r.Distributed && old.Distributed:
		return fault.BadRequest("BadRequest", "Bad router request: Cannot downgrade active router to centralized. Please set router admin_state_up to False prior to downgrade.")
	case r.HA != old.HA:
		return fault.BadRequest("BadRequest", "Bad router request: Cannot change HA attribute of active routers. Please set router admin_state_up to False prior to upgrade.")
	}
	return nil
}

// changeKind gives the router's ports the owner that goes with its kind.
func (s *Service) changeKind(c *engine.Call, old, r *Router) error {
	if old.interfaceOwner() != r.interfaceOwner() {
		ports, err := s.interfaces(c, r.ID)
		if err != nil {
			return err
		}
		for _, was := range ports {
			p := *was
			p.DeviceOwner = r.interfaceOwner()
			if err := s.net.Ports.Save(c.Elevated(), was, &p, resource.Given{"device_owner": nil}); err != nil {
				return err
			}
		}
	}
	switch {
	case r.HA && !old.HA:
		return s.ensureHANetwork(c, r.ProjectID)
	case old.HA && !r.HA:
		return s.dropHANetwork(c, r.ProjectID)
	}
	return nil
}

// ensureHANetwork makes the network that the original gives a project with its first highly available router. It is
// nobody's, so that only administrators see it.
func (s *Service) ensureHANetwork(c *engine.Call, project string) error {
	n, err := c.Tx.Count("SELECT COUNT(*) FROM ha_networks WHERE project_id = ?", project)
	if err != nil || n > 0 {
		return err
	}
	net, err := s.net.Networks.Make(c, map[string]any{"name": "HA network tenant " + project, "project_id": ""})
	if err != nil {
		return err
	}
	return setHANetwork(c, project, net.ID)
}

func setHANetwork(c *engine.Call, project, network string) error {
	_, err := c.Tx.Exec("INSERT INTO ha_networks (project_id, network_id) VALUES (?, ?)", project, network)
	return err
}

// networkCreated takes a network that was made to be it as its project's network for highly available routers.
func (s *Service) networkCreated(c *engine.Call, n *network.Network) error {
	if !n.HA {
		return nil
	}
	have, err := c.Tx.Count("SELECT COUNT(*) FROM ha_networks WHERE project_id = ?", n.ProjectID)
	if err != nil {
		return err
	}
	if have > 0 {
		return fault.Conflict("DuplicatedHANetwork", "Project %s already has a HA network.", n.ProjectID)
	}
	return setHANetwork(c, n.ProjectID, n.ID)
}

// dropHANetwork removes it with the last such router.
func (s *Service) dropHANetwork(c *engine.Call, project string) error {
	left, err := c.Tx.Count("SELECT COUNT(*) FROM routers WHERE project_id = ? AND ha = TRUE", project)
	if err != nil || left > 0 {
		return err
	}
	var id string
	found, err := c.Tx.One([]any{&id}, "SELECT network_id FROM ha_networks WHERE project_id = ?", project)
	if err != nil || !found {
		return err
	}
	used, err := c.Tx.Count("SELECT COUNT(*) FROM ports WHERE network_id = ?", id)
	if err != nil || used > 0 { // somebody has put something else on it
		return err
	}
	n, err := s.net.Networks.Get(c, id)
	if err != nil {
		return err
	}
	if _, err := c.Tx.Exec("DELETE FROM ha_networks WHERE project_id = ?", project); err != nil {
		return err
	}
	return s.net.Networks.Remove(c.Elevated(), n)
}
