"""Secrets in SQLite, sealed (see ``SecretStore`` for the contract)."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from ci_common.access import Within
from ci_common.errors import InvalidRequest, SecretNotFound
from ci_common.job_secrets import MOST_SECRETS, Secret, SecretPlace
from ci_persistence.database import Database, Transaction
from ci_persistence.job_rows import from_microseconds, to_microseconds
from ci_persistence.job_writes import as_json
from ci_persistence.secret_keys import SecretKeys
from ci_persistence.webhook_rows import storable

_ALL = (
    "SELECT organisation, project, name, created, updated FROM secrets"
    " WHERE (:within IS NULL OR organisation IN (SELECT value FROM json_each(:within)))"
    " AND (:project IS NULL OR project = :project) ORDER BY organisation, project, name"
)
_ONE = (
    "SELECT organisation, project, name, created, updated FROM secrets"
    " WHERE organisation = :organisation AND project = :project AND name = :name"
)
_ANY = "SELECT EXISTS (SELECT 1 FROM secrets) OR EXISTS (SELECT 1 FROM given_secrets)"
_COUNT = "SELECT count(*) FROM secrets WHERE organisation = :organisation"
_SET = (
    "INSERT INTO secrets (organisation, project, name, key_id, sealed, created, updated)"
    " VALUES (:organisation, :project, :name, :key_id, :sealed, :now, :now)"
    " ON CONFLICT (organisation, project, name) DO UPDATE"
    " SET key_id = excluded.key_id, sealed = excluded.sealed, updated = excluded.updated"
)
_REMOVE = (
    "DELETE FROM secrets WHERE organisation = :organisation AND project = :project AND name = :name"
)
# Those of the project come last, so that they win.
_FITTING = (
    "SELECT organisation, project, name, key_id, sealed FROM secrets"
    " WHERE organisation = :organisation AND project IN ('', :project)"
    " AND name IN (SELECT value FROM json_each(:names)) ORDER BY project"
)
_JOB = "SELECT seq, organisation, project FROM jobs WHERE id = ?"
_GIVE = (
    "INSERT OR REPLACE INTO given_secrets (job, attempt, key_id, sealed)"
    " VALUES (:job, :attempt, :key_id, :sealed)"
)
_GIVEN = (
    "SELECT job, attempt, key_id, sealed FROM given_secrets"
    " WHERE job = (SELECT seq FROM jobs WHERE id = ?)"
)
_TAKE_BACK = (
    "DELETE FROM given_secrets WHERE job = (SELECT seq FROM jobs WHERE id = :id)"
    " AND attempt = :attempt"
)
# What a crash kept from being taken back.
_TAKE_BACK_OLD = (
    "DELETE FROM given_secrets WHERE job IN (SELECT seq FROM jobs WHERE reason IS NOT NULL"
    " AND seq NOT IN (SELECT job FROM results WHERE state = 'pending')"
    " AND seq IN (SELECT job FROM given_secrets))"
)

_values_decoder = msgspec.json.Decoder(dict[str, str])


class SQLiteSecretStore:
    """The tables ``secrets`` and ``given_secrets``, sealed with ``keys``."""

    def __init__(self, database: Database, keys: SecretKeys) -> None:
        self._database = database
        self._keys = keys

    async def all(self, *, within: Within, project: str | None = None) -> Sequence[Secret]:
        """Return the secrets of those organisations, or of one project of theirs, by place."""
        values = {"within": None if within is None else as_json(within), "project": project}
        return [_secret(row) for row in await self._database.fetch_all(_ALL, values)]

    async def set(self, place: SecretPlace, value: str, *, now: datetime) -> tuple[Secret, bool]:
        """Keep a value in place of the one before. Raises ``InvalidRequest``."""
        at = _columns(place)
        async with self._database.transaction() as transaction:
            before = await transaction.fetch_one(_ONE, at)
            if before is None:
                await _require_room(transaction, place)
            sealed = await self._seal(transaction, value.encode(), place_of(place))
            await transaction.execute(_SET, {**at, **sealed, "now": to_microseconds(now)})
            (row,) = await transaction.fetch_all(_ONE, at)
        return _secret(row), before is None

    async def remove(self, place: SecretPlace) -> None:
        """Delete a secret. Raises ``SecretNotFound``."""
        async with self._database.transaction() as transaction:
            if not await transaction.execute(_REMOVE, _columns(place)):
                raise _not_found([place.name], place.project)

    async def missing(self, organisation: str, project: str, names: Iterable[str]) -> Sequence[str]:
        """Return those of ``names`` that a job of this project could not be given, in order."""
        wanted = list(names)
        values = {"organisation": organisation, "project": project, "names": as_json(wanted)}
        found = {row["name"] for row in await self._database.fetch_all(_FITTING, values)}
        return [name for name in wanted if name not in found]

    async def give(self, job_id: str, attempt: int, names: Iterable[str]) -> Mapping[str, str]:
        """Return the values for an attempt, once it is noted. Raises ``SecretNotFound``."""
        wanted = list(names)
        async with self._database.transaction() as transaction:
            job = await transaction.fetch_one(_JOB, (job_id,))
            if job is None:
                raise _not_found(wanted, "")
            rows = await transaction.fetch_all(
                _FITTING,
                {
                    "organisation": job["organisation"],
                    "project": job["project"],
                    "names": as_json(wanted),
                },
            )
            values = {row["name"]: self._opened(row) for row in rows}
            if absent := [name for name in wanted if name not in values]:
                raise _not_found(absent, job["project"])
            sealed = await self._seal(
                transaction, msgspec.json.encode(values), given_to(job["seq"], attempt)
            )
            await transaction.execute(_TAKE_BACK_OLD)
            await transaction.execute(_GIVE, {"job": job["seq"], "attempt": attempt, **sealed})
        return values

    async def given(self, job_id: str) -> Mapping[str, str]:
        """Return what a job's latest attempt was given; nothing if that is over, or was never."""
        row = await self._database.fetch_one(_GIVEN, (job_id,))
        if row is None:
            return {}
        place = given_to(row["job"], row["attempt"])
        return _values_decoder.decode(self._keys.open(row["key_id"], row["sealed"], place))

    async def take_back(self, job_id: str, attempt: int) -> None:
        """Forget what an attempt was given. Idempotent."""
        async with self._database.transaction() as transaction:
            await transaction.execute(_TAKE_BACK, {"id": job_id, "attempt": attempt})

    def _opened(self, row: sqlite3.Row) -> str:
        place = SecretPlace(
            organisation=row["organisation"], project=row["project"], name=row["name"]
        )
        return self._keys.open(row["key_id"], row["sealed"], place_of(place)).decode()

    async def _seal(
        self, transaction: Transaction, value: bytes, place: bytes
    ) -> Mapping[str, str | bytes]:
        """Return the columns of a sealed value; within the transaction that writes them."""
        taken = await transaction.fetch_one(_ANY)
        key = self._keys.to_seal(begin=taken is not None and not taken[0])
        return {"key_id": key.id, "sealed": key.seal(value, place)}


def place_of(place: SecretPlace) -> bytes:
    """Return what a value is bound to, so that it opens nowhere else."""
    return msgspec.json.encode(("secret", place.organisation, place.project, place.name))


def given_to(seq: int, attempt: int) -> bytes:
    """Return what the values of an attempt are bound to."""
    return msgspec.json.encode(("given", seq, attempt))


async def _require_room(transaction: Transaction, place: SecretPlace) -> None:
    row = await transaction.fetch_one(_COUNT, _columns(place))
    if row is not None and row[0] >= MOST_SECRETS:
        raise InvalidRequest(
            f"there are {MOST_SECRETS} secrets already, which is the most",
            hint="Remove those that nobody needs: ci secret ls, ci secret rm.",
        )


def _columns(place: SecretPlace) -> Mapping[str, str]:
    return {
        "organisation": place.organisation,
        "project": storable(place.project) or "",
        "name": storable(place.name) or "",
    }


def _secret(row: sqlite3.Row) -> Secret:
    return Secret(
        place=SecretPlace(
            organisation=row["organisation"], project=row["project"], name=row["name"]
        ),
        created_at=from_microseconds(row["created"]),
        updated_at=from_microseconds(row["updated"]),
    )


def _not_found(names: Sequence[str], project: str) -> SecretNotFound:
    where = f"for the project {project!r}" if project else "for all projects"
    return SecretNotFound(
        f"there is no secret {', '.join(names)} {where}",
        hint="ci secret ls shows those there are; ci secret set keeps one.",
    )
