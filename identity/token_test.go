package identity

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := context.Background()
	c, err := b.Authenticate(ctx, b.login("demo", onDemo))
	if err != nil {
		t.Fatal(err)
	}
	if c.UserID != "u-demo" || c.UserName != "demo" || c.ProjectID != demoID || c.ProjectName != "demo" || c.ProjectDomainID != "default" ||
		c.SystemScope || strings.Join(c.Roles, " ") != "member reader" {
		t.Errorf("demo is %+v", c)
	}
	if c, err = b.Authenticate(ctx, b.login("root", onSystem)); err != nil || !c.SystemScope || c.ProjectID != "" || strings.Join(c.Roles, " ") != "admin member reader" {
		t.Errorf("root on the system is %+v, %v", c, err)
	}
	if c, err = b.Authenticate(ctx, b.login("alt", `{"domain":{"id":"default"}}`)); err != nil || c.DomainID != "default" {
		t.Errorf("alt on the domain is %+v, %v", c, err)
	}
	if c, err = b.Authenticate(ctx, b.login("demo", unscoped)); err != nil || len(c.Roles) != 0 || c.ProjectID != "" {
		t.Errorf("demo unscoped is %+v, %v", c, err)
	}
	for _, bad := range []string{"", "x", strings.Repeat("x", 5000), b.login("demo", onDemo)[:100], newBench(t).login("demo", onDemo)} {
		if _, err := b.Authenticate(ctx, bad); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("%.20q gives %v", bad, err)
		}
	}
}

func TestTokensEnd(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, test := range []struct {
		name string
		end  func(b *bench, token string)
	}{
		{"by time", func(b *bench, _ string) { b.wait(time.Hour) }},
		{"by revocation", func(b *bench, token string) {
			if w := b.ask("DELETE", "/v3/auth/tokens", "", "X-Auth-Token", token, "X-Subject-Token", token); w.Code != 204 {
				b.t.Errorf("revoke: %d %s", w.Code, w.Body)
			}
		}},
		{"by an administrator, over a restart", func(b *bench, token string) {
			if w := b.ask("DELETE", "/v3/auth/tokens", "", "X-Auth-Token", b.login("root", onAdmin), "X-Subject-Token", token); w.Code != 204 {
				b.t.Errorf("revoke: %d %s", w.Code, w.Body)
			}
			b.reopen()
		}},
		{"by another server", func(b *bench, token string) {
			other := &bench{t: b.t, dir: b.dir, at: b.at}
			other.reopen()
			if w := other.ask("DELETE", "/v3/auth/tokens", "", "X-Auth-Token", token, "X-Subject-Token", token); w.Code != 204 {
				b.t.Errorf("revoke: %d %s", w.Code, w.Body)
			}
		}},
		{"by a new password", func(b *bench, _ string) {
			b.rewrite(strings.Replace(identities(b.t), "name: demo, domain: default, password: secret", "name: demo, domain: default, password: other", 1))
		}},
		{"by disabling the user", func(b *bench, _ string) {
			b.rewrite(strings.Replace(identities(b.t), "name: demo, domain: default,", "name: demo, domain: default, disabled: true,", 1))
		}},
		{"by removing the user", func(b *bench, _ string) {
			text := strings.ReplaceAll(identities(b.t), "user: demo", "user: alt")
			b.rewrite(strings.Replace(text, "name: demo, domain: default,", "name: demo2, id: u2, domain: default,", 1))
			if err := b.refresh(); err == nil {
				b.t.Error("two ids are accepted")
			}
			b.rewrite(strings.Replace(text, "id: u-demo, name: demo, domain: default,", "id: u2, name: demo, domain: default,", 1))
		}},
		{"by removing the role", func(b *bench, _ string) {
			b.rewrite(strings.Replace(identities(b.t), "- {user: demo, role: member, project: demo}", "", 1))
		}},
		{"by disabling the project", func(b *bench, _ string) {
			b.rewrite(strings.Replace(identities(b.t), "name: demo, domain: Default}", "name: demo, domain: Default, disabled: true}", 1))
		}},
		{"with their key", func(b *bench, _ string) {
			for range 3 {
				if err := RotateKeys(b.dir, 3); err != nil {
					b.t.Fatal(err)
				}
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			token := b.login("demo", onDemo)
			b.wait(59 * time.Minute)
			if _, err := b.Authenticate(ctx, token); err != nil {
				t.Fatalf("before: %v", err)
			}
			test.end(b, token)
			if err := b.refresh(); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Authenticate(ctx, token); !errors.Is(err, ErrInvalidToken) {
				t.Errorf("after: %v", err)
			}
			if w := b.ask("GET", "/v3/auth/tokens", "", "X-Auth-Token", b.login("root", onAdmin), "X-Subject-Token", token); w.Code != 404 {
				t.Errorf("validation after: %d %s", w.Code, w.Body)
			}
		})
	}
}

func TestTokensLive(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token := b.login("demo", onDemo)
	b.wait(50 * time.Minute)
	rescoped := b.ask("POST", "/v3/auth/tokens", rescopeBody(token, unscoped)).Header().Get("X-Subject-Token")
	if err := RotateKeys(b.dir, 3); err != nil {
		t.Fatal(err)
	}
	if err := b.refresh(); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	for _, text := range []string{token, rescoped} {
		if _, err := b.Authenticate(context.Background(), text); err != nil {
			t.Errorf("after a rotation and a restart: %v", err)
		}
	}
	b.wait(11 * time.Minute)
	if _, err := b.Authenticate(context.Background(), rescoped); err == nil {
		t.Error("rescoping makes a token live longer")
	}
}

func TestValidation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	demo, alt, root, nova := b.login("demo", onDemo), b.login("alt", onAlt), b.login("root", onAdmin), b.login("nova", onAdmin)
	for _, test := range []struct {
		method, who, about string
		status             int
	}{
		{"GET", demo, demo, 200},
		{"HEAD", demo, demo, 200},
		{"GET", root, demo, 200},
		{"GET", nova, demo, 200},
		{"GET", alt, demo, 403},
		{"GET", alt, "garbage", 403},
		{"GET", root, "garbage", 404},
		{"GET", "garbage", demo, 401},
		{"GET", "", demo, 401},
		{"GET", demo, "", 400},
		{"DELETE", alt, demo, 403},
		{"DELETE", nova, demo, 403},
		{"DELETE", demo, demo, 204},
		{"GET", demo, demo, 401},
	} {
		w := b.ask(test.method, "/v3/auth/tokens", "", "X-Auth-Token", test.who, "X-Subject-Token", test.about)
		if w.Code != test.status {
			t.Errorf("%s %.8s about %.8s: %d %s, want %d", test.method, test.who, test.about, w.Code, w.Body, test.status)
		}
		if empty := w.Body.Len() == 0; empty != (test.method == "HEAD" || test.status == 204) {
			t.Errorf("%s: body %q", test.method, w.Body)
		}
	}
	w := b.ask("GET", "/v3/auth/tokens?nocatalog", "", "X-Auth-Token", alt, "X-Subject-Token", alt)
	if body := decodeBody(t, w)["token"].(map[string]any); body["catalog"] != nil || body["expires_at"] != "2026-01-02T04:04:05.000000Z" {
		t.Errorf("the token is shown as %v", body)
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			token := b.ask("POST", "/v3/auth/tokens", loginBody("hashed", "secret", onDemo)).Header().Get("X-Subject-Token")
			if _, err := b.Authenticate(context.Background(), token); err != nil {
				t.Error(err)
			}
			if i%2 == 0 {
				b.ask("DELETE", "/v3/auth/tokens", "", "X-Auth-Token", token, "X-Subject-Token", token)
				if _, err := b.Authenticate(context.Background(), token); err == nil {
					t.Error("a revoked token is good")
				}
			}
		})
	}
	wg.Wait()
	if err := b.revoked.reload(); err != nil || len(b.revoked.until) != 10 {
		t.Errorf("%d revocations, %v", len(b.revoked.until), err)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	s := newBench(b)
	token := s.login("demo", onDemo)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Authenticate(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzToken: no text but a token is a token.
func FuzzToken(f *testing.F) {
	b := newBench(f)
	good := b.login("demo", onDemo)
	f.Add("")
	f.Add("gAAAAA")
	f.Add(good[:len(good)-1])
	f.Add(strings.ToUpper(good))
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := b.Authenticate(context.Background(), text); err == nil {
			t.Errorf("%q is accepted", text)
		} else if !errors.Is(err, ErrInvalidToken) {
			t.Error(err)
		}
	})
}
