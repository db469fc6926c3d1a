-- Networks that carry their instances' VLAN tags.
ALTER TABLE networks ADD COLUMN vlan_transparent BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE networks ADD COLUMN qinq BOOLEAN NOT NULL DEFAULT FALSE;
