package identity

import (
	"net/http"
	"slices"
	"strings"
)

// service reads what a client says of a service.
func (in fields) service(v *service) {
	in.only("name", "description", "type", "enabled")
	in.text("type", &v.Type)
	in.text("name", &v.Name)
	in.text("description", &v.Description)
	in.enabled(&v.Disabled)
	if v.Name == "" {
		v.Name = v.Type
	}
	if v.Type == "" || len(v.Type) > 255 || len(v.Name) > 255 {
		in.refuse("Invalid input for field 'type': it must have 1 to 255 bytes, and the name no more.")
	}
}

func (s *Service) createService(_ *session, _ *http.Request, in fields) (string, error) {
	v := service{ID: newID()}
	in.service(&v)
	if *in.wrong != nil {
		return "", *in.wrong
	}
	return v.ID, s.change(func(added *document, _ *directory) error {
		added.Services = append(added.Services, v)
		return nil
	})
}

func (s *Service) updateService(_ *http.Request, id string, in fields) error {
	return s.change(func(added *document, d *directory) error {
		if err := d.changeable("service", id); err != nil {
			return err
		}
		in.service(edit(added.Services, func(v *service) bool { return v.ID == id }))
		return *in.wrong
	})
}

func (s *Service) removeService(id string) error { return s.remove("service", id, nil) }

// projectInURL are the ways in which clients write the place of the project's id.
var projectInURL = strings.NewReplacer(
	"$(project_id)s", "{project_id}", "%(project_id)s", "{project_id}", "$(tenant_id)s", "{project_id}", "%(tenant_id)s", "{project_id}",
)

// endpoint reads what a client says of an endpoint.
func (in fields) endpoint(v *endpoint) {
	in.only("service_id", "interface", "region", "region_id", "url", "enabled")
	in.text("service_id", &v.Service)
	in.text("interface", &v.Interface)
	in.text("region", &v.Region)
	if !empty(in.values["region_id"]) {
		in.text("region_id", &v.Region)
	}
	in.text("url", &v.URL)
	in.enabled(&v.Disabled)
	v.URL = projectInURL.Replace(v.URL)
	switch {
	case !slices.Contains(interfaces, v.Interface):
		in.refuse("Invalid input for field 'interface': '%s' is not one of %s.", v.Interface, strings.Join(interfaces, ", "))
	case !isURL(v.URL) || len(v.URL) > 255:
		in.refuse("Invalid input for field 'url': it must be an http or https URL of at most 255 bytes.")
	case v.Region == "" || len(v.Region) > 255:
		in.refuse("Invalid input for field 'region_id': the built-in identity service needs one for an endpoint, of at most 255 bytes.")
	}
}

func (d *directory) endpointFits(v *endpoint) error {
	if !d.ids[key("service", v.Service)] {
		return missing("service", v.Service)
	}
	return nil
}

func (s *Service) createEndpoint(_ *session, _ *http.Request, in fields) (string, error) {
	v := endpoint{ID: newID()}
	in.endpoint(&v)
	if *in.wrong != nil {
		return "", *in.wrong
	}
	return v.ID, s.change(func(added *document, d *directory) error {
		added.Endpoints = append(added.Endpoints, v)
		return d.endpointFits(&v)
	})
}

func (s *Service) updateEndpoint(_ *http.Request, id string, in fields) error {
	return s.change(func(added *document, d *directory) error {
		if err := d.changeable("endpoint", id); err != nil {
			return err
		}
		v := edit(added.Endpoints, func(v *endpoint) bool { return v.ID == id })
		in.endpoint(v)
		if *in.wrong != nil {
			return *in.wrong
		}
		return d.endpointFits(v)
	})
}

func (s *Service) removeEndpoint(id string) error { return s.remove("endpoint", id, nil) }
