package flavor

import (
	"cmp"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/resource"
)

func (s *Service) declareProviders() {
	s.Providers = &engine.Resource[Provider]{
		Name: "service_provider", Plural: "service_providers", Extension: "service-type", Key: "name",
		NoShow: true, NoCreate: true, NoUpdate: true, NoDelete: true,
		Attributes: []*resource.Attribute[Provider]{
			resource.Text("service_type", "service_type", 0, func(p *Provider) *string { return &p.ServiceType }).Sort(),
			resource.Text("name", "name", 0, func(p *Provider) *string { return &p.Name }).Sort(),
			resource.Bool("default", "default", func(p *Provider) *bool { return &p.Default }).Filter(),
		},
		From: func(*engine.Call) ([]*Provider, error) {
			list := make([]*Provider, len(s.providers))
			for i := range s.providers {
				p := s.providers[i]
				list[i] = &p
			}
			return list, nil
		},
	}
}

// Choose gives the provider of the service's kind that a flavor asks for, by its first profile that is
// enabled, and that profile's meta information.
func (s *Service) Choose(c *engine.Call, flavor, serviceType string) (*Provider, string, error) {
	f, err := s.Flavors.Get(c, flavor)
	if err != nil {
		return nil, "", err
	}
	if serviceType != "" && f.ServiceType != serviceType {
		return nil, "", fault.BadRequest("InvalidServiceType", "Invalid service type: %s.", f.ServiceType)
	}
	if !f.Enabled {
		return nil, "", fault.New(503, "FlavorDisabled", "Flavor is not enabled.")
	}
	err = profileNotFound("None")
	for _, id := range f.Profiles {
		p, failed := s.Profiles.Row(c, id)
		if failed != nil {
			return nil, "", failed
		}
		provider := s.providerOf(p.Driver)
		switch {
		case !p.Enabled:
			err = fault.New(503, "ServiceProfileDisabled", "Service Profile is not enabled.")
		case provider == nil, provider.ServiceType != cmp.Or(serviceType, provider.ServiceType):
			err = driverNotFound(p.Driver)
		default:
			return provider, p.MetaInfo, nil
		}
	}
	return nil, "", err
}

// next answers which provider the flavor's next instance would get.
func (s *Service) next(c *engine.Call, f *Flavor, _ engine.Input, b []byte) ([]byte, error) {
	p, info, err := s.Choose(c, f.ID, "")
	if err != nil {
		return nil, err
	}
	b = resource.AppendString(append(b, `{"next_providers": [{"provider": `...), p.Name)
	b = resource.AppendString(append(b, `, "driver": `...), p.Driver)
	b = resource.AppendString(append(b, `, "metainfo": `...), info)
	return append(b, "}]}"...), nil
}

// Driver gives the driver that realises instances of a flavor.
func (s *Service) Driver(c *engine.Call, flavor, serviceType string) (string, error) {
	p, _, err := s.Choose(c, flavor, serviceType)
	if err != nil {
		return "", err
	}
	return p.Driver, nil
}
