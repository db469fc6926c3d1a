package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

func TestFailedLogins(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	try := func(name, password string) int {
		return b.ask("POST", "/v3/auth/tokens", loginBody(name, password, "")).Code
	}
	for _, name := range []string{"demo", "nobody"} {
		for i := range failureBurst {
			if code := try(name, "wrong"); code != 401 {
				t.Fatalf("%s, failure %d: %d", name, i+1, code)
			}
		}
		if code := try(name, "secret"); code != 429 {
			t.Errorf("%s after %d failures: %d", name, failureBurst, code)
		}
	}
	// Another way to name the same user does not help.
	byID := `{"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"u-demo","password":"secret"}}}}}`
	if code := b.ask("POST", "/v3/auth/tokens", byID).Code; code != 429 {
		t.Errorf("by id: %d", code)
	}
	if code := try("alt", "secret"); code != 201 {
		t.Errorf("others are locked out: %d", code)
	}
	b.wait(failureEvery)
	if code := try("demo", "secret"); code != 201 {
		t.Errorf("after a while: %d", code)
	}
	for range 100 {
		if code := try("alt", "secret"); code != 201 {
			t.Fatalf("logins that succeed are limited: %d", code)
		}
	}
}

func TestGuessingAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var wg sync.WaitGroup
	var guesses atomic.Int64
	for range 60 {
		wg.Go(func() {
			if b.ask("POST", "/v3/auth/tokens", loginBody("hashed", "wrong", "")).Code == 401 {
				guesses.Add(1)
			}
		})
	}
	wg.Wait()
	if n := guesses.Load(); n < failureBurst || n >= failureBurst+atOnce {
		t.Errorf("%d guesses went through at once", n)
	}
}

func TestFailuresAreForgotten(t *testing.T) {
	t.Parallel()
	p, err := newPasswords()
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxWatched + 100 {
		p.failed(fmt.Sprint(i), time.Now())
	}
	if len(p.failures) > maxWatched {
		t.Errorf("%d are remembered", len(p.failures))
	}
}

func TestLongPasswords(t *testing.T) {
	t.Parallel()
	p, err := newPasswords()
	if err != nil {
		t.Fatal(err)
	}
	most := strings.Repeat("x", 72)
	hash, err := bcrypt.GenerateFromPassword([]byte(most), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	u := secret{hash: string(hash)}
	if !p.matches(u, most) || p.matches(u, most+"x") || p.matches(u, most[1:]) {
		t.Error("a password is taken by its beginning, or not at all")
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	p, err := newPasswords()
	if err != nil {
		t.Fatal(err)
	}
	for range atOnce {
		p.turn <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := p.check(ctx, secret{}, "x", "x", time.Now()); !errors.Is(err, errBusy) {
		t.Errorf("without a turn: %v", err)
	}
}
