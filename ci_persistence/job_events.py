"""Events in SQLite (see ``EventStore`` for the contract). Triggers on ``jobs`` write them."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ci_common.job_events import EVERYTHING, EventFilter, EventPage, EventType, StoredEvent
from ci_common.jobs import EndReason, JobStatus
from ci_persistence.database import Database
from ci_persistence.job_rows import from_microseconds, to_microseconds

# What was deleted must not come again: the sequence remembers, the table does not.
_LATEST = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)"
_OLDEST = f"SELECT coalesce((SELECT min(seq) FROM events), ({_LATEST}) + 1)"  # noqa: S608 -- constant
_COLUMNS = (
    "seq, at, type, job_id, organisation, project, submitter, status, attempt, reason,"
    " exit_code, detail"
)
_CONDITIONS = {
    "job_id": " AND job_id = :job_id",
    "project": " AND project = :project",
    "submitter": " AND submitter = :submitter",
    "types": " AND type IN (SELECT value FROM json_each(:types))",
}
# One statement, so that the bounds are those of the very moment of the events.
_AFTER = f"""
    WITH kept (oldest, latest) AS (SELECT ({_OLDEST}), ({_LATEST}))
    SELECT kept.oldest AS oldest, kept.latest AS latest, found.*
    FROM kept LEFT JOIN (
        {{found}}
    ) AS found
    ORDER BY found.seq
"""  # noqa: S608 -- constants; all values are bound
_FOUND = f"""
        SELECT {_COLUMNS} FROM events WHERE seq > :after{{conditions}}
        ORDER BY seq LIMIT :limit
"""  # noqa: S608 -- constants; all values are bound
# Of each organisation its first ones, of which the first are taken: others cost nothing.
_FOUND_WITHIN = f"""
        SELECT {_COLUMNS} FROM events WHERE seq IN (
            SELECT first.seq FROM json_each(:within) AS asked CROSS JOIN events AS first
            ON first.seq IN (
                SELECT seq FROM events INDEXED BY events_of_organisation
                WHERE organisation = asked.value AND organisation <> '' AND seq > :after
                    {{conditions}}
                ORDER BY seq LIMIT :limit
            )
        ) ORDER BY seq LIMIT :limit
"""  # noqa: S608 -- constants; all values are bound
_FOUND_OF_JOB_WITHIN = f"""
        SELECT {_COLUMNS} FROM events
        WHERE seq > :after AND organisation IN (SELECT value FROM json_each(:within)){{conditions}}
        ORDER BY seq LIMIT :limit
"""  # noqa: S608 -- constants; all values are bound
# Always from the front: that nothing is missing behind the oldest is what readers go by.
# And never before webhooks have been told.
_PRUNE = f"""
    DELETE FROM events WHERE seq IN (
        WITH batch (seq, at) AS (SELECT seq, at FROM events ORDER BY seq LIMIT :limit)
        SELECT seq FROM batch
        WHERE (
            seq <= ({_LATEST}) - :keep
            OR seq < coalesce((SELECT min(seq) FROM batch WHERE at >= :before), :beyond)
        ) AND (
            seq <= (SELECT event FROM webhook_cursor)
            OR NOT EXISTS (SELECT 1 FROM webhooks WHERE enabled = 1)
        )
    )
"""  # noqa: S608 -- constants; all values are bound
_LARGEST = 2**63 - 1


class SQLiteEventStore:
    """The table ``events``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def after(self, seq: int, *, limit: int, wanted: EventFilter = EVERYTHING) -> EventPage:
        """Return the first ``limit`` wanted events beyond ``seq``."""
        values = _values_of(wanted)
        conditions = "".join(_CONDITIONS[name] for name in values)
        bound = {"after": seq, "limit": limit, **values}
        found = _FOUND
        if wanted.within is not None:
            bound["within"] = _json(sorted(wanted.within))
            # Those of one job are few, and have an index of their own.
            found = _FOUND_WITHIN if wanted.job_id is None else _FOUND_OF_JOB_WITHIN
        statement = _AFTER.format(found=found.format(conditions=conditions))
        rows = await self._database.fetch_all(statement, bound)
        events = [_event(row) for row in rows if row["seq"] is not None]
        latest = rows[0]["latest"]
        through = events[-1].seq if len(events) == limit else latest
        return EventPage(events=events, through=through, oldest=rows[0]["oldest"], latest=latest)

    async def latest(self) -> int:
        """Return the ``seq`` of the last event that was ever written."""
        return await self._number(_LATEST)

    async def oldest(self) -> int:
        """Return the ``seq`` of the first event that is kept."""
        return await self._number(_OLDEST)

    async def prune(self, *, before: datetime | None, keep: int, limit: int = 5000) -> int:
        """Delete the oldest events, at most ``limit`` of them; return how many."""
        values = {
            "before": -_LARGEST if before is None else to_microseconds(before),
            "keep": keep,
            "limit": limit,
            "beyond": _LARGEST,
        }
        async with self._database.transaction() as transaction:
            return await transaction.execute(_PRUNE, values)

    async def _number(self, query: str) -> int:
        (row,) = await self._database.fetch_all(query)
        return int(row[0])


def _values_of(wanted: EventFilter) -> Mapping[str, Any]:
    """Return what is to be bound for the conditions that there are."""
    given: Mapping[str, str | None] = {
        "job_id": wanted.job_id,
        "project": wanted.project,
        "submitter": wanted.submitter,
        "types": _json(sorted(wanted.types)) if wanted.types else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _json(names: Sequence[str]) -> str:
    return msgspec.json.encode(names).decode()


def _event(row: sqlite3.Row) -> StoredEvent:
    status, reason = row["status"], row["reason"]
    return StoredEvent(
        seq=row["seq"],
        at=from_microseconds(row["at"]),
        type=EventType(row["type"]),
        job_id=row["job_id"],
        project=row["project"],
        submitter=row["submitter"],
        organisation=row["organisation"],
        attempt=row["attempt"],
        status=None if status is None else JobStatus(status),
        reason=None if reason is None else EndReason(reason),
        exit_code=row["exit_code"],
        detail=row["detail"],
    )
