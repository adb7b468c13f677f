-- Who submitted a job, what it belongs to, how it takes its turn, and what is kept of it.

ALTER TABLE jobs ADD COLUMN submitter TEXT NOT NULL DEFAULT '';
-- A JSON object of text; job_labels has the same for looking up.
ALTER TABLE jobs ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
ALTER TABLE jobs ADD COLUMN concurrency_group TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN group_policy TEXT NOT NULL DEFAULT 'cancel_older';
-- Seconds.
ALTER TABLE jobs ADD COLUMN queue_timeout REAL;
ALTER TABLE jobs ADD COLUMN retry_of TEXT;
ALTER TABLE jobs ADD COLUMN tree_sha256 TEXT;
ALTER TABLE jobs ADD COLUMN image_id TEXT;

CREATE TABLE job_labels (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    PRIMARY KEY (name, value, job)
) WITHOUT ROWID;

CREATE INDEX job_labels_job ON job_labels (job);

-- The order of the queue: by rank, then by seq; see ci_common/queue_rules.py. Microseconds.
ALTER TABLE jobs ADD COLUMN arrived INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN base INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;
-- Whether a queued job has to wait for others of its group.
ALTER TABLE jobs ADD COLUMN group_waits INTEGER NOT NULL DEFAULT 0 CHECK (group_waits IN (0, 1));
-- When the queue time-out of a job that was never claimed is over, by the wall clock.
ALTER TABLE jobs ADD COLUMN queue_deadline INTEGER;
-- Whether its project is still in the stash; that of an ended job is kept for a retry.
ALTER TABLE jobs ADD COLUMN stashed INTEGER NOT NULL DEFAULT 1 CHECK (stashed IN (0, 1));

UPDATE jobs SET arrived = created_wall, base = created_wall,
    rank = created_wall - priority * 600000000;
UPDATE jobs SET stashed = 0 WHERE reason IS NOT NULL;

-- What is read at every tick costs the same however many jobs wait.
DROP INDEX jobs_queued;
CREATE INDEX jobs_queued ON jobs (rank, seq) WHERE status = 'queued';
CREATE INDEX jobs_startable ON jobs (rank, seq) WHERE status = 'queued' AND group_waits = 0;
CREATE INDEX jobs_waiting ON jobs (seq) WHERE status = 'queued';
CREATE INDEX jobs_deadline ON jobs (queue_deadline)
    WHERE status = 'queued' AND attempt = 0 AND queue_deadline IS NOT NULL;
CREATE INDEX jobs_submitter ON jobs (submitter, priority, base) WHERE reason IS NULL;

-- Those that have ended and whose project is kept.
CREATE INDEX jobs_stashed ON jobs (ended_wall, zip_size)
    WHERE ended_wall IS NOT NULL AND stashed = 1;

-- Packs are needed as long as the tree that reads from them is there.
DROP TRIGGER jobs_let_go_of_packs;
CREATE TRIGGER jobs_let_go_of_packs AFTER UPDATE OF stashed ON jobs
WHEN NEW.stashed = 0
BEGIN
    DELETE FROM job_packs WHERE job = NEW.seq;
END;

-- Members of a group that have not ended. A group belongs to a project.
CREATE INDEX jobs_grouped ON jobs (project, concurrency_group, status, rank, seq)
    WHERE concurrency_group <> '' AND reason IS NULL;
CREATE INDEX jobs_group_next ON jobs (project, concurrency_group)
    WHERE concurrency_group <> '' AND status = 'queued' AND group_waits = 0;

-- Of a group whose policy it is to queue, the next one in order may start if none runs. This
-- is settled whenever one of the group moves, and costs the same however many of it wait.
CREATE TRIGGER jobs_group_grew AFTER INSERT ON jobs
WHEN NEW.concurrency_group <> ''
BEGIN
    UPDATE jobs SET group_waits = 1
    WHERE concurrency_group = NEW.concurrency_group AND project = NEW.project
        AND concurrency_group <> '' AND status = 'queued' AND group_waits = 0
        AND group_policy = 'queue'
        AND (
            EXISTS (
                SELECT 1 FROM jobs AS other
                WHERE other.project = NEW.project
                    AND other.concurrency_group = NEW.concurrency_group
                    AND other.concurrency_group <> '' AND other.reason IS NULL
                    AND other.status = 'running'
            )
            OR seq <> (
                SELECT other.seq FROM jobs AS other
                WHERE other.project = NEW.project
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
        AND concurrency_group <> '' AND status = 'queued' AND group_waits = 0
        AND group_policy = 'queue'
        AND (
            EXISTS (
                SELECT 1 FROM jobs AS other
                WHERE other.project = NEW.project
                    AND other.concurrency_group = NEW.concurrency_group
                    AND other.concurrency_group <> '' AND other.reason IS NULL
                    AND other.status = 'running'
            )
            OR seq <> (
                SELECT other.seq FROM jobs AS other
                WHERE other.project = NEW.project
                    AND other.concurrency_group = NEW.concurrency_group
                    AND other.concurrency_group <> '' AND other.reason IS NULL
                    AND other.status = 'queued'
                ORDER BY other.rank, other.seq LIMIT 1
            )
        );
    UPDATE jobs SET group_waits = 0
    WHERE seq = (
            SELECT other.seq FROM jobs AS other
            WHERE other.project = NEW.project
                AND other.concurrency_group = NEW.concurrency_group
                AND other.concurrency_group <> '' AND other.reason IS NULL
                AND other.status = 'queued'
            ORDER BY other.rank, other.seq LIMIT 1
        )
        AND group_waits = 1
        AND NOT EXISTS (
            SELECT 1 FROM jobs AS other
            WHERE other.project = NEW.project
                AND other.concurrency_group = NEW.concurrency_group
                AND other.concurrency_group <> '' AND other.reason IS NULL
                AND other.status = 'running'
        );
END;
