"""Looking at what is: rows that have not ended, and the engine's containers with our name."""

from collections.abc import Sequence
from dataclasses import dataclass

from ci_common.clock import Clock
from ci_common.errors import EngineError
from ci_common.executor import Executor, ObservedContainer
from ci_common.job_repository import JobRepository
from ci_common.jobs import Job
from ci_common.results import ResultsState
from ci_controller.plan import Snapshot
from ci_controller.settings import ControllerSettings

MOST_COLLECTED = 16
"""Jobs whose results are collected at once, of those that a former process left."""

MOST_OVERDUE = 100
"""Jobs that end at one look for having waited too long; more of them end at the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What this process has in hand: ids of jobs that tasks work at, and that are being stopped.

    ``starting``: those that can be called off on their way into a container.
    ``arriving``: whether one is on its way there, or has just got there.
    ``missing_uncollected``: whether to look for jobs, too, whose results are to be
    collected and whose containers are gone. Only a crash leaves such a one.
    """

    busy: frozenset[str] = frozenset()
    stopping: frozenset[str] = frozenset()
    starting: frozenset[str] = frozenset()
    arriving: bool = False
    missing_uncollected: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """A snapshot, and what the engine said if it could not be seen."""

    snapshot: Snapshot
    engine_error: str | None = None


async def observe(
    repository: JobRepository,
    executor: Executor,
    clock: Clock,
    settings: ControllerSettings,
    work: Work,
) -> Observation:
    """Return what is now.

    ``work`` must be taken before the call, and containers are listed before
    rows are read: then a row that speaks of a container missing from the list
    is older than the list, or in the hands of a task.
    """
    containers, engine_error = await _containers(executor)
    running = await repository.running()
    free = max(0, settings.max_running - len(running))
    now = clock.now()
    overdue = await repository.overdue(limit=MOST_OVERDUE, now=now)
    others = await _owners(repository, containers, running)
    uncollected = {job.id: job for job in others if job.results is ResultsState.PENDING}
    if work.missing_uncollected and containers is not None:
        pending = await repository.uncollected(limit=MOST_COLLECTED)
        uncollected |= {job.id: job for job in pending}
    startable: Sequence[Job] = ()
    if free and containers is not None:
        # Those with a container left over, and those to be ended, must not start, nor keep
        # others from it.
        limit = free + len(others) + len(overdue)
        startable = await repository.startable(limit=limit, now=now.wall)
    snapshot = Snapshot(
        now=now,
        running=tuple(running),
        startable=tuple(startable),
        overdue=tuple(overdue),
        others={job.id: job for job in others},
        uncollected=tuple(uncollected.values()),
        containers=containers,
        busy=work.busy,
        stopping=work.stopping,
        starting=work.starting,
        arriving=work.arriving,
        timeouts={job.id: settings.defaults.timeout_of(job.recipe) for job in running},
        capacity=settings.max_running,
        orphan_grace=settings.orphan_grace,
    )
    return Observation(snapshot, engine_error)


async def _containers(
    executor: Executor,
) -> tuple[tuple[ObservedContainer, ...] | None, str | None]:
    try:
        return tuple(await executor.observe()), None
    except EngineError as error:
        return None, error.detail


async def _owners(
    repository: JobRepository,
    containers: tuple[ObservedContainer, ...] | None,
    running: Sequence[Job],
) -> Sequence[Job]:
    known = {job.id for job in running}
    strangers = {c.job_id for c in containers or () if c.job_id and c.job_id not in known}
    return await repository.get_many(strangers) if strangers else ()
