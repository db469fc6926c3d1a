package keystone

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Session is ourselves at a Keystone, for calls to other services: a token of our own, and where those services are.
type Session struct {
	line *line
	own  session
}

// NewSession makes a Session. It asks nothing yet: a Keystone that comes later will do.
func NewSession(o Options) (*Session, error) {
	l, err := newLine(o)
	if err != nil {
		return nil, err
	}
	return &Session{line: l, own: session{line: l}}, nil
}

// Client is an HTTP client with the options' certificates, time limit and insecure, for the other services too.
func (s *Session) Client() *http.Client { return s.line.client }

// Want says which endpoint of a service is meant.
type Want struct {
	Type      string // of the service: "compute"
	Interface string // public, internal or admin; "internalURL" is internal, as older files have it
	Region    string // "" is any
}

// Endpoint gives our token and a service's endpoint, without a slash at its end. not is a token that the service has
// refused; then a new one is got, and the catalogue with it. "" takes what is known.
func (s *Session) Endpoint(ctx context.Context, w Want, not string) (token, url string, err error) {
	token, answer, err := s.own.both(ctx, not)
	if err != nil {
		return "", "", err
	}
	url, err = endpoint(answer, w)
	return token, url, err
}

// endpoint finds a service in the catalogue of an answer about a token:
// https://docs.openstack.org/api-ref/identity/v3/#password-authentication-with-scoped-authorization
func endpoint(answer []byte, w Want) (string, error) {
	var b struct {
		Token struct {
			Catalog []struct {
				Type      string `json:"type"`
				Endpoints []struct {
					Interface string `json:"interface"`
					Region    string `json:"region"`
					RegionID  string `json:"region_id"`
					URL       string `json:"url"`
				} `json:"endpoints"`
			} `json:"catalog"`
		} `json:"token"`
	}
	if err := json.Unmarshal(answer, &b); err != nil {
		return "", fmt.Errorf("the catalogue of Keystone is not understood: %w", err)
	}
	face := strings.TrimSuffix(w.Interface, "URL")
	for _, service := range b.Token.Catalog {
		if service.Type != w.Type {
			continue
		}
		for _, e := range service.Endpoints {
			if e.Interface == face && (w.Region == "" || e.Region == w.Region || e.RegionID == w.Region) && e.URL != "" {
				return strings.TrimRight(e.URL, "/"), nil
			}
		}
	}
	where := ""
	if w.Region != "" {
		where = " in region " + w.Region
	}
	return "", fmt.Errorf("the catalogue of Keystone has no %s endpoint of a %s service%s", face, w.Type, where)
}

// Forget gives up a token and the catalogue that came with it: services may have moved.
func (s *Session) Forget(token string) {
	s.own.mu.Lock()
	defer s.own.mu.Unlock()
	if s.own.token == token {
		s.own.token = ""
	}
}
