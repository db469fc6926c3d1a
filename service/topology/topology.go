// Package topology gives a project a network that works, by one call: a network with subnets from the default
// pools behind a router to the default external network.
package topology

import (
	"encoding/json"
	"net/http"
	"strconv"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
	"neutrino/service/network"
	"neutrino/service/router"
	"neutrino/store"
)

// Topology is what a project got.
type Topology struct {
	NetworkID string
	ProjectID string
	routerID  string // "": nothing is there yet
}

// Service has the resource.
type Service struct {
	Topologies *engine.Resource[Topology]

	net    *network.Service
	router *router.Service
}

// New declares the resource.
func New(net *network.Service, rtr *router.Service) *Service {
	s := &Service{net: net, router: rtr}
	s.Topologies = &engine.Resource[Topology]{
		Name: "auto_allocated_topology", Plural: "auto_allocated_topologies", Collection: "auto-allocated-topology",
		Extension: "auto-allocated-topology", Key: "project_id",
		NoList: true, NoCreate: true, NoUpdate: true,
		Attributes: append([]*resource.Attribute[Topology]{
			resource.Text("id", "id", 36, func(t *Topology) *string { return &t.NetworkID }),
		}, resource.Project(func(t *Topology) *string { return &t.ProjectID })...),
		From:  func(*engine.Call) ([]*Topology, error) { return nil, nil }, // each is found by its project
		OnAsk: s.asked,
		Keep: func(c *engine.Call, old, _ *Topology) error {
			return s.remove(c, old)
		},
	}
	return s
}

// Install binds the resource to the engine.
func (s *Service) Install(e *engine.Engine) { s.Topologies.Install(e) }

// dryRun is the id of an answer that only says that everything needed is there.
const dryRun = "dry-run=pass"

// asked gives a project's topology. The word is a project, or null for the caller's own.
func (s *Service) asked(c *engine.Call, word string, making bool) (*Topology, error) {
	t := &Topology{ProjectID: word}
	if word == "null" || word == "None" {
		t.ProjectID = c.Caller.ProjectID
	}
	if t.ProjectID == "" {
		return nil, fault.BadRequest("BadRequest", "Bad auto_allocated_topology request: Failed to determine the tenant.")
	}
	if !c.Admin() && (t.ProjectID != c.Caller.ProjectID || !c.Allows("get_auto_allocated_topology", s.Topologies.Target(c, t))) {
		return nil, fault.New(http.StatusForbidden, "NotAuthorized", "Not authorized.")
	}
	found, err := c.Tx.One([]any{&t.NetworkID, &t.routerID}, "SELECT network_id, router_id FROM auto_topologies WHERE project_id = ?", t.ProjectID)
	if err != nil || !making {
		return t, err
	}
	dry := c.Asked("fields") == "dry-run"
	if found && !dry {
		return t, nil
	}
	external, pools, err := s.needed(c)
	if err != nil {
		return nil, err
	}
	if dry {
		t.NetworkID = dryRun
		return t, nil
	}
	return t, s.make(c, t, external, pools)
}

// needed finds the default external network and the default subnet pools.
func (s *Service) needed(c *engine.Call) (*network.Network, []*network.SubnetPool, error) {
	networks, err := s.net.Networks.Find(c, store.Where("t.is_default = ?", true))
	if err != nil {
		return nil, nil, err
	}
	if len(networks) == 0 || !networks[0].External {
		return nil, nil, failure("No default router:external network")
	}
	pools, err := s.net.SubnetPools.Rows(c, store.Where("t.is_default = ?", true))
	if err != nil {
		return nil, nil, err
	}
	if len(pools) == 0 {
		return nil, nil, failure("No default subnetpools defined")
	}
	return networks[0], pools, nil
}

func failure(reason string) error {
	return fault.Conflict("AutoAllocationFailure", "Deployment error: %s.", reason)
}

// make makes what the project needs. It happens whole or, with the call's transaction, not at all.
func (s *Service) make(c *engine.Call, t *Topology, external *network.Network, pools []*network.SubnetPool) error {
	n, err := s.net.Networks.Make(c, map[string]any{"name": "auto_allocated_network", "project_id": t.ProjectID})
	if err != nil {
		return err
	}
	r, err := s.router.Routers.Make(c, map[string]any{
		"name": "auto_allocated_router", "project_id": t.ProjectID, "external_gateway_info": map[string]any{"network_id": external.ID},
	})
	if err != nil {
		return err
	}
	for _, p := range pools {
		subnet, err := s.net.Subnets.Make(c, map[string]any{
			"name": "auto_allocated_subnet_v" + strconv.Itoa(p.IPVersion), "project_id": t.ProjectID,
			"network_id": n.ID, "ip_version": json.Number(strconv.Itoa(p.IPVersion)), "subnetpool_id": p.ID,
		})
		if err != nil {
			return err
		}
		if err := s.interfaces(c, r, "add_router_interface", subnet.ID); err != nil {
			return err
		}
	}
	t.NetworkID, t.routerID = n.ID, r.ID
	_, err = c.Tx.Exec("INSERT INTO auto_topologies (project_id, network_id, router_id) VALUES (?, ?, ?)", t.ProjectID, n.ID, r.ID)
	return err
}

// interfaces connects the router to a subnet, or parts it.
func (s *Service) interfaces(c *engine.Call, r *router.Router, action, subnet string) error {
	_, err := s.router.Routers.Actions[action].Run(c.Elevated(), r, engine.Input{Body: map[string]any{"subnet_id": subnet}}, nil)
	return err
}

// remove takes back what make made, as far as it is still there; what others use of it refuses.
func (s *Service) remove(c *engine.Call, t *Topology) error {
	if t.routerID == "" {
		return nil
	}
	if _, err := c.Tx.Exec("DELETE FROM auto_topologies WHERE project_id = ?", t.ProjectID); err != nil {
		return err
	}
	routers, err := s.router.Routers.Find(c, store.Where("t.id = ?", t.routerID))
	if err != nil {
		return err
	}
	subnets, err := s.net.Subnets.Find(c, store.Where("t.network_id = ?", t.NetworkID))
	if err != nil {
		return err
	}
	for _, r := range routers {
		for _, subnet := range subnets {
			if err := s.interfaces(c, r, "remove_router_interface", subnet.ID); err != nil && !fault.IsNotFound(err) {
				return err
			}
		}
		if err := s.router.Routers.Remove(c.Elevated(), r); err != nil {
			return err
		}
	}
	n, err := s.net.Networks.Get(c, t.NetworkID)
	if err != nil {
		return err
	}
	return s.net.Networks.Remove(c.Elevated(), n)
}
