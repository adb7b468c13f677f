-- Who submitted a job, what it belongs to, and how it takes its turn.

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

-- Members of a group that have not ended.
CREATE INDEX jobs_grouped ON jobs (concurrency_group, seq)
    WHERE concurrency_group <> '' AND reason IS NULL;
