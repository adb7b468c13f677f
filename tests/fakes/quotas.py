"""What organisations may have, in memory."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping

from ci_common.jobs import Job, JobStatus
from ci_common.quotas import NO_QUOTAS, Quotas, Usage


class InMemoryQuotas:
    """What organisations may have; a test says so in ``most``."""

    def __init__(self, jobs: Mapping[str, Job], artifact_bytes: Callable[[str], int]) -> None:
        self._jobs = jobs
        self._artifact_bytes = artifact_bytes
        self.most: dict[str, Quotas] = {}

    async def usage(self, organisation: str) -> Usage:
        return self.has(organisation)

    async def quotas(self, organisations: Collection[str]) -> Mapping[str, Quotas]:
        return {each: self.of(each) for each in organisations}

    def of(self, organisation: str) -> Quotas:
        return self.most.get(organisation, NO_QUOTAS) if organisation else NO_QUOTAS

    def has(self, organisation: str) -> Usage:
        own = [job for job in self._jobs.values() if job.organisation == organisation]
        status = Counter(job.status for job in own)
        return Usage(
            running=status[JobStatus.RUNNING],
            queued=status[JobStatus.QUEUED],
            project_bytes=sum(job.zip_size for job in own if job.stashed),
            artifact_bytes=self._artifact_bytes(organisation),
        )
