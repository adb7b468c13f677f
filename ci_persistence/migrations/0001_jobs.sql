-- Moments are stored as *_wall (microseconds since 1970, UTC), *_uptime (seconds
-- since boot) and *_boot (which boot that was); see ci_common/clock.py.

CREATE TABLE jobs (
    -- The order of submission; never used twice, even if the newest row is deleted.
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'completed', 'cancelled')),
    project TEXT NOT NULL,
    priority INTEGER NOT NULL,
    recipe TEXT NOT NULL,
    created_wall INTEGER NOT NULL,
    created_uptime REAL NOT NULL,
    created_boot TEXT NOT NULL,

    zip_path TEXT NOT NULL,
    zip_size INTEGER NOT NULL,
    zip_sha256 TEXT NOT NULL,

    idempotency_key TEXT,
    fingerprint TEXT NOT NULL,

    attempt INTEGER NOT NULL DEFAULT 0,
    faults INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL,
    hold_until INTEGER,
    started_wall INTEGER,
    started_uptime REAL,
    started_boot TEXT,
    container TEXT,
    log_base INTEGER NOT NULL DEFAULT 0,
    fed INTEGER NOT NULL DEFAULT 0 CHECK (fed IN (0, 1)),
    stop_reason TEXT,

    ended_wall INTEGER,
    ended_uptime REAL,
    ended_boot TEXT,
    reason TEXT,
    exit_code INTEGER,
    detail TEXT,

    -- A job has a verdict exactly when it has ended.
    CHECK ((reason IS NOT NULL) = (status IN ('completed', 'cancelled'))),
    CHECK ((ended_wall IS NOT NULL) = (reason IS NOT NULL)),
    CHECK (status <> 'running' OR started_wall IS NOT NULL)
);

-- These two hold only jobs that have not ended: what is read at every tick costs
-- the same with a million ended jobs as with none.
CREATE INDEX jobs_queued ON jobs (priority DESC, seq) WHERE status = 'queued';
CREATE INDEX jobs_running ON jobs (seq) WHERE status = 'running';

CREATE UNIQUE INDEX jobs_idempotency_key ON jobs (idempotency_key)
    WHERE idempotency_key IS NOT NULL;
