"""The executors that the contract suites run on."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ci_common.executor import ContainerSpec, Executor
from tests.contract.executor.places import REAL, DockerPlace, FakePlace, LocalPlace, Place


@pytest.fixture(params=["fake", *REAL])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    match request.param:
        case "fake":
            yield FakePlace()
        case "local":
            yield LocalPlace(tmp_path / "scratch")
        case _:
            docker_place = DockerPlace()
            yield docker_place
            docker_place.client.close()


@pytest.fixture
async def executor(place: Place, namespace: str) -> AsyncIterator[Executor]:
    executor = place.executor(namespace)
    await executor.open()
    yield executor
    await executor.purge()
    await executor.close()


@pytest.fixture
async def other(place: Place, namespace: str) -> AsyncIterator[Executor]:
    """The same containers as another process sees them."""
    executor = place.executor(namespace)
    await executor.open()
    yield executor
    await executor.close()


@pytest.fixture
def spec(request: pytest.FixtureRequest, place: Place) -> ContainerSpec:
    docker = isinstance(place, DockerPlace)
    return ContainerSpec(
        image=request.getfixturevalue("runner_image") if docker else "any",
        memory=256 * 1024**2,
        cpus=1.0,
        pids=100,
        network="none",
        log_limit=64 * 1024**2,
    )


@pytest.fixture
def name(executor: Executor) -> str:
    return executor.container_name(uuid.uuid4().hex, 1)
