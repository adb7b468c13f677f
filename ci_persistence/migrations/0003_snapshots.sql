-- What is noted of dependencies that are kept as images; see ci_common/snapshots.py.
-- Moments are microseconds since 1970, UTC.

CREATE TABLE snapshots (
    key TEXT NOT NULL PRIMARY KEY,
    used INTEGER NOT NULL,
    empty_since INTEGER,
    retired INTEGER NOT NULL DEFAULT 0 CHECK (retired IN (0, 1))
) WITHOUT ROWID;

ALTER TABLE jobs ADD COLUMN preparing TEXT;
