"""What a data directory begins with: a database without jobs, and a secret for those to come."""

import asyncio
import sqlite3
import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from ci_common.job_secrets import SecretPlace
from ci_persistence.data_directory import DataDirectory
from ci_persistence.jobs import SQLiteJobRepository
from tests.invariants import watch_moves
from tests.simulation.submission import SECRET, SECRET_NAME


def begin_in(folder: Path) -> None:
    """Put everything into an empty folder."""
    data, (database, key) = DataDirectory(folder / "ci_jobs.db", folder), _made()
    data.secrets_key.parent.mkdir()
    data.secrets_key.write_bytes(key)
    data.database.write_bytes(database)


@cache
def _made() -> tuple[bytes, bytes]:
    """Return a database and its key; making them takes longer than many a simulation."""
    with tempfile.TemporaryDirectory() as folder:
        data = DataDirectory(Path(folder) / "ci_jobs.db", Path(folder))
        asyncio.run(_keep_secret(data.database))
        watch_moves(data.database)
        with sqlite3.connect(data.database) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return data.database.read_bytes(), data.secrets_key.read_bytes()


async def _keep_secret(database: Path) -> None:
    repository = SQLiteJobRepository(database)
    await repository.initialize()
    place = SecretPlace(organisation="", project="", name=SECRET_NAME)
    await repository.secrets.set(place, SECRET, now=datetime(2026, 1, 1, tzinfo=UTC))
    await repository.close()
