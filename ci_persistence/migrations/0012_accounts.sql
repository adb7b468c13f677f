-- Who there is, whose everything is, and what opens the door; see ci_common/accounts.py and
-- ci_common/access. Moments are microseconds since 1970, UTC.

CREATE TABLE organisations (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    created INTEGER NOT NULL,
    -- NULL is the server's default.
    max_running INTEGER,
    max_queued INTEGER,
    max_project_bytes INTEGER,
    max_artifact_bytes INTEGER
) WITHOUT ROWID;

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    email TEXT NOT NULL DEFAULT '',
    server_admin INTEGER NOT NULL DEFAULT 0 CHECK (server_admin IN (0, 1)),
    created INTEGER NOT NULL,
    disabled INTEGER,
    -- As argon2 writes it.
    password TEXT,
    -- The same person at an OIDC provider.
    issuer TEXT,
    subject TEXT,
    last_sign_in INTEGER,
    UNIQUE (issuer, subject)
) WITHOUT ROWID;

CREATE TABLE memberships (
    organisation TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    user TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'member', 'admin')),
    PRIMARY KEY (organisation, user)
) WITHOUT ROWID;

CREATE INDEX memberships_of_user ON memberships (user);

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    user TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    hint TEXT NOT NULL,
    -- Of the whole key as it was shown once.
    sha256 BLOB NOT NULL UNIQUE,
    -- Separated by blanks.
    scopes TEXT NOT NULL,
    organisation TEXT REFERENCES organisations (id) ON DELETE CASCADE,
    created INTEGER NOT NULL,
    expires INTEGER,
    last_used INTEGER,
    revoked INTEGER,
    replaced_by TEXT
) WITHOUT ROWID;

CREATE INDEX api_keys_of_user ON api_keys (user);

-- Whose a job is: '' is nobody's, of a server without accounts. No reference: jobs of an
-- organisation keep it from being removed, and what happened to them is still told afterwards.
ALTER TABLE jobs ADD COLUMN organisation TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN organisation TEXT NOT NULL DEFAULT '';
ALTER TABLE webhooks ADD COLUMN organisation TEXT NOT NULL DEFAULT '';

-- A key of one organisation says nothing to another.
DROP INDEX jobs_idempotency_key;
CREATE UNIQUE INDEX jobs_idempotency_key ON jobs (organisation, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- Orders to walk in; see 0008_listing.sql.
CREATE INDEX jobs_of_organisation ON jobs (organisation, created_wall) WHERE organisation <> '';

-- What is compared with other jobs is compared within an organisation only.
DROP INDEX jobs_measured;
CREATE INDEX jobs_measured ON jobs (organisation, project, ended_wall)
    WHERE reason IN ('passed', 'failed');
DROP INDEX jobs_same;
CREATE INDEX jobs_same ON jobs (organisation, project, tree_sha256, image_id)
    WHERE tree_sha256 IS NOT NULL AND image_id IS NOT NULL;
DROP INDEX jobs_submitter;
CREATE INDEX jobs_submitter ON jobs (organisation, submitter, priority, base)
    WHERE reason IS NULL;

-- A group belongs to a project of an organisation: what 0006_tags.sql says of groups, again.
DROP TRIGGER jobs_group_grew;
DROP TRIGGER jobs_group_moved;
DROP INDEX jobs_grouped;
DROP INDEX jobs_group_next;
CREATE INDEX jobs_grouped ON jobs (organisation, project, concurrency_group, status, rank, seq)
    WHERE concurrency_group <> '' AND reason IS NULL;
CREATE INDEX jobs_group_next ON jobs (organisation, project, concurrency_group)
    WHERE concurrency_group <> '' AND status = 'queued' AND group_waits = 0;

-- Of a group whose policy it is to queue, the next one in order may start if none runs. This
-- is settled whenever one of the group moves, and costs the same however many of it wait.
CREATE TRIGGER jobs_group_grew AFTER INSERT ON jobs
WHEN NEW.concurrency_group <> ''
BEGIN
    UPDATE jobs SET group_waits = 1
    WHERE concurrency_group = NEW.concurrency_group AND project = NEW.project
        AND organisation = NEW.organisation AND concurrency_group <> '' AND status = 'queued' AND group_waits = 0
        AND group_policy = 'queue'
        AND (
            EXISTS (
                SELECT 1 FROM jobs AS other
                WHERE other.project = NEW.project AND other.organisation = NEW.organisation
                    AND other.concurrency_group = NEW.concurrency_group
                    AND other.concurrency_group <> '' AND other.reason IS NULL
                    AND other.status = 'running'
            )
            OR seq <> (
                SELECT other.seq FROM jobs AS other
                WHERE other.project = NEW.project AND other.organisation = NEW.organisation
                    AND other.concurrency_group = NEW.concurrency_group
                    AND other.concurrency_group <> '' AND other.reason IS NULL
                    AND other.status = 'queued'
                ORDER BY other.rank, other.seq LIMIT 1
            )
        );
END;

CREATE TRIGGER jobs_group_moved AFTER UPDATE OF status ON jobs
WHEN NEW.concurrency_group <> '' AND NEW.status <> OLD.status
BEGIN
    UPDATE jobs SET group_waits = 1
    WHERE concurrency_group = NEW.concurrency_group AND project = NEW.project
        AND organisation = NEW.organisation AND concurrency_group <> '' AND status = 'queued' AND group_waits = 0
        AND group_policy = 'queue'
        AND (
            EXISTS (
                SELECT 1 FROM jobs AS other
                WHERE other.project = NEW.project AND other.organisation = NEW.organisation
                    AND other.concurrency_group = NEW.concurrency_group
                    AND other.concurrency_group <> '' AND other.reason IS NULL
                    AND other.status = 'running'
            )
            OR seq <> (
                SELECT other.seq FROM jobs AS other
                WHERE other.project = NEW.project AND other.organisation = NEW.organisation
                    AND other.concurrency_group = NEW.concurrency_group
                    AND other.concurrency_group <> '' AND other.reason IS NULL
                    AND other.status = 'queued'
                ORDER BY other.rank, other.seq LIMIT 1
            )
        );
    UPDATE jobs SET group_waits = 0
    WHERE seq = (
            SELECT other.seq FROM jobs AS other
            WHERE other.project = NEW.project AND other.organisation = NEW.organisation
                AND other.concurrency_group = NEW.concurrency_group
                AND other.concurrency_group <> '' AND other.reason IS NULL
                AND other.status = 'queued'
            ORDER BY other.rank, other.seq LIMIT 1
        )
        AND group_waits = 1
        AND NOT EXISTS (
            SELECT 1 FROM jobs AS other
            WHERE other.project = NEW.project AND other.organisation = NEW.organisation
                AND other.concurrency_group = NEW.concurrency_group
                AND other.concurrency_group <> '' AND other.reason IS NULL
                AND other.status = 'running'
        );
END;

-- Each event says whose the job is: what 0007_events.sql has, again.
DROP TRIGGER events_job_added;
DROP TRIGGER events_job_moved;
DROP TRIGGER events_job_stopping;
DROP TRIGGER events_job_removed;
CREATE TRIGGER events_job_added AFTER INSERT ON jobs
BEGIN
    INSERT INTO events (at, type, job_id, organisation, project, submitter, status, attempt)
    VALUES (
        NEW.created_wall, 'job.queued',
        NEW.id, NEW.organisation, NEW.project, NEW.submitter, NEW.status, 0
    );
END;

CREATE TRIGGER events_job_moved AFTER UPDATE OF status ON jobs
WHEN NEW.status <> OLD.status
BEGIN
    INSERT INTO events
        (at, type, job_id, organisation, project, submitter, status, attempt,
            reason, exit_code, detail)
    VALUES (
        -- A row that lacks its moment must not keep the change itself from being written.
        coalesce(
            CASE
                WHEN NEW.reason IS NOT NULL THEN NEW.ended_wall
                WHEN NEW.status = 'running' THEN NEW.started_wall
            END,
            CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)
        ),
        CASE
            WHEN NEW.reason IS NOT NULL THEN 'job.ended'
            WHEN NEW.status = 'running' THEN 'job.running'
            ELSE 'job.requeued'
        END,
        NEW.id, NEW.organisation, NEW.project, NEW.submitter, NEW.status, NEW.attempt,
        NEW.reason, NEW.exit_code, NEW.detail
    );
END;

-- The reason is the one it is being stopped for.
CREATE TRIGGER events_job_stopping AFTER UPDATE OF stop_reason ON jobs
WHEN NEW.stop_reason IS NOT NULL AND OLD.stop_reason IS NULL
BEGIN
    INSERT INTO events (at, type, job_id, organisation, project, submitter, status, attempt, reason)
    VALUES (
        CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER), 'job.stopping',
        NEW.id, NEW.organisation, NEW.project, NEW.submitter, NEW.status,
        NEW.attempt, NEW.stop_reason
    );
END;

CREATE TRIGGER events_job_removed AFTER DELETE ON jobs
BEGIN
    INSERT INTO events (at, type, job_id, organisation, project, submitter, attempt)
    VALUES (
        CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER), 'job.removed',
        OLD.id, OLD.organisation, OLD.project, OLD.submitter, OLD.attempt
    );
END;
