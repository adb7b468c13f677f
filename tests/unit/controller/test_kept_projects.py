"""Which projects of ended jobs go, in which order, and when; and jobs that wait too long."""

from dataclasses import replace

import pytest

from ci_common.errors import StorageFull
from ci_common.jobs import EndReason, JobStatus, Result
from ci_common.space import Deficit
from ci_controller.plan import Claim, Expire, Snapshot, plan
from ci_controller.retention import Retention
from ci_controller.settings import RetentionSettings
from tests.fakes.repository import InMemoryJobRepository
from tests.fakes.space import FakeSpace
from tests.unit.controller.conftest import World

DAY = 86_400.0
PASSED = Result(reason=EndReason.PASSED, exit_code=0)


@pytest.fixture
async def kept(tmp_path):
    """A world in which projects outlive their jobs."""
    world = World(InMemoryJobRepository(tmp_path))
    world.repository.space = FakeSpace()
    yield world
    for controller in world.controllers:
        await controller.stop()


def retention(world, in_hand=(), **settings) -> Retention:
    chosen = RetentionSettings(**({"keep_at_least": 0.0} | settings))
    return Retention(world.repository, world.clock, chosen, in_hand)


async def ended(world):
    job = await world.submit(zip_size=10)
    await world.repository.claim(job.id, attempt=0, now=world.clock.now())
    await world.repository.finish(job.id, attempt=1, result=PASSED, now=world.clock.now())
    world.clock.advance(1)
    return job


def stashed(world) -> set[str]:
    return {path.stem for path in (world.repository.data_dir / "stash").iterdir()}


async def test_a_project_goes_when_it_is_old_and_its_job_stays(kept):
    job, keeper = await ended(kept), retention(kept, projects_for=DAY)
    kept.clock.advance(DAY - 2)
    assert await keeper.apply() is False
    assert stashed(kept) == {job.id}
    kept.clock.advance(2)
    assert await keeper.apply() is True
    assert stashed(kept) == set()
    assert not (await kept.repository.get(job.id)).stashed
    assert await keeper.apply() is False


async def test_the_oldest_go_when_they_take_too_much(kept):
    jobs = [await ended(kept) for _ in range(4)]
    waits = await kept.submit(zip_size=1000)
    keeper = retention(kept, project_bytes=25)
    while await keeper.apply():
        pass
    assert stashed(kept) == {jobs[2].id, jobs[3].id, waits.id}


async def test_projects_go_before_any_job_when_the_disk_gets_full(kept):
    jobs = [await ended(kept) for _ in range(3)]
    kept.repository.space.missing = lambda: Deficit(15, 0)
    await retention(kept).apply()
    assert stashed(kept) == {jobs[2].id}
    assert len(await kept.repository.get_many([job.id for job in jobs])) == 3


async def test_a_project_in_use_stays(kept):
    job = await ended(kept)
    assert await retention(kept, in_hand={job.id}, projects_for=0.0).apply() is False
    assert stashed(kept) == {job.id}


async def test_files_go_first_where_nothing_can_be_written(kept):
    job = await ended(kept)
    release, refusals = kept.repository.release, [StorageFull(), StorageFull()]

    async def refuse(job_ids):
        if refusals and stashed(kept):
            raise refusals.pop()
        return await release(job_ids)

    kept.repository.release = refuse
    assert await retention(kept, projects_for=0.0).apply() is True
    assert stashed(kept) == set()
    assert not (await kept.repository.get(job.id)).stashed


async def test_the_project_of_a_job_that_ran_is_kept(kept):
    controller = kept.controller()
    job = await kept.submit()
    await kept.settle(controller)
    assert (await kept.job(job)).status is JobStatus.COMPLETED
    assert stashed(kept) == {job.id}


@pytest.mark.parametrize("engine_answers", [True, False])
async def test_a_job_that_waits_too_long_is_ended_by_the_next_look(world, engine_answers):
    """Also while the engine is away, which is what it waits for."""
    world.engine.available = engine_answers
    world.settings = replace(world.settings, max_running=1)
    controller = world.controller()
    busy = None
    if engine_answers:
        world.engine.on_fed = lambda container: container.write(b"running\n")
        busy = await world.submit()
        await controller.reconcile()
    job = await world.submit(queue_timeout=60.0)
    world.clock.advance(59)
    assert Expire(job.id) not in await controller.reconcile()
    world.clock.advance(1)
    assert Expire(job.id) in await controller.reconcile()
    over = await world.job(job)
    assert (over.status, over.reason) == (JobStatus.CANCELLED, EndReason.QUEUE_TIMED_OUT)
    assert "1m" in over.detail
    assert "--queue-timeout" in over.detail
    assert not (world.repository.data_dir / "stash" / f"{job.id}.zip").exists()
    assert await controller.reconcile() == []
    assert busy is None or (await world.job(busy)).status is JobStatus.RUNNING


async def test_what_is_to_be_ended_is_not_started(world):
    """Even if a place has become free in the same moment."""
    late, job = await world.submit(queue_timeout=1.0), await world.submit()
    snapshot = Snapshot(
        now=world.clock.now(), containers=(), startable=(late, job), overdue=(late,)
    )
    assert plan(snapshot) == [Expire(late.id), Claim(job.id, 0)]
