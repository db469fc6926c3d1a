package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"neutrino/agent"
	"neutrino/agent/hybrid"
	"neutrino/agent/inspect"
	"neutrino/agent/l2"
	"neutrino/agent/probe"
	"neutrino/agent/stray"
	"neutrino/config"
	"neutrino/desired"
)

// agentCommand is `neutrino agent`.
func agentCommand() *cobra.Command {
	files := configFlags{names: agentFiles}
	var flags agentFlags
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Bring this host to its desired state, for ever",
		Long: `Follow a server and keep this host as it should be: ports wired in Open vSwitch with security groups
(l2), routers (l3), DHCP and DNS (dhcp), metadata for instances (metadata). One process does it all.
Stopping it stops no traffic; a new one goes on where the old one was.

Files that operators of Neutron have are read by --config-file: neutron.conf, openvswitch_agent.ini,
l3_agent.ini, dhcp_agent.ini and metadata_agent.ini. Flags win over files. docs/configuration.md lists the
options, and "neutrino config check --agent" explains a set of files. SIGHUP reads them again.`,
		Example: `  neutrino agent --config-file /etc/neutron/neutron.conf --config-file /etc/neutron/plugins/ml2/openvswitch_agent.ini
  neutrino agent --server http://192.0.2.1:9696 --secret-file /etc/neutrino/agent-secret \
    --tunnel-ip 198.51.100.7 --bridge-mapping physnet1:br-ex`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if os.Getenv("GOGC") == "" { // the memory of a host is its instances'
				debug.SetGCPercent(50)
			}
			read := func() (*agentSettings, []config.Value, error) {
				s := newAgentSettings()
				values, err := files.load(s.options())
				if err == nil {
					err = flags.over(cmd.Flags(), s)
				}
				if err == nil {
					err = s.finish()
				}
				return s, values, err
			}
			s, values, err := read()
			if err != nil {
				return err
			}
			var level slog.LevelVar
			log := levelLogger(&level)
			setDebug(&level, s.debug)
			logValues(log, values)
			secret, err := os.ReadFile(s.secretFile)
			if err != nil {
				return fmt.Errorf("read the agent secret: %w", err)
			}
			secure, err := agent.Trust(s.cafile)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(s.stateDir, 0o700); err != nil {
				return fmt.Errorf("make the state directory: %w", err)
			}
			s.strays = stray.New(s.grace)
			if s.firewall == firewallHybrid {
				s.filter = hybrid.New(log.With("manager", roleL2))
			}
			managers, closeAll, err := hostManagers(s.hostOptions, log)
			if err != nil {
				return err
			}
			defer closeAll()
			probes := probe.New(probe.Options{Host: s.host, TunnelIP: s.tunnelIP, RunDir: s.runDir, Roles: s.roles, Networks: s.networkMetadata(), NoRouters: !s.routerMetadata}, log.With("manager", "probe"))
			defer probes.Close()
			managers = append(managers, probes)
			if err := layoutOf(s.hostOptions, s.servers, s.cafile).Save(s.stateDir); err != nil { // as on a full disk: instances come first
				log.Error("tools will not know the host's layout while the agent does not run", "error", err)
			}
			token := strings.TrimSpace(string(secret))
			started := time.Now().UTC().Format(time.RFC3339)
			var now atomic.Pointer[hostOptions] // what heartbeats say
			now.Store(&s.hostOptions)
			a := agent.New(agent.Options{
				Servers: s.servers, Secret: token, Host: s.host, StateDir: s.stateDir, Metrics: s.metrics, Heartbeat: s.heartbeat, StandDown: s.standDown, Leaving: shuttingDown, TLS: secure,
				Describe: func() []desired.AgentState { return withProbes(describe(*now.Load(), started), probes) },
				Local: func(a *agent.Agent) http.Handler {
					return inspect.Handler(func() inspect.Layout { return layoutOf(*now.Load(), s.servers, s.cafile) }, token, a, s.strays, probes)
				},
				Collectors: []prometheus.Collector{probes},
			}, log, managers...)
			defer onHangup(log, values, func() ([]config.Value, map[string]func(), error) {
				fresh, values, err := read()
				if err != nil {
					return values, nil, err
				}
				return values, map[string]func(){
					"[DEFAULT] debug": func() { setDebug(&level, fresh.debug) },
					"[ovs] bridge_mappings": func() {
						host := *now.Load()
						host.mappings = fresh.mappings
						now.Store(&host)
						if err := layoutOf(host, s.servers, s.cafile).Save(s.stateDir); err != nil {
							log.Error("tools will not know the new mappings while the agent does not run", "error", err)
						}
						for _, m := range managers {
							if switched, ok := m.(*l2.Manager); ok {
								switched.SetMappings(fresh.mappings)
							}
						}
						a.Announce()
					},
				}, nil
			})()
			if err := a.Run(cmd.Context()); cmd.Context().Err() == nil {
				return err
			}
			return nil
		},
	}
	cmd.AddCommand(straysCommand())
	files.add(cmd.Flags())
	flags.add(cmd.Flags())
	return cmd
}

// layoutOf is what tools are told of the host.
func layoutOf(h hostOptions, servers []string, cafile string) inspect.Layout {
	return inspect.Layout{
		Host: h.host, TunnelIP: h.tunnelIP, Mappings: h.mappings, RunDir: h.runDir, Datapath: h.datapath, Roles: h.roles, Servers: servers, CAFile: cafile, Firewall: h.firewall, Metadata: h.networkMetadata(),
	}
}

// agentFlags are what can be said without a file.
type agentFlags struct {
	s        *agentSettings // where flags are kept until files were read
	mappings []string
	tunnelIP string
}

func (f *agentFlags) add(set *pflag.FlagSet) {
	s := newAgentSettings()
	f.s = s
	set.StringArrayVar(&s.servers, "server", s.servers, "base URL of a server; may be given several times, the next is tried when one fails")
	set.StringVar(&s.secretFile, "secret-file", s.secretFile, "file with the secret that the server made (agent-secret in its state directory)")
	set.StringVar(&s.host, "host", s.host, "this host's name, as ports are bound to it")
	set.StringVar(&f.tunnelIP, "tunnel-ip", "", "this host's address for tunnels; without it there are none")
	set.StringArrayVar(&f.mappings, "bridge-mapping", nil, "PHYSICAL_NETWORK:BRIDGE; may be given several times")
	set.StringVar(&s.stateDir, "state-dir", s.stateDir, "where the agent keeps the last known state")
	set.StringSliceVar(&s.roles, "roles", s.roles, "what the agent looks after; on hosts that OVN wires: ovn-metadata")
	set.StringVar(&s.datapath, "datapath-type", s.datapath, "datapath of the bridges that the agent makes: system or netdev")
	set.StringVar(&s.runDir, "ovs-rundir", s.runDir, "where Open vSwitch has its sockets")
	set.StringVar(&s.nova.url, "nova-metadata-url", "", "Nova's metadata service; without it the agent answers instances itself")
	set.StringVar(&s.nova.secretFile, "nova-secret-file", "", "file with metadata_proxy_shared_secret")
	set.StringVar(&s.zone, "availability-zone", s.zone, "zone that the host's DHCP and routers are in")
	set.StringVar(&s.metrics, "metrics", "", "HOST:PORT where Prometheus may read /metrics (default: nowhere but the socket in the state directory)")
	set.DurationVar(&s.grace, "stray-grace", s.grace, "how long things of ours that nothing wants any more may stay")
	set.DurationVar(&s.standDown, "stand-down-after", 0, "give routers and DHCP up after so long without any server, for they may have moved; 0: never, so that traffic outlives the servers")
	set.BoolVar(&s.debug, "verbose", false, "log more")
}

// over puts the flags that were given over what files say.
func (f *agentFlags) over(set *pflag.FlagSet, s *agentSettings) error {
	var err error
	set.Visit(func(given *pflag.Flag) {
		if err != nil {
			return
		}
		switch given.Name {
		case "server":
			s.servers = f.s.servers
		case "secret-file":
			s.secretFile = f.s.secretFile
		case "host":
			s.host = f.s.host
		case "tunnel-ip":
			s.tunnelIP, err = parseTunnelIP(f.tunnelIP)
		case "bridge-mapping":
			s.mappings, err = parseMappings(f.mappings)
		case "state-dir":
			s.stateDir = f.s.stateDir
		case "roles":
			s.roles, err = f.s.roles, checkRoles(f.s.roles)
		case "datapath-type":
			s.datapath = f.s.datapath
		case "ovs-rundir":
			s.runDir = f.s.runDir
		case "nova-metadata-url":
			s.nova.url = f.s.nova.url
		case "nova-secret-file":
			s.nova.secretFile = f.s.nova.secretFile
		case "availability-zone":
			s.zone, err = f.s.zone, checkZone(f.s.zone)
		case "stand-down-after":
			s.standDown = f.s.standDown
		case "metrics":
			s.metrics = f.s.metrics
		case "stray-grace":
			s.grace = f.s.grace
		case "verbose":
			s.debug = f.s.debug
		}
		if err != nil {
			err = fmt.Errorf("--%s: %w", given.Name, err)
		}
	})
	return err
}
