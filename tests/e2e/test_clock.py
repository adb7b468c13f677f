"""A wall clock that is set while jobs wait and run: real rows, real processes, a clock of ours."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from ci_common.backoff import Backoff
from ci_common.clock import Moment, SystemClock
from ci_common.jobs import EndReason, Job
from ci_common.recipe import Recipe
from ci_common.signals import QUEUE, LocalSignals, job_topic, log_topic
from ci_controller.controller import JobController
from ci_controller.local import LocalExecutor
from ci_controller.plan import Stop
from ci_controller.settings import ControllerSettings
from ci_persistence.jobs import SQLiteJobRepository
from tests.fakes.repository import new_job
from tests.fakes.zips import honest_zip

HOUR = 3600.0


class JumpingClock(SystemClock):
    """The machine's clocks, but for a wall clock that somebody has set."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def jump(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)

    def now(self) -> Moment:
        moment = super().now()
        return replace(moment, wall=moment.wall + self.ahead)


@dataclass
class World:
    """A controller at work, and what a test does beside it."""

    repository: SQLiteJobRepository
    executor: LocalExecutor
    clock: JumpingClock = field(default_factory=JumpingClock)
    signals: LocalSignals = field(default_factory=LocalSignals)

    def controller(self) -> JobController:
        return JobController(
            self.repository,
            self.executor,
            signals=self.signals,
            clock=self.clock,
            settings=ControllerSettings(max_running=1, stop_grace=0, backoff=Backoff(first=5.0)),
        )

    async def submit(self, command: str, limit: float | None = None) -> Job:
        job = new_job()
        upload = self.repository.stash.new_upload()
        upload.write(honest_zip({"file": b""}))
        recipe = Recipe(command=command, timeout=limit)
        path = upload.commit(job.id)
        made = new_job(id=job.id, recipe=recipe, zip_path=path, created=self.clock.now())
        stored, _ = await self.repository.add(made)
        upload.discard()
        self.signals.notify(QUEUE)
        return stored

    async def until_log(self, job: Job, text: bytes) -> None:
        with self.signals.subscribe(log_topic(job.id)) as grown:
            while text not in self.repository.logs.read(job.id, 0, 100_000):
                assert await grown.wait(60), f"no {text!r} in the log"

    async def ended(self, job: Job) -> Job:
        with self.signals.subscribe(job_topic(job.id)) as changed:
            while not (row := await self.repository.get(job.id)).status.ended:
                assert await changed.wait(60), f"does not end: {row}"
            return row


@pytest.fixture
async def world(tmp_path):
    repository = SQLiteJobRepository(tmp_path / "ci_jobs.db")
    await repository.initialize()
    executor = LocalExecutor(tmp_path / "local")
    yield World(repository, executor)
    await executor.purge()
    await executor.close()
    await repository.close()


@pytest.fixture
async def controller(world):
    made = world.controller()
    await made.start()
    yield made
    await made.stop()


def until_exists(path: Path) -> str:
    return f"echo started; until [ -e {path} ]; do sleep 0.05; done"


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
async def test_no_job_is_timed_out_by_it(world, controller, tmp_path, jump):
    """Fault 23."""
    job = await world.submit(until_exists(tmp_path / "go"), limit=HOUR / 2)
    await world.until_log(job, b"started\n")
    world.clock.jump(jump)
    assert not [each for each in await controller.reconcile() if isinstance(each, Stop)]
    (tmp_path / "go").touch()
    assert (await world.ended(job)).reason is EndReason.PASSED


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
async def test_a_time_limit_is_kept_across_it(world, controller, tmp_path, jump):
    """Fault 23."""
    job = await world.submit(until_exists(tmp_path / "never"), limit=1.0)
    await world.until_log(job, b"started\n")
    world.clock.jump(jump)
    assert (await world.ended(job)).reason is EndReason.TIMED_OUT


async def test_jobs_start_and_are_listed_in_the_order_they_came(world, tmp_path):
    """Fault 23. What was submitted later has the earlier time, and is later all the same."""
    order = tmp_path / "order"
    jobs = []
    for number, jump in enumerate((0, -HOUR, 2 * HOUR, -HOUR / 2)):
        world.clock.jump(jump)
        jobs.append(await world.submit(f"echo {number} >> {order}"))
    assert [await world.repository.queue_position(job.id) for job in jobs] == [1, 2, 3, 4]
    controller = world.controller()
    await controller.start()
    for job in jobs:
        await world.ended(job)
    await controller.stop()
    assert order.read_text() == "0\n1\n2\n3\n"
    listed = await world.repository.list_recent(limit=10)
    assert [job.id for job in listed] == [job.id for job in reversed(jobs)]


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
async def test_a_job_that_waits_to_be_tried_again_does_not_wait_an_hour(
    world, controller, tmp_path, jump
):
    """Fault 23."""
    job = await world.submit(until_exists(tmp_path / "go"))
    await world.until_log(job, b"started\n")
    with world.signals.subscribe(job_topic(job.id)) as changed:
        await world.executor.remove(world.executor.container_name(job.id, 1))
        while (await world.repository.get(job.id)).faults == 0:
            assert await changed.wait(60)
    world.clock.jump(jump)
    world.signals.notify(QUEUE)
    (tmp_path / "go").touch()
    over = await world.ended(job)
    assert (over.reason, over.attempt) == (EndReason.PASSED, 2)
