package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"neutrino/config"
)

// apiOptions are about how the API is served.
func (s *serverSettings) apiOptions(o *config.Set) {
	o.String(&s.bindHost, "DEFAULT", "bind_host", "Address to listen on.")
	o.Port(&s.bindPort, "DEFAULT", "bind_port", "Port to listen on.")
	o.Bool(&s.tls.on, "DEFAULT", "use_ssl", "Serve HTTPS, by [ssl].")
	o.String(&s.tls.cert, "ssl", "cert_file", "Our certificate, with those that lead to its authority after it.").Deprecated("DEFAULT/ssl_cert_file")
	o.String(&s.tls.key, "ssl", "key_file", "Its key.").Deprecated("DEFAULT/ssl_key_file")
	o.String(&s.tls.ca, "ssl", "ca_file", "Authorities of which clients must have a certificate; without it they need none.").Deprecated("DEFAULT/ssl_ca_file")
	o.NotNeeded("TLS 1.2 and better, with ciphers that are held to be good", "ssl", "version", "ciphers")
	o.Only("the ML2 plugin is built in", "DEFAULT", "core_plugin", "ml2", "neutron.plugins.ml2.plugin.Ml2Plugin", "neutron.plugins.ml2.plugin:Ml2Plugin", "")
	o.Parsed(checkServicePlugins, "DEFAULT", "service_plugins", "list", "", "All services are always there; a name of one that is not gives a warning.")
	o.Only("lists and bulk requests are part of the API", "DEFAULT", "allow_bulk", "true", "1", "yes", "on")
	o.Parsed(func(text string) (err error) { s.MaxLimit, err = pageLimit(text); return err },
		"DEFAULT", "pagination_max_limit", "integer", "-1", "How many objects a list gives at once; infinite or -1: any number.")
	o.Unsupported("unknown filters are always refused", "DEFAULT", "filter_validation", "true")
	o.Bool(&s.TrustProxy, "oslo_middleware", "enable_proxy_headers_parsing", "X-Forwarded-Proto and X-Forwarded-Host come from our own proxy.")
	o.NotNeeded("bodies are bounded at 10 MiB", "oslo_middleware", "max_request_body_size")
	o.NotNeeded("[neutrino] public_url says where clients reach the server", "DEFAULT", "network_link_prefix")
	o.NotNeeded("the program has it in itself", "DEFAULT", "api_paste_config", "api_extensions_path", "allow_overlapping_ips", "allow_pagination", "allow_sorting", "enable_new_agents")
	o.NotNeeded("one process uses all cores", "DEFAULT", "api_workers", "wsgi_default_pool_size", "run_external_periodic_tasks", "periodic_interval", "periodic_fuzzy_delay", "setproctitle")
	o.NotNeeded("connections have limits of their own", "DEFAULT", "backlog", "retry_until_window", "wsgi_log_format", "tcp_keepidle", "max_header_line", "wsgi_keep_alive", "client_socket_timeout",
		"wsgi_server_debug", "http_retries", "graceful_shutdown_timeout", "log_options", "backdoor_port", "backdoor_socket")
	o.Unsupported("browsers of other origins are not let in; a proxy may do that", "cors", "allowed_origin", "")
	o.NotNeeded("there is no cross-origin sharing", "cors", "allow_credentials", "expose_headers", "max_age", "allow_methods", "allow_headers")
	o.NotNeeded("GET /healthcheck is always there", "healthcheck", "path", "detailed", "backends", "disable_by_file_path", "disable_by_file_paths", "allowed_source_ranges", "ignore_proxied_requests", "enable_by_file_paths")
}

// servicePlugins are those whose services are there, by the original's names for them.
var servicePlugins = []string{
	"router", "metering", "qos", "trunk", "segments", "port_forwarding", "flavors", "auto_allocate", "tag", "timestamp", "timestamp_core", "network_ip_availability", "revisions", "log",
	"local_ip", "ndp_proxy", "conntrack_helper", "network_segment_range", "port_device_profile", "placement", "dns", "uplink_status_propagation", "default_security_group_rules",
	"neutron.services.l3_router.l3_router_plugin.L3RouterPlugin", "neutron.services.qos.qos_plugin.QoSPlugin",
	"neutron.services.metering.metering_plugin.MeteringPlugin", "neutron.services.trunk.plugin.TrunkPlugin",
}

func checkServicePlugins(text string) error {
	var missing []string
	for _, name := range config.Split(text) {
		if !slices.Contains(servicePlugins, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return config.Warning("there is no service " + strings.Join(missing, ", "))
	}
	return nil
}

// tlsSettings say how HTTPS is served.
type tlsSettings struct {
	on            bool
	cert, key, ca string
}

func (t tlsSettings) finish() error {
	if t.on && (t.cert == "" || t.key == "") {
		return errors.New("[DEFAULT] use_ssl: [ssl] cert_file and key_file are missing")
	}
	return nil
}

// load reads the certificates; nil when HTTPS is not served.
func (t tlsSettings) load() (*tls.Config, error) {
	if !t.on {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(t.cert, t.key)
	if err != nil {
		return nil, fmt.Errorf("read our certificate: %w", err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if t.ca != "" {
		if c.ClientCAs, err = authorities(t.ca); err != nil {
			return nil, err
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c, nil
}

// authorities reads certificates by which others' are checked.
func authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", file)
	}
	return pool, nil
}

// pageLimit reads pagination_max_limit: 0 is any number, as are the original's words for it.
func pageLimit(text string) (int, error) {
	if text == "infinite" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%q is neither a number of objects nor infinite", text)
	}
	return max(n, 0), nil
}
