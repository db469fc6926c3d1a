-- The host where OVN answers for a port that is on none of its switches.
ALTER TABLE ports ADD COLUMN answered_by VARCHAR(255) NOT NULL DEFAULT '';
