package identity

import (
	"net/http"
)

// writing adds the operations that change what the identity service knows.
func (s *Service) writing(closed func(pattern string, fn caller)) {
	for _, k := range []struct {
		plural, singular string
		create           func(x *session, r *http.Request, in fields) (id string, err error)
		update           func(r *http.Request, id string, in fields) error
		remove           func(id string) error
	}{
		{"domains", "domain", s.createDomain, s.updateDomain, s.removeDomain},
		{"projects", "project", s.createProject, s.updateProject, s.removeProject},
		{"roles", "role", s.createRole, s.updateRole, s.removeRole},
		{"users", "user", s.createUser, s.updateUser, s.removeUser},
		{"groups", "group", s.createGroup, s.updateGroup, s.removeGroup},
		{"services", "service", s.createService, s.updateService, s.removeService},
		{"endpoints", "endpoint", s.createEndpoint, s.updateEndpoint, s.removeEndpoint},
	} {
		closed("POST /v3/"+k.plural, admin("identity:create_"+k.singular, func(x *session, r *http.Request) (answer, error) {
			in, err := readFields(r, k.singular)
			if err != nil {
				return answer{}, err
			}
			id, err := k.create(x, r, in)
			return s.shown(http.StatusCreated, k.plural, k.singular, id, err)
		}))
		closed("PATCH /v3/"+k.plural+"/{id}", admin("identity:update_"+k.singular, func(_ *session, r *http.Request) (answer, error) {
			in, err := readFields(r, k.singular)
			if err != nil {
				return answer{}, err
			}
			id := r.PathValue("id")
			err = k.update(r, id, in)
			return s.shown(http.StatusOK, k.plural, k.singular, id, err)
		}))
		closed("DELETE /v3/"+k.plural+"/{id}", admin("identity:delete_"+k.singular, func(_ *session, r *http.Request) (answer, error) {
			return answer{status: http.StatusNoContent}, k.remove(r.PathValue("id"))
		}))
	}
	closed("POST /v3/users/{id}/password", s.changePassword)
	s.grantRoutes(closed)
	s.groupRoutes(closed)
	s.credentialRoutes(closed)
}

// admin lets only administrators do something.
func admin(action string, fn caller) caller {
	return func(x *session, r *http.Request) (answer, error) {
		if !x.isAdmin() {
			return answer{}, forbidden(action)
		}
		return fn(x, r)
	}
}

// reader lets those do something who may read everything.
func reader(action string, fn caller) caller {
	return func(x *session, r *http.Request) (answer, error) {
		if !x.mayRead() {
			return answer{}, forbidden(action)
		}
		return fn(x, r)
	}
}

// shown answers with an object as it is now.
func (s *Service) shown(status int, plural, singular, id string, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	if o := lookUp(s.directory.Load().objects[plural], id); o != nil {
		return answer{status: status, body: object{singular: s.linked(plural, o)}}, nil
	}
	return answer{}, missing(singular, id)
}

func missing(singular, id string) error {
	return refuse(http.StatusNotFound, "Could not find %s: %s.", singular, id)
}

func conflict(kind, name string) error {
	return refuse(http.StatusConflict, "Conflict occurred attempting to store %s - Duplicate entry found with name %s.", kind, name)
}

// changeable refuses to change what is not there or what belongs to identity.yaml.
func (d *directory) changeable(kind, id string) error {
	if !d.ids[key(kind, id)] {
		return missing(kind, id)
	}
	if d.fixed[key(kind, id)] {
		return refuse(http.StatusForbidden, "The %s %s is in %s on the server: it is changed there.", kind, id, identityFile)
	}
	return nil
}

// remove deletes what the API made, with all that can't be without it. may refuses; nil: nothing speaks against it.
func (s *Service) remove(kind, id string, may func(d *directory) error) error {
	return s.change(func(added *document, d *directory) error {
		if err := d.changeable(kind, id); err != nil {
			return err
		}
		if may != nil {
			if err := may(d); err != nil {
				return err
			}
		}
		added.forget(map[string]bool{key(kind, id): true})
		return nil
	})
}

// domainOf settles in which domain a new object is: the one it names, or the caller's.
func (in fields) domainOf(x *session) string {
	id := x.user.Domain
	if x.token.DomainID != "" {
		id = x.token.DomainID
	}
	if !empty(in.values["domain_id"]) {
		in.text("domain_id", &id)
	}
	return id
}
