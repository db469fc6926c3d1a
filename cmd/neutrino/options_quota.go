package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"neutrino/config"
	"neutrino/server"
)

// quotaOptions are what a project may have.
func (s *serverSettings) quotaOptions(o *config.Set) {
	limits := server.DefaultQuotas()
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		declared := o.Parsed(func(text string) error {
			n, err := quota(text)
			s.Services.Quotas[name] = n
			return err
		}, "quotas", "quota_"+name, "integer", strconv.Itoa(limits[name]), "How many a project may have; -1: any number.")
		if name == "router_route" {
			declared.Deprecated("DEFAULT/max_routes")
		}
	}
	o.Parsed(func(text string) (err error) { s.Services.OtherQuota, err = quota(text); return err },
		"quotas", "default_quota", "integer", "-1", "The same of whatever has no quota of its own here.")
	o.NotNeeded("quotas are kept in the database", "quotas", "quota_driver", "track_quota_usage", "quota_items")
}

func quota(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < -1 {
		return 0, fmt.Errorf("%q is neither a number of objects nor -1", text)
	}
	return n, nil
}

// policyOptions are about who may do what.
func (s *serverSettings) policyOptions(o *config.Set) {
	o.String(&s.policyFile, "oslo_policy", "policy_file", "Rules of policy that differ from the defaults, in YAML or JSON; from where this file is, and read again when it changes.")
	o.Unsupported("scopes are always enforced", "oslo_policy", "enforce_scope", "true")
	o.Unsupported("the new defaults are always in force; policy_file may say otherwise", "oslo_policy", "enforce_new_defaults", "true")
	o.Unsupported("rules are read from policy_file only", "oslo_policy", "policy_dirs", "")
	o.NotNeeded("every action has a rule", "oslo_policy", "policy_default_rule")
	o.NotNeeded("rules don't ask others", "oslo_policy", "remote_content_type", "remote_ssl_verify_server_crt", "remote_ssl_ca_crt_file", "remote_ssl_client_crt_file", "remote_ssl_client_key_file", "remote_timeout")
}
