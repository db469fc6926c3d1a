package keystone

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"neutrino/identity"
	"neutrino/policy"
)

// validate asks Keystone about a token. The error wraps identity.ErrInvalidToken when Keystone refuses the token;
// every other one says that it could not be asked.
func (a *Authenticator) validate(ctx context.Context, token string, expired bool) (*policy.Credentials, time.Time, error) {
	path := "/auth/tokens?nocatalog"
	if expired {
		path += "&allow_expired=1"
	}
	own := ""
	for range 2 { // our own token may have been revoked
		var err error
		if own, err = a.own.get(ctx, own); err != nil {
			return nil, time.Time{}, err
		}
		status, _, answer, err := a.send(ctx, http.MethodGet, path, http.Header{"X-Auth-Token": {own}, "X-Subject-Token": {token}}, nil)
		if err != nil {
			return nil, time.Time{}, err
		}
		switch status {
		case http.StatusOK:
			return decode(answer)
		case http.StatusNotFound:
			return nil, time.Time{}, identity.ErrInvalidToken
		case http.StatusUnauthorized:
			continue
		}
		return nil, time.Time{}, fmt.Errorf("identity service answers %d: %s", status, brief(answer))
	}
	return nil, time.Time{}, errors.New("our own tokens are not taken by Keystone")
}
