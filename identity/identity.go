// Package identity says who calls. Tokens are Keystone's: the rest of the program asks an
// Authenticator and does not care whether a Keystone elsewhere or the built-in one answers.
//
// The built-in one (Service) is for clouds in a box and small installations: it speaks Keystone's v3
// API, reads users, projects and roles from one file, identity.yaml, and keeps no other state than
// token keys and a list of revoked tokens.
package identity

import (
	"context"
	"errors"

	"neutrino/policy"
)

// Authenticator turns a token into the caller's credentials.
type Authenticator interface {
	// Authenticate checks a token. The error wraps ErrInvalidToken when the token is not, or no
	// longer, good (answer 401), and ErrUnavailable when nobody could be asked (answer 503). The
	// credentials are the caller's own copy, but the lists of roles in them are shared: do not write.
	Authenticate(ctx context.Context, token string) (*policy.Credentials, error)
}

// ExpiredAuthenticator is an Authenticator that can check tokens that have expired: a service that finishes what a
// user began shows the user's token beside its own.
type ExpiredAuthenticator interface {
	Authenticator

	// AuthenticateExpired is Authenticate for a token that may have expired, as far as the identity service allows.
	AuthenticateExpired(ctx context.Context, token string) (*policy.Credentials, error)
}

var (
	// ErrInvalidToken: the token is malformed, expired, revoked, or of somebody who has lost access.
	ErrInvalidToken = errors.New("the token is not valid")
	// ErrUnavailable: the identity service could not be asked.
	ErrUnavailable = errors.New("the identity service is not available")
)
