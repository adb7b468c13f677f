-- Who did what; see ci_common/audit.py. Moments are microseconds since 1970, UTC.
CREATE TABLE audit (
    -- Without AUTOINCREMENT it grows by one with each, since none is deleted.
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    subject TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor TEXT NOT NULL COLLATE NOCASE,
    credential TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    address TEXT NOT NULL,
    request_id TEXT NOT NULL,
    organisation TEXT NOT NULL,
    detail TEXT NOT NULL,
    -- Of the row before, and of all that this one says; see ci_persistence/audit_chain.py.
    sha256 BLOB NOT NULL
);

CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_of_actor ON audit (actor, seq);
CREATE INDEX audit_of_organisation ON audit (organisation, seq) WHERE organisation <> '';

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is never changed');
END;

CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is never deleted');
END;

-- A row is not put in the place of another either.
CREATE TRIGGER audit_only_grows BEFORE INSERT ON audit
WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit)
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
