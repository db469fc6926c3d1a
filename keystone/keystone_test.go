package keystone_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"neutrino/identity"
	"neutrino/keystone"
	"neutrino/keystone/keystonetest"
)

// with makes an authenticator that asks as user neutron of project service.
func with(t testing.TB, url string, change func(o *keystone.Options)) *keystone.Authenticator {
	t.Helper()
	o := keystone.Defaults()
	o.AuthURL, o.Username, o.Password, o.ProjectName = url, "neutron", "neutron", "service"
	o.UserDomainID, o.ProjectDomainName = "default", "Default"
	o.RequestTimeout, o.Log = time.Minute, slog.New(slog.DiscardHandler)
	if change != nil {
		change(&o)
	}
	a, err := keystone.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestRealKeystone asks a real one all that it can be asked.
func TestRealKeystone(t *testing.T) {
	t.Parallel()
	k := keystonetest.Start(t, "[token]\nexpiration = 3600\nallow_expired_window = 3600")
	service := k.Project(t, "service")
	neutron := k.User(t, "neutron", service, "admin", "service")
	demo := k.Project(t, "demo")
	ctx := t.Context()
	var later atomic.Int64 // seconds by which the authenticator's clock is ahead
	a := with(t, k.URL, func(o *keystone.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load()) * time.Second) }
	})

	t.Run("roles", func(t *testing.T) {
		for _, role := range []string{"admin", "manager", "member", "reader", "service"} {
			user := k.User(t, "u-"+role, demo, role)
			c, err := a.Authenticate(ctx, k.As(t, "u-"+role, demo))
			if err != nil {
				t.Fatal(err)
			}
			if c.UserID != user || c.UserName != "u-"+role || c.ProjectID != demo || c.ProjectName != "demo" || c.ProjectDomainID != "default" ||
				c.UserDomainID != "default" || c.SystemScope || !slices.Contains(c.Roles, role) {
				t.Errorf("%s: %+v", role, c)
			}
			if implied := slices.Contains(c.Roles, "reader"); role == "member" && !implied {
				t.Errorf("a member is no reader: %+v", c)
			}
		}
	})
	t.Run("scopes", func(t *testing.T) {
		k.Do(t, "PUT", "/system/users/"+neutron+"/roles/"+k.Role(t, "admin"), "", 204)
		c, err := a.Authenticate(ctx, k.As(t, "neutron", "system"))
		if err != nil || !c.SystemScope || c.ProjectID != "" {
			t.Errorf("system: %+v %v", c, err)
		}
		k.Do(t, "PUT", "/domains/default/users/"+neutron+"/roles/"+k.Role(t, "admin"), "", 204)
		c, err = a.Authenticate(ctx, k.Login(t, `{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "neutron", "domain": {"id": "default"}, "password": "neutron"}}}, "scope": {"domain": {"id": "default"}}}}`))
		if err != nil || c.DomainID != "default" || c.ProjectID != "" {
			t.Errorf("domain: %+v %v", c, err)
		}
		system := with(t, k.URL, func(o *keystone.Options) { o.SystemScope = true })
		if _, err := system.Authenticate(ctx, k.As(t, "u-reader", demo)); err != nil {
			t.Errorf("asking with a token of the system: %v", err)
		}
	})
	t.Run("application credentials", func(t *testing.T) {
		user := k.User(t, "app", demo, "member")
		token := k.As(t, "app", demo)
		admin := k.Token
		k.Token = token
		made := k.Do(t, "POST", "/users/"+user+"/application_credentials", `{"application_credential": {"name": "robot", "secret": "s3cret", "roles": [{"name": "reader"}]}}`, 201)
		k.Token = admin
		id := made["application_credential"].(map[string]any)["id"].(string)
		c, err := a.Authenticate(ctx, k.Login(t, `{"auth": {"identity": {"methods": ["application_credential"], "application_credential": {"id": "`+id+`", "secret": "s3cret"}}}}`))
		if err != nil || c.ProjectID != demo || !slices.Equal(c.Roles, []string{"reader"}) {
			t.Errorf("%+v %v", c, err)
		}
		// The server itself may come with one, by its id or by its name.
		k.Token = k.As(t, "neutron", service)
		made = k.Do(t, "POST", "/users/"+neutron+"/application_credentials", `{"application_credential": {"name": "server", "secret": "s3cret"}}`, 201)
		k.Token = admin
		for _, by := range []func(o *keystone.Options){
			func(o *keystone.Options) {
				o.Username, o.ApplicationCredentialID = "", made["application_credential"].(map[string]any)["id"].(string)
			},
			func(o *keystone.Options) { o.ApplicationCredential = "server" },
		} {
			own := with(t, k.URL, func(o *keystone.Options) { by(o); o.ApplicationCredentialSecret = "s3cret" })
			if _, err := own.Authenticate(ctx, token); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("refused", func(t *testing.T) {
		for _, token := range []string{"", "nonsense", strings.Repeat("x", 100), strings.Repeat("x", 9000), "a\nb", "gAAAAABmaybe"} {
			if _, err := a.Authenticate(ctx, token); !errors.Is(err, identity.ErrInvalidToken) {
				t.Errorf("%.20q: %v", token, err)
			}
		}
	})
	t.Run("revoked within the cache's bound", func(t *testing.T) {
		token := k.As(t, "u-member", demo)
		if _, err := a.Authenticate(ctx, token); err != nil {
			t.Fatal(err)
		}
		k.Revoke(t, token)
		if _, err := a.Authenticate(ctx, token); err != nil {
			t.Errorf("the answer was not remembered: %v", err)
		}
		later.Store(301)
		if _, err := a.Authenticate(ctx, token); !errors.Is(err, identity.ErrInvalidToken) {
			t.Errorf("a revoked token after the cache's time: %v", err)
		}
	})
	t.Run("our own token revoked", func(t *testing.T) {
		k.Do(t, "PATCH", "/users/"+neutron, `{"user": {"password": "changed"}}`, 200) // ends its tokens
		k.Do(t, "PATCH", "/users/"+neutron, `{"user": {"password": "neutron"}}`, 200)
		time.Sleep(1100 * time.Millisecond) // Keystone ends what was made in the same second, too
		if _, err := a.Authenticate(ctx, k.As(t, "u-admin", demo)); err != nil {
			t.Errorf("%v", err)
		}
		wrong := with(t, k.URL, func(o *keystone.Options) { o.Password = "wrong" })
		if _, err := wrong.Authenticate(ctx, k.Token); !errors.Is(err, identity.ErrUnavailable) || !strings.Contains(err.Error(), "not let in by Keystone") {
			t.Errorf("a wrong password of ours: %v", err)
		}
	})
	t.Run("down, hanging, and back", func(t *testing.T) {
		known, fresh := k.As(t, "u-reader", demo), k.As(t, "u-member", demo)
		long := with(t, k.URL, func(o *keystone.Options) { o.Retries = 1 })
		if _, err := long.Authenticate(ctx, known); err != nil {
			t.Fatal(err)
		}
		k.Kill(t)
		if _, err := long.Authenticate(ctx, fresh); !errors.Is(err, identity.ErrUnavailable) {
			t.Errorf("down: %v", err)
		}
		if _, err := long.Authenticate(ctx, known); err != nil {
			t.Errorf("what is known needs no Keystone: %v", err)
		}
		k.Run(t)
		time.Sleep(time.Second)
		if _, err := long.Authenticate(ctx, fresh); err != nil {
			t.Errorf("back: %v", err)
		}
		short := with(t, k.URL, func(o *keystone.Options) { o.RequestTimeout, o.Retries = 10*time.Second, 0 })
		if _, err := short.Authenticate(ctx, known); err != nil {
			t.Fatal(err)
		}
		other := k.As(t, "u-manager", demo)
		k.Signal(t, syscall.SIGSTOP)
		if _, err := short.Authenticate(ctx, other); !errors.Is(err, identity.ErrUnavailable) {
			t.Errorf("hanging: %v", err)
		}
		k.Signal(t, syscall.SIGCONT)
		var err error
		for range 60 {
			time.Sleep(time.Second)
			if _, err = short.Authenticate(ctx, other); err == nil {
				break
			}
		}
		if err != nil {
			t.Errorf("hangs no more: %v", err)
		}
	})
}

// TestExpiredTokens: with real expiry.
func TestExpiredTokens(t *testing.T) {
	t.Parallel()
	k := keystonetest.Start(t, "[token]\nexpiration = 60\nallow_expired_window = 3600")
	project := k.Project(t, "service")
	k.User(t, "neutron", project, "admin", "service")
	a := with(t, k.URL, nil)
	token := k.As(t, "neutron", project)
	if _, err := a.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	time.Sleep(60500 * time.Millisecond) // and our own token has expired, too
	if _, err := a.Authenticate(t.Context(), token); !errors.Is(err, identity.ErrInvalidToken) {
		t.Errorf("it is remembered beyond its end: %v", err)
	}
	if c, err := a.AuthenticateExpired(t.Context(), token); err != nil || c.ProjectID != project {
		t.Errorf("with a service: %+v %v", c, err)
	}
	if _, err := a.Authenticate(t.Context(), token); !errors.Is(err, identity.ErrInvalidToken) {
		t.Errorf("and without one again: %v", err)
	}
}

// TestOneQuestion: many requests with one token ask once; a Keystone that is away is not asked by each. The Keystone
// here is a stub, for a real one does not count.
func TestOneQuestion(t *testing.T) {
	var asked, failing atomic.Int64
	stub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if failing.Load() > 0 {
			failing.Add(1)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if r.Method == http.MethodPost {
			w.Header().Set("X-Subject-Token", "own")
			w.WriteHeader(http.StatusCreated)
		} else {
			asked.Add(1)
			time.Sleep(50 * time.Millisecond)
		}
		_, _ = w.Write([]byte(`{"token": {"expires_at": "2999-01-01T00:00:00Z", "user": {"id": "u"}, "project": {"id": "p"}, "roles": [{"name": "member"}]}}`))
	}))
	defer stub.Close()
	a := with(t, stub.URL+"/", nil)
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if c, err := a.Authenticate(context.Background(), "token"); err != nil || c.UserID != "u" {
				t.Errorf("%+v %v", c, err)
			}
		})
	}
	group.Wait()
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	failing.Store(1)
	for range 50 {
		if _, err := a.Authenticate(context.Background(), "another"); !errors.Is(err, identity.ErrUnavailable) {
			t.Error(err)
		}
	}
	if n := failing.Load() - 1; n > 8 {
		t.Errorf("a Keystone that fails was asked %d times at once", n)
	}
}

func TestOptions(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(o *keystone.Options)
		want   string
	}{
		{"no URL", func(o *keystone.Options) { o.AuthURL = "" }, "auth_url is missing"},
		{"no scheme", func(o *keystone.Options) { o.AuthURL = "keystone:5000" }, "http://"},
		{"no user", func(o *keystone.Options) { o.Username = "" }, "username"},
		{"no domain", func(o *keystone.Options) { o.UserDomainID = "" }, "user_domain_name"},
		{"no project", func(o *keystone.Options) { o.ProjectName = "" }, "project_name"},
		{"no domain of the project", func(o *keystone.Options) { o.ProjectDomainName = "" }, "project_domain_name"},
		{"no certificates", func(o *keystone.Options) { o.CAFile = "/nowhere" }, "cafile"},
	} {
		o := keystone.Defaults()
		o.AuthURL, o.Username, o.ProjectName, o.UserDomainID, o.ProjectDomainName = "http://k:5000", "u", "p", "default", "Default"
		test.change(&o)
		if _, err := keystone.New(o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
