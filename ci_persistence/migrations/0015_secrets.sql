-- Secrets of jobs; see ci_common/job_secrets.py. What is sealed is encrypted (AES-256-GCM) with a
-- key that is not in here, and opens only in its own row. Moments are microseconds since 1970, UTC.

-- No reference to organisations: '' is nobody's.
CREATE TABLE secrets (
    organisation TEXT NOT NULL,
    -- '' for all projects.
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    key_id TEXT NOT NULL,
    sealed BLOB NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (organisation, project, name)
) WITHOUT ROWID;

CREATE TRIGGER secrets_organisation_removed AFTER DELETE ON organisations
BEGIN
    DELETE FROM secrets WHERE organisation = OLD.id;
END;

-- What a running attempt has in its environment, so that its log can be gone on with.
CREATE TABLE given_secrets (
    job INTEGER NOT NULL PRIMARY KEY REFERENCES jobs (seq) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    sealed BLOB NOT NULL
);
