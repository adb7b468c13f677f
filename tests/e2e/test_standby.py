"""Standbys on a real engine: found by jobs, taken over after a crash, gone with their server."""

import pytest

from ci_common.executor import ContainerSpec
from ci_controller.containers import ContainerManager
from tests.waiting import eventually

pytestmark = pytest.mark.docker


def one_waits(engine) -> str:
    """Wait for a standby; return its id."""
    return eventually(engine.standbys, what="a standby")[0].id


def test_the_first_job_finds_one(server, engine, waiting):
    standby = one_waits(engine)
    job_id = server.submit(waiting())
    server.until_log(job_id, "started")
    assert engine.of(job_id).id == standby
    engine.go(job_id)
    server.until(job_id, "completed")
    assert one_waits(engine) != standby


def test_one_that_was_killed_is_not_used(server, engine, waiting):
    standby = one_waits(engine)
    engine.client.containers.get(standby).kill()
    job_id = server.submit(waiting())
    server.until_log(job_id, "started")
    assert engine.of(job_id).id != standby
    assert server.job(job_id)["attempt"] == 1


def test_the_next_server_takes_over_what_a_killed_one_left(server, engine, waiting):
    standby = one_waits(engine)
    server.kill()
    server.restart()
    job_id = server.submit(waiting())
    server.until_log(job_id, "started")
    assert engine.of(job_id).id == standby


def test_a_server_that_ends_leaves_none(server, engine):
    one_waits(engine)
    server.terminate()
    assert engine.everything() == []


@pytest.fixture
async def manager(namespace):
    manager = ContainerManager(namespace)
    yield manager
    await manager.purge()
    await manager.close()


async def test_an_image_that_was_built_anew_is_not_taken_for_the_old_one(
    manager, engine, runner_image, namespace
):
    """A name can mean another image by the time a job comes."""
    tag = f"{namespace}image"
    image = engine.client.images.get(runner_image)
    image.tag(tag, "latest")
    spec = ContainerSpec(
        image=f"{tag}:latest", memory=64 * 1024**2, cpus=1, pids=16, network="none", log_limit=1000
    )
    try:
        standby = manager.standby_name("1")
        await manager.launch(standby, spec)
        container = engine.client.containers.get(standby)
        other = container.commit(tag, "latest")
        name = manager.container_name("00000000-0000-4000-8000-000000000000", 1)
        assert not await manager.take_standby(standby, name, spec)
        image.tag(tag, "latest")
        assert await manager.take_standby(standby, name, spec)
        assert engine.client.containers.get(name).id == container.id
    finally:
        await manager.purge()
        engine.client.images.remove(f"{tag}:latest", force=True)
        engine.client.images.remove(other.id, force=True)


async def test_what_is_gone_or_has_ended_is_not_taken(manager, runner_image):
    spec = ContainerSpec(
        image=runner_image, memory=64 * 1024**2, cpus=1, pids=16, network="none", log_limit=1000
    )
    name = manager.container_name("00000000-0000-4000-8000-000000000000", 1)
    standby = manager.standby_name("1")
    assert not await manager.take_standby(standby, name, spec)
    await manager.launch(standby, spec)
    await manager.stop(standby, grace=0)
    assert not await manager.take_standby(standby, name, spec)
