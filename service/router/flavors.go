package router

import (
	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
)

// ServiceType is what flavors call routers.
const ServiceType = "L3_ROUTER_NAT"

// Kind is a way in which routers are realised, as flavors choose between them.
type Kind struct {
	Name            string // the provider's
	Driver          string // what service profiles call it: the original's words
	Distributed, HA bool
}

// Kinds are all of them; routers without a flavor are of the first, unless their flags say otherwise.
var Kinds = []Kind{
	{Name: "single_node", Driver: providers + "single_node.SingleNodeDriver"},
	{Name: "dvr", Driver: providers + "dvr.DvrDriver", Distributed: true},
	{Name: "dvrha", Driver: providers + "dvrha.DvrHaDriver", Distributed: true, HA: true},
	{Name: "ha", Driver: providers + "ha.HaDriver", HA: true},
}

const providers = "neutron.services.l3_router.service_providers."

// Flavors knows the flavors that routers may have.
type Flavors interface {
	// Driver gives the driver that realises instances of a flavor, or refuses it.
	Driver(c *engine.Call, flavor, serviceType string) (string, error)
}

// chooseKind makes a new router of its flavor's kind. It refuses a flavor that routers can't have, and to say
// beside one what the flavor decides.
func (s *Service) chooseKind(c *engine.Call, r *Router, given resource.Given) error {
	if r.FlavorID == "" {
		return nil
	}
	if given.Any("distributed", "ha") {
		return decidedByFlavor()
	}
	if s.Flavors == nil {
		return fault.NotFound("FlavorNotFound", "Flavor %s could not be found.", r.FlavorID)
	}
	driver, err := s.Flavors.Driver(c, r.FlavorID, ServiceType)
	if err != nil {
		return err
	}
	for _, k := range Kinds {
		if k.Driver == driver {
			r.Distributed, r.HA = k.Distributed, k.HA
		}
	}
	return nil
}

// keepKind refuses to change what the router's flavor decides.
func keepKind(old, r *Router) error {
	if r.FlavorID != "" && (old.Distributed != r.Distributed || old.HA != r.HA) {
		return decidedByFlavor()
	}
	return nil
}

func decidedByFlavor() error {
	return fault.BadRequest("BadRequest", "Bad router request: distributed and ha are decided by the flavor of a router that has one.")
}

// UsesFlavor says whether a router has the flavor.
func (s *Service) UsesFlavor(c *engine.Call, id string) (bool, error) {
	n, err := c.Tx.Count("SELECT COUNT(*) FROM routers WHERE flavor_id = ?", id)
	return n > 0, err
}
