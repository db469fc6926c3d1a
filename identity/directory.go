package identity

import (
	"slices"
	"strings"
)

// directory is identity.yaml and what the API made, checked and indexed. It never changes; a change
// makes a new one.
type directory struct {
	domains     map[string]*domain
	projects    map[string]*project
	roles       map[string]*role
	users       map[string]*user
	groups      map[string]*group
	credentials map[string]*credential
	services    []service
	endpoints   []endpoint // those of services' URLs too
	assignments []assignment
	public      string
	ids         map[string]bool // of all objects, as key makes them
	fixed       map[string]bool // the ids in identity.yaml: the API does not change those

	domainNames  map[string]*domain
	userNames    map[named]*user
	projectNames map[named]*project
	reach        map[string][]assignment // by user, those of their groups too
	objects      map[string][]object
}

// named is a user or project by the name of it in a domain.
type named struct{ domainID, name string }

// scope is what a token is good for: exactly one of its fields is set, or none.
type scope struct {
	ProjectID string
	DomainID  string
	System    bool
}

// grant is what a user has in one scope.
type grant struct {
	roles []*role // implied ones too, by name
	names []string
}

// newGrant sums roles up, nil for none.
func newGrant(roles map[string]*role) *grant {
	if len(roles) == 0 {
		return nil
	}
	g := &grant{roles: make([]*role, 0, len(roles)), names: make([]string, 0, len(roles))}
	for _, r := range roles {
		g.roles = append(g.roles, r)
	}
	slices.SortFunc(g.roles, func(x, y *role) int { return strings.Compare(x.Name, y.Name) })
	for _, r := range g.roles {
		g.names = append(g.names, r.Name)
	}
	return g
}

// expand adds r and all that it implies.
func (d *directory) expand(have map[string]*role, r *role) {
	if r == nil || have[r.ID] != nil {
		return
	}
	have[r.ID] = r
	for _, id := range r.Implies {
		d.expand(have, d.roles[id])
	}
}

// usable says whether the user may have tokens at all.
func (d *directory) usable(u *user) bool {
	return u != nil && !u.Disabled && !d.domains[u.Domain].Disabled
}

// open says whether the project, its domain and all projects above it are enabled.
func (d *directory) open(p *project) bool {
	if p == nil || d.domains[p.Domain].Disabled {
		return false
	}
	for ; p != nil; p = d.projects[p.Parent] {
		if p.Disabled {
			return false
		}
	}
	return true
}

// access gives what the user has in the scope, or nil. A disabled project or domain gives nothing.
func (d *directory) access(u *user, s scope) *grant {
	switch {
	case s.ProjectID != "":
		if !d.open(d.projects[s.ProjectID]) {
			return nil
		}
	case s.DomainID != "":
		if v := d.domains[s.DomainID]; v == nil || v.Disabled {
			return nil
		}
	case !s.System:
		return &grant{} // unscoped
	}
	have := map[string]*role{}
	for _, a := range d.reach[u.ID] {
		if d.covers(a, s) {
			d.expand(have, d.roles[a.Role])
		}
	}
	return newGrant(have)
}

// covers says whether the assignment is good in the scope.
func (d *directory) covers(a assignment, s scope) bool {
	switch {
	case a.Inherited:
		p := d.projects[s.ProjectID]
		return p != nil && (a.Domain == p.Domain || a.Project != "" && d.isBelow(p, a.Project))
	case s.ProjectID != "":
		return a.Project == s.ProjectID
	case s.DomainID != "":
		return a.Domain == s.DomainID
	}
	return a.System
}

// isBelow says whether the project is somewhere under the other one.
func (d *directory) isBelow(p *project, above string) bool {
	for p = d.projects[p.Parent]; p != nil; p = d.projects[p.Parent] {
		if p.ID == above {
			return true
		}
	}
	return false
}

// members lists the users whom an assignment is for.
func (d *directory) members(a assignment) []string {
	if a.Group == "" {
		return []string{a.User}
	}
	return d.groups[a.Group].Users
}

// fingerprint changes with the user's password, so that tokens made with the old one end.
func (u *user) fingerprint() string {
	return derivedID("password", u.ID, u.PasswordHash, u.Password)[:12]
}
