-- The journal's newest revision. On a database server every writing transaction changes this row
-- first: that makes them one after another, and revisions the order of commits.
CREATE TABLE journal_head (
	id       INTEGER NOT NULL PRIMARY KEY,
	revision BIGINT  NOT NULL,
	claims   BIGINT  NOT NULL
);
INSERT INTO journal_head (id, revision, claims) SELECT 1, COALESCE(MAX(revision), 0), 0 FROM journal;
