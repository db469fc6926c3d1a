-- The chassis that an administrator wants the gateways of an OVN router on; none: they are chosen.
CREATE TABLE router_chassis (
	router_id VARCHAR(36)  NOT NULL REFERENCES routers (id) ON DELETE CASCADE,
	chassis   VARCHAR(255) NOT NULL,
	priority  INTEGER      NOT NULL,
	PRIMARY KEY (router_id, chassis)
);
CREATE INDEX router_chassis_chassis ON router_chassis (chassis);
