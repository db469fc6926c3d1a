package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// login is the body of POST /v3/auth/tokens, checked for its form.
type login struct {
	methods    []string
	password   *passwordLogin
	tokenID    string
	credential *credentialLogin
	scope      scopeRef
}

type passwordLogin struct {
	User struct {
		userRef
		Password *string `json:"password"`
	} `json:"user"`
}

// credentialLogin names an application credential by its id, or by its name and its user.
type credentialLogin struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	User   *userRef `json:"user"`
	Secret *string  `json:"secret"`
}

type userRef struct {
	ID     string     `json:"id"`
	Name   string     `json:"name"`
	Domain *domainRef `json:"domain"`
}

func (u *userRef) isNamed() bool {
	return u != nil && (u.ID != "" || u.Name != "" && u.Domain.isNamed())
}

type domainRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// scopeRef is the scope that is asked for; nothing set: the user's default project or none.
type scopeRef struct {
	unscoped bool
	system   bool
	project  *projectRef
	domain   *domainRef
}

type projectRef struct {
	ID     string     `json:"id"`
	Name   string     `json:"name"`
	Domain *domainRef `json:"domain"`
}

// decodeLogin reads a login. Errors are for the caller.
func decodeLogin(data []byte) (*login, error) {
	var body struct {
		Auth *struct {
			Identity *struct {
				Methods  []string       `json:"methods"`
				Password *passwordLogin `json:"password"`
				Token    *struct {
					ID string `json:"id"`
				} `json:"token"`
				Credential *credentialLogin `json:"application_credential"`
			} `json:"identity"`
			Scope json.RawMessage `json:"scope"`
		} `json:"auth"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&body); err != nil {
		return nil, fmt.Errorf("the body is not the JSON of a login: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the body has more than one JSON value")
	}
	if body.Auth == nil {
		return nil, errors.New("'auth' is a required property")
	}
	if body.Auth.Identity == nil {
		return nil, errors.New("'identity' is a required property")
	}
	l := &login{methods: body.Auth.Identity.Methods}
	if len(l.methods) == 0 {
		return nil, errors.New("'methods' is a required property and must not be empty")
	}
	seen := map[string]bool{}
	for _, method := range l.methods {
		if seen[method] {
			return nil, fmt.Errorf("the method %q is named twice", method)
		}
		seen[method] = true
	}
	if seen["password"] {
		p := body.Auth.Identity.Password
		if p == nil || p.User.Password == nil {
			return nil, errors.New("the method password needs identity.password.user.password")
		}
		if !p.User.isNamed() {
			return nil, errors.New("the user needs an id, or a name and a domain with id or name")
		}
		l.password = p
	}
	if seen["token"] {
		if body.Auth.Identity.Token == nil || body.Auth.Identity.Token.ID == "" {
			return nil, errors.New("the method token needs identity.token.id")
		}
		l.tokenID = body.Auth.Identity.Token.ID
	}
	if seen["application_credential"] {
		c := body.Auth.Identity.Credential
		if c == nil || c.Secret == nil {
			return nil, errors.New("the method application_credential needs identity.application_credential.secret")
		}
		if c.ID == "" && (c.Name == "" || !c.User.isNamed()) {
			return nil, errors.New("the application credential needs an id, or a name and a user with id or with name and domain")
		}
		l.credential = c
	}
	var err error
	l.scope, err = decodeScope(body.Auth.Scope)
	return l, err
}

func (d *domainRef) isNamed() bool { return d != nil && (d.ID != "" || d.Name != "") }

func decodeScope(data json.RawMessage) (scopeRef, error) {
	var s scopeRef
	if len(data) == 0 || string(data) == "null" {
		return s, nil
	}
	if string(data) == `"unscoped"` {
		return scopeRef{unscoped: true}, nil
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil {
		return s, errors.New(`the scope must be an object, or "unscoped"`)
	}
	if len(parts) > 1 {
		return s, errors.New("the scope must be only one of project, domain, system, unscoped")
	}
	for kind, value := range parts {
		switch kind {
		case "unscoped":
			s.unscoped = true
		case "system":
			var system struct {
				All bool `json:"all"`
			}
			if err := json.Unmarshal(value, &system); err != nil || !system.All {
				return s, errors.New(`the system scope must be {"all": true}`)
			}
			s.system = true
		case "domain":
			if err := json.Unmarshal(value, &s.domain); err != nil || !s.domain.isNamed() {
				return s, errors.New("the domain scope needs an id or a name")
			}
		case "project":
			if err := json.Unmarshal(value, &s.project); err != nil || s.project == nil ||
				s.project.ID == "" && (s.project.Name == "" || !s.project.Domain.isNamed()) {
				return s, errors.New("the project scope needs an id, or a name and a domain with id or name")
			}
		default:
			return s, fmt.Errorf("a scope of kind %q is not supported; use project, domain, system or unscoped", kind)
		}
	}
	return s, nil
}

// domainID gives the id of the domain that ref means, or "".
func (d *directory) domainID(ref *domainRef) string {
	if ref == nil {
		return ""
	}
	if ref.ID != "" {
		if d.domains[ref.ID] == nil {
			return ""
		}
		return ref.ID
	}
	if v := d.domainNames[ref.Name]; v != nil {
		return v.ID
	}
	return ""
}

// projectID gives the id of the project that ref means, or "".
func (d *directory) projectID(ref *projectRef) string {
	if ref.ID != "" {
		if d.projects[ref.ID] == nil {
			return ""
		}
		return ref.ID
	}
	if p := d.projectNames[named{d.domainID(ref.Domain), ref.Name}]; p != nil {
		return p.ID
	}
	return ""
}

// findUser gives the user that is meant, or nil.
func (d *directory) findUser(ref *userRef) *user {
	if ref.ID != "" {
		return d.users[ref.ID]
	}
	return d.userNames[named{d.domainID(ref.Domain), ref.Name}]
}

// findCredential gives the application credential that is meant, or nil.
func (d *directory) findCredential(l *credentialLogin) *credential {
	if l.ID != "" {
		return d.credentials[l.ID]
	}
	u := d.findUser(l.User)
	if u == nil {
		return nil
	}
	for _, c := range d.credentials {
		if c.User == u.ID && c.Name == l.Name {
			return c
		}
	}
	return nil
}
