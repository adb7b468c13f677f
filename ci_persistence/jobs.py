"""Jobs in SQLite (see ``JobRepository`` for the contract)."""

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from ci_common.access import Within
from ci_common.accounts import AccountStore
from ci_common.artifacts import ArtifactStore
from ci_common.audit import AuditLog
from ci_common.blobs import BlobStore
from ci_common.clock import Moment
from ci_common.errors import AmbiguousJob, JobNotFound
from ci_common.forecast import Durations
from ci_common.job_events import EventStore
from ci_common.job_query import JobPage, JobQuery
from ci_common.job_secrets import SecretStore
from ci_common.job_totals import JobTotals
from ci_common.jobs import LONGEST_HOLD, EndReason, Job, NewJob, QueueCounts, Result
from ci_common.logs import LogStore
from ci_common.queue_rules import QueueRules
from ci_common.quotas import NO_QUOTAS, Quotas
from ci_common.results import ResultStore
from ci_common.sign_in import SignInStore
from ci_common.snapshots import SnapshotStore
from ci_common.space import Space
from ci_common.stash import Stash
from ci_common.webhooks import WebhookStore
from ci_persistence import job_statements as sql
from ci_persistence.accounts import SQLiteAccountStore
from ci_persistence.artifacts import FileArtifactStore
from ci_persistence.audit import SQLiteAuditLog
from ci_persistence.blobs import SQLiteBlobStore
from ci_persistence.data_directory import DataDirectory
from ci_persistence.database import DEFAULT_BUSY_TIMEOUT, Database
from ci_persistence.disk import ensure_folder
from ci_persistence.durations import durations
from ci_persistence.job_events import SQLiteEventStore
from ci_persistence.job_query import list_jobs
from ci_persistence.job_rows import (
    job_from_row,
    moment_columns,
    to_microseconds,
)
from ci_persistence.job_secrets import SQLiteSecretStore
from ci_persistence.job_totals import read_totals
from ci_persistence.job_writes import JobWrites, as_json, required, storable
from ci_persistence.logs import DEFAULT_MAX_LOG_BYTES, FileLogStore
from ci_persistence.quotas import SQLiteQuotaStore
from ci_persistence.results import SQLiteResultStore
from ci_persistence.secret_keys import SecretKeys
from ci_persistence.sign_in import SQLiteSignInStore
from ci_persistence.snapshots import SQLiteSnapshotStore
from ci_persistence.space import DiskSpace
from ci_persistence.stash import DEFAULT_MAX_UPLOAD_BYTES, FileStash
from ci_persistence.webhooks import SQLiteWebhookStore

LATEST = "last"
"""The reference to the newest job."""

_MOST_SHED = 5000
"""Rows of tests that go in one transaction."""

_MAX_SEQ = 2**63 - 1
_AFTER_ANY_ID = "\x7f"


class SQLiteJobRepository:
    """Jobs in the SQLite file ``path``; zips and logs under ``data_dir``, by default beside it.

    ``busy_timeout`` is in seconds. Without ``space`` there is no mark that
    free room must not fall below. ``queue_rules`` say in which order jobs start.
    ``keep_projects``: whether a project outlives the end of its job, until it is
    released. ``secrets_key_file``: the key of the secrets, by default under ``data_dir``.
    ``quotas`` hold for organisations that have none of their own. Nothing is opened before
    ``initialize``.
    """

    data_dir: Path
    accounts: AccountStore
    audit: AuditLog
    stash: Stash
    logs: LogStore
    blobs: BlobStore
    snapshots: SnapshotStore
    events: EventStore
    webhooks: WebhookStore
    artifacts: ArtifactStore
    results: ResultStore
    secrets: SecretStore
    sign_in: SignInStore
    space: Space

    def __init__(  # noqa: PLR0913 -- what is kept where, and how much of it
        self,
        path: str | os.PathLike[str],
        *,
        data_dir: str | os.PathLike[str] | None = None,
        busy_timeout: float = DEFAULT_BUSY_TIMEOUT,
        max_log_bytes: int = DEFAULT_MAX_LOG_BYTES,
        max_upload_bytes: int = DEFAULT_MAX_UPLOAD_BYTES,
        space: Space | None = None,
        queue_rules: QueueRules | None = None,
        keep_projects: bool = True,
        secrets_key_file: str | os.PathLike[str] | None = None,
        quotas: Quotas = NO_QUOTAS,
    ) -> None:
        file = Path(path).absolute()
        self.data_dir = Path(data_dir).absolute() if data_dir is not None else file.parent
        data = DataDirectory(file, self.data_dir)
        self.stash = FileStash(data.stash, data.uploads, max_bytes=max_upload_bytes)
        self.logs = FileLogStore(data.logs, limit=max_log_bytes)
        self.space = space or DiskSpace((self.data_dir, file.parent))
        self._database = Database(file, busy_timeout=busy_timeout)
        self.quotas = SQLiteQuotaStore(self._database, quotas)
        rules = queue_rules or QueueRules()
        self._writes = JobWrites(rules, self.quotas, keep_projects=keep_projects)
        self.accounts = SQLiteAccountStore(self._database)
        self.audit = SQLiteAuditLog(self._database)
        self.blobs = SQLiteBlobStore(self._database)
        self.snapshots = SQLiteSnapshotStore(self._database)
        self.events = SQLiteEventStore(self._database)
        self.webhooks = SQLiteWebhookStore(self._database)
        self.artifacts = FileArtifactStore(data.artifacts, data.uploads)
        self.sign_in = SQLiteSignInStore(self._database)
        self.results = SQLiteResultStore(self._database, self.quotas)
        keys = SecretKeys(
            Path(secrets_key_file).absolute() if secrets_key_file else data.secrets_key
        )
        self.secrets = SQLiteSecretStore(self._database, keys)

    async def initialize(self) -> None:
        """Open the database and bring its schema up to date. Idempotent.

        Raises:
            DatabaseUnusable: damaged, newer, or not ours; the file is left as it was.

        """
        await self._database.open()
        ensure_folder(self.data_dir)

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        await self._database.close()

    async def add(self, new: NewJob) -> tuple[Job, bool]:
        """Store a queued job; return it and whether it is new.

        Raises ``IdempotencyConflict``, ``PacksGone``, ``QuotaExceeded``.
        """
        async with self._database.transaction() as transaction:
            return await self._writes.add(transaction, new)

    async def get(self, job_id: str) -> Job:
        """Return a job by its full id. Raises ``JobNotFound``."""
        row = await self._database.fetch_one(sql.BY_ID, (_askable(job_id),))
        if row is None:
            raise _not_found(job_id)
        return job_from_row(row)

    async def find(self, reference: str, *, within: Within = None) -> Job:
        """Return the job that ``reference`` names. Raises ``JobNotFound``, ``AmbiguousJob``."""
        limit = None if within is None else as_json(within)
        if reference == LATEST:
            statement = sql.LAST if within is None else sql.LAST_WITHIN
            jobs = await self._jobs(statement, {"within": limit})
        else:
            first = _askable(reference)
            bounds = {"first": first, "beyond": first + _AFTER_ANY_ID, "within": limit}
            jobs = await self._jobs(sql.BY_PREFIX, bounds)
        if not jobs:
            raise _not_found(reference)
        # In the order of ids the exact one comes before those it is the beginning of.
        if len(jobs) > 1 and jobs[0].id != reference:
            raise AmbiguousJob(
                f"more than one job id begins with {reference!r}", hint="give more of the id"
            )
        return jobs[0]

    async def get_many(self, job_ids: Iterable[str]) -> Sequence[Job]:
        """Return those of the jobs that exist."""
        return await self._jobs(sql.BY_IDS, (as_json(job_ids),))

    async def list_recent(self, *, limit: int, before: int | None = None) -> Sequence[Job]:
        """Return at most ``limit`` jobs, newest first, below the ``seq`` ``before``."""
        return await self._jobs(sql.RECENT, (_MAX_SEQ if before is None else before, limit))

    async def list_jobs(self, query: JobQuery) -> JobPage:
        """Return a page of a list."""
        return await list_jobs(self._database, query)

    async def queued(self, *, limit: int, skip: int = 0, within: Within = None) -> Sequence[Job]:
        """Return queued jobs in the order of their turns, after the first ``skip``."""
        if within is None:
            return await self._jobs(sql.QUEUE, {"limit": limit, "skip": skip})
        values = {"limit": limit, "skip": skip, "within": as_json(within)}
        return await self._jobs(sql.QUEUE_WITHIN, values)

    async def durations(self, projects: Iterable[tuple[str, str]], *, latest: int) -> Durations:
        """Return how many seconds the ``latest`` measured jobs took, by project, and of all."""
        return await durations(self._database, projects, latest=latest)

    async def startable(self, *, limit: int, now: datetime) -> Sequence[Job]:
        """Return the queued jobs to start next, in order; those on hold are left out."""
        return await self._jobs(
            sql.STARTABLE,
            {
                "now": to_microseconds(now),
                "latest_hold": to_microseconds(now + LONGEST_HOLD),
                "limit": limit,
                "most_running": self.quotas.most_running,
            },
        )

    async def overdue(self, *, limit: int, now: Moment) -> Sequence[Job]:
        """Return queued jobs that were never claimed and whose queue time-out is over."""
        return await self._jobs(sql.OVERDUE, {**_moment(now), "limit": limit})

    async def expire(self, job_id: str, *, detail: str, now: Moment) -> Job | None:
        """End a queued job that was never claimed as ``QUEUE_TIMED_OUT``; return it."""
        result = Result(reason=EndReason.QUEUE_TIMED_OUT, detail=detail)
        values = {"id": job_id, **self._writes.end_columns(result, now)}
        async with self._database.transaction() as transaction:
            if not await transaction.execute(sql.EXPIRE, values):
                return None
            return await required(transaction, job_id)

    async def running(self) -> Sequence[Job]:
        """Return every job that is claimed and has not ended, oldest submission first."""
        return await self._jobs(sql.ALL_RUNNING)

    async def uncollected(self, *, limit: int) -> Sequence[Job]:
        """Return at most ``limit`` jobs whose results are pending, the oldest first."""
        return await self._jobs(sql.UNCOLLECTED, (limit,))

    async def queue_position(self, job_id: str) -> int | None:
        """Return the job's place in the queue, 1 for the next one; None if it is not queued."""
        row = await self._database.fetch_one(sql.POSITION, (job_id,))
        return row[0] if row else None

    async def queue_positions(self, job_ids: Iterable[str]) -> Mapping[str, int]:
        """Return the places of those of the jobs that wait."""
        rows = await self._database.fetch_all(sql.POSITIONS, {"ids": as_json(job_ids)})
        return {row["id"]: row["position"] for row in rows}

    async def count(self, within: Within = None) -> QueueCounts:
        """Return how many jobs wait and run: all, or those of some organisations."""
        limited = within is not None
        statement = sql.COUNT_WITHIN if limited else sql.COUNT
        values = {"within": as_json(within)} if within is not None else {}
        (row,) = await self._database.fetch_all(statement, values)
        return QueueCounts(queued=row["queued"], running=row["running"])

    async def totals(self) -> JobTotals:
        """Return what is known of all jobs together, however many have ended."""
        return await read_totals(self._database)

    async def claim(self, job_id: str, *, attempt: int, now: Moment) -> Job | None:
        """Take a queued job whose last attempt was ``attempt``; return it running the next one."""
        values = {
            "id": job_id,
            "attempt": attempt,
            "most_running": self.quotas.most_running,
            **moment_columns("started", now),
        }
        async with self._database.transaction() as transaction:
            if not await transaction.execute(sql.CLAIM, values):
                return None
            return await required(transaction, job_id)

    async def record_preparing(
        self, job_id: str, *, attempt: int, key: str, log_base: int, log_settled: int | None = None
    ) -> bool:
        """Note that dependencies are about to be installed, and where the log of that begins."""
        values = {"key": key, "log_base": log_base, "log_settled": log_settled}
        return await self._write(sql.RECORD_PREPARING, {"id": job_id, "attempt": attempt, **values})

    async def record_container(
        self,
        job_id: str,
        *,
        attempt: int,
        container: str,
        log_base: int,
        log_settled: int | None = None,
    ) -> bool:
        """Note which container the attempt uses and where its log begins."""
        values = {"container": container, "log_base": log_base, "log_settled": log_settled}
        return await self._write(sql.RECORD_CONTAINER, {"id": job_id, "attempt": attempt, **values})

    async def record_fed(self, job_id: str, *, attempt: int, image_id: str | None = None) -> bool:
        """Note that the whole project has reached the container, and the id of its image."""
        values = {"id": job_id, "attempt": attempt, "image_id": image_id}
        return await self._write(sql.RECORD_FED, values)

    async def record_stop(self, job_id: str, *, attempt: int, reason: EndReason) -> bool:
        """Note that the attempt is to be stopped, and why. The first reason stays."""
        return await self._write(
            sql.RECORD_STOP,
            {"id": job_id, "attempt": attempt, "reason": reason.value, "detail": None},
        )

    async def finish(
        self, job_id: str, *, attempt: int, result: Result, now: Moment, collect: bool = False
    ) -> bool:
        """Write the end of a running job, once and for all."""
        values = {"id": job_id, "attempt": attempt, **self._writes.end_columns(result, now)}
        async with self._database.transaction() as transaction:
            ended = await transaction.execute(sql.END[result.change], values)
            if ended and collect:
                await transaction.execute(sql.COLLECT, (job_id,))
        return bool(ended)

    async def requeue(
        self,
        job_id: str,
        *,
        attempt: int,
        charged: bool,
        detail: str,
        hold_until: datetime | None = None,
    ) -> bool:
        """Put a running job back in its old place; it has not started any more."""
        values = {
            "id": job_id,
            "attempt": attempt,
            "charged": int(charged),
            "detail": storable(detail),
            "hold_until": None if hold_until is None else to_microseconds(hold_until),
        }
        return await self._write(sql.REQUEUE, values)

    async def oldest_ended(self, *, limit: int, before: Moment) -> Sequence[Job]:
        """Return at most ``limit`` jobs that ended before that moment, the first ended first."""
        return await self._jobs(sql.OLDEST_ENDED, {**_moment(before), "limit": limit})

    async def oldest_stashed(self, *, limit: int, before: Moment) -> Sequence[Job]:
        """Return those of ``oldest_ended`` whose projects are kept."""
        return await self._jobs(sql.OLDEST_STASHED, {**_moment(before), "limit": limit})

    async def stashed_bytes(self) -> int:
        """Return what the kept projects of ended jobs take, without the packs of trees."""
        (row,) = await self._database.fetch_all(sql.STASHED_BYTES)
        return int(row[0])

    async def release(self, job_ids: Iterable[str]) -> int:
        """Note that the projects of those of the jobs that have ended are kept no longer."""
        async with self._database.transaction() as transaction:
            return await transaction.execute(sql.RELEASE, (as_json(job_ids),))

    async def packs_of(self, job_id: str) -> frozenset[int] | None:
        """Return the packs that a job's project reads from; None if it is not kept any more."""
        row = await self._database.fetch_one(sql.PACKS_OF, (job_id,))
        return None if row is None else frozenset(msgspec.json.decode(row[0], type=list[int]))

    async def forget(self, job_ids: Iterable[str]) -> int:
        """Delete the rows of those of the jobs that have ended; return how many."""
        ids = as_json(job_ids)
        # A job may have many thousands of tests: other writes come in between.
        shed = _MOST_SHED
        while shed == _MOST_SHED:
            async with self._database.transaction() as transaction:
                shed = await transaction.execute(sql.SHED, {"ids": ids, "limit": _MOST_SHED})
        async with self._database.transaction() as transaction:
            return await transaction.execute(sql.FORGET, (ids,))

    async def restored_as(self) -> str | None:
        """Return what tells this database from the one it was copied from, None if from none."""
        row = await self._database.fetch_one(sql.NEWEST_RESTORE)
        return row["token"] if row else None

    async def cancel(self, job_id: str, *, now: Moment) -> Job:
        """End a queued job, or ask for a running one to be stopped. Raises ``JobNotFound``."""
        async with self._database.transaction() as transaction:
            await self._writes.cancel(transaction, _askable(job_id), now)
            row = await transaction.fetch_one(sql.BY_ID, (job_id,))
        if row is None:
            raise _not_found(job_id)
        return job_from_row(row)

    async def _jobs(
        self, query: str, parameters: Mapping[str, Any] | Sequence[Any] = ()
    ) -> Sequence[Job]:
        return [job_from_row(row) for row in await self._database.fetch_all(query, parameters)]

    async def _write(self, statement: str, values: Mapping[str, Any]) -> bool:
        async with self._database.transaction() as transaction:
            return bool(await transaction.execute(statement, values))


def _moment(moment: Moment) -> Mapping[str, Any]:
    return {
        "wall": to_microseconds(moment.wall),
        "uptime": moment.uptime,
        "boot": moment.boot_id,
    }


def _askable(reference: str) -> str:
    """Return ``reference`` if a job id could begin like that. Raises ``JobNotFound``."""
    if not reference or not reference.isascii():
        raise _not_found(reference)
    return reference


def _not_found(reference: str) -> JobNotFound:
    return JobNotFound(
        f"there is no job {reference!r}",
        hint="ci list shows the jobs there are; ended ones are removed after a while",
    )
