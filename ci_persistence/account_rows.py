"""Users, organisations and API keys as rows."""

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from ci_common.access import Role, Scope
from ci_common.accounts import ApiKey, Organisation, User
from ci_persistence.job_rows import from_microseconds, to_microseconds

ORGANISATION = "id, name, created, max_running, max_queued, max_project_bytes, max_artifact_bytes"
USER = (
    "users.id AS user_id, users.name AS user_name, users.created AS user_created, email,"
    " server_admin, disabled, password, issuer, subject, last_sign_in,"
    " (SELECT json_group_object(organisation, role) FROM memberships WHERE user = users.id)"
    " AS roles"
)
KEY = (
    "api_keys.id, api_keys.user, api_keys.name, hint, scopes, api_keys.organisation,"
    " api_keys.created, expires, last_used, revoked, replaced_by"
)

_roles_decoder = msgspec.json.Decoder(dict[str, Role])


def organisation_columns(organisation: Organisation) -> Mapping[str, Any]:
    """Return what is written of an organisation."""
    return {
        "id": organisation.id,
        "name": organisation.name,
        "created": to_microseconds(organisation.created_at),
        "max_running": organisation.max_running,
        "max_queued": organisation.max_queued,
        "max_project_bytes": organisation.max_project_bytes,
        "max_artifact_bytes": organisation.max_artifact_bytes,
    }


def organisation_from_row(row: sqlite3.Row) -> Organisation:
    """Return the organisation in a row that has ``ORGANISATION``."""
    return Organisation(
        id=row["id"],
        name=row["name"],
        created_at=from_microseconds(row["created"]),
        max_running=row["max_running"],
        max_queued=row["max_queued"],
        max_project_bytes=row["max_project_bytes"],
        max_artifact_bytes=row["max_artifact_bytes"],
    )


def user_columns(user: User) -> Mapping[str, Any]:
    """Return what is written of a user, without its roles."""
    return {
        "id": user.id,
        "name": user.name,
        "created": to_microseconds(user.created_at),
        "email": user.email,
        "server_admin": int(user.server_admin),
        "disabled": _moment(user.disabled_at),
        "password": user.password,
        "issuer": user.issuer,
        "subject": user.subject,
        "last_sign_in": _moment(user.last_sign_in),
    }


def user_from_row(row: sqlite3.Row) -> User:
    """Return the user in a row that has ``USER``."""
    return User(
        id=row["user_id"],
        name=row["user_name"],
        created_at=from_microseconds(row["user_created"]),
        email=row["email"],
        server_admin=bool(row["server_admin"]),
        disabled_at=_when(row["disabled"]),
        password=row["password"],
        issuer=row["issuer"],
        subject=row["subject"],
        last_sign_in=_when(row["last_sign_in"]),
        roles=_roles_decoder.decode(row["roles"]),
    )


def key_columns(key: ApiKey) -> Mapping[str, Any]:
    """Return what is written of a key, without the digest that it is known by."""
    return {
        "id": key.id,
        "user": key.user_id,
        "name": key.name,
        "hint": key.hint,
        "scopes": " ".join(sorted(key.scopes)),
        "organisation": key.organisation,
        "created": to_microseconds(key.created_at),
        "expires": _moment(key.expires_at),
        "last_used": _moment(key.last_used_at),
        "revoked": _moment(key.revoked_at),
        "replaced_by": key.replaced_by,
    }


def key_from_row(row: sqlite3.Row) -> ApiKey:
    """Return the key in a row that has ``KEY``."""
    return ApiKey(
        id=row["id"],
        user_id=row["user"],
        name=row["name"],
        hint=row["hint"],
        created_at=from_microseconds(row["created"]),
        scopes=frozenset(Scope(scope) for scope in row["scopes"].split()),
        organisation=row["organisation"],
        expires_at=_when(row["expires"]),
        last_used_at=_when(row["last_used"]),
        revoked_at=_when(row["revoked"]),
        replaced_by=row["replaced_by"],
    )


def _moment(value: datetime | None) -> int | None:
    return None if value is None else to_microseconds(value)


def _when(value: int | None) -> datetime | None:
    return None if value is None else from_microseconds(value)
