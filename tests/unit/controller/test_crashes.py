"""What a controller finds of the one before it, which was killed at a step of a job's path."""

import pytest

from ci_common.jobs import EndReason, Result
from tests.unit.controller.progress import begun, claimed, launched, noted


async def test_a_running_job_is_adopted_with_its_log_whole(world):
    """Fault 7."""
    job = await world.submit()
    first = world.controller()
    await begun(world, job, first)
    await world.crash(first)
    world.container(job).write(b"meanwhile\n")
    second = world.controller()
    await second.reconcile()
    world.container(job).write(b"afterwards\n")
    world.container(job).exit(1)
    await world.settle(second)
    assert world.log(job) == b"running\nmeanwhile\nafterwards\n"
    ended = await world.job(job)
    assert (ended.reason, ended.attempt) == (EndReason.FAILED, 1)


async def test_an_exit_while_nobody_looked_is_found(world):
    """Fault 8."""
    job = await world.submit()
    first = world.controller()
    await begun(world, job, first)
    await world.crash(first)
    world.container(job).write(b"last words\n")
    world.container(job).exit(0)
    await world.settle(world.controller())
    assert world.log(job) == b"running\nlast words\n"
    assert (await world.job(job)).success is True


async def test_killed_after_the_claim(world):
    """Fault 4: the same attempt is started, once."""
    job = await world.submit()
    await claimed(world, job)
    await world.settle(world.controller())
    ended = await world.job(job)
    assert (ended.success, ended.attempt, ended.faults) == (True, 1, 0)
    assert [call for call, _ in world.engine.calls].count("launch") == 1


async def test_killed_after_the_launch(world):
    """Fault 5: that container is discarded, no attempt is charged."""
    job = await world.submit()
    await claimed(world, job)
    stale = await launched(world, job)
    await world.settle(world.controller())
    ended = await world.job(job)
    assert (ended.success, ended.faults) == (True, 0)
    assert not stale.fed


@pytest.mark.parametrize("cut", [True, False])
async def test_killed_before_or_in_the_feed(world, cut):
    """Fault 5: nothing ran, so it starts again, uncharged; a cut feed may end a container."""
    job = await world.submit()
    await claimed(world, job)
    container = await launched(world, job)
    await noted(world, job)
    if cut:
        container.exit(125)
    await world.settle(world.controller())
    ended = await world.job(job)
    assert (ended.success, ended.faults) == (True, 0)
    assert world.log(job) == b"ok\n"


async def test_killed_after_the_feed_and_before_it_was_noted(world):
    """Fault 6: its output appears once, and there is no second run."""
    job = await world.submit()
    await claimed(world, job)
    container = await launched(world, job)
    await noted(world, job)
    container.write(b"hello\n")
    controller = world.controller()
    await controller.reconcile()
    container.write(b"world\n")
    container.exit(0)
    await world.settle(controller)
    ended = await world.job(job)
    assert (ended.success, ended.attempt) == (True, 1)
    assert world.log(job) == b"hello\nworld\n"
    assert [call for call, _ in world.engine.calls].count("launch") == 1


async def test_killed_between_the_result_and_the_clean_up(world):
    """Fault 9: the clean-up is made up for; the result stays."""
    job = await world.submit()
    await claimed(world, job)
    container = await launched(world, job)
    container.exit(1)
    result = Result(reason=EndReason.PASSED, exit_code=0)
    await world.repository.finish(job.id, attempt=1, result=result, now=world.clock.now())
    await world.settle(world.controller())
    assert world.engine.containers == {}
    assert (await world.job(job)).reason is EndReason.PASSED
