"""A controller over fakes: an engine in memory, rows in memory, files on a temporary folder."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ci_common.backoff import Backoff
from ci_common.jobs import Job
from ci_common.signals import LocalSignals
from ci_controller.controller import JobController
from ci_controller.settings import ControllerSettings
from ci_controller.standby import StandbySettings
from tests.fakes.clock import FakeClock
from tests.fakes.executor import FakeEngine, FakeExecutor
from tests.fakes.repository import InMemoryJobRepository, new_job
from tests.fakes.zips import honest_zip
from tests.unit.controller.installations import work
from tests.waiting import LONGEST

PROJECT: Mapping[str, bytes] = {"test_it.py": b"def test_it(): pass\n"}


@dataclass
class World:
    """Rows, files and an engine; controllers come and go in it as processes do."""

    repository: InMemoryJobRepository
    engine: FakeEngine = field(default_factory=FakeEngine)
    clock: FakeClock = field(default_factory=FakeClock)
    settings: ControllerSettings = field(
        default_factory=lambda: ControllerSettings(
            max_running=2,
            adopt_grace=0.0,
            exit_grace=0.0,
            backoff=Backoff(first=10.0),
            standby=StandbySettings(size=0),
        )
    )
    controllers: list[JobController] = field(default_factory=list)

    def controller(
        self, repository: InMemoryJobRepository | None = None, *, interval: float = 2.0
    ) -> JobController:
        """Make the controller of a new process."""
        made = JobController(
            repository or self.repository,
            FakeExecutor(self.engine),
            interval,
            signals=LocalSignals(),
            clock=self.clock,
            settings=self.settings,
        )
        self.controllers.append(made)
        return made

    async def submit(self, *, files: Mapping[str, bytes] = PROJECT, **overrides: object) -> Job:
        job = new_job(created=self.clock.now(), **overrides)
        upload = self.repository.stash.new_upload()
        upload.write(honest_zip(files))
        path = upload.commit(job.id)
        stored, _ = await self.repository.add(new_job(id=job.id, zip_path=path, **overrides))
        upload.discard()
        return stored

    async def job(self, job: Job) -> Job:
        return await self.repository.get(job.id)

    def container(self, job: Job, attempt: int = 1):
        return self.engine.containers[f"ci-{job.id}-{attempt}"]

    def log(self, job: Job) -> bytes:
        return self.repository.logs.read(job.id, 0, 1_000_000)

    async def settle(self, controller: JobController) -> None:
        """Reconcile until there is nothing to do and nobody at work."""
        for _ in range(20):
            actions = await controller.reconcile()
            at_work = bool(controller._jobs)
            await controller.idle()
            if not actions and not at_work:
                return
        raise AssertionError(f"does not come to rest: {actions}")

    async def until(self, look: Callable[[], Awaitable[object]]) -> None:
        """Let the tasks run until ``look`` finds what it wants."""
        async with asyncio.timeout(LONGEST):
            while not await look():  # noqa: ASYNC110 -- nothing here takes time
                await asyncio.sleep(0)

    async def ended(self, job: Job) -> None:
        """Let the tasks run until a job has ended."""

        async def look() -> bool:
            return (await self.job(job)).status.ended

        await self.until(look)

    async def crash(self, controller: JobController) -> None:
        """End a controller as a crash does: it writes nothing more, its containers go on."""
        await controller.stop()


@pytest.fixture
async def world(tmp_path: Path):
    world = World(InMemoryJobRepository(tmp_path, keep_projects=False))
    yield world
    for controller in world.controllers:
        await controller.stop()


@pytest.fixture
def kept(world: World) -> World:
    """A world in which installations succeed, and so do jobs."""
    world.engine.on_fed = work
    world.engine.images.clock = lambda: world.clock.wall
    return world
