// Package keystone asks a Keystone who calls: it does the work of keystonemiddleware's auth_token and is set by the
// same options. For calls to other services it gives tokens of our own and their endpoints (Session).
package keystone

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"neutrino/identity"
	"neutrino/policy"
)

// Options are those of [keystone_authtoken], by their names there. Sections for other services ([nova]) have them, too.
type Options struct {
	Section string // where they are from, for messages: "keystone_authtoken"

	AuthURL string // where tokens are checked and got: "http://HOST:5000", with or without /v3

	// Who asks: a user with a password, or an application credential.
	Username, UserID, Password                     string
	UserDomainName, UserDomainID                   string
	ProjectName, ProjectID                         string
	ProjectDomainName, ProjectDomainID             string
	ApplicationCredentialID, ApplicationCredential string // the latter is its name, which needs a user
	ApplicationCredentialSecret                    string
	SystemScope                                    bool // system_scope = all, instead of a project

	CAFile, CertFile, KeyFile string
	Insecure                  bool // the server's certificate is not checked

	CacheTime      time.Duration // token_cache_time: how long an answer is believed; 0 believes none
	RequestTimeout time.Duration // http_connect_timeout, for the whole request
	Retries        int           // http_request_max_retries, after requests that got no answer

	Log *slog.Logger
	Now func() time.Time // nil is time.Now
}

// Defaults are keystonemiddleware's.
func Defaults() Options {
	return Options{Section: "keystone_authtoken", CacheTime: 300 * time.Second, RequestTimeout: 10 * time.Second, Retries: 3}
}

// Authenticator checks tokens at a Keystone. It implements identity.Authenticator and identity.ExpiredAuthenticator.
type Authenticator struct {
	*line

	own     session
	answers cache
	flights singleflight.Group
	metrics metrics
}

// New makes an Authenticator. It asks nothing yet: a Keystone that comes later will do.
func New(o Options) (*Authenticator, error) {
	l, err := newLine(o)
	if err != nil {
		return nil, err
	}
	return &Authenticator{line: l, own: session{line: l}, answers: cache{limit: maxAnswers}, metrics: newMetrics()}, nil
}

// maxAnswers bounds the answers that are remembered.
const maxAnswers = 50000

// Authenticate implements identity.Authenticator.
func (a *Authenticator) Authenticate(ctx context.Context, token string) (*policy.Credentials, error) {
	return a.check(ctx, token, false)
}

// AuthenticateExpired implements identity.ExpiredAuthenticator: a token is good for as long after its end as
// Keystone's allow_expired_window says.
func (a *Authenticator) AuthenticateExpired(ctx context.Context, token string) (*policy.Credentials, error) {
	return a.check(ctx, token, true)
}

// maxToken bounds a token's length; Keystone's own are below 300 bytes.
const maxToken = 8192

func (a *Authenticator) check(ctx context.Context, token string, expired bool) (*policy.Credentials, error) {
	if len(token) > maxToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, identity.ErrInvalidToken
	}
	key := question{sha256.Sum256([]byte(token)), expired}
	if known, ok := a.answers.get(key, a.options.Now()); ok {
		a.metrics.cached.Inc()
		return known.copy(), known.err
	}
	// The requests of all who wait for this token are one, which does not end with the first of them.
	done := a.flights.DoChan(string(key.token[:])+map[bool]string{true: "x"}[expired], func() (any, error) {
		return a.ask(context.WithoutCancel(ctx), key, token)
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: it did not answer in time", identity.ErrUnavailable)
	case r := <-done:
		if r.Err != nil {
			return nil, r.Err
		}
		answer := r.Val.(*answer)
		return answer.copy(), answer.err
	}
}

// refusedFor is how long a token that Keystone refused is refused without asking.
const refusedFor = 5 * time.Second

// ask asks Keystone about a token and remembers the answer.
func (a *Authenticator) ask(ctx context.Context, key question, token string) (*answer, error) {
	began := a.options.Now()
	caller, until, err := a.validate(ctx, token, key.expired)
	a.metrics.asked(err, a.options.Now().Sub(began))
	switch {
	case err == nil:
		end := began.Add(a.options.CacheTime)
		if !key.expired && until.Before(end) {
			end = until
		}
		known := &answer{caller: caller, until: end}
		a.answers.put(key, known)
		return known, nil
	case errors.Is(err, identity.ErrInvalidToken):
		known := &answer{err: err, until: began.Add(min(refusedFor, a.options.CacheTime))}
		a.answers.put(key, known)
		return known, nil
	}
	a.options.Log.Warn("Keystone could not be asked", "error", err)
	return nil, fmt.Errorf("%w: %w", identity.ErrUnavailable, err)
}
