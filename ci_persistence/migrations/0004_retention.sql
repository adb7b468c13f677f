-- Which ended job is the oldest must cost the same with a million of them as with ten.
CREATE INDEX jobs_ended ON jobs (ended_wall) WHERE ended_wall IS NOT NULL;

-- A database that was restored from a backup has a twin, which may still live beside
-- it on the same engine. The newest token goes into the names of its containers, so
-- that neither takes the other's for its own.
CREATE TABLE restores (
    token TEXT NOT NULL,
    backup_wall INTEGER NOT NULL,
    restored_wall INTEGER NOT NULL
);
