package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"neutrino/agent"
	"neutrino/desired"
)

// agentCommand is `neutrino agent`.
func agentCommand() *cobra.Command {
	var o hostOptions
	var servers, mappings []string
	var secretFile, tunnelIP string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Bring this host to its desired state, for ever",
		Long: `Follow a server and keep this host as it should be: ports wired in Open vSwitch with security groups
(l2), routers (l3), DHCP and DNS (dhcp), metadata for instances (metadata). One process does it all.
Stopping it stops no traffic; a new one goes on where the old one was.`,
		Example: `  neutrino agent --server http://192.0.2.1:9696 --secret-file /etc/neutrino/agent-secret \
    --tunnel-ip 198.51.100.7 --bridge-mapping physnet1:br-ex`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log := logger(verbose)
			secret, err := os.ReadFile(secretFile)
			if err != nil {
				return fmt.Errorf("read the agent secret: %w", err)
			}
			if tunnelIP != "" {
				if o.tunnelIP, err = netip.ParseAddr(tunnelIP); err != nil {
					return fmt.Errorf("--tunnel-ip: %w", err)
				}
			}
			if o.mappings, err = parseMappings(mappings); err != nil {
				return err
			}
			for _, role := range o.roles {
				if !slices.Contains(allRoles, role) {
					return fmt.Errorf("role %q is none of %s", role, strings.Join(allRoles, ", "))
				}
			}
			if err := os.MkdirAll(o.stateDir, 0o700); err != nil {
				return fmt.Errorf("make the state directory: %w", err)
			}
			managers, closeAll, err := hostManagers(o, log)
			if err != nil {
				return err
			}
			defer closeAll()
			started := time.Now().UTC().Format(time.RFC3339)
			a := agent.New(agent.Options{
				Servers: servers, Secret: strings.TrimSpace(string(secret)), Host: o.host, StateDir: o.stateDir,
				Describe: func() []desired.AgentState { return describe(o, started) },
			}, log, managers...)
			if err := a.Run(cmd.Context()); cmd.Context().Err() == nil {
				return err
			}
			return nil
		},
	}
	hostname, err := os.Hostname()
	if err != nil {
		hostname = ""
	}
	f := cmd.Flags()
	f.StringArrayVar(&servers, "server", []string{"http://127.0.0.1:9696"}, "base URL of a server; may be given several times, the next is tried when one fails")
	f.StringVar(&secretFile, "secret-file", filepath.Join("/etc", "neutrino", "agent-secret"), "file with the secret that the server made (agent-secret in its state directory)")
	f.StringVar(&o.host, "host", hostname, "this host's name, as ports are bound to it")
	f.StringVar(&tunnelIP, "tunnel-ip", "", "this host's address for tunnels; without it there are none")
	f.StringArrayVar(&mappings, "bridge-mapping", nil, "PHYSICAL_NETWORK:BRIDGE; may be given several times")
	f.StringVar(&o.stateDir, "state-dir", "/var/lib/neutrino-agent", "where the agent keeps the last known state")
	f.StringSliceVar(&o.roles, "roles", allRoles, "what the agent looks after")
	f.StringVar(&o.datapath, "datapath-type", "system", "datapath of the bridges that the agent makes: system or netdev")
	f.StringVar(&o.runDir, "ovs-rundir", "/run/openvswitch", "where Open vSwitch has its sockets")
	f.StringVar(&o.novaURL, "nova-metadata-url", "", "Nova's metadata service; without it the agent answers instances itself")
	f.StringVar(&o.novaSecretFile, "nova-secret-file", "", "file with metadata_proxy_shared_secret")
	f.BoolVar(&verbose, "verbose", false, "log more")
	return cmd
}

// parseMappings reads physnet1:br-ex.
func parseMappings(texts []string) (map[string]string, error) {
	mappings := map[string]string{}
	for _, text := range texts {
		physical, bridge, ok := strings.Cut(text, ":")
		if !ok || physical == "" || bridge == "" {
			return nil, fmt.Errorf("--bridge-mapping %q is not PHYSICAL_NETWORK:BRIDGE", text)
		}
		if mappings[physical] != "" {
			return nil, fmt.Errorf("--bridge-mapping names %s twice", physical)
		}
		mappings[physical] = bridge
	}
	return mappings, nil
}
