-- Servers say that they live by counting; hosts follow one of them. Why a host counts as lost is said with its agents.
CREATE TABLE servers (
	id   VARCHAR(36) NOT NULL PRIMARY KEY,
	beat BIGINT      NOT NULL
);
CREATE TABLE host_servers (
	host      VARCHAR(255) NOT NULL PRIMARY KEY,
	server_id VARCHAR(36)  NOT NULL
);
ALTER TABLE agents ADD COLUMN lost_reason VARCHAR(255) NOT NULL DEFAULT '';
-- The host that gets a router ready before it moves there, and what that host says of it.
ALTER TABLE routers ADD COLUMN next_host VARCHAR(255) NOT NULL DEFAULT '';
ALTER TABLE routers ADD COLUMN next_status VARCHAR(16) NOT NULL DEFAULT '';
ALTER TABLE routers ADD COLUMN next_reason VARCHAR(2000) NOT NULL DEFAULT '';
CREATE INDEX ports_owner ON ports (device_owner);
