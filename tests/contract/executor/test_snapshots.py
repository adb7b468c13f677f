"""What every executor that keeps what was installed does: the contract of ``SnapshotEngine``."""

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC

import pytest

from ci_common.errors import ContainerGone, EngineError, ImageMissing
from ci_common.executor import SnapshotExecutor
from tests.contract.executor.places import (
    DEADLINE,
    Collector,
    DockerPlace,
    FakePlace,
    Program,
    tar_of,
)
from tests.contract.executor.test_executor import run
from tests.fakes.tars import pieces

KEY = "0123456789abcdef" * 4


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.docker)])
def place(request):
    if request.param == "fake":
        yield FakePlace()
        return
    docker_place = DockerPlace()
    yield docker_place
    docker_place.client.close()


@pytest.fixture
async def keeper(executor):
    assert isinstance(executor, SnapshotExecutor)
    return executor.snapshots


async def installed(executor, place, name, spec, program: Program | None = None) -> None:
    """Have a container end in which something was done."""
    await run(executor, place, name, spec, program or Program())
    await executor.wait_exit(name, timeout=DEADLINE)


async def kept(executor, place, name, spec, **options) -> None:
    await installed(executor, place, name, spec)
    await executor.snapshots.keep(name, KEY, base="base:1", about="pip install it", **options)
    await executor.remove(name)


async def test_there_is_none_at_first(keeper):
    assert await keeper.made_at(KEY) is None
    assert await keeper.all() == []


async def test_a_container_is_kept_and_shown(executor, keeper, place, name, spec):
    await kept(executor, place, name, spec)
    (snapshot,) = await keeper.all()
    assert (snapshot.key, snapshot.current, snapshot.in_use) == (KEY, True, False)
    assert (snapshot.base, snapshot.about) == ("base:1", "pip install it")
    assert snapshot.size >= 0
    made_at = await keeper.made_at(KEY)
    assert made_at is not None
    assert abs((made_at - snapshot.made_at).total_seconds()) < 2
    assert made_at.tzinfo is UTC


async def test_its_image_can_be_launched_from_and_is_in_use_then(
    executor, keeper, place, name, spec
):
    await kept(executor, place, name, spec)
    await executor.launch(name, replace(spec, image=keeper.image_of(KEY)))
    (snapshot,) = await keeper.all()
    assert snapshot.in_use
    assert not await keeper.remove(snapshot)
    assert await keeper.made_at(KEY) is not None
    await executor.remove(name)
    assert await keeper.remove(snapshot)
    assert await keeper.made_at(KEY) is None


async def test_a_standby_is_no_use_and_yet_keeps_it(executor, keeper, place, name, spec):
    await kept(executor, place, name, spec)
    standby = executor.standby_name("1")
    await executor.launch(standby, replace(spec, image=keeper.image_of(KEY)))
    (snapshot,) = await keeper.all()
    assert not snapshot.in_use
    assert not await keeper.remove(snapshot)


async def test_a_later_one_takes_the_place_of_an_earlier(executor, keeper, place, name, spec):
    await kept(executor, place, name, spec)
    standby = executor.standby_name("1")
    of_it = replace(spec, image=keeper.image_of(KEY))
    await executor.launch(standby, of_it)
    await kept(executor, place, name, spec)
    assert sorted(each.current for each in await keeper.all()) == [False, True]
    # What was launched from the earlier one is not what the name means now.
    assert not await executor.take_standby(standby, name, of_it)
    await executor.remove(standby)
    for snapshot in await keeper.all():
        if not snapshot.current:
            assert await keeper.remove(snapshot)
    (left,) = await keeper.all()
    assert left.current
    assert await keeper.made_at(KEY) is not None


async def test_removing_what_is_gone_succeeds(executor, keeper, place, name, spec):
    await kept(executor, place, name, spec)
    (snapshot,) = await keeper.all()
    assert await keeper.remove(snapshot)
    assert await keeper.remove(snapshot)


async def test_one_that_is_gone_is_missing_and_not_pulled(executor, keeper, name, spec):
    with pytest.raises(ImageMissing):
        await executor.launch(name, replace(spec, image=keeper.image_of(KEY)))
    assert await executor.observe() == []


async def test_what_is_gone_cannot_be_kept(executor, keeper, name):
    with pytest.raises(EngineError):
        await keeper.keep(name, KEY, base="", about="")
    assert await keeper.all() == []


async def test_namespaces_do_not_see_each_others(executor, keeper, place, name, spec, namespace):
    await kept(executor, place, name, spec)
    other = place.executor(f"{namespace}x_")
    try:
        assert await other.snapshots.all() == []
        assert await other.snapshots.made_at(KEY) is None
        assert other.snapshots.image_of(KEY) != keeper.image_of(KEY)
    finally:
        await other.close()


async def test_an_images_name_means_an_image(keeper, spec):
    first, again = await asyncio.gather(keeper.image_id(spec.image), keeper.image_id(spec.image))
    assert first == again != ""


@pytest.mark.docker
async def test_an_image_that_is_not_to_be_had(executor, keeper, place):
    missing = f"localhost/{uuid.uuid4().hex}:1"
    if isinstance(place, FakePlace):
        place.engine.missing_images.add(missing)
    with pytest.raises(ImageMissing):
        await keeper.image_id(missing)


async def test_a_program_can_be_run_before_the_feed(executor, keeper, place, name, spec):
    await executor.launch(name, spec)
    assert await keeper.run(name, ["true"]) == 0
    assert await keeper.run(name, ["false"]) == 1
    sink = Collector()
    pump = await executor.feed(name, place.prepare(Program()), sink)
    await pump.wait()
    assert bytes(sink.data) == b"started\n"


async def test_a_program_needs_its_container(keeper, name):
    with pytest.raises(ContainerGone):
        await keeper.run(name, ["true"])


async def test_files_that_a_container_leaves(executor, keeper, place, name, spec):
    program = Program()
    place.prepare(program)
    await executor.launch(name, spec)
    pump = await executor.feed(name, pieces(tar_of(program.files())), Collector())
    await pump.wait()
    await executor.wait_exit(name, timeout=DEADLINE)
    assert await keeper.has_file(name, "first")
    assert not await keeper.has_file(name, "no such file")


async def test_no_container_no_file(keeper, name):
    with pytest.raises(ContainerGone):
        await keeper.has_file(name, "first")


async def test_purging_leaves_none(executor, keeper, place, name, spec):
    await kept(executor, place, name, spec)
    await executor.purge()
    assert await keeper.all() == []


@pytest.mark.docker
@pytest.mark.parametrize("place", ["docker"], indirect=True)
async def test_what_somebody_builds_on_one_is_not_ours(
    executor, keeper, place, name, spec, namespace
):
    await kept(executor, place, name, spec)
    await executor.launch(name, replace(spec, image=keeper.image_of(KEY)))
    tag = f"{namespace}theirs"
    container = place.client.containers.get(name)
    theirs = container.commit(tag, "latest", conf={"Labels": {"ci.role": "snapshot"}})
    try:
        assert [each.current for each in await keeper.all()] == [True]
    finally:
        await executor.remove(name)
        place.client.images.remove(theirs.id, force=True)


@pytest.mark.docker
@pytest.mark.parametrize("place", ["docker"], indirect=True)
async def test_a_user_who_is_not_root_leaves_files_elsewhere(executor, keeper, place, name, spec):
    await installed(executor, place, name, replace(spec, user="1000:1000"))
    assert await keeper.has_file(name, "first")
