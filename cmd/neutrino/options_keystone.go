package main

import (
	"errors"

	"neutrino/config"
	"neutrino/keystone"
)

// keystoneOptions are about who checks tokens.
func (s *serverSettings) keystoneOptions(o *config.Set) {
	const section = "keystone_authtoken"
	o.String(&s.authStrategy, "DEFAULT", "auth_strategy", "Who checks tokens: a Keystone, or, when [keystone_authtoken] names none, the built-in identity service.").Choices("keystone")
	k := &s.Keystone
	o.String(&k.AuthURL, section, "auth_url", "The Keystone that checks tokens: http://HOST:5000. Without it the built-in identity service does.")
	o.String(&k.PublicURL, section, "www_authenticate_uri", "Where clients get tokens, told to those who have none.").Deprecated("auth_uri")
	s.who.options(o, &k.Options, section)
	o.List(&k.ServiceRoles, section, "service_token_roles", "Roles of services that may pass on requests whose token has expired meanwhile.")
	o.Bool(&k.ServiceRolesRequired, section, "service_token_roles_required", "Service tokens without such a role are refused.")
	o.Seconds(&k.CacheTime, section, "token_cache_time", "How long Keystone's answer about a token is believed, and so how long after its end a revoked one may be good; 0: not at all.")
	o.Seconds(&k.RequestTimeout, section, "http_connect_timeout", "How long to wait for Keystone.")
	o.Int(&k.Retries, 0, section, "http_request_max_retries", "How often to ask again when there is no answer.")
	o.NotNeeded("answers are remembered in memory", section, "memcached_servers", "memcache_security_strategy", "memcache_secret_key", "memcache_use_advanced_pool", "memcache_pool_dead_retry",
		"memcache_pool_maxsize", "memcache_pool_socket_timeout", "memcache_pool_conn_get_timeout", "memcache_pool_unused_timeout", "cache", "memcache_tls_cafile", "memcache_tls_certfile", "memcache_tls_keyfile", "memcache_tls_allowed_ciphers")
	o.NotNeeded("tokens are checked at auth_url, by version 3 of the API", section, "interface", "region_name", "auth_version", "auth_section", "service_type", "default_domain_id", "default_domain_name",
		"include_service_catalog", "enforce_token_bind", "hash_algorithms", "identity_uri", "admin_user", "admin_password", "admin_tenant_name", "admin_token", "auth_host", "auth_port",
		"auth_protocol", "auth_admin_prefix", "domain_id", "domain_name", "trust_id", "memcache_sasl_enabled", "memcache_username", "memcache_password", "memcache_tls_enabled")
	o.NotNeeded("requests without a good token are always refused", section, "delay_auth_decision")
}

// finishKeystone holds the options against one another.
func (s *serverSettings) finishKeystone() error {
	k := &s.Keystone
	s.who.finish(&k.Options)
	if k.AuthURL == "" && (k.PublicURL != "" || named(k.Options)) {
		return errors.New("[keystone_authtoken] auth_url is missing")
	}
	return nil
}

// credentialWords are what a section says of who we are at a Keystone and has to be put into other words.
type credentialWords struct{ kind, systemScope string }

// options declares keystoneauth's options of who we are and how we get to services; auth_url is the section's own.
func (w *credentialWords) options(o *config.Set, k *keystone.Options, section string) {
	w.kind = "password"
	o.String(&w.kind, section, "auth_type", "How the server itself gets a token.").Deprecated("auth_plugin").
		Choices("password", "v3password", "v3applicationcredential")
	o.String(&k.Username, section, "username", "The server's user.").Deprecated("user_name", "user-name")
	o.String(&k.UserID, section, "user_id", "The same by its id.")
	o.String(&k.Password, section, "password", "Its password.").Secret()
	o.String(&k.UserDomainName, section, "user_domain_name", "Its domain.")
	o.String(&k.UserDomainID, section, "user_domain_id", "The same by its id.")
	o.String(&k.ProjectName, section, "project_name", "The server's project.").Deprecated("tenant_name")
	o.String(&k.ProjectID, section, "project_id", "The same by its id.").Deprecated("tenant_id")
	o.String(&k.ProjectDomainName, section, "project_domain_name", "Its domain.")
	o.String(&k.ProjectDomainID, section, "project_domain_id", "The same by its id.")
	o.String(&w.systemScope, section, "system_scope", "\"all\": the server's token is of the system instead of a project.").Choices("all", "")
	o.String(&k.ApplicationCredentialID, section, "application_credential_id", "The application credential of v3applicationcredential.")
	o.String(&k.ApplicationCredential, section, "application_credential_name", "The same by its name and user.")
	o.String(&k.ApplicationCredentialSecret, section, "application_credential_secret", "Its secret.").Secret()
	o.String(&k.CAFile, section, "cafile", "Certificates by which the services' are checked.")
	o.String(&k.CertFile, section, "certfile", "Our certificate for them.")
	o.String(&k.KeyFile, section, "keyfile", "Its key.")
	o.Bool(&k.Insecure, section, "insecure", "The services' certificates are not checked.")
}

func (w *credentialWords) finish(k *keystone.Options) {
	if w.kind == "v3applicationcredential" {
		k.Password = ""
	} else {
		k.ApplicationCredentialID, k.ApplicationCredential = "", ""
	}
	k.SystemScope = w.systemScope == "all"
}

// named says whether the options say who we are.
func named(k keystone.Options) bool {
	return k.Username != "" || k.UserID != "" || k.ApplicationCredentialID != ""
}
