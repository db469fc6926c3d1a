package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/fernet/fernet-go"

	"neutrino/policy"
)

// Options say how the built-in identity service works.
type Options struct {
	StateDir  string        // made by Bootstrap
	PublicURL string        // where clients reach the server: "http://HOST:PORT"
	Lifetime  time.Duration // of tokens; 0: one hour
	Log       *slog.Logger
	Now       func() time.Time // nil: the clock
}

// Service is the built-in identity service: an Authenticator, and Keystone's API as an http.Handler.
type Service struct {
	options   Options
	directory atomic.Pointer[directory]
	keys      atomic.Pointer[[]*fernet.Key]
	revoked   *revocations
	passwords *passwords
	files     []*watched
}

// Open reads the state directory. The error says every mistake in identity.yaml.
func Open(o Options) (*Service, error) {
	var err error
	if o.PublicURL, err = cleanURL(o.PublicURL); err != nil {
		return nil, err
	}
	if o.Lifetime == 0 {
		o.Lifetime = time.Hour
	}
	if o.Lifetime < 0 {
		return nil, fmt.Errorf("tokens can't live for %s", o.Lifetime)
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Service{options: o}
	if s.passwords, err = newPasswords(); err != nil {
		return nil, fmt.Errorf("prepare password checks: %w", err)
	}
	in := func(name string) string { return filepath.Join(o.StateDir, name) }
	if s.revoked, err = openRevocations(o.StateDir, in(revokedFile), o.Now()); err != nil {
		return nil, err
	}
	s.files = []*watched{
		{what: "identities", path: in(identityFile), read: s.readDirectory},
		{what: "identities made by the API", path: in(addedFile), read: s.readDirectory, optional: true},
		{what: "token keys", path: in(keysDir), read: s.readKeys},
		{what: "revoked tokens", path: in(revokedFile), read: s.revoked.reload},
	}
	for _, w := range s.files {
		if _, err := w.refresh(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Service) readDirectory() error {
	path := filepath.Join(s.options.StateDir, identityFile)
	doc, err := readDocument(path)
	if err != nil {
		return err
	}
	added, err := readAdded(filepath.Join(s.options.StateDir, addedFile))
	if err != nil {
		return err
	}
	d, err := newDirectory(doc, added, s.options.PublicURL)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, u := range d.users {
		if u.Password != "" {
			s.options.Log.Warn("a user's password is in the clear; use password_hash", "file", path, "user", u.Name)
		}
	}
	if info, err := os.Stat(path); err == nil && info.Mode()&0o077 != 0 {
		s.options.Log.Warn("others can read the passwords' hashes; chmod 600 it", "file", path)
	}
	s.directory.Store(d)
	return nil
}

func (s *Service) readKeys() error {
	keys, err := loadKeys(filepath.Join(s.options.StateDir, keysDir))
	if err != nil {
		return err
	}
	s.keys.Store(&keys)
	return nil
}

// Follow reads files of the state directory again when they change, until ctx ends; every is how
// often it looks. Files with mistakes change nothing, and the log says why.
func (s *Service) Follow(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	compacted := s.options.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if now := s.options.Now(); now.Sub(compacted) >= s.options.Lifetime {
			compacted = now
			if err := s.revoked.compact(now); err != nil {
				s.options.Log.Error("expired entries stay in the list of revoked tokens", "error", err)
			}
		}
		for _, w := range s.files {
			switch changed, err := w.refresh(); {
			case err != nil:
				s.options.Log.Error("a changed file is refused; what was before it stays in force", "what", w.what, "file", w.path, "error", err)
			case changed:
				s.options.Log.Info("a changed file is in force", "what", w.what, "file", w.path)
			}
		}
	}
}

// watched is a file or directory that is read again when it changes.
type watched struct {
	what, path string
	read       func() error
	last       os.FileInfo
	lost       bool // it could not be looked at, and that was said
	optional   bool // it need not be there
}

// refresh reads the file if it is another one than at the last call. Each mistake is returned once.
func (w *watched) refresh() (changed bool, err error) {
	now, err := os.Stat(w.path)
	if err != nil {
		if w.lost || w.optional && errors.Is(err, os.ErrNotExist) {
			return false, nil
		}
		w.lost, w.last = true, nil
		return false, fmt.Errorf("look at %s: %w", w.what, err)
	}
	w.lost = false
	if w.last != nil && os.SameFile(w.last, now) && w.last.ModTime().Equal(now.ModTime()) && w.last.Size() == now.Size() {
		return false, nil
	}
	w.last = now
	return true, w.read()
}

// Authenticate implements Authenticator.
func (s *Service) Authenticate(_ context.Context, text string) (*policy.Credentials, error) {
	t, err := s.open(text)
	if err != nil {
		return nil, err
	}
	c := t.credentials
	return &c, nil
}

// session is a valid token with what it is worth now.
type session struct {
	token       *token
	text        string
	directory   *directory
	user        *user
	grant       *grant
	credential  *credential // the application credential that it was made with, if any
	credentials policy.Credentials
}

// open checks a token. The error wraps ErrInvalidToken.
func (s *Service) open(text string) (*session, error) {
	t, err := unseal(text, *s.keys.Load(), s.options.Now())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	if s.revoked.has(t.AuditIDs[0]) {
		return nil, fmt.Errorf("%w: it was revoked", ErrInvalidToken)
	}
	session, err := newSession(s.directory.Load(), t)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	session.text = text
	return session, nil
}

// newSession looks up what a token is worth: nothing once its user or access is gone.
func newSession(d *directory, t *token) (*session, error) {
	u := d.users[t.UserID]
	if !d.usable(u) || u.fingerprint() != t.Fingerprint {
		return nil, errors.New("its user is gone, disabled, or has a new password")
	}
	g := d.access(u, t.scope())
	if g == nil {
		return nil, errors.New("its user has no access to its scope any more")
	}
	x := &session{token: t, directory: d, user: u, grant: g}
	if t.CredentialID != "" {
		c := d.credentials[t.CredentialID]
		if c == nil || c.User != u.ID || c.Project != t.ProjectID {
			return nil, errors.New("its application credential is gone")
		}
		if g = d.limited(g, c); g == nil {
			return nil, errors.New("its user has lost a role of its application credential")
		}
		x.credential, x.grant = c, g
	}
	x.credentials = policy.Credentials{
		UserID: u.ID, UserName: u.Name, UserDomainID: u.Domain,
		DomainID: t.DomainID, SystemScope: t.System, Roles: g.names,
	}
	if p := d.projects[t.ProjectID]; p != nil {
		x.credentials.ProjectID, x.credentials.ProjectName, x.credentials.ProjectDomainID = p.ID, p.Name, p.Domain
	}
	return x, nil
}

// has says whether the session has the role.
func (x *session) has(role string) bool {
	for _, r := range x.grant.names {
		if r == role {
			return true
		}
	}
	return false
}
