// Package api is the door: it matches routes, turns tokens into callers, reads bodies within limits,
// and writes answers and errors in the Networking API's envelopes. What is behind a path is the
// engine's business.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

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
	Extensions    []string      // aliases to show; each must be known to extensions.json
	IdentityURL   string        // told in WWW-Authenticate of a 401
	MaxBody       int64         // bytes; 0: 10 MiB
	BodyTimeout   time.Duration // for a client to send a body; 0: a minute
	PartTimeout   time.Duration // for a client to take each part of a list; 0: 30 s
	TrustProxy    bool          // X-Forwarded-Proto and X-Forwarded-Host are from our own proxy
	Log           *slog.Logger
}

// door is the handler.
type door struct {
	Options
	collections map[string]engine.Collection // by last word of the path, with underscores for hyphens
	prefixes    map[string]bool              // first words of paths such as qos/policies
	extensions  []extension
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
	d := &door{Options: o, collections: map[string]engine.Collection{}, prefixes: map[string]bool{}, metrics: newMetrics()}
	for _, col := range o.Collections {
		path := col.Describe().Collection
		if prefix, rest, found := strings.Cut(path, "/"); found {
			d.prefixes[prefix], path = true, rest
		}
		name := strings.ReplaceAll(path, "-", "_")
		if d.collections[name] != nil {
			return nil, fmt.Errorf("two resources have the path %q", path)
		}
		d.collections[name] = col
	}
	var err error
	if d.extensions, err = knownExtensions(o.Extensions); err != nil {
		return nil, err
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
	r.collection = strings.ReplaceAll(words[0], "-", "_")
	switch r.collection {
	case "extensions":
		return r.showExtensions(words[1:])
	case "quotas":
		return r.quotas(words[1:])
	}
	col := d.collections[r.collection]
	if col == nil {
		return notFound()
	}
	switch len(words) {
	case 1:
		return r.whole(col)
	case 2:
		return r.one(col, words[1])
	case 3:
		if words[2] == "tags" && col.Describe().Taggable {
			return r.tags(col, words[1])
		}
		if r.Method == http.MethodPut {
			return r.act(col, words[1], words[2])
		}
	case 4:
		if words[2] == "tags" && col.Describe().Taggable {
			return r.tag(col, words[1], words[3])
		}
	}
	return notFound()
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
	caller, err := r.door.Authenticator.Authenticate(ctx, token)
	if err != nil {
		return err
	}
	if service := r.Header.Get("X-Service-Token"); service != "" {
		if other, err := r.door.Authenticator.Authenticate(ctx, service); err == nil {
			own := *caller // the authenticator may keep what it gave
			own.ServiceRoles = other.Roles
			caller = &own
		} else if errors.Is(err, identity.ErrUnavailable) {
			return err
		}
	}
	r.caller = caller
	return nil
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
