package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"neutrino/agent/metadata"
	"neutrino/config"
)

// novaSettings say where Nova's metadata service is. Without an address and a secret there is none, and the agent
// answers by itself.
type novaSettings struct {
	host, protocol string
	port           int
	secret         string
	insecure       bool
	ca, cert, key  string
	asked          bool // a file names Nova
	url            string
	secretFile     string // the flags' ways to say the same
}

func defaultNova() novaSettings { return novaSettings{host: "127.0.0.1", port: 8775, protocol: "http"} }

// metadataOptions are metadata_agent.ini's.
func (s *agentSettings) metadataOptions(o *config.Set) {
	n := &s.nova
	o.Parsed(func(text string) error {
		n.host, n.asked = text, true
		if text == "" || strings.ContainsAny(text, "/@? \t") {
			return fmt.Errorf("%q is no host", text)
		}
		return nil
	}, "DEFAULT", "nova_metadata_host", "string", n.host, "Nova's metadata service. It is asked when this or metadata_proxy_shared_secret is given; else the agent answers instances itself.").Deprecated("nova_metadata_ip")
	o.Port(&n.port, "DEFAULT", "nova_metadata_port", "Its port.")
	o.String(&n.protocol, "DEFAULT", "nova_metadata_protocol", "How it is asked.").Choices("http", "https")
	o.Parsed(func(text string) error { n.secret, n.asked = text, n.asked || text != ""; return nil },
		"DEFAULT", "metadata_proxy_shared_secret", "string", "", "What Nova knows our requests by; the same is in nova.conf.").Secret()
	o.Bool(&n.insecure, "DEFAULT", "nova_metadata_insecure", "Nova's certificate is not checked.")
	o.String(&n.ca, "DEFAULT", "auth_ca_cert", "Certificates by which Nova's is checked (default: the system's).")
	o.String(&n.cert, "DEFAULT", "nova_client_cert", "Our certificate for Nova.")
	o.String(&n.key, "DEFAULT", "nova_client_priv_key", "Its key.")
	o.NotNeeded("metadata is served by the agent itself, without a socket between", "DEFAULT", "metadata_proxy_socket", "metadata_proxy_user", "metadata_proxy_group", "metadata_proxy_socket_mode",
		"metadata_workers", "metadata_backlog", "metadata_proxy_watch_log", "auth_region", "auth_url", "auth_insecure", "admin_tenant_name", "admin_user", "admin_password", "endpoint_type")
	o.Unsupported("each instance may have 16 requests under way", "metadata_rate_limiting", "rate_limit_enabled", "false")
	o.NotNeeded("each instance may have 16 requests under way", "metadata_rate_limiting", "ip_versions", "base_window_duration", "base_query_rate_limit", "burst_window_duration", "burst_query_rate_limit")
	o.NotNeeded("times are bounded", "proxy_timeouts", "timeout_connect", "timeout_client", "timeout_server", "timeout_http_request", "timeout_http_keep_alive")
}

// finish makes of them what the metadata manager takes.
func (n *novaSettings) finish(host string) (metadata.Options, error) {
	o := metadata.Options{Host: host}
	switch {
	case n.url != "":
		var err error
		if o.Nova, err = url.Parse(n.url); err != nil {
			return o, fmt.Errorf("--nova-metadata-url: %w", err)
		}
	case n.asked:
		o.Nova = &url.URL{Scheme: n.protocol, Host: net.JoinHostPort(strings.Trim(n.host, "[]"), strconv.Itoa(n.port))}
	default:
		return o, nil
	}
	o.Secret = n.secret
	if n.secretFile != "" {
		text, err := os.ReadFile(n.secretFile)
		if err != nil {
			return o, fmt.Errorf("read Nova's shared secret: %w", err)
		}
		o.Secret = strings.TrimSpace(string(text))
	}
	if o.Secret == "" {
		return o, errors.New("[DEFAULT] metadata_proxy_shared_secret is missing: Nova could not tell our requests from an instance's")
	}
	if o.Nova.Scheme == "https" {
		o.TLS = &tls.Config{InsecureSkipVerify: n.insecure, MinVersion: tls.VersionTLS12}
		if n.ca != "" {
			var err error
			if o.TLS.RootCAs, err = authorities(n.ca); err != nil {
				return o, err
			}
		}
		if n.cert != "" || n.key != "" {
			pair, err := tls.LoadX509KeyPair(n.cert, n.key)
			if err != nil {
				return o, fmt.Errorf("read our certificate for Nova: %w", err)
			}
			o.TLS.Certificates = []tls.Certificate{pair}
		}
	}
	return o, nil
}
