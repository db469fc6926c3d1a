-- Named sets of addresses that rules may name as their remote.
CREATE TABLE address_groups (
	id              VARCHAR(36)   NOT NULL PRIMARY KEY,
	project_id      VARCHAR(255)  NOT NULL,
	name            VARCHAR(255)  NOT NULL,
	description     VARCHAR(1024) NOT NULL,
	revision_number BIGINT        NOT NULL,
	created_at      VARCHAR(20)   NOT NULL,
	updated_at      VARCHAR(20)   NOT NULL
);
CREATE INDEX address_groups_project ON address_groups (project_id);

CREATE TABLE address_group_addresses (
	address_group_id VARCHAR(36) NOT NULL REFERENCES address_groups (id) ON DELETE CASCADE,
	address          VARCHAR(64) NOT NULL,
	PRIMARY KEY (address_group_id, address)
);

ALTER TABLE security_group_rules ADD COLUMN remote_address_group_id VARCHAR(36) NOT NULL DEFAULT '';
-- remote_ip_prefix without host bits, for filters; older rows get theirs from it, of which most have none.
ALTER TABLE security_group_rules ADD COLUMN normalized_cidr VARCHAR(64) NOT NULL DEFAULT '';
UPDATE security_group_rules SET normalized_cidr = remote_ip_prefix;
CREATE INDEX security_group_rules_address_group ON security_group_rules (remote_address_group_id);

-- The rules that new security groups begin with; remote_group_id PARENT is the new group itself.
CREATE TABLE default_security_group_rules (
	id                      VARCHAR(36)   NOT NULL PRIMARY KEY,
	project_id              VARCHAR(255)  NOT NULL,
	description             VARCHAR(1024) NOT NULL,
	revision_number         BIGINT        NOT NULL,
	created_at              VARCHAR(20)   NOT NULL,
	updated_at              VARCHAR(20)   NOT NULL,
	direction               VARCHAR(8)    NOT NULL,
	ethertype               VARCHAR(8)    NOT NULL,
	protocol                VARCHAR(16)   NOT NULL,
	port_range_min          INTEGER       NOT NULL,
	port_range_max          INTEGER       NOT NULL,
	remote_ip_prefix        VARCHAR(64)   NOT NULL,
	remote_group_id         VARCHAR(36)   NOT NULL,
	remote_address_group_id VARCHAR(36)   NOT NULL,
	used_in_default_sg      BOOLEAN       NOT NULL,
	used_in_non_default_sg  BOOLEAN       NOT NULL
);
INSERT INTO default_security_group_rules VALUES
	('5a1d1b43-6f0e-4c93-9d1a-000000000001', '', '', 1, '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', 'egress', 'IPv4', '', -1, -1, '', '', '', TRUE, TRUE),
	('5a1d1b43-6f0e-4c93-9d1a-000000000002', '', '', 1, '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', 'egress', 'IPv6', '', -1, -1, '', '', '', TRUE, TRUE),
	('5a1d1b43-6f0e-4c93-9d1a-000000000003', '', '', 1, '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', 'ingress', 'IPv4', '', -1, -1, '', 'PARENT', '', TRUE, FALSE),
	('5a1d1b43-6f0e-4c93-9d1a-000000000004', '', '', 1, '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', 'ingress', 'IPv6', '', -1, -1, '', 'PARENT', '', TRUE, FALSE);

-- Whether a project's new security groups are stateful when their creator does not say.
CREATE TABLE security_groups_default_statefulness (
	id         VARCHAR(36)  NOT NULL PRIMARY KEY,
	project_id VARCHAR(255) NOT NULL,
	stateful   BOOLEAN      NOT NULL,
	UNIQUE (project_id)
);
