"""Carrying one attempt of one job from its claim to its result.

Every step is written down before the next one begins; every write names the
attempt, and one that changes nothing means that someone else decided: then
the attempt is left alone. What an attempt cannot decide, because the engine or
the database does not answer, it leaves as it is: the next look at the world
takes it up again.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from ci_common.clock import Clock
from ci_common.errors import (
    CIError,
    ContainerFailed,
    ContainerGone,
    EngineError,
    EngineUnavailable,
    ImageMissing,
)
from ci_common.executor import Executor, OutputPump
from ci_common.job_repository import JobRepository
from ci_common.jobs import EndReason, Job, Result
from ci_common.observer import Observer
from ci_common.signals import QUEUE, Signals, job_topic
from ci_common.tracing import VARIABLE
from ci_controller.arrivals import Arrivals
from ci_controller.container_life import AttemptFault, AttemptLost, ContainerLife
from ci_controller.job_log import JobLog
from ci_controller.job_script import render_environment
from ci_controller.job_secrets import SECRET_FAULTS, Given, JobSecrets
from ci_controller.masking import NO_MASKS, Masks
from ci_controller.preparing import Place, Preparer
from ci_controller.results import reporting
from ci_controller.results.collecting import Collector, worth_collecting
from ci_controller.settings import ControllerSettings
from ci_controller.snapshots import Snapshots
from ci_controller.starts import CalledOff, Starts
from ci_controller.verdict import end_note, judge, queue_note
from ci_controller.workspace import ProjectTar

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Attempts:
    """What can be done with an attempt.

    ``start``, ``adopt`` and ``vanish`` of one job never overlap; ``stop`` may
    come at any time. All of them return normally unless cancelled, or the
    engine or the database does not answer: then, and when one is cancelled,
    its container is left as it is.
    """

    repository: JobRepository
    executor: Executor
    signals: Signals
    clock: Clock
    settings: ControllerSettings
    life: ContainerLife
    snapshots: Snapshots
    preparer: Preparer
    collector: Collector
    arrivals: Arrivals
    secrets: JobSecrets
    starts: Starts = field(default_factory=Starts)
    observer: Observer = field(default_factory=Observer)

    async def start(self, job: Job, *, discard: bool = False) -> None:
        """Start a claimed job and stay with it to its result.

        ``discard`` first removes what a former process left under its name.
        """
        self.arrivals.begin(job.id)
        try:
            await self._settle(job, self._run_new(job, discard=discard))
        finally:
            self.arrivals.end(job.id)

    async def adopt(self, job: Job) -> None:
        """Take up a container found after a crash, and stay with it to its result."""
        await self._settle(job, self._run_found(job))

    async def vanish(self, job: Job) -> None:
        """Deal with a job whose container is no longer there."""
        await self._conclude(job, AttemptFault("the container vanished"))

    async def collect(self, job: Job) -> None:
        """Collect the results of a job that has ended, and remove its container."""
        await self.collector.collect(job, self._name(job))
        await self._clean_up(job)

    async def expire(self, job: Job) -> None:
        """End a job that has waited too long for its first attempt."""
        row = await self.repository.expire(job.id, detail=queue_note(job), now=self.clock.now())
        if row is None:
            return
        _log.info("job %s: %s", job.id, row.reason)
        self.signals.notify(job_topic(job.id))
        self.signals.notify(QUEUE)
        if not row.stashed:
            await asyncio.to_thread(self.repository.stash.remove, job.zip_path)

    async def stop(self, job: Job, reason: EndReason) -> None:
        """Stop a running attempt; whoever stays with it writes the result.

        One that is still on its way into its container is called off. An
        installation that runs already is stopped as the job would be.
        """
        if not await self.repository.record_stop(job.id, attempt=job.attempt, reason=reason):
            return
        self.snapshots.wake(job.id)
        if job.id not in self.preparer.installing:
            self.starts.call_off(job.id)
        await self.executor.stop(self._name(job), grace=self.settings.stop_grace)

    def _log_of(self, job: Job, *, new_attempt: bool = False, masks: Masks = NO_MASKS) -> JobLog:
        return JobLog(
            self.repository.logs,
            job,
            self.signals,
            new_attempt=new_attempt,
            observer=self.observer,
            masks=masks,
        )

    def _name(self, job: Job) -> str:
        return self.executor.container_name(job.id, job.attempt)

    async def _settle(self, job: Job, run: Coroutine[None, None, Result]) -> None:
        """Write down what comes out of an attempt, whatever it is."""
        outcome = await self._outcome(job, run)
        if outcome is not None:
            await self._conclude(job, await self._without_secrets(job, outcome))

    async def _without_secrets(
        self, job: Job, outcome: Result | AttemptFault
    ) -> Result | AttemptFault:
        detail = await self.secrets.hidden(job, outcome.detail)
        if detail == outcome.detail:
            return outcome
        if isinstance(outcome, Result):
            return replace(outcome, detail=detail)
        return AttemptFault(detail or "", charged=outcome.charged)

    async def _conclude(self, job: Job, outcome: Result | AttemptFault) -> None:
        if isinstance(outcome, Result):
            await self._finish(job, outcome)
        else:
            await self._give_back(job, outcome)
        self.life.engine_was_away.discard(job.id)
        if isinstance(outcome, Result) and worth_collecting(job.recipe, outcome):
            self.signals.notify(QUEUE)  # its place is free already
            await self.collector.collect(job, self._name(job))
        await self._clean_up(job)

    async def _end_stopped(self, job: Job) -> bool:
        """End an attempt that was being stopped when it met its fault; False if it was not."""
        row = await self.repository.get(job.id)
        if row.attempt != job.attempt or row.stop_reason is None:
            return False
        # Whoever reads that the job is stopped relies on nothing of it running any more.
        await self.executor.remove(self._name(job))
        await self._finish(job, Result(reason=row.stop_reason), collect=False)
        return True

    async def _outcome(
        self, job: Job, run: Coroutine[None, None, Result]
    ) -> Result | AttemptFault | None:
        """Return what an attempt came to; None when that is not for us to say.

        Raises:
            EngineUnavailable: that is not yet to be said.

        """
        try:
            return await run
        except AttemptLost:
            _log.info("job %s: attempt %d was decided elsewhere", job.id, job.attempt)
            return None
        except AttemptFault as fault:
            return fault
        except EngineError as error:
            return self._outcome_of(job, error)
        except SECRET_FAULTS as error:
            return Result(reason=EndReason.INFRA_ERROR, detail=_explain(error))
        except CIError:
            raise  # the database's trouble, not the attempt's: the next look takes it up
        except Exception:  # noqa: BLE001 -- a job must not hang on a mistake of ours
            _log.exception("job %s: attempt %d met an internal error", job.id, job.attempt)
            return AttemptFault("internal error; the server's log has it")

    def _outcome_of(self, job: Job, error: EngineError) -> Result | AttemptFault:
        match error:
            case EngineUnavailable():
                self.life.engine_was_away.add(job.id)
                raise error  # and with the next tick we look again, not at once
            case ContainerGone():
                return AttemptFault("the container vanished")
            case _:
                # No image, no shell, no tar: trying again would only say the same later.
                return Result(reason=EndReason.INFRA_ERROR, detail=_explain(error))

    async def _run_new(self, job: Job, *, discard: bool) -> Result:
        given = await self.secrets.give(job)
        with self._log_of(job, new_attempt=True, masks=given.masks) as log:
            try:
                async with self.starts.of(job.id):
                    place = await self._place(job, log, discard=discard)
                    if isinstance(place, Result):
                        return place
                    with _fault_if_unavailable():
                        pump = await self._feed(job, log, place, given)
            except CalledOff as error:
                raise AttemptFault("its start was called off", charged=False) from error
            self.arrivals.fed(job.id)
            return await self._stay(job, log, pump, key=place.key)

    async def _place(self, job: Job, log: JobLog, *, discard: bool) -> Place | Result:
        """Return where a job is to run, or how it ended on the way there."""
        if not Path(job.zip_path).is_file():  # noqa: ASYNC240 -- one stat
            raise ContainerFailed("the job's stashed project is missing", hint="Submit it again.")
        with _fault_if_unavailable():
            place = await self.preparer.find(job, discard=discard)
        if place is None:
            # Not so while dependencies are being installed: that goes on without us.
            return await self._prepare(job, log)
        if place.key:
            self.observer.dependencies_asked_for(kept=True)
        return place

    async def _prepare(self, job: Job, log: JobLog) -> Place | Result:
        self.observer.dependencies_asked_for(kept=False)
        begin = self.clock.now()
        place = await self.preparer.prepare(job, log)
        self.observer.prepared(self.clock.now().seconds_since(begin))
        return place

    async def _feed(self, job: Job, log: JobLog, place: Place, given: Given) -> OutputPump:
        name = self._name(job)
        if not place.entered:
            await self._enter(job, place)
        if not await self.repository.record_container(
            job.id, attempt=job.attempt, container=name, log_base=log.size
        ):
            raise AttemptLost
        trace = {VARIABLE: job.traceparent} if job.traceparent else {}
        env = {**self.settings.defaults.env, **trace}
        environment = render_environment(job.recipe, env, given.values)
        beside = reporting.files_for(job.recipe)
        tar = ProjectTar(job.zip_path, place.script, environment, beside=beside)
        async with AsyncExitStack() as unless_fed:
            pump = await self.executor.feed(name, tar, log.masked(log.sink))
            unless_fed.push_async_callback(pump.close)
            if not await self.repository.record_fed(
                job.id, attempt=job.attempt, image_id=pump.image_id
            ):
                raise AttemptLost
            unless_fed.pop_all()
        if job.started is not None:
            self.observer.started(self.clock.now().seconds_since(job.started))
        return pump

    async def _enter(self, job: Job, place: Place) -> None:
        with self.snapshots.starting(place.key):
            try:
                await self.life.enter(job, place.spec)
            except ImageMissing as error:
                if not place.key:
                    raise
                # Somebody removed it behind our back: the next attempt finds that out.
                detail = "its dependencies are not kept any more"
                raise AttemptFault(detail, charged=False) from error

    async def _run_found(self, job: Job) -> Result:
        if not job.fed and not await self._was_fed(job):
            detail = "the server stopped while the job was being started"
            raise AttemptFault(detail, charged=False)
        with self._log_of(job, masks=await self.secrets.masks(job)) as log:
            return await self._stay(job, log)

    async def _was_fed(self, job: Job) -> bool:
        """Find out whether a container reached its job script before our crash.

        The script writes before it does anything else. So: output means fed;
        none after a while, or by the time the container has ended, means not
        fed: it waits for the rest of its input, which nobody will send.
        """
        name = self._name(job)
        if not await self.executor.has_output(name):
            ended = await self.executor.wait_exit(name, timeout=self.settings.adopt_grace)
            if ended is None:
                await self._stop_if_silent(name)
        if not await self.executor.has_output(name):
            return False
        if not await self.repository.record_fed(job.id, attempt=job.attempt):
            raise AttemptLost
        return True

    async def _stop_if_silent(self, name: str) -> None:
        if not await self.executor.has_output(name):
            await self.executor.stop(name, grace=0)

    async def _stay(
        self, job: Job, log: JobLog, pump: OutputPump | None = None, *, key: str = ""
    ) -> Result:
        """Pump until the container has ended; return the verdict.

        ``key`` is that of the snapshot the job has just started from, if any.
        """
        if key:
            await self.snapshots.used(key)
        ended, stop_reason = await self.life.to_its_end(job, log, pump)
        return judge(job.recipe, ended, stop_reason)

    async def _finish(self, job: Job, result: Result, *, collect: bool = True) -> None:
        if text := end_note(result, self.settings.defaults.timeout_of(job.recipe)):
            with JobLog(self.repository.logs, job, self.signals) as log:
                log.note(text)
        # First: a verdict that outlives a power loss must have its log.
        await asyncio.to_thread(self.repository.logs.sync, job.id)
        if await self.repository.finish(
            job.id,
            attempt=job.attempt,
            result=result,
            now=self.clock.now(),
            collect=collect and worth_collecting(job.recipe, result),
        ):
            _log.info("job %s: %s", job.id, result.reason)
            await self._tell_of_end(job)
        self.signals.notify(job_topic(job.id))

    async def _tell_of_end(self, job: Job) -> None:
        # The row is read only for those who have asked for it: it has the times of the steps.
        if job.traceparent is None:
            return
        try:
            self.observer.job_ended(await self.repository.get(job.id))
        except CIError as error:
            _log.warning("job %s: its trace lacks its end: %s", job.id, error.detail)

    async def _give_back(self, job: Job, fault: AttemptFault) -> None:
        """Queue the job again; end it when it is being stopped or its attempts are used up."""
        if await self._end_stopped(job):
            return
        faults = job.faults + fault.charged
        if faults >= job.max_attempts:
            # A note must be the last of the log, and nobody may take the container up after it.
            await self.executor.remove(self._name(job))
            detail = f"{fault.detail} ({faults} attempts)"
            await self._finish(job, Result(reason=EndReason.INFRA_ERROR, detail=detail))
            return
        hold_until = None
        if fault.charged:
            delay = self.settings.backoff.delay(faults)
            hold_until = self.clock.now().wall + timedelta(seconds=delay)
        # Refused if its stop was asked for just now: then the next look finds no container for it.
        if not await self.repository.requeue(
            job.id,
            attempt=job.attempt,
            charged=fault.charged,
            detail=fault.detail,
            hold_until=hold_until,
        ):
            return
        _log.warning("job %s: queued again: %s", job.id, fault.detail)
        self.observer.attempt_lost(job, fault.detail, self.clock.now().wall)
        if fault.charged:
            # Not before: until then a crash may have the container taken up, and its log.
            with JobLog(self.repository.logs, job, self.signals) as log:
                log.note(
                    f"Attempt {faults} of {job.max_attempts} was lost: {fault.detail}. "
                    "The job starts again by itself."
                )
        self.signals.notify(job_topic(job.id))

    async def _clean_up(self, job: Job) -> None:
        """Remove what the attempt leaves behind; what fails here is swept later."""
        since = self.clock.now().wall
        try:
            await self.executor.remove(self._name(job))
        except EngineError as error:
            _log.warning("job %s: container not removed yet: %s", job.id, error.detail)
        self.snapshots.job_ended()
        await self.secrets.take_back(job)
        row = await self.repository.get(job.id)
        if not row.stashed:
            await asyncio.to_thread(self.repository.stash.remove, job.zip_path)
        self.observer.cleaned_up(job, since, self.clock.now().wall)


@contextmanager
def _fault_if_unavailable() -> Iterator[None]:
    """Have an engine that does not answer be a fault of the attempt: nothing has run yet."""
    try:
        yield
    except EngineUnavailable as error:
        raise AttemptFault(error.detail) from error


def _explain(error: CIError) -> str:
    return f"{error.detail.rstrip('.')}. {error.hint}" if error.hint else error.detail
