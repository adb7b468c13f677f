"""The reconcile loop: look, plan, act; every two seconds and whenever something happens."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from contextvars import Context
from dataclasses import replace

from ci_common.clock import Clock, SystemClock
from ci_common.errors import CIError, EngineError
from ci_common.executor import Executor, StandbyCounts
from ci_common.job_repository import JobRepository
from ci_common.jobs import EndReason, Job
from ci_common.log_context import context_of_job
from ci_common.observer import Observer
from ci_common.outage import Outage
from ci_common.recipe import Recipe
from ci_common.signals import CACHE, QUEUE, LocalSignals, Signals, Subscription, job_topic
from ci_controller.arrivals import Arrivals
from ci_controller.attempts import Attempts
from ci_controller.container_life import ContainerLife
from ci_controller.housekeeping import Housekeeper
from ci_controller.job_secrets import JobSecrets
from ci_controller.lock import ControllerLock
from ci_controller.observe import MOST_OVERDUE, Observation, Work, observe
from ci_controller.plan import (
    Action,
    Adopt,
    Claim,
    Collect,
    Expire,
    FillStandby,
    RemoveContainer,
    Snapshot,
    Start,
    Stop,
    Vanish,
    plan,
)
from ci_controller.preparing import Preparer
from ci_controller.results.collecting import Collector
from ci_controller.settings import ControllerSettings
from ci_controller.snapshots import Snapshots
from ci_controller.standby import StandbyPool

_log = logging.getLogger(__name__)

_FAREWELL = 5.0
"""Seconds in which the standbys of an ending controller must be gone, or be left to the next."""


class JobController:
    """Starts queued jobs, stays with running ones, recovers from crashes.

    Of all controllers on one data directory only the holder of its lock acts;
    the others try to take the lock at every tick. ``reconcile_interval`` is in
    seconds. The controller opens and closes the executor; the repository
    belongs to the caller.
    """

    def __init__(
        self,
        repository: JobRepository,
        container_manager: Executor,
        reconcile_interval: float = 2.0,
        *,
        signals: Signals | None = None,
        clock: Clock | None = None,
        settings: ControllerSettings | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._repository = repository
        self._executor = container_manager
        self._interval = reconcile_interval
        self._signals = signals or LocalSignals()
        self._clock = clock or SystemClock()
        self._settings = settings or ControllerSettings()
        self._observer = observer or Observer()
        self._standbys = StandbyPool(
            container_manager,
            self._settings.standby,
            self._settings.defaults.spec(Recipe()),
            self._clock,
        )
        self._arrivals = Arrivals(
            self._clock, moment=self._settings.standby.refill_after, over=self._look_again
        )
        self._snapshots = Snapshots(
            container_manager,
            repository.snapshots,
            self._standbys,
            self._settings.snapshots,
            self._clock,
        )
        self._attempts = self._build_attempts()
        self._lock = ControllerLock(repository.data_dir / "controller.lock")
        self._outage = Outage(repository.data_dir)
        self._wake = Subscription()
        self._loop_task: asyncio.Task[None] | None = None
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._stops: dict[str, asyncio.Task[None]] = {}
        self._removals: dict[str, asyncio.Task[None]] = {}
        self._chores: dict[str, asyncio.Task[None]] = {}
        self._housekeeper = Housekeeper(
            repository,
            self._clock,
            self._settings,
            in_hand=self._jobs.keys(),
            also=self._look_at_the_rare,
        )
        self._engine_error: str | None = "not looked at yet"
        self._look_for_uncollected = True

    def _build_attempts(self) -> Attempts:
        life = ContainerLife(
            repository=self._repository,
            executor=self._executor,
            settings=self._settings,
            standbys=self._standbys,
            launching=asyncio.Semaphore(self._settings.max_starting),
            observer=self._observer,
        )
        secrets = JobSecrets(self._repository.secrets)
        return Attempts(
            repository=self._repository,
            executor=self._executor,
            signals=self._signals,
            clock=self._clock,
            settings=self._settings,
            life=life,
            snapshots=self._snapshots,
            collector=Collector(
                self._repository,
                self._executor,
                self._settings.results,
                self._signals,
                secrets,
            ),
            preparer=Preparer(life, self._snapshots, self._arrivals, self._clock),
            arrivals=self._arrivals,
            secrets=secrets,
            observer=self._observer,
        )

    @property
    def is_leader(self) -> bool:
        """Whether this controller acts."""
        return self._lock.held

    @property
    def engine_error(self) -> str | None:
        """Why the engine could not be seen at the last look; None when it could."""
        return self._engine_error

    @property
    def standbys(self) -> StandbyCounts:
        """How many standbys wait, and how many are being launched."""
        return self._standbys.counts()

    async def start(self) -> None:
        """Begin to reconcile, at once and from then on. Idempotent."""
        if self._loop_task is None:
            if isinstance(self._signals, LocalSignals):
                self._signals.bind(asyncio.get_running_loop())
            self._loop_task = asyncio.create_task(self._run(), name="reconcile-loop")

    async def stop(self) -> None:
        """Cease to act; containers go on, and the next controller adopts them. Idempotent."""
        tasks = self._tasks()
        if self._loop_task is not None:
            tasks.append(self._loop_task)
            self._loop_task = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._housekeeper.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                await self._standbys.close()
        await self._executor.close()
        self._lock.release()

    async def reconcile(self) -> list[Action]:
        """Look, plan and act once; return the plan. What was begun goes on in tasks."""
        observation = await self._look()
        actions = plan(observation.snapshot)
        snapshot = observation.snapshot
        found = (*snapshot.uncollected, *snapshot.running, *snapshot.overdue)
        jobs = {job.id: job for job in found}
        for action in actions:
            await self._act(action, jobs)
        return actions

    async def idle(self) -> None:
        """Return once no task of this controller is at work. For tests and tools."""
        while tasks := self._tasks():
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._standbys.settled()

    def _tasks(self) -> list[asyncio.Task[None]]:
        kinds = (self._jobs, self._stops, self._removals, self._chores)
        return [task for kind in kinds for task in kind.values()]

    async def _run(self) -> None:
        with self._signals.subscribe(QUEUE, CACHE) as self._wake:
            while True:
                await self._tick()
                if CACHE in await self._wake.wait(self._interval):
                    self._snapshots.look_again()

    async def _tick(self) -> None:
        try:
            if self._lead():
                # First: on a full disk it is what lets the rest succeed.
                self._housekeeper.begin_if_due()
                await self.reconcile()
                self._tidy()
        except CIError as error:
            _log.warning("reconciling failed, trying again: %s", error.detail)
        except Exception:  # noqa: BLE001 -- everything hangs on the loop: it outlives our mistakes
            _log.exception("reconciling met an internal error")

    def _lead(self) -> bool:
        led_before = self._lock.held
        if self._lock.try_acquire() and not led_before:
            _log.info("this process is the controller now")
        return self._lock.held

    async def _look(self) -> Observation:
        work = Work(
            busy=frozenset(self._jobs),
            stopping=frozenset(self._stops),
            starting=self._attempts.starts.job_ids,
            arriving=bool(self._arrivals),
            missing_uncollected=self._look_for_uncollected,
        )
        standbys = self._standbys.ready
        try:
            await self._executor.open()
        except EngineError as error:
            now = self._clock.now()
            overdue = await self._repository.overdue(limit=MOST_OVERDUE, now=now)
            snapshot = Snapshot(now=now, overdue=tuple(overdue))
            observation = Observation(snapshot, error.detail)
        else:
            observation = await observe(
                self._repository, self._executor, self._clock, self._settings, work
            )
        self._note_engine(observation.engine_error)
        containers = observation.snapshot.containers
        if containers is None:
            return observation
        self._look_for_uncollected = False
        self._standbys.saw(containers, known=standbys)
        snapshot = replace(observation.snapshot, standbys=self._standbys.view())
        return replace(observation, snapshot=snapshot)

    def _note_engine(self, error: str | None) -> None:
        if error != self._engine_error:
            if error:
                _log.warning("the container engine cannot be seen; jobs wait: %s", error)
            else:
                _log.info("the container engine answers")
            self._outage.declare(error)
        self._engine_error = error

    async def _act(self, action: Action, jobs: dict[str, Job]) -> None:
        match action:
            case Claim() | Expire():
                await self._take_from_queue(action, jobs)
            case Start(job_id=job_id):
                self._work_on(job_id, self._attempts.start(jobs[job_id], discard=True))
            case Adopt() | Vanish() | Collect():
                work = {
                    Adopt: self._attempts.adopt,
                    Vanish: self._attempts.vanish,
                    Collect: self._attempts.collect,
                }[type(action)]
                self._work_on(action.job_id, work(jobs[action.job_id]))
            case Stop(job_id=job_id, reason=reason):
                self._stop_job(jobs[job_id], reason)
            case RemoveContainer(name=name):
                self._remove(name)
            case FillStandby(key=key):
                self._standbys.fill(key)

    async def _take_from_queue(self, action: Claim | Expire, jobs: dict[str, Job]) -> None:
        if isinstance(action, Expire):
            await self._attempts.expire(jobs[action.job_id])
            return
        # Here and not in the task: the next look must count the job as running.
        job = await self._repository.claim(
            action.job_id, attempt=action.attempt, now=self._clock.now()
        )
        if job is not None:
            self._signals.notify(job_topic(job.id))
            self._work_on(job.id, self._attempts.start(job))

    def _look_at_the_rare(self) -> None:
        self._snapshots.look_again()
        self._look_for_uncollected = True

    def _look_again(self) -> None:
        self._wake.deliver(QUEUE)

    def _work_on(self, job_id: str, work: Coroutine[None, None, None]) -> None:
        self._spawn(self._jobs, job_id, f"job-{job_id}", work, context_of_job(job_id))

    def _stop_job(self, job: Job, reason: EndReason) -> None:
        work = self._attempts.stop(job, reason)
        self._spawn(self._stops, job.id, f"stop-{job.id}", work, context_of_job(job.id))

    def _remove(self, name: str) -> None:
        if name not in self._removals and self._standbys.give_up(name):
            _log.info("removing container %s, which nothing needs", name)
            self._spawn(self._removals, name, f"remove-{name}", self._executor.remove(name))

    def _spawn(
        self,
        tasks: dict[str, asyncio.Task[None]],
        key: str,
        name: str,
        work: Coroutine[None, None, None],
        context: Context | None = None,
    ) -> None:
        task = asyncio.create_task(work, name=name, context=context)
        tasks[key] = task

        def ended(task: asyncio.Task[None]) -> None:
            del tasks[key]
            if task.cancelled():
                return
            if error := task.exception():
                # Not woken for it: the next tick tries again, without a hot loop.
                _log_failure(name, error)
            elif tasks is self._jobs:
                # There is a place free. Not for the rest: what does not come of a stop or a
                # removal, whatever the engine answered, is tried again with the next tick.
                self._look_again()

        task.add_done_callback(ended, context=context)

    def _tidy(self) -> None:
        if self._snapshots.untidy and self._engine_error is None and not self._chores:
            self._spawn(self._chores, "tidy", "tidy-snapshots", self._snapshots.tidy())


def _log_failure(name: str, error: BaseException) -> None:
    # A known fault says all in a line, and may come again with every tick.
    if isinstance(error, CIError):
        _log.warning("%s failed, trying again: %s", name, error.detail)
    else:
        _log.warning("%s failed, trying again", name, exc_info=error)
