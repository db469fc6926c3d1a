package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"neutrino/agent"
	"neutrino/agent/dhcp"
	"neutrino/agent/l2"
	"neutrino/agent/l3"
	"neutrino/agent/metadata"
	"neutrino/agent/plug/site"
	"neutrino/dataplane/dns"
	"neutrino/dataplane/ovsdb"
	"neutrino/desired"
)

// The roles of an agent.
const (
	roleL2       = "l2"
	roleL3       = "l3"
	roleDHCP     = "dhcp"
	roleMetadata = "metadata"
)

var allRoles = []string{roleL2, roleL3, roleDHCP, roleMetadata}

// hostOptions say how a host is laid out.
type hostOptions struct {
	host           string
	tunnelIP       netip.Addr
	mappings       map[string]string
	stateDir       string
	roles          []string
	datapath       string
	runDir         string
	novaURL        string
	novaSecretFile string
}

// hostManagers lists every manager of an agent, by role.
func hostManagers(o hostOptions, log *slog.Logger) (managers []agent.Manager, closeAll func(), err error) {
	var closers []func()
	if slices.Contains(o.roles, roleL2) {
		m := l2.New(l2.Options{Host: o.host, TunnelIP: o.tunnelIP, Mappings: o.mappings, Datapath: o.datapath, RunDir: o.runDir}, log.With("manager", roleL2))
		managers, closers = append(managers, m), append(closers, m.Close)
	}
	switchd := ovsdb.New("unix:" + o.runDir + "/db.sock")
	closers = append(closers, switchd.Close)
	if slices.Contains(o.roles, roleL3) {
		m := l3.New(switchd, integrationBridge, log.With("manager", roleL3))
		managers, closers = append(managers, m), append(closers, m.Close)
	}
	place := site.New(switchd, integrationBridge, log)
	closers = append(closers, place.Close)
	if slices.Contains(o.roles, roleDHCP) {
		var forward *dns.Forwarder
		servers, err := dns.SystemServers("/etc/resolv.conf")
		if err != nil {
			log.Warn("names of others are refused: the host's resolvers are not known", "error", err)
		}
		if len(servers) > 0 {
			forward = dns.NewForwarder(servers)
		}
		m, err := dhcp.New(dhcp.Options{Host: o.host, Forward: forward}, place, log.With("manager", roleDHCP))
		if err != nil {
			return nil, nil, fmt.Errorf("prepare DHCP: %w", err)
		}
		managers, closers = append(managers, m), append(closers, m.Close)
	}
	if slices.Contains(o.roles, roleMetadata) {
		options, err := metadataOptions(o)
		if err != nil {
			return nil, nil, err
		}
		m, err := metadata.New(options, place, log.With("manager", roleMetadata))
		if err != nil {
			return nil, nil, fmt.Errorf("prepare metadata: %w", err)
		}
		managers, closers = append(managers, m), append(closers, m.Close)
	}
	return managers, func() {
		for _, c := range slices.Backward(closers) {
			c()
		}
	}, nil
}

// integrationBridge is the bridge that instances and we are plugged into.
const integrationBridge = "br-int"

func metadataOptions(o hostOptions) (metadata.Options, error) {
	options := metadata.Options{Host: o.host}
	if o.novaURL == "" {
		return options, nil
	}
	var err error
	if options.Nova, err = url.Parse(o.novaURL); err != nil {
		return options, fmt.Errorf("--nova-metadata-url: %w", err)
	}
	secret, err := os.ReadFile(o.novaSecretFile)
	if err != nil {
		return options, fmt.Errorf("read Nova's shared secret: %w", err)
	}
	options.Secret = strings.TrimSpace(string(secret))
	return options, nil
}

// describe is what heartbeats say of the host's agents, in the original's words.
func describe(o hostOptions, started string) []desired.AgentState {
	tunnels := []string{}
	if o.tunnelIP.IsValid() {
		tunnels = []string{"vxlan", "geneve", "gre"}
	}
	states := map[string]desired.AgentState{
		roleL2: {Type: "Open vSwitch agent", Binary: "neutron-openvswitch-agent", Topic: "N/A", Configurations: map[string]any{
			"bridge_mappings": o.mappings, "tunnel_types": tunnels, "tunneling_ip": addrText(o.tunnelIP), "l2_population": true,
			"arp_responder_enabled": true, "integration_bridge": "br-int", "datapath_type": o.datapath, "ovs_hybrid_plug": false,
		}},
		roleL3: {Type: "L3 agent", Binary: "neutron-l3-agent", Topic: "l3_agent", Configurations: map[string]any{
			"agent_mode": "legacy", "handle_internal_only_routers": true, "interface_driver": "openvswitch",
		}},
		roleDHCP: {Type: "DHCP agent", Binary: "neutron-dhcp-agent", Topic: "dhcp_agent", Configurations: map[string]any{
			"dhcp_driver": "neutrino", "dhcp_lease_duration": 86400,
		}},
		roleMetadata: {Type: "Metadata agent", Binary: "neutron-metadata-agent", Topic: "N/A", Configurations: map[string]any{
			"nova_metadata_host": o.novaURL,
		}},
	}
	var out []desired.AgentState
	for _, role := range o.roles {
		state := states[role]
		state.Started = started
		out = append(out, state)
	}
	return out
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
