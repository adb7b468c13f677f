"""Jobs in memory: the contract of ``JobRepository`` without a database."""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ci_common.access import Within
from ci_common.artifacts import ArtifactStore
from ci_common.blobs import BlobStore
from ci_common.clock import Moment
from ci_common.errors import AmbiguousJob, IdempotencyConflict, JobNotFound, QuotaExceeded
from ci_common.forecast import Durations
from ci_common.job_query import JobPage, JobQuery
from ci_common.job_secrets import SecretStore
from ci_common.job_totals import JobTotals
from ci_common.jobs import (
    Change,
    EndReason,
    GroupPolicy,
    Job,
    JobStatus,
    NewJob,
    QueueCounts,
    Result,
    next_status,
    sources,
)
from ci_common.logs import LogStore
from ci_common.queue_rules import Latest, QueueRules, Turn
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
from tests.fakes.job_rules import distribution, group_of, is_earlier, on_hold, queued_job
from tests.fakes.job_secrets import InMemorySecretStore
from tests.fakes.quotas import InMemoryQuotas
from tests.fakes.results import InMemoryResultStore
from tests.fakes.snapshots import InMemorySnapshotStore
from tests.fakes.webhooks import InMemoryWebhookStore


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
    secrets: SecretStore

    def __init__(
        self,
        data_dir: Path,
        *,
        max_log_bytes: int = 10_000_000,
        queue_rules: QueueRules | None = None,
        keep_projects: bool = True,
    ) -> None:
        self.data_dir = data_dir
        self.stash = FileStash(data_dir / "stash", data_dir / "tmp")
        self.snapshots = InMemorySnapshotStore()
        self.webhooks = InMemoryWebhookStore()
        self.logs = FileLogStore(data_dir / "logs", limit=max_log_bytes)
        self.space = DiskSpace((data_dir,))
        self.blobs = InMemoryBlobStore(self._held_packs, self._kept_packs, self._lose)
        self.events = InMemoryEventStore()
        self._rules = queue_rules or QueueRules()
        self._keep_projects = keep_projects
        self._turns: dict[str, Turn] = {}
        self._jobs: dict[str, Job] = {}
        self.artifacts = FileArtifactStore(data_dir / "artifacts", data_dir / "tmp")
        self.results = InMemoryResultStore(
            self._jobs, lambda organisation: self.quotas.of(organisation).artifact_bytes
        )
        self.quotas = InMemoryQuotas(self._jobs, self.results.artifact_bytes)
        self.secrets = InMemorySecretStore(self._jobs)
        self._ended: dict[str, Moment] = {}
        self._packs: dict[str, frozenset[int]] = {}
        self._keys: dict[tuple[str, str | None], tuple[str, str]] = {}
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
        if (new.organisation, new.idempotency_key) in self._keys:
            fingerprint, job_id = self._keys[new.organisation, new.idempotency_key]
            if fingerprint != new.fingerprint:
                raise IdempotencyConflict
            return self._jobs[job_id], False
        if new.id in self._jobs:
            raise ValueError(f"the id {new.id} is taken")
        self._require_room(new)
        self.blobs.hold(new.packs, new.created.wall)
        if new.group and new.group_policy is GroupPolicy.CANCEL_OLDER:
            self._cancel_older(new)
        self._turns[new.id], self._created[new.id] = self._turn(new), new.created
        self._packs[new.id] = new.packs
        self._last_seq += 1
        job = queued_job(new, self._last_seq)
        self._put(job)
        self._created[new.id] = new.created
        if new.idempotency_key is not None:
            self._keys[new.organisation, new.idempotency_key] = (new.fingerprint, new.id)
        return job, True

    async def get(self, job_id: str) -> Job:
        if job_id not in self._jobs:
            raise JobNotFound
        return self._jobs[job_id]

    async def find(self, reference: str, *, within: Within = None) -> Job:
        seen = [j for j in self._newest_first() if within is None or j.organisation in within]
        if reference == "last":
            fitting = seen[:1]
        else:
            exact = [job for job in seen if job.id == reference]
            fitting = exact or [job for job in seen if reference and job.id.startswith(reference)]
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

    async def queued(self, *, limit: int, skip: int = 0, within: Within = None) -> Sequence[Job]:
        visible = [job for job in self._queue() if within is None or job.organisation in within]
        return visible[skip : skip + limit]

    async def durations(self, projects: Iterable[tuple[str, str]], *, latest: int) -> Durations:
        return durations_of(self._jobs.values(), projects, latest)

    async def startable(self, *, limit: int, now: datetime) -> Sequence[Job]:
        ready = [job for job in self._queue() if not self._waits_for_group(job)]
        awake = [job for job in ready if not on_hold(job, now)]
        return [job for job in awake if self._has_place(job, awake)][:limit]

    async def overdue(self, *, limit: int, now: Moment) -> Sequence[Job]:
        late = [job for job in self._queue() if not job.attempt and self._is_overdue(job, now)]
        return sorted(late, key=self._deadline)[:limit]

    async def expire(self, job_id: str, *, detail: str, now: Moment) -> Job | None:
        job = self._jobs.get(job_id)
        if job is None or job.attempt or job.status is not JobStatus.QUEUED:
            return None
        self._end(job, Result(reason=EndReason.QUEUE_TIMED_OUT, detail=detail), now)
        return self._jobs[job_id]

    async def running(self) -> Sequence[Job]:
        return [job for job in self._jobs.values() if job.status is JobStatus.RUNNING]

    async def uncollected(self, *, limit: int) -> Sequence[Job]:
        pending = [j for j in self._jobs.values() if j.results is ResultsState.PENDING]
        return sorted(pending, key=lambda job: job.seq)[:limit]

    async def queue_position(self, job_id: str) -> int | None:
        ids = [job.id for job in self._queue()]
        return ids.index(job_id) + 1 if job_id in ids else None

    async def queue_positions(self, job_ids: Iterable[str]) -> Mapping[str, int]:
        asked = set(job_ids)
        return {job.id: n for n, job in enumerate(self._queue(), 1) if job.id in asked}

    async def count(self, within: Within = None) -> QueueCounts:
        visible = [
            job.status
            for job in self._jobs.values()
            if within is None or job.organisation in within
        ]
        return QueueCounts(
            queued=visible.count(JobStatus.QUEUED), running=visible.count(JobStatus.RUNNING)
        )

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
            queue_wait=distribution(self._waits),
            duration=distribution(self._durations),
        )

    async def claim(self, job_id: str, *, attempt: int, now: Moment) -> Job | None:
        if job_id in self._jobs and self._waits_for_group(self._jobs[job_id]):
            return None
        if job_id in self._jobs and not self._has_place(self._jobs[job_id]):
            return None
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
        return self._ask_to_stop(job_id, attempt, reason)

    async def finish(
        self, job_id: str, *, attempt: int, result: Result, now: Moment, collect: bool = False
    ) -> bool:
        job = self._jobs.get(job_id)
        if job is None or job.status is not JobStatus.RUNNING or job.attempt != attempt:
            return False
        self._end(job, result, now, collect=collect)
        return True

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
        return [self._jobs[key] for key in ended if is_earlier(self._ended[key], before)][:limit]

    async def oldest_stashed(self, *, limit: int, before: Moment) -> Sequence[Job]:
        ended = await self.oldest_ended(limit=len(self._ended), before=before)
        return [job for job in ended if job.stashed][:limit]

    async def stashed_bytes(self) -> int:
        return sum(job.zip_size for job in self._jobs.values() if job.status.ended and job.stashed)

    async def release(self, job_ids: Iterable[str]) -> int:
        jobs = await self.get_many(job_ids)
        going = [job for job in jobs if job.status.ended and job.stashed]
        for job in going:
            self._jobs[job.id] = replace(job, stashed=False)
        return len(going)

    async def packs_of(self, job_id: str) -> frozenset[int] | None:
        job = self._jobs.get(job_id)
        return self._packs[job_id] if job is not None and job.stashed else None

    async def forget(self, job_ids: Iterable[str]) -> int:
        gone = [job_id for job_id in set(job_ids) if self._ended.pop(job_id, None)]
        for job_id in gone:
            self.events.changed(self._jobs.pop(job_id), None)
        self.results.forget(gone)
        self._keys = {key: kept for key, kept in self._keys.items() if kept[1] in self._jobs}
        return len(gone)

    async def cancel(self, job_id: str, *, now: Moment) -> Job:
        job = await self.get(job_id)
        self._cancel(job, now)
        return self._jobs[job_id]

    def _cancel(self, job: Job, now: Moment, detail: str | None = None) -> None:
        if job.status is JobStatus.QUEUED:
            self._end(job, Result(reason=EndReason.CANCELLED, detail=detail), now)
        else:
            self._ask_to_stop(job.id, job.attempt, EndReason.CANCELLED, detail)

    def _cancel_older(self, new: NewJob) -> None:
        detail = f"job {new.id} of its group {new.group!r} came after it"
        for job in list(self._jobs.values()):
            if group_of(job) == group_of(new) and not job.status.ended:
                self._cancel(job, new.created, detail)

    def _ask_to_stop(
        self, job_id: str, attempt: int, reason: EndReason, detail: str | None = None
    ) -> bool:
        job = self._jobs.get(job_id)
        if job is None:
            return False
        if job.stop_reason is not None:
            reason, detail = job.stop_reason, job.detail
        return self._note(job_id, attempt, stop_reason=reason, detail=detail)

    def _end(self, job: Job, result: Result, now: Moment, *, collect: bool = False) -> None:
        asked_with = job.detail if job.stop_reason is not None else None
        self._put(
            replace(
                job,
                status=next_status(job.status, result.change),
                reason=result.reason,
                exit_code=result.exit_code,
                detail=result.detail if result.detail is not None else asked_with,
                end_time=now.wall,
                stashed=self._keep_projects,
                results=ResultsState.PENDING if collect else ResultsState.NONE,
            )
        )
        self._ended[job.id] = now
        self._reasons[result.reason] += 1
        if job.started is not None:
            self._durations.append(now.seconds_since(job.started))

    def _turn(self, new: NewJob) -> Turn:
        unfinished = [job for job in self._jobs.values() if not job.status.ended]
        queue = [job for job in unfinished if job.status is JobStatus.QUEUED]
        last = max(queue, key=lambda job: job.seq, default=None)
        own = [
            self._turns[job.id].base
            for job in unfinished
            if (job.organisation, job.submitter) == (new.organisation, new.submitter)
            and job.priority >= new.priority
        ]
        latest = Latest(self._turns[last.id].arrived, self._created[last.id]) if last else None
        sharing = {job.submitter for job in unfinished if job.organisation == new.organisation}
        others = sharing - {new.submitter} if new.organisation else ()
        return self._rules.turn(
            priority=new.priority,
            created=new.created,
            latest=latest,
            own=own,
            sharers=1 + len(others),
        )

    def _waits_for_group(self, job: Job) -> bool:
        if not job.group or job.group_policy is not GroupPolicy.QUEUE:
            return False
        group = [each for each in self._jobs.values() if group_of(each) == group_of(job)]
        first = next(each for each in self._queue() if each in group)
        return first != job or any(each.status is JobStatus.RUNNING for each in group)

    def _has_place(self, job: Job, before: Sequence[Job] = ()) -> bool:
        """Whether the organisation may run a job when those ``before`` it have been started."""
        most = self.quotas.of(job.organisation).running
        own = [each for each in before if each.organisation == job.organisation]
        ahead = own.index(job) if job in own else 0
        return not most or self.quotas.has(job.organisation).running + ahead < most

    def _require_room(self, new: NewJob) -> None:
        most, has = self.quotas.of(new.organisation), self.quotas.has(new.organisation)
        # What it cancels has gone when it is looked whether there is room.
        going = [
            job
            for job in self._jobs.values()
            if new.group
            and new.group_policy is GroupPolicy.CANCEL_OLDER
            and group_of(job) == group_of(new)
            and job.status is JobStatus.QUEUED
        ]
        if most.queued and has.queued - len(going) >= most.queued:
            raise QuotaExceeded
        freed = 0 if self._keep_projects else sum(job.zip_size for job in going)
        if most.project_bytes and has.project_bytes - freed + new.zip_size > most.project_bytes:
            raise QuotaExceeded

    def _deadline(self, job: Job) -> datetime:
        return self._created[job.id].wall + timedelta(seconds=job.queue_timeout or 0)

    def _is_overdue(self, job: Job, now: Moment) -> bool:
        if job.queue_timeout is None:
            return False
        created = self._created[job.id]
        early = created.boot_id == now.boot_id and created.uptime + job.queue_timeout > now.uptime
        return now.wall >= self._deadline(job) and not early

    def _held_packs(self) -> set[int]:
        unfinished = (job.id for job in self._jobs.values() if not job.status.ended)
        return {pack for job_id in unfinished for pack in self._packs[job_id]}

    def _kept_packs(self) -> set[int]:
        stashed = (job.id for job in self._jobs.values() if job.stashed)
        return {pack for job_id in stashed for pack in self._packs[job_id]}

    def _lose(self, pack: int) -> None:
        for job in list(self._jobs.values()):
            if job.status.ended and pack in self._packs[job.id]:
                self._jobs[job.id] = replace(job, stashed=False)

    def _newest_first(self) -> list[Job]:
        return sorted(self._jobs.values(), key=lambda job: -job.seq)

    def _queue(self) -> list[Job]:
        queued = [job for job in self._jobs.values() if job.status is JobStatus.QUEUED]
        return sorted(queued, key=lambda job: (self._turns[job.id].rank, job.seq))

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
