package main

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"neutrino/config"
)

// agentSettings are what neutron.conf, openvswitch_agent.ini, l3_agent.ini, dhcp_agent.ini and metadata_agent.ini say
// of an agent, before flags. One process has all roles, so all files are read by it.
type agentSettings struct {
	hostOptions

	servers    []string
	secretFile string
	cafile     string
	heartbeat  time.Duration // 0: the agent's own
	metrics    string        // HOST:PORT; "": nowhere
	standDown  time.Duration // 0: never
	debug      bool
	nova       novaSettings
}

func newAgentSettings() *agentSettings {
	return &agentSettings{hostOptions: defaultHost(), servers: []string{"http://127.0.0.1:9696"}, secretFile: filepath.Join("/etc", "neutrino", "agent-secret"), nova: defaultNova()}
}

// options declares all options of an agent's files, and those of the server, which neutron.conf has too.
func (s *agentSettings) options() *config.Set {
	o := s.own()
	o.Others("the server reads it", newServerSettings().own())
	return o
}

func (s *agentSettings) own() *config.Set {
	var o config.Set
	s.hostOptions.options(&o)
	s.switchOptions(&o)
	s.firewallOptions(&o)
	s.routerOptions(&o)
	s.dhcpOptions(&o)
	s.metadataOptions(&o)
	logOptions(&o, &s.debug)
	commonUnneeded(&o)
	s.neutrinoOptions(&o)
	return &o
}

// neutrinoOptions are those that the original does not have.
func (s *agentSettings) neutrinoOptions(o *config.Set) {
	o.Parsed(func(text string) error {
		s.servers = config.Split(text)
		for _, server := range s.servers {
			if !strings.HasPrefix(server, "http://") && !strings.HasPrefix(server, "https://") {
				return fmt.Errorf("%q is not http://HOST:PORT or https://HOST:PORT", server)
			}
		}
		if len(s.servers) == 0 {
			return errors.New("no server is given")
		}
		return nil
	}, neutrinoSection, "servers", "list", strings.Join(s.servers, ","), "Base URLs of servers; the next is tried when one fails.")
	o.String(&s.secretFile, neutrinoSection, "secret_file", "File with the secret that the server made: agent-secret in its state directory.")
	o.String(&s.cafile, neutrinoSection, "cafile", "Certificates by which an https server's is checked (default: the system's).")
	o.String(&s.stateDir, neutrinoSection, "state_dir", "Where the agent keeps the last known state.")
	o.Parsed(func(text string) error { s.roles = config.Split(text); return checkRoles(s.roles) },
		neutrinoSection, "roles", "list", strings.Join(allRoles, ","), "What the agent looks after: l2, l3, dhcp, metadata; on hosts that OVN wires ovn-metadata.")
	o.Seconds(&s.standDown, neutrinoSection, "stand_down_after", "Give routers and DHCP up after so long without any server, for they may have moved; 0: never, so that traffic outlives the servers.")
	o.String(&s.metrics, neutrinoSection, "metrics", "HOST:PORT where Prometheus may read /metrics of the agent (default: nowhere but the socket in the state directory).")
	o.Seconds(&s.grace, neutrinoSection, "stray_grace", "How long things of ours that nothing wants any more may stay.")
	o.String(&s.runDir, neutrinoSection, "ovs_rundir", "Where Open vSwitch has its sockets.")
}

func checkRoles(roles []string) error {
	for _, role := range roles {
		if !slices.Contains(allRoles, role) && role != roleOVN {
			return fmt.Errorf("role %q is none of %s, %s", role, strings.Join(allRoles, ", "), roleOVN)
		}
	}
	if len(roles) == 0 {
		return fmt.Errorf("no role is given: %s", strings.Join(allRoles, ", "))
	}
	return nil
}

// options are those of the host as a whole.
func (h *hostOptions) options(o *config.Set) {
	o.String(&h.host, "DEFAULT", "host", "This host's name, as ports are bound to it (default: the machine's).")
	o.Parsed(func(text string) error { h.zone = text; return checkZone(text) },
		"agent", "availability_zone", "string", h.zone, "Zone that the host's DHCP and routers are in.")
	o.NotNeeded("hosts are known by their names", "DEFAULT", "my_ip", "my_ipv6")
}

func checkZone(zone string) error {
	if zone == "" || len(zone) > 255 {
		return errors.New("a zone's name has 1 to 255 characters")
	}
	return nil
}

// finish holds the options against one another, after all files and flags were read.
func (s *agentSettings) finish() error {
	if s.host == "" {
		return errors.New("[DEFAULT] host: the host has no name")
	}
	var err error
	s.metadata, err = s.nova.finish(s.host)
	return err
}

// parseMappings reads physnet1:br-ex.
func parseMappings(texts []string) (map[string]string, error) {
	mappings, bridges := map[string]string{}, map[string]string{}
	for _, text := range texts {
		physical, bridge, ok := strings.Cut(text, ":")
		physical, bridge = strings.TrimSpace(physical), strings.TrimSpace(bridge)
		switch {
		case !ok || physical == "" || bridge == "":
			return nil, fmt.Errorf("%q is not PHYSICAL_NETWORK:BRIDGE", text)
		case len(bridge) > maxBridge:
			return nil, fmt.Errorf("%q: a bridge's name has up to %d characters", text, maxBridge)
		case mappings[physical] != "":
			return nil, fmt.Errorf("%s is named twice", physical)
		case bridges[bridge] != "":
			return nil, fmt.Errorf("%s and %s are on one bridge, %s", bridges[bridge], physical, bridge)
		}
		mappings[physical], bridges[bridge] = bridge, physical
	}
	return mappings, nil
}

// maxBridge is how long a bridge's name may be: it is a device's.
const maxBridge = 15

// parseTunnelIP reads the host's address for tunnels; "" is none.
func parseTunnelIP(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return a, fmt.Errorf("%q is no address", text)
	case a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast():
		return a, fmt.Errorf("%s is not an address that other hosts can send to", text)
	}
	return a, nil
}
