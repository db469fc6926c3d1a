package identity

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
)

// maxCredentials is how many application credentials a user may have.
const maxCredentials = 50

func (s *Service) credentialRoutes(closed func(pattern string, fn caller)) {
	const path = "/v3/users/{user}/application_credentials"
	closed("GET "+path, s.listCredentials)
	closed("POST "+path, s.createCredential)
	closed("GET "+path+"/{id}", s.showCredential)
	closed("DELETE "+path+"/{id}", s.removeCredential)
}

// limited is the grant of an application credential: its roles and what they imply, as long as its
// user has all of them.
func (d *directory) limited(g *grant, c *credential) *grant {
	have := map[string]*role{}
	for _, id := range c.Roles {
		if !slices.ContainsFunc(g.roles, func(r *role) bool { return r.ID == id }) {
			return nil
		}
		d.expand(have, d.roles[id])
	}
	return newGrant(have)
}

// linkedCredential shows an application credential with a link to itself.
func (s *Service) linkedCredential(d *directory, c *credential) object {
	o := d.credentialObject(c)
	o["links"] = object{"self": s.base() + "/v3/users/" + c.User + "/application_credentials/" + c.ID}
	return o
}

func (s *Service) listCredentials(x *session, r *http.Request) (answer, error) {
	id := r.PathValue("user")
	if id != x.user.ID && !x.mayRead() {
		return answer{}, forbidden("identity:list_application_credentials")
	}
	if x.directory.users[id] == nil {
		return answer{}, missing("user", id)
	}
	list := []object{}
	for _, c := range sorted(x.directory.credentials, credentialName) {
		if c.User == id {
			list = append(list, s.linkedCredential(x.directory, c))
		}
	}
	return s.many("application_credentials", filter(list, r.URL.Query()), r), nil
}

func (s *Service) showCredential(x *session, r *http.Request) (answer, error) {
	if r.PathValue("user") != x.user.ID && !x.mayRead() {
		return answer{}, forbidden("identity:get_application_credential")
	}
	c := x.directory.credentials[r.PathValue("id")]
	if c == nil || c.User != r.PathValue("user") {
		return answer{}, missing("application credential", r.PathValue("id"))
	}
	return answer{status: http.StatusOK, body: object{"application_credential": s.linkedCredential(x.directory, c)}}, nil
}

// mayDelegate says whether the session may make and delete application credentials.
func (x *session) mayDelegate() bool { return x.credential == nil || x.credential.Unrestricted }

// createCredential is POST of an application credential: users make their own, for the project of the
// token and with no other roles than the token's.
func (s *Service) createCredential(x *session, r *http.Request) (answer, error) {
	if r.PathValue("user") != x.user.ID || !x.mayDelegate() {
		return answer{}, forbidden("identity:create_application_credential")
	}
	in, err := readFields(r, "application_credential")
	if err != nil {
		return answer{}, err
	}
	v := credential{ID: newID(), User: x.user.ID, Project: x.token.ProjectID}
	given := ""
	in.only("name", "description", "secret", "expires_at", "roles", "unrestricted", "project_id")
	in.name(&v.Name)
	in.text("description", &v.Description)
	in.text("secret", &given)
	in.flag("unrestricted", &v.Unrestricted)
	if v.Project == "" {
		in.refuse("An application credential is made with a token of the project that it is for.")
	} else if !empty(in.values["project_id"]) {
		in.fixed("project_id", v.Project)
	}
	v.Expires = in.time("expires_at", s.options.Now())
	v.Roles = in.roles(x)
	if *in.wrong != nil {
		return answer{}, *in.wrong
	}
	if err := x.directory.freeCredential(&v); err != nil {
		return answer{}, err // before time is spent on the secret
	}
	if given == "" {
		var b [32]byte
		rand.Read(b[:]) // never fails
		given = base64.RawURLEncoding.EncodeToString(b[:])
	}
	if v.SecretHash, err = s.hash(r.Context(), "secret", given); err != nil {
		return answer{}, err
	}
	err = s.change(func(added *document, d *directory) error {
		if now, err := newSession(d, x.token); err != nil || slices.ContainsFunc(v.Roles, func(id string) bool { return !now.hasID(id) }) {
			return refuse(http.StatusUnauthorized, "the token has lost its worth meanwhile")
		}
		added.Credentials = append(added.Credentials, v)
		return d.freeCredential(&v)
	})
	if err != nil {
		return answer{}, err
	}
	o := s.linkedCredential(x.directory, &v)
	o["secret"] = given // shown this once
	return answer{status: http.StatusCreated, body: object{"application_credential": o}}, nil
}

// hasID says whether the session has the role with this id.
func (x *session) hasID(id string) bool {
	return slices.ContainsFunc(x.grant.roles, func(r *role) bool { return r.ID == id })
}

// freeCredential says whether the user may have one more application credential of this name.
func (d *directory) freeCredential(v *credential) error {
	n := 0
	for _, other := range d.credentials {
		if other.User != v.User {
			continue
		}
		if n++; other.Name == v.Name {
			return conflict("application_credential", v.Name)
		}
	}
	if n >= maxCredentials {
		return refuse(http.StatusForbidden, "Unable to create additional application credentials, maximum of %d already exceeded for user.", maxCredentials)
	}
	return nil
}

// roles reads the roles that an application credential is to have; without any, all of the session.
func (f fields) roles(x *session) []string {
	var ids []string
	list, isList := f.values["roles"].([]any)
	if v := f.values["roles"]; v != nil && !isList {
		f.refuse("Invalid input for field 'roles': %v is not of type 'array'.", v)
	}
	for _, one := range list {
		ref, _ := one.(map[string]any)
		id, _ := ref["id"].(string)
		name, _ := ref["name"].(string)
		found := slices.IndexFunc(x.grant.roles, func(r *role) bool { return r.ID == id || id == "" && r.Name == name && name != "" })
		if found < 0 {
			f.refuse("Invalid application credential: Could not find role assignment with role: %s%s, user or group: %s, project, domain, or system: %s.",
				id, name, x.user.ID, x.token.ProjectID)
			return nil
		}
		if id := x.grant.roles[found].ID; !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(list) > 0 {
		return ids
	}
	for _, r := range x.grant.roles {
		ids = append(ids, r.ID)
	}
	return ids
}

// time reads a moment after now; the zero time is none.
func (f fields) time(key string, now time.Time) time.Time {
	if f.values[key] == nil {
		return time.Time{}
	}
	text := ""
	f.text(key, &text)
	for _, layout := range []string{"2006-01-02T15:04:05", time.RFC3339} {
		t, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		if !t.After(now) || t.Year() > 9999 {
			f.refuse("Invalid input for field '%s': the time has passed.", key)
		}
		return t.UTC()
	}
	f.refuse("Invalid input for field '%s': %s is not a time such as 2030-01-31T12:00:00Z.", key, strings.ToValidUTF8(text, "?"))
	return time.Time{}
}

// removeCredential deletes an application credential and ends its tokens.
func (s *Service) removeCredential(x *session, r *http.Request) (answer, error) {
	userID, id := r.PathValue("user"), r.PathValue("id")
	if userID != x.user.ID && !x.isAdmin() || !x.mayDelegate() {
		return answer{}, forbidden("identity:delete_application_credential")
	}
	return answer{status: http.StatusNoContent}, s.remove("application credential", id, func(d *directory) error {
		if d.credentials[id].User != userID {
			return missing("application credential", id)
		}
		return nil
	})
}
