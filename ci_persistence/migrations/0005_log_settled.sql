-- An engine that restarts under a living container forgets the line that was not finished.
-- That it did shows when its record goes on; log_base is moved then. What comes before
-- this offset in the log must not be looked for in the record again.
ALTER TABLE jobs ADD COLUMN log_settled INTEGER NOT NULL DEFAULT 0;
