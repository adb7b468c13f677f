"""A container in the hands of an attempt: how it gets one, and what it comes to.

What is written here names the attempt; a write that changes nothing means that
someone else decided.
"""

import asyncio
from dataclasses import dataclass, field

from ci_common.errors import ContainerGone
from ci_common.executor import ContainerExit, ContainerSpec, Executor, OutputPump
from ci_common.job_repository import JobRepository
from ci_common.jobs import EndReason, Job
from ci_common.observer import Observer
from ci_controller.job_log import JobLog
from ci_controller.resumption import Resumption
from ci_controller.settings import ControllerSettings
from ci_controller.standby import StandbyPool
from ci_controller.verdict import CHILD_KILLED_NOTE, child_was_killed, died_with_engine


class AttemptLost(Exception):
    """The job is not running this attempt any more: someone else decided."""


class AttemptFault(Exception):
    """The attempt came to nothing through no fault of the job.

    ``charged`` faults count against the job's ``max_attempts``; one that our
    own crash brought about does not.
    """

    def __init__(self, detail: str, *, charged: bool = True) -> None:
        self.detail = detail
        self.charged = charged
        super().__init__(detail)


@dataclass(slots=True)
class ContainerLife:
    """What befalls the containers of jobs, those that install and those that run the job alike.

    ``launching`` bounds how many are launched at once.
    """

    repository: JobRepository
    executor: Executor
    settings: ControllerSettings
    standbys: StandbyPool
    launching: asyncio.Semaphore
    engine_was_away: set[str] = field(default_factory=set)
    """Ids of jobs in whose time the engine did not answer."""
    observer: Observer = field(default_factory=Observer)
    _resumption: Resumption = field(init=False)

    def __post_init__(self) -> None:
        """Set up what the parts above need."""
        self._resumption = Resumption(self.executor)

    def name_of(self, job: Job) -> str:
        """Return what the containers of this attempt are called, one after the other."""
        return self.executor.container_name(job.id, job.attempt)

    async def enter(self, job: Job, spec: ContainerSpec) -> None:
        """Have a container wait for the job: a standby if there is one. Raises ``EngineError``."""
        name = self.name_of(job)
        found = await self.standbys.take(name, spec)
        self.observer.standby_asked_for(found=found)
        if not found:
            async with self.launching:
                await self.executor.launch(name, spec)

    async def to_its_end(
        self, job: Job, log: JobLog, pump: OutputPump | None = None
    ) -> tuple[ContainerExit, EndReason | None]:
        """Pump until the container has ended; return how it did, and why we stopped it if we did.

        ``pump`` is that of its feed; None takes its output up where the log ends.

        Raises:
            AttemptLost: the job is at another attempt.
            AttemptFault: the engine stopped, and the container with it.

        """
        try:
            ended = await self._output_to_end(job, log, pump)
        except ContainerGone:
            await log.flush()  # nobody will read any of it again
            raise
        await log.flush()
        self._resumption.over(job)
        row = await self.current(job)
        if row.stop_reason is None and self._took_the_engine(job, ended):
            raise AttemptFault("the container engine stopped while the job was running")
        if child_was_killed(ended):
            log.note(CHILD_KILLED_NOTE)
        return ended, row.stop_reason

    async def _output_to_end(self, job: Job, log: JobLog, pump: OutputPump | None) -> ContainerExit:
        ended = None
        if pump is not None:
            self._resumption.attached(job)
            ended = await self._pump_to_end(job, pump)
        # An engine that restarts cuts its readers off, and what it did not tell them is in its log.
        if ended is None or not ended.witnessed:
            ended = await self._follow_to_end(job, log)
        return ended

    async def current(self, job: Job) -> Job:
        """Return the job's row as it is now, with what was recorded since the claim.

        Raises:
            AttemptLost: it is at another attempt.

        """
        row = await self.repository.get(job.id)
        if row.attempt != job.attempt:
            raise AttemptLost
        return row

    def _took_the_engine(self, job: Job, ended: ContainerExit) -> bool:
        lost_sight = job.id in self.engine_was_away and died_with_engine(ended)
        return lost_sight or not ended.by_itself

    async def _pump_to_end(self, job: Job, pump: OutputPump) -> ContainerExit | None:
        """Pump to the end of the stream; return how the container ended, None if it lives on."""
        try:
            await pump.wait()
        finally:
            await pump.close()
        return await self.executor.wait_exit(self.name_of(job), timeout=self.settings.exit_grace)

    async def _follow_to_end(self, job: Job, log: JobLog) -> ContainerExit:
        """Take up the output where the log ends, as often as need be."""
        ended = await self.executor.exit_of(self.name_of(job))
        while True:
            seen = ended
            ended = await self._pump_to_end(job, await self._follow(await self.current(job), log))
            # A stream that begins under a living container may break off, and a reader that lags
            # when the container ends is not told the rest (Engine 20.10, measured).
            if ended is not None and seen is not None:
                return ended

    async def _follow(self, row: Job, log: JobLog) -> OutputPump:
        return await self._resumption.follow(
            self.name_of(row), row, log, lambda base, size: self._note_base(row, base, size)
        )

    async def _note_base(self, row: Job, log_base: int, settled: int) -> None:
        record, key = self.repository, row.preparing
        if row.container is None and key is not None:
            noted = record.record_preparing(
                row.id, attempt=row.attempt, key=key, log_base=log_base, log_settled=settled
            )
        else:
            noted = record.record_container(
                row.id,
                attempt=row.attempt,
                container=self.name_of(row),
                log_base=log_base,
                log_settled=settled,
            )
        if not await noted:
            raise AttemptLost
