"""The loop over fakes: what can only be timed exactly, or caused exactly, without a real engine."""

import asyncio
from dataclasses import replace

import pytest

from ci_common.jobs import EndReason, JobStatus, Result
from ci_common.recipe import Recipe
from ci_controller.plan import Claim
from ci_controller.standby import StandbySettings
from tests.fakes.executor import FakeExecutor, print_and_wait
from tests.unit.controller.progress import begun, claimed


async def test_a_job_from_queue_to_verdict(world):
    job = await world.submit()
    await world.settle(world.controller())
    ended = await world.job(job)
    assert (ended.status, ended.reason) == (JobStatus.COMPLETED, EndReason.PASSED)
    assert (ended.attempt, ended.faults, ended.exit_code) == (1, 0, 0)
    assert world.log(job) == b"ok\n"
    assert world.engine.containers == {}
    assert list((world.repository.data_dir / "stash").iterdir()) == []


async def test_what_a_job_asks_of_the_engine(world):
    """Counted, since each call takes its time; the container goes when the verdict is written."""
    world.settings = replace(world.settings, standby=StandbySettings(size=1))
    controller = world.controller()
    await world.settle(controller)
    job = await world.submit(recipe=Recipe(command="sh run.sh"))
    world.engine.calls.clear()
    removing = world.engine.hold("remove")
    await controller.reconcile()
    await world.engine.called("remove")
    assert (await world.job(job)).reason is EndReason.PASSED
    removing.set()
    await controller.idle()
    calls = [call for call, _ in world.engine.calls if call not in {"open", "observe"}]
    assert calls == ["take_standby", "feed", "wait_exit", "remove"]


async def test_no_more_run_than_may(world):
    world.engine.on_fed = print_and_wait
    jobs = [await world.submit() for _ in range(5)]
    controller = world.controller()
    assert await controller.reconcile() == [Claim(jobs[0].id, 0), Claim(jobs[1].id, 0)]
    assert await controller.reconcile() == []
    assert len(await world.repository.running()) == 2


async def test_starts_at_once_are_bounded(world):
    world.settings = replace(world.settings, max_running=8, max_starting=3)
    held = world.engine.hold("launch")
    for _ in range(8):
        await world.submit()
    controller = world.controller()
    await controller.reconcile()
    await world.engine.called("launch")
    for _ in range(100):
        await asyncio.sleep(0)
    assert [call for call, _ in world.engine.calls].count("launch") == 3
    held.set()
    await world.settle(controller)


async def test_one_hanging_container_delays_no_other_job(world):
    """Fault 15."""
    slow, quick = await world.submit(), await world.submit()
    controller = world.controller()
    world.engine.on_fed = lambda container: (
        print_and_wait(container) if slow.id in container.name else container.exit(0)
    )
    await controller.reconcile()
    await world.ended(quick)
    assert (await world.job(slow)).status is JobStatus.RUNNING


async def test_an_unseen_engine_starts_and_ends_nothing(world):
    running, waiting = await world.submit(), await world.submit()
    world.settings = replace(world.settings, max_running=1)
    controller = world.controller()
    await begun(world, running, controller)
    world.engine.available = False
    assert await controller.reconcile() == []
    assert controller.engine_error == "The engine does not answer."
    assert (await world.job(running)).status is JobStatus.RUNNING
    assert (await world.job(waiting)).status is JobStatus.QUEUED
    world.engine.available = True
    world.container(running).exit(0)
    world.engine.on_fed = lambda container: container.exit(0)
    await world.settle(controller)
    assert controller.engine_error is None
    assert (await world.job(waiting)).success is True


async def test_a_vanished_container_is_retried_after_a_while_and_not_for_ever(world):
    """Fault 16."""
    job = await world.submit(max_attempts=2)
    controller = world.controller()
    await begun(world, job, controller)
    world.engine.vanish(f"ci-{job.id}-1")
    await controller.idle()
    assert await controller.reconcile() == []
    waiting = await world.job(job)
    assert (waiting.status, waiting.faults) == (JobStatus.QUEUED, 1)
    world.clock.advance(60)
    await begun(world, job, controller)
    assert b"running\n[ci] Attempt 1 of 2 was lost: the container vanished." in world.log(job)
    assert world.log(job).endswith(b"running\n")
    world.engine.vanish(f"ci-{job.id}-2")
    await controller.idle()
    ended = await world.job(job)
    assert (ended.reason, ended.success) == (EndReason.INFRA_ERROR, False)
    assert ended.detail == "the container vanished (2 attempts)"


@pytest.mark.parametrize("fault", ["missing_image", "launch_error"])
async def test_what_no_retry_can_mend_ends_the_job_at_once(world, fault):
    """Faults 38 and 39."""
    job = await world.submit()
    if fault == "missing_image":
        world.engine.missing_images.add(world.settings.defaults.image)
    else:
        world.engine.launch_error = "no such runtime"
    await world.settle(world.controller())
    ended = await world.job(job)
    assert (ended.reason, ended.attempt) == (EndReason.INFRA_ERROR, 1)
    assert ended.detail in world.log(job).decode()


async def test_a_container_that_does_not_take_its_project_is_removed(world):
    """It may wait for the rest of it for ever."""
    world.engine.cut_feed_at = 100
    job = await world.submit()
    await world.settle(world.controller())
    ended = await world.job(job)
    assert (ended.reason, ended.attempt) == (EndReason.INFRA_ERROR, 1)
    assert "stopped taking its project" in ended.detail
    assert world.engine.containers == {}


async def test_a_missing_stash_ends_the_job(world):
    job = await world.submit()
    (world.repository.data_dir / "stash" / f"{job.id}.zip").unlink()
    await world.settle(world.controller())
    ended = await world.job(job)
    assert ended.reason is EndReason.INFRA_ERROR
    assert "missing" in ended.detail


async def test_a_time_out_is_remembered_across_a_crash(world):
    """The stop and its reason are two steps; between them nothing is lost."""
    job = await world.submit()
    first = world.controller()
    await begun(world, job, first)
    stop = world.engine.hold("stop")
    world.clock.advance(world.settings.defaults.timeout)
    await first.reconcile()
    await world.engine.called("stop")
    await world.crash(first)
    stop.set()
    world.container(job).exit(1)
    await world.settle(world.controller())
    ended = await world.job(job)
    assert (ended.reason, ended.exit_code) == (EndReason.TIMED_OUT, 1)
    assert world.log(job).endswith(b"longer than its time limit of 3600 s.\n")


async def test_a_job_that_is_being_stopped_is_not_run_again_for_a_fault(world):
    job = await world.submit()
    controller = world.controller()
    await begun(world, job, controller)
    await world.repository.record_stop(job.id, attempt=1, reason=EndReason.TIMED_OUT)
    world.engine.vanish(f"ci-{job.id}-1")
    await world.settle(controller)
    ended = await world.job(job)
    assert (ended.reason, ended.attempt, ended.exit_code) == (EndReason.TIMED_OUT, 1, None)


async def test_an_engine_that_went_away_takes_the_blame(world):
    """Fault 12: what ended by signal while the engine was away is never a failed test."""
    job = await world.submit()
    controller = world.controller()
    await begun(world, job, controller)
    world.engine.available = False
    world.container(job).break_streams()
    await controller.idle()
    world.container(job).exit(137)
    world.engine.available = True
    await controller.reconcile()
    await controller.idle()
    row = await world.job(job)
    assert (row.status, row.faults) == (JobStatus.QUEUED, 1)
    assert row.detail == "the container engine stopped while the job was running"


@pytest.mark.parametrize("exit_code", [0, 1, 137])
async def test_an_end_that_was_not_its_own_is_no_verdict(world, exit_code):
    """Fault 12: the executor knows that the engine went down under the container."""
    job = await world.submit()
    controller = world.controller()
    await begun(world, job, controller)
    world.container(job).exit(exit_code, by_itself=False)
    await controller.idle()
    row = await world.job(job)
    assert (row.status, row.faults) == (JobStatus.QUEUED, 1)
    assert row.detail == "the container engine stopped while the job was running"


async def test_an_attempt_decided_elsewhere_before_the_feed_is_left_alone(world):
    """Stale before observing: the row moved on while the container was launched."""
    job = await world.submit()
    controller = world.controller()
    held = world.engine.hold("launch")
    await controller.reconcile()
    await world.engine.called("launch")
    await world.repository.requeue(job.id, attempt=1, charged=False, detail="elsewhere")
    await claimed(world, await world.job(job))
    held.set()
    await controller.idle()
    assert not world.container(job).fed
    assert (await world.job(job)).attempt == 2
    await world.settle(controller)
    assert world.log(job) == b"ok\n"


async def test_an_attempt_decided_elsewhere_before_the_result_changes_nothing(world):
    """Stale before applying: someone else wrote the end first."""
    job = await world.submit()
    controller = world.controller()
    await begun(world, job, controller)
    theirs = Result(reason=EndReason.TIMED_OUT, exit_code=143)
    await world.repository.finish(job.id, attempt=1, result=theirs, now=world.clock.now())
    world.container(job).exit(0)
    await world.settle(controller)
    assert (await world.job(job)).reason is EndReason.TIMED_OUT
    assert world.engine.containers == {}


async def test_only_the_holder_of_the_lock_acts(world):
    """Fault 21."""
    first, second = world.controller(), world.controller()
    assert first._lead()
    assert not second._lead()
    job = await world.submit()
    await second._tick()
    assert (await world.job(job)).status is JobStatus.QUEUED
    await first.stop()
    await second._tick()
    await second.idle()
    assert second.is_leader
    assert (await world.job(job)).success is True


async def test_a_failing_round_does_not_end_the_loop(world, caplog):
    controller = world.controller()
    job = await world.submit()

    async def fail(**_: object) -> None:
        raise RuntimeError("a mistake of ours")

    running, world.repository.running = world.repository.running, fail
    await controller._tick()
    assert "a mistake of ours" in caplog.text
    world.repository.running = running
    await controller._tick()
    await controller.idle()
    assert (await world.job(job)).success is True


async def test_start_and_stop_may_be_repeated(world):
    controller = world.controller()
    job = await world.submit()
    await controller.start()
    await controller.start()
    await world.ended(job)
    await controller.stop()
    await controller.stop()
    assert not controller.is_leader


async def test_jobs_whose_containers_are_left_over_keep_no_others_from_their_places(world):
    first, second, third = [await world.submit() for _ in range(3)]
    earlier = FakeExecutor(world.engine)
    for job in (first, second):
        spec = world.settings.defaults.spec(job.recipe)
        await earlier.launch(earlier.container_name(job.id, 1), spec)
    removing = world.engine.hold("remove")
    controller = world.controller()
    assert Claim(third.id, 0) in await controller.reconcile()
    removing.set()
    await world.settle(controller)
    ended = [await world.job(job) for job in (first, second, third)]
    assert [job.success for job in ended] == [True, True, True]
