-- Every change of a resource, in commit order: what all readers follow.
CREATE TABLE journal (
	revision BIGINT      NOT NULL PRIMARY KEY,
	kind     VARCHAR(64) NOT NULL,
	id       VARCHAR(36) NOT NULL
);

CREATE TABLE tags (
	kind        VARCHAR(64)  NOT NULL,
	resource_id VARCHAR(36)  NOT NULL,
	tag         VARCHAR(255) NOT NULL,
	PRIMARY KEY (resource_id, tag)
);

CREATE TABLE quotas (
	project_id  VARCHAR(255) NOT NULL,
	resource    VARCHAR(64)  NOT NULL,
	quota_limit INTEGER      NOT NULL,
	PRIMARY KEY (project_id, resource)
);

-- Who may use an object that is not theirs; target_project "*" is everybody.
CREATE TABLE rbac_entries (
	id             VARCHAR(36)  NOT NULL PRIMARY KEY,
	project_id     VARCHAR(255) NOT NULL,
	object_type    VARCHAR(64)  NOT NULL,
	object_id      VARCHAR(36)  NOT NULL,
	action         VARCHAR(64)  NOT NULL,
	target_project VARCHAR(255) NOT NULL,
	UNIQUE (object_id, action, target_project)
);
CREATE INDEX rbac_entries_target ON rbac_entries (object_type, action, target_project);

CREATE TABLE agents (
	id                  VARCHAR(36)  NOT NULL PRIMARY KEY,
	agent_type          VARCHAR(255) NOT NULL,
	binary_name         VARCHAR(255) NOT NULL,
	topic               VARCHAR(255) NOT NULL,
	host                VARCHAR(255) NOT NULL,
	admin_state_up      BOOLEAN      NOT NULL,
	created_at          VARCHAR(20)  NOT NULL,
	started_at          VARCHAR(20)  NOT NULL,
	heartbeat_timestamp VARCHAR(20)  NOT NULL,
	configurations      TEXT         NOT NULL,
	description         VARCHAR(255) NOT NULL,
	availability_zone   VARCHAR(255) NOT NULL,
	UNIQUE (host, agent_type)
);

CREATE TABLE networks (
	id                      VARCHAR(36)  NOT NULL PRIMARY KEY,
	project_id              VARCHAR(255) NOT NULL,
	name                    VARCHAR(255) NOT NULL,
	description             VARCHAR(255) NOT NULL,
	revision_number         BIGINT       NOT NULL,
	created_at              VARCHAR(20)  NOT NULL,
	updated_at              VARCHAR(20)  NOT NULL,
	admin_state_up          BOOLEAN      NOT NULL,
	is_default              BOOLEAN      NOT NULL,
	mtu                     INTEGER      NOT NULL,
	port_security_enabled   BOOLEAN      NOT NULL,
	network_type            VARCHAR(32)  NOT NULL,
	physical_network        VARCHAR(64)  NOT NULL,
	segmentation_id         BIGINT       NOT NULL,
	availability_zone_hints TEXT         NOT NULL,
	dns_domain              VARCHAR(255) NOT NULL
);
CREATE INDEX networks_project ON networks (project_id);
-- Local networks have no segment of their own; that all others have theirs alone is the service's rule.
CREATE INDEX networks_segment ON networks (network_type, physical_network, segmentation_id);

CREATE TABLE subnets (
	id                VARCHAR(36)  NOT NULL PRIMARY KEY,
	project_id        VARCHAR(255) NOT NULL,
	name              VARCHAR(255) NOT NULL,
	description       VARCHAR(255) NOT NULL,
	revision_number   BIGINT       NOT NULL,
	created_at        VARCHAR(20)  NOT NULL,
	updated_at        VARCHAR(20)  NOT NULL,
	network_id        VARCHAR(36)  NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
	ip_version        INTEGER      NOT NULL,
	cidr              VARCHAR(64)  NOT NULL,
	gateway_ip        VARCHAR(64)  NOT NULL,
	enable_dhcp       BOOLEAN      NOT NULL,
	allocation_pools  TEXT         NOT NULL,
	dns_nameservers   TEXT         NOT NULL,
	host_routes       TEXT         NOT NULL,
	ipv6_ra_mode      VARCHAR(16)  NOT NULL,
	ipv6_address_mode VARCHAR(16)  NOT NULL,
	service_types     TEXT         NOT NULL
);
CREATE INDEX subnets_project ON subnets (project_id);
CREATE INDEX subnets_network ON subnets (network_id);

CREATE TABLE ports (
	id                    VARCHAR(36)  NOT NULL PRIMARY KEY,
	project_id            VARCHAR(255) NOT NULL,
	name                  VARCHAR(255) NOT NULL,
	description           VARCHAR(255) NOT NULL,
	revision_number       BIGINT       NOT NULL,
	created_at            VARCHAR(20)  NOT NULL,
	updated_at            VARCHAR(20)  NOT NULL,
	network_id            VARCHAR(36)  NOT NULL REFERENCES networks (id),
	admin_state_up        BOOLEAN      NOT NULL,
	mac_address           VARCHAR(17)  NOT NULL,
	device_id             VARCHAR(255) NOT NULL,
	device_owner          VARCHAR(255) NOT NULL,
	status                VARCHAR(16)  NOT NULL,
	status_reason         TEXT         NOT NULL,
	port_security_enabled BOOLEAN      NOT NULL,
	allowed_address_pairs TEXT         NOT NULL,
	extra_dhcp_opts       TEXT         NOT NULL,
	host                  VARCHAR(255) NOT NULL,
	vnic_type             VARCHAR(64)  NOT NULL,
	vif_type              VARCHAR(64)  NOT NULL,
	vif_details           TEXT         NOT NULL,
	profile               TEXT         NOT NULL,
	ip_allocation         VARCHAR(16)  NOT NULL,
	dns_name              VARCHAR(255) NOT NULL
);
CREATE INDEX ports_project ON ports (project_id);
CREATE UNIQUE INDEX ports_mac ON ports (network_id, mac_address);
CREATE INDEX ports_device ON ports (device_id);
CREATE INDEX ports_host ON ports (host);

CREATE TABLE ip_allocations (
	subnet_id  VARCHAR(36) NOT NULL REFERENCES subnets (id) ON DELETE CASCADE,
	ip_address VARCHAR(64) NOT NULL,
	port_id    VARCHAR(36) NOT NULL REFERENCES ports (id) ON DELETE CASCADE,
	network_id VARCHAR(36) NOT NULL,
	position   INTEGER     NOT NULL,
	PRIMARY KEY (subnet_id, ip_address)
);
CREATE INDEX ip_allocations_port ON ip_allocations (port_id);

CREATE TABLE security_groups (
	id              VARCHAR(36)  NOT NULL PRIMARY KEY,
	project_id      VARCHAR(255) NOT NULL,
	name            VARCHAR(255) NOT NULL,
	description     VARCHAR(255) NOT NULL,
	revision_number BIGINT       NOT NULL,
	created_at      VARCHAR(20)  NOT NULL,
	updated_at      VARCHAR(20)  NOT NULL,
	stateful        BOOLEAN      NOT NULL
);
CREATE INDEX security_groups_project ON security_groups (project_id);

CREATE TABLE default_security_groups (
	project_id        VARCHAR(255) NOT NULL PRIMARY KEY,
	security_group_id VARCHAR(36)  NOT NULL
);

CREATE TABLE security_group_rules (
	id                VARCHAR(36)  NOT NULL PRIMARY KEY,
	project_id        VARCHAR(255) NOT NULL,
	description       VARCHAR(255) NOT NULL,
	revision_number   BIGINT       NOT NULL,
	created_at        VARCHAR(20)  NOT NULL,
	updated_at        VARCHAR(20)  NOT NULL,
	security_group_id VARCHAR(36)  NOT NULL REFERENCES security_groups (id) ON DELETE CASCADE,
	direction         VARCHAR(8)   NOT NULL,
	ethertype         VARCHAR(8)   NOT NULL,
	protocol          VARCHAR(16)  NOT NULL,
	port_range_min    INTEGER      NOT NULL,
	port_range_max    INTEGER      NOT NULL,
	remote_ip_prefix  VARCHAR(64)  NOT NULL,
	remote_group_id   VARCHAR(36)  NOT NULL
);
CREATE INDEX security_group_rules_project ON security_group_rules (project_id);
CREATE INDEX security_group_rules_group ON security_group_rules (security_group_id);
CREATE INDEX security_group_rules_remote ON security_group_rules (remote_group_id);

CREATE TABLE port_security_groups (
	port_id           VARCHAR(36) NOT NULL REFERENCES ports (id) ON DELETE CASCADE,
	security_group_id VARCHAR(36) NOT NULL REFERENCES security_groups (id),
	PRIMARY KEY (port_id, security_group_id)
);
CREATE INDEX port_security_groups_group ON port_security_groups (security_group_id);

CREATE TABLE routers (
	id              VARCHAR(36)  NOT NULL PRIMARY KEY,
	project_id      VARCHAR(255) NOT NULL,
	name            VARCHAR(255) NOT NULL,
	description     VARCHAR(255) NOT NULL,
	revision_number BIGINT       NOT NULL,
	created_at      VARCHAR(20)  NOT NULL,
	updated_at      VARCHAR(20)  NOT NULL,
	admin_state_up  BOOLEAN      NOT NULL,
	status          VARCHAR(16)  NOT NULL,
	status_reason   TEXT         NOT NULL,
	enable_snat     BOOLEAN      NOT NULL,
	routes          TEXT         NOT NULL,
	host            VARCHAR(255) NOT NULL
);
CREATE INDEX routers_project ON routers (project_id);
CREATE INDEX routers_host ON routers (host);

CREATE TABLE floatingips (
	id                  VARCHAR(36)  NOT NULL PRIMARY KEY,
	project_id          VARCHAR(255) NOT NULL,
	description         VARCHAR(255) NOT NULL,
	revision_number     BIGINT       NOT NULL,
	created_at          VARCHAR(20)  NOT NULL,
	updated_at          VARCHAR(20)  NOT NULL,
	floating_network_id VARCHAR(36)  NOT NULL,
	floating_ip_address VARCHAR(64)  NOT NULL,
	floating_port_id    VARCHAR(36)  NOT NULL,
	fixed_ip_address    VARCHAR(64)  NOT NULL,
	port_id             VARCHAR(36)  NOT NULL,
	router_id           VARCHAR(36)  NOT NULL,
	status              VARCHAR(16)  NOT NULL,
	status_reason       TEXT         NOT NULL
);
CREATE INDEX floatingips_project ON floatingips (project_id);
CREATE INDEX floatingips_port ON floatingips (port_id);
CREATE INDEX floatingips_router ON floatingips (router_id);
