-- Zones that routers are wanted in.
ALTER TABLE routers ADD COLUMN availability_zone_hints TEXT NOT NULL DEFAULT '[]';
