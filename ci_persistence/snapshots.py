"""Notes on kept dependencies in SQLite (see ``SnapshotStore`` for the contract)."""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime

from ci_common.snapshots import SnapshotNote
from ci_persistence.database import Database, Parameters
from ci_persistence.job_rows import from_microseconds, to_microseconds

_ALL = "SELECT key, used, empty_since, retired FROM snapshots"
_MADE = (
    "INSERT INTO snapshots (key, used, empty_since) VALUES (:key, :now, :empty_since)"
    " ON CONFLICT (key) DO UPDATE"
    " SET used = excluded.used, empty_since = excluded.empty_since, retired = 0"
)
# Never backwards: a note that was late must not make a snapshot look unused.
_USED = (
    "INSERT INTO snapshots (key, used) VALUES (:key, :now)"
    " ON CONFLICT (key) DO UPDATE SET used = max(used, excluded.used)"
)
_RETIRE = (
    "INSERT INTO snapshots (key, used, retired) VALUES (:key, :now, 1)"
    " ON CONFLICT (key) DO UPDATE SET retired = 1"
)


class SQLiteSnapshotStore:
    """The table ``snapshots``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, key: str) -> SnapshotNote | None:
        """Return what is noted of a key."""
        row = await self._database.fetch_one(f"{_ALL} WHERE key = ?", (key,))
        return None if row is None else _note(row)

    async def all(self) -> Sequence[SnapshotNote]:
        """Return all notes."""
        return [_note(row) for row in await self._database.fetch_all(_ALL)]

    async def made(self, key: str, *, now: datetime, empty: bool = False) -> None:
        """Note an installation; what was noted of the key before does not count any more."""
        moment = to_microseconds(now)
        values = {"key": key, "now": moment, "empty_since": moment if empty else None}
        await self._write(_MADE, [values])

    async def used(self, key: str, *, now: datetime) -> None:
        """Note that a job started from a snapshot."""
        await self._write(_USED, [{"key": key, "now": to_microseconds(now)}])

    async def retire(self, keys: Iterable[str], *, now: datetime) -> None:
        """Note that these are not to be used again."""
        moment = to_microseconds(now)
        await self._write(_RETIRE, [{"key": key, "now": moment} for key in keys])

    async def forget(self, key: str) -> None:
        """Delete what is noted of a key."""
        await self._write("DELETE FROM snapshots WHERE key = ?", [(key,)])

    async def _write(self, statement: str, rows: Sequence[Parameters]) -> None:
        async with self._database.transaction() as transaction:
            for values in rows:
                await transaction.execute(statement, values)


def _note(row: sqlite3.Row) -> SnapshotNote:
    since = row["empty_since"]
    return SnapshotNote(
        key=row["key"],
        used_at=from_microseconds(row["used"]),
        empty_since=None if since is None else from_microseconds(since),
        retired=bool(row["retired"]),
    )
