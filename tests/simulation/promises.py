"""What clients have been told, and must be able to rely on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ci_common.jobs import EndReason, Job, JobStatus
from tests.simulation.disk import Disk
from tests.simulation.engine import SimulatedEngine

LEAST_KEPT = 40.0
"""Seconds for which no ended job goes, whatever room is wanting: more than any step takes."""

_WAITED = 10.0
"""Seconds that a write may wait for others after its time was taken."""


@dataclass
class Promises:
    """What was said to clients.

    ``keep_for``: seconds that ended jobs are kept, 0 for ever. ``only_wall``:
    whether the wall clock alone has to be believed, and was set: then a job
    may be older than it seems, or younger.
    """

    engine: SimulatedEngine
    disk: Disk
    time: Callable[[], float]
    keep_for: float = 0.0
    only_wall: bool = False
    wrong: list[str] = field(default_factory=list)
    _acknowledged: set[str] = field(default_factory=set)
    _by_key: dict[str, str] = field(default_factory=dict)
    _to_cancel: set[str] = field(default_factory=set)
    _stops: dict[str, tuple[EndReason | None, float]] = field(default_factory=dict)
    _not_ended_at: dict[str, float] = field(default_factory=dict)
    _known: Mapping[str, Job] = field(default_factory=dict)

    @property
    def jobs_go(self) -> bool:
        """Whether ended jobs may be removed at all."""
        return bool(self.keep_for) or self.disk.was_short

    def accepted(self, job: Job, key: str | None) -> None:
        """Note that a submission was answered with a job."""
        if job.id not in self._acknowledged and not job.status.ended:
            self._not_ended_at[job.id] = self.time()
        self._acknowledged.add(job.id)
        earlier = self._by_key.get(key) if key is not None else None
        if earlier not in (None, job.id) and earlier in self._known and not self.jobs_go:
            self.wrong.append(f"{earlier} and {job.id} come of one key")
        if key is not None:
            self._by_key[key] = job.id

    def asked_to_cancel(self, job_id: str) -> None:
        """Note that a cancel is on its way."""
        self._to_cancel.add(job_id)

    def cancelled(self, job: Job) -> None:
        """Note how a cancel was answered."""
        if job.status is JobStatus.RUNNING:
            self._stops.setdefault(job.id, (job.stop_reason, self.time()))
        elif job.status is not JobStatus.CANCELLED:
            self.wrong.append(f"{job.id} is {job.status} after it was cancelled")

    def to_be_stopped(self, rows: Mapping[str, Job]) -> list[str]:
        """Return the jobs that go on although a client was told that they are stopped."""
        return [
            job_id for job_id in self._stops if job_id in rows and not rows[job_id].status.ended
        ]

    def check(self, rows: Mapping[str, Job]) -> None:
        """Raise ``AssertionError`` if something else is the case."""
        assert not self.wrong, self.wrong
        for job_id in self._acknowledged - rows.keys():
            assert self._may_be_gone(job_id), f"{job_id} was acknowledged, and is lost"
            self._acknowledged.discard(job_id)
        for job in rows.values():
            if job.status.ended:
                self._check_end(job)
            else:
                self._not_ended_at[job.id] = self.time()
        self._known = rows

    def _may_be_gone(self, job_id: str) -> bool:
        known = self._known.get(job_id)
        if known is None or not known.status.ended or not self.jobs_go:
            return False
        at_most = self.time() - self._not_ended_at.get(job_id, 0.0) + _WAITED
        least = LEAST_KEPT if self.disk.was_short else self.keep_for
        return self.only_wall or at_most >= least

    def _check_end(self, job: Job) -> None:
        if job.reason is EndReason.CANCELLED:
            assert job.id in self._to_cancel, f"{job.id} is cancelled, and nobody asked for it"
        if job.id not in self._stops or job.reason is EndReason.INFRA_ERROR:
            return
        reason, when = self._stops[job.id]
        ran = [each for each in self.engine.begun if each.fed_for and job.id in each.fed_for]
        # A command that ended before it was asked for keeps its verdict.
        assert job.reason is reason or (ran and ran[-1].ended_at <= when), (
            f"{job.id} is {job.reason} after it was to be stopped: {reason}"
        )
