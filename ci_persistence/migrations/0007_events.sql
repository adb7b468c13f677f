-- What happened to jobs, in the order in which it happened. Triggers write it in the same
-- transaction as the change itself, so none is ever missing, and none is there that was undone.
-- Moments are microseconds since 1970, UTC: of the change where it has one, else of the write.

CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    type TEXT NOT NULL,
    job_id TEXT NOT NULL,
    project TEXT NOT NULL,
    submitter TEXT NOT NULL,
    status TEXT,
    attempt INTEGER NOT NULL,
    reason TEXT,
    exit_code INTEGER,
    detail TEXT
);

CREATE INDEX events_job ON events (job_id, seq);

CREATE TRIGGER events_job_added AFTER INSERT ON jobs
BEGIN
    INSERT INTO events (at, type, job_id, project, submitter, status, attempt)
    VALUES (NEW.created_wall, 'job.queued', NEW.id, NEW.project, NEW.submitter, NEW.status, 0);
END;

CREATE TRIGGER events_job_moved AFTER UPDATE OF status ON jobs
WHEN NEW.status <> OLD.status
BEGIN
    INSERT INTO events
        (at, type, job_id, project, submitter, status, attempt, reason, exit_code, detail)
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
        NEW.id, NEW.project, NEW.submitter, NEW.status, NEW.attempt,
        NEW.reason, NEW.exit_code, NEW.detail
    );
END;

-- The reason is the one it is being stopped for.
CREATE TRIGGER events_job_stopping AFTER UPDATE OF stop_reason ON jobs
WHEN NEW.stop_reason IS NOT NULL AND OLD.stop_reason IS NULL
BEGIN
    INSERT INTO events (at, type, job_id, project, submitter, status, attempt, reason)
    VALUES (
        CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER), 'job.stopping',
        NEW.id, NEW.project, NEW.submitter, NEW.status, NEW.attempt, NEW.stop_reason
    );
END;

CREATE TRIGGER events_job_removed AFTER DELETE ON jobs
BEGIN
    INSERT INTO events (at, type, job_id, project, submitter, attempt)
    VALUES (
        CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER), 'job.removed',
        OLD.id, OLD.project, OLD.submitter, OLD.attempt
    );
END;
