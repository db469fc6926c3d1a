package identity

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// grantRoutes adds the roles of users and groups on projects, domains and the system.
func (s *Service) grantRoutes(closed func(pattern string, fn caller)) {
	for _, who := range []string{"users/{user}", "groups/{group}"} {
		for _, place := range []string{"projects/{project}/", "domains/{domain}/", "system/"} {
			s.grantsAt("/v3/"+place+who+"/roles", "", closed)
			if place != "system/" {
				s.grantsAt("/v3/OS-INHERIT/"+place+who+"/roles", "/inherited_to_projects", closed)
			}
		}
	}
	closed("GET /v3/role_assignments", reader("identity:list_role_assignments", s.roleAssignments))
}

func (s *Service) grantsAt(path, suffix string, closed func(pattern string, fn caller)) {
	kind := "grant"
	if strings.HasPrefix(path, "/v3/system/") {
		kind = "system_grant"
	}
	at := func(fn func(x *session, a assignment) (answer, error)) caller {
		return func(x *session, r *http.Request) (answer, error) {
			a := assignment{
				User: r.PathValue("user"), Group: r.PathValue("group"), Role: r.PathValue("role"),
				Project: r.PathValue("project"), Domain: r.PathValue("domain"), Inherited: suffix != "",
			}
			a.System = a.Project == "" && a.Domain == ""
			return fn(x, a)
		}
	}
	closed("GET "+path+suffix, reader("identity:list_"+kind+"s", func(x *session, r *http.Request) (answer, error) {
		return at(func(x *session, a assignment) (answer, error) { return s.listGrants(x, r, a) })(x, r)
	}))
	closed("GET "+path+"/{role}"+suffix, reader("identity:check_"+kind, at(s.checkGrant)))
	closed("PUT "+path+"/{role}"+suffix, admin("identity:create_"+kind, at(s.grant)))
	closed("DELETE "+path+"/{role}"+suffix, admin("identity:revoke_"+kind, at(s.revokeGrant)))
}

// check says what of the assignment is not there.
func (d *directory) check(a assignment) error {
	switch {
	case a.User != "" && d.users[a.User] == nil:
		return missing("user", a.User)
	case a.Group != "" && d.groups[a.Group] == nil:
		return missing("group", a.Group)
	case a.Role != "" && d.roles[a.Role] == nil:
		return missing("role", a.Role)
	case a.Project != "" && d.projects[a.Project] == nil:
		return missing("project", a.Project)
	case a.Domain != "" && d.domains[a.Domain] == nil:
		return missing("domain", a.Domain)
	}
	return nil
}

// listGrants lists the roles of somebody in a place, as they were given: without implied ones.
func (s *Service) listGrants(x *session, r *http.Request, a assignment) (answer, error) {
	if err := x.directory.check(a); err != nil {
		return answer{}, err
	}
	var list []object
	for _, o := range x.directory.objects["roles"] {
		a.Role, _ = o["id"].(string)
		if slices.Contains(x.directory.assignments, a) {
			list = append(list, o)
		}
	}
	return s.many("roles", list, r), nil
}

func noAssignment(a assignment) error {
	return refuse(http.StatusNotFound, "Could not find role assignment with role: %s, user or group: %s, project, domain, or system: %s.",
		a.Role, a.User+a.Group, a.Project+a.Domain)
}

func (s *Service) checkGrant(x *session, a assignment) (answer, error) {
	err := x.directory.check(a)
	if err == nil && !slices.Contains(x.directory.assignments, a) {
		err = noAssignment(a)
	}
	return answer{status: http.StatusNoContent}, err
}

// grant gives a role in a place; giving it again changes nothing.
func (s *Service) grant(_ *session, a assignment) (answer, error) {
	return answer{status: http.StatusNoContent}, s.change(func(added *document, d *directory) error {
		err := d.check(a)
		if err == nil && !slices.Contains(d.assignments, a) {
			added.Assignments = append(added.Assignments, a)
		}
		return err
	})
}

func (s *Service) revokeGrant(_ *session, a assignment) (answer, error) {
	return answer{status: http.StatusNoContent}, s.change(func(added *document, d *directory) error {
		if err := d.check(a); err != nil {
			return err
		}
		at := slices.Index(added.Assignments, a)
		switch {
		case at >= 0:
			added.Assignments = slices.Delete(added.Assignments, at, at+1)
			return nil
		case slices.Contains(d.assignments, a):
			return refuse(http.StatusForbidden, "The assignment is in %s on the server: it is changed there.", identityFile)
		}
		return noAssignment(a)
	})
}

// roleAssignments is GET /v3/role_assignments with its own filters.
func (s *Service) roleAssignments(x *session, r *http.Request) (answer, error) {
	query := r.URL.Query()
	flag := func(name string) bool {
		return query.Has(name) && query.Get(name) != "0" && !strings.EqualFold(query.Get(name), "false")
	}
	effective := flag("effective")
	switch {
	case query.Has("user.id") && query.Has("group.id"):
		return answer{}, refuse(http.StatusBadRequest, "Specify a user or a group, not both.")
	case query.Has("group.id") && effective:
		return answer{}, refuse(http.StatusBadRequest, "Effective assignments are of users only: leave group.id out.")
	case flag("include_subtree") && !query.Has("scope.project.id"):
		return answer{}, refuse(http.StatusBadRequest, "scope.project.id must be specified if include_subtree is also specified.")
	}
	list := []object{}
	for _, a := range x.directory.spelledOut(effective) {
		is := func(name, id string) bool { return !query.Has(name) || query.Get(name) == id }
		p := x.directory.projects[a.Project]
		inProject := is("scope.project.id", a.Project) ||
			flag("include_subtree") && p != nil && x.directory.isBelow(p, query.Get("scope.project.id"))
		if is("user.id", a.User) && is("group.id", a.Group) && is("role.id", a.Role) && is("scope.domain.id", a.Domain) && inProject &&
			(!query.Has("scope.system") || a.System) && (!query.Has("scope.OS-INHERIT:inherited_to") || a.Inherited) {
			list = append(list, s.assignmentObject(x.directory, a, flag("include_names")))
		}
	}
	return s.many("role_assignments", list, r), nil
}

// spelledOut lists the assignments; effective ones name users instead of groups, the projects that
// inherit, and implied roles, each once.
func (d *directory) spelledOut(effective bool) []assignment {
	if !effective {
		return d.assignments
	}
	var list []assignment
	seen := map[assignment]bool{}
	for _, a := range d.assignments {
		roles := map[string]*role{}
		d.expand(roles, d.roles[a.Role])
		for _, place := range d.places(a) {
			for _, userID := range d.members(a) {
				for _, r := range sorted(roles, roleName) {
					one := assignment{User: userID, Role: r.ID, Project: place.ProjectID, Domain: place.DomainID, System: place.System}
					if !seen[one] {
						seen[one] = true
						list = append(list, one)
					}
				}
			}
		}
	}
	return list
}

// places lists the scopes in which an assignment is good.
func (d *directory) places(a assignment) []scope {
	if !a.Inherited {
		return []scope{{a.Project, a.Domain, a.System}}
	}
	var list []scope
	for _, p := range sorted(d.projects, projectName) {
		if s := (scope{ProjectID: p.ID}); d.covers(a, s) {
			list = append(list, s)
		}
	}
	return list
}

// assignmentObject shows an assignment.
func (s *Service) assignmentObject(d *directory, a assignment, names bool) object {
	ref := func(id, name, domainID string) object {
		o := object{"id": id}
		if names {
			o["name"] = name
			if v := d.domains[domainID]; v != nil {
				o["domain"] = object{"id": v.ID, "name": v.Name}
			}
		}
		return o
	}
	place, at, prefix := object{}, "system", "/v3/"
	switch {
	case a.Project != "":
		p := d.projects[a.Project]
		place["project"], at = ref(p.ID, p.Name, p.Domain), "projects/"+p.ID
	case a.Domain != "":
		place["domain"], at = ref(a.Domain, d.domains[a.Domain].Name, ""), "domains/"+a.Domain
	default:
		place["system"] = object{"all": true}
	}
	suffix := ""
	if a.Inherited {
		place["OS-INHERIT:inherited_to"], prefix, suffix = "projects", "/v3/OS-INHERIT/", "/inherited_to_projects"
	}
	o := object{"role": ref(a.Role, d.roles[a.Role].Name, ""), "scope": place}
	who := "users/" + a.User
	if u := d.users[a.User]; u != nil {
		o["user"] = ref(u.ID, u.Name, u.Domain)
	} else {
		g := d.groups[a.Group]
		o["group"], who = ref(g.ID, g.Name, g.Domain), "groups/"+g.ID
	}
	o["links"] = object{"assignment": fmt.Sprintf("%s%s%s/%s/roles/%s%s", s.base(), prefix, at, who, a.Role, suffix)}
	return o
}
