package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"

	"gopkg.in/yaml.v3"

	"neutrino/lab/client"
)

// cloud is a lab with a server.
type cloud struct {
	binary, name string
	API          string `json:"api"`
	Clouds       string `json:"clouds_file"`
}

// serverConf is what the tests await of a cloud: networks that name no segment take one of the first ids.
const serverConf = `[ml2_type_vxlan]
vni_ranges = 1:2000
`

// raise starts a lab of its own.
func raise(ctx context.Context, o options) (*cloud, error) {
	l := &cloud{binary: o.binary, name: fmt.Sprintf("conformance-%d", os.Getpid())}
	fmt.Fprintf(os.Stderr, "raising a cloud with %d hosts…\n", o.hosts)
	config := filepath.Join(o.dir, "neutron.conf")
	if err := os.WriteFile(config, []byte(serverConf), 0o644); err != nil {
		return nil, fmt.Errorf("configure the server: %w", err)
	}
	cmd := exec.CommandContext(ctx, o.binary, "lab", "--name", l.name, "up", "--json", "--hosts", fmt.Sprint(o.hosts), "--server-config", config)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("raise a lab: %w", err)
	}
	if err := json.Unmarshal(out, l); err != nil {
		return nil, fmt.Errorf("raise a lab: %w in %s", err, out)
	}
	return l, nil
}

func (l *cloud) down() {
	if err := exec.Command(l.binary, "lab", "--name", l.name, "down").Run(); err != nil {
		fmt.Fprintf(os.Stderr, "the lab %s could not be taken down: %v\n", l.name, err)
	}
}

// settings are what tempest.conf is made of.
type settings struct {
	Dir, Auth, Password, User, Project, Domain, Region string
	PublicID, PublicName, Extensions                   string
}

const tempestConf = `[DEFAULT]
log_dir = {{.Dir}}
log_file = tempest.log
debug = true

[oslo_concurrency]
lock_path = {{.Dir}}/locks

[auth]
use_dynamic_credentials = true
create_isolated_networks = false
admin_username = {{.User}}
admin_password = {{.Password}}
admin_project_name = {{.Project}}
admin_domain_name = {{.Domain}}
default_credentials_domain_name = {{.Domain}}
tempest_roles = member

[identity]
uri_v3 = {{.Auth}}
auth_version = v3
region = {{.Region}}
admin_role = admin
default_domain_id = default

[identity-feature-enabled]
api_v2 = false
api_v3 = true

[service_available]
neutron = true
nova = false
glance = false
cinder = false
swift = false
horizon = false
placement = false

[network]
public_network_id = {{.PublicID}}
floating_network_name = {{.PublicName}}
project_network_cidr = 10.100.0.0/16
project_network_mask_bits = 28

[network-feature-enabled]
ipv6 = true
ipv6_subnet_attributes = true
port_security = true
floating_ips = true
port_admin_state_change = true
api_extensions = {{.Extensions}}

[neutron_plugin_options]
agent_availability_zone = nova
available_type_drivers = flat,vlan,vxlan,geneve,gre,local
provider_vlans = physnet1
provider_net_base_segm_id = 600
max_networks_per_project = 4
max_mtu = 1500
create_shared_resources = true
`

// configure makes an external network and writes tempest.conf.
func configure(ctx context.Context, dir string, l *cloud) error {
	admin, err := client.Login(ctx, l.Clouds, "neutrino-admin")
	if err != nil {
		return err
	}
	s := settings{Dir: dir, PublicName: "public"}
	public, err := admin.Do(ctx, "POST", "/networks", client.Object{"network": client.Object{
		"name": s.PublicName, "router:external": true, "provider:network_type": "flat", "provider:physical_network": "physnet1", "is_default": true}})
	if err != nil {
		return fmt.Errorf("make the external network: %w", err)
	}
	s.PublicID, _ = public["network"].(client.Object)["id"].(string)
	for _, subnet := range []client.Object{
		{"network_id": s.PublicID, "ip_version": 4, "cidr": "172.24.0.0/20", "enable_dhcp": false},
		{"network_id": s.PublicID, "ip_version": 6, "cidr": "2001:db8:cafe::/64", "enable_dhcp": false},
	} {
		if _, err := admin.Do(ctx, "POST", "/subnets", client.Object{"subnet": subnet}); err != nil {
			return fmt.Errorf("make the external subnets: %w", err)
		}
	}
	shown, err := admin.Do(ctx, "GET", "/extensions", nil)
	if err != nil {
		return err
	}
	var aliases []string
	list, _ := shown["extensions"].([]any)
	for _, e := range list {
		alias, _ := e.(client.Object)["alias"].(string)
		aliases = append(aliases, alias)
	}
	s.Extensions = strings.Join(aliases, ",")
	if err := s.login(l.Clouds); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, "tempest.conf"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	return template.Must(template.New("tempest.conf").Parse(tempestConf)).Execute(f, s)
}

// login reads the administrator's credentials.
func (s *settings) login(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var all struct {
		Clouds map[string]struct {
			Auth   map[string]string `yaml:"auth"`
			Region string            `yaml:"region_name"`
		} `yaml:"clouds"`
	}
	if err := yaml.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	c := all.Clouds["neutrino-admin"]
	s.Auth, s.User, s.Password = c.Auth["auth_url"], c.Auth["username"], c.Auth["password"]
	s.Project, s.Domain, s.Region = c.Auth["project_name"], c.Auth["project_domain_name"], c.Region
	u, err := url.Parse(s.Auth)
	if err != nil || net.ParseIP(u.Hostname()) == nil || !net.ParseIP(u.Hostname()).IsLoopback() {
		return fmt.Errorf("%s: the identity service %q is not on loopback", file, s.Auth)
	}
	return nil
}
