package identity

import (
	"net/http"
)

// domain reads what a client says of a domain.
func (in fields) domain(v *domain) {
	in.only("name", "description", "enabled")
	in.name(&v.Name)
	in.text("description", &v.Description)
	in.enabled(&v.Disabled)
}

func (d *directory) freeDomain(v *domain) error {
	if other := d.domainNames[v.Name]; other != nil && other.ID != v.ID {
		return conflict("domain", v.Name)
	}
	return nil
}

func (s *Service) createDomain(_ *session, _ *http.Request, in fields) (string, error) {
	v := domain{ID: newID()}
	in.domain(&v)
	if *in.wrong != nil {
		return "", *in.wrong
	}
	return v.ID, s.change(func(added *document, d *directory) error {
		added.Domains = append(added.Domains, v)
		return d.freeDomain(&v)
	})
}

func (s *Service) updateDomain(_ *http.Request, id string, in fields) error {
	return s.change(func(added *document, d *directory) error {
		if err := d.changeable("domain", id); err != nil {
			return err
		}
		v := edit(added.Domains, func(v *domain) bool { return v.ID == id })
		in.domain(v)
		if *in.wrong != nil {
			return *in.wrong
		}
		return d.freeDomain(v)
	})
}

// removeDomain deletes a domain with all that is in it, when it is disabled.
func (s *Service) removeDomain(id string) error {
	return s.remove("domain", id, func(d *directory) error {
		if !d.domains[id].Disabled {
			return refuse(http.StatusForbidden, "Cannot delete a domain that is enabled, please disable it first.")
		}
		return nil
	})
}
