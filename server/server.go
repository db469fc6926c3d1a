package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"neutrino/api"
	"neutrino/hub"
	"neutrino/identity"
	"neutrino/policy"
	"neutrino/service/network"
)

// Options say how a server runs.
type Options struct {
	StateDir   string // database, identity, policy, agent secret
	PublicURL  string // where clients reach the server: "http://HOST:PORT"
	PolicyFile string // overrides of policy; "" is policy.yaml in StateDir, if it is there
	SecretFile string // what agents show; "" is agent-secret in StateDir; made when it is not there
	Network    network.Config
	Listeners  []net.Listener
	Log        *slog.Logger
}

// follow is how often files (policy, identity) are looked at for changes.
const follow = 2 * time.Second

// journalKept is how many journal entries are kept for hosts and readers that come back.
const journalKept = 1 << 20

// Run serves until the context ends, then lets requests finish.
func Run(ctx context.Context, o Options) error {
	if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	enforcer, policyFile, err := openPolicy(o)
	if err != nil {
		return err
	}
	if err := identity.Bootstrap(o.StateDir, o.PublicURL); err != nil {
		return fmt.Errorf("set up the identity service: %w", err)
	}
	users, err := identity.Open(identity.Options{StateDir: o.StateDir, PublicURL: o.PublicURL, Log: o.Log})
	if err != nil {
		return fmt.Errorf("open the identity service: %w", err)
	}
	secret, err := agentSecret(o)
	if err != nil {
		return err
	}
	services, err := OpenServices(ctx, filepath.Join(o.StateDir, "neutrino.db"), enforcer, o.Network, o.Log)
	if err != nil {
		return err
	}
	defer func() {
		if err := services.Engine.DB.Close(); err != nil {
			o.Log.Error("the database could not be closed", "error", err)
		}
	}()
	door, err := api.New(api.Options{
		Engine: services.Engine, Collections: services.Collections(), Authenticator: users,
		Extensions: api.Extensions(), IdentityURL: o.PublicURL + "/identity/v3", Log: o.Log,
	})
	if err != nil {
		return err
	}
	src := newSource(services)
	center := hub.New(journal{services.Engine.DB}, src, src, secret, o.Log)

	mux := http.NewServeMux()
	users.Mount(mux)
	mux.Handle("/agent/", center.Handler())
	mux.Handle("/", door)

	group, ctx := errgroup.WithContext(ctx)
	web := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 256 << 10,
		ErrorLog:    slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	for _, l := range o.Listeners {
		group.Go(func() error {
			if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve on %s: %w", l.Addr(), err)
			}
			return nil
		})
		o.Log.Info("listening", "address", l.Addr().String())
	}
	group.Go(func() error { return quiet(center.Run(ctx)) })
	group.Go(func() error { users.Follow(ctx, follow); return nil })
	group.Go(func() error { enforcer.Follow(ctx, policyFile, follow, o.Log); return nil })
	group.Go(func() error { return quiet(services.tidy(ctx)) })
	group.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		if err := web.Shutdown(stop); err != nil { // streams of hosts never end by themselves
			return web.Close()
		}
		return nil
	})
	o.Log.Info("ready", "public_url", o.PublicURL)
	return group.Wait()
}

// quiet turns the end of the context into no error.
func quiet(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// tidy trims the journal now and then.
func (s *Services) tidy(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Minute):
		}
		if err := s.Engine.DB.Trim(ctx, journalKept); err != nil && ctx.Err() == nil {
			s.Engine.Log.Error("the journal could not be trimmed", "error", err)
		}
	}
}

func openPolicy(o Options) (*policy.Enforcer, string, error) {
	rules, err := policy.Neutron()
	if err != nil {
		return nil, "", fmt.Errorf("read the default policy: %w", err)
	}
	enforcer, err := policy.New(rules)
	if err != nil {
		return nil, "", fmt.Errorf("read the default policy: %w", err)
	}
	file := o.PolicyFile
	if file == "" {
		file = filepath.Join(o.StateDir, "policy.yaml")
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			return enforcer, file, nil
		}
	}
	if err := enforcer.LoadFile(file); err != nil {
		return nil, "", fmt.Errorf("read the policy: %w", err)
	}
	return enforcer, file, nil
}

// agentSecret reads what agents must show, making it when there is none.
func agentSecret(o Options) (string, error) {
	file := o.SecretFile
	if file == "" {
		file = filepath.Join(o.StateDir, "agent-secret")
	}
	b, err := os.ReadFile(file)
	if err == nil {
		if secret := strings.TrimSpace(string(b)); len(secret) >= 16 {
			return secret, nil
		}
		return "", fmt.Errorf("the agent secret in %s is shorter than 16 characters", file)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the agent secret: %w", err)
	}
	var random [24]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	secret := hex.EncodeToString(random[:])
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write the agent secret: %w", err)
	}
	return secret, nil
}
