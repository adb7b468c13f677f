"""What can be done with a job that is there."""

import asyncio
from dataclasses import dataclass, field

from ci_common.clock import Clock
from ci_common.errors import InvalidTransition
from ci_common.job_repository import JobRepository
from ci_common.jobs import Job, JobStatus
from ci_common.observer import Observer
from ci_common.signals import QUEUE, Signals, job_topic


@dataclass(frozen=True, slots=True)
class JobControl:
    """Changes jobs, in whichever process it is; the controller is told by signal."""

    repository: JobRepository
    signals: Signals
    clock: Clock
    observer: Observer = field(default_factory=Observer)

    async def cancel(self, reference: str) -> Job:
        """Cancel a job; return it: cancelled, or still running and about to be stopped.

        Idempotent.

        Raises:
            JobNotFound: none fits ``reference``.
            AmbiguousJob: more than one does.
            InvalidTransition: it has ended, and not by being cancelled.

        """
        found = await self.repository.find(reference)
        job = await self.repository.cancel(found.id, now=self.clock.now())
        if job.status is JobStatus.COMPLETED:
            raise InvalidTransition(
                f"job {job.id} has ended already: {job.reason}", hint="There is nothing to cancel."
            )
        self.signals.notify(job_topic(job.id))
        self.signals.notify(QUEUE)
        if not job.stashed:
            await asyncio.to_thread(self.repository.stash.remove, job.zip_path)
            if found.status is JobStatus.QUEUED:
                self.observer.job_ended(job)
        return job
