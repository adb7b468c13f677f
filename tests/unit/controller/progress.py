"""How far a job of the fake world is brought before a test begins."""

from ci_common.executor import ContainerSpec
from tests.fakes.executor import print_and_wait


async def begun(world, job, controller):
    """Have a job run to the point where its container is fed and waits."""
    world.engine.on_fed = print_and_wait
    await controller.reconcile()

    async def fed() -> bool:
        return (await world.job(job)).fed and world.log(job).endswith(b"running\n")

    await world.until(fed)


async def claimed(world, job):
    return await world.repository.claim(job.id, attempt=job.attempt, now=world.clock.now())


async def launched(world, job):
    spec = ContainerSpec(image="i", memory=1, cpus=1, pids=1, network="none", log_limit=1)
    await world.controller()._executor.launch(f"ci-{job.id}-1", spec)
    return world.container(job)


async def noted(world, job, log_base=0):
    await world.repository.record_container(
        job.id, attempt=1, container=f"ci-{job.id}-1", log_base=log_base
    )
