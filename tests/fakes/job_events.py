"""Events in memory: the contract of ``EventStore`` without a database."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ci_common.job_events import EVERYTHING, EventFilter, EventPage, EventType, StoredEvent
from ci_common.jobs import Job, JobStatus


class InMemoryEventStore:
    """Told of each change by the repository that it belongs to."""

    def __init__(self) -> None:
        self._events: list[StoredEvent] = []
        self._latest = 0

    def changed(self, before: Job | None, after: Job | None) -> None:
        """Take note of a change from one state of a job to another."""
        job = after or before
        kind = _kind(before, after)
        if job is None or kind is None:
            return
        self._latest += 1
        moments = {
            EventType.QUEUED: job.created_at,
            EventType.RUNNING: job.start_time,
            EventType.ENDED: job.end_time,
        }
        event = StoredEvent(
            seq=self._latest,
            at=moments.get(kind) or datetime.now(UTC),
            type=kind,
            job_id=job.id,
            project=job.project,
            submitter=job.submitter,
            organisation=job.organisation,
            attempt=job.attempt,
            status=job.status if after else None,
        )
        self._events.append(replace(event, **_outcome(job, kind)))

    async def after(self, seq: int, *, limit: int, wanted: EventFilter = EVERYTHING) -> EventPage:
        found = [event for event in self._events if event.seq > seq and wanted.admits(event)]
        events = found[:limit]
        through = events[-1].seq if len(events) == limit else self._latest
        oldest = await self.oldest()
        return EventPage(events=events, through=through, oldest=oldest, latest=self._latest)

    async def latest(self) -> int:
        return self._latest

    async def oldest(self) -> int:
        return self._events[0].seq if self._events else self._latest + 1

    async def prune(self, *, before: datetime | None, keep: int, limit: int = 5000) -> int:
        batch = self._events[:limit]
        young = (event.seq for event in batch if before is None or event.at >= before)
        bound = max(next(young, self._latest + 1), self._latest - keep + 1)
        gone = sum(event.seq < bound for event in batch)
        del self._events[:gone]
        return gone


def _kind(before: Job | None, after: Job | None) -> EventType | None:
    if after is None:
        return EventType.REMOVED
    if before is None:
        return EventType.QUEUED
    if after.status is not before.status:
        if after.status.ended:
            return EventType.ENDED
        running = after.status is JobStatus.RUNNING
        return EventType.RUNNING if running else EventType.REQUEUED
    stopped = after.stop_reason is not None and before.stop_reason is None
    return EventType.STOPPING if stopped else None


def _outcome(job: Job, kind: EventType) -> dict[str, Any]:
    if kind is EventType.STOPPING:
        return {"reason": job.stop_reason}
    if kind in {EventType.QUEUED, EventType.REMOVED}:
        return {}
    return {"reason": job.reason, "exit_code": job.exit_code, "detail": job.detail}
