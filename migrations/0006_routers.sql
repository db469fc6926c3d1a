-- What further extensions keep of routers and floating IPs.
ALTER TABLE routers ADD COLUMN distributed BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE routers ADD COLUMN ha BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE routers ADD COLUMN enable_ndp_proxy BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE routers ADD COLUMN enable_default_route_bfd BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE routers ADD COLUMN enable_default_route_ecmp BOOLEAN NOT NULL DEFAULT FALSE;
-- The first of a router's gateway ports; '' where there is at most one.
ALTER TABLE routers ADD COLUMN gateway_port_id VARCHAR(36) NOT NULL DEFAULT '';
ALTER TABLE floatingips ADD COLUMN dns_name VARCHAR(255) NOT NULL DEFAULT '';
ALTER TABLE floatingips ADD COLUMN dns_domain VARCHAR(255) NOT NULL DEFAULT '';

-- The network on which a project's highly available routers speak to one another.
CREATE TABLE ha_networks (
	project_id VARCHAR(255) NOT NULL PRIMARY KEY,
	network_id VARCHAR(36)  NOT NULL REFERENCES networks (id) ON DELETE CASCADE
);

CREATE TABLE port_forwardings (
	id                  VARCHAR(36)   NOT NULL PRIMARY KEY,
	floatingip_id       VARCHAR(36)   NOT NULL REFERENCES floatingips (id) ON DELETE CASCADE,
	description         VARCHAR(1024) NOT NULL,
	protocol            VARCHAR(16)   NOT NULL,
	external_first      INTEGER       NOT NULL,
	external_last       INTEGER       NOT NULL,
	internal_port_id    VARCHAR(36)   NOT NULL,
	internal_ip_address VARCHAR(64)   NOT NULL,
	internal_first      INTEGER       NOT NULL,
	internal_last       INTEGER       NOT NULL
);
CREATE INDEX port_forwardings_floatingip ON port_forwardings (floatingip_id);
CREATE INDEX port_forwardings_port ON port_forwardings (internal_port_id);

CREATE TABLE conntrack_helpers (
	id        VARCHAR(36) NOT NULL PRIMARY KEY,
	router_id VARCHAR(36) NOT NULL REFERENCES routers (id) ON DELETE CASCADE,
	protocol  VARCHAR(16) NOT NULL,
	port      INTEGER     NOT NULL,
	helper    VARCHAR(64) NOT NULL,
	UNIQUE (router_id, protocol, port, helper)
);

CREATE TABLE ndp_proxies (
	id              VARCHAR(36)   NOT NULL PRIMARY KEY,
	project_id      VARCHAR(255)  NOT NULL,
	name            VARCHAR(255)  NOT NULL,
	description     VARCHAR(1024) NOT NULL,
	revision_number BIGINT        NOT NULL,
	created_at      VARCHAR(20)   NOT NULL,
	updated_at      VARCHAR(20)   NOT NULL,
	router_id       VARCHAR(36)   NOT NULL REFERENCES routers (id) ON DELETE CASCADE,
	port_id         VARCHAR(36)   NOT NULL,
	ip_address      VARCHAR(64)   NOT NULL
);
CREATE INDEX ndp_proxies_project ON ndp_proxies (project_id);
CREATE INDEX ndp_proxies_router ON ndp_proxies (router_id);
CREATE INDEX ndp_proxies_port ON ndp_proxies (port_id);
