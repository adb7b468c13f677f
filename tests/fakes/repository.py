"""Jobs in memory: the contract of ``JobRepository`` without a database."""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ci_common.artifacts import ArtifactStore
from ci_common.blobs import BlobStore
from ci_common.clock import Moment
from ci_common.errors import AmbiguousJob, IdempotencyConflict, JobNotFound
from ci_common.job_query import JobPage, JobQuery
from ci_common.job_totals import Distribution, JobTotals
from ci_common.jobs import (
    Change,
    EndReason,
    Job,
    JobStatus,
    NewJob,
    QueueCounts,
    Result,
    next_status,
    sources,
)
from ci_common.logs import LogStore
from ci_common.recipe import Recipe
from ci_common.results import ResultsState, ResultStore
from ci_common.snapshots import SnapshotStore
from ci_common.space import Space
from ci_common.stash import Stash
from ci_common.webhooks import WebhookStore
from ci_persistence.artifacts import FileArtifactStore
from ci_persistence.logs import FileLogStore
from ci_persistence.space import DiskSpace
from ci_persistence.stash import FileStash
from tests.fakes.blobs import InMemoryBlobStore
from tests.fakes.clock import FakeClock
from tests.fakes.job_events import InMemoryEventStore
from tests.fakes.job_query import durations_of, page_of
from tests.fakes.results import InMemoryResultStore
from tests.fakes.snapshots import InMemorySnapshotStore
from tests.fakes.webhooks import InMemoryWebhookStore

LONGEST_HOLD = timedelta(minutes=10)


def new_job(**overrides: Any) -> NewJob:
    """A submission with an id of its own; everything can be said otherwise."""
    values: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "recipe": Recipe(),
        "zip_path": "stash/project.zip",
        "zip_size": 22,
        "zip_sha256": "0" * 64,
        "created": FakeClock().now(),
    }
    return NewJob(**(values | overrides))


class InMemoryJobRepository:
    """Complete, but gone with the process. No method awaits, so each is atomic."""

    data_dir: Path
    stash: Stash
    logs: LogStore
    space: Space
    snapshots: SnapshotStore
    blobs: BlobStore
    events: InMemoryEventStore
    webhooks: WebhookStore
    artifacts: ArtifactStore
    results: ResultStore

    def __init__(self, data_dir: Path, *, max_log_bytes: int = 10_000_000) -> None:
        self.data_dir = data_dir
        self.stash = FileStash(data_dir / "stash", data_dir / "tmp")
        self.snapshots = InMemorySnapshotStore()
        self.webhooks = InMemoryWebhookStore()
        self.logs = FileLogStore(data_dir / "logs", limit=max_log_bytes)
        self.space = DiskSpace((data_dir,))
        self.blobs = InMemoryBlobStore(self._held_packs)
        self.events = InMemoryEventStore()
        self._jobs: dict[str, Job] = {}
        self.artifacts = FileArtifactStore(data_dir / "artifacts", data_dir / "tmp")
        self.results = InMemoryResultStore(self._jobs)
        self._ended: dict[str, Moment] = {}
        self._packs: dict[str, frozenset[int]] = {}
        self._keys: dict[str, tuple[str, str]] = {}
        self._last_seq = 0
        self._created: dict[str, Moment] = {}
        self._waits: list[float] = []
        self._durations: list[float] = []
        self._requeued = 0
        self._reasons: Counter[EndReason] = Counter()

    async def initialize(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def restored_as(self) -> str | None:
        return None

    async def add(self, new: NewJob) -> tuple[Job, bool]:
        if new.idempotency_key in self._keys:
            fingerprint, job_id = self._keys[new.idempotency_key]
            if fingerprint != new.fingerprint:
                raise IdempotencyConflict
            return self._jobs[job_id], False
        if new.id in self._jobs:
            raise ValueError(f"the id {new.id} is taken")
        self.blobs.hold(new.packs, new.created.wall)
        self._packs[new.id] = new.packs
        self._last_seq += 1
        job = Job(
            id=new.id,
            seq=self._last_seq,
            status=JobStatus.QUEUED,
            recipe=new.recipe,
            created_at=new.created.wall,
            zip_path=new.zip_path,
            zip_size=new.zip_size,
            zip_sha256=new.zip_sha256,
            project=new.project,
            priority=new.priority,
            submitter=new.submitter,
            labels=new.labels,
            group=new.group,
            group_policy=new.group_policy,
            queue_timeout=new.queue_timeout,
            retry_of=new.retry_of,
            tree_sha256=new.tree_sha256,
            max_attempts=new.max_attempts,
            traceparent=new.traceparent,
        )
        self._put(job)
        self._created[new.id] = new.created
        if new.idempotency_key is not None:
            self._keys[new.idempotency_key] = (new.fingerprint, new.id)
        return job, True

    async def get(self, job_id: str) -> Job:
        if job_id not in self._jobs:
            raise JobNotFound
        return self._jobs[job_id]

    async def find(self, reference: str) -> Job:
        if reference in self._jobs:
            return self._jobs[reference]
        if reference == "last":
            fitting = self._newest_first()[:1]
        else:
            fitting = [j for j in self._jobs.values() if reference and j.id.startswith(reference)]
        if not fitting:
            raise JobNotFound
        if len(fitting) > 1:
            raise AmbiguousJob
        return fitting[0]

    async def get_many(self, job_ids: Iterable[str]) -> Sequence[Job]:
        return [self._jobs[job_id] for job_id in set(job_ids) if job_id in self._jobs]

    async def list_recent(self, *, limit: int, before: int | None = None) -> Sequence[Job]:
        jobs = self._newest_first()
        return [job for job in jobs if before is None or job.seq < before][:limit]

    async def list_jobs(self, query: JobQuery) -> JobPage:
        return page_of(self._jobs.values(), query)

    async def queued(self, *, limit: int, skip: int = 0) -> Sequence[Job]:
        return self._queue()[skip : skip + limit]

    async def durations(
        self, projects: Iterable[str], *, latest: int
    ) -> Mapping[str | None, Sequence[float]]:
        return durations_of(self._jobs.values(), projects, latest)

    async def startable(self, *, limit: int, now: datetime) -> Sequence[Job]:
        return [job for job in self._queue() if not _on_hold(job, now)][:limit]

    async def running(self) -> Sequence[Job]:
        return [job for job in self._jobs.values() if job.status is JobStatus.RUNNING]

    async def uncollected(self, *, limit: int) -> Sequence[Job]:
        pending = [j for j in self._jobs.values() if j.results is ResultsState.PENDING]
        return sorted(pending, key=lambda job: job.seq)[:limit]

    async def queue_position(self, job_id: str) -> int | None:
        ids = [job.id for job in self._queue()]
        return ids.index(job_id) + 1 if job_id in ids else None

    async def count(self) -> QueueCounts:
        return QueueCounts(queued=len(self._queue()), running=len(await self.running()))

    async def totals(self) -> JobTotals:
        counts = await self.count()
        waiting = min(self._queue(), key=lambda job: job.seq, default=None)
        return JobTotals(
            queued=counts.queued,
            running=counts.running,
            oldest_queued=waiting and waiting.created_at,
            submitted=self._last_seq,
            requeued=self._requeued,
            ended=dict(self._reasons),
            queue_wait=_distribution(self._waits),
            duration=_distribution(self._durations),
        )

    async def claim(self, job_id: str, *, attempt: int, now: Moment) -> Job | None:
        claimed = self._move(
            job_id,
            attempt,
            Change.CLAIM,
            attempt=attempt + 1,
            preparing=None,
            container=None,
            fed=False,
            stop_reason=None,
            hold_until=None,
            started=now,
        )
        if claimed and attempt == 0:
            self._waits.append(now.seconds_since(self._created[job_id]))
        return self._jobs[job_id] if claimed else None

    async def record_preparing(
        self, job_id: str, *, attempt: int, key: str, log_base: int, log_settled: int | None = None
    ) -> bool:
        settled = log_base if log_settled is None else log_settled
        return self._note(job_id, attempt, preparing=key, log_base=log_base, log_settled=settled)

    async def record_container(
        self,
        job_id: str,
        *,
        attempt: int,
        container: str,
        log_base: int,
        log_settled: int | None = None,
    ) -> bool:
        settled = log_base if log_settled is None else log_settled
        return self._note(
            job_id, attempt, container=container, log_base=log_base, log_settled=settled
        )

    async def record_fed(self, job_id: str, *, attempt: int, image_id: str | None = None) -> bool:
        return self._note(job_id, attempt, fed=True, image_id=image_id)

    async def record_stop(self, job_id: str, *, attempt: int, reason: EndReason) -> bool:
        earlier = self._jobs[job_id].stop_reason if job_id in self._jobs else None
        return self._note(job_id, attempt, stop_reason=earlier or reason)

    async def finish(
        self, job_id: str, *, attempt: int, result: Result, now: Moment, collect: bool = False
    ) -> bool:
        if job_id in self._jobs and self._jobs[job_id].status is not JobStatus.RUNNING:
            return False
        finished = self._move(
            job_id,
            attempt,
            result.change,
            reason=result.reason,
            exit_code=result.exit_code,
            detail=result.detail,
            end_time=now.wall,
            results=ResultsState.PENDING if collect else ResultsState.NONE,
        )
        if finished:
            self._ended[job_id] = now
            self._reasons[result.reason] += 1
            self._durations.append(now.seconds_since(self._jobs[job_id].started))
        return finished

    async def requeue(
        self,
        job_id: str,
        *,
        attempt: int,
        charged: bool,
        detail: str,
        hold_until: datetime | None = None,
    ) -> bool:
        job = self._jobs.get(job_id)
        if job is None or job.stop_reason is not None:
            return False
        requeued = self._move(
            job_id,
            attempt,
            Change.REQUEUE,
            faults=job.faults + charged,
            detail=detail,
            hold_until=hold_until,
            started=None,
        )
        self._requeued += requeued
        return requeued

    async def oldest_ended(self, *, limit: int, before: Moment) -> Sequence[Job]:
        ended = sorted(self._ended, key=lambda job_id: self._ended[job_id].wall)
        return [self._jobs[key] for key in ended if _is_earlier(self._ended[key], before)][:limit]

    async def forget(self, job_ids: Iterable[str]) -> int:
        gone = [job_id for job_id in set(job_ids) if self._ended.pop(job_id, None)]
        for job_id in gone:
            self.events.changed(self._jobs.pop(job_id), None)
        self.results.forget(gone)
        self._keys = {key: kept for key, kept in self._keys.items() if kept[1] in self._jobs}
        return len(gone)

    async def cancel(self, job_id: str, *, now: Moment) -> Job:
        job = await self.get(job_id)
        if job.status is JobStatus.QUEUED:
            ended = {"reason": EndReason.CANCELLED, "exit_code": None, "detail": None}
            self._move(job_id, job.attempt, Change.CANCEL, end_time=now.wall, **ended)
            self._ended[job_id] = now
            self._reasons[EndReason.CANCELLED] += 1
        else:
            reason = job.stop_reason or EndReason.CANCELLED
            self._note(job_id, job.attempt, stop_reason=reason)
        return self._jobs[job_id]

    def _held_packs(self) -> set[int]:
        unfinished = (job.id for job in self._jobs.values() if not job.status.ended)
        return {pack for job_id in unfinished for pack in self._packs[job_id]}

    def _newest_first(self) -> list[Job]:
        return sorted(self._jobs.values(), key=lambda job: -job.seq)

    def _queue(self) -> list[Job]:
        queued = [job for job in self._jobs.values() if job.status is JobStatus.QUEUED]
        return sorted(queued, key=lambda job: (-job.priority, job.seq))

    def _put(self, job: Job) -> None:
        self.events.changed(self._jobs.get(job.id), job)
        self._jobs[job.id] = job

    def _move(self, job_id: str, attempt: int, change: Change, /, **changes: Any) -> bool:
        job = self._jobs.get(job_id)
        if job is None or job.attempt != attempt or job.status not in sources(change):
            return False
        self._put(replace(job, status=next_status(job.status, change), **changes))
        return True

    def _note(self, job_id: str, attempt: int, /, **changes: Any) -> bool:
        job = self._jobs.get(job_id)
        if job is None or job.attempt != attempt or job.status is not JobStatus.RUNNING:
            return False
        self._put(replace(job, **changes))
        return True


def _is_earlier(moment: Moment, before: Moment) -> bool:
    same_boot = moment.boot_id == before.boot_id
    return moment.wall < before.wall and not (same_boot and moment.uptime >= before.uptime)


def _on_hold(job: Job, now: datetime) -> bool:
    # A hold further away than any backoff is left from a clock that was set back.
    return job.hold_until is not None and now < job.hold_until <= now + LONGEST_HOLD


def _distribution(values: list[float]) -> Distribution:
    # One bucket is enough: where the bounds are is each store's own affair.
    return Distribution(buckets=((float("inf"), len(values)),), sum=sum(values))
