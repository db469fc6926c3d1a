package identity

import (
	"net/http"
	"strings"
)

// role reads what a client says of a role.
func (in fields) role(v *role) {
	in.only("name", "description", "domain_id")
	if !empty(in.values["domain_id"]) {
		in.refuse("The built-in identity service has no roles of domains: leave domain_id out.")
	}
	in.name(&v.Name)
	in.text("description", &v.Description)
}

func (d *directory) freeRole(v *role) error {
	for _, other := range d.roles {
		if strings.EqualFold(other.Name, v.Name) && other.ID != v.ID {
			return conflict("role", v.Name)
		}
	}
	return nil
}

func (s *Service) createRole(_ *session, _ *http.Request, in fields) (string, error) {
	v := role{ID: newID()}
	in.role(&v)
	if *in.wrong != nil {
		return "", *in.wrong
	}
	return v.ID, s.change(func(added *document, d *directory) error {
		added.Roles = append(added.Roles, v)
		return d.freeRole(&v)
	})
}

func (s *Service) updateRole(_ *http.Request, id string, in fields) error {
	return s.change(func(added *document, d *directory) error {
		if err := d.changeable("role", id); err != nil {
			return err
		}
		v := edit(added.Roles, func(v *role) bool { return v.ID == id })
		in.role(v)
		if *in.wrong != nil {
			return *in.wrong
		}
		return d.freeRole(v)
	})
}

func (s *Service) removeRole(id string) error {
	return s.remove("role", id, nil)
}
