"""The implementations that each contract suite runs on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ci_common.job_repository import JobRepository
from ci_persistence.jobs import SQLiteJobRepository
from tests.fakes.repository import InMemoryJobRepository


@pytest.fixture(params=["memory", "sqlite"])
async def repositories(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[JobRepository, JobRepository]]:
    """Two views of one store, as two processes have them."""
    if request.param == "memory":
        store = InMemoryJobRepository(tmp_path)
        yield store, store
        return
    first, second = (SQLiteJobRepository(tmp_path / "jobs.db") for _ in range(2))
    await first.initialize()
    await second.initialize()
    yield first, second
    await second.close()
    await first.close()


@pytest.fixture
def repository(repositories: tuple[JobRepository, JobRepository]) -> JobRepository:
    """An empty store."""
    return repositories[0]


@pytest.fixture
def peer(repositories: tuple[JobRepository, JobRepository]) -> JobRepository:
    """The same store, as another process sees it."""
    return repositories[1]
