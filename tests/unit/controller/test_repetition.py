"""What comes to nothing is tried again with the next tick, and not at once, again and again."""

import asyncio

from ci_common.errors import EngineUnavailable
from ci_common.recipe import Recipe
from tests.fakes.executor import FakeExecutor
from tests.unit.controller.progress import begun

NO_TICK = 3600.0
"""Seconds between two ticks: none comes in a test."""


async def let_run(controller) -> None:
    """Let the loop and its tasks do what they do without a tick."""
    await controller.start()
    for _ in range(500):
        await asyncio.sleep(0)


def calls(world, name: str) -> int:
    return [call for call, _ in world.engine.calls].count(name)


async def test_a_stop_after_which_the_container_still_runs(world):
    """As one does that the engine cannot kill, or that it has lost sight of."""
    job = await world.submit()
    controller = world.controller(interval=NO_TICK)
    await begun(world, job, controller)
    world.container(job).exit = lambda *_, **__: None
    world.clock.advance(3601)
    await let_run(controller)
    assert calls(world, "stop") == 1


async def test_a_removal_after_which_the_container_is_still_there(world):
    earlier = FakeExecutor(world.engine)
    spec = world.settings.defaults.spec(Recipe())
    await earlier.launch(earlier.container_name("0" * 36, 1), spec)
    world.engine.vanish = lambda _: None
    world.clock.advance(world.settings.orphan_grace)
    await let_run(world.controller(interval=NO_TICK))
    assert calls(world, "remove") == 1


async def test_an_adoption_that_the_engine_answers_with_an_error(world, monkeypatch):
    """As of a container that it cannot look at, while it shows all of them."""
    job = await world.submit()
    controller = world.controller()
    await begun(world, job, controller)
    await world.crash(controller)
    asked = []

    async def follow(self, name, sink, *, skip):
        asked.append(name)
        raise EngineUnavailable

    monkeypatch.setattr(FakeExecutor, "follow", follow)
    await let_run(world.controller(interval=NO_TICK))
    assert len(asked) == 1
