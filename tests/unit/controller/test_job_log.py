"""A job's log over fakes: whole and durable, whoever breaks off while it is read."""

import asyncio
from dataclasses import replace

from ci_common.errors import EngineUnavailable, StorageBusy
from ci_common.jobs import EndReason, JobStatus
from ci_controller.settings import ControllerSettings
from tests.fakes.executor import FakeExecutor, print_and_wait
from tests.unit.controller.progress import begun


async def test_a_stream_that_breaks_off_is_taken_up_again(world):
    """The end of the stream is not the end of the job."""
    job = await world.submit()
    controller = world.controller()
    await begun(world, job, controller)
    world.container(job).break_streams()
    for _ in range(200):
        await asyncio.sleep(0)
    world.container(job).write(b"still here\n")
    world.container(job).exit(0)
    await world.settle(controller)
    assert world.log(job) == b"running\nstill here\n"
    assert (await world.job(job)).success is True


async def test_what_a_reader_that_was_cut_off_missed_is_read_from_the_record(world):
    """Fault 13: the engine restarts, and the container ends before anybody looks again."""
    job = await world.submit()
    controller = world.controller()
    await begun(world, job, controller)
    looks = world.engine.hold("wait_exit")
    world.container(job).break_streams()
    await world.engine.called("wait_exit")
    world.container(job).write(b"the last words\n")
    world.container(job).exit(0, witnessed=False)
    looks.set()
    await world.settle(controller)
    assert world.log(job) == b"running\nthe last words\n"
    assert (await world.job(job)).success is True


async def test_a_stream_that_broke_off_is_missed_for_a_second_at_most(world, monkeypatch):
    """Else a job that ends before that is noticed would lack the end of its log."""
    world.settings = replace(world.settings, exit_grace=ControllerSettings().exit_grace)
    job = await world.submit()
    controller = world.controller()
    await begun(world, job, controller)
    container = world.container(job)

    def end() -> None:
        if container.ended is None:
            container.write(b"still here\n")
            container.exit(0)

    async def wait_exit(self, name, *, timeout):  # noqa: ASYNC109 -- the executor's
        if timeout > 1:
            end()  # as it does more than a second after the stream broke off
        return container.ended

    monkeypatch.setattr(FakeExecutor, "wait_exit", wait_exit)
    container.break_streams()
    for _ in range(200):
        await asyncio.sleep(0)
    end()
    await world.settle(controller)
    assert world.log(job) == b"running\nstill here\n"


async def test_the_log_is_durable_before_the_verdict(world, monkeypatch):
    """Fault 11: or a power loss would leave a job that has passed and no sign of it."""
    job = await world.submit()
    synced = []

    def sync(job_id: str) -> None:
        row = world.repository._jobs[job_id]
        synced.append((job_id, row.status, world.log(job)))

    monkeypatch.setattr(world.repository.logs, "sync", sync)
    await world.settle(world.controller())
    assert synced == [(job.id, JobStatus.RUNNING, b"ok\n")]
    assert (await world.job(job)).success is True


async def test_a_record_that_breaks_off_at_the_end_is_read_again(world):
    """Fault 7: a reader that lags when the container ends is not told the rest."""
    job = await world.submit()
    former = world.controller()
    await begun(world, job, former)
    await world.crash(former)
    world.engine.cuts_followers = True
    controller = world.controller()
    await controller.reconcile()
    for _ in range(200):
        await asyncio.sleep(0)
    assert ("follow", f"ci-{job.id}-1") in world.engine.calls
    world.container(job).write(b"the last words\n")
    world.container(job).exit(0)
    await world.settle(controller)
    assert world.log(job) == b"running\nthe last words\n"


def fed_without_an_answer(monkeypatch) -> None:
    """Have a feed reach its container, and the engine's answer be lost."""
    feed = FakeExecutor.feed

    async def cut(self, *args):
        pump = await feed(self, *args)
        await pump.close()
        raise EngineUnavailable

    monkeypatch.setattr(FakeExecutor, "feed", cut)


def busy_once(world, monkeypatch, write: str) -> None:
    """Have the database be locked when that is to be written."""

    async def busy(*_, **__):
        monkeypatch.delattr(world.repository, write)
        raise StorageBusy

    monkeypatch.setattr(world.repository, write, busy, raising=False)


async def test_a_container_that_is_taken_up_after_all_finds_no_note_in_its_log(world, monkeypatch):
    """What it says goes on behind what is in the log, which is counted."""
    world.engine.on_fed = print_and_wait
    fed_without_an_answer(monkeypatch)
    busy_once(world, monkeypatch, "requeue")
    job = await world.submit()
    controller = world.controller()
    await controller.reconcile()
    await controller.idle()
    await controller.reconcile()
    world.container(job).write(b"still here\n")
    world.container(job).exit(0)
    await world.settle(controller)
    assert (await world.job(job)).success is True
    assert world.log(job) == b"running\nstill here\n"


async def test_no_container_is_taken_up_when_its_log_says_that_it_failed(world, monkeypatch):
    world.engine.on_fed = print_and_wait
    fed_without_an_answer(monkeypatch)
    busy_once(world, monkeypatch, "finish")
    job = await world.submit(max_attempts=1)
    controller = world.controller()
    await controller.reconcile()
    await controller.idle()
    assert b"[ci] Infrastructure error" in world.log(job)
    assert world.engine.containers == {}
    await world.settle(controller)
    assert (await world.job(job)).reason is EndReason.INFRA_ERROR
