-- A page of a list, and how long jobs take, must cost the same with a million jobs as with ten.
-- Each of these is an order to walk in; job_query.py names them. `seq` is part of every index.

CREATE INDEX jobs_created ON jobs (created_wall);
CREATE INDEX jobs_of_project ON jobs (project, created_wall);
-- Jobs that have none of these cost nothing here.
CREATE INDEX jobs_of_submitter ON jobs (submitter, created_wall) WHERE submitter <> '';
CREATE INDEX jobs_of_group ON jobs (concurrency_group, created_wall) WHERE concurrency_group <> '';
CREATE INDEX jobs_unended ON jobs (created_wall) WHERE reason IS NULL;
CREATE INDEX jobs_unsuccessful ON jobs (created_wall) WHERE reason <> 'passed';
CREATE INDEX jobs_duration ON jobs (ended_wall - started_wall)
    WHERE ended_wall IS NOT NULL AND started_wall IS NOT NULL;

-- Jobs whose commands ran to their own end: what is expected of the next ones.
CREATE INDEX jobs_measured ON jobs (project, ended_wall) WHERE reason IN ('passed', 'failed');
CREATE INDEX jobs_measured_last ON jobs (ended_wall) WHERE reason IN ('passed', 'failed');

-- The labels again, in the order in which jobs are listed.
CREATE TABLE listed_labels (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    created INTEGER NOT NULL,
    job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    PRIMARY KEY (name, value, created, job)
) WITHOUT ROWID;

INSERT INTO listed_labels (name, value, created, job)
    SELECT name, value, created_wall, job FROM job_labels JOIN jobs ON jobs.seq = job_labels.job;

DROP TABLE job_labels;
ALTER TABLE listed_labels RENAME TO job_labels;
CREATE INDEX job_labels_job ON job_labels (job);
