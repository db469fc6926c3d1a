package main

import (
	"errors"

	"neutrino/config"
	"neutrino/nova"
)

// computeSettings are what files say of telling Nova.
type computeSettings struct {
	nova.Options

	who            credentialWords
	statuses, data bool
}

// computeOptions are about telling compute services of their ports.
func (s *serverSettings) computeOptions(o *config.Set) {
	const section = "nova"
	n := &s.compute
	n.statuses, n.data = true, true
	o.Bool(&n.statuses, "DEFAULT", "notify_nova_on_port_status_changes", "Nova is told when an instance's port is wired, and when it is no longer. It needs [nova] auth_url.")
	o.Bool(&n.data, "DEFAULT", "notify_nova_on_port_data_changes", "Nova is told when an instance's port was changed or deleted, or got or lost a floating IP. It needs [nova] auth_url.")
	o.Seconds(&n.Interval, "DEFAULT", "send_events_interval", "What happens so soon after Nova was told goes with the next request.")
	o.String(&n.AuthURL, section, "auth_url", "The Keystone that lets the server in to Nova: http://HOST:5000. Without it Nova is told nothing.")
	n.who.options(o, &n.Options.Options, section)
	o.String(&n.Region, section, "region_name", "Nova's region, if the catalogue has several.")
	o.String(&n.Interface, section, "endpoint_type", "Which of Nova's endpoints is used.").Choices("public", "internal", "admin", "publicURL", "internalURL", "adminURL")
	o.Seconds(&n.RequestTimeout, section, "timeout", "How long to wait for Keystone and for Nova (the original waits for ever).")
	o.Unsupported("say in this section who the server is", section, "auth_section", "")
	o.NotNeeded("Nova is told when the port's own host has wired it, and of nothing else's being ready", section, "live_migration_events")
	o.NotNeeded("Nova is found in Keystone's catalogue, by the type compute", section, "service_type", "service_name", "valid_interfaces", "endpoint_override", "version", "min_version", "max_version")
	o.NotNeeded("version 3 of Keystone's API is used", section, "collect_timing", "split_loggers", "default_domain_id", "default_domain_name", "domain_id", "domain_name", "trust_id")
	o.NotNeeded("[nova] says it", "DEFAULT", "nova_url", "nova_admin_auth_url", "nova_admin_username", "nova_admin_password", "nova_admin_tenant_name", "nova_region_name")
}

// finishCompute leaves Nova alone when nothing says where it is, or nothing is to be told.
func (s *serverSettings) finishCompute() error {
	n := &s.compute
	n.who.finish(&n.Options.Options)
	switch {
	case n.AuthURL == "" && named(n.Options.Options):
		return errors.New("[nova] auth_url is missing")
	case n.AuthURL == "" || !n.statuses && !n.data:
		return nil
	}
	s.Nova = &n.Options
	s.Services.Compute.StatusChanges, s.Services.Compute.DataChanges = n.statuses, n.data
	return nil
}
