package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"neutrino/config"
	"neutrino/dataplane/ovndb"
	"neutrino/server"
	"neutrino/service/network"
)

// ovnSettings are what the files' section [ovn] says.
type ovnSettings struct {
	server.OVN

	north, south           []string
	northFiles, southFiles ovndb.Files
}

func newOVNSettings() ovnSettings {
	s := ovnSettings{OVN: server.DefaultOVN()}
	s.north, s.south = s.North.Endpoints, s.South.Endpoints
	return s
}

// options declares the section. Names, defaults and meaning are the original's.
func (s *ovnSettings) options(o *config.Set) {
	const section = "ovn"
	d := &s.Driver
	o.List(&s.north, section, "ovn_nb_connection", "Servers of the northbound database: tcp:HOST:PORT, ssl:HOST:PORT or unix:PATH; of a cluster all.")
	o.List(&s.south, section, "ovn_sb_connection", "The same of the southbound database.")
	files := func(f *ovndb.Files, prefix, of string) {
		o.String(&f.Key, section, prefix+"_private_key", "Our key for "+of+".")
		o.String(&f.Certificate, section, prefix+"_certificate", "Our certificate for "+of+".")
		o.String(&f.CA, section, prefix+"_ca_cert", "Certificates by which those of "+of+" are checked.")
	}
	files(&s.northFiles, "ovn_nb", "the northbound database")
	files(&s.southFiles, "ovn_sb", "the southbound database")
	o.Bool(&d.Metadata, section, "ovn_metadata_enabled", "Instances get metadata: every network has a port for it.")
	o.Parsed(func(text string) error {
		d.DNSServers = nil
		for _, word := range config.Split(text) {
			a, err := netip.ParseAddr(word)
			if err != nil {
				return err
			}
			d.DNSServers = append(d.DNSServers, a)
		}
		return nil
	}, section, "dns_servers", "list", "", "DNS servers that instances are told where their subnet names none.")
	o.Bool(&d.DistributedFloating, section, "enable_distributed_floating_ip", "Floating IPs are translated on the instance's host.")
	o.Int(&d.LeaseTime, 1, section, "dhcp_default_lease_time", "How long an address is lent, in seconds.")
	global := func(dest *map[string]string, name, version string) {
		o.Parsed(func(text string) error {
			*dest = map[string]string{}
			for _, word := range config.Split(text) {
				option, value, ok := strings.Cut(word, ":")
				if !ok {
					return fmt.Errorf("%q is not OPTION:VALUE", word)
				}
				if slices.Contains([]string{"server_id", "lease_time", "mtu", "router", "server_mac", "dns_server", "classless_static_route", "dhcpv6_stateless"}, option) {
					return fmt.Errorf("%s follows from the subnet", option)
				}
				values := strings.Split(value, ";")
				if len(values) > 1 {
					value = "{" + strings.Join(values, ", ") + "}"
				}
				(*dest)[option] = value
			}
			return nil
		}, section, name, "dict", "", "DHCP"+version+" options of all subnets, in OVN's words: OPTION:VALUE,…; values of a list are parted by semicolons.")
	}
	global(&d.GlobalDHCPv4, "ovn_dhcp4_global_options", "v4")
	global(&d.GlobalDHCPv6, "ovn_dhcp6_global_options", "v6")
	o.Bool(&d.FragmentationNeeded, section, "ovn_emit_need_to_frag", "Gateways answer packets that are too large for the external network.")
	o.Bool(&d.StatelessNAT, section, "stateless_nat_enabled", "Floating IPs are translated without connection tracking.")
	o.Bool(&d.BroadcastARPToRouters, section, "broadcast_arps_to_all_routers", "ARP requests for unknown addresses on external networks go to all routers.")
	o.Bool(&d.LocalnetLearnFDB, section, "localnet_learn_fdb", "Addresses beyond physical networks are learned.")
	o.Int(&d.MACAge, 0, section, "mac_binding_age_threshold", "After how many seconds a learned neighbour is forgotten; 0: never.")
	o.Int(&d.FDBAge, 0, section, "fdb_age_threshold", "After how many seconds a learned MAC address is forgotten; 0: never.")
	o.Parsed(func(text string) error {
		if text != "rarp" && text != "" {
			return fmt.Errorf("%q is neither rarp nor empty", text)
		}
		d.ActivationStrategy = text
		return nil
	}, section, "live_migration_activation_strategy", "string", d.ActivationStrategy, "What lets an instance that moves be heard on its new host: rarp, or nothing.")
	o.NotNeeded("gateways are spread over hosts by a hash, which moves the fewest when hosts come and go", section, "ovn_l3_scheduler")
	o.NotNeeded("differences are mended at once", section, "neutron_sync_mode")
	o.NotNeeded("the connection is tried again until it is there", section, "ovsdb_connection_timeout", "ovsdb_retry_max_interval", "ovsdb_probe_interval")
	o.NotNeeded("the drivers plug ports as Open vSwitch's", section, "vif_type", "vhost_sock_dir")
	o.Bool(&d.NoBaremetalDHCP, section, "disable_ovn_dhcp_for_baremetal_ports", "OVN does not answer DHCP for ports of vnic_type baremetal: another server on their network does.")
	o.NotNeeded("routers are always OVN's", section, "ovn_l3_mode")
	o.Bool(&d.IGMPSnooping, "ovs", "igmp_snooping_enable", "Multicast goes to who asked for it.")
	o.Bool(&d.IGMPFlood, "ovs", "igmp_flood", "Multicast goes to physical networks, asked for or not.")
	o.Bool(&d.IGMPFloodReports, "ovs", "igmp_flood_reports", "Reports of multicast listeners go to physical networks.")
	o.Bool(&d.IGMPFloodUnregistered, "ovs", "igmp_flood_unregistered", "Multicast that nobody asked for goes to all.")
}

// finish makes of the files' words what the server takes; nil when OVN is no mechanism driver.
func (s *ovnSettings) finish(net *network.Config) (*server.OVN, error) {
	if !slices.Contains(net.Mechanisms, network.OVN) {
		return nil, nil
	}
	for _, part := range []struct {
		db        *ovndb.Options
		endpoints []string
		files     ovndb.Files
		name      string
	}{{&s.North, s.north, s.northFiles, "ovn_nb"}, {&s.South, s.south, s.southFiles, "ovn_sb"}} {
		part.db.Endpoints = part.endpoints
		if len(part.endpoints) == 0 {
			return nil, fmt.Errorf("[ovn] %s_connection is empty", part.name)
		}
		for _, e := range part.endpoints {
			kind, rest, _ := strings.Cut(e, ":")
			if !slices.Contains([]string{"tcp", "ssl", "unix"}, kind) || rest == "" {
				return nil, fmt.Errorf("[ovn] %s_connection: %q is not tcp:HOST:PORT, ssl:HOST:PORT or unix:PATH", part.name, e)
			}
			if kind == "ssl" && (part.files.Key == "" || part.files.Certificate == "" || part.files.CA == "") {
				return nil, fmt.Errorf("[ovn] %s: ssl needs %[1]s_private_key, %[1]s_certificate and %[1]s_ca_cert", part.name)
			}
		}
		var err error
		if part.db.TLS, err = part.files.Config(); err != nil {
			return nil, fmt.Errorf("[ovn] %s: %w", part.name, err)
		}
	}
	net.MetadataPorts = s.Driver.Metadata
	if domain := strings.TrimSuffix(net.DNSDomain, "."); domain != "openstacklocal" {
		s.Driver.DNSDomain = domain
	}
	return &s.OVN, nil
}
