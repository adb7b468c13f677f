"""Writes to the table ``jobs`` that take several statements, within a transaction of the caller."""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ci_common.access import NOBODYS
from ci_common.clock import Moment
from ci_common.errors import IdempotencyConflict
from ci_common.jobs import EndReason, GroupPolicy, Job, JobStatus, NewJob, Result
from ci_common.queue_rules import HIGHEST_PRIORITY, Latest, QueueRules, Turn
from ci_persistence import job_statements as sql
from ci_persistence.blobs import hold_packs
from ci_persistence.database import Transaction
from ci_persistence.job_rows import columns_of, from_microseconds, job_from_row, moment_columns
from ci_persistence.quotas import SQLiteQuotaStore


class JobWrites:
    """Stores and ends jobs. ``keep_projects``: whether the zips of ended ones stay for a while."""

    def __init__(
        self, queue_rules: QueueRules, quotas: SQLiteQuotaStore, *, keep_projects: bool
    ) -> None:
        self._queue_rules = queue_rules
        self._quotas = quotas
        self._keep_projects = keep_projects

    async def add(self, transaction: Transaction, new: NewJob) -> tuple[Job, bool]:
        """Store a queued job, or find the one of its key; return it and whether it is new.

        Raises ``IdempotencyConflict``, ``PacksGone``, ``QuotaExceeded``.
        """
        earlier = await _same_submission(transaction, new)
        if earlier is not None:
            return earlier, False
        if new.group and new.group_policy is GroupPolicy.CANCEL_OLDER:
            await self._cancel_older(transaction, new)
        await self._quotas.require_room(transaction, new)
        turn = await self._turn(transaction, new)
        values = {
            **columns_of(new),
            "status": JobStatus.QUEUED.value,
            "arrived": turn.arrived,
            "base": turn.base,
            "rank": turn.rank,
        }
        await transaction.execute(sql.insert(values), values)
        for name, value in new.labels.items():
            await transaction.execute(sql.LABEL, (name, value, new.id))
        if new.packs:
            await hold_packs(transaction, new.id, new.packs, new.created.wall)
        return await required(transaction, new.id), True

    async def cancel(
        self, transaction: Transaction, job_id: str, now: Moment, detail: str | None = None
    ) -> None:
        """End a queued job, or ask for a running one to be stopped; else do nothing."""
        result = Result(reason=EndReason.CANCELLED, detail=detail)
        values = {"id": job_id, **self.end_columns(result, now)}
        if not await transaction.execute(sql.CANCEL_QUEUED, values):
            await transaction.execute(sql.ASK_TO_STOP, values)

    async def _cancel_older(self, transaction: Transaction, new: NewJob) -> None:
        older = {"organisation": new.organisation, "project": new.project, "name": new.group}
        detail = f"job {new.id} of its group {new.group!r} came after it"
        for row in await transaction.fetch_all(sql.UNFINISHED_OF_GROUP, older):
            await self.cancel(transaction, row["id"], new.created, detail)

    async def _turn(self, transaction: Transaction, new: NewJob) -> Turn:
        row = await transaction.fetch_one(sql.LATEST_QUEUED)
        priorities = range(new.priority, max(new.priority, HIGHEST_PRIORITY) + 1)
        own = {
            "organisation": new.organisation,
            "submitter": new.submitter,
            "priorities": as_json(priorities),
        }
        bases = await transaction.fetch_all(sql.OWN_BASES, own)
        others = 0
        if new.organisation != NOBODYS:
            ((others,),) = await transaction.fetch_all(sql.OTHER_SHARERS, own)
        return self._queue_rules.turn(
            priority=new.priority,
            created=new.created,
            latest=None if row is None else Latest(row["arrived"], _created(row)),
            own=[base for (base,) in bases if base is not None],
            sharers=1 + others,
        )

    def end_columns(self, result: Result, now: Moment) -> Mapping[str, Any]:
        """Return the columns of an end."""
        return {
            "reason": result.reason.value,
            "exit_code": result.exit_code,
            "detail": storable(result.detail),
            "stashed": int(self._keep_projects),
            **moment_columns("ended", now),
        }


async def _same_submission(transaction: Transaction, new: NewJob) -> Job | None:
    """Return the job that was stored under the key of ``new``, if any."""
    if new.idempotency_key is None:
        return None
    row = await transaction.fetch_one(sql.BY_KEY, (new.organisation, new.idempotency_key))
    if row is None:
        return None
    if row["fingerprint"] != new.fingerprint:
        raise IdempotencyConflict(
            f"the idempotency key {new.idempotency_key!r} belongs to job {row['id']},"
            " which is a different submission",
            hint="use a new key for each submission",
        )
    return job_from_row(row)


async def required(transaction: Transaction, job_id: str) -> Job:
    """Return a job that has just been written."""
    row = await transaction.fetch_one(sql.BY_ID, (job_id,))
    if row is None:
        raise sqlite3.IntegrityError(f"the job {job_id} was just written and is not there")
    return job_from_row(row)


def _created(row: sqlite3.Row) -> Moment:
    wall = from_microseconds(row["created_wall"])
    return Moment(wall, row["created_uptime"], row["created_boot"])


def as_json(items: Iterable[str] | Iterable[int]) -> str:
    """Return a JSON array, for ``json_each``."""
    return msgspec.json.encode(list(items)).decode()


def storable(text: str | None) -> str | None:
    """Return ``text`` without lone surrogates; they must not keep a verdict from being written."""
    return None if text is None else text.encode("utf-8", "replace").decode()
