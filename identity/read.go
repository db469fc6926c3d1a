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
	domain           string                           // the attribute with the domain that it is in
}

var collections = []collection{
	{plural: "domains", singular: "domain", domain: "id", own: func(x *session, id string) bool {
		return id == x.user.Domain || id == x.credentials.ProjectDomainID || id == x.token.DomainID
	}},
	{plural: "projects", singular: "project", domain: "domain_id", own: func(x *session, id string) bool {
		return x.directory.access(x.user, scope{ProjectID: id}) != nil && id != ""
	}},
	{plural: "users", singular: "user", domain: "domain_id", own: func(x *session, id string) bool { return id == x.user.ID }},
	{plural: "groups", singular: "group", domain: "domain_id"},
	{plural: "roles", singular: "role"},
	{plural: "services", singular: "service"},
	{plural: "endpoints", singular: "endpoint"},
	{plural: "regions", singular: "region", public: true},
}

func forbidden(action string) error {
	return refuse(http.StatusForbidden, "You are not authorized to perform the requested action: %s.", action)
}

// isAdmin says whether the session may read and change everything: an administrator's of the system or
// of a project. One whose token is for a domain only reads what is in the domain.
func (x *session) isAdmin() bool {
	return x.has("admin") && (x.token.System || x.token.ProjectID != "")
}

// mayRead adds those who may read the whole system but change nothing.
func (x *session) mayRead() bool { return x.isAdmin() || x.token.System && x.has("reader") }

// readsDomain says whether the session may read what is in its domain.
func (x *session) readsDomain() bool { return x.token.DomainID != "" && x.has("reader") }

// list is GET of a collection. Readers of a domain see what is in it.
func (s *Service) list(c collection) caller {
	return func(x *session, r *http.Request) (answer, error) {
		list := x.directory.objects[c.plural]
		switch {
		case c.public || x.mayRead():
		case c.domain != "" && x.readsDomain():
			list = filter(list, url.Values{c.domain: {x.token.DomainID}})
		default:
			return answer{}, forbidden("identity:list_" + c.plural)
		}
		for _, name := range unknownFilters {
			if r.URL.Query().Has(name) {
				return answer{}, refuse(http.StatusBadRequest, "The built-in identity service can't filter by '%s'.", name)
			}
		}
		return s.many(c.plural, filter(list, r.URL.Query()), r), nil
	}
}

// unknownFilters would show too much if they were passed over.
var unknownFilters = []string{"tags", "tags-any", "not-tags", "not-tags-any", "password_expires_at", "idp_id", "protocol_id", "unique_id"}

// show is GET of one object, by id only: clients look names up by ?name= after a 404.
func (s *Service) show(c collection) caller {
	return func(x *session, r *http.Request) (answer, error) {
		id := r.PathValue("id")
		o := lookUp(x.directory.objects[c.plural], id)
		if !c.public && !x.mayRead() && (c.own == nil || !c.own(x, id)) &&
			(o == nil || c.domain == "" || !x.readsDomain() || o[c.domain] != x.token.DomainID) {
			return answer{}, forbidden("identity:get_" + c.singular)
		}
		if o == nil {
			return answer{}, missing(c.singular, id)
		}
		for _, name := range []string{"parents_as_list", "parents_as_ids", "subtree_as_list", "subtree_as_ids"} {
			if c.singular == "project" && r.URL.Query().Has(name) {
				return answer{}, refuse(http.StatusBadRequest, "The built-in identity service has no '%s'.", name)
			}
		}
		return answer{status: http.StatusOK, body: object{c.singular: s.linked(c.plural, o)}}, nil
	}
}

// lookUp finds an object by its id, or gives nil.
func lookUp(list []object, id string) object {
	for _, o := range list {
		if o["id"] == id {
			return o
		}
	}
	return nil
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
// names, or compare as "name__contains" says. Parameters that name no attribute are left alone, as in Keystone.
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
	for parameter, values := range query {
		key, comparison, _ := strings.Cut(parameter, "__")
		want := values[0]
		switch have := o[key].(type) {
		case string:
			if !compare(have, comparison, want) {
				return false
			}
		case bool:
			if have != (want != "0" && !strings.EqualFold(want, "false")) {
				return false
			}
		case nil:
			if _, known := o[key]; known && want != "" {
				return false
			}
		}
	}
	return true
}

// compare knows Keystone's inexact filters; an i in front of one passes over upper and lower case.
func compare(have, comparison, want string) bool {
	if rest, ok := strings.CutPrefix(comparison, "i"); ok {
		have, comparison, want = strings.ToLower(have), rest, strings.ToLower(want)
	}
	switch comparison {
	case "contains":
		return strings.Contains(have, want)
	case "startswith":
		return strings.HasPrefix(have, want)
	case "endswith":
		return strings.HasSuffix(have, want)
	}
	return have == want
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
