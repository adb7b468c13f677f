"""The statements of ``sign_in.py``."""

# ruff: noqa: S608 -- put together from constants

_SESSION = "id, user, method, address, agent, created, last_seen, expires"
_MAY_SIGN_IN = "FROM users WHERE id = :user AND disabled IS NULL"

PRUNE_SESSIONS = "DELETE FROM sessions WHERE expires <= ?"
ADD_SESSION = (
    "INSERT INTO sessions"
    " (id, sha256, user, method, address, agent, created, last_seen, expires)"
    " SELECT :id, :sha256, :user, :method, :address, :agent, :created, :last_seen, :expires"
    f" {_MAY_SIGN_IN}"
)
SESSION_OF = f"SELECT {_SESSION} FROM sessions WHERE sha256 = ?"
SESSION = f"SELECT {_SESSION} FROM sessions WHERE id = ?"
SESSIONS = f"SELECT {_SESSION} FROM sessions WHERE user = ? ORDER BY last_seen DESC, id"
WHOLE_SESSIONS = f"SELECT {_SESSION}, sha256 FROM sessions WHERE user = ?"
NOTE_SESSION_USE = "UPDATE sessions SET last_seen = :at WHERE id = :id AND last_seen < :at"
END_SESSION = "DELETE FROM sessions WHERE id = ? AND user = ?"
END_SESSIONS = "DELETE FROM sessions WHERE user = ? AND id IS NOT ?"

PRUNE_PLACES = "DELETE FROM sign_in_places WHERE user = ? AND last < ?"
NOTE_PLACE = (
    "INSERT INTO sign_in_places (user, place, last) VALUES (:user, :place, :now)"
    " ON CONFLICT DO UPDATE SET last = excluded.last"
)
KNOWS_PLACE = "SELECT 1 FROM sign_in_places WHERE user = ? AND place = ?"

DROP_LINKS = "DELETE FROM password_links WHERE user IS ?"
ADD_LINK = (
    "INSERT INTO password_links (sha256, user, created, expires)"
    " SELECT :sha256, :user, :created, :expires"
    f" WHERE :user IS NULL OR EXISTS (SELECT 1 {_MAY_SIGN_IN})"
)
LINK_OF = "SELECT user, created, expires FROM password_links WHERE sha256 = ?"
USE_LINK = (
    "UPDATE users SET password = :password WHERE disabled IS NULL AND id ="
    " (SELECT user FROM password_links WHERE sha256 = :sha256 AND expires > :now)"
)
USE_FIRST_LINK = (
    "INSERT INTO users (id, name, email, server_admin, created, password)"
    " SELECT :id, :name, :email, 1, :created, :password FROM password_links"
    " WHERE sha256 = :sha256 AND expires > :now AND user IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM users)"
)

REHASH = "UPDATE users SET password = :new WHERE id = :user AND password = :old"

PRUNE_FAILURES = "DELETE FROM sign_in_failures WHERE last < ?"
FAILURES = "SELECT failures, until FROM sign_in_failures WHERE sha256 = ?"
COUNT_FAILURE = (
    "INSERT INTO sign_in_failures (sha256, failures, last, until)"
    " VALUES (:sha256, :failures, :now, :until)"
    " ON CONFLICT DO UPDATE SET failures = excluded.failures, last = excluded.last,"
    " until = excluded.until"
)
FORGIVE = "UPDATE sign_in_failures SET failures = max(0, failures - 1), until = 0 WHERE sha256 = ?"
FORGET = "DELETE FROM sign_in_failures WHERE sha256 = ?"
