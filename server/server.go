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
	"neutrino/keystone"
	"neutrino/nova"
	"neutrino/policy"
	"neutrino/store"
)

// Options say how a server runs.
type Options struct {
	StateDir   string   // database, identity, policy, agent secret
	Database   Database // where state is kept; the zero value is neutrino.db in StateDir
	PublicURL  string   // where clients reach the server: "http://HOST:PORT"
	PolicyFile string   // overrides of policy; "" is policy.yaml in StateDir, if it is there
	// PolicyAbsent says that PolicyFile need not be there yet.
	PolicyAbsent bool
	SecretFile   string // what agents show; "" is agent-secret in StateDir; made when it is not there
	Services     ServiceOptions
	Keystone     Keystone
	Nova         *nova.Options // nil: no compute service is told of ports
	OVN          *OVN          // nil: OVN is not among the mechanism drivers
	TrustProxy   bool          // X-Forwarded-Proto and X-Forwarded-Host are from our own proxy
	MaxLimit     int           // pagination_max_limit: most objects that a list gives at once; 0: any number
	Listeners    []net.Listener
	Log          *slog.Logger
}

// Keystone says which Keystone checks tokens; without an AuthURL the built-in identity service does.
type Keystone struct {
	keystone.Options

	PublicURL            string   // www_authenticate_uri: where clients get tokens; "" is AuthURL
	ServiceRoles         []string // service_token_roles
	ServiceRolesRequired bool     // service_token_roles_required
}

// DefaultKeystone has keystonemiddleware's defaults.
func DefaultKeystone() Keystone {
	return Keystone{Options: keystone.Defaults(), ServiceRoles: []string{"service"}}
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
	who, err := openIdentity(o)
	if err != nil {
		return err
	}
	secret, err := agentSecret(o)
	if err != nil {
		return err
	}
	database := o.Database
	if database.Source.Kind == "" {
		database = Database{Source: store.Source{Kind: store.SQLite, Path: filepath.Join(o.StateDir, "neutrino.db")}, AutoUpgrade: true}
	}
	services, err := OpenServices(ctx, database, enforcer, o.Services, o.Log)
	if err != nil {
		return err
	}
	defer func() {
		if err := services.Engine.DB.Close(); err != nil {
			o.Log.Error("the database could not be closed", "error", err)
		}
	}()
	src := newSource(services)
	center := hub.New(journal{services.Engine.DB}, src, src, secret, o.Log)
	hosts := newWatch(services, center, o.Services.Failover, o.Services.AgentDownTime, o.Log)
	metrics := who.metrics
	var sender *nova.Sender
	turn := hosts.turn("nova")
	if o.Nova != nil {
		if sender, err = nova.New(*o.Nova, novaQueue{services, turn}, o.Log); err != nil {
			return err
		}
		metrics = append(metrics, sender.Collectors()...)
	}
	var north *ovnSync
	if o.OVN != nil {
		north = newOVN(services, *o.OVN, o.Services.AgentDownTime, o.Log)
		metrics = append(metrics, north.writer.Collectors()...)
	}
	door, err := api.New(api.Options{
		Engine: services.Engine, Collections: services.Collections(), Authenticator: who.Authenticator,
		ServiceRoles: o.Keystone.ServiceRoles, ServiceRolesRequired: o.Keystone.ServiceRolesRequired,
		Extensions: api.Extensions(services.Network.Extensions()), IdentityURL: who.url, TrustProxy: o.TrustProxy, MaxLimit: o.MaxLimit, Metrics: metrics, Log: o.Log,
	})
	if err != nil {
		return err
	}

	mux := http.NewServeMux()
	who.mount(mux)
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
	group.Go(func() error { return quiet(hosts.run(ctx)) })
	if sender != nil {
		group.Go(func() error { return quiet(tellNova(ctx, sender, turn)) })
	}
	if north != nil {
		group.Go(func() error { return quiet(north.run(ctx)) })
	}
	group.Go(func() error { who.follow(ctx); return nil })
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
	file, may := o.PolicyFile, o.PolicyAbsent
	if file == "" {
		file, may = filepath.Join(o.StateDir, "policy.yaml"), true
	}
	if _, err := os.Stat(file); may && errors.Is(err, os.ErrNotExist) {
		return enforcer, file, nil
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
