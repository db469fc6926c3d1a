-- What further extensions keep of a port.
ALTER TABLE ports ADD COLUMN dns_domain VARCHAR(255) NOT NULL DEFAULT '';
ALTER TABLE ports ADD COLUMN data_plane_status VARCHAR(16) NOT NULL DEFAULT '';
ALTER TABLE ports ADD COLUMN device_profile VARCHAR(255) NOT NULL DEFAULT '';
ALTER TABLE ports ADD COLUMN hardware_offload_type VARCHAR(255) NOT NULL DEFAULT '';
ALTER TABLE ports ADD COLUMN hints TEXT NOT NULL DEFAULT 'null';
ALTER TABLE ports ADD COLUMN numa_affinity_policy VARCHAR(16) NOT NULL DEFAULT '';
ALTER TABLE ports ADD COLUMN propagate_uplink_status BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE ports ADD COLUMN trusted VARCHAR(5) NOT NULL DEFAULT '';

-- Bindings that wait on further hosts while an instance moves; the active one is the port's own.
CREATE TABLE port_bindings (
	id          VARCHAR(36)  NOT NULL PRIMARY KEY,
	port_id     VARCHAR(36)  NOT NULL REFERENCES ports (id) ON DELETE CASCADE,
	host        VARCHAR(255) NOT NULL,
	vnic_type   VARCHAR(64)  NOT NULL,
	vif_type    VARCHAR(64)  NOT NULL,
	vif_details TEXT         NOT NULL,
	profile     TEXT         NOT NULL,
	UNIQUE (port_id, host)
);
CREATE INDEX port_bindings_host ON port_bindings (host);
