"""Quotas in SQLite (see ``QuotaStore`` for the contract), and their check at a submission."""

import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

import msgspec

from ci_common.access import NOBODYS
from ci_common.errors import QuotaExceeded
from ci_common.jobs import NewJob
from ci_common.quotas import NO_QUOTAS, Quotas, Usage
from ci_persistence import quota_statements as sql
from ci_persistence.database import Database, Transaction

_WAY_OUT = "On the server an admin can raise it: ci admin org."


class SQLiteQuotaStore:
    """The quotas of the table ``organisations``; where it has none, those of ``defaults`` hold."""

    def __init__(self, database: Database, defaults: Quotas = NO_QUOTAS) -> None:
        self._database = database
        self._defaults = defaults

    @property
    def most_running(self) -> int:
        """Jobs that an organisation may have running that has no quota of its own."""
        return self._defaults.running

    async def usage(self, organisation: str) -> Usage:
        """Return what an organisation has now."""
        (row,) = await self._database.fetch_all(sql.USAGE, {"organisation": organisation})
        return Usage(**dict(row))

    async def quotas(self, organisations: Collection[str]) -> Mapping[str, Quotas]:
        """Return what each of these organisations may have, by id."""
        rows = await self._database.fetch_all(sql.QUOTAS, self._asked(organisations))
        found = {row["organisation"]: _quotas(row) for row in rows}
        return {each: found.get(each, NO_QUOTAS) for each in organisations}

    async def require_room(self, transaction: Transaction, new: NewJob) -> None:
        """Return if a job fits into the quotas of its organisation. Raises ``QuotaExceeded``.

        In the transaction that stores it, so that of two at once only one takes the last place.
        """
        if new.organisation == NOBODYS:
            return
        (row,) = await transaction.fetch_all(sql.QUOTAS, self._asked((new.organisation,)))
        quotas = _quotas(row)
        if quotas.queued:
            await _require_place(transaction, new, quotas.queued)
        if quotas.project_bytes:
            await _require_bytes(transaction, new, quotas.project_bytes)

    def _asked(self, organisations: Collection[str]) -> Mapping[str, Any]:
        named = msgspec.json.encode(sorted(organisations)).decode()
        return {"organisations": named, **asdict(self._defaults)}


async def _require_place(transaction: Transaction, new: NewJob, most: int) -> None:
    queued = await _number(transaction, sql.QUEUED, {"organisation": new.organisation})
    if queued >= most:
        raise QuotaExceeded(
            f"the organisation has {queued:,} jobs queued, and may have {most:,}",
            hint=f"Wait until some have started, or cancel some. {_WAY_OUT}",
        )


async def _require_bytes(transaction: Transaction, new: NewJob, most: int) -> None:
    of_one = {"organisation": new.organisation}
    kept = await _number(transaction, sql.PROJECT_BYTES, of_one)
    more = new.zip_size
    if new.packs:
        packs = msgspec.json.encode(sorted(new.packs)).decode()
        more += await _number(transaction, sql.PACK_BYTES, {**of_one, "packs": packs})
    if kept + more > most:
        raise QuotaExceeded(
            f"the organisation's projects have {kept:,} bytes, this one {more:,},"
            f" and together they may have {most:,}",
            hint=f"Send less, or wait until older ones are given up. {_WAY_OUT}",
        )


async def _number(transaction: Transaction, query: str, values: Mapping[str, Any]) -> int:
    row = await transaction.fetch_one(query, values)
    return 0 if row is None else int(row[0])


def _quotas(row: sqlite3.Row) -> Quotas:
    return Quotas(**{name: row[name] for name in asdict(NO_QUOTAS)})
