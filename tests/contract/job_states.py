"""Jobs brought into the states they can be in."""

from ci_common.job_repository import JobRepository
from ci_common.jobs import EndReason, Job, Result
from tests.fakes.clock import FakeClock
from tests.fakes.repository import new_job

PASSED = Result(reason=EndReason.PASSED, exit_code=0)
NOW = FakeClock().now()


async def queued(repository: JobRepository, **overrides) -> Job:
    job, _ = await repository.add(new_job(**overrides))
    return job


async def running(repository: JobRepository, **overrides) -> Job:
    job = await queued(repository, **overrides)
    claimed = await repository.claim(job.id, attempt=0, now=NOW)
    assert claimed is not None
    return claimed


async def ended(repository: JobRepository, **overrides) -> Job:
    job = await running(repository, **overrides)
    assert await repository.finish(job.id, attempt=1, result=PASSED, now=NOW)
    return await repository.get(job.id)


def ids(jobs) -> list[str]:
    return [job.id for job in jobs]
