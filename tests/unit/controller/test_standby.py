"""Standbys over a fake engine: who is launched, who is used, and who is not."""

import asyncio
import gc
from dataclasses import replace

import pytest

from ci_common.executor import ContainerSpec
from ci_common.jobs import EndReason
from ci_common.recipe import Recipe
from ci_common.signals import QUEUE
from ci_controller.plan import FillStandby, RemoveContainer
from ci_controller.standby import StandbyPool, StandbySettings
from tests.fakes.executor import FakeExecutor, print_and_wait

IMAGE = Recipe(image="another:1")
SPEC = ContainerSpec(image="i", memory=1, cpus=1, pids=1, network="none", log_limit=1)


@pytest.fixture
def warm(world):
    """A world whose controllers keep one standby for each spec."""
    world.settings = replace(world.settings, standby=StandbySettings(size=1))
    return world


def standbys(world) -> list[str]:
    return sorted(name for name in world.engine.containers if "standby" in name)


def launched(world) -> list[str]:
    return [name for call, name in world.engine.calls if call == "launch"]


async def test_the_first_job_finds_one(warm):
    controller = warm.controller()
    await warm.settle(controller)
    (standby,) = standbys(warm)
    job = await warm.submit()
    await warm.settle(controller)
    assert (await warm.job(job)).success is True
    assert ("take_standby", standby) in warm.engine.calls
    assert not any(job.id in name for name in launched(warm))


async def test_it_is_used_once_and_another_takes_its_place(warm):
    controller = warm.controller()
    await warm.settle(controller)
    before = standbys(warm)
    await warm.submit()
    await warm.settle(controller)
    assert len(standbys(warm)) == 1
    assert standbys(warm) != before


async def test_a_job_on_its_way_comes_first(warm):
    controller = warm.controller()
    feeding = warm.engine.hold("feed")
    await warm.submit()
    await controller.reconcile()
    await warm.engine.called("feed")
    assert await controller.reconcile() == []
    feeding.set()
    await warm.settle(controller)
    assert len(standbys(warm)) == 1


async def begun(warm, controller) -> None:
    """Have a job take the standby and run."""
    warm.engine.on_fed = print_and_wait
    await warm.settle(controller)
    job = await warm.submit()
    await controller.reconcile()

    async def fed() -> bool:
        return (await warm.job(job)).fed

    await warm.until(fed)


async def test_the_next_one_does_not_get_in_the_way_of_a_job_that_has_just_begun(warm):
    controller = warm.controller()
    await begun(warm, controller)
    assert await controller.reconcile() == []
    warm.clock.advance(warm.settings.standby.refill_after)
    (fill,) = await controller.reconcile()
    assert isinstance(fill, FillStandby)


async def test_the_next_one_comes_when_a_short_job_has_ended(warm):
    controller = warm.controller()
    await begun(warm, controller)
    (running,) = warm.engine.containers.values()
    running.exit(0)
    await controller.idle()
    (fill,) = await controller.reconcile()
    assert isinstance(fill, FillStandby)


async def test_nobody_need_look_for_the_next_one_to_come(warm):
    settings = StandbySettings(size=1, refill_after=0.0)
    warm.settings = replace(warm.settings, standby=settings)
    warm.engine.on_fed = print_and_wait
    # The loop looks only when it is woken.
    controller = warm.controller(interval=3600.0)
    await controller.start()

    async def waits() -> bool:
        return bool(standbys(warm))

    await warm.until(waits)
    (first,) = standbys(warm)
    await warm.submit()
    controller._signals.notify(QUEUE)

    async def another_waits() -> bool:
        return any(name != first for name in standbys(warm))

    await warm.until(another_waits)


async def test_a_job_waits_for_the_one_that_is_being_launched(warm):
    controller = warm.controller()
    held = warm.engine.hold("launch")
    await controller.reconcile()
    await warm.engine.called("launch")
    job = await warm.submit()
    await controller.reconcile()
    held.set()
    await warm.settle(controller)
    assert (await warm.job(job)).success is True
    assert not any(job.id in name for name in launched(warm))


async def test_two_jobs_never_share_one(warm):
    controller = warm.controller()
    await warm.settle(controller)
    jobs = [await warm.submit() for _ in range(2)]
    await warm.settle(controller)
    for job in jobs:
        assert (await warm.job(job)).success is True
        assert warm.log(job) == b"ok\n"
    taken = [name for call, name in warm.engine.calls if call == "take_standby"]
    assert len(taken) == len(set(taken))


async def test_one_that_died_is_not_used(warm):
    controller = warm.controller()
    await warm.settle(controller)
    (dead,) = standbys(warm)
    warm.engine.containers[dead].exit(137)
    job = await warm.submit()
    await warm.settle(controller)
    ended = await warm.job(job)
    assert (ended.success, ended.faults) == (True, 0)
    assert dead not in warm.engine.containers


async def test_one_that_died_while_nobody_wanted_it_is_replaced(warm):
    controller = warm.controller()
    await warm.settle(controller)
    (dead,) = standbys(warm)
    warm.engine.vanish(dead)
    await warm.settle(controller)
    assert len(standbys(warm)) == 1
    assert dead not in standbys(warm)


async def test_another_image_gets_one_once_it_was_used(warm):
    controller = warm.controller()
    await warm.settle(controller)
    first = await warm.submit(recipe=IMAGE)
    await warm.settle(controller)
    assert any(first.id in name for name in launched(warm))
    assert len(standbys(warm)) == 2
    second = await warm.submit(recipe=IMAGE)
    await warm.settle(controller)
    assert not any(second.id in name for name in launched(warm))


async def test_memory_bounds_them_and_the_latest_used_comes_first(warm):
    one = warm.settings.defaults.memory
    warm.settings = replace(warm.settings, standby=StandbySettings(size=1, memory=one))
    controller = warm.controller()
    await warm.settle(controller)
    (before,) = standbys(warm)
    await warm.submit(recipe=IMAGE)
    await warm.settle(controller)
    (after,) = standbys(warm)
    assert after != before
    assert warm.engine.containers[after].spec.image == "another:1"


async def test_a_dead_controllers_standby_is_taken_over(warm):
    first = warm.controller()
    await warm.settle(first)
    left = standbys(warm)
    second = warm.controller()
    await warm.settle(second)
    assert standbys(warm) == left
    job = await warm.submit()
    await warm.settle(second)
    assert ("take_standby", left[0]) in warm.engine.calls
    assert (await warm.job(job)).reason is EndReason.PASSED


async def test_no_job_takes_one_that_is_being_removed(warm):
    """The engine removes what bears the name when it is asked, whatever it is called then."""
    controller = warm.controller()
    await warm.settle(controller)
    (one,) = standbys(warm)
    spec = warm.engine.containers[one].spec
    await FakeExecutor(warm.engine).launch("ci-standby-too-many", spec)
    removing = warm.engine.hold("remove")
    (removal,) = await controller.reconcile()
    assert isinstance(removal, RemoveContainer)
    jobs = [await warm.submit() for _ in range(2)]
    await controller.reconcile()

    async def fed() -> bool:
        return [call for call, _ in warm.engine.calls].count("feed") == len(jobs)

    await warm.until(fed)
    assert ("take_standby", removal.name) not in warm.engine.calls
    removing.set()
    await warm.settle(controller)
    assert [(await warm.job(job)).faults for job in jobs] == [0, 0]


async def test_one_that_a_job_has_taken_meanwhile_is_not_removed(warm):
    """A plan is carried out while jobs start."""
    pool = StandbyPool(FakeExecutor(warm.engine), StandbySettings(size=1), SPEC, warm.clock)
    pool.fill(SPEC.key)
    await pool.settled()
    (name,) = pool.ready
    taking = warm.engine.hold("take_standby")
    taken = asyncio.create_task(pool.take("ci-job-1", SPEC))
    await warm.engine.called("take_standby")
    assert pool.give_up(name) is False
    taking.set()
    assert await taken is True


async def test_an_ending_controller_leaves_none(warm):
    controller = warm.controller()
    await warm.settle(controller)
    await controller.stop()
    assert warm.engine.containers == {}


async def test_a_spec_that_cannot_be_launched_is_not_tried_all_the_time(warm):
    warm.engine.launch_error = "no such runtime"
    controller = warm.controller()
    await warm.settle(controller)
    assert len(launched(warm)) == 1
    warm.clock.advance(60)
    warm.engine.launch_error = None
    await warm.settle(controller)
    assert len(standbys(warm)) == 1


async def test_a_failed_launch_is_no_forgotten_error(warm):
    """It is logged in a line; asyncio need not report it once more, with a traceback."""
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    warm.engine.launch_error = "no such runtime"
    controller = warm.controller()
    assert [type(action) for action in await controller.reconcile()] == [FillStandby]
    for _ in range(20):
        await asyncio.sleep(0)
    assert controller._standbys.view().coming == {}
    gc.collect()
    assert reported == []


def die(warm) -> None:
    for name in standbys(warm):
        warm.engine.containers[name].exit(127)


async def test_one_that_ended_by_itself_is_replaced_at_once_and_the_next_ones_later(warm):
    """Fault 39. In an image without tar, one after the other ends as soon as it is launched."""
    controller = warm.controller()
    await warm.settle(controller)
    pauses = [0, 2, 4, 8, 16, 30, 30]
    for number, pause in enumerate(pauses, 1):
        die(warm)
        await warm.settle(controller)
        if pause:
            assert len(launched(warm)) == number
            warm.clock.advance(pause - 1)
            await warm.settle(controller)
            assert len(launched(warm)) == number
            warm.clock.advance(1)
            await warm.settle(controller)
        assert len(launched(warm)) == number + 1


async def test_one_that_served_a_job_clears_the_record_of_those_before(warm):
    controller = warm.controller()
    await warm.settle(controller)
    die(warm)
    await warm.settle(controller)
    await warm.submit()
    await warm.settle(controller)
    before = len(launched(warm))
    die(warm)
    await warm.settle(controller)
    assert len(launched(warm)) == before + 1


async def test_a_job_whose_awaited_standby_fails_launches_its_own(warm):
    controller = warm.controller()
    held = warm.engine.hold("launch")
    warm.engine.launch_error = "once"
    await controller.reconcile()
    await warm.engine.called("launch")
    job = await warm.submit()
    await controller.reconcile()
    held.set()
    await controller._standbys.settled()
    warm.engine.launch_error = None
    await asyncio.sleep(0)
    await warm.settle(controller)
    assert (await warm.job(job)).success is True
