-- What is counted of jobs, and when the steps of an attempt came.

-- Totals of all time: they survive the jobs they were counted from, and cost the same to read
-- with a million jobs as with ten. Triggers count in the transaction of the change itself.
CREATE TABLE job_totals (
    name TEXT NOT NULL CHECK (name IN ('submitted', 'requeued', 'ended')),
    -- Why jobs ended; '' where that is not the question.
    reason TEXT NOT NULL DEFAULT '',
    value INTEGER NOT NULL,
    PRIMARY KEY (name, reason)
) WITHOUT ROWID;

-- Each is there from the beginning, so that the first costs what the others do.
INSERT INTO job_totals (name, reason, value)
SELECT 'submitted', '', count(*) FROM jobs
UNION ALL
SELECT 'requeued', '', 0
UNION ALL
SELECT 'ended', reasons.column1, count(jobs.seq)
FROM (
    VALUES ('passed'), ('failed'), ('no_tests'), ('timed_out'), ('oom_killed'), ('cancelled'),
        ('queue_timed_out'), ('infra_error')
) AS reasons LEFT JOIN jobs ON jobs.reason = reasons.column1
GROUP BY reasons.column1;

-- Distributions of seconds: how many values were at most `bound` and more than the bound
-- before it. The last bound of each is beyond any value.
CREATE TABLE job_seconds (
    name TEXT NOT NULL,
    bound REAL NOT NULL,
    count INTEGER NOT NULL DEFAULT 0,
    sum REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (name, bound)
) WITHOUT ROWID;

WITH bounds (bound) AS (
    VALUES (0.005), (0.01), (0.025), (0.05), (0.1), (0.25), (0.5), (1.0), (2.5), (5.0), (10.0),
        (30.0), (60.0), (120.0), (300.0), (600.0), (1800.0), (3600.0), (14400.0), (9e999)
),
names (name) AS (VALUES ('queue_wait'), ('duration'))
INSERT INTO job_seconds (name, bound) SELECT name, bound FROM names, bounds;

CREATE TRIGGER job_totals_submitted AFTER INSERT ON jobs
BEGIN
    INSERT INTO job_totals (name, value) VALUES ('submitted', 1)
    ON CONFLICT (name, reason) DO UPDATE SET value = value + 1;
END;

CREATE TRIGGER job_totals_ended AFTER UPDATE OF status ON jobs
WHEN NEW.reason IS NOT NULL AND OLD.reason IS NULL
BEGIN
    INSERT INTO job_totals (name, reason, value) VALUES ('ended', NEW.reason, 1)
    ON CONFLICT (name, reason) DO UPDATE SET value = value + 1;
END;

CREATE TRIGGER job_totals_requeued AFTER UPDATE OF status ON jobs
WHEN OLD.status = 'running' AND NEW.status = 'queued'
BEGIN
    INSERT INTO job_totals (name, value) VALUES ('requeued', 1)
    ON CONFLICT (name, reason) DO UPDATE SET value = value + 1;
END;

-- To the first claim: later ones wait for other reasons. Within one boot by the clock that
-- nobody sets.
CREATE TRIGGER job_seconds_waited AFTER UPDATE OF status ON jobs
WHEN NEW.status = 'running' AND NEW.attempt = 1
BEGIN
    INSERT INTO job_seconds (name, bound, count, sum)
    SELECT 'queue_wait', (
        SELECT min(bound) FROM job_seconds WHERE name = 'queue_wait' AND bound >= took.seconds
    ), 1, took.seconds
    FROM (
        SELECT coalesce(max(0.0, CASE
            WHEN NEW.started_boot = NEW.created_boot THEN NEW.started_uptime - NEW.created_uptime
            ELSE (NEW.started_wall - NEW.created_wall) / 1e6
        END), 0.0) AS seconds
    ) AS took
    WHERE true
    ON CONFLICT (name, bound) DO UPDATE SET count = count + 1, sum = sum + excluded.sum;
END;

-- Of the attempt that came to a result.
CREATE TRIGGER job_seconds_lasted AFTER UPDATE OF status ON jobs
WHEN OLD.status = 'running' AND NEW.reason IS NOT NULL
BEGIN
    INSERT INTO job_seconds (name, bound, count, sum)
    SELECT 'duration', (
        SELECT min(bound) FROM job_seconds WHERE name = 'duration' AND bound >= took.seconds
    ), 1, took.seconds
    FROM (
        SELECT coalesce(max(0.0, CASE
            WHEN NEW.ended_boot = NEW.started_boot THEN NEW.ended_uptime - NEW.started_uptime
            ELSE (NEW.ended_wall - NEW.started_wall) / 1e6
        END), 0.0) AS seconds
    ) AS took
    WHERE true
    ON CONFLICT (name, bound) DO UPDATE SET count = count + 1, sum = sum + excluded.sum;
END;

-- The trace that a submission belongs to, as W3C Trace Context writes it.
ALTER TABLE jobs ADD COLUMN traceparent TEXT;
-- When the present attempt came so far, in microseconds since 1970, UTC.
ALTER TABLE jobs ADD COLUMN preparing_wall INTEGER;
ALTER TABLE jobs ADD COLUMN container_wall INTEGER;
ALTER TABLE jobs ADD COLUMN fed_wall INTEGER;
