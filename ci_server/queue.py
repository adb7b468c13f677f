"""The queue: who is next, what each job waits for, and when it is expected to start."""

import asyncio
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ci_common.access import NOBODYS, Within
from ci_common.api import QueueCountsView, QueuedJobView, QueueView, RunningJobView
from ci_common.clock import Clock, Moment, format_utc
from ci_common.forecast import (
    UNKNOWN,
    Durations,
    Occupant,
    Waiter,
    expected_starts,
    typical_duration,
)
from ci_common.job_repository import JobRepository
from ci_common.jobs import LONGEST_HOLD, GroupPolicy, Job
from ci_common.outage import Outage
from ci_common.quotas import QuotaStore

HORIZON = 500
"""Jobs at the front of the queue whose starts are forecast. Of others nobody can tell."""

LATEST = 20
"""Jobs of a project that tell how long the next one takes."""

_IDLE_FACTOR = 10
"""How many times as long as a forecast takes it is good for: a tenth of the time, at most."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What was expected at a moment. Durations are seconds, None for unknown.

    ``blocked``: the ids of those that wait for others of their groups. ``full``: how many
    jobs the organisations run that run as many as they may.
    """

    made: Moment
    starts: Mapping[str, datetime]
    durations: Durations
    blocked: Collection[str]
    full: Mapping[str, int]
    good_for: float

    def duration(self, job: Job) -> float | None:
        """Return how many seconds a job is expected to take."""
        return _duration(self.durations, job)


class QueueWatch:
    """Looks at the queue, which has room for ``capacity`` jobs that run.

    ``ageing``: the seconds of waiting that one step of priority is worth, 0 for none.
    """

    def __init__(
        self,
        repository: JobRepository,
        quotas: QuotaStore,
        clock: Clock,
        outage: Outage,
        capacity: int,
        ageing: float = 0.0,
    ) -> None:
        self._repository = repository
        self._quotas = quotas
        self._clock = clock
        self._outage = outage
        self._capacity = capacity
        self._ageing = ageing
        self._forecast: Forecast | None = None
        self._forecasting = asyncio.Lock()

    async def expected_start(self, job: Job) -> datetime | None:
        """Return when a queued job is expected to start, None if nobody can tell."""
        if self._outage.reason is not None:
            return None
        return (await self._current()).starts.get(job.id)

    async def waiting(self, job: Job) -> str | None:
        """Return what keeps a queued job from starting, other than its turn; None for nothing."""
        outage = self._outage.waiting
        if outage is not None:
            return outage
        return _full(job, await self._current())

    async def view(self, *, limit: int, skip: int = 0, within: Within = None) -> QueueView:
        """Return the queue, of those that wait at most ``limit`` after the first ``skip``.

        Of jobs of other organisations than ``within`` it tells only how many are before
        those that it shows.
        """
        outage, forecast = self._outage.waiting, await self._current()
        counts = await self._repository.count(within)
        queued = await self._repository.queued(limit=limit, skip=skip, within=within)
        running = [
            job
            for job in await self._repository.running()
            if within is None or job.organisation in within
        ]
        places = await self._places(queued, skip, within)
        now = self._clock.now()
        started = {job.id for job in running}
        return QueueView(
            counts=QueueCountsView(
                queued=counts.queued, running=len(running), capacity=self._capacity
            ),
            queued=[
                self._queued_view(job, places[job.id], forecast, now.wall)
                for job in queued
                # It may have been claimed between two of these reads.
                if job.id not in started and job.id in places
            ],
            running=[_running_view(job, forecast, now) for job in running],
            waiting=outage,
        )

    async def _places(self, queued: Sequence[Job], skip: int, within: Within) -> Mapping[str, int]:
        if within is None:
            return {job.id: place for place, job in enumerate(queued, start=skip + 1)}
        return await self._repository.queue_positions(job.id for job in queued)

    def _queued_view(
        self, job: Job, position: int, forecast: Forecast, now: datetime
    ) -> QueuedJobView:
        outage = self._outage.waiting
        waits_for, waiting = _what_it_waits_for(job, forecast, outage, now)
        start = None if outage else forecast.starts.get(job.id)
        waited = max(0.0, (now - job.created_at).total_seconds())
        return QueuedJobView(
            job_id=job.id,
            position=position,
            project=job.project,
            submitter=job.submitter,
            labels=job.labels,
            group=job.group,
            command=job.recipe.command_line,
            priority=job.priority,
            effective_priority=job.priority + (waited / self._ageing if self._ageing else 0.0),
            attempt=job.attempt,
            waiting_since=format_utc(job.created_at),
            waits_for=waits_for,
            waiting=waiting,
            expected_start=format_utc(start) if start else None,
            expected_duration=forecast.duration(job),
        )

    async def _current(self) -> Forecast:
        async with self._forecasting:
            now = self._clock.now()
            known = self._forecast
            if known is None or now.seconds_since(known.made) >= known.good_for:
                known = self._forecast = await self._make(now)
            return known

    async def _make(self, now: Moment) -> Forecast:
        queued = await self._repository.queued(limit=HORIZON)
        running = await self._repository.running()
        projects = {(job.organisation, job.project) for job in (*queued, *running)}
        durations = await self._repository.durations(projects, latest=LATEST)
        waiters = [_waiter(job, _duration(durations, job), now) for job in queued]
        occupants = [_occupant(job, _duration(durations, job), now) for job in running]
        counts = Counter(job.organisation for job in running)
        allowed = await self._allowed({job.organisation for job in queued})
        starts = expected_starts(waiters, occupants, self._capacity, allowed)
        return Forecast(
            made=now,
            starts={
                job.id: now.wall + timedelta(seconds=start)
                for job, start in zip(queued, starts, strict=True)
                if not math.isinf(start)
            },
            durations=durations,
            blocked=_blocked(queued, running),
            full={
                each: number
                for each, number in counts.items()
                if number >= allowed.get(each, number + 1)
            },
            good_for=_IDLE_FACTOR * self._clock.now().seconds_since(now),
        )

    async def _allowed(self, organisations: Collection[str]) -> dict[str, int]:
        """Return how many jobs those of the organisations may run that have a limit."""
        limited = set(organisations) - {NOBODYS}
        if not limited:
            return {}
        quotas = await self._quotas.quotas(limited)
        return {each: quotas[each].running for each in limited if quotas[each].running}


def _waiter(job: Job, duration: float | None, now: Moment) -> Waiter:
    return Waiter(
        duration=UNKNOWN if duration is None else duration,
        not_before=_hold(job, now.wall).total_seconds(),
        group=_group_of(job),
        yields=job.group_policy is GroupPolicy.QUEUE,
        owner=job.organisation,
    )


def _occupant(job: Job, duration: float | None, now: Moment) -> Occupant:
    ran = now.seconds_since(job.started) if job.started else 0.0
    remaining = UNKNOWN if duration is None else max(0.0, duration - ran)
    return Occupant(remaining, _group_of(job), job.organisation)


def _duration(durations: Durations, job: Job) -> float | None:
    return typical_duration(durations, job.organisation, job.project)


def _group_of(job: Job) -> tuple[str, str, str] | None:
    return (job.organisation, job.project, job.group) if job.group else None


def _blocked(queued: Sequence[Job], running: Sequence[Job]) -> set[str]:
    """Return the ids of the jobs that wait for others of their groups."""
    before = {_group_of(job) for job in running}
    blocked = set()
    for job in queued:
        group = _group_of(job)
        if group is not None and job.group_policy is GroupPolicy.QUEUE and group in before:
            blocked.add(job.id)
        before.add(group)
    return blocked


def _hold(job: Job, now: datetime) -> timedelta:
    """Return how much longer a job is on hold."""
    left = timedelta() if job.hold_until is None else job.hold_until - now
    return left if timedelta() < left <= LONGEST_HOLD else timedelta()


def _what_it_waits_for(
    job: Job, forecast: Forecast, outage: str | None, now: datetime
) -> tuple[str, str | None]:
    if outage is not None:
        return "engine", outage
    if _hold(job, now) and job.hold_until:
        why = f": {job.detail}" if job.detail else ""
        return "hold", f"waiting until {format_utc(job.hold_until)} to be tried again{why}"
    if job.id in forecast.blocked:
        return "group", f"waiting for others of the group {job.group}"
    full = _full(job, forecast)
    if full is not None:
        return "quota", full
    return "turn", None


def _full(job: Job, forecast: Forecast) -> str | None:
    number = forecast.full.get(job.organisation)
    if number is None:
        return None
    return f"waiting for others of its organisation, which runs as many as it may: {number}"


def _running_view(job: Job, forecast: Forecast, now: Moment) -> RunningJobView:
    duration, started = forecast.duration(job), job.started or now
    end = None if duration is None else started.wall + timedelta(seconds=duration)
    return RunningJobView(
        job_id=job.id,
        project=job.project,
        submitter=job.submitter,
        labels=job.labels,
        group=job.group,
        command=job.recipe.command_line,
        attempt=job.attempt,
        start_time=format_utc(started.wall),
        running_for=round(now.seconds_since(started), 3),
        expected_duration=duration,
        expected_end=format_utc(end) if end else None,
        stopping=job.stop_reason.value if job.stop_reason else None,
    )
