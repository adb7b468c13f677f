"""Which kept dependencies go, and when; over a fake engine."""

import asyncio
from dataclasses import replace

from ci_common.recipe import Recipe
from ci_controller.snapshots import SnapshotSettings
from ci_controller.standby import StandbySettings
from tests.unit.controller.installations import (
    INSTALLED,
    begin,
    count,
    finish,
    in_mid_installation,
    is_called,
    run,
    snapshots,
    submitted,
)


async def keys_used(world, controller, *requirements: bytes) -> list[str]:
    """Have snapshots made and used in this order, an hour apart; return their keys."""
    keys = []
    for each in requirements:
        world.clock.advance(3600)
        await run(world, controller, requirements=each)
        keys.append(snapshots(world)[-1].key)
    return keys


async def test_one_removed_behind_our_back_is_made_again(kept):
    controller = kept.controller()
    await run(kept, controller)
    job = await submitted(kept)
    held = kept.engine.hold("launch")
    await controller.reconcile()
    await is_called(kept, "launch", job)
    kept.engine.images.snapshots.clear()
    held.set()
    await kept.settle(controller)
    ended = await kept.job(job)
    assert (ended.success, ended.faults) == (True, 0)
    assert kept.log(job) == INSTALLED + b"running\n"


async def test_the_least_recently_used_goes_when_there_are_too_many(kept):
    kept.settings = replace(kept.settings, snapshots=SnapshotSettings(budget=2500))
    controller = kept.controller()
    first, second, third = await keys_used(kept, controller, b"a", b"b", b"c")
    kept.clock.advance(1)
    await run(kept, controller, requirements=b"a")  # which makes b the oldest
    await controller._snapshots.tidy()
    assert {s.key for s in snapshots(kept)} == {first, third}
    assert {note.key for note in await kept.repository.snapshots.all()} == {first, third}
    assert second not in {first, third}


async def test_one_that_a_job_uses_stays(kept):
    kept.settings = replace(kept.settings, snapshots=SnapshotSettings(budget=1))
    controller = kept.controller()
    job = await in_mid_installation(kept, controller)
    kept.engine.on_fed = begin
    finish(kept.container(job))

    async def runs() -> bool:
        return kept.log(job).endswith(b"running\n")

    await kept.until(runs)
    await controller._snapshots.tidy()
    assert len(snapshots(kept)) == 1
    kept.container(job).exit(0)
    await kept.settle(controller)
    assert controller._snapshots.untidy
    await controller._snapshots.tidy()
    assert snapshots(kept) == []


async def test_its_standbys_go_with_it(kept):
    kept.settings = replace(kept.settings, standby=StandbySettings(size=1))
    controller = kept.controller()
    await run(kept, controller)
    (snapshot,) = snapshots(kept)
    await kept.repository.snapshots.retire([snapshot.key], now=kept.clock.wall)
    await controller._snapshots.tidy()
    assert snapshots(kept) == []
    await kept.settle(controller)
    assert [c.spec.image for c in kept.engine.containers.values()] == [kept.settings.defaults.image]


async def test_one_that_a_strange_standby_holds_is_tried_again_until_it_is_free(kept):
    controller = kept.controller()
    await run(kept, controller)
    (snapshot,) = snapshots(kept)
    executor = controller._executor
    image = executor.snapshots.image_of(snapshot.key)
    spec = replace(kept.settings.defaults.spec(Recipe()), image=image)
    await executor.launch(executor.standby_name("strange"), spec)
    await kept.repository.snapshots.retire([snapshot.key], now=kept.clock.wall)
    await controller._snapshots.tidy()
    assert (len(snapshots(kept)), controller._snapshots.untidy) == (1, True)
    await executor.remove(executor.standby_name("strange"))
    await controller._snapshots.tidy()
    assert (snapshots(kept), controller._snapshots.untidy) == ([], False)


async def test_what_was_given_up_is_installed_anew(kept):
    controller = kept.controller()
    await run(kept, controller)
    (before,) = snapshots(kept)
    await kept.repository.snapshots.retire([before.key], now=kept.clock.wall)
    assert kept.log(await run(kept, controller)) == INSTALLED + b"running\n"
    await controller._snapshots.tidy()
    (after,) = snapshots(kept)
    assert (after.key, after.id != before.id) == (before.key, True)
    assert kept.log(await run(kept, controller)) == b"running\n"


async def test_one_that_nothing_is_noted_of_is_used_all_the_same(kept):
    controller = kept.controller()
    await run(kept, controller)
    (snapshot,) = snapshots(kept)
    await kept.repository.snapshots.forget(snapshot.key)
    assert kept.log(await run(kept, controller)) == b"running\n"
    assert (await kept.repository.snapshots.get(snapshot.key)) is not None


async def test_notes_of_what_is_gone_are_forgotten(kept):
    controller = kept.controller()
    await run(kept, controller)
    kept.engine.images.snapshots.clear()
    await controller._snapshots.tidy()
    assert await kept.repository.snapshots.all() == []


async def test_one_that_is_being_started_from_is_not_removed(kept):
    controller = kept.controller()
    await run(kept, controller)
    held = kept.engine.hold("launch")
    job = await submitted(kept)
    await controller.reconcile()
    await is_called(kept, "launch", job)
    await kept.repository.snapshots.retire([snapshots(kept)[0].key], now=kept.clock.wall)
    await controller._snapshots.tidy()
    assert len(snapshots(kept)) == 1
    held.set()
    await kept.settle(controller)
    assert (await kept.job(job)).success is True


async def test_who_comes_while_one_is_removed_installs_it_anew(kept):
    controller = kept.controller()
    await run(kept, controller)
    (before,) = snapshots(kept)
    await kept.repository.snapshots.retire([before.key], now=kept.clock.wall)
    held = kept.engine.hold("remove_snapshot")
    tidying = asyncio.create_task(controller._snapshots.tidy())
    await kept.engine.called("remove_snapshot")
    job = await submitted(kept)
    await controller.reconcile()
    await kept.engine.called("image_id")
    held.set()
    await tidying
    await kept.settle(controller)
    assert kept.log(job) == INSTALLED + b"running\n"
    assert [s.id for s in snapshots(kept)] != [before.id]


async def test_who_comes_while_one_makes_room_does_not_start_from_it(kept):
    kept.settings = replace(kept.settings, snapshots=SnapshotSettings(budget=1500))
    controller = kept.controller()
    await keys_used(kept, controller, b"a", b"b")
    held = kept.engine.hold("remove_snapshot")
    tidying = asyncio.create_task(controller._snapshots.tidy())
    await kept.engine.called("remove_snapshot")
    job = await submitted(kept, b"a")
    looks = count(kept, "made_at")
    await controller.reconcile()
    await is_called(kept, "made_at", None, times=looks + 1)
    for _ in range(20):
        await asyncio.sleep(0)
    held.set()
    await tidying
    await kept.settle(controller)
    ended = await kept.job(job)
    assert (ended.success, ended.attempt) == (True, 1)
    assert kept.log(job) == INSTALLED + b"running\n"
