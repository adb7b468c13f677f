-- Who did what; see ci_common/audit.py. Moments are microseconds since 1970, UTC.
CREATE TABLE audit (
    -- Without AUTOINCREMENT it grows by one with each, since none is deleted.
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    subject TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor TEXT NOT NULL COLLATE NOCASE,
    credential TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    address TEXT NOT NULL,
    request_id TEXT NOT NULL,
    organisation TEXT NOT NULL,
    detail TEXT NOT NULL,
    -- Of the row before, and of all that this one says; see ci_persistence/audit_chain.py.
    sha256 BLOB NOT NULL
);

CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_of_actor ON audit (actor, seq);
CREATE INDEX audit_of_organisation ON audit (organisation, seq) WHERE organisation <> '';

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is never changed');
END;

CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is never deleted');
END;

-- A row is not put in the place of another either.
CREATE TRIGGER audit_only_grows BEFORE INSERT ON audit
WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit)
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;

-- What an organisation has of what it may have; see ci_persistence/quota_statements.py. All of
-- it is empty on a server without accounts.
CREATE INDEX jobs_running_of_organisation ON jobs (organisation)
    WHERE organisation <> '' AND status = 'running';
CREATE INDEX jobs_kept_of_organisation ON jobs (organisation, zip_size)
    WHERE organisation <> '' AND stashed = 1;

-- The queue of each organisation, in the order of the whole: one that is at its limit is left
-- out without going through its jobs.
DROP INDEX jobs_startable;
CREATE INDEX jobs_startable ON jobs (organisation, rank, seq)
    WHERE status = 'queued' AND group_waits = 0;

CREATE TABLE artifact_sums (
    organisation TEXT NOT NULL,
    job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (organisation, job)
) WITHOUT ROWID;

CREATE INDEX artifact_sums_job ON artifact_sums (job);

INSERT INTO artifact_sums (organisation, job, bytes)
    SELECT jobs.organisation, jobs.seq, sum(artifacts.size)
    FROM artifacts CROSS JOIN jobs ON jobs.seq = artifacts.job
    WHERE jobs.organisation <> '' GROUP BY jobs.seq;

CREATE TRIGGER artifact_sums_shrink AFTER DELETE ON artifacts
BEGIN
    UPDATE artifact_sums SET bytes = bytes - OLD.size WHERE job = OLD.job;
END;

-- What was nobody's is given to an organisation.
CREATE TRIGGER artifact_sums_move AFTER UPDATE OF organisation ON jobs
WHEN NEW.organisation <> OLD.organisation
BEGIN
    DELETE FROM artifact_sums WHERE job = NEW.seq;
    INSERT INTO artifact_sums (organisation, job, bytes)
        SELECT NEW.organisation, NEW.seq, sum(size) FROM artifacts WHERE job = NEW.seq
        GROUP BY job HAVING NEW.organisation <> '';
END;
