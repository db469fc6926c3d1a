package identity

import (
	"net/http"
)

func (d *directory) freeProject(v *project) error {
	if other := d.projectNames[named{v.Domain, v.Name}]; other != nil && other.ID != v.ID {
		return conflict("project", v.Name)
	}
	return nil
}

func (s *Service) createProject(x *session, _ *http.Request, in fields) (string, error) {
	v := project{ID: newID(), Domain: in.domainOf(x)}
	in.only("name", "description", "enabled", "domain_id", "parent_id", "is_domain")
	in.name(&v.Name)
	in.text("description", &v.Description)
	in.enabled(&v.Disabled)
	in.text("parent_id", &v.Parent)
	if is := in.values["is_domain"]; is != nil && is != false {
		in.refuse("Make a domain by POST /v3/domains.")
	}
	if *in.wrong != nil {
		return "", *in.wrong
	}
	return v.ID, s.change(func(added *document, d *directory) error {
		parent := d.projects[v.Parent]
		switch {
		case parent != nil && empty(in.values["domain_id"]):
			v.Domain = parent.Domain
		case parent == nil && d.domains[v.Parent] != nil: // a domain is the parent of what has no other
			if empty(in.values["domain_id"]) {
				v.Domain = v.Parent
			}
			if v.Parent != v.Domain {
				return refuse(http.StatusBadRequest, "The project's parent is another domain than its own.")
			}
			v.Parent = ""
		case parent == nil && v.Parent != "":
			return missing("project", v.Parent)
		}
		if d.domains[v.Domain] == nil {
			return missing("domain", v.Domain)
		}
		if parent != nil {
			if err := d.mayBeParent(parent, v.Domain); err != nil {
				return err
			}
		}
		added.Projects = append(added.Projects, v)
		return d.freeProject(&v)
	})
}

func (d *directory) mayBeParent(p *project, domainID string) error {
	if p.Domain != domainID {
		return refuse(http.StatusBadRequest, "The project's parent is in another domain.")
	}
	if !d.open(p) {
		return refuse(http.StatusForbidden, "Cannot create a project below %s: it is disabled.", p.ID)
	}
	depth := 1
	for ; p.Parent != ""; p = d.projects[p.Parent] {
		depth++
	}
	if depth >= maxDepth {
		return refuse(http.StatusForbidden, "Max hierarchy depth reached for a project: %d.", maxDepth)
	}
	return nil
}

func (s *Service) updateProject(_ *http.Request, id string, in fields) error {
	return s.change(func(added *document, d *directory) error {
		if err := d.changeable("project", id); err != nil {
			return err
		}
		v := edit(added.Projects, func(v *project) bool { return v.ID == id })
		parent := v.Parent
		if parent == "" {
			parent = v.Domain
		}
		in.only("name", "description", "enabled", "domain_id", "parent_id", "is_domain")
		in.fixed("domain_id", v.Domain)
		in.fixed("parent_id", parent)
		in.fixed("is_domain", false)
		in.name(&v.Name)
		in.text("description", &v.Description)
		in.enabled(&v.Disabled)
		if *in.wrong != nil {
			return *in.wrong
		}
		return d.freeProject(v)
	})
}

// removeProject deletes a project that has none below it.
func (s *Service) removeProject(id string) error {
	return s.remove("project", id, func(d *directory) error {
		for _, p := range d.projects {
			if p.Parent == id {
				return refuse(http.StatusForbidden, "Cannot delete the project %s since it is not a leaf in the hierarchy.", id)
			}
		}
		return nil
	})
}
