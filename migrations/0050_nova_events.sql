-- What Nova has still to be told, in the order of position.
CREATE TABLE nova_events (
	id          VARCHAR(36) NOT NULL PRIMARY KEY,
	position    BIGINT      NOT NULL,
	name        VARCHAR(64) NOT NULL,
	server_uuid VARCHAR(36) NOT NULL,
	tag         VARCHAR(36) NOT NULL,
	status      VARCHAR(16) NOT NULL,
	request     VARCHAR(64) NOT NULL,
	created_at  VARCHAR(20) NOT NULL
);
CREATE INDEX nova_events_position ON nova_events (position);
CREATE INDEX nova_events_tag ON nova_events (tag);
-- Which server does what only one of them may do.
CREATE TABLE turns (
	name      VARCHAR(64) NOT NULL PRIMARY KEY,
	server_id VARCHAR(36) NOT NULL
);
