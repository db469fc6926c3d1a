package main

import "neutrino/config"

// logOptions are oslo.log's, which all programs share.
func logOptions(o *config.Set, debug *bool) {
	o.Bool(debug, "DEFAULT", "debug", "Log more.")
	o.NotNeeded("the log goes to standard error, one JSON object a line", "DEFAULT", "verbose", "log_config_append", "log_config", "log_date_format", "log_file", "logfile", "log_dir", "logdir", "watch_log_file",
		"use_syslog", "use_journal", "syslog_log_facility", "use_json", "use_stderr", "log_color", "use_eventlog", "log_rotate_interval", "log_rotate_interval_type", "max_logfile_count", "max_logfile_size_mb",
		"log_rotation_type", "logging_context_format_string", "logging_default_format_string", "logging_debug_format_suffix", "logging_exception_prefix", "logging_user_identity_format",
		"default_log_levels", "publish_errors", "instance_format", "instance_uuid_format", "rate_limit_interval", "rate_limit_burst", "rate_limit_except_level", "fatal_deprecations")
}

// databaseOptions are oslo.db's.
func (s *serverSettings) databaseOptions(o *config.Set) {
	o.String(&s.database, "database", "connection", "Where state is kept: postgresql://…, mysql://… or sqlite:///PATH.").Secret().Deprecated("DEFAULT/sql_connection")
	o.NotNeeded("the program looks after its connections", "database", "max_retries", "retry_interval", "min_pool_size", "max_pool_size", "max_overflow", "connection_recycle_time", "idle_timeout", "pool_timeout",
		"db_max_retries", "db_retry_interval", "db_inc_retry_interval", "db_max_retry_interval", "use_db_reconnect", "backend", "mysql_sql_mode", "mysql_enable_ndb", "mysql_wsrep_sync_wait",
		"sqlite_synchronous", "sqlite_db", "engine", "connection_debug", "connection_trace", "connection_parameters", "use_tpool")
	o.Unsupported("all is read from connection", "database", "slave_connection", "")
}

// commonUnneeded are options of libraries that Neutron is made of.
func commonUnneeded(o *config.Set) {
	const broker = "there is no message broker"
	o.NotNeeded(broker, "DEFAULT", "transport_url", "rpc_backend", "control_exchange", "rpc_workers", "rpc_state_report_workers", "rpc_response_timeout", "rpc_response_max_timeout", "rpc_conn_pool_size", "conn_pool_min_size",
		"conn_pool_ttl", "executor_thread_pool_size", "rpc_thread_pool_size", "rpc_ping_enabled", "rpc_zmq_bind_address")
	o.NotNeeded(broker, "oslo_messaging_notifications", "driver", "topics", "transport_url", "retry")
	o.NotNeeded(broker, "oslo_messaging_rabbit", "amqp_durable_queues", "amqp_auto_delete", "rpc_conn_pool_size", "conn_pool_min_size", "conn_pool_ttl", "ssl", "ssl_version", "ssl_key_file", "ssl_cert_file", "ssl_ca_file", "ssl_enforce_fips_mode",
		"ssl_enforce_hostname_verification", "heartbeat_in_pthread", "kombu_reconnect_delay", "kombu_reconnect_splay", "kombu_compression", "kombu_missing_consumer_retry_timeout",
		"kombu_failover_strategy", "rabbit_host", "rabbit_port", "rabbit_hosts", "rabbit_userid", "rabbit_password", "rabbit_virtual_host", "rabbit_use_ssl", "rabbit_max_retries",
		"rabbit_login_method", "rabbit_retry_interval", "rabbit_retry_backoff", "rabbit_interval_max", "rabbit_ha_queues", "rabbit_quorum_queue", "rabbit_transient_quorum_queue",
		"rabbit_quorum_delivery_limit", "rabbit_quorum_max_memory_length", "rabbit_quorum_max_memory_bytes", "rabbit_quroum_max_memory_length", "rabbit_quroum_max_memory_bytes",
		"rabbit_transient_queues_ttl", "rabbit_qos_prefetch_count", "rabbit_stream_fanout", "heartbeat_timeout_threshold", "heartbeat_rate", "direct_mandatory_flag", "enable_cancel_on_failover",
		"use_queue_manager", "hostname", "processname")
	o.NotNeeded(broker, "oslo_messaging_amqp", "container_name", "idle_timeout", "trace", "ssl", "ssl_ca_file", "ssl_cert_file", "ssl_key_file", "ssl_key_password", "ssl_verify_vhost", "sasl_mechanisms", "sasl_config_dir",
		"sasl_config_name", "sasl_default_realm", "connection_retry_interval", "connection_retry_backoff", "connection_retry_interval_max", "link_retry_delay", "default_reply_retry",
		"default_reply_timeout", "default_send_timeout", "default_notify_timeout", "default_sender_link_timeout", "addressing_mode", "pseudo_vhost", "server_request_prefix", "broadcast_prefix",
		"group_request_prefix", "rpc_address_prefix", "notify_address_prefix", "multicast_address", "unicast_address", "anycast_address", "default_notification_exchange", "default_rpc_exchange",
		"reply_link_credit", "rpc_server_credit", "notify_server_credit", "pre_settled")
	o.NotNeeded(broker, "oslo_messaging_kafka", "kafka_max_fetch_bytes", "kafka_consumer_timeout", "pool_size", "conn_pool_min_size", "conn_pool_ttl", "consumer_group", "producer_batch_timeout", "producer_batch_size",
		"compression_codec", "enable_auto_commit", "max_poll_records", "security_protocol", "sasl_mechanism", "ssl_cafile", "ssl_client_cert_file", "ssl_client_key_file", "ssl_client_key_password")
	o.NotNeeded("files are locked in the state directory", "oslo_concurrency", "lock_path", "disable_process_locking")
	o.NotNeeded("[neutrino] state_dir says where state is kept", "DEFAULT", "state_path")
	o.NotNeeded("reports are made by signals and /metrics of our own", "oslo_reports", "log_dir", "file_event_handler", "file_event_handler_interval")
	for _, section := range []string{"privsep", "privsep_dhcp_release", "privsep_ovs_vsctl", "privsep_namespace", "privsep_conntrack", "privsep_link"} {
		o.NotNeeded("the program has the privileges that it needs", section, "user", "group", "capabilities", "thread_pool_size", "helper_command", "logger_name", "log_daemon_traceback")
	}
	o.NotNeeded("what is remembered is remembered in memory", "cache", "config_prefix", "expiration_time", "backend_expiration_time", "backend", "backend_argument", "proxies", "enabled", "debug_cache_backend",
		"memcache_servers", "memcache_dead_retry", "memcache_socket_timeout", "memcache_pool_maxsize", "memcache_pool_unused_timeout", "memcache_pool_connection_get_timeout",
		"memcache_pool_flush_on_reconnect", "memcache_sasl_enabled", "memcache_username", "memcache_password", "tls_enabled", "tls_cafile", "tls_certfile", "tls_keyfile", "tls_allowed_ciphers",
		"enable_socket_keepalive", "socket_keepalive_idle", "socket_keepalive_interval", "socket_keepalive_count", "enable_retry_client", "retry_attempts", "retry_delay",
		"hashclient_retry_attempts", "hashclient_retry_delay", "dead_timeout")
	o.NotNeeded("/metrics says how long things take", "profiler", "enabled", "trace_sqlalchemy", "trace_requests", "hmac_keys", "connection_string", "es_doc_type", "es_scroll_time", "es_scroll_size", "socket_timeout",
		"sentinel_service_name", "filter_error_trace")
	o.NotNeeded("there are no experiments", "experimental", "linuxbridge", "ipv6_pd_enabled")
}

// sessionOptions are what keystoneauth has for each service that is called.
var sessionOptions = []string{
	"auth_url", "auth_type", "auth_section", "cafile", "certfile", "collect_timing", "default_domain_id", "default_domain_name", "domain_id", "domain_name", "insecure", "keyfile", "password",
	"project_domain_id", "project_domain_name", "project_id", "project_name", "split_loggers", "system_scope", "tenant_id", "tenant_name", "timeout", "trust_id", "user_domain_id", "user_domain_name",
	"user_id", "username", "region_name", "endpoint_type", "service_type", "service_name", "valid_interfaces", "endpoint_override", "version", "min_version", "max_version",
}

// otherServices are the options by which Neutron calls other services.
func otherServices(o *config.Set) {
	o.NotNeeded("bandwidth and packet rates are not reported to the placement service", "placement", sessionOptions...)
	o.Unsupported("the bare metal service is not told of ports", "ironic", "enable_notifications", "false")
	o.NotNeeded("the bare metal service is not called", "ironic", sessionOptions...)
	o.NotNeeded("names are not published outside", "designate", append([]string{
		"url", "admin_auth_url", "admin_username", "admin_password", "admin_tenant_id", "admin_tenant_name", "allow_reverse_dns_lookup", "ipv4_ptr_zone_prefix_size", "ipv6_ptr_zone_prefix_size",
		"ptr_zone_email", "ca_cert"}, sessionOptions...)...)
	o.NotNeeded("what realises a service is built in", "service_providers", "service_provider")
}
