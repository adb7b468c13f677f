"""The audit log in SQLite (see ``AuditLog`` for the contract)."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ci_common.audit import AuditedAction, AuditEntry, AuditFilter, Outcome, StoredEntry
from ci_persistence import audit_chain as chain
from ci_persistence.database import Database
from ci_persistence.job_rows import from_microseconds, to_microseconds

_LARGEST = 2**63 - 1
_CONDITIONS = {
    "since": " AND at >= :since",
    "until": " AND at < :until",
    "actor": " AND (actor = :actor OR actor_id = :actor)",
    "action": " AND (action = :action OR action LIKE :action || '.%')",
    "outcome": " AND outcome = :outcome",
    # The second condition is that of the index.
    "within": " AND organisation IN (SELECT value FROM json_each(:within)) AND organisation <> ''",
}
_NAMES = ", ".join(("seq", *chain.COLUMNS, "sha256"))


class SQLiteAuditLog:
    """The table ``audit``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, entry: AuditEntry) -> None:
        """Write an entry; it is on disk when this returns."""
        async with self._database.transaction() as transaction:
            latest = await transaction.fetch_one(chain.LATEST)
            await transaction.execute(chain.ADD, chain.next_row(latest, entry))

    async def entries(
        self, wanted: AuditFilter, *, limit: int, before: int | None = None
    ) -> Sequence[StoredEntry]:
        """Return at most ``limit`` wanted entries, newest first, below the ``seq`` ``before``."""
        query, values = page_query(wanted, limit=limit, before=before)
        return [stored_entry(row) for row in await self._database.fetch_all(query, values)]


def page_query(
    wanted: AuditFilter, *, limit: int, before: int | None = None
) -> tuple[str, Mapping[str, Any]]:
    """Return the query of a page, and what is to be bound for it."""
    values = _values_of(wanted)
    conditions = "".join(_CONDITIONS[name] for name in values)
    query = (
        f"SELECT {_NAMES} FROM audit WHERE seq < :before{conditions}"  # noqa: S608 -- constants
        " ORDER BY seq DESC LIMIT :limit"
    )
    return query, {**values, "before": _LARGEST if before is None else before, "limit": limit}


def stored_entry(row: sqlite3.Row) -> StoredEntry:
    """Return the entry in a row. Raises ``ValueError`` for one that nobody wrote."""
    entry = AuditEntry(
        at=from_microseconds(row["at"]),
        action=AuditedAction(row["action"]),
        outcome=Outcome(row["outcome"]),
        subject=row["subject"],
        actor_id=row["actor_id"],
        actor=row["actor"],
        credential=row["credential"],
        credential_id=row["credential_id"],
        address=row["address"],
        request_id=row["request_id"],
        organisation=row["organisation"],
        detail=row["detail"],
    )
    return StoredEntry(row["seq"], entry, row["sha256"])


def _values_of(wanted: AuditFilter) -> Mapping[str, Any]:
    """Return what is to be bound for the conditions that there are."""
    within = None if wanted.within is None else msgspec.json.encode(sorted(wanted.within)).decode()
    given = {
        "since": None if wanted.since is None else to_microseconds(wanted.since),
        "until": None if wanted.until is None else to_microseconds(wanted.until),
        "actor": wanted.actor,
        "action": wanted.action,
        "outcome": None if wanted.outcome is None else wanted.outcome.value,
        "within": within,
    }
    return {name: value for name, value in given.items() if value is not None}
