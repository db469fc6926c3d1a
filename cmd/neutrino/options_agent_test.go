package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"neutrino/agent"
	"neutrino/agent/dhcp"
	"neutrino/config"
)

const (
	switchFile = `[ovs]
bridge_mappings = physnet1:br-ex,physnet2:br-ex2
local_ip = 172.29.0.1
integration_bridge = br-int
[agent]
tunnel_types = vxlan, gre
vxlan_udp_port = 8472
dont_fragment = false
tunnel_csum = True
l2_population = True
arp_responder = True
report_interval = 5
availability_zone = west
extensions = qos
[securitygroup]
firewall_driver = openvswitch
enable_ipset = True
`
	routerFile = `[DEFAULT]
interface_driver = openvswitch
# Name of bridge used for external network traffic.
external_network_bridge =
agent_mode = legacy
enable_metadata_proxy = false
`
	dhcpFile = `[DEFAULT]
interface_driver = openvswitch
dhcp_driver = neutron.agent.linux.dhcp.Dnsmasq
enable_isolated_metadata = true
force_metadata = True
dnsmasq_dns_servers = 192.0.2.53, 2001:db8::53#5353
dhcp_domain = example.org.
dhcp_lease_duration = -1
`
	novaFile = `[DEFAULT]
nova_metadata_host = controller
nova_metadata_port = 8776
nova_metadata_protocol = https
nova_metadata_insecure = true
metadata_proxy_shared_secret = METADATA_SECRET
[agent]
report_interval = 7
`
	sharedFile = `[DEFAULT]
core_plugin = ml2
host = net1
transport_url = rabbit://openstack:RABBIT_PASS@controller
bind_port = nonsense of the server
[keystone_authtoken]
auth_url = http://controller:5000
password = NEUTRON_PASS
[neutrino]
servers = http://192.0.2.1:9696,https://192.0.2.2:9696
secret_file = /etc/neutrino/secret
state_dir = /srv/agent
roles = l2,dhcp
`
)

// agentOf reads an agent's files and flags.
func agentOf(t *testing.T, args []string, texts ...string) (*agentSettings, []config.Value, error) {
	t.Helper()
	var flags agentFlags
	set := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	flags.add(set)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	var files configFlags
	for _, text := range texts {
		files.files = append(files.files, write(t, "a.ini", text))
	}
	s := newAgentSettings()
	values, err := files.load(s.options())
	if err == nil {
		err = flags.over(set, s)
	}
	if err == nil {
		err = s.finish()
	}
	return s, values, err
}

func TestAgentFiles(t *testing.T) {
	s, values, err := agentOf(t, nil, sharedFile, switchFile, routerFile, dhcpFile, novaFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		if v.Warns() {
			t.Errorf("%+v", v)
		}
		if strings.Contains(v.Value, "_PASS") || strings.Contains(v.Value, "SECRET") {
			t.Errorf("a secret is told: %+v", v)
		}
	}
	if s.host != "net1" || s.zone != "west" || !slices.Equal(s.servers, []string{"http://192.0.2.1:9696", "https://192.0.2.2:9696"}) || s.secretFile != "/etc/neutrino/secret" ||
		s.stateDir != "/srv/agent" || !slices.Equal(s.roles, []string{"l2", "dhcp"}) || s.heartbeat != 7*time.Second {
		t.Errorf("%+v", s)
	}
	if len(s.mappings) != 2 || s.mappings["physnet2"] != "br-ex2" || s.tunnelIP != netip.MustParseAddr("172.29.0.1") || !slices.Equal(s.tunnels, []string{"vxlan", "gre"}) ||
		s.vxlanPort != 8472 || s.dontFragment || !s.checksum || s.database() != "unix:/run/openvswitch/db.sock" {
		t.Errorf("%+v", s.hostOptions)
	}
	if s.routerMetadata || s.networkMetadata() != dhcp.MetadataAlways || s.domain != "example.org" || s.lease >= 0 ||
		!slices.Equal(s.resolvers, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53"), netip.MustParseAddrPort("[2001:db8::53]:5353")}) {
		t.Errorf("%+v", s.hostOptions)
	}
	if n := s.metadata; n.Nova.String() != "https://controller:8776" || n.Secret != "METADATA_SECRET" || !n.TLS.InsecureSkipVerify || n.Host != "net1" {
		t.Errorf("%+v", n)
	}
	for _, state := range describe(s.hostOptions, "") {
		if state.Type == "Open vSwitch agent" && !slices.Equal(state.Configurations["tunnel_types"].([]string), s.tunnels) {
			t.Errorf("%+v", state)
		}
	}
}

func TestAgentFlagsWin(t *testing.T) {
	s, _, err := agentOf(t, []string{"--host", "h9", "--bridge-mapping", "physnet3:br-x", "--tunnel-ip", "192.0.2.9", "--server", "http://192.0.2.3:9696", "--roles", "l2"}, sharedFile, switchFile)
	if err != nil {
		t.Fatal(err)
	}
	if s.host != "h9" || len(s.mappings) != 1 || s.mappings["physnet3"] != "br-x" || s.tunnelIP.String() != "192.0.2.9" || len(s.servers) != 1 || !slices.Equal(s.roles, []string{"l2"}) || s.stateDir != "/srv/agent" {
		t.Errorf("%+v", s)
	}
	if s, _, err = agentOf(t, nil); err != nil || s.metadata.Nova != nil || s.networkMetadata() != dhcp.MetadataIsolated || s.lease != 24*time.Hour || !s.routerMetadata {
		t.Errorf("without files: %+v %v", s, err)
	}
}

func TestAgentFilesWrong(t *testing.T) {
	for text, want := range map[string]string{
		"[ovs]\nbridge_mappings = physnet1":                 "a.ini:2: [ovs] bridge_mappings: \"physnet1\" is not PHYSICAL_NETWORK:BRIDGE",
		"[ovs]\nbridge_mappings = a:br-ex,a:br-y":           "named twice",
		"[ovs]\nbridge_mappings = a:br-ex,b:br-ex":          "on one bridge",
		"[ovs]\nbridge_mappings = a:br-provider-net-9":      "15 characters",
		"[ovs]\nlocal_ip = fe80::1":                         "other hosts",
		"[ovs]\nlocal_ip = 127.0.0.1":                       "other hosts",
		"[ovs]\nlocal_ip = OVERLAY_INTERFACE_IP_ADDRESS":    "no address",
		"[ovs]\nintegration_bridge = br-x":                  "br-x",
		"[agent]\ntunnel_types = stt":                       "stt",
		"[agent]\nvxlan_udp_port = 0":                       "no port",
		"[agent]\nreport_interval = 0":                      "no time",
		"[agent]\navailability_zone =":                      "1 to 255",
		"[agent]\nenable_distributed_routing = true":        "distributed",
		"[securitygroup]\nfirewall_driver = iptables":       "none of openvswitch, iptables_hybrid and noop",
		"[securitygroup]\nenable_security_group = false":    "port_security_enabled",
		"[DEFAULT]\nagent_mode = dvr_snat":                  "dvr_snat",
		"[DEFAULT]\nexternal_network_bridge = br-ex":        "bridge_mappings",
		"[DEFAULT]\ninterface_driver = linuxbridge":         "linuxbridge",
		"[DEFAULT]\ndnsmasq_dns_servers = dns.example.org":  "dns.example.org",
		"[DEFAULT]\ndhcp_lease_duration = 5":                "from 60",
		"[DEFAULT]\nnova_metadata_host = controller":        "metadata_proxy_shared_secret is missing",
		"[DEFAULT]\nnova_metadata_host = http://controller": "no host",
		"[DEFAULT]\nmetadata_proxy_shared_secret = s\nnova_metadata_protocol = https\nauth_ca_cert = /nowhere": "/nowhere",
		"[neutrino]\nservers = controller:9696": "http://HOST:PORT",
		"[neutrino]\nroles = l2,lb":             "lb",
	} {
		if _, _, err := agentOf(t, nil, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, _, err := agentOf(t, []string{"--bridge-mapping", "x"}); err == nil || !strings.Contains(err.Error(), "--bridge-mapping") {
		t.Error(err)
	}
	s, values, err := agentOf(t, nil, "[DEFAULT]\ndnsmasq_config_file = /etc/neutron/dnsmasq.conf\n[ovs]\nbridge_mapping = a:b\n[DEFAULT]\nmetadata_proxy_shared_secret = s\n")
	if err != nil || s.metadata.Nova.String() != "http://127.0.0.1:8775" || !values[0].Unsupported || !values[1].Unknown || !strings.Contains(values[1].Note, "[ovs] bridge_mappings meant?") {
		t.Errorf("%+v %v", values, err)
	}
}

// TestAgentOnAFullDisk: an agent that can keep nothing works all the same.
func TestAgentOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	secret := write(t, "secret", "s")
	for _, file := range []string{"layout.json.new", "desired.json.new"} {
		if err := os.Mkdir(filepath.Join(dir, file), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := agentCommand()
	cmd.SetArgs([]string{"--host", "h1", "--server", "http://127.0.0.1:1", "--secret-file", secret, "--state-dir", dir, "--roles", "metadata"})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	for {
		if _, err := os.Stat(filepath.Join(dir, agent.Socket)); err == nil {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("the agent has ended: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestReload(t *testing.T) {
	path := write(t, "neutron.conf", "[DEFAULT]\nbind_port = 9696\n")
	var level slog.LevelVar
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	read := func() ([]config.Value, map[string]func(), error) {
		s := newServerSettings()
		values, err := (&configFlags{files: []string{path}}).load(s.options())
		return values, map[string]func(){"[DEFAULT] debug": func() { setDebug(&level, s.debug) }}, err
	}
	values, _, err := read()
	if err != nil {
		t.Fatal(err)
	}
	again := func(text, want string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out.Reset()
		values = reload(log, values, read)
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q: %s", text, out.String())
		}
	}
	again("[DEFAULT]\ndebug = true\nbind_port = 9797\n", "options=\"[[DEFAULT] bind_port]\"")
	if level.Level() != slog.LevelDebug {
		t.Error("debug does not count")
	}
	again("[DEFAULT]\ndebug = true\nbind_port = 9797\n", "a restart is needed")
	again("[DEFAULT]\ndebug = perhaps\n", "nothing is changed")
	again("[DEFAULT]\nbind_port = 9696\n", "changed=\"[[DEFAULT] debug]\"")
	if level.Level() != slog.LevelInfo || strings.Contains(out.String(), "restart") {
		t.Errorf("debug still counts: %s", out.String())
	}
}

func FuzzAgentFiles(f *testing.F) {
	for _, text := range []string{sharedFile, switchFile, routerFile, dhcpFile, novaFile} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := newAgentSettings()
		if _, err := (&configFlags{files: []string{write(t, "a.ini", text)}}).load(s.options()); err != nil {
			return
		}
		for physical, bridge := range s.mappings {
			if physical == "" || bridge == "" || len(bridge) > maxBridge {
				t.Errorf("mapping %q to %q", physical, bridge)
			}
		}
		if s.vxlanPort < 1 || s.vxlanPort > 65535 || s.lease > -time.Second && s.lease < time.Minute {
			t.Errorf("%+v", s)
		}
	})
}
