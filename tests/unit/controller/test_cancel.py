"""Cancelling at every step of an attempt: one end, nothing left, and never a second run."""

from dataclasses import replace

import pytest

from ci_common.executor import ContainerState
from ci_common.jobs import EndReason, JobStatus
from ci_common.recipe import Recipe
from ci_controller.standby import StandbySettings
from tests.fakes.executor import FakeContainer, print_and_wait
from tests.unit.controller.progress import begun, claimed, launched, noted

NOTE = b"[ci] Stopped: the job was cancelled.\n"


async def cancel(world, job):
    return await world.repository.cancel(job.id, now=world.clock.now())


async def stopped(world, job, controller) -> None:
    """Go on looking until the job has ended; other tasks may hang meanwhile."""

    async def look() -> bool:
        await controller.reconcile()
        return (await world.job(job)).status.ended

    await world.until(look)


def calls(world, name: str) -> int:
    return [call for call, _ in world.engine.calls].count(name)


async def assert_cancelled(world, job, log: bytes = b"") -> None:
    """It has ended once, as cancelled, and nothing of it is left."""
    over = await world.job(job)
    assert (over.status, over.reason) == (JobStatus.CANCELLED, EndReason.CANCELLED)
    assert world.log(job) == log + NOTE
    assert not [name for name in world.engine.containers if job.id in name]
    assert list((world.repository.data_dir / "stash").iterdir()) == []
    await cancel(world, job)
    await world.settle(world.controllers[-1])
    assert await world.job(job) == over


async def test_a_queued_job_is_never_claimed(world):
    """Fault 30."""
    job = await world.submit()
    await cancel(world, job)
    controller = world.controller()
    assert await controller.reconcile() == []
    assert (await world.job(job)).status is JobStatus.CANCELLED
    assert calls(world, "launch") == 0


@pytest.mark.parametrize("held_call", ["launch", "feed"])
async def test_a_job_on_its_way_is_called_off(world, held_call):
    """Fault 30. Whatever the engine is busy with, as minutes of pulling an image."""
    job = await world.submit()
    controller = world.controller()
    world.engine.hold(held_call)
    await controller.reconcile()
    await world.engine.called(held_call)
    await cancel(world, job)
    await world.settle(controller)
    await assert_cancelled(world, job)


async def test_a_job_that_waits_for_its_turn_to_start_is_called_off(world):
    """Fault 30."""
    world.settings = replace(world.settings, max_starting=1)
    first, second = await world.submit(), await world.submit()
    controller = world.controller()
    held = world.engine.hold("launch")
    await controller.reconcile()
    await world.engine.called("launch")
    await cancel(world, second)
    await stopped(world, second, controller)
    assert calls(world, "launch") == 1
    held.set()
    await world.settle(controller)
    assert (await world.job(first)).success is True
    await assert_cancelled(world, second)


async def test_a_container_that_comes_into_being_too_late_is_removed(world):
    """Fault 30. An engine goes on with what it was asked for, though nobody waits any more."""
    job = await world.submit()
    controller = world.controller()
    held = world.engine.hold("launch")
    await controller.reconcile()
    await world.engine.called("launch")
    await cancel(world, job)
    await world.settle(controller)
    held.set()
    await launched(world, job)
    await world.settle(controller)
    await assert_cancelled(world, job)


async def test_a_running_job_is_stopped(world):
    """Fault 30."""
    job = await world.submit()
    controller = world.controller()
    await begun(world, job, controller)
    await cancel(world, job)
    await world.settle(controller)
    await assert_cancelled(world, job, b"running\n")


async def test_a_job_that_was_fed_and_not_noted_as_such_is_stopped(world):
    """Fault 30. Nobody writes to its log any more while its container is being removed."""
    job = await world.submit()
    controller = world.controller()
    world.engine.on_fed = print_and_wait

    async def stuck(*_: object, **__: object) -> bool:
        await cancel(world, job)
        return await world.engine.hold("never").wait()

    world.repository.record_fed = stuck
    await controller.reconcile()
    await world.until(lambda: _is_being_stopped(world, job))
    held = world.engine.hold("stop"), world.engine.hold("remove")
    await controller.reconcile()
    await world.engine.called("remove")
    (pump,) = controller._executor._pumps
    assert pump._task.done()
    for each in held:
        each.set()
    await world.settle(controller)
    await assert_cancelled(world, job, b"running\n")


async def _is_being_stopped(world, job) -> bool:
    return (await world.job(job)).stop_reason is not None


async def test_a_stop_is_carried_out_once(world):
    """Fault 30. While the container takes its time to end, nothing is asked for again."""
    job = await world.submit()
    controller = world.controller()
    await begun(world, job, controller)
    held = world.engine.hold("stop")
    for _ in range(3):
        await cancel(world, job)
        await controller.reconcile()
        await world.engine.called("stop")
    assert calls(world, "stop") == 1
    assert (await world.job(job)).status is JobStatus.RUNNING
    held.set()
    await world.settle(controller)
    await assert_cancelled(world, job, b"running\n")


async def test_a_job_that_ends_by_itself_first_keeps_its_verdict(world):
    """Fault 30. One ended state, whoever comes first."""
    job = await world.submit()
    controller = world.controller()
    await begun(world, job, controller)
    world.container(job).exit(0)
    await world.ended(job)
    await cancel(world, job)
    await world.settle(controller)
    assert (await world.job(job)).reason is EndReason.PASSED
    assert not world.log(job).endswith(NOTE)


async def test_a_fault_of_the_attempt_does_not_bring_a_cancelled_job_back(world):
    """Fault 30. Its container vanished in the very moment."""
    job = await world.submit()
    controller = world.controller()
    await begun(world, job, controller)
    await cancel(world, job)
    world.engine.vanish(f"ci-{job.id}-1")
    await world.settle(controller)
    await assert_cancelled(world, job, b"running\n")


async def test_a_cancel_between_a_fault_and_its_consequence_counts(world):
    """Fault 30. It came when the attempt had looked, and before it was queued again."""
    job = await world.submit()
    controller = world.controller()
    await begun(world, job, controller)
    requeue = world.repository.requeue

    async def just_then(*arguments, **options):
        await cancel(world, job)
        return await requeue(*arguments, **options)

    world.repository.requeue = just_then
    world.engine.vanish(f"ci-{job.id}-1")
    await world.settle(controller)
    over = await world.job(job)
    assert (over.status, over.attempt) == (JobStatus.CANCELLED, 1)


async def test_a_job_on_hold_after_a_fault_is_queued(world):
    """Fault 30."""
    job = await world.submit()
    controller = world.controller()
    await begun(world, job, controller)
    world.engine.vanish(f"ci-{job.id}-1")
    await controller.idle()
    await cancel(world, job)
    world.clock.advance(60)
    assert await controller.reconcile() == []
    assert (await world.job(job)).status is JobStatus.CANCELLED


async def test_what_the_engine_does_not_let_go_of_is_not_said_to_be_stopped(world):
    """Fault 30. An engine that is away cannot stop anything; it is made up for."""
    job = await world.submit()
    controller = world.controller()
    await begun(world, job, controller)
    world.engine.available = False
    await cancel(world, job)
    assert await controller.reconcile() == []
    assert (await world.job(job)).status is JobStatus.RUNNING
    world.engine.available = True
    await world.settle(controller)
    await assert_cancelled(world, job, b"running\n")


async def test_an_engine_that_goes_away_while_a_start_is_called_off(world):
    """Fault 30. The end is written when what was launched is gone, not before."""
    job = await world.submit()
    controller = world.controller()
    world.engine.hold("feed")
    await controller.reconcile()
    await world.engine.called("feed")
    removing = world.engine.hold("remove")
    await cancel(world, job)
    await controller.reconcile()
    await world.engine.called("remove")
    world.engine.available = False
    removing.set()
    await controller.idle()
    assert (await world.job(job)).status is JobStatus.RUNNING
    world.engine.available = True
    await world.settle(controller)
    await assert_cancelled(world, job)


@pytest.mark.parametrize("progress", ["claimed", "launched", "noted", "running", "exited"])
@pytest.mark.parametrize("asked", ["before", "after"])
async def test_a_process_that_dies_leaves_the_stop_to_the_next(world, progress, asked):
    """Fault 30. Killed before or after the stop was asked for, at every step."""
    job = await world.submit()
    await claimed(world, job)
    if progress != "claimed":
        container = await launched(world, job)
    if progress in ("noted", "running", "exited"):
        await noted(world, job)
    log = b""
    if progress in ("running", "exited"):
        container.write(b"running\n")
        await world.repository.record_fed(job.id, attempt=1)
        log = b"running\n"
    if progress == "exited":
        container.exit(1)
    was_launched = calls(world, "launch")
    controller = world.controller()
    if asked == "after":
        world.engine.on_fed = print_and_wait
        await controller.reconcile()
    await cancel(world, job)
    await stopped(world, job, controller)
    await world.settle(controller)
    if asked == "before":
        assert calls(world, "launch") == was_launched
    else:
        log = world.log(job).removesuffix(NOTE)  # it may have got as far as running
    await assert_cancelled(world, job, log)


async def test_a_standby_on_its_way_to_a_cancelled_job_is_not_lost(world):
    """Fault 30. What waited for it is gone; it serves the next job."""
    world.settings = replace(world.settings, standby=StandbySettings(size=1))
    controller = world.controller()
    held = world.engine.hold("launch")
    await controller.reconcile()
    await world.engine.called("launch")
    (name,) = [name for call, name in world.engine.calls if call == "launch"]
    spec = world.settings.defaults.spec(Recipe())
    world.engine.containers[name] = created = FakeContainer(name, "", spec)
    created.state = ContainerState.CREATED
    job = await world.submit()
    await controller.reconcile()
    await cancel(world, job)
    await stopped(world, job, controller)
    created.state = ContainerState.RUNNING
    held.set()
    await world.settle(controller)
    second = await world.submit()
    await world.settle(controller)
    assert ("take_standby", name) in world.engine.calls
    assert (await world.job(second)).success is True


async def test_a_standby_that_was_not_handed_over_is_not_lost(world):
    """Fault 30. The start was called off while the engine was being asked."""
    world.settings = replace(world.settings, standby=StandbySettings(size=1))
    controller = world.controller()
    await world.settle(controller)
    (standby,) = world.engine.containers
    world.engine.hold("take_standby")
    job = await world.submit()
    await controller.reconcile()
    await world.engine.called("take_standby")
    await cancel(world, job)
    await world.settle(controller)
    assert (await world.job(job)).status is JobStatus.CANCELLED
    assert controller._standbys.ready == {standby}


async def test_the_place_of_a_cancelled_job_is_free(world):
    world.settings = replace(world.settings, max_running=1)
    first, second = await world.submit(), await world.submit()
    controller = world.controller()
    await begun(world, first, controller)
    await cancel(world, first)
    await stopped(world, first, controller)
    await begun(world, second, controller)
