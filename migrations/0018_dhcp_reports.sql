-- What hosts that serve DHCP say of ports whose own host follows another server.
CREATE TABLE dhcp_reports (
	port_id VARCHAR(36)   NOT NULL REFERENCES ports (id) ON DELETE CASCADE,
	host    VARCHAR(255)  NOT NULL,
	up      BOOLEAN       NOT NULL,
	reason  TEXT          NOT NULL,
	PRIMARY KEY (port_id, host)
);
