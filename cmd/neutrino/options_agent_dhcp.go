package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"neutrino/config"
)

// dhcpOptions are dhcp_agent.ini's, and those of neutron.conf that it reads.
func (s *agentSettings) dhcpOptions(o *config.Set) {
	o.Parsed(func(text string) error { s.domain = strings.TrimSuffix(text, "."); return nil },
		"DEFAULT", "dns_domain", "string", s.domain, "Domain of instances on networks that have none.").Deprecated("dhcp_domain")
	o.Parsed(func(text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < 60 && n != -1 || n > 1<<31 {
			return fmt.Errorf("%q is neither a number of seconds from 60 nor -1", text)
		}
		s.lease = time.Duration(n) * time.Second
		return nil
	}, "DEFAULT", "dhcp_lease_duration", "integer", "86400", "How long instances may keep an address without asking again, in seconds; -1: for ever.")
	o.Bool(&s.isolatedMetadata, "DEFAULT", "enable_isolated_metadata", "Networks without a router lead to metadata by DHCP (the original's default is false).")
	o.Bool(&s.forceMetadata, "DEFAULT", "force_metadata", "Networks with a router lead to metadata by DHCP too.")
	o.Parsed(func(text string) error {
		s.resolvers = nil
		for _, word := range config.Split(text) {
			at, err := resolver(word)
			if err != nil {
				return err
			}
			s.resolvers = append(s.resolvers, at)
		}
		return nil
	}, "DEFAULT", "dnsmasq_dns_servers", "list", "", "Resolvers that are asked for names of others, when a subnet names none.")
	o.Bool(&s.systemResolvers, "DEFAULT", "dnsmasq_local_resolv", "Without dnsmasq_dns_servers the host's own resolvers are asked.")
	o.Only("networks for metadata alone are not known", "DEFAULT", "enable_metadata_network", "false", "0", "no", "off")
	const responder = "the agent itself answers DHCP; there is no dnsmasq"
	o.Unsupported(responder+"; ports have extra_dhcp_opts", "DEFAULT", "dnsmasq_config_file", "")
	o.Unsupported(responder, "DEFAULT", "dhcp_broadcast_reply", "false")
	o.Unsupported(responder+"; ports have extra_dhcp_opts", "DEFAULT", "dnsmasq_txt_record", "")
	o.NotNeeded(responder, "DEFAULT", "dhcp_driver", "dhcp_confs", "dnsmasq_base_log_dir", "dnsmasq_lease_max", "dnsmasq_enable_addr6_list", "dhcp_delete_namespaces", "num_sync_threads",
		"bulk_reload_interval", "resync_interval", "resync_throttle")
}

// resolver reads ADDRESS, or ADDRESS#PORT as dnsmasq has it.
func resolver(text string) (netip.AddrPort, error) {
	host, port, has := strings.Cut(text, "#")
	a, err := netip.ParseAddr(host)
	n := uint64(53)
	if err == nil && has {
		n, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || n == 0 {
		return netip.AddrPort{}, fmt.Errorf("%q is not the address of a resolver", text)
	}
	return netip.AddrPortFrom(a, uint16(n)), nil
}
