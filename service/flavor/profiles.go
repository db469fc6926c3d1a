package flavor

import (
	"slices"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
)

// Profile says how a flavor is realised: by which driver, and what the driver is told.
type Profile struct {
	ID, Description  string
	Driver, MetaInfo string // "": none
	Enabled          bool
}

func (s *Service) declareProfiles() {
	s.Profiles = &engine.Resource[Profile]{
		Name: "service_profile", Plural: "service_profiles", Collection: "service_profiles", Extension: "flavors", NoBulk: true,
		NotFound: profileNotFound,
		Attributes: []*resource.Attribute[Profile]{
			resource.ID(func(p *Profile) *string { return &p.ID }),
			description(func(p *Profile) *string { return &p.Description }),
			resource.Text("driver", "driver", 1024, func(p *Profile) *string { return &p.Driver }).Post().Put().Sort(),
			resource.Text("metainfo", "metainfo", 4096, func(p *Profile) *string { return &p.MetaInfo }).Post().Put().Sort(),
			enabled(func(p *Profile) *bool { return &p.Enabled }),
		},
		OnCreate: func(_ *engine.Call, p *Profile, _ resource.Given) error { return s.checkProfile(p) },
		OnUpdate: func(c *engine.Call, _, p *Profile, _ resource.Given) error {
			if err := s.checkProfile(p); err != nil {
				return err
			}
			return unbound(c, p)
		},
		OnDelete: unbound,
	}
}

func profileNotFound(id string) error {
	return fault.NotFound("ServiceProfileNotFound", "Service Profile %s could not be found.", id)
}

// checkProfile refuses drivers that nothing provides.
func (s *Service) checkProfile(p *Profile) error {
	if p.Driver == "" && p.MetaInfo == "" {
		return fault.BadRequest("ServiceProfileEmpty", "Service Profile needs either a driver or metainfo.")
	}
	if p.Driver != "" && s.providerOf(p.Driver) == nil {
		return driverNotFound(p.Driver)
	}
	return nil
}

func driverNotFound(driver string) error {
	return fault.NotFound("ServiceProfileDriverNotFound", "Service Profile driver %s could not be found.", driver)
}

// unbound refuses while a flavor has the profile.
func unbound(c *engine.Call, p *Profile) error {
	n, err := c.Tx.Count("SELECT COUNT(*) FROM flavor_service_profiles WHERE service_profile_id = ?", p.ID)
	if err == nil && n > 0 {
		err = fault.Conflict("ServiceProfileInUse", "Service Profile %s is used by some service instance.", p.ID)
	}
	return err
}

// providerOf finds a provider by its driver; nil when there is none.
func (s *Service) providerOf(driver string) *Provider {
	at := slices.IndexFunc(s.providers, func(p Provider) bool { return p.Driver == driver })
	if at < 0 {
		return nil
	}
	return &s.providers[at]
}
