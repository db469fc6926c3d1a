-- The network and router that a project got by one call.
CREATE TABLE auto_topologies (
	project_id VARCHAR(255) NOT NULL PRIMARY KEY,
	network_id VARCHAR(36)  NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
	router_id  VARCHAR(36)  NOT NULL
);
