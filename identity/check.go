package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// maxDepth is how many projects may be one below the other.
const maxDepth = 5

// newDirectory checks a document; the error lists all mistakes. added is what the API has added to it:
// it names objects by id only, and what names an object that the document has lost is left out.
func newDirectory(doc, added *document, publicURL string) (*directory, error) {
	d := &directory{
		domains: map[string]*domain{}, projects: map[string]*project{}, roles: map[string]*role{}, users: map[string]*user{},
		groups: map[string]*group{}, credentials: map[string]*credential{}, ids: map[string]bool{}, public: publicURL,
		domainNames: map[string]*domain{}, userNames: map[named]*user{}, projectNames: map[named]*project{}, reach: map[string][]assignment{},
	}
	b := builder{d: d, names: map[[3]string]bool{}}
	b.document(doc)
	if added != nil && len(b.errs) == 0 {
		d.fixed = maps.Clone(d.ids)
		b.from = addedFile + ": "
		b.document(added.known(d))
	}
	if err := errors.Join(b.errs...); err != nil {
		return nil, err
	}
	for _, a := range d.assignments {
		for _, id := range d.members(a) {
			d.reach[id] = append(d.reach[id], a)
		}
	}
	d.objects = describe(d)
	return d, nil
}

// builder puts documents into a directory, one after the other.
type builder struct {
	d     *directory
	names map[[3]string]bool // taken, by kind and domain
	from  string             // the file, in front of mistakes
	errs  []error
}

func (b *builder) document(doc *document) {
	b.domains(doc.Domains)
	b.projects(doc.Projects)
	b.roles(doc.Roles)
	b.users(doc.Users)
	b.groups(doc.Groups)
	b.services(doc.Services)
	b.endpoints(doc.Endpoints)
	b.assignments(doc.Assignments)
	b.credentials(doc.Credentials)
}

func (b *builder) wrong(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf(b.from+format, args...))
}

// name checks a name that no other of its kind has in the domain, and makes an id if there is none.
func (b *builder) name(kind, id, domain, name string) string {
	if strings.TrimSpace(name) == "" || len(name) > 255 {
		b.wrong("a %s needs a name of 1 to 255 bytes; %q is none", kind, name)
	}
	if b.names[[3]string{kind, domain, name}] {
		b.wrong("two %ss of one place are called %q", kind, name)
	}
	b.names[[3]string{kind, domain, name}] = true
	return b.id(kind, id, name, domain, name)
}

// id checks an id; without one, it follows from the words.
func (b *builder) id(kind, id, what string, words ...string) string {
	if id == "" {
		id = derivedID(append([]string{kind}, words...)...)
	} else if len(id) > 64 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("/?#%", r) }) {
		b.wrong("%s %q: %q can't be an id", kind, what, id)
	}
	if b.d.ids[key(kind, id)] {
		b.wrong("%s %q: the id %s is given twice", kind, what, id)
	}
	b.d.ids[key(kind, id)] = true
	return id
}

// derivedID is always the same for the same words.
func derivedID(words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return hex.EncodeToString(sum[:16])
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

func domainName(d *domain) string         { return d.Name }
func projectName(p *project) string       { return p.Name }
func roleName(r *role) string             { return r.Name }
func userName(u *user) string             { return u.Name }
func groupName(g *group) string           { return g.Name }
func credentialName(c *credential) string { return c.Name }

func (b *builder) domains(list []domain) {
	for _, v := range list {
		v.ID = b.name("domain", v.ID, "", v.Name)
		b.d.domains[v.ID], b.d.domainNames[v.Name] = &v, &v
	}
}

func (b *builder) projects(list []project) {
	for _, v := range list {
		v.Domain = find(b, fmt.Sprintf("project %q", v.Name), "domain", v.Domain, b.d.domains, domainName)
		v.ID = b.name("project", v.ID, v.Domain, v.Name)
		b.d.projects[v.ID], b.d.projectNames[named{v.Domain, v.Name}] = &v, &v
	}
	for _, v := range b.d.projects {
		if v.Parent == "" {
			continue
		}
		where := fmt.Sprintf("project %q", v.Name)
		v.Parent = find(b, where, "project", v.Parent, b.d.projects, projectName)
		if parent := b.d.projects[v.Parent]; parent != nil && parent.Domain != v.Domain {
			b.wrong("%s: its parent is in another domain", where)
		}
	}
	for _, v := range b.d.projects {
		depth := 1
		for p := v; p.Parent != "" && b.d.projects[p.Parent] != nil && depth <= maxDepth; depth++ {
			p = b.d.projects[p.Parent]
		}
		if depth > maxDepth {
			b.wrong("project %q: more than %d projects are one below the other", v.Name, maxDepth)
		}
	}
}

func (b *builder) roles(list []role) {
	for _, v := range list {
		id := v.ID
		if id == "" {
			id = derivedID("role", "", v.Name)
		}
		b.name("role", id, "", strings.ToLower(v.Name))
		v.ID, v.Implies = id, slices.Clone(v.Implies)
		b.d.roles[v.ID] = &v
	}
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
			b.hash(where, "password_hash", v.PasswordHash)
		}
		if v.DefaultProject != "" {
			v.DefaultProject = find(b, where, "project", v.DefaultProject, b.d.projects, projectName)
		}
		b.d.users[v.ID], b.d.userNames[named{v.Domain, v.Name}] = &v, &v
	}
}

func (b *builder) hash(where, field, text string) {
	if _, err := bcrypt.Cost([]byte(text)); err != nil || len(text) != 60 {
		b.wrong("%s: %s is no bcrypt hash", where, field)
	}
}

func (b *builder) groups(list []group) {
	for _, v := range list {
		where := fmt.Sprintf("group %q", v.Name)
		v.Domain = find(b, where, "domain", v.Domain, b.d.domains, domainName)
		v.ID = b.name("group", v.ID, v.Domain, v.Name)
		var users []string
		for _, text := range v.Users {
			if id := find(b, where, "user", text, b.d.users, userName); !slices.Contains(users, id) {
				users = append(users, id)
			}
		}
		v.Users = users
		b.d.groups[v.ID] = &v
	}
}

func (b *builder) services(list []service) {
	for _, v := range list {
		if v.Type == "" || v.Name == "" {
			b.wrong("service %q: type and name are needed", v.Name)
		}
		if (v.URL == "") != (v.Region == "") {
			b.wrong("service %q: region and url are needed, or neither", v.Name)
		}
		v.ID = b.id("service", v.ID, v.Name, v.Type, v.Name)
		b.d.services = append(b.d.services, v)
		if v.URL == "" {
			continue
		}
		for _, face := range interfaces {
			b.endpoint(fmt.Sprintf("service %q", v.Name), endpoint{
				ID: derivedID("endpoint", v.ID, face), Service: v.ID, Interface: face, Region: v.Region, URL: v.URL,
			})
		}
	}
}

func (b *builder) endpoints(list []endpoint) {
	for i, v := range list {
		where := fmt.Sprintf("endpoint %d", i+1)
		found := ""
		for _, s := range b.d.services {
			if s.ID == v.Service || s.Name == v.Service && found == "" {
				found = s.ID
			}
		}
		if found == "" {
			b.wrong("%s: there is no service %q", where, v.Service)
		}
		if !slices.Contains(interfaces, v.Interface) || v.Region == "" {
			b.wrong("%s: it needs a region, and an interface of public, internal, admin", where)
		}
		v.Service = found
		v.ID = b.id("endpoint", v.ID, where, v.Service, v.Interface, v.Region, v.URL)
		b.endpoint(where, v)
	}
}

func (b *builder) endpoint(where string, v endpoint) {
	v.URL = strings.ReplaceAll(v.URL, "{public_url}", b.d.public)
	if !isURL(v.URL) {
		b.wrong("%s: %q is no http or https URL", where, v.URL)
	}
	b.d.ids[key("endpoint", v.ID)] = true
	b.d.endpoints = append(b.d.endpoints, v)
}

func isURL(text string) bool {
	u, err := url.Parse(strings.ReplaceAll(text, "{project_id}", "x"))
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

func (b *builder) assignments(list []assignment) {
	for i, a := range list {
		where := fmt.Sprintf("assignment %d (user %q, role %q)", i+1, a.User, a.Role)
		before := len(b.errs)
		switch {
		case (a.User == "") == (a.Group == ""):
			b.wrong("%s: give one of user, group", where)
		case a.User != "":
			a.User = find(b, where, "user", a.User, b.d.users, userName)
		default:
			a.Group = find(b, where, "group", a.Group, b.d.groups, groupName)
		}
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
		if a.System && a.Inherited {
			b.wrong("%s: nothing inherits from the system", where)
		}
		if len(b.errs) == before {
			b.d.assignments = append(b.d.assignments, a)
		}
	}
}

func (b *builder) credentials(list []credential) {
	for _, v := range list {
		where := fmt.Sprintf("application credential %q", v.Name)
		v.User = find(b, where, "user", v.User, b.d.users, userName)
		v.Project = find(b, where, "project", v.Project, b.d.projects, projectName)
		v.ID = b.name("application credential", v.ID, v.User, v.Name)
		roles := make([]string, 0, len(v.Roles))
		for _, text := range v.Roles {
			roles = append(roles, find(b, where, "role", text, b.d.roles, roleName))
		}
		if v.Roles = roles; len(roles) == 0 {
			b.wrong("%s: it has no role", where)
		}
		b.hash(where, "secret_hash", v.SecretHash)
		b.d.credentials[v.ID] = &v
	}
}
