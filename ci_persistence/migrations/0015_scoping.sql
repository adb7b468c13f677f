-- What one organisation asks costs the same however much the others have; see job_query.py,
-- job_statements.py and job_events.py. All of these hold nothing on a server without accounts.

CREATE INDEX jobs_of_organisation_project ON jobs (organisation, project, created_wall)
    WHERE organisation <> '';
CREATE INDEX jobs_unended_of_organisation ON jobs (organisation, created_wall)
    WHERE organisation <> '' AND reason IS NULL;
CREATE INDEX jobs_ended_of_organisation ON jobs (organisation, ended_wall)
    WHERE organisation <> '' AND ended_wall IS NOT NULL;
CREATE INDEX jobs_duration_of_organisation ON jobs (organisation, ended_wall - started_wall)
    WHERE organisation <> '' AND ended_wall IS NOT NULL AND started_wall IS NOT NULL;
CREATE INDEX jobs_queued_of_organisation ON jobs (organisation, rank, seq)
    WHERE organisation <> '' AND status = 'queued';
CREATE INDEX events_of_organisation ON events (organisation, seq) WHERE organisation <> '';

-- What is expected of a job that is the first of its project goes by others of its organisation.
DROP INDEX jobs_measured_last;
CREATE INDEX jobs_measured_last ON jobs (organisation, ended_wall)
    WHERE reason IN ('passed', 'failed');
