-- Contents of files that are kept between jobs; see ci_common/blobs.py.

CREATE TABLE scopes (
    id INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE
);

CREATE TABLE packs (
    -- Random, because the file has its name before the row is there.
    id INTEGER PRIMARY KEY,
    scope INTEGER NOT NULL REFERENCES scopes (id),
    size INTEGER NOT NULL,
    -- Microseconds since 1970, UTC.
    used_wall INTEGER NOT NULL
);

CREATE INDEX packs_scope ON packs (scope);

-- Where a blob lies that is in several packs: in the one that came last.
CREATE TABLE blobs (
    scope INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    pack INTEGER NOT NULL REFERENCES packs (id) ON DELETE CASCADE,
    offset INTEGER NOT NULL,
    packed INTEGER NOT NULL,
    size INTEGER NOT NULL,
    method INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    PRIMARY KEY (scope, sha256)
) WITHOUT ROWID;

CREATE INDEX blobs_pack ON blobs (pack);

-- Which packs the jobs need that have not ended. No pack goes that has a row here.
CREATE TABLE job_packs (
    job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    pack INTEGER NOT NULL REFERENCES packs (id),
    PRIMARY KEY (job, pack)
) WITHOUT ROWID;

CREATE INDEX job_packs_pack ON job_packs (pack);

CREATE TRIGGER jobs_let_go_of_packs AFTER UPDATE OF status ON jobs
WHEN NEW.reason IS NOT NULL
BEGIN
    DELETE FROM job_packs WHERE job = NEW.seq;
END;
