package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// directory is identity.yaml checked and indexed. It never changes; a changed file makes a new one.
type directory struct {
	domains  map[string]*domain
	projects map[string]*project
	roles    map[string]*role
	users    map[string]*user
	byName   map[named]*user
	services []service
	grants   map[grantKey]*grant
	direct   []assignment // with ids
	objects  map[string][]object
	public   string
}

// named is a user or project by the name of it in a domain.
type named struct{ domainID, name string }

// scope is what a token is good for: exactly one of its fields is set, or none.
type scope struct {
	ProjectID string
	DomainID  string
	System    bool
}

type grantKey struct {
	userID string
	scope  scope
}

// grant is what a user has in one scope.
type grant struct {
	roles []*role // implied ones too, by name
	names []string
}

// newDirectory checks a document; the error lists all mistakes.
func newDirectory(doc *document, publicURL string) (*directory, error) {
	d := &directory{
		domains: map[string]*domain{}, projects: map[string]*project{}, roles: map[string]*role{},
		users: map[string]*user{}, byName: map[named]*user{}, grants: map[grantKey]*grant{}, public: publicURL,
	}
	b := builder{d: d}
	b.domains(doc.Domains)
	b.projects(doc.Projects)
	b.roles(doc.Roles)
	b.users(doc.Users)
	b.services(doc.Services)
	if len(b.errs) == 0 {
		b.implied()
		b.assignments(doc.Assignments)
	}
	if err := errors.Join(b.errs...); err != nil {
		return nil, err
	}
	d.objects = describe(d)
	return d, nil
}

type builder struct {
	d    *directory
	errs []error
}

func (b *builder) wrong(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf(format, args...))
}

// name checks a name and makes an id if there is none.
func (b *builder) name(kind, id, domain, name string) string {
	if strings.TrimSpace(name) == "" || len(name) > 255 {
		b.wrong("a %s needs a name of 1 to 255 bytes; %q is none", kind, name)
	}
	if id == "" {
		return derivedID(kind, domain, name)
	}
	if len(id) > 64 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("/?#%", r) }) {
		b.wrong("%s %q: %q can't be an id", kind, name, id)
	}
	return id
}

// derivedID is always the same for the same words.
func derivedID(words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return hex.EncodeToString(sum[:16])
}

func add[T any](b *builder, kind string, byID map[string]*T, id, name string, v *T) {
	if byID[id] != nil {
		b.wrong("%s %q: the id %s is given twice", kind, name, id)
	}
	byID[id] = v
}

// find gives the id of what is called text, which is an id or a name that only one object has.
func find[T any](b *builder, where, kind, text string, byID map[string]*T, name func(*T) string) string {
	if byID[text] != nil {
		return text
	}
	found := ""
	for id, v := range byID {
		if name(v) != text {
			continue
		}
		if found != "" {
			b.wrong("%s: more than one %s is called %q; give its id", where, kind, text)
			return ""
		}
		found = id
	}
	if found == "" {
		b.wrong("%s: there is no %s %q", where, kind, text)
	}
	return found
}

func domainName(d *domain) string   { return d.Name }
func projectName(p *project) string { return p.Name }
func roleName(r *role) string       { return r.Name }
func userName(u *user) string       { return u.Name }

func (b *builder) domains(list []domain) {
	names := map[string]bool{}
	for _, v := range list {
		v.ID = b.name("domain", v.ID, "", v.Name)
		if names[v.Name] {
			b.wrong("two domains are called %q", v.Name)
		}
		names[v.Name] = true
		add(b, "domain", b.d.domains, v.ID, v.Name, &v)
	}
}

func (b *builder) projects(list []project) {
	names := map[named]bool{}
	for _, v := range list {
		v.Domain = find(b, fmt.Sprintf("project %q", v.Name), "domain", v.Domain, b.d.domains, domainName)
		v.ID = b.name("project", v.ID, v.Domain, v.Name)
		if key := (named{v.Domain, v.Name}); names[key] {
			b.wrong("two projects of one domain are called %q", v.Name)
		} else {
			names[key] = true
		}
		add(b, "project", b.d.projects, v.ID, v.Name, &v)
	}
}

func (b *builder) roles(list []role) {
	names := map[string]bool{}
	for _, v := range list {
		v.ID = b.name("role", v.ID, "", v.Name)
		if low := strings.ToLower(v.Name); names[low] {
			b.wrong("two roles are called %q", v.Name)
		} else {
			names[low] = true
		}
		v.Implies = slices.Clone(v.Implies)
		add(b, "role", b.d.roles, v.ID, v.Name, &v)
	}
}

// implied points the implications of roles at ids.
func (b *builder) implied() {
	for _, r := range b.d.roles {
		for i, name := range r.Implies {
			r.Implies[i] = find(b, fmt.Sprintf("role %q", r.Name), "role", name, b.d.roles, roleName)
		}
	}
}

func (b *builder) users(list []user) {
	for _, v := range list {
		where := fmt.Sprintf("user %q", v.Name)
		v.Domain = find(b, where, "domain", v.Domain, b.d.domains, domainName)
		v.ID = b.name("user", v.ID, v.Domain, v.Name)
		if v.Password != "" && v.PasswordHash != "" {
			b.wrong("%s: give password or password_hash, not both", where)
		}
		if v.PasswordHash != "" {
			if _, err := bcrypt.Cost([]byte(v.PasswordHash)); err != nil || len(v.PasswordHash) != 60 {
				b.wrong("%s: password_hash is no bcrypt hash", where)
			}
		}
		if v.DefaultProject != "" {
			v.DefaultProject = find(b, where, "project", v.DefaultProject, b.d.projects, projectName)
		}
		key := named{v.Domain, v.Name}
		if b.d.byName[key] != nil {
			b.wrong("two users of one domain are called %q", v.Name)
		}
		b.d.byName[key] = &v
		add(b, "user", b.d.users, v.ID, v.Name, &v)
	}
}

func (b *builder) services(list []service) {
	ids := map[string]bool{}
	for _, v := range list {
		if v.Type == "" || v.Name == "" || v.Region == "" {
			b.wrong("service %q: type, name and region are needed", v.Name)
		}
		v.ID = b.name("service", v.ID, v.Type, v.Name)
		if ids[v.ID] {
			b.wrong("service %q: the id %s is given twice", v.Name, v.ID)
		}
		ids[v.ID] = true
		v.URL = strings.ReplaceAll(v.URL, "{public_url}", b.d.public)
		if u, err := url.Parse(strings.ReplaceAll(v.URL, "{project_id}", "x")); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			b.wrong("service %q: %q is no http or https URL", v.Name, v.URL)
		}
		b.d.services = append(b.d.services, v)
	}
}

func (b *builder) assignments(list []assignment) {
	granted := map[grantKey]map[string]*role{}
	for i, a := range list {
		where := fmt.Sprintf("assignment %d (user %q, role %q)", i+1, a.User, a.Role)
		before := len(b.errs)
		a.User = find(b, where, "user", a.User, b.d.users, userName)
		a.Role = find(b, where, "role", a.Role, b.d.roles, roleName)
		places := 0
		if a.Project != "" {
			places++
			a.Project = find(b, where, "project", a.Project, b.d.projects, projectName)
		}
		if a.Domain != "" {
			places++
			a.Domain = find(b, where, "domain", a.Domain, b.d.domains, domainName)
		}
		if a.System {
			places++
		}
		if places != 1 {
			b.wrong("%s: give one of project, domain, system: true", where)
		}
		if len(b.errs) > before {
			continue
		}
		key := grantKey{a.User, scope{a.Project, a.Domain, a.System}}
		if granted[key] == nil {
			granted[key] = map[string]*role{}
		}
		b.d.expand(granted[key], b.d.roles[a.Role])
		b.d.direct = append(b.d.direct, a)
	}
	for key, roles := range granted {
		g := &grant{}
		for _, r := range roles {
			g.roles = append(g.roles, r)
		}
		slices.SortFunc(g.roles, func(x, y *role) int { return strings.Compare(x.Name, y.Name) })
		for _, r := range g.roles {
			g.names = append(g.names, r.Name)
		}
		b.d.grants[key] = g
	}
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

// access gives what the user has in the scope, or nil. A disabled project or domain gives nothing.
func (d *directory) access(u *user, s scope) *grant {
	switch {
	case s.ProjectID != "":
		p := d.projects[s.ProjectID]
		if p == nil || p.Disabled || d.domains[p.Domain].Disabled {
			return nil
		}
	case s.DomainID != "":
		if v := d.domains[s.DomainID]; v == nil || v.Disabled {
			return nil
		}
	case !s.System:
		return &grant{} // unscoped
	}
	return d.grants[grantKey{u.ID, s}]
}

// fingerprint changes with the user's password, so that tokens made with the old one end.
func (u *user) fingerprint() string {
	return derivedID("password", u.ID, u.PasswordHash, u.Password)[:12]
}
