-- Packets to be written down when security groups let them pass, or don't.
CREATE TABLE logs (
	id              VARCHAR(36)  NOT NULL PRIMARY KEY,
	project_id      VARCHAR(255) NOT NULL,
	name            VARCHAR(255) NOT NULL,
	description     VARCHAR(255) NOT NULL,
	revision_number BIGINT       NOT NULL,
	created_at      VARCHAR(20)  NOT NULL,
	updated_at      VARCHAR(20)  NOT NULL,
	resource_type   VARCHAR(255) NOT NULL,
	resource_id     VARCHAR(36)  NOT NULL,
	target_id       VARCHAR(36)  NOT NULL,
	event           VARCHAR(8)   NOT NULL,
	enabled         BOOLEAN      NOT NULL
);
CREATE INDEX logs_project ON logs (project_id);
CREATE INDEX logs_resource ON logs (resource_id);
CREATE INDEX logs_target ON logs (target_id);

-- Addresses that ports on each host answer to for that host alone.
CREATE TABLE local_ips (
	id               VARCHAR(36)  NOT NULL PRIMARY KEY,
	project_id       VARCHAR(255) NOT NULL,
	name             VARCHAR(255) NOT NULL,
	description      VARCHAR(255) NOT NULL,
	revision_number  BIGINT       NOT NULL,
	created_at       VARCHAR(20)  NOT NULL,
	updated_at       VARCHAR(20)  NOT NULL,
	local_port_id    VARCHAR(36)  NOT NULL REFERENCES ports (id) ON DELETE CASCADE,
	network_id       VARCHAR(36)  NOT NULL,
	local_ip_address VARCHAR(64)  NOT NULL,
	ip_mode          VARCHAR(16)  NOT NULL
);
CREATE INDEX local_ips_project ON local_ips (project_id);
CREATE INDEX local_ips_port ON local_ips (local_port_id);

CREATE TABLE local_ip_associations (
	id            VARCHAR(36) NOT NULL PRIMARY KEY,
	local_ip_id   VARCHAR(36) NOT NULL REFERENCES local_ips (id) ON DELETE CASCADE,
	fixed_port_id VARCHAR(36) NOT NULL REFERENCES ports (id) ON DELETE CASCADE,
	fixed_ip      VARCHAR(64) NOT NULL,
	UNIQUE (local_ip_id, fixed_port_id)
);
CREATE INDEX local_ip_associations_port ON local_ip_associations (fixed_port_id);
