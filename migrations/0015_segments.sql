-- The segments of networks. A network's own columns hold its first one, for filters and older programs. A
-- segment that was there before this table has its network's id.
CREATE TABLE network_segments (
	id               VARCHAR(36)  NOT NULL PRIMARY KEY,
	network_id       VARCHAR(36)  NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
	name             VARCHAR(255) NOT NULL,
	description      VARCHAR(255) NOT NULL,
	revision_number  BIGINT       NOT NULL,
	created_at       VARCHAR(20)  NOT NULL,
	updated_at       VARCHAR(20)  NOT NULL,
	network_type     VARCHAR(32)  NOT NULL,
	physical_network VARCHAR(64)  NOT NULL,
	segmentation_id  BIGINT       NOT NULL,
	segment_index    INTEGER      NOT NULL
);
CREATE INDEX network_segments_network ON network_segments (network_id);
CREATE INDEX network_segments_place ON network_segments (network_type, physical_network, segmentation_id);
INSERT INTO network_segments (id, network_id, name, description, revision_number, created_at, updated_at, network_type, physical_network, segmentation_id, segment_index)
	SELECT n.id, n.id, '', '', 1, n.created_at, n.updated_at, n.network_type, n.physical_network, n.segmentation_id, 0 FROM networks n;

ALTER TABLE subnets ADD COLUMN segment_id VARCHAR(36) NOT NULL DEFAULT '';
CREATE INDEX subnets_segment ON subnets (segment_id);

-- The segment on which a bound port lies.
ALTER TABLE ports ADD COLUMN bound_segment VARCHAR(36) NOT NULL DEFAULT '';
UPDATE ports SET bound_segment = network_id WHERE vif_type = 'ovs';

CREATE TABLE network_segment_ranges (
	id               VARCHAR(36)  NOT NULL PRIMARY KEY,
	project_id       VARCHAR(255) NOT NULL,
	name             VARCHAR(255) NOT NULL,
	description      VARCHAR(255) NOT NULL,
	revision_number  BIGINT       NOT NULL,
	created_at       VARCHAR(20)  NOT NULL,
	updated_at       VARCHAR(20)  NOT NULL,
	is_default       BOOLEAN      NOT NULL,
	shared           BOOLEAN      NOT NULL,
	network_type     VARCHAR(32)  NOT NULL,
	physical_network VARCHAR(64)  NOT NULL,
	minimum          BIGINT       NOT NULL,
	maximum          BIGINT       NOT NULL
);
CREATE INDEX network_segment_ranges_type ON network_segment_ranges (network_type);
