package identity

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Prefix is where the handler belongs: auth_url is http://HOST:PORT/identity/v3.
const Prefix = "/identity"

// maxBody limits a request's body, in bytes.
const maxBody = 64 << 10

// answer is what a handler function gives: a status and a JSON body, nil for none.
type answer struct {
	status int
	body   any
	header map[string]string
}

// caller is a function that answers a request of somebody with a valid token.
type caller func(x *session, r *http.Request) (answer, error)

// Mount puts the handler at its place. Both patterns are needed: with only the second one the mux
// answers a request for Prefix with a redirect that clients of OpenStack don't follow.
func (s *Service) Mount(mux *http.ServeMux) {
	h := s.Handler()
	mux.Handle(Prefix, h)
	mux.Handle(Prefix+"/", h)
}

// Handler serves Keystone's API v3, for paths with or without Prefix. What identity.yaml has can only
// be read through it; what it makes is in a file of its own.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	open := func(pattern string, fn func(*http.Request) (answer, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			a, err := fn(r)
			s.write(w, r, a, err)
		})
	}
	closed := func(pattern string, fn caller) {
		open(pattern, func(r *http.Request) (answer, error) {
			x, err := s.open(r.Header.Get("X-Auth-Token"))
			if err != nil {
				return answer{}, refuse(http.StatusUnauthorized, "%v", err)
			}
			return fn(x, r)
		})
	}
	open("GET /{$}", s.versions)
	open("GET /v3", s.version)
	open("POST /v3/auth/tokens", s.issue)
	closed("GET /v3/auth/tokens", s.validate)
	closed("DELETE /v3/auth/tokens", s.revoke)
	closed("GET /v3/auth/catalog", s.showCatalog)
	closed("GET /v3/auth/projects", s.ownProjects)
	closed("GET /v3/auth/domains", s.ownDomains)
	closed("GET /v3/auth/system", s.ownSystem)
	closed("GET /v3/users/{id}/projects", s.userProjects)
	s.writing(closed)
	for _, c := range collections {
		closed("GET /v3/"+c.plural, s.list(c))
		closed("GET /v3/"+c.plural+"/{id}", s.show(c))
	}
	closed("/", func(_ *session, r *http.Request) (answer, error) {
		return answer{}, refuse(http.StatusNotFound, "The resource could not be found: the built-in identity service has no %s %s.", r.Method, r.URL.Path)
	})
	return plainPath(mux)
}

// plainPath takes Prefix and a trailing slash off the path.
func plainPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cut := func(path string) string {
			if rest, ok := strings.CutPrefix(path, Prefix); ok && (rest == "" || rest[0] == '/') {
				path = rest
			}
			return "/" + strings.Trim(path, "/")
		}
		u := *r.URL
		u.Path = cut(u.Path)
		if u.RawPath != "" {
			u.RawPath = cut(u.RawPath)
		}
		q := *r
		q.URL = &u
		next.ServeHTTP(w, &q)
	})
}

// write sends an answer or an error in Keystone's form.
func (s *Service) write(w http.ResponseWriter, r *http.Request, a answer, err error) {
	h := w.Header()
	h.Set("Vary", "X-Auth-Token")
	h.Set("Cache-Control", "no-store")
	if err != nil {
		a = s.errorAnswer(r, err)
		if a.status == http.StatusUnauthorized {
			h.Set("WWW-Authenticate", `Keystone uri="`+s.base()+`"`)
		}
	}
	for name, value := range a.header {
		h.Set(name, value)
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	data, err := json.Marshal(a.body)
	if err != nil {
		s.options.Log.Error("an answer can't be written as JSON", "path", r.URL.Path, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(data) // the client may be gone
	}
}

func (s *Service) errorAnswer(r *http.Request, err error) answer {
	a := answer{status: http.StatusInternalServerError, header: map[string]string{}}
	text := "An unexpected error prevented the server from fulfilling your request."
	var refused *refusal
	switch {
	case !errors.As(err, &refused):
		s.options.Log.Error("an identity request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	case refused.status == http.StatusUnauthorized:
		// Why is nobody's business but the operator's.
		a.status, text = refused.status, "The request you have made requires authentication."
		s.options.Log.Info("an identity request was not authenticated", "from", clientAddress(r), "reason", refused.text)
	default:
		a.status, text = refused.status, refused.text
		if a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable {
			a.header["Retry-After"] = strconv.Itoa(int(failureEvery / time.Second))
		}
	}
	a.body = object{"error": object{"code": a.status, "title": http.StatusText(a.status), "message": text}}
	return a
}

// base is the public address of the API, without version.
func (s *Service) base() string { return s.options.PublicURL + Prefix }

func (s *Service) versionObject() object {
	return object{
		"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
		"links":       []object{{"rel": "self", "href": s.base() + "/v3/"}},
		"media-types": []object{{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}},
	}
}

func (s *Service) versions(*http.Request) (answer, error) {
	return answer{status: http.StatusMultipleChoices, body: object{"versions": object{"values": []object{s.versionObject()}}}}, nil
}

func (s *Service) version(*http.Request) (answer, error) {
	return answer{status: http.StatusOK, body: object{"version": s.versionObject()}}, nil
}

// issue is POST /v3/auth/tokens.
func (s *Service) issue(r *http.Request) (answer, error) {
	data, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return answer{}, refuse(http.StatusRequestEntityTooLarge, "The request is larger than %d bytes.", maxBody)
		}
		return answer{}, refuse(http.StatusBadRequest, "The request's body could not be read.")
	}
	l, err := decodeLogin(data)
	if err != nil {
		return answer{}, refuse(http.StatusBadRequest, "%v", err)
	}
	x, err := s.logIn(r.Context(), l, clientAddress(r))
	if err != nil {
		return answer{}, err
	}
	return x.answer(http.StatusCreated, r), nil
}

// subject opens the token that the request is about. Whoever asks must be its bearer, an
// administrator or a service.
func (s *Service) subject(x *session, r *http.Request, services bool) (*session, error) {
	text := r.Header.Get("X-Subject-Token")
	if text == "" {
		return nil, refuse(http.StatusBadRequest, "The header X-Subject-Token is missing.")
	}
	y, err := s.open(text)
	own := err == nil && y.user.ID == x.user.ID
	if !own && !x.isAdmin() && !(services && x.has("service")) {
		return nil, forbidden("identity:validate_token")
	}
	if err != nil {
		return nil, refuse(http.StatusNotFound, "Could not find token.")
	}
	return y, nil
}

func (s *Service) validate(x *session, r *http.Request) (answer, error) {
	y, err := s.subject(x, r, true)
	if err != nil {
		return answer{}, err
	}
	return y.answer(http.StatusOK, r), nil
}

func (s *Service) revoke(x *session, r *http.Request) (answer, error) {
	y, err := s.subject(x, r, false)
	if err != nil {
		return answer{}, err
	}
	if err := s.revoked.add(y.token.AuditIDs[0], y.token.Expires); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}

func (s *Service) showCatalog(x *session, _ *http.Request) (answer, error) {
	return answer{status: http.StatusOK, body: object{
		"catalog": x.directory.catalog(x.token.ProjectID), "links": object{"self": s.base() + "/v3/auth/catalog", "next": nil, "previous": nil},
	}}, nil
}

// answer shows the token itself.
func (x *session) answer(status int, r *http.Request) answer {
	d, t := x.directory, x.token
	inDomain := func(id, name, domainID string) object {
		o := object{"id": id, "name": name}
		if v := d.domains[domainID]; v != nil {
			o["domain"] = object{"id": v.ID, "name": v.Name}
		}
		return o
	}
	who := inDomain(x.user.ID, x.user.Name, x.user.Domain)
	who["password_expires_at"] = nil
	body := object{
		"methods": t.Methods, "user": who, "audit_ids": t.AuditIDs, "issued_at": stamp(t.Issued), "expires_at": stamp(t.Expires),
	}
	if c := x.credential; c != nil {
		body["application_credential"] = object{"id": c.ID, "name": c.Name, "restricted": !c.Unrestricted}
	}
	scoped := true
	switch {
	case t.ProjectID != "":
		p := d.projects[t.ProjectID]
		body["project"], body["is_domain"] = inDomain(p.ID, p.Name, p.Domain), false
	case t.DomainID != "":
		body["domain"] = object{"id": t.DomainID, "name": d.domains[t.DomainID].Name}
	case t.System:
		body["system"] = object{"all": true}
	default:
		scoped = false
	}
	if scoped {
		roles := make([]object, 0, len(x.grant.roles))
		for _, r := range x.grant.roles {
			roles = append(roles, object{"id": r.ID, "name": r.Name})
		}
		body["roles"] = roles
		if !r.URL.Query().Has("nocatalog") {
			body["catalog"] = d.catalog(t.ProjectID)
		}
	}
	return answer{status: status, body: object{"token": body}, header: map[string]string{"X-Subject-Token": x.text}}
}

// stamp is a time as Keystone writes it.
func stamp(unix int64) string {
	return time.Unix(unix, 0).UTC().Format("2006-01-02T15:04:05.000000Z")
}
