CREATE TABLE address_scopes (
	id         VARCHAR(36)  NOT NULL PRIMARY KEY,
	project_id VARCHAR(255) NOT NULL,
	name       VARCHAR(255) NOT NULL,
	ip_version INTEGER      NOT NULL
);
CREATE INDEX address_scopes_project ON address_scopes (project_id);

CREATE TABLE subnetpools (
	id                VARCHAR(36)  NOT NULL PRIMARY KEY,
	project_id        VARCHAR(255) NOT NULL,
	name              VARCHAR(255) NOT NULL,
	description       VARCHAR(255) NOT NULL,
	revision_number   BIGINT       NOT NULL,
	created_at        VARCHAR(20)  NOT NULL,
	updated_at        VARCHAR(20)  NOT NULL,
	ip_version        INTEGER      NOT NULL,
	prefixes          TEXT         NOT NULL,
	default_prefixlen INTEGER      NOT NULL,
	min_prefixlen     INTEGER      NOT NULL,
	max_prefixlen     INTEGER      NOT NULL,
	default_quota     BIGINT       NOT NULL,
	is_default        BOOLEAN      NOT NULL,
	address_scope_id  VARCHAR(36)  NOT NULL
);
CREATE INDEX subnetpools_project ON subnetpools (project_id);
CREATE INDEX subnetpools_scope ON subnetpools (address_scope_id);

ALTER TABLE subnets ADD COLUMN subnetpool_id VARCHAR(36) NOT NULL DEFAULT '';
ALTER TABLE subnets ADD COLUMN dns_publish_fixed_ip BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX subnets_subnetpool ON subnets (subnetpool_id);
