package main

import (
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"neutrino/agent"
	"neutrino/agent/dhcp"
	"neutrino/agent/hybrid"
	"neutrino/agent/l2"
	"neutrino/agent/l3"
	"neutrino/agent/localport"
	"neutrino/agent/metadata"
	"neutrino/agent/plug/site"
	"neutrino/agent/probe"
	"neutrino/agent/stray"
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

	roleOVN = "ovn-metadata" // on hosts that OVN wires: metadata alone
)

// allRoles are those of a host with the Open vSwitch driver.
var allRoles = []string{roleL2, roleL3, roleDHCP, roleMetadata}

// hostOptions say how a host is laid out.
type hostOptions struct {
	host     string
	zone     string
	stateDir string
	roles    []string

	tunnelIP     netip.Addr // zero: no tunnels
	tunnels      []string   // types of networks
	vxlanPort    int
	dontFragment bool
	checksum     bool
	mappings     map[string]string // physical network → bridge
	datapath     string
	runDir       string
	connection   string // of Open vSwitch's database; "": db.sock in runDir
	firewall     string

	domain           string
	lease            time.Duration // negative: for ever
	resolvers        []netip.AddrPort
	systemResolvers  bool // without resolvers: the host's own
	isolatedMetadata bool
	forceMetadata    bool
	routerMetadata   bool

	metadata metadata.Options

	grace  time.Duration // how long strays may stay
	strays *stray.List
	filter *hybrid.Filter // with the hybrid firewall
}

// The firewalls.
const (
	firewallOpenFlow = "openvswitch"
	firewallHybrid   = "iptables_hybrid"
	firewallNone     = "noop"
)

func defaultHost() hostOptions {
	name, err := os.Hostname()
	if err != nil {
		name = "" // asked for then
	}
	return hostOptions{
		host: name, zone: "nova", stateDir: agentStateDir, roles: allRoles,
		tunnels: []string{"vxlan", "geneve", "gre"}, vxlanPort: usualVXLAN, dontFragment: true, datapath: "system", runDir: "/run/openvswitch", firewall: firewallOpenFlow,
		domain: "openstacklocal", lease: 24 * time.Hour, isolatedMetadata: true, routerMetadata: true, grace: stray.Grace,
	}
}

// tunnelPort is the UDP port of VXLAN if it is not the usual one: a tunnel that has not said any is left as it is.
func (h hostOptions) tunnelPort() int {
	if h.vxlanPort == usualVXLAN {
		return 0
	}
	return h.vxlanPort
}

// usualVXLAN is VXLAN's port by its standard.
const usualVXLAN = 4789

// database is the endpoint of Open vSwitch's database.
func (h hostOptions) database() string {
	if h.connection != "" {
		return h.connection
	}
	return "unix:" + h.runDir + "/db.sock"
}

// networkMetadata says which networks' own namespaces answer for metadata.
func (h hostOptions) networkMetadata() dhcp.Metadata {
	switch {
	case h.forceMetadata:
		return dhcp.MetadataAlways
	case h.isolatedMetadata:
		return dhcp.MetadataIsolated
	}
	return dhcp.MetadataNever
}

// hostManagers lists every manager of an agent, by role.
func hostManagers(o hostOptions, log *slog.Logger) (managers []agent.Manager, closeAll func(), err error) {
	var closers []func()
	if slices.Contains(o.roles, roleL2) {
		options := l2.Options{
			Host: o.host, TunnelIP: o.tunnelIP, TunnelTypes: o.tunnels, VXLANPort: o.tunnelPort(), Fragment: !o.dontFragment, Checksum: o.checksum,
			Mappings: o.mappings, Datapath: o.datapath, RunDir: o.runDir, Database: o.database(), Strays: o.strays,
			NoFilter: o.firewall == firewallNone,
		}
		if o.filter != nil {
			options.Filter = o.filter
		} else {
			options.Alone = hybrid.Retire
		}
		m := l2.New(options, log.With("manager", roleL2))
		managers, closers = append(managers, m), append(closers, m.Close)
	}
	switchd := ovsdb.New(o.database())
	closers = append(closers, switchd.Close)
	if slices.Contains(o.roles, roleL3) {
		m := l3.New(switchd, integrationBridge, log.With("manager", roleL3))
		m.Strays = o.strays
		managers, closers = append(managers, m), append(closers, m.Close)
	}
	place := site.New(switchd, integrationBridge, log)
	closers = append(closers, place.Close)
	if slices.Contains(o.roles, roleDHCP) {
		m, err := dhcp.New(dhcp.Options{
			Host: o.host, Domain: o.domain, Lease: o.lease, Forward: dns.NewForwarder(resolvers(o, log)), Metadata: o.networkMetadata(), Strays: o.strays,
		}, place, log.With("manager", roleDHCP))
		if err != nil {
			return nil, nil, fmt.Errorf("prepare DHCP: %w", err)
		}
		managers, closers = append(managers, m), append(closers, m.Close)
	}
	if slices.Contains(o.roles, roleOVN) {
		m := localport.New(o.host, place, o.strays, log.With("manager", roleOVN))
		managers, closers = append(managers, m), append(closers, m.Close)
	}
	if slices.Contains(o.roles, roleMetadata) || slices.Contains(o.roles, roleOVN) {
		options := o.metadata
		options.Host, options.Networks, options.NoRouters = o.host, o.networkMetadata(), !o.routerMetadata
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

// resolvers are those that are asked for names of others.
func resolvers(o hostOptions, log *slog.Logger) []netip.AddrPort {
	if len(o.resolvers) > 0 || !o.systemResolvers {
		return o.resolvers
	}
	servers, err := dns.SystemServers("/etc/resolv.conf")
	if err != nil {
		log.Warn("names of others are refused: the host's resolvers are not known", "error", err)
	}
	return servers
}

// describe is what heartbeats say of the host's agents, in the original's words.
func describe(o hostOptions, started string) []desired.AgentState {
	tunnels := []string{}
	if o.tunnelIP.IsValid() {
		tunnels = o.tunnels
	}
	nova := map[string]any{}
	if n := o.metadata.Nova; n != nil {
		port, _ := strconv.Atoi(n.Port())
		nova["nova_metadata_host"], nova["nova_metadata_port"] = n.Hostname(), port
	}
	states := map[string]desired.AgentState{
		roleL2: {Type: "Open vSwitch agent", Binary: "neutron-openvswitch-agent", Topic: "N/A", Configurations: map[string]any{
			"bridge_mappings": o.mappings, "tunnel_types": tunnels, "tunneling_ip": addrText(o.tunnelIP), "l2_population": true,
			"arp_responder_enabled": true, "integration_bridge": "br-int", "datapath_type": o.datapath, "ovs_hybrid_plug": o.firewall == firewallHybrid, "firewall_driver": o.firewall,
			"enable_distributed_routing": false, "in_distributed_mode": false, "extensions": []string{}, "log_agent_heartbeats": false,
		}},
		roleL3: {Type: "L3 agent", Binary: "neutron-l3-agent", Topic: "l3_agent", Zone: o.zone, Configurations: map[string]any{
			"agent_mode": "legacy", "handle_internal_only_routers": true, "interface_driver": "openvswitch", "extensions": []string{},
		}},
		roleDHCP: {Type: "DHCP agent", Binary: "neutron-dhcp-agent", Topic: "dhcp_agent", Zone: o.zone, Configurations: map[string]any{
			"dhcp_driver": "neutrino", "dhcp_lease_duration": int(o.lease.Seconds()),
		}},
		roleOVN:      {Type: "OVN Metadata agent", Binary: "neutron-ovn-metadata-agent", Topic: "N/A", Configurations: maps.Clone(nova)},
		roleMetadata: {Type: "Metadata agent", Binary: "neutron-metadata-agent", Topic: "N/A", Configurations: nova},
	}
	if o.filter != nil && o.filter.Unfit() != "" {
		states[roleL2].Configurations["status_reason"] = o.filter.Unfit()
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

// withProbes adds to what heartbeats say how the host's probes of what it serves went.
func withProbes(states []desired.AgentState, probes *probe.Manager) []desired.AgentState {
	subjects := map[string]string{"Open vSwitch agent": probe.Tunnel, "DHCP agent": probe.DHCP, "Metadata agent": probe.Metadata}
	for _, s := range states {
		if subject := subjects[s.Type]; subject != "" {
			s.Configurations["probes"] = probes.Summary(subject)
		}
	}
	return states
}
