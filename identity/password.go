package identity

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/time/rate"
)

var (
	errWrongPassword = errors.New("wrong user or password")
	errTooMany       = errors.New("too many failed logins")
	errBusy          = errors.New("too many logins at once")
)

// Limits of password checks.
const (
	failureBurst = 10               // wrong passwords of one user from one address at once
	failureEvery = 6 * time.Second  // one more each
	atOnce       = 2                // password checks running
	patience     = 10 * time.Second // how long a login waits for its turn
	maxWatched   = 10_000           // pairs of user and address remembered
)

// passwords checks passwords: slowly on purpose, a few at once, and not for ever.
type passwords struct {
	turn  chan struct{}
	dummy []byte // a hash to spend time on when there is no such user

	mu       sync.Mutex
	failures map[string]*rate.Limiter
}

func newPasswords() (*passwords, error) {
	dummy, err := bcrypt.GenerateFromPassword([]byte(newID()), bcrypt.DefaultCost)
	if err != nil {
		return nil, err
	}
	return &passwords{turn: make(chan struct{}, atOnce), dummy: dummy, failures: map[string]*rate.Limiter{}}, nil
}

// secret is what a password is held against; with neither set, nothing matches.
type secret struct{ hash, clear string }

// secret of a user, who may be nil: there is none of that name.
func (u *user) secret() secret {
	if u == nil {
		return secret{}
	}
	return secret{u.PasswordHash, u.Password}
}

// secret of an application credential, which may be nil.
func (c *credential) secret() secret {
	if c == nil {
		return secret{}
	}
	return secret{hash: c.SecretHash}
}

// check says whether the password is the secret. who is whom failures are counted for: the user as
// named by the caller, and the caller's address, so that nobody locks others out. Errors are errWrongPassword, errTooMany, errBusy.
func (p *passwords) check(ctx context.Context, is secret, password, who string, now time.Time) error {
	if !p.mayTry(who, now) {
		return errTooMany
	}
	if err := p.wait(ctx); err != nil {
		return err
	}
	defer p.done()
	if !p.mayTry(who, now) { // others may have failed while this one waited
		return errTooMany
	}
	if !p.matches(is, password) {
		p.failed(who, now)
		return errWrongPassword
	}
	return nil
}

// wait gives the caller its turn, which ends with done.
func (p *passwords) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errBusy
	}
}

func (p *passwords) done() { <-p.turn }

func (p *passwords) matches(is secret, password string) bool {
	if is.clear != "" {
		given, want := sha256.Sum256([]byte(password)), sha256.Sum256([]byte(is.clear))
		return subtle.ConstantTimeCompare(given[:], want[:]) == 1
	}
	known := is.hash != ""
	hash := p.dummy
	if known {
		hash = []byte(is.hash)
	}
	// bcrypt looks at no more than 72 bytes; a longer password would match by its beginning.
	same := bcrypt.CompareHashAndPassword(hash, []byte(password)) == nil
	return same && known && len(password) <= 72
}

func (p *passwords) mayTry(who string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.failures[who]
	return l == nil || l.TokensAt(now) >= 1
}

func (p *passwords) failed(who string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.failures[who]
	if l == nil {
		p.makeRoom(now)
		l = rate.NewLimiter(rate.Every(failureEvery), failureBurst)
		p.failures[who] = l
	}
	l.AllowN(now, 1)
}

// makeRoom forgets those who have waited long enough and, if that is not enough, anybody.
func (p *passwords) makeRoom(now time.Time) {
	if len(p.failures) < maxWatched {
		return
	}
	for who, l := range p.failures {
		if l.TokensAt(now) >= failureBurst {
			delete(p.failures, who)
		}
	}
	for who := range p.failures {
		if len(p.failures) < maxWatched {
			return
		}
		delete(p.failures, who)
	}
}
