"""What to do, given what is: ``plan(snapshot) -> actions``. Pure, synchronous and total.

Time is data in the snapshot, and so is not knowing: ``containers`` is None
when the engine could not be seen, and then nothing is concluded from it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ci_common.clock import Moment
from ci_common.executor import ContainerState, ObservedContainer
from ci_common.jobs import EndReason, Job, JobStatus
from ci_common.results import ResultsState
from ci_controller.standby import StandbyView


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything a plan is made from.

    ``running``: claimed jobs. ``startable``: queued jobs in order, as many as
    there are free places and ``others``, if there are so many. ``overdue``: queued
    jobs that have waited longer than they were to. ``others``: further jobs that
    observed containers belong to, by id. ``uncollected``: some of the jobs that have
    ended and whose results are still to be collected. ``busy``: ids of jobs
    that a task of this process works at. ``stopping``: of those, the ones being stopped.
    ``timeouts``: seconds an attempt may take, by id of a running job.
    ``starting``: of the busy ones, those on their way into a container,
    but for those called off.
    ``arriving``: whether a job is on its way into a container, or has just got there.
    """

    now: Moment
    running: tuple[Job, ...] = ()
    startable: tuple[Job, ...] = ()
    overdue: tuple[Job, ...] = ()
    others: Mapping[str, Job] = field(default_factory=dict)
    uncollected: tuple[Job, ...] = ()
    containers: tuple[ObservedContainer, ...] | None = None
    busy: frozenset[str] = frozenset()
    stopping: frozenset[str] = frozenset()
    timeouts: Mapping[str, float] = field(default_factory=dict)
    standbys: StandbyView = field(default_factory=StandbyView)
    starting: frozenset[str] = frozenset()
    arriving: bool = False
    capacity: int = 1
    orphan_grace: float = 60.0


@dataclass(frozen=True, slots=True)
class Claim:
    """Take a queued job and start it."""

    job_id: str
    attempt: int
    """The attempt it had before: the claim makes it one more."""


@dataclass(frozen=True, slots=True)
class Expire:
    """End a queued job that has waited too long for its first claim."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Start:
    """Start a claimed job that certainly was not fed; what stands under its name goes first."""

    job_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Adopt:
    """Take up a container that a former process fed, or may have fed."""

    job_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Vanish:
    """Deal with a job whose container is no longer there, or is not to be made any more."""

    job_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop an attempt that runs or is on its way, and remember why before doing so."""

    job_id: str
    attempt: int
    reason: EndReason


@dataclass(frozen=True, slots=True)
class Collect:
    """Collect the results of a job that has ended, if its container is still there."""

    job_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    """Remove a container that nothing needs."""

    name: str


@dataclass(frozen=True, slots=True)
class FillStandby:
    """Launch one more standby of a spec."""

    key: str


Action = Claim | Expire | Start | Adopt | Vanish | Stop | Collect | RemoveContainer | FillStandby


def plan(snapshot: Snapshot) -> list[Action]:
    """Return what to do now, what makes room first; ``[]`` when all is as it should be."""
    expiries = [Expire(job.id) for job in snapshot.overdue]
    if snapshot.containers is None:
        return [*expiries]
    found = _by_attempt(snapshot.containers)
    starts = [*_resume(snapshot, found), *_claim(snapshot, found)]
    return [
        *expiries,
        *_clear(snapshot, snapshot.containers),
        *_stop(snapshot, found),
        *_collect(snapshot),
        *starts,
        *_stand_by(snapshot, snapshot.containers, busy=bool(starts) or snapshot.arriving),
    ]


def _by_attempt(
    containers: Iterable[ObservedContainer],
) -> dict[tuple[str, int], ObservedContainer]:
    return {
        (container.job_id, container.attempt): container
        for container in containers
        if container.job_id is not None and container.attempt is not None
    }


def _clear(
    snapshot: Snapshot, containers: tuple[ObservedContainer, ...]
) -> Iterator[RemoveContainer]:
    rows = {**snapshot.others, **{job.id: job for job in snapshot.running}}
    for container in containers:
        if container.job_id is None or container.job_id in snapshot.busy:
            continue
        row = rows.get(container.job_id)
        unneeded = _is_stale(container, row) if row else _is_orphan(container, snapshot)
        if unneeded:
            yield RemoveContainer(container.name)


def _is_stale(container: ObservedContainer, row: Job) -> bool:
    if container.attempt != row.attempt:
        return True
    # What its job left behind is in there until it has been collected.
    return row.status is not JobStatus.RUNNING and row.results is not ResultsState.PENDING


def _is_orphan(container: ObservedContainer, snapshot: Snapshot) -> bool:
    if container.created_at is None:
        return True
    age = (snapshot.now.wall - container.created_at).total_seconds()
    # A container from the future was made before the clock was set back.
    return age < 0 or age >= snapshot.orphan_grace


def _resume(
    snapshot: Snapshot, found: Mapping[tuple[str, int], ObservedContainer]
) -> Iterator[Action]:
    for job in snapshot.running:
        if job.id in snapshot.busy:
            continue
        if job.container is None and job.stop_reason is None:
            # Its name is written down before it is fed, so whatever stands there is unfed.
            yield Start(job.id, job.attempt)
        elif (job.id, job.attempt) in found:
            yield Adopt(job.id, job.attempt)
        else:
            yield Vanish(job.id, job.attempt)


def _stop(snapshot: Snapshot, found: Mapping[tuple[str, int], ObservedContainer]) -> Iterator[Stop]:
    for job in snapshot.running:
        if job.id in snapshot.stopping:
            continue
        container = found.get((job.id, job.attempt))
        lives = container is not None and container.state is ContainerState.RUNNING
        if job.stop_reason is not None and (lives or job.id in snapshot.starting):
            # Asked for through any process; or one of ours died before carrying it out.
            yield Stop(job.id, job.attempt, job.stop_reason)
        elif lives and _is_overdue(job, snapshot):
            yield Stop(job.id, job.attempt, EndReason.TIMED_OUT)


def _collect(snapshot: Snapshot) -> Iterator[Collect]:
    for job in snapshot.uncollected:
        if job.id not in snapshot.busy:
            yield Collect(job.id, job.attempt)


def _is_overdue(job: Job, snapshot: Snapshot) -> bool:
    limit = snapshot.timeouts.get(job.id)
    if job.started is None or limit is None:
        return False
    return snapshot.now.seconds_since(job.started) >= limit


def _claim(
    snapshot: Snapshot, found: Mapping[tuple[str, int], ObservedContainer]
) -> Iterator[Claim]:
    free = max(0, snapshot.capacity - len(snapshot.running))
    # What an earlier attempt left may run: it goes before the job begins again.
    not_now = {job_id for job_id, _ in found} | {job.id for job in snapshot.overdue}
    startable = [job for job in snapshot.startable if job.id not in not_now]
    for job in startable[:free]:
        if job.id not in snapshot.busy:
            yield Claim(job.id, job.attempt)


def _stand_by(
    snapshot: Snapshot, containers: tuple[ObservedContainer, ...], *, busy: bool
) -> Iterator[RemoveContainer | FillStandby]:
    view = snapshot.standbys
    waiting = Counter(view.coming)
    for container in containers:
        if container.job_id is not None or container.name in view.held:
            continue
        lives = container.state is ContainerState.RUNNING
        if lives and waiting[container.key] < view.wanted.get(container.key, 0):
            waiting[container.key] += 1
        else:
            yield RemoveContainer(container.name)
    if busy:
        return  # launching takes what the jobs need: they come first
    for key, count in view.wanted.items():
        for _ in range(count - waiting[key]):
            yield FillStandby(key)
