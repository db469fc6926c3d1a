package identity

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
)

// refusal is a login's failure. The caller sees the status and, unless it is 401, the text; the log sees it all.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// logIn checks who it is and makes a token for the scope that is asked for. from is the client's address.
func (s *Service) logIn(ctx context.Context, l *login, from string) (*session, error) {
	d := s.directory.Load()
	t := &token{Methods: l.methods}
	now := s.options.Now()
	t.Issued, t.Expires = now.Unix(), now.Add(s.options.Lifetime).Unix()
	t.AuditIDs = []string{newAuditID()}
	var u *user
	for _, method := range l.methods {
		switch method {
		case "password":
			found, err := s.checkPassword(ctx, d, l.password, from)
			if err != nil {
				return nil, err
			}
			if u != nil && u != found {
				return nil, refuse(http.StatusUnauthorized, "the methods name different users")
			}
			u = found
		case "token":
			old, err := s.open(l.tokenID)
			if err != nil {
				return nil, refuse(http.StatusUnauthorized, "%v", err)
			}
			if u != nil && u.ID != old.user.ID {
				return nil, refuse(http.StatusUnauthorized, "the methods name different users")
			}
			if old.credential != nil {
				return nil, refuse(http.StatusForbidden, "A token of an application credential can't be exchanged for another one.")
			}
			u = d.users[old.user.ID]
			// A rescoped token lives no longer than the one it comes from.
			t.Expires = old.token.Expires
			t.AuditIDs = append(t.AuditIDs, old.token.AuditIDs[len(old.token.AuditIDs)-1])
			t.Methods = union(t.Methods, old.token.Methods)
		case "application_credential":
			if len(l.methods) > 1 || l.scope != (scopeRef{}) {
				return nil, refuse(http.StatusUnauthorized, "an application credential has its own scope, and goes with no other method")
			}
			c, err := s.checkCredential(ctx, d, l.credential, from)
			if err != nil {
				return nil, err
			}
			u, l.scope.project, t.CredentialID = d.users[c.User], &projectRef{ID: c.Project}, c.ID
			if expires := c.Expires.Unix(); !c.Expires.IsZero() && expires < t.Expires {
				t.Expires = expires
			}
		default:
			return nil, refuse(http.StatusUnauthorized, "the method %q is not supported; use password, token or application_credential", method)
		}
	}
	if !d.usable(u) {
		return nil, refuse(http.StatusUnauthorized, "the user or its domain is disabled")
	}
	where, err := d.resolve(u, l.scope)
	if err != nil {
		return nil, err
	}
	t.UserID, t.Fingerprint = u.ID, u.fingerprint()
	t.ProjectID, t.DomainID, t.System = where.ProjectID, where.DomainID, where.System
	x, err := newSession(d, t)
	if err != nil {
		return nil, refuse(http.StatusUnauthorized, "%v", err)
	}
	if x.text, err = t.seal(*s.keys.Load()); err != nil {
		return nil, err
	}
	return x, nil
}

func (s *Service) checkPassword(ctx context.Context, d *directory, p *passwordLogin, from string) (*user, error) {
	u := d.findUser(&p.User.userRef)
	who := p.User.ID + "\x00" + p.User.Name
	if u != nil {
		who = u.ID // however it was named
	}
	if err := s.passwords.check(ctx, u.secret(), *p.User.Password, watchedName(who, from), s.options.Now()); err != nil {
		return nil, loginRefusal(err)
	}
	return u, nil
}

// checkCredential gives the application credential of a login whose secret is right.
func (s *Service) checkCredential(ctx context.Context, d *directory, l *credentialLogin, from string) (*credential, error) {
	c := d.findCredential(l)
	who := "application credential " + l.ID + "\x00" + l.Name
	if c != nil {
		who = c.ID
	}
	if err := s.passwords.check(ctx, c.secret(), *l.Secret, watchedName(who, from), s.options.Now()); err != nil {
		return nil, loginRefusal(err)
	}
	if !c.Expires.IsZero() && !s.options.Now().Before(c.Expires) {
		return nil, refuse(http.StatusUnauthorized, "the application credential has expired")
	}
	return c, nil
}

// watchedName is whom failures are counted for.
func watchedName(who, from string) string {
	if len(who) > 128 {
		who = derivedID(who)
	}
	return who + "\x00" + from
}

// resolve finds the scope that is asked for and checks that the user has a role there.
func (d *directory) resolve(u *user, ref scopeRef) (scope, error) {
	var where scope
	switch {
	case ref.unscoped:
		return scope{}, nil
	case ref.system:
		where.System = true
	case ref.domain != nil:
		where.DomainID = d.domainID(ref.domain)
	case ref.project != nil:
		where.ProjectID = d.projectID(ref.project)
	default:
		where.ProjectID = u.DefaultProject
		if where.ProjectID == "" || d.access(u, where) == nil {
			return scope{}, nil
		}
	}
	if where == (scope{}) || d.access(u, where) == nil {
		return scope{}, refuse(http.StatusUnauthorized, "the scope does not exist, or the user has no role in it")
	}
	return where, nil
}

// union gives a with those of b that it lacks.
func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// clientAddress is the peer's address without its port.
func clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
