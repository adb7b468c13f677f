"""A database file of one's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ci_persistence.check import Premises
from ci_persistence.jobs import SQLiteJobRepository
from tests.unit.persistence.checking import premises_of
from tests.unit.persistence.data import Data


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is, or is going to be; alone in its folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder / "jobs.db"


@pytest.fixture
async def repository(path: Path) -> AsyncIterator[SQLiteJobRepository]:
    """An open repository that does not wait long for a lock."""
    store = SQLiteJobRepository(path, busy_timeout=0.05)
    await store.initialize()
    yield store
    await store.close()


@pytest.fixture
async def data(tmp_path: Path) -> AsyncIterator[Data]:
    """A data directory with an open database."""
    made = await Data(tmp_path / "server").open()
    yield made
    await made.repository.close()


@pytest.fixture
async def premises(data: Data) -> Premises:
    """A data directory as a server has it: jobs in every state, and nothing wrong."""
    await data.ended()
    await data.running()
    await data.queued()
    made = premises_of(data)
    made.reserve.fill()
    return made
