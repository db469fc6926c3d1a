package keystone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// session is our own token, with which we ask about others.
type session struct {
	line *line

	mu     sync.Mutex
	token  string
	until  time.Time
	answer []byte // what brought it; it has the catalogue
}

// renewBefore is how long before its end our token is renewed.
const renewBefore = time.Minute

// get gives our token; not is one that Keystone has refused.
func (s *session) get(ctx context.Context, not string) (string, error) {
	token, _, err := s.both(ctx, not)
	return token, err
}

// both gives our token and the answer that brought it.
func (s *session) both(ctx context.Context, not string) (token string, answer []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.line.options
	if s.token != "" && s.token != not && o.Now().Add(renewBefore).Before(s.until) {
		return s.token, s.answer, nil
	}
	text, err := loginBody(o)
	if err != nil {
		return "", nil, err
	}
	status, header, answer, err := s.line.send(ctx, http.MethodPost, "/auth/tokens", nil, text)
	if err != nil {
		return "", nil, err
	}
	if status != http.StatusCreated {
		return "", nil, fmt.Errorf("not let in by Keystone: %d: %s; check the user, password and project of [%s]", status, brief(answer), o.Section)
	}
	_, until, err := decode(answer)
	if err != nil {
		return "", nil, err
	}
	token = header.Get("X-Subject-Token")
	if token == "" {
		return "", nil, errors.New("no X-Subject-Token in the answer of Keystone")
	}
	s.token, s.until, s.answer = token, until, answer
	o.Log.Info("got a token of our own from Keystone", "section", o.Section, "until", until)
	return token, answer, nil
}

type object = map[string]any

// loginBody is the request for our own token.
func loginBody(o Options) ([]byte, error) {
	method, proof, err := proof(o)
	if err != nil {
		return nil, err
	}
	auth := object{"identity": object{"methods": []string{method}, method: proof}}
	switch {
	case method == "application_credential": // it has its scope in itself
	case o.SystemScope:
		auth["scope"] = object{"system": object{"all": true}}
	case o.ProjectID != "":
		auth["scope"] = object{"project": object{"id": o.ProjectID}}
	case o.ProjectName != "":
		project := object{"name": o.ProjectName}
		if err := within(project, "project_domain", o.ProjectDomainID, o.ProjectDomainName); err != nil {
			return nil, err
		}
		auth["scope"] = object{"project": project}
	default:
		return nil, errors.New("project_name, project_id or system_scope is missing")
	}
	return json.Marshal(object{"auth": auth})
}

// proof is who we are.
func proof(o Options) (method string, p object, err error) {
	user := object{}
	switch {
	case o.UserID != "":
		user["id"] = o.UserID
	case o.Username != "":
		user["name"] = o.Username
		err = within(user, "user_domain", o.UserDomainID, o.UserDomainName)
	}
	switch {
	case o.ApplicationCredentialID != "":
		return "application_credential", object{"id": o.ApplicationCredentialID, "secret": o.ApplicationCredentialSecret}, nil
	case o.ApplicationCredential != "":
		if len(user) == 0 {
			return "", nil, errors.New("application_credential_name needs username or user_id")
		}
		return "application_credential", object{"name": o.ApplicationCredential, "secret": o.ApplicationCredentialSecret, "user": user}, err
	case len(user) == 0:
		return "", nil, errors.New("username (or user_id, or an application credential) is missing")
	}
	user["password"] = o.Password
	return "password", object{"user": user}, err
}

// within puts the domain of a user or project into its description.
func within(x object, option, id, name string) error {
	switch {
	case id != "":
		x["domain"] = object{"id": id}
	case name != "":
		x["domain"] = object{"name": name}
	default:
		return fmt.Errorf("%s_name or %[1]s_id is missing", option)
	}
	return nil
}
