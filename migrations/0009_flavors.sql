CREATE TABLE flavors (
	id           VARCHAR(36)   NOT NULL PRIMARY KEY,
	name         VARCHAR(255)  NOT NULL,
	description  VARCHAR(1024) NOT NULL,
	service_type VARCHAR(36)   NOT NULL,
	enabled      BOOLEAN       NOT NULL
);

CREATE TABLE service_profiles (
	id          VARCHAR(36)   NOT NULL PRIMARY KEY,
	description VARCHAR(1024) NOT NULL,
	driver      VARCHAR(1024) NOT NULL,
	metainfo    TEXT          NOT NULL,
	enabled     BOOLEAN       NOT NULL
);

CREATE TABLE flavor_service_profiles (
	flavor_id          VARCHAR(36) NOT NULL REFERENCES flavors (id) ON DELETE CASCADE,
	service_profile_id VARCHAR(36) NOT NULL REFERENCES service_profiles (id),
	position           INTEGER     NOT NULL,
	PRIMARY KEY (flavor_id, service_profile_id)
);
CREATE INDEX flavor_service_profiles_profile ON flavor_service_profiles (service_profile_id);

ALTER TABLE routers ADD COLUMN flavor_id VARCHAR(36) NOT NULL DEFAULT '';
CREATE INDEX routers_flavor ON routers (flavor_id);
