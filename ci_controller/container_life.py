"""A container in the hands of an attempt: how it gets one, and what it comes to.

What is written here names the attempt; a write that changes nothing means that
someone else decided.
"""

import asyncio
from dataclasses import dataclass, field

from ci_common.executor import ContainerExit, ContainerSpec, Executor, OutputPump
from ci_common.jobs import EndReason, Job, JobRepository
from ci_controller.job_log import JobLog
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

    def name_of(self, job: Job) -> str:
        """Return what the containers of this attempt are called, one after the other."""
        return self.executor.container_name(job.id, job.attempt)

    async def enter(self, job: Job, spec: ContainerSpec) -> None:
        """Have a container wait for the job: a standby if there is one. Raises ``EngineError``."""
        name = self.name_of(job)
        if not await self.standbys.take(name, spec):
            async with self.launching:
                await self.executor.launch(name, spec)

    async def follow(self, job: Job, log: JobLog) -> OutputPump:
        """Take up the output of a container where the log ends."""
        skip = max(0, log.size - job.log_base)
        return await self.executor.follow(self.name_of(job), log.sink, skip=skip)

    async def to_its_end(
        self, job: Job, log: JobLog, pump: OutputPump
    ) -> tuple[ContainerExit, EndReason | None]:
        """Pump until the container has ended; return how it did, and why we stopped it if we did.

        Raises:
            AttemptLost: the job is at another attempt.
            AttemptFault: the engine stopped, and the container with it.

        """
        ended = await self._pump_to_end(job, log, pump)
        row = await self.current(job)
        if row.stop_reason is None and self._took_the_engine(job, ended):
            raise AttemptFault("the container engine stopped while the job was running")
        if child_was_killed(ended):
            log.note(CHILD_KILLED_NOTE)
        return ended, row.stop_reason

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
        return job.id in self.engine_was_away and died_with_engine(ended)

    async def _pump_to_end(self, job: Job, log: JobLog, pump: OutputPump) -> ContainerExit:
        while True:
            try:
                await pump.wait()
            finally:
                await pump.close()
            ended = await self.executor.wait_exit(
                self.name_of(job), timeout=self.settings.exit_grace
            )
            if ended is not None:
                return ended
            # The stream broke off under a living container: take it up where we are.
            pump = await self.follow(await self.current(job), log)
