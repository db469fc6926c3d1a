package identity

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// collection is a kind of object that can be listed and shown.
type collection struct {
	plural, singular string
	public           bool                             // any token may read it
	own              func(x *session, id string) bool // what others than administrators may be shown; nil: nothing
}

var collections = []collection{
	{plural: "domains", singular: "domain", own: func(x *session, id string) bool {
		return id == x.user.Domain || id == x.credentials.ProjectDomainID || id == x.token.DomainID
	}},
	{plural: "projects", singular: "project", own: func(x *session, id string) bool {
		return x.directory.access(x.user, scope{ProjectID: id}) != nil && id != ""
	}},
	{plural: "users", singular: "user", own: func(x *session, id string) bool { return id == x.user.ID }},
	{plural: "groups", singular: "group"},
	{plural: "roles", singular: "role"},
	{plural: "services", singular: "service"},
	{plural: "endpoints", singular: "endpoint"},
	{plural: "regions", singular: "region", public: true},
}

func forbidden(action string) error {
	return refuse(http.StatusForbidden, "You are not authorized to perform the requested action: %s.", action)
}

// isAdmin says whether the session may read everything.
func (x *session) isAdmin() bool { return x.has("admin") }

// mayRead adds those who may read the whole system but change nothing.
func (x *session) mayRead() bool { return x.isAdmin() || x.token.System && x.has("reader") }

// list is GET of a collection.
func (s *Service) list(c collection) caller {
	return func(x *session, r *http.Request) (answer, error) {
		if !c.public && !x.mayRead() {
			return answer{}, forbidden("identity:list_" + c.plural)
		}
		return s.many(c.plural, filter(x.directory.objects[c.plural], r.URL.Query()), r), nil
	}
}

// show is GET of one object, by id only: clients look names up by ?name= after a 404.
func (s *Service) show(c collection) caller {
	return func(x *session, r *http.Request) (answer, error) {
		id := r.PathValue("id")
		if !c.public && !x.mayRead() && (c.own == nil || !c.own(x, id)) {
			return answer{}, forbidden("identity:get_" + c.singular)
		}
		for _, o := range x.directory.objects[c.plural] {
			if o["id"] == id {
				return answer{status: http.StatusOK, body: object{c.singular: s.linked(c.plural, o)}}, nil
			}
		}
		return answer{}, refuse(http.StatusNotFound, "Could not find %s: %s.", c.singular, id)
	}
}

// many is the answer with a list of objects.
func (s *Service) many(plural string, list []object, r *http.Request) answer {
	shown := make([]object, 0, len(list))
	for _, o := range list {
		shown = append(shown, s.linked(plural, o))
	}
	return answer{status: http.StatusOK, body: object{
		plural: shown, "links": object{"self": s.base() + r.URL.RequestURI(), "next": nil, "previous": nil},
	}}
}

// linked is the object with a link to itself.
func (s *Service) linked(plural string, o object) object {
	id, ok := o["id"].(string)
	if !ok {
		return o
	}
	with := object{"links": object{"self": s.base() + "/v3/" + plural + "/" + url.PathEscape(id)}}
	for key, value := range o {
		with[key] = value
	}
	return with
}

// filter keeps the objects whose attributes have the values of the query's parameters of the same
// names. Other parameters are left alone, as in Keystone.
func filter(list []object, query url.Values) []object {
	var kept []object
	for _, o := range list {
		if matches(o, query) {
			kept = append(kept, o)
		}
	}
	return kept
}

func matches(o object, query url.Values) bool {
	for key, values := range query {
		switch have := o[key].(type) {
		case string:
			if have != values[0] {
				return false
			}
		case bool:
			want := values[0] != "0" && !strings.EqualFold(values[0], "false")
			if have != want {
				return false
			}
		case nil:
			if _, known := o[key]; known && values[0] != "" {
				return false
			}
		}
	}
	return true
}

// ownProjects is GET /v3/auth/projects: where the caller may go.
func (s *Service) ownProjects(x *session, r *http.Request) (answer, error) {
	return s.many("projects", filter(x.projects(x.user), r.URL.Query()), r), nil
}

// projects lists the projects in which u has a role.
func (x *session) projects(u *user) []object {
	var list []object
	for _, o := range x.directory.objects["projects"] {
		if x.directory.access(u, scope{ProjectID: fmt.Sprint(o["id"])}) != nil {
			list = append(list, o)
		}
	}
	return list
}

func (s *Service) ownDomains(x *session, r *http.Request) (answer, error) {
	var list []object
	for _, o := range x.directory.objects["domains"] {
		if x.directory.access(x.user, scope{DomainID: fmt.Sprint(o["id"])}) != nil {
			list = append(list, o)
		}
	}
	return s.many("domains", filter(list, r.URL.Query()), r), nil
}

func (s *Service) ownSystem(x *session, r *http.Request) (answer, error) {
	list := []object{}
	if x.directory.access(x.user, scope{System: true}) != nil {
		list = append(list, object{"all": true})
	}
	return s.many("system", list, r), nil
}

// userProjects is GET /v3/users/{id}/projects.
func (s *Service) userProjects(x *session, r *http.Request) (answer, error) {
	id := r.PathValue("id")
	if id != x.user.ID && !x.mayRead() {
		return answer{}, forbidden("identity:list_user_projects")
	}
	u := x.directory.users[id]
	if u == nil {
		return answer{}, refuse(http.StatusNotFound, "Could not find user: %s.", id)
	}
	return s.many("projects", filter(x.projects(u), r.URL.Query()), r), nil
}

// roleAssignments is GET /v3/role_assignments with its own filters.
func (s *Service) roleAssignments(x *session, r *http.Request) (answer, error) {
	if !x.mayRead() {
		return answer{}, forbidden("identity:list_role_assignments")
	}
	query := r.URL.Query()
	flag := func(name string) bool {
		return query.Has(name) && query.Get(name) != "0" && !strings.EqualFold(query.Get(name), "false")
	}
	list := []object{}
	for _, o := range x.directory.assignmentObjects(flag("effective"), flag("include_names")) {
		if id(o, "user") == either(query, "user.id", id(o, "user")) &&
			id(o, "role") == either(query, "role.id", id(o, "role")) &&
			id(o["scope"].(object), "project") == either(query, "scope.project.id", id(o["scope"].(object), "project")) &&
			id(o["scope"].(object), "domain") == either(query, "scope.domain.id", id(o["scope"].(object), "domain")) &&
			(!query.Has("scope.system") || o["scope"].(object)["system"] != nil) && !query.Has("group.id") {
			list = append(list, o)
		}
	}
	return s.many("role_assignments", list, r), nil
}

// id gives the id of the object that o has under key, or "".
func id(o object, key string) string {
	part, _ := o[key].(object)
	text, _ := part["id"].(string)
	return text
}

// either gives the query's value or, without one, the other.
func either(query url.Values, key, other string) string {
	if query.Has(key) {
		return query.Get(key)
	}
	return other
}
