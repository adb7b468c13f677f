"""What a tick asks of the database and of the engine: counted, whatever waits in the queue."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ci_common.accounts import Organisation
from ci_common.jobs import GroupPolicy
from ci_common.recipe import Recipe
from ci_controller.observe import Work, observe
from ci_controller.plan import Claim, plan
from ci_controller.settings import ControllerSettings
from ci_controller.standby import StandbySettings
from ci_persistence.jobs import SQLiteJobRepository
from tests.fakes.clock import FakeClock
from tests.fakes.executor import FakeEngine, FakeExecutor
from tests.fakes.repository import new_job
from tests.fakes.sqlite_watch import watched
from tests.unit.controller.conftest import World

PLACES = 4


@pytest.fixture
async def repository(tmp_path: Path) -> AsyncIterator[SQLiteJobRepository]:
    made = SQLiteJobRepository(tmp_path / "jobs.db")
    await made.initialize()
    yield made
    await made.close()


def lengthen_the_queue(repository: SQLiteJobRepository, factor: int, which: str = "1") -> None:
    """Copy queued rows ``factor`` times, which is quicker than submitting as many."""
    with closing(sqlite3.connect(repository.data_dir / "jobs.db")) as connection, connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute(f"SELECT * FROM jobs WHERE {which}")]
        columns = [name for name in rows[0] if name != "seq"]
        statement = (
            f"INSERT INTO jobs ({', '.join(columns)})"
            f" VALUES ({', '.join(f':{name}' for name in columns)})"
        )
        connection.executemany(
            statement,
            ({**row, "id": f"{row['id']}-{n}"} for n in range(factor) for row in rows),
        )


async def cost_of_a_look(repository: SQLiteJobRepository) -> tuple[list[str], int, list[str]]:
    """Return the statements, SQLite's steps and the engine's calls; nothing is carried out."""
    engine, clock = FakeEngine(), FakeClock()
    settings = ControllerSettings(max_running=PLACES)
    async with watched(repository) as watch:
        seen = await observe(repository, FakeExecutor(engine), clock, settings, Work())
    actions = plan(seen.snapshot)
    assert sum(isinstance(action, Claim) for action in actions) == PLACES
    return watch.statements, watch.steps, [call for call, _ in engine.calls]


async def test_a_long_queue_costs_a_tick_nothing(repository):
    """Fault 31. Statements, SQLite's steps and so the rows it reads, and the engine's calls."""
    for number in range(10):
        # Those that wait for others of their group, or for longer than they were to, count too.
        tags = {"group": "g", "group_policy": GroupPolicy.QUEUE} if number % 2 else {}
        await repository.add(new_job(queue_timeout=3600.0, **tags))
    with_few, steps_with_few, calls = await cost_of_a_look(repository)
    lengthen_the_queue(repository, 999)
    assert (await repository.count()).queued == 10_000
    with_many, steps_with_many, calls_with_many = await cost_of_a_look(repository)
    assert len(with_few) == 3, with_few
    assert calls == calls_with_many == ["observe"]
    assert with_many == with_few
    assert steps_with_many == steps_with_few


async def test_what_waits_for_its_organisation_costs_a_tick_nothing(repository):
    """Nor does it stand in the way of others, though it came first."""
    busy = Organisation(id="o1", name="busy", created_at=FakeClock().now().wall, max_running=1)
    await repository.accounts.add_organisation(busy)
    first, _ = await repository.add(new_job(organisation="o1"))
    assert await repository.claim(first.id, attempt=0, now=FakeClock().now())
    for _ in range(10):
        await repository.add(new_job(organisation="o1"))
    for _ in range(PLACES):
        await repository.add(new_job(organisation="o2"))

    async def cost() -> tuple[list[str], int]:
        async with watched(repository) as watch:
            found = await repository.startable(limit=PLACES, now=FakeClock().now().wall)
        assert [job.organisation for job in found] == ["o2"] * PLACES
        return watch.statements, watch.steps

    with_few = await cost()
    lengthen_the_queue(repository, 600, "organisation = 'o1' AND status = 'queued'")
    assert (await repository.quotas.usage("o1")).queued == 6_010
    assert await cost() == with_few


async def test_a_tick_with_nothing_to_do_asks_once(repository):
    world = World(repository)
    controller = world.controller()
    await world.settle(controller)
    world.engine.calls.clear()
    async with watched(repository) as watch:
        assert await controller.reconcile() == []
    # Opening again asks the engine for nothing.
    assert [call for call, _ in world.engine.calls] == ["open", "observe"]
    await controller.stop()
    assert len(watch.statements) == 3, watch.statements


@pytest.mark.parametrize(
    ("command", "visits", "commits"), [("sh run.sh", 0, 0), ("python -m pytest", 2, 2)]
)
async def test_a_job_on_a_standby_takes_few_calls_and_commits(repository, command, visits, commits):
    """What is collected comes on top, when the job has ended; nothing where there is nothing."""
    world = World(repository)
    world.settings = replace(world.settings, standby=StandbySettings(size=1))
    controller = world.controller()
    await world.settle(controller)
    job = await world.submit(recipe=Recipe(command=command))
    world.engine.calls.clear()
    async with watched(repository) as watch:
        await controller.reconcile()
        await world.ended(job)
        await world.settle(controller)
    calls = [call for call, name in world.engine.calls if job.id in name or "take" in call]
    await controller.stop()
    visiting = ["visit_files"] * visits
    assert calls == ["take_standby", "feed", "wait_exit", *visiting, "remove"]
    # Claimed, its container noted, fed, ended.
    assert watch.commits == 4 + commits, watch.statements
