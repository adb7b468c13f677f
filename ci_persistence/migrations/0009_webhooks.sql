-- Who wants to be told of jobs, and the messages that come of it. `events` is what they are
-- made from. Moments are microseconds since 1970, UTC.

CREATE TABLE webhooks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    -- JSON arrays of text; of projects and reasons an empty one means all.
    types TEXT NOT NULL,
    projects TEXT NOT NULL,
    reasons TEXT NOT NULL,
    secret TEXT NOT NULL,
    old_secret TEXT,
    old_secret_until INTEGER,
    created INTEGER NOT NULL,
    -- Only events after this one are of interest: it was the last when the webhook was enabled.
    since INTEGER NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1,
    disabled_reason TEXT,
    failing_since INTEGER
);

CREATE TABLE webhook_deliveries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    webhook TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    -- events.seq; NULL for what is no event. One event makes one message for each webhook.
    event INTEGER,
    type TEXT NOT NULL,
    job_id TEXT,
    body TEXT NOT NULL,
    created INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    attempts INTEGER NOT NULL DEFAULT 0,
    -- What `attempts` was when somebody asked for it anew: the schedule counts from there.
    schedule_from INTEGER NOT NULL DEFAULT 0,
    next_try INTEGER,
    last_try INTEGER,
    last_status INTEGER,
    last_error TEXT,
    last_response TEXT,
    last_seconds REAL,
    UNIQUE (webhook, event)
);

CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook, next_try)
    WHERE state = 'pending';
CREATE INDEX webhook_deliveries_dead ON webhook_deliveries (seq) WHERE state = 'dead';
CREATE INDEX webhook_deliveries_of ON webhook_deliveries (webhook, seq);
CREATE INDEX webhook_deliveries_over ON webhook_deliveries (created) WHERE state <> 'pending';

-- Up to which event deliveries have been made. One row.
CREATE TABLE webhook_cursor (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    event INTEGER NOT NULL
);
INSERT INTO webhook_cursor (only, event) VALUES (1, 0);
