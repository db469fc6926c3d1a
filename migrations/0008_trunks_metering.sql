CREATE TABLE trunks (
	id              VARCHAR(36)  NOT NULL PRIMARY KEY,
	project_id      VARCHAR(255) NOT NULL,
	name            VARCHAR(255) NOT NULL,
	description     VARCHAR(255) NOT NULL,
	revision_number BIGINT       NOT NULL,
	created_at      VARCHAR(20)  NOT NULL,
	updated_at      VARCHAR(20)  NOT NULL,
	admin_state_up  BOOLEAN      NOT NULL,
	port_id         VARCHAR(36)  NOT NULL REFERENCES ports (id),
	status          VARCHAR(16)  NOT NULL,
	UNIQUE (port_id)
);
CREATE INDEX trunks_project ON trunks (project_id);

CREATE TABLE subports (
	port_id           VARCHAR(36) NOT NULL PRIMARY KEY REFERENCES ports (id),
	trunk_id          VARCHAR(36) NOT NULL REFERENCES trunks (id) ON DELETE CASCADE,
	segmentation_type VARCHAR(32) NOT NULL,
	segmentation_id   INTEGER     NOT NULL,
	UNIQUE (trunk_id, segmentation_type, segmentation_id)
);

CREATE TABLE metering_labels (
	id          VARCHAR(36)   NOT NULL PRIMARY KEY,
	project_id  VARCHAR(255)  NOT NULL,
	name        VARCHAR(255)  NOT NULL,
	description VARCHAR(1024) NOT NULL,
	shared      BOOLEAN       NOT NULL
);
CREATE INDEX metering_labels_project ON metering_labels (project_id);

CREATE TABLE metering_label_rules (
	id                    VARCHAR(36)  NOT NULL PRIMARY KEY,
	metering_label_id     VARCHAR(36)  NOT NULL REFERENCES metering_labels (id) ON DELETE CASCADE,
	direction             VARCHAR(8)   NOT NULL,
	excluded              BOOLEAN      NOT NULL,
	remote_ip_prefix      VARCHAR(64)  NOT NULL,
	source_ip_prefix      VARCHAR(64)  NOT NULL,
	destination_ip_prefix VARCHAR(64)  NOT NULL
);
CREATE INDEX metering_label_rules_label ON metering_label_rules (metering_label_id);
