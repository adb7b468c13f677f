"""Which ended jobs go, in which order, and when; over fakes, with a clock of our own."""

import asyncio
import os
import uuid
from dataclasses import replace

import pytest

from ci_common.errors import JobNotFound, StorageFull
from ci_common.jobs import EndReason, Result
from ci_common.space import Deficit
from ci_controller import retention
from ci_controller.housekeeping import Housekeeper
from ci_controller.retention import Retention
from ci_controller.settings import RetentionSettings
from ci_controller.sweep import sweep_logs
from tests.fakes.space import FakeSpace

DAY = 86400.0
PASSED = Result(reason=EndReason.PASSED, exit_code=0)


@pytest.fixture
def space(world):
    world.repository.space = FakeSpace()
    return world.repository.space


@pytest.fixture
def keep(world, space):
    """Make the retention of these settings."""

    def make(in_hand=(), **settings) -> Retention:
        chosen = RetentionSettings(**({"keep_at_least": 0.0} | settings))
        return Retention(world.repository, world.clock, chosen, in_hand)

    return make


async def ended(world, size=100):
    """A job that ends now, with a log of that many bytes."""
    job = await world.submit()
    await world.repository.claim(job.id, attempt=0, now=world.clock.now())
    writer = world.repository.logs.open(job.id)
    writer.write(b"x" * size)
    writer.close()
    await world.repository.finish(job.id, attempt=1, result=PASSED, now=world.clock.now())
    world.clock.advance(1)
    return job


async def left(world, jobs):
    return [job for job in jobs if await world.repository.get_many([job.id])]


def files_of(world, job):
    folder = world.repository.data_dir
    return [
        p for p in (folder / f"logs/{job.id}.log", folder / f"stash/{job.id}.zip") if p.exists()
    ]


async def test_a_job_goes_with_its_row_its_log_and_its_zip_when_it_is_old(world, keep):
    job = await ended(world)
    kept = keep(keep_for=DAY)
    world.clock.advance(DAY - 2)
    await kept.apply()
    assert len(files_of(world, job)) == 2
    world.clock.advance(2)
    await kept.apply()
    assert files_of(world, job) == []
    with pytest.raises(JobNotFound):
        await world.job(job)


async def test_without_settings_nothing_ever_goes(world, keep):
    jobs = [await ended(world) for _ in range(3)]
    world.clock.advance(1000 * DAY)
    assert await keep().apply() is False
    assert await left(world, jobs) == jobs


async def test_what_waits_or_runs_stays_however_old_it_is(world, keep):
    waits, runs = await world.submit(), await world.submit()
    await world.repository.claim(runs.id, attempt=0, now=world.clock.now())
    world.clock.advance(1000 * DAY)
    await keep(keep_for=1.0, keep_log_bytes=1).apply()
    assert await left(world, [waits, runs]) == [waits, runs]
    assert len(files_of(world, waits)) == 1


async def test_the_oldest_logs_go_until_the_rest_fits(world, keep):
    jobs = [await ended(world, size) for size in (500, 300, 200, 100)]
    await keep(keep_log_bytes=450).apply()
    # 1,100 bytes are there: 650 have to go, which takes the two oldest.
    assert await left(world, jobs) == jobs[2:]
    await keep(keep_log_bytes=450).apply()
    assert await left(world, jobs) == jobs[2:]


async def test_the_logs_are_measured_now_and_then_only(world, keep, monkeypatch):
    looks = []
    usage = world.repository.logs.usage
    monkeypatch.setattr(
        world.repository.logs, "usage", lambda: looks.append(1) or usage(), raising=False
    )
    jobs = [await ended(world, 1000) for _ in range(4)]
    kept = keep(keep_log_bytes=2000, usage_interval=600.0)
    for _ in range(5):
        await kept.apply()
    assert len(looks) == 1
    # What has gone since the look is taken into account: no more goes than has to.
    assert await left(world, jobs) == jobs[2:]
    world.clock.advance(600)
    await kept.apply()
    assert len(looks) == 2


async def test_a_young_job_does_not_go_for_want_of_room(world, keep, space):
    space.missing = lambda: Deficit(10**9, 10**6)
    job = await ended(world)
    kept = keep(keep_at_least=3600.0, keep_log_bytes=1)
    await kept.apply()
    assert await left(world, [job]) == [job]
    world.clock.advance(3600)
    await kept.apply()
    assert await left(world, [job]) == []


async def test_a_full_disk_takes_no_more_than_is_missing(world, keep, space):
    jobs = [await ended(world, size) for size in (100, 100, 100, 100)]
    space.missing = lambda: Deficit(150, 0)
    await keep().apply()
    assert await left(world, jobs) == jobs[2:]


async def test_names_of_files_are_made_by_removing_jobs_however_small(world, keep, space):
    jobs = [await ended(world, 0) for _ in range(4)]
    space.missing = lambda: Deficit(0, 3)
    await keep().apply()
    assert await left(world, jobs) == jobs[3:]


async def test_a_job_in_hand_stays(world, keep):
    jobs = [await ended(world) for _ in range(2)]
    world.clock.advance(DAY)
    await keep(in_hand={jobs[0].id}, keep_for=1.0).apply()
    assert await left(world, jobs) == jobs[:1]


async def test_a_round_is_bounded_and_says_that_there_is_more(world, keep, monkeypatch):
    monkeypatch.setattr(retention, "_BATCH", 2)
    jobs = [await ended(world) for _ in range(5)]
    world.clock.advance(DAY)
    kept = keep(keep_for=1.0)
    rounds = []
    for _ in range(3):
        more = await kept.apply()
        rounds.append((more, len(await left(world, jobs))))
    assert rounds == [(True, 3), (True, 1), (False, 0)]


async def test_the_row_goes_first_so_that_no_reader_finds_a_job_without_its_log(
    world, keep, monkeypatch
):
    job = await ended(world)
    world.clock.advance(DAY)
    forget = world.repository.forget
    seen = []

    async def forget_and_crash(job_ids):
        await forget(job_ids)
        seen.extend(files_of(world, job))
        raise asyncio.CancelledError

    monkeypatch.setattr(world.repository, "forget", forget_and_crash)
    with pytest.raises(asyncio.CancelledError):
        await keep(keep_for=1.0).apply()
    assert len(seen) == 2
    with pytest.raises(JobNotFound):
        await world.job(job)


class FullDatabase:
    """A database that takes no DELETE, until the reserve is given up or files go."""

    def __init__(self, world, needs: str) -> None:
        self._world = world
        self._needs = needs
        self._forget = world.repository.forget
        self.refused = 0

    async def forget(self, job_ids):
        job_ids = list(job_ids)
        released = "release_reserve" in self._world.repository.space.calls
        logs = self._world.repository.logs
        removed = not any(logs.size(job_id) for job_id in job_ids)
        if not {"reserve": released, "files": removed}[self._needs]:
            self.refused += 1
            raise StorageFull
        return await self._forget(job_ids)


async def test_on_a_full_disk_the_reserve_makes_the_deletion_possible(world, keep, space):
    job = await ended(world)
    world.clock.advance(DAY)
    full = FullDatabase(world, "reserve")
    world.repository.forget = full.forget
    await keep(keep_for=1.0).apply()
    assert full.refused == 1
    assert files_of(world, job) == []
    assert await left(world, [job]) == []


@pytest.mark.parametrize(("has_reserve", "refused"), [(True, 2), (False, 1)])
async def test_without_a_reserve_or_when_it_was_eaten_files_go_first(
    world, keep, space, has_reserve, refused
):
    job = await ended(world)
    world.clock.advance(DAY)
    space.has_reserve = has_reserve
    full = FullDatabase(world, "files")
    world.repository.forget = full.forget
    await keep(keep_for=1.0).apply()
    assert full.refused == refused
    assert files_of(world, job) == []
    assert await left(world, [job]) == []


class TestLogsWithoutARow:
    def stray(self, world, name=None, age=100.0):
        logs = world.repository.data_dir / "logs"
        logs.mkdir(exist_ok=True)
        path = logs / f"{name or uuid.uuid4()}.log"
        path.write_bytes(b"x")
        when = world.clock.now().wall.timestamp() - age
        os.utime(path, (when, when))
        return path

    async def test_they_are_swept_and_others_stay(self, world):
        job = await ended(world)
        orphan, young = self.stray(world), self.stray(world, age=10.0)
        not_ours = self.stray(world, name="NOTES")
        own = self.stray(world, name=job.id)
        assert await sweep_logs(world.repository, world.clock, grace=60.0) == 2
        assert [p.exists() for p in (orphan, young, not_ours, own)] == [False, True, True, True]

    async def test_any_number_of_them(self, world, monkeypatch):
        monkeypatch.setattr("ci_controller.sweep._BATCH", 2)
        strays = [self.stray(world) for _ in range(5)]
        assert await sweep_logs(world.repository, world.clock, grace=60.0) == 5
        assert not any(path.exists() for path in strays)


class TestHousekeeper:
    @pytest.fixture
    def keeper(self, world, space):
        world.settings = replace(
            world.settings, retention=RetentionSettings(keep_for=DAY, keep_at_least=0.0)
        )
        return Housekeeper(
            world.repository, world.clock, world.settings, in_hand=(), also=lambda: None
        )

    async def begun(self, keeper) -> bool:
        keeper.begin_if_due()
        task = keeper._task
        if task is not None:
            await task
        return task is not None

    async def test_it_works_now_and_then(self, keeper, world, space):
        assert await self.begun(keeper)
        assert not await self.begun(keeper)
        world.clock.advance(59)
        assert not await self.begun(keeper)
        world.clock.advance(1)
        assert await self.begun(keeper)
        assert space.calls == ["keep_reserve"] * 4

    async def test_it_works_at_once_when_room_is_missing(self, keeper, space):
        await self.begun(keeper)
        space.missing = lambda: Deficit(1, 0)
        assert await self.begun(keeper)
        assert await self.begun(keeper)

    async def test_it_goes_on_at_once_while_there_is_more(self, keeper, world, monkeypatch):
        monkeypatch.setattr(retention, "_BATCH", 2)
        jobs = [await ended(world) for _ in range(3)]
        world.clock.advance(2 * DAY)
        assert [await self.begun(keeper) for _ in range(4)] == [True, True, False, False]
        assert await left(world, jobs) == []

    async def test_a_fault_is_not_its_end(self, keeper, world, monkeypatch):
        async def full(**_):
            raise StorageFull

        with monkeypatch.context() as patch:
            patch.setattr(world.repository, "oldest_ended", full)
            assert await self.begun(keeper)
        assert await self.begun(keeper)

    async def test_the_controller_that_leads_keeps_house_even_when_it_cannot_reconcile(
        self, world, space, monkeypatch
    ):
        async def full():
            raise StorageFull

        job = await ended(world)
        world.clock.advance(2 * DAY)
        world.settings = replace(world.settings, retention=RetentionSettings(keep_for=DAY))
        monkeypatch.setattr(world.repository, "running", full)
        controller = world.controller()
        await controller.start()

        async def gone() -> bool:
            return not await left(world, [job])

        await world.until(gone)


async def test_events_go_by_their_age_and_beyond_so_many(world, keep):
    for _ in range(2):
        await world.submit()
    events = world.repository.events
    kept = keep(keep_events_for=DAY, most_events=10)
    await kept.prune_events()
    assert await events.oldest() == 1
    world.clock.advance(DAY + 1)
    await kept.prune_events()
    assert (await events.oldest(), await events.latest()) == (3, 2)
    for _ in range(3):
        await world.submit()
    await keep(keep_events_for=0, most_events=2).prune_events()
    assert await events.oldest() == 4
    world.clock.advance(100 * DAY)
    await keep(keep_events_for=0).prune_events()
    assert await events.oldest() == 4


async def test_the_housekeeper_sees_to_the_events(world, space):
    await world.submit()
    settings = replace(world.settings, retention=RetentionSettings(most_events=0))
    keeper = Housekeeper(world.repository, world.clock, settings, in_hand=(), also=lambda: None)
    await keeper.round()
    assert await world.repository.events.oldest() == 2
