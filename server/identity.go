package server

import (
	"context"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"neutrino/identity"
	"neutrino/keystone"
)

// whois is who checks tokens: a Keystone elsewhere, or the built-in identity service.
type whois struct {
	identity.Authenticator

	url     string // told to clients without a good token
	metrics []prometheus.Collector
	mount   func(mux *http.ServeMux)
	follow  func(ctx context.Context)
}

func openIdentity(o Options) (*whois, error) {
	if o.Keystone.AuthURL == "" {
		return openBuiltIn(o)
	}
	options := o.Keystone.Options
	options.Log = o.Log
	asked, err := keystone.New(options)
	if err != nil {
		return nil, fmt.Errorf("[keystone_authtoken]: %w", err)
	}
	url := o.Keystone.PublicURL
	if url == "" {
		url = o.Keystone.AuthURL
	}
	o.Log.Info("tokens are checked by Keystone", "auth_url", o.Keystone.AuthURL)
	return &whois{
		Authenticator: asked, url: url, metrics: asked.Collectors(),
		mount:  func(*http.ServeMux) {},
		follow: func(context.Context) {},
	}, nil
}

func openBuiltIn(o Options) (*whois, error) {
	if err := identity.Bootstrap(o.StateDir, o.PublicURL); err != nil {
		return nil, fmt.Errorf("set up the identity service: %w", err)
	}
	users, err := identity.Open(identity.Options{StateDir: o.StateDir, PublicURL: o.PublicURL, Log: o.Log})
	if err != nil {
		return nil, fmt.Errorf("open the identity service: %w", err)
	}
	return &whois{
		Authenticator: users, url: o.PublicURL + "/identity/v3",
		mount:  users.Mount,
		follow: func(ctx context.Context) { users.Follow(ctx, follow) },
	}, nil
}
