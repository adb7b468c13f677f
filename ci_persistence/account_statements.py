"""The SQL of ``accounts.py``."""
# ruff: noqa: S608 -- statements are put together from constants; all values are bound

from ci_persistence.account_rows import KEY, ORGANISATION, USER

ANY_USERS = "SELECT EXISTS (SELECT 1 FROM users)"

ADD_USER = (
    "INSERT INTO users (id, name, email, server_admin, created, disabled, password, issuer,"
    " subject, last_sign_in) VALUES (:id, :name, :email, :server_admin, :created, :disabled,"
    " :password, :issuer, :subject, :last_sign_in)"
)
USER_BY_ID = f"SELECT {USER} FROM users WHERE id = ?"
USER_BY_NAME = f"SELECT {USER} FROM users WHERE name = ?"
USER_KNOWN_AS = f"SELECT {USER} FROM users WHERE issuer = ? AND subject = ?"
USERS = f"SELECT {USER} FROM users ORDER BY name"
MEMBERS = (
    f"SELECT {USER} FROM users JOIN memberships ON memberships.user = users.id"
    " WHERE memberships.organisation = ? ORDER BY name"
)
SAME_NAME = "SELECT 1 FROM users WHERE name = :name AND id <> :id"
SAME_SUBJECT = "SELECT 1 FROM users WHERE issuer = :issuer AND subject = :subject AND id <> :id"
OTHER_ADMIN = "SELECT 1 FROM users WHERE server_admin AND disabled IS NULL AND id <> ? LIMIT 1"
CHANGE_USER = (
    "UPDATE users SET name = :name, email = :email, server_admin = :server_admin,"
    " disabled = :disabled, password = :password, issuer = :issuer, subject = :subject,"
    " last_sign_in = :last_sign_in WHERE id = :id"
)
REMOVE_USER = "DELETE FROM users WHERE id = ?"

ADD_ORGANISATION = (
    "INSERT INTO organisations (id, name, created, max_running, max_queued, max_project_bytes,"
    " max_artifact_bytes) VALUES (:id, :name, :created, :max_running, :max_queued,"
    " :max_project_bytes, :max_artifact_bytes)"
)
ORGANISATION_BY_ID = f"SELECT {ORGANISATION} FROM organisations WHERE id = ?"
ORGANISATION_BY_NAME = f"SELECT {ORGANISATION} FROM organisations WHERE name = ?"
ORGANISATIONS = f"SELECT {ORGANISATION} FROM organisations ORDER BY name"
SAME_ORGANISATION = "SELECT 1 FROM organisations WHERE name = :name AND id <> :id"
CHANGE_ORGANISATION = (
    "UPDATE organisations SET name = :name, max_running = :max_running,"
    " max_queued = :max_queued, max_project_bytes = :max_project_bytes,"
    " max_artifact_bytes = :max_artifact_bytes WHERE id = :id"
)
# The condition that its index has is said, so that the index can serve.
HAS_JOBS = "SELECT 1 FROM jobs WHERE organisation = ? AND organisation <> '' LIMIT 1"
REMOVE_WEBHOOKS = "DELETE FROM webhooks WHERE organisation = ?"
REMOVE_ORGANISATION = "DELETE FROM organisations WHERE id = ?"

NOBODYS_ENDED = (
    "SELECT id, seq FROM jobs WHERE seq > :after AND organisation = ''"
    " AND reason IS NOT NULL ORDER BY seq LIMIT :limit"
)
FORGET_TAKEN_KEYS = (
    "UPDATE jobs SET idempotency_key = NULL WHERE id IN (SELECT value FROM json_each(:ids))"
    " AND idempotency_key IN (SELECT taken.idempotency_key FROM jobs AS taken"
    " WHERE taken.organisation = :organisation AND taken.idempotency_key IS NOT NULL)"
)
ADOPT_JOBS = (
    "UPDATE jobs SET organisation = :organisation"
    " WHERE id IN (SELECT value FROM json_each(:ids)) AND organisation = ''"
)
ADOPT_EVENTS = (
    "UPDATE events SET organisation = :organisation"
    " WHERE job_id IN (SELECT value FROM json_each(:ids)) AND organisation = ''"
)
ADOPT_WEBHOOKS = "UPDATE webhooks SET organisation = ? WHERE organisation = ''"

SET_ROLE = (
    "INSERT INTO memberships (organisation, user, role) VALUES (:organisation, :user, :role)"
    " ON CONFLICT (organisation, user) DO UPDATE SET role = excluded.role"
)
END_MEMBERSHIP = "DELETE FROM memberships WHERE organisation = :organisation AND user = :user"

ADD_KEY = (
    "INSERT INTO api_keys (id, user, name, hint, sha256, scopes, organisation, created, expires,"
    " last_used, revoked, replaced_by) VALUES (:id, :user, :name, :hint, :sha256, :scopes,"
    " :organisation, :created, :expires, :last_used, :revoked, :replaced_by)"
)
KEY_BY_DIGEST = (
    f"SELECT {KEY}, {USER} FROM api_keys JOIN users ON users.id = api_keys.user WHERE sha256 = ?"
)
KEY_BY_ID = f"SELECT {KEY} FROM api_keys WHERE id = ?"
KEYS = f"SELECT {KEY} FROM api_keys ORDER BY created DESC, id"
KEYS_OF = f"SELECT {KEY} FROM api_keys WHERE user = ? ORDER BY created DESC, id"
CHANGE_KEY = (
    "UPDATE api_keys SET name = :name, expires = :expires,"
    " revoked = coalesce(revoked, :revoked), replaced_by = :replaced_by WHERE id = :id"
)
NOTE_KEY_USE = (
    "UPDATE api_keys SET last_used = :at WHERE id = :id AND (last_used IS NULL OR last_used < :at)"
)
