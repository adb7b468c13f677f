-- How people sign in; see ci_common/sign_in.py. What a browser or a link holds is kept as its
-- SHA-256 only. Moments are microseconds since 1970, UTC.

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE,
    user TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    method TEXT NOT NULL CHECK (method IN ('password', 'link', 'oidc')),
    address TEXT NOT NULL,
    agent TEXT NOT NULL,
    created INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    expires INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX sessions_of_user ON sessions (user);
CREATE INDEX sessions_by_end ON sessions (expires);

-- NULL is nobody yet: whoever has the link becomes the first admin.
CREATE TABLE password_links (
    sha256 BLOB NOT NULL PRIMARY KEY,
    user TEXT UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) WITHOUT ROWID;

-- Whoever changes the password or disables the user, by whichever way: all that was opened
-- with the old one is shut in the same transaction.
CREATE TRIGGER sessions_end_with_password AFTER UPDATE OF password ON users
WHEN NEW.password IS NOT OLD.password
BEGIN
    DELETE FROM sessions WHERE user = NEW.id;
    DELETE FROM password_links WHERE user = NEW.id;
END;

CREATE TRIGGER sessions_end_with_user AFTER UPDATE OF disabled ON users
WHEN NEW.disabled IS NOT NULL
BEGIN
    DELETE FROM sessions WHERE user = NEW.id;
    DELETE FROM password_links WHERE user = NEW.id;
END;

-- Failures to sign in, under the SHA-256 of whose or from where: what somebody typed as a name
-- may have been a password.
CREATE TABLE sign_in_failures (
    sha256 BLOB NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL,
    last INTEGER NOT NULL,
    -- Until then nobody may try.
    until INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX sign_in_failures_by_age ON sign_in_failures (last);

-- From where a user has signed in, so that the failures of strangers elsewhere do not count there.
CREATE TABLE sign_in_places (
    user TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    place BLOB NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (user, place)
) WITHOUT ROWID;
