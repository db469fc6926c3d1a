-- Which API request made a change, so that logs can follow it to the hosts; empty: none did.
ALTER TABLE journal ADD COLUMN request VARCHAR(64) NOT NULL DEFAULT '';
