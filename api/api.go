// Package api is the door: it matches routes, turns tokens into callers, reads bodies within limits,
// and writes answers and errors in the Networking API's envelopes. What is behind a path is the
// engine's business.
package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"neutrino/engine"
	"neutrino/fault"
	"neutrino/identity"
	"neutrino/policy"
)

// Options say what the door opens to.
type Options struct {
	Engine        *engine.Engine
	Collections   []engine.Collection
	Authenticator identity.Authenticator

	// ServiceRoles are the roles of services whose X-Service-Token lets a user's token be good after its end
	// (service_token_roles); with ServiceRolesRequired no other service token is taken.
	ServiceRoles         []string
	ServiceRolesRequired bool

	Extensions  []string               // aliases to show; each must be known to extensions.json
	IdentityURL string                 // told in WWW-Authenticate of a 401
	MaxBody     int64                  // bytes; 0: 10 MiB
	MaxLimit    int                    // most objects that a list gives at once (pagination_max_limit); 0: any number
	BodyTimeout time.Duration          // for a client to send a body; 0: a minute
	PartTimeout time.Duration          // for a client to take each part of a list; 0: 30 s
	Metrics     []prometheus.Collector // shown at /metrics beside the door's own
	TrustProxy  bool                   // X-Forwarded-Proto and X-Forwarded-Host are from our own proxy
	Log         *slog.Logger
}

// door is the handler.
type door struct {
	Options
	collections map[string]engine.Collection // by last word of the path, with underscores for hyphens
	below       map[string]engine.Collection // sub-resources by "floatingips/port_forwardings"
	prefixes    map[string]bool              // first words of paths such as qos/policies
	extensions  []extension
	openapi     []byte // the document that describes it all
	metrics     *metrics
}

// New makes the handler for /, /v2.0, /healthcheck and /metrics. It fails on an extension that it
// does not know.
func New(o Options) (http.Handler, error) {
	if o.MaxBody == 0 {
		o.MaxBody = 10 << 20
	}
	if o.BodyTimeout == 0 {
		o.BodyTimeout = time.Minute
	}
	if o.PartTimeout == 0 {
		o.PartTimeout = 30 * time.Second
	}
	d := &door{Options: o, collections: map[string]engine.Collection{}, below: map[string]engine.Collection{}, prefixes: map[string]bool{}, metrics: newMetrics(o.Metrics)}
	for _, col := range o.Collections {
		described := col.Describe()
		path := described.Collection
		if described.Below != "" {
			name := underscored(described.Below + "/" + path)
			if d.below[name] != nil {
				return nil, fmt.Errorf("two resources have the path %q", name)
			}
			d.below[name] = col
			continue
		}
		if prefix, rest, found := strings.Cut(path, "/"); found {
			d.prefixes[prefix], path = true, rest
		}
		name := underscored(path)
		if d.collections[name] != nil {
			return nil, fmt.Errorf("two resources have the path %q", path)
		}
		d.collections[name] = col
	}
	var err error
	if d.extensions, err = knownExtensions(o.Extensions); err != nil {
		return nil, err
	}
	if d.openapi, err = OpenAPI(o.Collections, o.Engine.Policy.Has); err != nil {
		return nil, fmt.Errorf("describe the API: %w", err)
	}
	return d, nil
}

// ServeHTTP implements http.Handler.
func (d *door) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r := newRequest(d, w, req)
	w.Header().Set("X-Openstack-Request-Id", r.id)
	defer r.finish()
	if err := d.route(r); err != nil {
		r.fail(err)
	}
}

// route finds what a path means.
func (d *door) route(r *request) error {
	path := strings.TrimSuffix(r.URL.Path, ".json")
	switch path {
	case "/":
		return r.versions()
	case "/healthcheck":
		return r.text(http.StatusOK, "OK")
	case "/metrics":
		d.metrics.handler.ServeHTTP(r.writer, r.Request)
		return nil
	}
	if r.URL.Path == "/openapi.json" {
		r.write(http.StatusOK, "application/json", d.openapi)
		return nil
	}
	rest, ok := strings.CutPrefix(path, "/v2.0/")
	if !ok {
		return notFound()
	}
	if err := r.authenticate(); err != nil {
		return err
	}
	if rest == "" {
		return r.resources()
	}
	words := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	if d.prefixes[words[0]] && len(words) > 1 {
		words = words[1:]
	}
	r.collection = underscored(words[0])
	if r.collection == "extensions" {
		return r.showExtensions(words[1:])
	}
	if r.Method == http.MethodDelete {
		if err := r.noBody(); err != nil {
			return err
		}
	}
	if r.collection == "quotas" {
		return r.quotas(words[1:])
	}
	col := d.collections[r.collection]
	if col == nil {
		return notFound()
	}
	if len(words) >= 3 {
		if below := d.below[r.collection+"/"+underscored(words[2])]; below != nil {
			return r.below(below, words[1], words[3:])
		}
	}
	return r.object(col, words[1:])
}

// object serves a collection, one of its objects, or what is below that.
func (r *request) object(col engine.Collection, words []string) error {
	switch len(words) {
	case 0:
		return r.whole(col)
	case 1:
		return r.one(col, words[0])
	}
	if words[1] == "tags" && col.Describe().Taggable {
		switch len(words) {
		case 2:
			return r.tags(col, words[0])
		case 3:
			return r.tag(col, words[0], words[2])
		}
		return notFound()
	}
	if len(words) <= 3 {
		return r.act(col, words[0], words[1:])
	}
	return notFound()
}

// below serves the sub-resources of one parent.
func (r *request) below(col engine.Collection, parent string, words []string) error {
	r.collection = underscored(col.Describe().Plural)
	r.Request = r.Request.WithContext(engine.WithParent(r.Context(), parent))
	return r.object(col, words)
}

func notFound() error { return fault.NotFound("HTTPNotFound", "The resource could not be found.") }

func notAllowed() error {
	return fault.New(http.StatusMethodNotAllowed, "HTTPMethodNotAllowed",
		"The server could not comply with the request since it is either malformed or otherwise incorrect.")
}

// authenticate turns the tokens into the caller.
func (r *request) authenticate() error {
	token := r.Header.Get("X-Auth-Token")
	if token == "" {
		return identity.ErrInvalidToken
	}
	ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
	defer cancel()
	service, err := r.service(ctx)
	if err != nil {
		return err
	}
	check := r.door.Authenticator.Authenticate
	if expired, can := r.door.Authenticator.(identity.ExpiredAuthenticator); can && service != nil && r.door.passesOn(service) {
		check = expired.AuthenticateExpired
	}
	caller, err := check(ctx, token)
	if err != nil {
		return err
	}
	if service != nil {
		own := *caller // the authenticator may keep what it gave
		own.ServiceRoles = service.Roles
		caller = &own
	}
	r.caller = caller
	return nil
}

// service is the service that passes a user's request on, by the token that it shows beside the user's; nil is none.
func (r *request) service(ctx context.Context) (*policy.Credentials, error) {
	token := r.Header.Get("X-Service-Token")
	if token == "" {
		return nil, nil
	}
	service, err := r.door.Authenticator.Authenticate(ctx, token)
	if err == nil && r.door.ServiceRolesRequired && !r.door.passesOn(service) {
		err = identity.ErrInvalidToken
	}
	return service, err
}

// passesOn says whether somebody has a role of services that may pass requests on.
func (o *Options) passesOn(service *policy.Credentials) bool {
	return slices.ContainsFunc(service.Roles, func(role string) bool { return slices.Contains(o.ServiceRoles, role) })
}

// project is the caller's; "" before authentication.
func (r *request) project() string {
	if r.caller == nil {
		return ""
	}
	return r.caller.ProjectID
}

// user is the caller's id; "" before authentication.
func (r *request) user() string {
	if r.caller == nil {
		return ""
	}
	return r.caller.UserID
}

var _ policy.Target = projectTarget("")

// projectTarget is an object of a project, for rules that only ask whose it is.
type projectTarget string

// Attr implements policy.Target.
func (p projectTarget) Attr(name string) (any, bool) {
	if name == "project_id" || name == "tenant_id" {
		return string(p), true
	}
	return nil, false
}
