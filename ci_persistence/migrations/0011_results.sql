-- What jobs leave behind; see ci_common/results.py. An ended job's own row is never written again.
CREATE TABLE results (
    job INTEGER NOT NULL PRIMARY KEY REFERENCES jobs (seq) ON DELETE CASCADE,
    state TEXT NOT NULL,
    -- JSON objects, each NULL when there is none.
    tests TEXT,
    coverage TEXT,
    -- A JSON array of some files that were left out, and how many there are.
    left_out TEXT,
    left_out_count INTEGER NOT NULL DEFAULT 0
);

-- Containers are kept for these: they are looked for at every tick.
CREATE INDEX results_pending ON results (job) WHERE state = 'pending';

-- Jobs with the same files in the same image, to compare what came of their tests.
CREATE INDEX jobs_same ON jobs (project, tree_sha256, image_id)
    WHERE tree_sha256 IS NOT NULL AND image_id IS NOT NULL;

-- Where in the job's tar a file lies.
CREATE TABLE artifacts (
    job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    modified INTEGER NOT NULL,
    executable INTEGER NOT NULL CHECK (executable IN (0, 1)),
    "offset" INTEGER NOT NULL,
    PRIMARY KEY (job, path)
) WITHOUT ROWID;

CREATE TABLE tests (
    job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    node_id TEXT NOT NULL,
    classname TEXT NOT NULL,
    name TEXT NOT NULL,
    file TEXT NOT NULL,
    outcome TEXT NOT NULL,
    duration REAL NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (job, number)
) WITHOUT ROWID;

CREATE INDEX tests_history ON tests (node_id, job);
CREATE INDEX tests_bad ON tests (job) WHERE outcome IN ('failed', 'error');
